//! Merge: neighbouring segments of one partition become one, so that queries touch few files and runs grow long.
//!
//! Only segments that follow each other in sequence within their partition are merged, and the result takes the highest
//! sequence of them: so "the later segment counts" stays true for every timestamp. Deleted samples are left out.

use std::sync::{Arc, atomic::Ordering};

use super::{
    Inner,
    flush::{exclusive, segment_record},
    merge_samples::{append, first_timestamp, last_timestamp, merge, remove_ranges},
    state::{LiveSegment, State},
};
use crate::{
    Result, StorageError,
    catalog::{CatalogEdit, SegmentRecord},
    memtable::{read_lock, write_lock},
    model::{exemplar::Exemplar, labels::Labels, time::TimeRange},
    read::SampleBuffer,
    segment::{Level, SegmentIdentity, SegmentScan, SegmentWriter, WriterOptions},
    vfs::at_path,
};

/// So many segments of about one size are merged.
const FAN_IN: usize = 4;
/// "About one size": none holds more samples than all others of the run together times this.
const SIZE_RATIO: u64 = 2;
/// A partition that ended this long ago gets no more samples in the ordinary case: it is merged into one.
const QUIET_MS: i64 = 60 * 60 * 1_000;

/// Segments to merge into one; at least two, neighbours in sequence, of one partition.
type Job = Vec<Arc<LiveSegment>>;

/// Which merges a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MergeGoal {
    /// Those that pay.
    Tidy,
    /// Down to one segment a partition.
    Full,
}

impl Inner {
    /// Merges until the goal is reached.
    pub(super) fn merge(self: &Arc<Self>, goal: MergeGoal) -> Result<()> {
        self.check_writable()?;
        loop {
            let _one_at_a_time = exclusive(&self.merging);
            let now = self.options.clock.now_ms();
            let Some(job) = plan(&read_lock(&self.state), goal, now) else { return Ok(()) };
            self.merge_job(&job)?;
        }
    }

    /// Rewrites every segment that deleted samples are in, then forgets the deletions.
    pub(super) fn clean_tombstones(self: &Arc<Self>) -> Result<()> {
        self.check_writable()?;
        let _one_at_a_time = exclusive(&self.merging);
        let state = read_lock(&self.state).clone();
        for live in state.segments.iter() {
            if state.tombstones.iter().any(|t| t.applies_to(live)) {
                self.merge_job(std::slice::from_ref(live))?;
            }
        }
        let cleaned: Vec<u64> = state.tombstones.iter().map(|t| t.record.id).collect();
        self.edit_catalog(CatalogEdit { remove_tombstones: cleaned.clone(), ..CatalogEdit::default() })?;
        let mut state = write_lock(&self.state);
        let kept = state.tombstones.iter().filter(|t| !cleaned.contains(&t.record.id)).cloned().collect();
        state.tombstones = Arc::new(kept);
        Ok(())
    }

    /// Refuses a merge that the disk has no room for.
    pub(super) fn check_merge_space(&self, input_bytes: u64) -> Result<()> {
        let free = self.options.vfs.available_space(self.layout.root()).map_err(at_path(self.layout.root()))?;
        if free < input_bytes.saturating_add(self.options.reserved_space) {
            let reason = format!("a merge of {input_bytes} bytes needs as much again, {free} are free");
            return Err(StorageError::DiskFull { path: self.layout.root().to_owned(), reason });
        }
        Ok(())
    }

    /// Merges these segments (or rewrites a single one) and makes the result live in their place.
    fn merge_job(self: &Arc<Self>, job: &[Arc<LiveSegment>]) -> Result<()> {
        self.check_merge_space(job.iter().map(|s| s.record.file_len).sum())?;
        let added = self.write_merged(job)?;
        let removed: Vec<u64> = job.iter().map(|s| s.record.id).collect();
        let records = added.iter().map(|s| s.record.clone()).collect();
        let edit = CatalogEdit { add_segments: records, remove_segments: removed.clone(), ..CatalogEdit::default() };
        self.add_segments(edit)?;
        write_lock(&self.state).replace_segments(&removed, added);
        // Queries that still read the old files have them open.
        self.discard_files(&job.iter().map(|s| s.record.clone()).collect::<Vec<_>>());
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes and opens the result of a merge: one segment, or none when all samples were deleted.
    fn write_merged(&self, job: &[Arc<LiveSegment>]) -> Result<Vec<Arc<LiveSegment>>> {
        let (id, _) = self.next_segment();
        let written = self.write_merged_file(job, id);
        let live = written.and_then(|record| self.open_written(&record.into_iter().collect::<Vec<_>>()));
        if live.is_err() {
            // Best effort: what stays behind is removed at the next start, since the catalog does not name it.
            let _ = self.options.vfs.remove(&self.layout.segment(id));
        }
        live
    }

    fn write_merged_file(&self, job: &[Arc<LiveSegment>], id: u64) -> Result<Option<SegmentRecord>> {
        let path = self.layout.segment(id);
        let identity = SegmentIdentity {
            id,
            sequence: job.iter().map(|s| s.record.sequence).max().unwrap_or(0),
            partition: job.first().map_or(TimeRange::new(1, 0), |s| s.record.partition),
            merges: job.iter().map(|s| s.record.level).max().unwrap_or(0).saturating_add(1),
        };
        let tombstones = Arc::clone(&read_lock(&self.state).tombstones);
        let mut inputs = Vec::with_capacity(job.len());
        for live in job {
            let mut deleted = Vec::new();
            for tombstone in tombstones.iter().filter(|t| t.applies_to(live)) {
                deleted.push((
                    self.checked(live, live.segment.select(&tombstone.matchers, TimeRange::ALL))?,
                    tombstone.record.range,
                ));
            }
            inputs.push(Input { engine: self, live, deleted, scan: live.segment.scan() });
        }
        let mut writer: Option<SegmentWriter> = None;
        let mut series = MergedSeries::default();
        while let Some(labels) = next_labels(&mut inputs)? {
            series.clear();
            for input in &mut inputs {
                input.take(&labels, &mut series)?;
            }
            if series.samples.is_empty() && series.exemplars.is_empty() {
                continue;
            }
            let writer = match &mut writer {
                Some(writer) => writer,
                None => writer.insert(SegmentWriter::create(
                    &self.options.vfs,
                    &path,
                    WriterOptions { level: Level::Merge, identity },
                )?),
            };
            series.exemplars.sort_by_key(|e| e.timestamp);
            writer.add_series(&labels, &series.samples, &series.exemplars)?;
        }
        writer.map(|writer| Ok(segment_record(&writer.finish()?))).transpose()
    }

    /// Passes a segment's result on; a damaged segment is set aside on the way, so that the next merge goes on without.
    fn checked<T>(&self, live: &LiveSegment, result: Result<T>) -> Result<T> {
        if let Err(error @ StorageError::Corrupt { .. }) = &result {
            self.set_aside_segment(live, &error.to_string());
        }
        result
    }
}

/// One segment being read in the order of its labels.
struct Input<'a> {
    engine: &'a Inner,
    live: &'a LiveSegment,
    deleted: Vec<(roaring::RoaringBitmap, TimeRange)>,
    scan: SegmentScan<'a>,
}

/// What was gathered for one label set.
#[derive(Default)]
struct MergedSeries {
    samples: SampleBuffer,
    newer: SampleBuffer,
    exemplars: Vec<Exemplar>,
}

impl MergedSeries {
    fn clear(&mut self) {
        self.samples.clear();
        self.exemplars.clear();
    }
}

impl Input<'_> {
    /// The labels of the next series.
    fn peek(&mut self) -> Result<Option<&Labels>> {
        self.engine.checked(self.live, self.scan.peek())
    }

    /// Adds the next series to what was gathered, if it has these labels.
    fn take(&mut self, labels: &Labels, merged: &mut MergedSeries) -> Result<()> {
        if self.peek()? != Some(labels) {
            return Ok(());
        }
        let ordinal = self.scan.ordinal();
        merged.newer.clear();
        let mut exemplars = Vec::new();
        let taken = self.scan.take(TimeRange::ALL, &mut merged.newer, &mut exemplars);
        self.engine.checked(self.live, taken)?;
        let gone: Vec<TimeRange> = self.deleted.iter().filter(|(s, _)| s.contains(ordinal)).map(|(_, r)| *r).collect();
        if !gone.is_empty() {
            remove_ranges(&mut merged.newer, &gone);
            exemplars.retain(|e| !gone.iter().any(|r| r.contains(e.timestamp)));
        }
        for exemplar in exemplars {
            if !merged.exemplars.contains(&exemplar) {
                merged.exemplars.push(exemplar);
            }
        }
        if merged.samples.is_empty() {
            std::mem::swap(&mut merged.samples, &mut merged.newer);
        } else if last_timestamp(&merged.samples) < first_timestamp(&merged.newer) {
            append(&merged.newer, &mut merged.samples);
        } else {
            let older = std::mem::take(&mut merged.samples);
            merge(&older, &merged.newer, &mut merged.samples);
        }
        Ok(())
    }
}

fn next_labels(inputs: &mut [Input<'_>]) -> Result<Option<Labels>> {
    let mut lowest: Option<Labels> = None;
    for input in inputs {
        if let Some(labels) = input.peek()?
            && lowest.as_ref().is_none_or(|l| labels < l)
        {
            lowest = Some(labels.clone());
        }
    }
    Ok(lowest)
}

/// The next merge that brings the segments nearer to the goal.
fn plan(state: &State, goal: MergeGoal, now: i64) -> Option<Job> {
    let mut partitions: Vec<TimeRange> = state.segments.iter().map(|s| s.record.partition).collect();
    partitions.sort_unstable_by_key(|p| p.start);
    partitions.dedup();
    for partition in partitions {
        // In the order of their sequence, as the state keeps them.
        let segments: Job = state.segments.iter().filter(|s| s.record.partition == partition).cloned().collect();
        if segments.len() < 2 {
            continue;
        }
        if goal == MergeGoal::Full || partition.end.saturating_add(QUIET_MS) < now {
            return Some(segments);
        }
        let sizes: Vec<u64> = segments.iter().map(|s| s.record.file_len).collect();
        if let Some(run) = pick_run(&sizes, FAN_IN) {
            return Some(segments[run].to_vec());
        }
    }
    None
}

/// The newest run of `fan_in` or more neighbours of about one size.
pub(super) fn pick_run(sizes: &[u64], fan_in: usize) -> Option<std::ops::Range<usize>> {
    for start in (0..sizes.len()).rev() {
        let run = &sizes[start..];
        let run_of = |len: usize| {
            let part = &run[..len];
            let (sum, max) = (part.iter().sum::<u64>(), part.iter().copied().max().unwrap_or(0));
            max <= (sum - max).saturating_mul(SIZE_RATIO)
        };
        if let Some(len) = (fan_in..=run.len()).rev().find(|len| run_of(*len)) {
            return Some(start..start + len);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_size_are_picked() {
        assert_eq!(pick_run(&[1, 1, 1], 4), None);
        assert_eq!(pick_run(&[1, 1, 1, 1], 4), Some(0..4));
        assert_eq!(pick_run(&[1_000, 10, 10, 10, 10], 4), Some(1..5));
        assert_eq!(pick_run(&[1_000, 500, 10], 4), None);
        assert_eq!(pick_run(&[], 4), None);
    }
}
