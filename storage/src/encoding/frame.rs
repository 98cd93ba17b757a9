//! One block of integers: a base, the distances to it packed in few bits, and the values that are too far away apart.
//!
//! The outliers cost their position and their distance each, so that one jump in a calm block does not widen all.

use super::{
    Reader,
    bitpack::{BLOCK, bit_width, pack, packed_len, unpack},
    malformed, put_ivarint,
    varint::{fold, uvarint_len},
};
use crate::Result;

/// Most outliers of one frame.
const MAX_OUTLIERS: usize = 40;
/// Set in the width byte when outliers follow.
const HAS_OUTLIERS: u8 = 0x80;

/// Where [`may_gain`] looks: so many cells of equal width cover a block's values.
const CELLS: usize = 16;

/// How one block is written: the smallest value that is packed, the width, and the bytes that all takes, nearly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    base: i64,
    width: u32,
    pub(crate) cost: usize,
}

/// Finds how to write 1 to [`BLOCK`] values in the fewest bytes.
pub(crate) fn plan(values: &[i64]) -> Plan {
    let (mut min, mut max) = (values[0], values[0]);
    for value in values {
        min = min.min(*value);
        max = max.max(*value);
    }
    let width = bit_width((max as u64).wrapping_sub(min as u64));
    if may_gain(values, min, width) {
        return plan_outliers(values);
    }
    Plan { base: min, width, cost: 1 + uvarint_len(fold(min)) + packed_len(values.len(), width) }
}

/// Whether leaving out some values may save more than they cost; most blocks can be seen to have none of that kind,
/// without sorting them. A width less saves 16 bytes in a full block, and an outlier takes 2 or more, so 12 or more
/// outliers do not pay for one width less, even where they shorten the base by all that it can be.
fn may_gain(values: &[i64], min: i64, width: u32) -> bool {
    if width == 0 || values.len() < BLOCK {
        return width > 0;
    }
    let shift = width.saturating_sub(CELLS.ilog2());
    let mut cells = [0u8; CELLS];
    for value in values {
        let cell = (*value as u64).wrapping_sub(min as u64) >> shift;
        cells[cell as usize % CELLS] += 1;
    }
    // How many values are before each cell.
    let mut before = [0; CELLS + 1];
    for (at, cell) in cells.into_iter().enumerate() {
        before[at + 1] = before[at] + usize::from(cell);
    }
    // A window of half the width lies in half the cells, and in one more where a cell is more than one number.
    let cells_of = |part: u32| ((1 << width.min(CELLS.ilog2())) / part as usize).max(1) + usize::from(shift > 0);
    let holds = |cells: usize, at_least: usize| before.iter().zip(&before[cells..]).any(|(a, z)| z - a >= at_least);
    holds(cells_of(2), BLOCK - 12) || holds(cells_of(4), BLOCK - MAX_OUTLIERS)
}

/// Finds the cheapest window of values to pack, by leaving out the value furthest from the middle again and again.
fn plan_outliers(values: &[i64]) -> Plan {
    let mut room = [0i64; BLOCK];
    let sorted = &mut room[..values.len()];
    sorted.copy_from_slice(values);
    sorted.sort_unstable();
    let (mut low, mut high) = (0, sorted.len() - 1);
    let middle = sorted[sorted.len() / 2];
    let distance = |from: i64, to: i64| (to as u64).wrapping_sub(from as u64);
    let mut width = bit_width(distance(sorted[low], sorted[high]));
    let cost = 1 + uvarint_len(fold(sorted[low])) + packed_len(values.len(), width);
    let mut best = Plan { base: sorted[low], width, cost };
    let mut outlier_cost = 1;
    while width > 0 && low + (sorted.len() - 1 - high) < MAX_OUTLIERS && low < high {
        let outlier = if distance(sorted[low], middle) > distance(middle, sorted[high]) {
            low += 1;
            sorted[low - 1]
        } else {
            high -= 1;
            sorted[high + 1]
        };
        outlier_cost += 1 + uvarint_len(fold(outlier.wrapping_sub(middle)));
        let narrower = bit_width(distance(sorted[low], sorted[high]));
        if narrower < width {
            width = narrower;
            let cost = 1 + uvarint_len(fold(sorted[low])) + packed_len(values.len(), width) + outlier_cost;
            if cost < best.cost {
                best = Plan { base: sorted[low], width, cost };
            }
        }
    }
    best
}

/// Appends 1 to [`BLOCK`] values as they are planned.
pub(crate) fn encode_frame(values: &[i64], plan: Plan, out: &mut Vec<u8>) {
    let Plan { base, width, .. } = plan;
    let mut packed = [0u64; BLOCK];
    for (to, value) in packed.iter_mut().zip(values) {
        *to = (*value as u64).wrapping_sub(base as u64);
    }
    // Fewer than the plan left out: some of those just above its window fit the width all the same.
    let outliers = packed[..values.len()].iter().filter(|distance| bit_width(**distance) > width).count();
    out.push(width as u8 | if outliers > 0 { HAS_OUTLIERS } else { 0 });
    put_ivarint(out, base);
    if outliers > 0 {
        out.push(outliers as u8);
        for (i, distance) in packed.iter_mut().enumerate().take(values.len()) {
            if bit_width(*distance) > width {
                out.push(i as u8);
                put_ivarint(out, *distance as i64);
                *distance = 0;
            }
        }
    }
    pack(&packed[..values.len()], width, out);
}

/// Fills `out` (1 to [`BLOCK`] values).
#[inline]
pub(crate) fn decode_frame(reader: &mut Reader<'_>, out: &mut [u64]) -> Result<()> {
    let head = reader.u8()?;
    let width = u32::from(head & !HAS_OUTLIERS);
    if width > 64 {
        return Err(malformed("frame", format!("width of {width} bits")));
    }
    let base = reader.ivarint()? as u64;
    let mut outliers = *reader;
    if head & HAS_OUTLIERS != 0 {
        for _ in 0..reader.u8()? {
            reader.u8()?;
            reader.ivarint()?;
        }
    }
    unpack(reader.bytes(packed_len(out.len(), width))?, width, out);
    for value in &mut *out {
        *value = value.wrapping_add(base);
    }
    if head & HAS_OUTLIERS != 0 {
        for _ in 0..outliers.u8()? {
            let at = usize::from(outliers.u8()?);
            let distance = outliers.ivarint()? as u64;
            match out.get_mut(at) {
                Some(value) => *value = base.wrapping_add(distance),
                None => return Err(malformed("frame", format!("outlier at {at} of {}", out.len()))),
            }
        }
    }
    Ok(())
}

/// Passes over a frame of `len` values.
pub(crate) fn skip_frame(reader: &mut Reader<'_>, len: usize) -> Result<()> {
    let head = reader.u8()?;
    let width = u32::from(head & !HAS_OUTLIERS);
    reader.ivarint()?;
    if head & HAS_OUTLIERS != 0 {
        for _ in 0..reader.u8()? {
            reader.u8()?;
            reader.ivarint()?;
        }
    }
    reader.bytes(packed_len(len, width))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Small numbers with some jumps: what the windows of the plan are for.
        #[test]
        fn round_trip_with_jumps(
            mut values in prop::collection::vec(0i64..40, 1..=BLOCK),
            jumps in prop::collection::vec((any::<prop::sample::Index>(), -5000i64..5000), 0..50),
        ) {
            for (at, jump) in jumps {
                let at = at.index(values.len());
                values[at] = jump;
            }
            let mut out = Vec::new();
            encode_frame(&values, plan(&values), &mut out);
            let mut back = vec![0; values.len()];
            let mut reader = Reader::new(&out);
            decode_frame(&mut reader, &mut back).unwrap();
            prop_assert!(reader.is_empty());
            prop_assert_eq!(back.iter().map(|v| *v as i64).collect::<Vec<_>>(), values);
        }

        #[test]
        fn round_trip(mut values in prop::collection::vec(any::<i64>(), 1..=BLOCK), shift in 0u32..64, jumps: u8) {
            for (i, value) in values.iter_mut().enumerate() {
                if i % (usize::from(jumps) + 1) != 0 {
                    *value >>= shift;
                }
            }
            let mut out = Vec::new();
            encode_frame(&values, plan(&values), &mut out);
            let mut back = vec![0; values.len()];
            let mut reader = Reader::new(&out);
            decode_frame(&mut reader, &mut back).unwrap();
            prop_assert!(reader.is_empty());
            prop_assert_eq!(back.iter().map(|v| *v as i64).collect::<Vec<_>>(), values);
        }
    }

    proptest! {
        /// What is said without sorting is what sorting finds.
        #[test]
        fn no_gain_is_missed(
            mut values in prop::collection::vec(any::<i64>(), BLOCK),
            calm in 0u32..64,
            // Outliers of a bit or two more are those whose gain is small.
            wider in prop_oneof![3 => 1u32..4, 1 => 0u32..64],
            outliers in prop_oneof![3 => 1usize..14, 1 => 0usize..60],
            shift in prop_oneof![Just(0i64), any::<i64>()],
        ) {
            let wild = calm.saturating_sub(wider);
            for (i, value) in values.iter_mut().enumerate() {
                *value = (*value >> if i < outliers { wild } else { calm }).wrapping_add(shift >> (calm / 2));
            }
            prop_assert_eq!(plan(&values), plan_outliers(&values));
        }
    }

    #[test]
    fn values_just_above_the_window_are_no_outliers() {
        // Without the last one the width is 5 bits from 100 on, which 131 still fits.
        let mut values: Vec<i64> = (0..BLOCK as i64).map(|i| 100 + i % 31).collect();
        values[7] = 131;
        values[9] = 1 << 50;
        let mut out = Vec::new();
        encode_frame(&values, plan(&values), &mut out);
        let mut back = vec![0; values.len()];
        decode_frame(&mut Reader::new(&out), &mut back).unwrap();
        assert_eq!(back.iter().map(|v| *v as i64).collect::<Vec<_>>(), values);
    }

    #[test]
    fn one_jump_does_not_widen_the_block() {
        let mut values = vec![1i64; BLOCK];
        values[5] = 1 << 40;
        values[6] = -(1 << 40);
        let mut out = Vec::new();
        encode_frame(&values, plan(&values), &mut out);
        assert!(out.len() < 24, "{}", out.len());
    }
}
