//! Live segments of tables: opening, checking on every read, setting aside what is damaged.

use std::{
    ops::RangeInclusive,
    sync::{Arc, Weak},
};

use arrow_array::{ArrayRef, UInt64Array};
use roaring::RoaringBitmap;

use crate::{
    Result, StorageError,
    catalog::{SegmentKind, SegmentRecord},
    engine::Inner,
    model::time::TimeRange,
    table::{
        ColumnKey, ColumnZones, Needle, Part, TableDefinition, TableId,
        segment::{EventSegment, EventSegmentSummary},
        time::range_ms,
    },
};

/// A segment of a table that queries read.
#[derive(Debug)]
pub(in crate::engine) struct LiveEvents {
    /// What the catalog says of it.
    pub(in crate::engine) record: SegmentRecord,
    pub(in crate::engine) table: TableId,
    time: Option<ColumnKey>,
    /// Its open file.
    pub(in crate::engine) segment: EventSegment,
    /// To be told of damage; weak, since the engine holds its segments.
    engine: Weak<Inner>,
}

/// What the catalog keeps of a written segment of a table.
pub(in crate::engine) fn events_record(summary: &EventSegmentSummary, definition: &TableDefinition) -> SegmentRecord {
    SegmentRecord {
        id: summary.identity.id,
        sequence: summary.identity.sequence,
        partition: TimeRange::ALL,
        range: range_ms(definition.time_key().map(|key| key.kind), summary.time),
        series: 0,
        samples: u64::from(summary.rows),
        file_len: summary.file_len,
        kind: SegmentKind::Events(summary.identity.table),
        level: summary.identity.merges,
    }
}

impl LiveEvents {
    /// Passes a result on; when it tells of damage, the segment is set aside on the way.
    fn checked<T>(&self, result: Result<T>) -> Result<T> {
        if let (Err(error @ StorageError::Corrupt { .. }), Some(engine)) = (&result, self.engine.upgrade()) {
            engine.set_aside_events(self, &error.to_string());
        }
        result
    }

    /// The time column.
    pub(super) fn time_key(&self) -> Option<ColumnKey> {
        self.time.clone()
    }

    /// Its columns; damage is told, and the segment not set aside.
    pub(super) fn segment_columns(&self) -> Result<Arc<[ColumnKey]>> {
        self.segment.columns()
    }

    /// The ordinals of all rows whose key has this hash, and maybe of some more.
    pub(super) fn find_key_hash(&self, hash: u64) -> Result<RoaringBitmap> {
        let found = self.checked(self.segment.find_key(hash))?;
        found.ok_or_else(|| StorageError::Invalid(format!("segment {} has no index of keys", self.record.id)))
    }
}

impl Part for LiveEvents {
    fn len(&self) -> usize {
        self.segment.len()
    }

    fn columns(&self) -> Result<Arc<[ColumnKey]>> {
        self.checked(self.segment.columns())
    }

    fn zones(&self, key: &ColumnKey) -> Result<Arc<ColumnZones>> {
        self.checked(self.segment.zones(key))
    }

    fn read(&self, key: &ColumnKey, block: usize) -> Result<ArrayRef> {
        self.checked(self.segment.read(key, block))
    }

    fn read_rows(&self, key: &ColumnKey, block: usize, rows: &[u32]) -> Result<ArrayRef> {
        self.checked(self.segment.read_rows(key, block, rows))
    }

    fn row_ids(&self, block: usize) -> Result<UInt64Array> {
        self.checked(self.segment.row_ids(block))
    }

    fn row_ids_at(&self, block: usize, rows: &[u32]) -> Result<UInt64Array> {
        self.checked(self.segment.row_ids_at(block, rows))
    }

    fn block_row_ids(&self, block: usize) -> Result<RangeInclusive<u64>> {
        self.checked(self.segment.block_row_ids(block))
    }

    fn row_id_bounds(&self) -> RangeInclusive<u64> {
        self.segment.row_id_bounds()
    }

    fn find(&self, key: &ColumnKey, needle: &Needle<'_>) -> Result<Option<RoaringBitmap>> {
        self.checked(self.segment.find(key, needle))
    }

    fn find_key(&self, hash: u64) -> Result<Option<RoaringBitmap>> {
        self.checked(self.segment.find_key(hash))
    }
}

impl Inner {
    /// Opens the file of a table's segment and checks that it is the one that the catalog means.
    pub(in crate::engine) fn open_events(
        self: &Arc<Self>,
        record: &SegmentRecord,
        definition: &TableDefinition,
    ) -> Result<Arc<LiveEvents>> {
        let path = self.layout.segment(record.id);
        let segment = EventSegment::open(&self.options.vfs, &path, Arc::clone(&self.cache))?;
        if events_record(segment.summary(), definition) != *record {
            let reason = "the file is not the one that the catalog names".to_owned();
            return Err(StorageError::Corrupt { path, offset: 0, reason });
        }
        let (record, table) = (record.clone(), segment.summary().identity.table);
        let time = definition.time_key();
        Ok(Arc::new(LiveEvents { record, table, time, segment, engine: Arc::downgrade(self) }))
    }
}
