//! Event segments: immutable files of a table's rows, in compressed columns with bounds and a term index.
//!
//! Rows are cut into blocks of [`BLOCK_ROWS`](super::BLOCK_ROWS); the values of a column in one block are a chunk, and the
//! chunks of a column are packed together into the same checksummed blocks that metric segments have. A column that no
//! row of a block has a value of costs nothing there. The layout is described byte by byte in `storage/FORMAT.md`.

mod chunk;
mod column;
mod dictionary;
mod distinct;
mod file;
mod fill;
mod find;
mod footer;
mod hex;
mod numbers;
mod open;
mod pack;
mod pick;
mod presence;
mod shapes;
mod templates;
mod terms;
mod text;
mod verify;
mod writer;
mod zone;

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

pub use open::EventSegment;
pub use verify::EventDamage;
pub use writer::EventSegmentWriter;

use super::{ColumnKey, TableId};
use crate::segment::Level;

/// What an event segment is to its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSegmentIdentity {
    /// The table whose rows it holds.
    pub table: TableId,
    /// Its number, which names its file.
    pub id: u64,
    /// Its place in the order of writes.
    pub sequence: u64,
    /// How often its rows were merged.
    pub merges: u8,
}

/// How an event segment is written.
#[derive(Debug, Clone)]
pub struct EventSegmentOptions {
    /// What the segment is to its database.
    pub identity: EventSegmentIdentity,
    /// How much work goes into compression.
    pub level: Level,
    /// The column whose lowest and highest values the summary tells.
    pub time: Option<ColumnKey>,
    /// What the footer keeps for whoever opens the segment, by [`EventSegment::state`]: bytes that it does not read.
    pub state: Vec<u8>,
}

/// What an event segment holds as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSegmentSummary {
    /// What the segment is to its database.
    pub identity: EventSegmentIdentity,
    /// How many rows.
    pub rows: u32,
    /// The lowest and the highest row id; empty without rows.
    pub row_ids: RangeInclusive<u64>,
    /// The lowest and the highest value of the time column, in its unit; none when no row has one.
    pub time: Option<(i64, i64)>,
    /// How many columns.
    pub columns: usize,
    /// The file's length in bytes.
    pub file_len: u64,
    /// The checksum over the footer: two files with the same one are the same.
    pub checksum: u32,
}
