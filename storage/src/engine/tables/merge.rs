//! Merge of a table's segments: neighbours of about one size become one, sorted by time, without deleted rows and without
//! those that the table's retention does not keep.
//!
//! Which rows count is told by row ids alone, so the order of segments has no meaning; neighbours are merged because
//! their rows are near each other in time.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use arrow_array::UInt64Array;
use roaring::RoaringTreemap;

use super::{
    Table,
    events::LiveEvents,
    flush::EventsWriter,
    merge_rows::{Inputs, Kept},
    seal::changed_chunks,
};
use crate::{
    Result,
    catalog::{CatalogEdit, SegmentRecord},
    engine::{Inner, flush::exclusive, merge::MergeGoal},
    memtable::{read_lock, write_lock},
    segment::Level,
    table::{ColumnKey, Part, TableDefinition, check::is_field, segment::EventSegmentIdentity, wire::TableState},
};

/// So many segments of about one size are merged: more than of samples, since to write events costs more than to look into
/// a few more segments.
const FAN_IN: usize = 8;
/// "About one size": no segment has more than one part in so many of the bytes of all that are merged. So a row is
/// rewritten once for every time that the table grows about so much larger.
const PARTS: u64 = 6;
/// Segments of fewer bytes count as if they had so many: it is their number that costs.
const SMALL_BYTES: u64 = 1 << 20;
/// A segment is rewritten when this share of its rows, in percent, is deleted.
const DELETED_PERCENT: u64 = 30;
/// Fewer deleted rows than this are never worth it.
const DELETED_MIN: u64 = 1_000;
/// Most rows of a segment.
const ROWS_MAX: u64 = 1 << 30;

/// Segments of one table that become one.
#[derive(Debug)]
pub(super) struct EventsJob {
    definition: Arc<TableDefinition>,
    /// The table as the catalog has it.
    state: TableState,
    live: Vec<Arc<LiveEvents>>,
    deleted: Arc<RoaringTreemap>,
    /// Rows whose time, in the column's unit, is before this are left out.
    keep_from: i64,
    /// Whether all of the table becomes one, so that nothing is merged soon again.
    is_last: bool,
}

impl Inner {
    /// Merges segments of tables until there is nothing left to do for the goal.
    pub(in crate::engine) fn merge_tables(self: &Arc<Self>, goal: MergeGoal) -> Result<()> {
        // A segment that was just rewritten for its deletions is not looked at again: some may be of rows elsewhere.
        let mut rewritten = BTreeSet::new();
        loop {
            let _one_at_a_time = exclusive(&self.merging);
            let planned = read_lock(&self.tables).all.values().find_map(|table| plan(table, goal, &rewritten));
            let Some(job) = planned else { return Ok(()) };
            rewritten.extend(self.merge_events(&job)?);
        }
    }

    /// Rewrites segments without the rows before a time; returns the new segment's number.
    pub(super) fn rewrite_from(self: &Arc<Self>, live: &Arc<LiveEvents>, keep_from: i64) -> Result<()> {
        let job = {
            let tables = read_lock(&self.tables);
            let Some(table) = tables.table(live.table) else { return Ok(()) };
            job(table, vec![Arc::clone(live)], keep_from)
        };
        self.merge_events(&job).map(drop)
    }

    /// Merges these segments and makes the result live in their place; returns its number.
    fn merge_events(self: &Arc<Self>, job: &EventsJob) -> Result<Option<u64>> {
        self.check_merge_space(job.live.iter().map(|live| live.record.file_len).sum())?;
        let (id, _) = self.next_segment();
        let result = self.write_merged_events(job, id).and_then(|(record, removed)| {
            let live = record.map(|record| self.open_written_events(&record, &job.definition)).transpose()?;
            self.install_merged(job, live, &removed)
        });
        if result.is_err() {
            self.discard_unless_named(id);
        }
        let live = result?;
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        Ok(live)
    }

    /// Removes a file of a merge that failed, unless the catalog may name it.
    fn discard_unless_named(&self, id: u64) {
        if self.catalog.state().is_ok_and(|state| state.segments.iter().all(|s| s.id != id)) {
            // Best effort: what stays behind is removed at the next start.
            let _ = self.options.vfs.remove(&self.layout.segment(id));
        }
    }

    /// Writes the result of a merge; returns what the catalog is to say of it, and the rows that were left out.
    fn write_merged_events(&self, job: &EventsJob, id: u64) -> Result<(Option<SegmentRecord>, RoaringTreemap)> {
        let identity = EventSegmentIdentity {
            table: job.definition.id,
            id,
            sequence: job.live.iter().map(|s| s.record.sequence).max().unwrap_or(0),
            merges: job.live.iter().map(|s| s.record.level).max().unwrap_or(0).saturating_add(1),
        };
        let level = if job.is_last || identity.merges > 1 { Level::Merge } else { Level::Flush };
        let mut writer = EventsWriter::new(self, &job.state, identity, level);
        let kept = Kept { deleted: &job.deleted, from: job.keep_from };
        let mut inputs = Inputs::open(&job.live, job.keys()?, kept)?;
        let mut removed = RoaringTreemap::new();
        while let Some((rows, ids)) = inputs.next(&mut removed)? {
            writer.push(&rows, &UInt64Array::from(ids))?;
        }
        Ok((writer.finish()?, removed))
    }

    /// Makes the result of a merge live, in the catalog and in memory.
    fn install_merged(
        &self,
        job: &EventsJob,
        live: Option<Arc<LiveEvents>>,
        removed: &RoaringTreemap,
    ) -> Result<Option<u64>> {
        // The catalog must not lose rows for deletions that a loss of power could take back.
        self.committer.log().sync()?;
        let _one_at_a_time = exclusive(&self.persisting);
        let id = job.definition.id;
        let old: Vec<u64> = job.live.iter().map(|live| live.record.id).collect();
        let mut edit = CatalogEdit {
            add_segments: live.iter().map(|live| live.record.clone()).collect(),
            remove_segments: old.clone(),
            ..CatalogEdit::default()
        };
        let saved = {
            let tables = read_lock(&self.tables);
            let table = tables.table(id).filter(|table| table.has_all(&old));
            let Some(table) = table else {
                drop(tables);
                // The table was dropped, or a segment set aside: the others stay as they are.
                self.discard_files(&edit.add_segments);
                return Ok(None);
            };
            let saved = &*table.saved_deleted - removed;
            edit.deleted = changed_chunks(id, &table.saved_deleted, &saved);
            saved
        };
        self.add_segments(edit)?;
        let new = live.as_ref().map(|live| live.record.id);
        let _nobody_commits = exclusive(&self.reshaping);
        let mut tables = write_lock(&self.tables);
        tables.clock += 1;
        let clock = tables.clock;
        if let Some(table) = tables.all.get_mut(&id) {
            table.replace_segments(&old, live.into_iter().collect());
            table.forget(removed);
            table.saved_deleted = Arc::new(saved);
            table.reshaped_at = clock;
        } else {
            // Dropped since: the next flush takes the new segment out of the catalog instead of the old ones.
            let segments = tables.dropped.entry(id).or_default();
            segments.retain(|record| !old.contains(&record.id));
            segments.extend(live.map(|live| live.record.clone()));
        }
        drop(tables);
        // Queries that still read the old files have them open.
        self.discard_files(&job.live.iter().map(|live| live.record.clone()).collect::<Vec<_>>());
        Ok(new)
    }
}

impl Table {
    /// Whether all of these segments are live.
    pub(super) fn has_all(&self, ids: &[u64]) -> bool {
        ids.iter().all(|id| self.segments.iter().any(|live| live.record.id == *id))
    }
}

impl EventsJob {
    /// The columns of all inputs that the table still has.
    fn keys(&self) -> Result<Vec<ColumnKey>> {
        let mut keys = BTreeSet::new();
        for live in &self.live {
            keys.extend(live.columns()?.iter().cloned());
        }
        let declared: BTreeSet<ColumnKey> = self.definition.columns.iter().filter_map(|c| c.key()).collect();
        keys.retain(|key| is_field(key) || declared.contains(key));
        Ok(keys.into_iter().collect())
    }
}

fn job(table: &Table, live: Vec<Arc<LiveEvents>>, keep_from: i64) -> EventsJob {
    let (definition, deleted) = (Arc::clone(&table.definition), Arc::clone(&table.deleted));
    // A table with segments was flushed, so the catalog has it.
    let unsaved = || TableState { definition: (*definition).clone(), next_row: table.next_row, serials: Vec::new() };
    let state = table.saved.clone().unwrap_or_else(unsaved);
    EventsJob { definition, state, live, deleted, keep_from, is_last: false }
}

/// The next merge that brings a table's segments nearer to the goal.
fn plan(table: &Table, goal: MergeGoal, rewritten: &BTreeSet<u64>) -> Option<EventsJob> {
    let segments = &table.segments;
    let rows: u64 = segments.iter().map(|live| live.record.samples).sum();
    let deleted_in = |live: &LiveEvents| {
        let near = table.deleted.range_cardinality(live.row_id_bounds());
        near.min(live.record.samples)
    };
    if goal == MergeGoal::Full && rows <= ROWS_MAX {
        let alone = segments.len() == 1 && !rewritten.contains(&segments[0].record.id) && deleted_in(&segments[0]) > 0;
        if segments.len() > 1 || alone {
            return Some(EventsJob { is_last: true, ..job(table, segments.clone(), i64::MIN) });
        }
        return None;
    }
    let sizes: Vec<u64> = segments.iter().map(|live| live.record.file_len).collect();
    if let Some(run) = pick_run(&sizes)
        && segments[run.clone()].iter().map(|live| live.record.samples).sum::<u64>() <= ROWS_MAX
    {
        return Some(job(table, segments[run].to_vec(), i64::MIN));
    }
    let worn = segments.iter().find(|live| {
        let deleted = deleted_in(live);
        let is_worn = deleted >= DELETED_MIN && deleted * 100 >= live.record.samples * DELETED_PERCENT;
        is_worn && !rewritten.contains(&live.record.id)
    })?;
    Some(job(table, vec![Arc::clone(worn)], i64::MIN))
}

/// The newest run of neighbours of about one size that are worth a merge.
fn pick_run(sizes: &[u64]) -> Option<Range<usize>> {
    let bytes =
        |run: &[u64]| run.iter().map(|size| (*size).max(SMALL_BYTES)).fold((0, 0), |(s, m), b| (s + b, b.max(m)));
    let is_even = |run: &Range<usize>| {
        let (sum, max) = bytes(&sizes[run.clone()]);
        max <= sum / PARTS
    };
    let starts = (0..(sizes.len() + 1).saturating_sub(FAN_IN)).rev();
    starts.flat_map(|start| (start + FAN_IN..=sizes.len()).rev().map(move |end| start..end)).find(is_even)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_one_size_are_merged() {
        const MB: u64 = 1 << 20;
        let sizes = |all: &[u64]| all.iter().map(|mb| mb * MB).collect::<Vec<_>>();
        assert_eq!(pick_run(&[]), None);
        assert_eq!(pick_run(&sizes(&[20; 7])), None);
        assert_eq!(pick_run(&sizes(&[20; 8])), Some(0..8));
        // A large one waits for others.
        assert_eq!(pick_run(&sizes(&[160, 20, 20, 20, 20, 20, 20, 20])), None);
        assert_eq!(pick_run(&sizes(&[160, 20, 20, 20, 20, 20, 20, 20, 20])), Some(1..9));
        // Empty segments are not left lying about.
        assert_eq!(pick_run(&[9, 1_000_000, 5, 5, 5, 5, 5, 5]), Some(0..8));
    }

    #[test]
    fn a_row_is_rewritten_seldom() {
        let (mut segments, mut written, mut most) = (Vec::new(), 0, 0);
        for _ in 0..1_000 {
            segments.push(20 << 20);
            while let Some(run) = pick_run(&segments) {
                let sum: u64 = segments[run.clone()].iter().sum();
                written += sum;
                segments.splice(run, [sum]);
            }
            most = most.max(segments.len());
        }
        let all: u64 = segments.iter().sum();
        assert!(written < all * 3 && most < 28, "{written} bytes written for {all}, {most} segments at a time");
    }
}
