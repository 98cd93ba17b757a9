//! Flush: a full memtable becomes segments, one for each partition of time it touches.
//!
//! The order is what makes a crash harmless: new log generation, segment files synced, directory synced, one catalog
//! transaction that names them and raises the log's floor, and only then are the old log files removed. Before the
//! transaction the segment files are garbage and the log has everything; after it the log files are garbage.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, atomic::Ordering};

use super::{Inner, state::LiveSegment};
use crate::{
    Result, StorageError,
    catalog::{CatalogEdit, SegmentKind, SegmentRecord},
    memtable::{Index, Memtable, MemtableView, read_lock, write_lock},
    model::time::TimeRange,
    read::SampleBuffer,
    segment::{Level, SegmentIdentity, SegmentSummary, SegmentWriter, WriterOptions},
    vfs::at_path,
    wal::LogWriter,
};

/// Length of a partition of time in milliseconds: no segment crosses the border of one.
pub(crate) const PARTITION_MS: i64 = 24 * 60 * 60 * 1_000;

/// A new index is begun when the old one has this many times as many series as had samples since the last flush.
const INDEX_CHURN_FACTOR: usize = 2;
/// Fewer series than this are never worth a new index.
const INDEX_CHURN_MIN: usize = 10_000;

/// The partition that a timestamp is in.
pub(crate) const fn partition_of(t: i64) -> TimeRange {
    let number = t.div_euclid(PARTITION_MS);
    let start = number.saturating_mul(PARTITION_MS);
    TimeRange::new(start, start.saturating_add(PARTITION_MS - 1))
}

/// Guards against two flushes, or two merges, at a time.
pub(super) fn exclusive(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    /// Writes all samples in memory to segments. Does nothing when there are none.
    pub(super) fn flush(self: &Arc<Self>) -> Result<()> {
        self.check_writable()?;
        let _one_at_a_time = exclusive(&self.flushing);
        // A flush that failed before (a full disk) left its memtable behind: it goes first.
        self.flush_sealed()?;
        if !read_lock(&self.state).active.is_empty() || read_lock(&self.tables).is_unsaved() {
            self.rotate()?;
            self.flush_sealed()?;
        }
        Ok(())
    }

    /// Writes what a failed flush left behind, and the memtable when it is full. A memtable that is not stays, whoever
    /// rang: were it flushed too, the writes during one flush would cause the next, and every segment would be tiny.
    pub(super) fn flush_what_is_due(self: &Arc<Self>) -> Result<()> {
        if !self.memtable_is_full() && read_lock(&self.state).flushing.is_none() {
            return Ok(());
        }
        self.check_writable()?;
        let _one_at_a_time = exclusive(&self.flushing);
        self.flush_sealed()?;
        if self.memtable_is_full() {
            self.rotate()?;
            self.flush_sealed()?;
        }
        Ok(())
    }

    /// Begins a new log generation and a new memtable. Waits for the writers that are on their way, which takes about
    /// one group commit.
    fn rotate(&self) -> Result<()> {
        let generation = self.next_generation.fetch_add(1, Ordering::SeqCst);
        let writer = LogWriter::create(&*self.options.vfs, &self.layout.wal(), generation)?;
        let _nobody_writes = write_lock(&self.rotation);
        let mut log = self.committer.log();
        let mut state = write_lock(&self.state);
        let sealed = Arc::clone(&state.active);
        let index = self.index_after(&sealed);
        read_lock(&index).start_log_generation();
        state.active = Arc::new(Memtable::new(index));
        state.flushing = Some(sealed);
        let mut tables = write_lock(&self.tables);
        let serials = self.serials.lock();
        tables.seal(&serials.next, serials.last_table);
        log.replace(writer);
        self.flush_floor.store(generation, Ordering::SeqCst);
        self.memtable_bytes.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// The index for the next memtable: the same one, or a fresh one when most of its series have gone.
    fn index_after(&self, sealed: &Memtable) -> Arc<RwLock<Index>> {
        let known = read_lock(sealed.index()).len();
        if known > INDEX_CHURN_MIN && known > INDEX_CHURN_FACTOR * sealed.active_series() {
            return Arc::new(RwLock::new(Index::new(self.options.seed)));
        }
        Arc::clone(sealed.index())
    }

    /// Writes the sealed memtable, if there is one, and makes its segments live in its place.
    fn flush_sealed(self: &Arc<Self>) -> Result<()> {
        let Some(sealed) = read_lock(&self.state).flushing.clone() else { return Ok(()) };
        let started = self.options.clock.monotonic();
        let tables = read_lock(&self.tables).sealed().cloned().unwrap_or_default();
        let live = self.write_segments(&sealed)?;
        let records: Vec<SegmentRecord> = live.iter().map(|l| l.record.clone()).collect();
        let flushed = self.write_tables(&tables).inspect_err(|_| self.discard_files(&records))?;
        let metadata = write_lock(&self.metadata).take_unsaved();
        let edit = CatalogEdit {
            add_segments: records,
            metadata: metadata.clone(),
            wal_floor: Some(self.flush_floor.load(Ordering::SeqCst)),
            ..CatalogEdit::default()
        };
        let install = || {
            let mut state = write_lock(&self.state);
            state.replace_segments(&[], live);
            state.flushing = None;
        };
        if let Err(error) = self.save_tables(&tables, flushed, edit, install) {
            write_lock(&self.metadata).put_back(metadata);
            return Err(error);
        }
        self.remove_old_logs();
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(took = ?(self.options.clock.monotonic() - started), "flushed");
        self.wake_merges();
        Ok(())
    }

    /// Commits an edit that adds segments. When it is sure that the catalog did not take it, their files go.
    pub(super) fn add_segments(&self, edit: CatalogEdit) -> Result<()> {
        let added = edit.add_segments.clone();
        let result = self.edit_catalog(edit);
        // After a full disk the catalog looks again at what it holds; any other failure leaves it unknown whether the edit
        // is on disk, and then the files must stay.
        if let Err(StorageError::DiskFull { .. } | StorageError::Invalid(_)) = &result
            && self.catalog.state().is_ok()
        {
            self.discard_files(&added);
        }
        result
    }

    /// Writes the segments of a sealed memtable, and opens them: what cannot be read back does not become live.
    fn write_segments(&self, sealed: &Arc<Memtable>) -> Result<Vec<Arc<LiveSegment>>> {
        let view = sealed.view();
        let ids = sorted_series(&view);
        let mut records = Vec::new();
        let written = partitions(view.range().union(&view.exemplar_range())).try_for_each(|partition| {
            records.extend(self.write_partition(&view, &ids, partition)?);
            Ok(())
        });
        let live = written.and_then(|()| self.open_written(&records));
        if live.is_err() {
            self.discard_files(&records);
        }
        live
    }

    /// Makes the names of new segment files durable and opens them.
    pub(super) fn open_written(&self, records: &[SegmentRecord]) -> Result<Vec<Arc<LiveSegment>>> {
        if !records.is_empty() {
            let dir = self.layout.segments();
            self.options.vfs.sync_dir(&dir).map_err(at_path(&dir))?;
        }
        let open = |record: &SegmentRecord| {
            let segment = self.open_segment(record)?;
            Ok(Arc::new(LiveSegment { record: record.clone(), segment }))
        };
        records.iter().map(open).collect()
    }

    fn write_partition(&self, view: &MemtableView, ids: &[u32], partition: TimeRange) -> Result<Option<SegmentRecord>> {
        let (id, sequence) = self.next_segment();
        let identity = SegmentIdentity { id, sequence, partition, merges: 0 };
        let path = self.layout.segment(id);
        let mut writer: Option<SegmentWriter> = None;
        let mut samples = SampleBuffer::default();
        let write = |writer: &mut Option<SegmentWriter>, samples: &mut SampleBuffer| -> Result<()> {
            for id in ids {
                samples.clear();
                view.read(*id, partition, samples);
                let exemplars = view.exemplars(*id, partition);
                if samples.is_empty() && exemplars.is_empty() {
                    continue;
                }
                let writer = match writer {
                    Some(writer) => writer,
                    None => writer.insert(SegmentWriter::create(
                        &self.options.vfs,
                        &path,
                        WriterOptions { level: Level::Flush, identity },
                    )?),
                };
                let labels = read_lock(view.index()).labels(*id);
                writer.add_series(&labels, samples, &exemplars)?;
            }
            Ok(())
        };
        let summary = write(&mut writer, &mut samples).and_then(|()| writer.map(SegmentWriter::finish).transpose());
        match summary {
            Ok(summary) => Ok(summary.map(|s| segment_record(&s))),
            Err(error) => {
                // Best effort: what stays behind is removed at the next start, since the catalog does not name it.
                let _ = self.options.vfs.remove(&path);
                Err(error)
            }
        }
    }

    /// Removes files of segments that did not become live.
    pub(super) fn discard_files(&self, records: &[SegmentRecord]) {
        for record in records {
            if let Err(error) = self.options.vfs.remove(&self.layout.segment(record.id)) {
                tracing::warn!(%error, segment = record.id, "could not remove an unused segment file");
            }
        }
    }

    /// Removes log files below the catalog's floor.
    pub(super) fn remove_old_logs(&self) {
        let floor = self.flush_floor.load(Ordering::SeqCst);
        let vfs = &*self.options.vfs;
        let removed = crate::wal::logs(vfs, &self.layout.wal()).and_then(|logs| {
            let mut old = logs.into_iter().filter(|(generation, _)| *generation < floor);
            // Oldest first, each durable before the next: the logs that exist are the newest. So a catalog that is built
            // anew never replays an old one over segments that a newer one became.
            old.try_for_each(|(_, path)| {
                vfs.remove(&path).map_err(at_path(&path))?;
                vfs.sync_dir(&self.layout.wal()).map_err(at_path(&self.layout.wal()))
            })
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "could not remove old log files; they are removed at the next start");
        }
    }
}

/// What the catalog keeps of a written segment.
pub(super) fn segment_record(summary: &SegmentSummary) -> SegmentRecord {
    let SegmentIdentity { id, sequence, partition, merges } = summary.identity;
    SegmentRecord {
        id,
        sequence,
        partition,
        range: summary.range.union(&summary.exemplar_range),
        series: u64::from(summary.series),
        samples: summary.samples(),
        file_len: summary.file_len,
        kind: SegmentKind::Metrics,
        level: merges,
    }
}

/// The series of a memtable that have samples or exemplars, sorted by labels.
fn sorted_series(view: &MemtableView) -> Vec<u32> {
    let index = read_lock(view.index());
    let bound = view.series_bound().min(index.len() as u32);
    let mut ids: Vec<u32> = (0..bound).filter(|id| view.series_range(*id).is_some()).collect();
    ids.extend(view.series_with_exemplars().into_iter().filter(|id| view.series_range(*id).is_none()));
    index.sort_by_labels(&mut ids);
    ids
}

/// The partitions that a range touches, in order of time.
fn partitions(range: TimeRange) -> impl Iterator<Item = TimeRange> {
    let first = (!range.is_empty()).then(|| partition_of(range.start));
    std::iter::successors(first, move |p| (p.end < range.end).then(|| partition_of(p.end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, EngineOptions};

    #[test]
    fn partitions_tile_time() {
        let all: Vec<_> = partitions(TimeRange::new(-1, PARTITION_MS)).collect();
        assert_eq!(all.len(), 3);
        assert!(all.windows(2).all(|w| w[0].end + 1 == w[1].start));
        assert_eq!(partitions(TimeRange::new(5, 4)).count(), 0);
        assert!(partition_of(i64::MIN).contains(i64::MIN) || partition_of(i64::MIN).start == i64::MIN);
    }

    #[test]
    fn writes_during_a_flush_do_not_cause_the_next() {
        let memtable_bytes = 1 << 20;
        let options = EngineOptions { memtable_bytes, background: false, ..EngineOptions::in_memory() };
        let engine = Engine::open(options).unwrap();
        let mut now = 0;
        let mut write = || {
            now += 1;
            engine.append(|appender| {
                let series = appender.series(&[("__name__", "up")], None)?;
                assert_eq!(appender.float(series, now, 1.0, 0), Ok(()));
                Ok(())
            })
        };
        // The flush's thread is woken with this little there when the bell rang while it flushed.
        write().unwrap();
        engine.inner().flush_what_is_due().unwrap();
        assert_eq!(engine.stats().flushes, 0);
        while !engine.inner().memtable_is_full() {
            write().unwrap();
        }
        engine.inner().flush_what_is_due().unwrap();
        write().unwrap();
        engine.inner().flush_what_is_due().unwrap();
        assert_eq!(engine.stats().flushes, 1);
    }
}
