//! Columns of signed integers: divided by what all distances to the first value have in common, as values, differences
//! or differences of differences, whichever takes the fewest bytes.

use super::{
    MAX_COLUMN_VALUES, Reader,
    bitpack::BLOCK,
    frame::{Plan, decode_frame, encode_frame, plan, skip_frame},
    malformed, put_ivarint, put_uvarint,
};
use crate::Result;

/// Bits 0 and 1 of the head: how often differences were taken.
const ORDER: u8 = 0b0011;
/// Set when a divisor follows.
const DIVIDED: u8 = 0b0100;
/// Set when all that remains is zero, so that no frame follows.
const FLAT: u8 = 0b1000;

/// A column of so many frames is judged by some of them.
const MANY_FRAMES: usize = 16;
/// By one in so many.
const SAMPLED: usize = 4;

/// Appends a column of any length.
pub fn encode_integers(values: &[i64], out: &mut Vec<u8>) {
    encode(values, true, out);
}

/// The same for values that do not depend on the one before: differences are not tried.
pub(crate) fn encode_unordered(values: &[i64], out: &mut Vec<u8>) {
    encode(values, false, out);
}

fn encode(values: &[i64], is_ordered: bool, out: &mut Vec<u8>) {
    let Some((&first, rest)) = values.split_first() else { return };
    if rest.is_empty() {
        put_ivarint(out, first);
        return;
    }
    let divisor = common_divisor(first, rest);
    let mut levels: Vec<i64> = rest.iter().map(|v| v.wrapping_sub(first)).collect();
    if divisor > 1 {
        levels.iter_mut().for_each(|v| *v /= divisor);
    }
    let head = if divisor > 1 { DIVIDED } else { 0 };
    let start = |out: &mut Vec<u8>, head: u8| {
        out.push(head);
        if divisor > 1 {
            put_uvarint(out, divisor as u64);
        }
        put_ivarint(out, first);
    };
    if levels.iter().all(|v| *v == 0) {
        return start(out, head | FLAT);
    }
    let every = if levels.len() / BLOCK < MANY_FRAMES { 1 } else { SAMPLED };
    if !is_ordered {
        start(out, head);
        return Plans::of(&levels, every, 0).encode(&levels, out);
    }
    let steps = differences(0, &levels);
    let bends = differences(steps[0], &steps[1..]);
    if bends.iter().all(|v| *v == 0) {
        start(out, head | FLAT | 2);
        return put_ivarint(out, steps[0]);
    }
    let of_steps = Plans::of(&steps, every, usize::MAX);
    let of_levels = Plans::of(&levels, every, of_steps.cost);
    let (order, least) = if of_steps.cost <= of_levels.cost { (1, of_steps) } else { (0, of_levels) };
    let of_bends = Plans::of(&bends, every, least.cost);
    let (order, plans) = if least.cost <= of_bends.cost + 2 { (order, least) } else { (2, of_bends) };
    start(out, head | order);
    if order == 2 {
        put_ivarint(out, steps[0]);
    }
    plans.encode([&levels, &steps, &bends][usize::from(order)], out);
}

/// The largest divisor of all distances to `first`; 0 when they are all zero, 1 when some distance overflows.
fn common_divisor(first: i64, rest: &[i64]) -> i64 {
    let mut divisor = 0i64;
    for value in rest {
        let Some(distance) = value.checked_sub(first).and_then(i64::checked_abs) else { return 1 };
        if distance == 0 || (divisor > 0 && distance % divisor == 0) {
            continue;
        }
        let (mut a, mut b) = (divisor, distance);
        while a != 0 {
            (a, b) = (b % a, a);
        }
        divisor = b;
        if divisor == 1 {
            break;
        }
    }
    divisor
}

fn differences(mut before: i64, values: &[i64]) -> Vec<i64> {
    values
        .iter()
        .map(|v| {
            let step = v.wrapping_sub(before);
            before = *v;
            step
        })
        .collect()
}

/// How frames of a column are written.
struct Plans {
    /// Of every so manyth frame, as far as they were planned.
    frames: Vec<Plan>,
    every: usize,
    /// The bytes of these frames, nearly.
    cost: usize,
}

impl Plans {
    /// Plans every so manyth frame; no further when they take more than `limit` bytes.
    fn of(residuals: &[i64], every: usize, limit: usize) -> Self {
        let mut plans = Self { frames: Vec::with_capacity(residuals.len() / BLOCK / every + 1), every, cost: 0 };
        for frame in residuals.chunks(BLOCK).step_by(every) {
            let plan = plan(frame);
            plans.cost += plan.cost;
            plans.frames.push(plan);
            if plans.cost > limit {
                break;
            }
        }
        plans
    }

    /// Appends all frames.
    fn encode(&self, residuals: &[i64], out: &mut Vec<u8>) {
        for (at, frame) in residuals.chunks(BLOCK).enumerate() {
            let planned = self.frames.get(at / self.every).filter(|_| at.is_multiple_of(self.every));
            encode_frame(frame, planned.copied().unwrap_or_else(|| plan(frame)), out);
        }
    }
}

/// Appends the `count` values of a column to `out`.
///
/// # Errors
/// When the bytes are not such a column, or the count is over [`MAX_COLUMN_VALUES`].
pub fn decode_integers(reader: &mut Reader<'_>, count: usize, out: &mut Vec<i64>) -> Result<()> {
    if count <= MAX_COLUMN_VALUES {
        out.reserve(count);
    }
    decode_blocks(reader, count, |block| out.extend(block.iter().map(|v| *v as i64)))
}

/// Hands the `count` values of a column to `sink`, a block at a time, as two's complement.
#[inline]
pub(crate) fn decode_blocks(reader: &mut Reader<'_>, count: usize, mut sink: impl FnMut(&[u64])) -> Result<()> {
    if count > MAX_COLUMN_VALUES {
        return Err(malformed("column", format!("{count} values")));
    }
    if count <= 1 {
        if count == 1 {
            sink(&[reader.ivarint()? as u64]);
        }
        return Ok(());
    }
    let head = reader.u8()?;
    let order = head & ORDER;
    if head & !(ORDER | DIVIDED | FLAT) != 0 || order == 3 {
        return Err(malformed("integer column", format!("unknown head {head:#x}")));
    }
    let divisor = if head & DIVIDED != 0 { reader.uvarint()? } else { 1 };
    let first = reader.ivarint()? as u64;
    sink(&[first]);
    let mut left = count - 1;
    let (mut level, mut step) = (0u64, 0u64);
    if order == 2 {
        step = reader.ivarint()? as u64;
        level = step;
        sink(&[first.wrapping_add(level.wrapping_mul(divisor))]);
        left -= 1;
    }
    let mut room = [0u64; BLOCK];
    while left > 0 {
        let block = &mut room[..left.min(BLOCK)];
        if head & FLAT != 0 {
            block.fill(0);
        } else {
            decode_frame(reader, block)?;
        }
        match order {
            0 => {}
            1 => {
                for value in &mut *block {
                    level = level.wrapping_add(*value);
                    *value = level;
                }
            }
            _ => {
                for value in &mut *block {
                    step = step.wrapping_add(*value);
                    level = level.wrapping_add(step);
                    *value = level;
                }
            }
        }
        for value in &mut *block {
            *value = first.wrapping_add(value.wrapping_mul(divisor));
        }
        sink(block);
        left -= block.len();
    }
    Ok(())
}

/// Hands the values at these places of a column, which rise, to `sink`; all of the column is taken. Where values do not
/// depend on those before, only the frames that have one of the places are unpacked.
pub(crate) fn decode_picked(
    reader: &mut Reader<'_>,
    count: usize,
    places: &[u32],
    mut sink: impl FnMut(u64),
) -> Result<()> {
    let (mut left, mut start) = (places, 0);
    let mut take = |block: &[u64]| {
        while let Some((place, rest)) = left.split_first()
            && let Some(value) = block.get(*place as usize - start)
        {
            sink(*value);
            left = rest;
        }
        start += block.len();
        // Where the next one is, from the next block on.
        left.first().map_or(usize::MAX, |place| *place as usize - start)
    };
    let mut ahead = *reader;
    if !(2..=MAX_COLUMN_VALUES).contains(&count) || ahead.u8()? & !DIVIDED != 0 {
        return decode_blocks(reader, count, |block| {
            take(block);
        });
    }
    let divisor = if reader.u8()? & DIVIDED != 0 { reader.uvarint()? } else { 1 };
    let first = reader.ivarint()? as u64;
    let mut next = take(&[first]);
    let mut rest = count - 1;
    let mut room = [0u64; BLOCK];
    while rest > 0 {
        let block = &mut room[..rest.min(BLOCK)];
        rest -= block.len();
        if next >= block.len() {
            skip_frame(reader, block.len())?;
        } else {
            decode_frame(reader, block)?;
            block.iter_mut().for_each(|value| *value = first.wrapping_add(value.wrapping_mul(divisor)));
        }
        next = take(block);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[i64]) -> usize {
        let mut out = Vec::new();
        encode_integers(values, &mut out);
        let len = out.len();
        out.push(0xAA);
        let mut reader = Reader::new(&out);
        let mut back = Vec::new();
        decode_integers(&mut reader, values.len(), &mut back).unwrap();
        assert_eq!(back, values);
        assert_eq!(reader.rest(), [0xAA]);
        for every in [1, 3, 200] {
            let places: Vec<u32> = (0..values.len() as u32).skip(every / 2).step_by(every).collect();
            let mut reader = Reader::new(&out);
            let mut picked = Vec::new();
            decode_picked(&mut reader, values.len(), &places, |v| picked.push(v as i64)).unwrap();
            assert_eq!(picked, places.iter().map(|at| values[*at as usize]).collect::<Vec<_>>());
            assert_eq!(reader.rest(), [0xAA]);
        }
        let mut unordered = Vec::new();
        encode_unordered(values, &mut unordered);
        let mut picked = Vec::new();
        decode_picked(&mut Reader::new(&unordered), values.len(), &[0], |v| picked.push(v as i64)).unwrap();
        assert_eq!(picked, values[..picked.len()]);
        decode_integers(&mut Reader::new(&unordered), values.len(), &mut back).unwrap();
        assert_eq!(back[values.len()..], *values);
        len
    }

    proptest! {
        #[test]
        fn round_trip(values in prop::collection::vec(any::<i64>(), 0..600), shift in 0u32..64) {
            check(&values.iter().map(|v| v >> shift).collect::<Vec<_>>());
        }

        #[test]
        fn round_trip_of_multiples(values in prop::collection::vec(-1000i64..1000, 0..600), factor in 1i64..1 << 40, base: i64) {
            check(&values.iter().map(|v| base.wrapping_add(v * factor)).collect::<Vec<_>>());
        }

        #[test]
        fn round_trip_of_many(values in prop::collection::vec(any::<i64>(), 2_000..2_400), shift in 0u32..64, times: u16) {
            let values: Vec<i64> =
                values.iter().zip(0..).map(|(v, at)| (v >> shift).wrapping_add(at * i64::from(times))).collect();
            check(&values);
        }

        #[test]
        fn round_trip_of_extremes(values in prop::collection::vec(prop::sample::select(vec![i64::MIN, -1, 0, 1, i64::MAX]), 0..300)) {
            check(&values);
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..600) {
            let _ = decode_integers(&mut Reader::new(&bytes), count, &mut Vec::new());
            let _ = decode_picked(&mut Reader::new(&bytes), count, &[0, 7, 130], |_| {});
        }
    }

    #[test]
    fn simple_shapes_are_short() {
        assert_eq!(check(&[7]), 1);
        assert_eq!(check(&[7; 500]), 2);
        assert_eq!(check(&(0..500).map(|i| i * 15_000).collect::<Vec<_>>()), 5);
        assert!(check(&(0..500).map(|i| (i * i) % 64 * 4096).collect::<Vec<_>>()) < 420);
    }

    #[test]
    fn too_many_values_are_refused_before_allocation() {
        let mut out = Vec::new();
        assert!(decode_integers(&mut Reader::new(&[FLAT, 0]), usize::MAX, &mut out).is_err());
        assert_eq!(out.capacity(), 0);
    }
}
