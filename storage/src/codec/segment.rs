//! Segment footers. Integers have fixed lengths, low byte first, fields follow each other in the order of their
//! declaration, and arrays have no length: the bytes can be read without bincode, and `storage/FORMAT.md` lists them.

use bincode::{Decode, Encode};

use crate::{Result, StorageError};

/// The version byte of the footer that is written now.
const SEGMENT_FOOTER_VERSION: u8 = 1;

/// How many tables a segment has: times, chunks, exemplars, series, values, postings, names, in this order.
pub(crate) const SEGMENT_TABLES: usize = 7;

/// What a segment's footer says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SegmentFooter {
    pub(crate) series: u32,
    pub(crate) float_samples: u64,
    pub(crate) histogram_samples: u64,
    pub(crate) exemplars: u64,
    /// First and last sample; the first is above the last when there is none.
    pub(crate) range: (i64, i64),
    /// First and last exemplar; the first is above the last when there is none.
    pub(crate) exemplar_range: (i64, i64),
    /// The segment's number, which names its file.
    pub(crate) id: u64,
    /// Its place in the order of writes.
    pub(crate) sequence: u64,
    /// First and last millisecond of its partition.
    pub(crate) partition: (i64, i64),
    /// How often its samples were merged.
    pub(crate) merges: u8,
    /// Offset and length of each table's index block.
    pub(crate) indexes: [(u64, u32); SEGMENT_TABLES],
}

/// The bytes of a footer.
pub(crate) fn encode_segment_footer(footer: &SegmentFooter) -> Vec<u8> {
    let mut bytes = vec![SEGMENT_FOOTER_VERSION];
    let config = bincode::config::standard().with_fixed_int_encoding();
    bincode::encode_into_std_write(footer, &mut bytes, config).expect("a Vec takes every byte");
    bytes
}

/// The footer in these bytes.
pub(crate) fn decode_segment_footer(bytes: &[u8]) -> Result<SegmentFooter> {
    let malformed = |reason: String| StorageError::Malformed { what: "segment footer", reason };
    let config = bincode::config::standard().with_fixed_int_encoding().with_limit::<4096>();
    match bytes.split_first() {
        Some((&SEGMENT_FOOTER_VERSION, rest)) => match bincode::decode_from_slice(rest, config) {
            Ok((footer, used)) if used == rest.len() => Ok(footer),
            Ok(_) => Err(malformed("bytes too many".to_owned())),
            Err(e) => Err(malformed(e.to_string())),
        },
        Some((version, _)) => Err(malformed(format!("unknown version {version}"))),
        None => Err(malformed("empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are a format: this test breaks when a change of the types would change files.
    #[test]
    fn the_footer_has_its_documented_bytes() {
        let footer = SegmentFooter {
            series: 0x0102_0304,
            float_samples: 5,
            histogram_samples: 6,
            exemplars: 7,
            range: (-1, 8),
            exemplar_range: (9, 10),
            id: 13,
            sequence: 14,
            partition: (15, 16),
            merges: 17,
            indexes: [(11, 12); SEGMENT_TABLES],
        };
        let bytes = encode_segment_footer(&footer);
        let mut expected = vec![1, 4, 3, 2, 1];
        for number in [5u64, 6, 7, u64::MAX, 8, 9, 10, 13, 14, 15, 16] {
            expected.extend_from_slice(&number.to_le_bytes());
        }
        expected.push(17);
        for _ in 0..SEGMENT_TABLES {
            expected.extend_from_slice(&11u64.to_le_bytes());
            expected.extend_from_slice(&12u32.to_le_bytes());
        }
        assert_eq!(bytes, expected);
        assert_eq!(decode_segment_footer(&bytes).unwrap(), footer);
        for len in 0..bytes.len() {
            assert!(decode_segment_footer(&bytes[..len]).is_err());
        }
        assert!(decode_segment_footer(&[&bytes[..], &[0]].concat()).is_err());
    }
}
