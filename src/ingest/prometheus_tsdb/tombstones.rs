//! A block's tombstones: time ranges of series that were deleted but are still in the chunks.

use std::collections::HashMap;

use chronolith_storage::{SampleBuffer, TimeRange};

use super::cursor::Cursor;

const MAGIC: u32 = 0x0130_BA30;

/// Deleted time ranges by series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tombstones(HashMap<u64, Vec<TimeRange>>);

impl Tombstones {
    /// Reads a whole tombstones file.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Some((body, crc)) = bytes.split_last_chunk::<4>() else {
            return Err("the file is too short".to_owned());
        };
        let mut cursor = Cursor(body);
        if cursor.be32() != Some(MAGIC) {
            return Err("this is no tombstones file: it does not start by the magic number".to_owned());
        }
        if cursor.bytes(1) != Some(&[1]) {
            return Err("the version of the tombstones is not known, only 1 is".to_owned());
        }
        if crc32c::crc32c(cursor.0) != u32::from_be_bytes(*crc) {
            return Err("the tombstones do not fit their checksum".to_owned());
        }
        let mut ranges: HashMap<u64, Vec<TimeRange>> = HashMap::new();
        while !cursor.is_empty() {
            let stone = cursor.uvarint().zip(cursor.varint()).zip(cursor.varint());
            let ((series, start), end) = stone.ok_or("a tombstone is cut off")?;
            ranges.entry(series).or_default().push(TimeRange::new(start, end));
        }
        Ok(Self(ranges))
    }

    /// Whether nothing was deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the deleted samples of a series out of a buffer.
    pub fn apply(&self, series: u64, samples: &mut SampleBuffer) {
        let Some(ranges) = self.0.get(&series) else { return };
        let kept = |t: i64| !ranges.iter().any(|r| r.contains(t));
        let mut keep = samples.timestamps.iter().map(|t| kept(*t));
        samples.values.retain(|_| keep.next().unwrap_or(true));
        samples.timestamps.retain(|t| kept(*t));
        samples.histograms.retain(|h| kept(h.timestamp));
        // Chunks that are read carry no start timestamps, so `start_timestamps` is empty.
    }
}
