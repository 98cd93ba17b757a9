//! Writing: an appender collects the samples of one request, names their series, and commits them together.

use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Inner, commit::Batch};
use crate::{
    Result, StorageError,
    memtable::{Index, SeriesId, read_lock, write_lock},
    model::{
        exemplar::Exemplar,
        histogram::{Histogram, HistogramError},
        labels::MAX_LABELS_BYTES,
        metadata::MetricMetadata,
        time::TimeRange,
    },
};

/// Registrations between two looks at the memory budget.
const BUDGET_CHECK_EVERY: usize = 256;

/// A series as an appender names it; good for that appender only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesRef(SeriesId);

/// Why one sample is refused. The others of its request are not concerned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleRejection {
    /// The timestamp is too far ahead of this machine's clock.
    #[error("out of bounds: timestamp {timestamp} is more than {limit_ms} ms ahead of the clock, which shows {now}")]
    TooFarInFuture {
        /// The sample's timestamp in milliseconds.
        timestamp: i64,
        /// The clock in milliseconds.
        now: i64,
        /// How far ahead is allowed.
        limit_ms: i64,
    },
    /// The timestamp is older than the retention.
    #[error("out of bounds: timestamp {timestamp} is older than the retention, which begins at {oldest}")]
    TooOld {
        /// The sample's timestamp in milliseconds.
        timestamp: i64,
        /// The oldest that is kept.
        oldest: i64,
    },
    /// The histogram contradicts itself.
    #[error("invalid histogram: {0}")]
    Histogram(#[from] HistogramError),
}

/// Collects the samples of one request. Nothing is visible or durable before the call that lent the appender,
/// [`Engine::append`](super::Engine::append), returns.
#[derive(Debug)]
pub struct Appender<'e> {
    engine: &'e Inner,
    shared_index: &'e RwLock<Index>,
    index: IndexGuard<'e>,
    batch: Batch,
    accepted: TimeRange,
    now: i64,
    scratch: Vec<u32>,
}

/// The appender reads the index until its first new series, then keeps it for writing.
#[derive(Debug)]
enum IndexGuard<'e> {
    Read(RwLockReadGuard<'e, Index>),
    Write(RwLockWriteGuard<'e, Index>),
    /// Only while one guard is exchanged for the other.
    Exchanging,
}

impl<'e> Appender<'e> {
    pub(super) fn new(engine: &'e Inner, shared_index: &'e RwLock<Index>) -> Self {
        let now = engine.options.clock.now_ms();
        Self {
            engine,
            shared_index,
            index: IndexGuard::Read(read_lock(shared_index)),
            batch: Batch::default(),
            accepted: engine.accepted_range(now),
            now,
            scratch: Vec::new(),
        }
    }

    /// Lets go of the index and hands over what was collected.
    pub(super) fn into_batch(self) -> Batch {
        self.batch
    }

    fn index(&mut self) -> &Index {
        if matches!(self.index, IndexGuard::Exchanging) {
            self.index = IndexGuard::Read(read_lock(self.shared_index));
        }
        match &self.index {
            IndexGuard::Read(guard) => guard,
            IndexGuard::Write(guard) => guard,
            IndexGuard::Exchanging => unreachable!("a guard was taken above"),
        }
    }

    /// The series last registered with this key; see [`Engine::wire_key`](super::Engine::wire_key). Does not allocate.
    pub fn lookup(&mut self, wire_key: u128) -> Option<SeriesRef> {
        let id = self.index().find_wire(wire_key)?;
        self.note_unlogged(id);
        Some(SeriesRef(id))
    }

    /// The series of these labels, made when it is new. `labels` are sorted by name, names are unique, values not
    /// empty: the caller has checked. A `wire_key` is remembered for [`Appender::lookup`].
    ///
    /// # Errors
    /// [`StorageError::OverBudget`] when the series is new and the memory budget is used up, [`StorageError::Invalid`]
    /// when its labels have more than [`MAX_LABELS_BYTES`].
    pub fn series(&mut self, labels: &[(&str, &str)], wire_key: Option<u128>) -> Result<SeriesRef> {
        debug_assert!(labels.is_sorted_by(|a, b| a.0 < b.0) && labels.iter().all(|l| !l.1.is_empty()));
        let mut scratch = std::mem::take(&mut self.scratch);
        let known = self.index().find(labels, &mut scratch);
        let id = match known {
            Some(id) if wire_key.is_none() => Ok(id),
            _ => self.register(labels, wire_key, known, &mut scratch),
        };
        self.scratch = scratch;
        let id = id?;
        self.note_unlogged(id);
        Ok(SeriesRef(id))
    }

    fn register(
        &mut self,
        labels: &[(&str, &str)],
        wire_key: Option<u128>,
        known: Option<SeriesId>,
        scratch: &mut Vec<u32>,
    ) -> Result<SeriesId> {
        let engine = self.engine;
        let index = self.index_mut();
        let id = match known {
            Some(id) => id,
            None => {
                let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
                if bytes > MAX_LABELS_BYTES {
                    return Err(StorageError::Invalid(format!(
                        "the labels of a series have {bytes} bytes together, the limit is {MAX_LABELS_BYTES}"
                    )));
                }
                if index.len().is_multiple_of(BUDGET_CHECK_EVERY) {
                    engine.check_budget(index)?;
                }
                index.register(labels, scratch).ok_or_else(|| engine.over_budget(index))?
            }
        };
        if let Some(key) = wire_key {
            index.remember_wire(key, id);
        }
        Ok(id)
    }

    fn index_mut(&mut self) -> &mut Index {
        if !matches!(self.index, IndexGuard::Write(_)) {
            self.index = IndexGuard::Exchanging; // lets go of the read lock first
            self.index = IndexGuard::Write(write_lock(self.shared_index));
        }
        match &mut self.index {
            IndexGuard::Write(guard) => guard,
            _ => unreachable!("the guard was exchanged above"),
        }
    }

    fn note_unlogged(&mut self, id: SeriesId) {
        if !self.index().is_logged(id) {
            self.batch.unlogged.push(id);
        }
    }

    /// Takes samples of any timestamp from here on: for test data and for imports that must not depend on the clock.
    /// Retention may drop them all the same.
    pub const fn accept_any_time(&mut self) {
        self.accepted = TimeRange::ALL;
    }

    /// Adds a float sample. `start` is its start timestamp, 0 when none is known.
    ///
    /// # Errors
    /// When the timestamp is out of bounds.
    pub fn float(&mut self, series: SeriesRef, timestamp: i64, value: f64, start: i64) -> Result<(), SampleRejection> {
        self.check_time(timestamp)?;
        self.batch.float(series.0, timestamp, value, start);
        Ok(())
    }

    /// Adds a native histogram sample. `start` is its start timestamp, 0 when none is known.
    ///
    /// # Errors
    /// When the timestamp is out of bounds or the histogram contradicts itself.
    pub fn histogram(
        &mut self,
        series: SeriesRef,
        timestamp: i64,
        histogram: Histogram,
        start: i64,
    ) -> Result<(), SampleRejection> {
        self.check_time(timestamp)?;
        histogram.validate()?;
        self.batch.histogram(series.0, timestamp, start, Arc::new(histogram));
        Ok(())
    }

    /// Adds an exemplar.
    ///
    /// # Errors
    /// When the timestamp is out of bounds.
    pub fn exemplar(&mut self, series: SeriesRef, exemplar: Exemplar) -> Result<(), SampleRejection> {
        self.check_time(exemplar.timestamp)?;
        self.batch.exemplar(series.0, exemplar);
        Ok(())
    }

    /// Notes what a sender tells about a metric family; told again, it replaces what was there.
    pub fn metadata(&mut self, metric: &str, metadata: MetricMetadata) {
        if read_lock(&self.engine.metadata).get(metric) != Some(&metadata) {
            self.batch.metadata(metric, metadata);
        }
    }

    fn check_time(&self, timestamp: i64) -> Result<(), SampleRejection> {
        if self.accepted.contains(timestamp) {
            return Ok(());
        }
        Err(if timestamp > self.accepted.end {
            SampleRejection::TooFarInFuture { timestamp, now: self.now, limit_ms: self.engine.options.future_limit_ms }
        } else {
            SampleRejection::TooOld { timestamp, oldest: self.accepted.start }
        })
    }
}

impl Inner {
    /// The timestamps that samples may have now.
    pub(super) fn accepted_range(&self, now: i64) -> TimeRange {
        let start = self.options.retention_ms.map_or(i64::MIN, |keep| now.saturating_sub(keep));
        TimeRange::new(start, now.saturating_add(self.options.future_limit_ms))
    }

    /// Refuses new series when index and samples fill the memory budget.
    fn check_budget(&self, index: &Index) -> Result<()> {
        let samples = self.memtable_bytes.load(std::sync::atomic::Ordering::Relaxed);
        if index.approximate_size() + samples + self.options.cache_bytes / 4 > self.options.memory_budget {
            return Err(self.over_budget(index));
        }
        Ok(())
    }

    fn over_budget(&self, index: &Index) -> StorageError {
        let offender = index.name_cardinalities().first().map_or(String::new(), |(name, values)| {
            format!("The label with the most values is {name:?} with {values}")
        });
        StorageError::OverBudget { budget_bytes: self.options.memory_budget, series: index.len(), offender }
    }
}
