//! What the catalog keeps, and how an edit of it is spelled.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::{
    model::{
        matcher::{MatchOp, Matcher, MatcherError},
        metadata::MetricMetadata,
        time::TimeRange,
    },
    table::{TableId, wire::TableState},
};

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// Samples of metric series.
    Metrics,
    /// Rows of an event table. Its partition is all of time, and its range that of the time column; empty when the table
    /// has none.
    Events(TableId),
}

/// A live segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Its number, which names its file.
    pub id: u64,
    /// Its place in the order of writes: where two segments hold the same sample, the higher one wins.
    pub sequence: u64,
    /// The partition of time that it belongs to.
    pub partition: TimeRange,
    /// The timestamps that it really holds.
    pub range: TimeRange,
    /// How many series it holds; 0 when it holds rows of a table.
    pub series: u64,
    /// How many samples or rows it holds.
    pub samples: u64,
    /// Length of its file in bytes.
    pub file_len: u64,
    /// What it holds.
    pub kind: SegmentKind,
    /// How often its samples were merged.
    pub level: u8,
}

/// One condition of a deletion, as it is kept: a regular expression is not compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TombstoneMatcher {
    /// The label.
    pub name: String,
    /// How it compares.
    pub op: MatchOp,
    /// What with.
    pub value: String,
}

impl TombstoneMatcher {
    /// The condition, ready to match.
    ///
    /// # Errors
    /// When its regular expression does not compile.
    pub fn matcher(&self) -> Result<Matcher, MatcherError> {
        Matcher::new(self.name.as_str(), self.op, self.value.as_str())
    }
}

/// A deletion that is not yet carried out in every segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TombstoneRecord {
    /// Its number.
    pub id: u64,
    /// Series that fulfil all of these lose samples.
    pub matchers: Vec<TombstoneMatcher>,
    /// Samples inside this range are deleted.
    pub range: TimeRange,
    /// Only what was written before this sequence is deleted; later samples are new.
    pub sequence_bound: u64,
}

/// A file that was set aside because it is damaged. Its name is its key: one entry a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRecord {
    /// Its name inside the quarantine directory.
    pub file: String,
    /// What it was, such as "segment 17" or "log 3, bytes 512 to 1024".
    pub what: String,
    /// The time range that is lost, if it is known.
    pub range: Option<TimeRange>,
    /// What was found.
    pub reason: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The table whose rows were in it; `None` when it held samples, or all sorts of things.
    pub table: Option<String>,
}

/// Deleted rows of a table that segments still hold: those of one chunk of row ids.
#[derive(Debug, Clone, PartialEq)]
pub struct DeletedChunk {
    /// The table.
    pub table: TableId,
    /// The row ids without their lower [`CHUNK_BITS`](Self::CHUNK_BITS).
    pub chunk: u64,
    /// The lower bits of the row ids.
    pub ids: RoaringBitmap,
}

impl DeletedChunk {
    /// How many bits of a row id are its place in a chunk.
    pub const CHUNK_BITS: u32 = 20;
}

/// The catalog's single numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) format_version: u32,
    /// Rises by one with every commit.
    pub(crate) commits: u64,
    pub(crate) wal_floor: u64,
    pub(crate) wal_head: u64,
    pub(crate) next_segment_id: u64,
    pub(crate) next_sequence: u64,
}

/// Everything the catalog says at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogState {
    /// The live segments, by id.
    pub segments: Vec<SegmentRecord>,
    /// The deletions, by id.
    pub tombstones: Vec<TombstoneRecord>,
    /// Metadata by metric name.
    pub metadata: BTreeMap<String, MetricMetadata>,
    /// The oldest generation of the log that is still needed; 0 in a new catalog.
    pub wal_floor: u64,
    /// The newest generation of the log that was surely made; 0 in a new catalog. Those from the floor up to it must
    /// be there.
    pub wal_head: u64,
    /// The id that the next segment gets; 1 in a new catalog.
    pub next_segment_id: u64,
    /// The next sequence; 1 in a new catalog.
    pub next_sequence: u64,
    /// Files that were set aside, by name.
    pub quarantined: Vec<QuarantineRecord>,
    /// How many commits led here.
    pub commits: u64,
    /// All tables.
    pub tables: Vec<TableState>,
    /// Deleted rows that segments still hold.
    pub deleted: Vec<DeletedChunk>,
    /// What is kept by space and name.
    pub entries: BTreeMap<(String, String), Vec<u8>>,
    /// The highest number that a table ever had.
    pub last_table: u32,
}

/// Space and name of an entry, and its body; without one it is taken out.
pub type EntryEdit = ((String, String), Option<Vec<u8>>);

/// Changes that become visible and durable together, or not at all. Removals come before additions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CatalogEdit {
    /// New segments; their ids must be free.
    pub add_segments: Vec<SegmentRecord>,
    /// Ids of segments that must be there.
    pub remove_segments: Vec<u64>,
    /// New deletions; their ids must be free.
    pub add_tombstones: Vec<TombstoneRecord>,
    /// Ids of deletions that must be there.
    pub remove_tombstones: Vec<u64>,
    /// Metadata to set; what stands under the same name is replaced.
    pub metadata: Vec<(String, MetricMetadata)>,
    /// Metric names whose metadata is dropped, if there is any.
    pub remove_metadata: Vec<String>,
    /// The new oldest generation of the log; it was made, so the newest is not below it.
    pub wal_floor: Option<u64>,
    /// The newest generation of the log; it never falls.
    pub wal_head: Option<u64>,
    /// The new next segment id.
    pub next_segment_id: Option<u64>,
    /// The new next sequence.
    pub next_sequence: Option<u64>,
    /// Files that were set aside; an entry of the same file is replaced.
    pub quarantine: Vec<QuarantineRecord>,
    /// Names of files that are no longer in quarantine.
    pub release: Vec<String>,
    /// Tables; what stands under the same number is replaced.
    pub tables: Vec<TableState>,
    /// Numbers of tables that are dropped, if they are there, with their chunks of deleted rows.
    pub remove_tables: Vec<TableId>,
    /// Deleted rows; a chunk of the same table and number is replaced, and taken out when it is empty.
    pub deleted: Vec<DeletedChunk>,
    /// Entries that are put or taken out.
    pub entries: Vec<EntryEdit>,
    /// The highest number that a table ever had.
    pub last_table: Option<u32>,
}
