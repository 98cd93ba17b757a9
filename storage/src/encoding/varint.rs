//! Integers of variable length: 7 bits a byte, low bits first; signed ones are folded (zigzag) first.

/// Appends an unsigned integer, 1 to 10 bytes.
#[inline]
pub fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer, 1 to 10 bytes; small magnitudes are short.
#[inline]
pub fn put_ivarint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, fold(value));
}

/// Folds signed integers so that small magnitudes become small unsigned ones: 0, -1, 1, -2 to 0, 1, 2, 3.
#[inline]
pub(crate) const fn fold(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`fold`].
#[inline]
pub(crate) const fn unfold(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// How many bytes [`put_uvarint`] appends.
#[inline]
pub(crate) const fn uvarint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Reader;

    proptest::proptest! {
        #[test]
        fn round_trip(value: i64, shift in 0u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            put_ivarint(&mut out, value);
            put_uvarint(&mut out, value as u64);
            let mut reader = Reader::new(&out);
            proptest::prop_assert_eq!(reader.ivarint().unwrap(), value);
            proptest::prop_assert_eq!(reader.rest().len(), uvarint_len(value as u64));
            proptest::prop_assert_eq!(reader.uvarint().unwrap(), value as u64);
            proptest::prop_assert!(reader.is_empty());
        }
    }

    #[test]
    fn extremes() {
        for value in [0, 1, -1, i64::MIN, i64::MAX] {
            assert_eq!(unfold(fold(value)), value);
        }
        assert_eq!(uvarint_len(u64::MAX), 10);
        assert_eq!(uvarint_len(0), 1);
        assert_eq!(uvarint_len(127), 1);
        assert_eq!(uvarint_len(128), 2);
    }
}
