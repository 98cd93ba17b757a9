//! Group commit: batches that wait together are written to the log as one frame, synced once, then become visible.
//!
//! Whoever comes first while nobody leads becomes the leader: it takes all waiting batches, writes, syncs, applies them to
//! the memtable in the order of the log, and wakes the others. So the memtable shows nothing that a crash could take
//! back (under [`Durability::Sync`]), and replaying the log gives the same memtable.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, atomic::Ordering},
};

use super::{
    Inner,
    options::Durability,
    tables::commit::{FirstRows, Pending, TableWrites},
};
use crate::{
    Result, StorageError,
    memtable::{Index, Memtable, SeriesId, read_lock, write_lock},
    model::{exemplar::Exemplar, histogram::Histogram, metadata::MetricMetadata},
    table::FIELDS_MAX,
    wal::{
        FRAME_LIMIT, LogWriter,
        record::{FloatSample, RecordEncoder},
    },
};

/// Largest payload that batches are gathered into before another frame is begun.
const FRAME_TARGET: usize = 8 << 20;

/// The samples of one request: for the memtable as values, for the log as encoded records.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Series of this batch whose definitions did not stand in the log when they were named.
    pub(super) unlogged: Vec<SeriesId>,
    floats: Vec<FloatSample>,
    histograms: Vec<(SeriesId, i64, i64, Arc<Histogram>)>,
    exemplars: Vec<(SeriesId, Exemplar)>,
    metadata: Vec<(String, MetricMetadata)>,
    /// A transaction over tables.
    tables: Option<Arc<TableWrites>>,
}

impl Batch {
    pub(super) fn of_tables(writes: Arc<TableWrites>) -> Self {
        Self { tables: Some(writes), ..Self::default() }
    }

    pub(super) fn float(&mut self, series: SeriesId, timestamp: i64, value: f64, start: i64) {
        self.floats.push(FloatSample { series, timestamp, start_timestamp: start, value });
    }

    pub(super) fn histogram(&mut self, series: SeriesId, timestamp: i64, start: i64, histogram: Arc<Histogram>) {
        self.histograms.push((series, timestamp, start, histogram));
    }

    pub(super) fn exemplar(&mut self, series: SeriesId, exemplar: Exemplar) {
        self.exemplars.push((series, exemplar));
    }

    pub(super) fn metadata(&mut self, metric: &str, metadata: MetricMetadata) {
        self.metadata.push((metric.to_owned(), metadata));
    }

    const fn is_empty(&self) -> bool {
        self.floats.is_empty()
            && self.histograms.is_empty()
            && self.exemplars.is_empty()
            && self.metadata.is_empty()
            && self.tables.is_none()
    }
}

/// The log and the queue before it.
#[derive(Debug)]
pub(super) struct Committer {
    queue: Mutex<Queue>,
    /// Told when a leader has finished.
    finished: Condvar,
    /// The log of the current generation. Held only by the leader, by a rotation, and by the interval's syncs.
    log: Mutex<LogState>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiting>,
    has_leader: bool,
}

#[derive(Debug)]
struct Waiting {
    batch: Batch,
    outcome: Arc<OnceLock<Result<(), CommitFailure>>>,
}

/// What a group's failure means to each of its batches, or why a transaction of it cannot be; made into an error of its
/// own for every one of them.
#[derive(Debug, Clone)]
pub(super) enum CommitFailure {
    Poisoned(String),
    DiskFull(std::path::PathBuf, String),
    Other(String),
    /// A transaction contradicts one before it.
    Conflict(String),
    /// Table and field.
    TooManyFields(String, String),
    /// Rows went from memory to segments since the transaction looked; it looks again and is queued anew.
    Stale,
}

/// The log being written.
#[derive(Debug)]
pub(super) struct LogState {
    /// `None` when the database is open read-only.
    writer: Option<LogWriter>,
    /// Whether something was written since the last sync.
    dirty: bool,
    payload: Vec<u8>,
}

impl CommitFailure {
    fn of(error: &StorageError) -> Self {
        match error {
            StorageError::Poisoned { reason } => Self::Poisoned(reason.clone()),
            StorageError::DiskFull { path, reason } => Self::DiskFull(path.clone(), reason.clone()),
            other => Self::Other(other.to_string()),
        }
    }

    pub(super) fn into_error(self) -> StorageError {
        match self {
            Self::Poisoned(reason) => StorageError::Poisoned { reason },
            Self::DiskFull(path, reason) => StorageError::DiskFull { path, reason },
            Self::Other(reason) => StorageError::LogWrite { reason },
            Self::Conflict(reason) => StorageError::Conflict { reason },
            Self::TooManyFields(table, field) => StorageError::TooManyFields { table, field, limit: FIELDS_MAX },
            Self::Stale => StorageError::Conflict { reason: "rows were moved meanwhile".to_owned() },
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Committer {
    pub(super) fn new(writer: Option<LogWriter>) -> Self {
        Self {
            queue: Mutex::default(),
            finished: Condvar::new(),
            log: Mutex::new(LogState { writer, dirty: false, payload: Vec::new() }),
        }
    }

    /// The log, for whoever replaces or syncs it.
    pub(super) fn log(&self) -> MutexGuard<'_, LogState> {
        lock(&self.log)
    }
}

impl LogState {
    /// Puts a new generation in the place of the current one.
    pub(super) fn replace(&mut self, writer: LogWriter) {
        self.dirty = false;
        self.writer = Some(writer);
    }

    /// Whether the log failed in a way that only opening the database again mends.
    pub(super) fn poisoned(&self) -> Option<&str> {
        self.writer.as_ref().and_then(LogWriter::poisoned)
    }

    /// Syncs what was written since the last sync.
    pub(super) fn sync(&mut self) -> Result<()> {
        if let (true, Some(writer)) = (self.dirty, &mut self.writer) {
            writer.sync()?;
            self.dirty = false;
        }
        Ok(())
    }
}

impl Inner {
    /// Makes a batch durable and visible. The caller holds the rotation lock, and no lock on the index.
    pub(super) fn commit(&self, batch: Batch, memtable: &Memtable) -> Result<(), CommitFailure> {
        if batch.is_empty() {
            return Ok(());
        }
        let outcome = Arc::new(OnceLock::new());
        let mut queue = lock(&self.committer.queue);
        queue.waiting.push(Waiting { batch, outcome: Arc::clone(&outcome) });
        loop {
            if let Some(done) = outcome.get() {
                return done.clone();
            }
            if queue.has_leader {
                queue = self.committer.finished.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.has_leader = true;
            let group = std::mem::take(&mut queue.waiting);
            drop(queue);
            self.lead(group, memtable);
            queue = lock(&self.committer.queue);
            queue.has_leader = false;
            self.committer.finished.notify_all();
        }
    }

    /// Writes and applies a group. Every batch of it was named by the index of this memtable, because their appenders
    /// hold the rotation lock.
    fn lead(&self, group: Vec<Waiting>, memtable: &Memtable) {
        // What transactions were let pass by stays so until they are visible.
        let _no_reshaping = lock(&self.reshaping);
        // Nothing here panics by design; should it, nobody must wait for ever.
        let outcomes = catch_unwind(AssertUnwindSafe(|| self.write_group(&group, memtable))).unwrap_or_else(|_| {
            let failure = CommitFailure::Poisoned("a writer panicked".to_owned());
            group.iter().map(|_| Err(failure.clone())).collect()
        });
        self.apply(&group, &outcomes, memtable);
        for (waiting, outcome) in group.into_iter().zip(outcomes) {
            // Only the leader that took a batch answers it, and once.
            let _ = waiting.outcome.set(outcome.map(|_| ()));
        }
    }

    /// What became of each batch of the group: those that are in the log are synced when the options say so.
    fn write_group(&self, group: &[Waiting], memtable: &Memtable) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(group.len());
        if let Err(error) = self.append_group(group, memtable, &mut outcomes) {
            tracing::error!(%error, "write-ahead log");
            outcomes.resize(group.len(), Err(CommitFailure::of(&error)));
        }
        // The frames before one that failed are in the log: they are as good as any.
        if outcomes.iter().any(Outcome::is_ok)
            && let Err(error) = self.sync_group()
        {
            tracing::error!(%error, "write-ahead log");
            fail_from(0, &mut outcomes, &error);
        }
        outcomes
    }

    fn append_group(&self, group: &[Waiting], memtable: &Memtable, outcomes: &mut Vec<Outcome>) -> Result<()> {
        self.check_space()?;
        let index = read_lock(memtable.index());
        let mut log = self.committer.log();
        let LogState { writer: Some(writer), dirty, payload } = &mut *log else { return Err(StorageError::ReadOnly) };
        payload.clear();
        let mut defined: Vec<SeriesId> = Vec::new();
        let mut pending = Pending::default();
        let mut frame_start = 0;
        for (at, waiting) in group.iter().enumerate() {
            let batch = &waiting.batch;
            let outcome = self.admit(batch, &mut pending);
            if let Ok(firsts) = &outcome {
                encode(batch, firsts, &index, &mut defined, payload);
            }
            outcomes.push(outcome);
            // A transaction is in one frame, so the frame is closed when the next one would not fit.
            let next =
                group.get(at + 1).map(|next| next.batch.tables.as_ref().map_or(0, |writes| writes.encoded_len()));
            let goes_on = next.is_some_and(|next| payload.len() < FRAME_TARGET && payload.len() + next <= FRAME_LIMIT);
            if payload.is_empty() || goes_on {
                continue;
            }
            *dirty = true;
            if let Err(error) = writer.append(payload) {
                defined.iter().for_each(|id| index.unset_logged(*id));
                fail_from(frame_start, outcomes, &error);
                return Err(error);
            }
            frame_start = at + 1;
            payload.clear();
            defined.clear();
        }
        drop(index);
        if payload.capacity() > 2 * FRAME_TARGET {
            *payload = Vec::new();
        }
        Ok(())
    }

    /// Looks whether a transaction contradicts what is committed or waits in the same group.
    fn admit<'w>(&self, batch: &'w Batch, pending: &mut Pending<'w>) -> Outcome {
        match &batch.tables {
            Some(writes) => writes.admit(&read_lock(&self.tables), pending),
            None => Ok(FirstRows::new()),
        }
    }

    fn sync_group(&self) -> Result<()> {
        let mut log = self.committer.log();
        if self.options.durability == Durability::Sync {
            log.sync()?;
        }
        if let Some(writer) = &log.writer {
            self.counters.wal_bytes.store(writer.len(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn apply(&self, group: &[Waiting], outcomes: &[Outcome], memtable: &Memtable) {
        let done = || group.iter().zip(outcomes).filter_map(|(w, o)| Some((&w.batch, o.as_ref().ok()?)));
        let table_bytes = self.apply_tables(done().filter_map(|(batch, first)| Some((batch.tables.as_ref()?, first))));
        let mut data = memtable.write();
        for (batch, _) in done() {
            for s in &batch.floats {
                data.float(s.series, s.timestamp, s.value, s.start_timestamp);
            }
            for (series, timestamp, start, histogram) in &batch.histograms {
                data.histogram(*series, *timestamp, *start, Arc::clone(histogram));
            }
            for (series, exemplar) in &batch.exemplars {
                data.exemplar(*series, exemplar.clone());
            }
            let samples = batch.floats.len() + batch.histograms.len();
            self.counters.samples_appended.fetch_add(samples as u64, Ordering::Relaxed);
            self.counters.exemplars_appended.fetch_add(batch.exemplars.len() as u64, Ordering::Relaxed);
        }
        let bytes = data.samples.heap_size();
        drop(data);
        self.note_memtable_bytes(bytes + table_bytes);
        let mut metadata = done().flat_map(|(batch, _)| &batch.metadata).peekable();
        if metadata.peek().is_some() {
            let mut known = write_lock(&self.metadata);
            for (metric, told) in metadata {
                known.set(metric, told.clone());
            }
        }
    }
}

/// The ids of a transaction's first rows, or why a batch was not written.
type Outcome = Result<FirstRows, CommitFailure>;

/// Lets the batches from this place fail that did not fail otherwise.
fn fail_from(start: usize, outcomes: &mut [Outcome], error: &StorageError) {
    for outcome in outcomes.iter_mut().skip(start).filter(|outcome| outcome.is_ok()) {
        *outcome = Err(CommitFailure::of(error));
    }
}

/// Appends a batch's records to a payload, before them the definitions that the log does not have yet. `defined`
/// collects the series whose definitions are in the payload.
fn encode(batch: &Batch, firsts: &[u64], index: &Index, defined: &mut Vec<SeriesId>, payload: &mut Vec<u8>) {
    if let Some(writes) = &batch.tables {
        writes.encode(firsts, payload);
    }
    let mut records = RecordEncoder::new(payload);
    for id in &batch.unlogged {
        if index.is_logged(*id) {
            continue;
        }
        for pair in index.series_pairs(*id) {
            if !index.is_pair_logged(*pair) {
                let (name, value) = index.pairs().pair(*pair);
                records.pair(*pair, name, value);
            }
        }
        records.series(*id, index.series_pairs(*id));
        index.set_logged(*id);
        defined.push(*id);
    }
    if batch.floats.iter().all(|s| s.start_timestamp == 0) {
        records.floats(batch.floats.iter().copied());
    } else {
        records.floats_with_start(batch.floats.iter().copied());
    }
    for (series, timestamp, start, histogram) in &batch.histograms {
        records.histogram(*series, *timestamp, *start, histogram);
    }
    for (series, exemplar) in &batch.exemplars {
        records.exemplar(*series, exemplar);
    }
    for (metric, metadata) in &batch.metadata {
        records.metadata(metric, metadata);
    }
}
