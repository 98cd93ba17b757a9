//! Metric segments: immutable files of series, sorted by labels, with their samples in compressed columns.
//!
//! A file is a sequence of blocks, each with its own checksum. Most blocks hold numbered records (chunks, timestamp
//! columns, series, label values, ...); a sparse index for each kind of record says which block has which numbers. The
//! layout is described byte by byte in `storage/FORMAT.md`.

pub(crate) mod block;
pub(crate) mod cache;
mod chunk;
mod index;
mod labels;
mod open;
mod postings;
mod read;
mod records;
mod scan;
mod select;
mod table;
mod times;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use cache::{BlockCache, CacheStats};
pub use open::Segment;
pub use read::ReadScratch;
pub use scan::SegmentScan;
pub use verify::Damage;
pub use writer::SegmentWriter;

use crate::TimeRange;

/// How much work a writer puts into small files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// A flush of the memtable: fast, soon to be merged.
    #[default]
    Flush,
    /// A merge: written once and read for long.
    Merge,
}

/// What a segment is to its database. It stands in the catalog and in the file itself: so files that changed places are
/// noticed, and a lost catalog can be built anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentIdentity {
    /// Its number, which names its file.
    pub id: u64,
    /// Its place in the order of writes.
    pub sequence: u64,
    /// The partition of time that it belongs to.
    pub partition: TimeRange,
    /// How often its samples were merged.
    pub merges: u8,
}

impl Default for SegmentIdentity {
    fn default() -> Self {
        Self { id: 0, sequence: 0, partition: TimeRange::ALL, merges: 0 }
    }
}

/// How a segment is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriterOptions {
    /// How much work goes into compression.
    pub level: Level,
    /// What the segment is to its database.
    pub identity: SegmentIdentity,
}

/// What a segment holds as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSummary {
    /// What the segment is to its database.
    pub identity: SegmentIdentity,
    /// How many series.
    pub series: u32,
    /// How many float samples.
    pub float_samples: u64,
    /// How many histogram samples.
    pub histogram_samples: u64,
    /// How many exemplars.
    pub exemplars: u64,
    /// The first and last sample; empty when there is none.
    pub range: TimeRange,
    /// The first and last exemplar; empty when there is none.
    pub exemplar_range: TimeRange,
    /// The file's length in bytes.
    pub file_len: u64,
    /// The checksum over the footer, which holds where every block is: two files with the same one are the same.
    pub checksum: u32,
}

impl SegmentSummary {
    /// How many samples of either kind.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.float_samples + self.histogram_samples
    }
}

/// The range that holds nothing and is the neutral element of [`TimeRange::union`].
const NO_TIME: TimeRange = TimeRange { start: i64::MAX, end: i64::MIN };
