//! Retention of tables: by the time column's values. Whole segments go, and a segment most of whose time is over is
//! rewritten.

use std::sync::{Arc, atomic::Ordering};

use roaring::RoaringTreemap;

use super::{Table, events::LiveEvents, held::row_ids, seal::changed_chunks};
use crate::{
    Result,
    catalog::CatalogEdit,
    engine::{Inner, flush::exclusive},
    memtable::{read_lock, write_lock},
    table::{Entries, Kind, Part, TableId, hold::held_above},
};

/// What is to be done with one segment.
enum Due {
    Drop(Arc<LiveEvents>),
    /// Rewritten without rows before a time in the column's unit.
    Rewrite(Arc<LiveEvents>, i64),
}

impl Inner {
    /// Drops rows that are older than their table keeps. The caller holds the lock of merges, and has seen to it that the
    /// clock is to be believed.
    ///
    /// "Older" is measured from the table's newest row or the clock, whichever is earlier, as for samples.
    ///
    /// Segments with rows that a hold (`table/hold.rs`) keeps stay as they are.
    pub(in crate::engine) fn enforce_table_retention(self: &Arc<Self>) -> Result<()> {
        let now = self.options.clock.now_ms();
        let due: Vec<Due> = {
            let tables = read_lock(&self.tables);
            tables.iter().flat_map(|(_, table)| table.due(now, tables.entries())).collect()
        };
        for due in due {
            match due {
                Due::Rewrite(live, keep_from) => self.rewrite_from(&live, keep_from)?,
                Due::Drop(live) => self.drop_timed(&live)?,
            }
        }
        Ok(())
    }

    /// Drops the rows of a segment that have a time.
    pub(in crate::engine) fn drop_timed(self: &Arc<Self>, live: &Arc<LiveEvents>) -> Result<()> {
        // Rows without a time are kept for good: they are in no range, and come first.
        match live.without_time()? {
            0 => self.drop_events(live),
            _ => self.rewrite_from(live, i64::MAX),
        }
    }

    /// The segments of all tables whose rows have times.
    pub(in crate::engine) fn timed_events(&self) -> Vec<Arc<LiveEvents>> {
        let tables = read_lock(&self.tables);
        tables.segments().filter(|live| !live.record.range.is_empty()).map(Arc::clone).collect()
    }

    /// Takes a segment with all rows out of its table.
    pub(in crate::engine) fn drop_events(&self, live: &LiveEvents) -> Result<()> {
        let rows = row_ids(live)?;
        let _one_at_a_time = exclusive(&self.persisting);
        let (id, segment) = (live.table, live.record.id);
        let mut edit = CatalogEdit { remove_segments: vec![segment], ..CatalogEdit::default() };
        let saved = {
            let tables = read_lock(&self.tables);
            // Dropped or set aside meanwhile: then there is nothing to do.
            let Some(table) = tables.table(id).filter(|table| table.has_all(&[segment])) else { return Ok(()) };
            let saved = &*table.saved_deleted - &rows;
            edit.deleted = changed_chunks(id, &table.saved_deleted, &saved);
            saved
        };
        self.edit_catalog(edit)?;
        self.forget_segment(id, segment, &rows, saved);
        self.discard_files(std::slice::from_ref(&live.record));
        self.counters.segments_dropped.fetch_add(1, Ordering::Relaxed);
        tracing::info!(table = id.0, segment, "dropped by retention");
        Ok(())
    }

    /// Makes it so in memory that a segment is gone.
    fn forget_segment(&self, id: TableId, segment: u64, rows: &RoaringTreemap, saved: RoaringTreemap) {
        let _nobody_commits = exclusive(&self.reshaping);
        let mut tables = write_lock(&self.tables);
        tables.clock += 1;
        let clock = tables.clock;
        match tables.all.get_mut(&id) {
            Some(table) => {
                table.replace_segments(&[segment], Vec::new());
                table.forget(rows);
                table.saved_deleted = Arc::new(saved);
                table.reshaped_at = clock;
            }
            None => tables.dropped.entry(id).or_default().retain(|record| record.id != segment),
        }
    }
}

impl LiveEvents {
    /// How many rows have no time; they come first.
    fn without_time(&self) -> Result<usize> {
        let Some(key) = self.time_key() else { return Ok(0) };
        if self.is_empty() { Ok(0) } else { Ok(self.zones(&key)?.nulls.values()[0] as usize) }
    }
}

impl Table {
    fn due(&self, now: i64, entries: &Entries) -> Vec<Due> {
        let (Some(keep), Some(time)) = (self.definition.retention_ms, self.definition.time_key()) else {
            return Vec::new();
        };
        let timed = || self.segments.iter().filter(|live| !live.record.range.is_empty());
        let newest = timed().map(|live| live.record.range.end).max().unwrap_or(i64::MIN);
        let oldest_kept = newest.min(now).saturating_sub(keep);
        let held_above = held_above(entries, self.definition.id);
        let due = timed().filter(|live| *live.row_id_bounds().end() <= held_above).filter_map(|live| {
            let range = live.record.range;
            let middle = range.start.saturating_add(range.end.saturating_sub(range.start) / 2);
            if range.end < oldest_kept {
                Some(Due::Drop(Arc::clone(live)))
            } else if middle < oldest_kept && range.start < oldest_kept {
                Some(Due::Rewrite(Arc::clone(live), in_unit(time.kind, oldest_kept)))
            } else {
                None
            }
        });
        due.collect()
    }
}

/// Milliseconds in a time column's unit.
const fn in_unit(kind: Kind, ms: i64) -> i64 {
    match kind {
        Kind::Date => ms.div_euclid(24 * 60 * 60 * 1_000),
        Kind::Micros => ms.saturating_mul(1_000),
        _ => ms.saturating_mul(1_000_000),
    }
}
