//! What is live at a moment: memtables, segments, tombstones. Changed as a whole, so that a query sees one moment.

use std::sync::Arc;

use crate::{
    catalog::{SegmentRecord, TombstoneRecord},
    memtable::Memtable,
    segment::Segment,
};

/// A segment that queries read.
#[derive(Debug)]
pub(crate) struct LiveSegment {
    /// What the catalog says of it.
    pub(crate) record: SegmentRecord,
    /// Its open file.
    pub(crate) segment: Segment,
}

/// All that is live.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// Takes new samples.
    pub(crate) active: Arc<Memtable>,
    /// Being written to segments; takes no more samples.
    pub(crate) flushing: Option<Arc<Memtable>>,
    /// In the order of their sequence: of two samples at one timestamp that of the later segment counts.
    pub(crate) segments: Arc<Vec<Arc<LiveSegment>>>,
    /// Deletions that some segment still holds samples of.
    pub(crate) tombstones: Arc<Vec<Arc<LiveTombstone>>>,
}

/// A deletion, ready to be matched.
#[derive(Debug)]
pub(crate) struct LiveTombstone {
    /// What the catalog says of it.
    pub(crate) record: TombstoneRecord,
    /// Its matchers, compiled.
    pub(crate) matchers: Vec<crate::Matcher>,
}

impl State {
    /// The segments after taking some out and putting others in, in the order of their sequence.
    pub(crate) fn replace_segments(&mut self, remove: &[u64], add: Vec<Arc<LiveSegment>>) {
        let mut segments: Vec<_> =
            self.segments.iter().filter(|s| !remove.contains(&s.record.id)).cloned().chain(add).collect();
        segments.sort_by_key(|s| (s.record.sequence, s.record.id));
        self.segments = Arc::new(segments);
    }
}
