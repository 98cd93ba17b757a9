//! Columns of timestamps: strictly rising, mostly in equal steps. The count and the bounds come first, so that they
//! are known without decoding the rest.

use super::{Reader, encode_integers, integer::decode_blocks, malformed, put_ivarint, put_uvarint};
use crate::{Result, TimeRange};

/// Most timestamps in one column.
const MAX_TIMESTAMPS: usize = 1 << 16;

/// The front of a timestamp column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnHead {
    /// How many timestamps there are; never 0.
    pub count: usize,
    /// The first and the last of them.
    pub range: TimeRange,
}

/// Appends a column with its head. The timestamps must be strictly rising, and at least one.
pub fn encode_timestamps(timestamps: &[i64], out: &mut Vec<u8>) {
    let (Some(&first), Some(&last)) = (timestamps.first(), timestamps.last()) else { return };
    put_uvarint(out, timestamps.len() as u64);
    put_ivarint(out, first);
    if timestamps.len() > 1 {
        put_uvarint(out, (last as u64).wrapping_sub(first as u64));
        let steps: Vec<i64> = timestamps.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        encode_integers(&steps, out);
    }
}

impl ColumnHead {
    /// Takes the head off a column.
    ///
    /// # Errors
    /// When the bytes are not such a head.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let count = reader.length(MAX_TIMESTAMPS)?;
        let first = reader.ivarint()?;
        let span = match count {
            0 => return Err(malformed("timestamp column", "empty")),
            1 => 0,
            _ => reader.uvarint()?,
        };
        let last = first.checked_add_unsigned(span).ok_or_else(|| malformed("timestamp column", "end of time"))?;
        Ok(Self { count, range: TimeRange::new(first, last) })
    }
}

/// Takes a column with its head and appends its timestamps, which are strictly rising, to `out`.
///
/// # Errors
/// When the bytes are not such a column.
pub fn decode_timestamps(reader: &mut Reader<'_>, out: &mut Vec<i64>) -> Result<ColumnHead> {
    let head = ColumnHead::read(reader)?;
    out.reserve(head.count);
    let mut at = head.range.start;
    out.push(at);
    let mut rising = true;
    decode_blocks(reader, head.count - 1, |steps| {
        out.extend(steps.iter().map(|step| {
            let next = at.wrapping_add(*step as i64);
            rising &= next > at;
            at = next;
            next
        }));
    })?;
    if !rising || at != head.range.end {
        return Err(malformed("timestamp column", "timestamps do not rise to the end they claim"));
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(timestamps: &[i64]) -> usize {
        let mut out = Vec::new();
        encode_timestamps(timestamps, &mut out);
        let mut reader = Reader::new(&out);
        let mut back = Vec::new();
        let head = decode_timestamps(&mut reader, &mut back).unwrap();
        assert!(reader.is_empty());
        assert_eq!(back, timestamps);
        assert_eq!(head.count, timestamps.len());
        assert_eq!(Some(&head.range.end), timestamps.last());
        out.len()
    }

    proptest! {
        #[test]
        fn round_trip(mut timestamps in prop::collection::vec(any::<i64>(), 1..400), shift in 0u32..50) {
            timestamps.iter_mut().for_each(|t| *t >>= shift);
            timestamps.sort_unstable();
            timestamps.dedup();
            check(&timestamps);
        }

        #[test]
        fn any_bytes_decode_to_rising_times_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut out = Vec::new();
            if decode_timestamps(&mut Reader::new(&bytes), &mut out).is_ok() {
                prop_assert!(out.is_sorted_by(|a, b| a < b));
            }
        }
    }

    #[test]
    fn usual_shapes_are_short() {
        assert!(check(&[1_700_000_000_000]) <= 8);
        assert!(check(&(0..500).map(|i| 1_700_000_000_000 + i * 15_000).collect::<Vec<_>>()) <= 16);
        assert!(check(&(0..500).map(|i| 1_700_000_000_000 + i * 15_000 + i * 7 % 4).collect::<Vec<_>>()) < 230);
        check(&[i64::MIN, 0, i64::MAX]);
        check(&[i64::MIN, i64::MAX]);
    }
}
