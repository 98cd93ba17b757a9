//! Columns of signed integers: divided by what all distances to the first value have in common, as values, differences
//! or differences of differences, whichever takes the fewest bytes.

use super::{
    MAX_COLUMN_VALUES, Reader,
    bitpack::BLOCK,
    frame::{decode_frame, encode_frame, frame_cost},
    malformed, put_ivarint, put_uvarint,
};
use crate::Result;

/// Bits 0 and 1 of the head: how often differences were taken.
const ORDER: u8 = 0b0011;
/// Set when a divisor follows.
const DIVIDED: u8 = 0b0100;
/// Set when all that remains is zero, so that no frame follows.
const FLAT: u8 = 0b1000;

/// Appends a column of any length.
pub fn encode_integers(values: &[i64], out: &mut Vec<u8>) {
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
    let steps = differences(0, &levels);
    let bends = differences(steps[0], &steps[1..]);
    if bends.iter().all(|v| *v == 0) {
        start(out, head | FLAT | 2);
        return put_ivarint(out, steps[0]);
    }
    let of_steps = cost(&steps, usize::MAX);
    let of_levels = cost(&levels, of_steps);
    let (order, least) = if of_steps <= of_levels { (1, of_steps) } else { (0, of_levels) };
    let order = if least <= cost(&bends, least) + 2 { order } else { 2 };
    start(out, head | order);
    if order == 2 {
        put_ivarint(out, steps[0]);
    }
    let residuals = [&levels, &steps, &bends][usize::from(order)];
    for frame in residuals.chunks(BLOCK) {
        encode_frame(frame, out);
    }
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

/// The bytes of all frames; not counted on when they are above `limit`.
fn cost(residuals: &[i64], limit: usize) -> usize {
    let mut sum = 0;
    for frame in residuals.chunks(BLOCK) {
        sum += frame_cost(frame);
        if sum > limit {
            break;
        }
    }
    sum
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
        fn round_trip_of_extremes(values in prop::collection::vec(prop::sample::select(vec![i64::MIN, -1, 0, 1, i64::MAX]), 0..300)) {
            check(&values);
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..600) {
            let _ = decode_integers(&mut Reader::new(&bytes), count, &mut Vec::new());
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
