//! The memtable: recent samples in memory, with an index of their series, until a flush seals them in segments.
//!
//! The [`Index`] names series and outlives one memtable: after a flush the next memtable goes on with it, so that known
//! series are not registered again. The [`Memtable`] holds samples only, append-only, so that a [`MemtableView`] taken
//! at one moment keeps showing that moment while writers go on.

mod chunks;
mod heads;
mod index;
mod pairs;
mod postings;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

pub(crate) use chunks::{Appended, SampleStore};
pub(crate) use heads::HeadsView;
pub(crate) use index::{Index, SeriesId};

use crate::{
    model::{exemplar::Exemplar, histogram::Histogram, time::TimeRange},
    read::SampleBuffer,
};

/// The index as it is shared between memtables, appenders and queries.
pub(crate) type SharedIndex = Arc<RwLock<Index>>;

/// Samples of one log generation (or of several, after a restart).
#[derive(Debug)]
pub(crate) struct Memtable {
    index: SharedIndex,
    data: RwLock<MemtableData>,
}

/// What a memtable holds beside the names of its series.
#[derive(Debug, Default)]
pub(crate) struct MemtableData {
    /// Float and histogram samples.
    pub(crate) samples: SampleStore,
    exemplars: HashMap<SeriesId, Vec<Exemplar>>,
    exemplar_bytes: usize,
}

/// What was visible in a memtable at one moment.
#[derive(Debug, Clone)]
pub(crate) struct MemtableView {
    table: Arc<Memtable>,
    heads: HeadsView,
}

/// Locks are never held across code that can panic half-way through a change, so a poisoned lock still guards whole data.
pub(crate) fn read_lock<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// See [`read_lock`].
pub(crate) fn write_lock<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Memtable {
    /// An empty memtable for series of this index.
    pub(crate) fn new(index: SharedIndex) -> Self {
        Self { index, data: RwLock::default() }
    }

    /// The index that names this memtable's series.
    pub(crate) const fn index(&self) -> &SharedIndex {
        &self.index
    }

    /// Exclusive access to the samples, for whoever applies committed batches.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, MemtableData> {
        write_lock(&self.data)
    }

    /// Memory held by samples and exemplars, in bytes.
    pub(crate) fn heap_size(&self) -> usize {
        let data = read_lock(&self.data);
        data.samples.heap_size() + data.exemplar_bytes
    }

    /// How many samples were appended, duplicates not counted.
    pub(crate) fn sample_count(&self) -> u64 {
        read_lock(&self.data).samples.sample_count()
    }

    /// How many series have samples here.
    pub(crate) fn active_series(&self) -> usize {
        read_lock(&self.data).samples.active_series()
    }

    /// The range of all samples here; empty when there is none.
    pub(crate) fn range(&self) -> TimeRange {
        read_lock(&self.data).samples.range()
    }

    /// Whether there is neither a sample nor an exemplar.
    pub(crate) fn is_empty(&self) -> bool {
        let data = read_lock(&self.data);
        data.samples.sample_count() == 0 && data.exemplars.is_empty()
    }

    /// What is visible now.
    pub(crate) fn view(self: &Arc<Self>) -> MemtableView {
        MemtableView { table: Arc::clone(self), heads: read_lock(&self.data).samples.heads() }
    }
}

impl MemtableData {
    /// Appends a float sample.
    pub(crate) fn float(&mut self, series: SeriesId, t: i64, value: f64, start: i64) -> Appended {
        self.samples.float(series, t, value, start)
    }

    /// Appends a histogram sample.
    pub(crate) fn histogram(&mut self, series: SeriesId, t: i64, start: i64, histogram: Arc<Histogram>) -> Appended {
        self.samples.histogram(series, t, start, histogram)
    }

    /// Appends an exemplar; one that is there already is left out.
    pub(crate) fn exemplar(&mut self, series: SeriesId, exemplar: Exemplar) {
        let list = self.exemplars.entry(series).or_default();
        if !list.contains(&exemplar) {
            self.exemplar_bytes += exemplar.labels.heap_size() + size_of::<Exemplar>();
            list.push(exemplar);
        }
    }
}

impl MemtableView {
    /// The index that names the series.
    pub(crate) fn index(&self) -> &SharedIndex {
        self.table.index()
    }

    /// The range of one series' samples, `None` when it has none in this view.
    pub(crate) fn series_range(&self, series: SeriesId) -> Option<TimeRange> {
        self.heads.get(series).map(|head| head.range())
    }

    /// One past the highest series that may have samples in this view.
    pub(crate) fn series_bound(&self) -> u32 {
        self.heads.len()
    }

    /// Appends the samples of one series inside `range` to `out`, sorted, the last written of equal timestamps.
    pub(crate) fn read(&self, series: SeriesId, range: TimeRange, out: &mut SampleBuffer) {
        if let Some(head) = self.heads.get(series) {
            read_lock(&self.table.data).samples.read(head, range, out);
        }
    }

    /// The exemplars of one series inside `range`, in order of time. They are not part of the view's moment: an
    /// exemplar that came later shows as well.
    pub(crate) fn exemplars(&self, series: SeriesId, range: TimeRange) -> Vec<Exemplar> {
        let data = read_lock(&self.table.data);
        let mut found: Vec<Exemplar> = data
            .exemplars
            .get(&series)
            .map(|list| list.iter().filter(|e| range.contains(e.timestamp)).cloned().collect())
            .unwrap_or_default();
        found.sort_by_key(|e| e.timestamp);
        found
    }

    /// Every series that has an exemplar, in no order.
    pub(crate) fn series_with_exemplars(&self) -> Vec<SeriesId> {
        read_lock(&self.table.data).exemplars.keys().copied().collect()
    }

    /// The range of all exemplars; empty when there is none.
    pub(crate) fn exemplar_range(&self) -> TimeRange {
        let data = read_lock(&self.table.data);
        let mut range = TimeRange::new(i64::MAX, i64::MIN);
        for exemplar in data.exemplars.values().flatten() {
            range.start = range.start.min(exemplar.timestamp);
            range.end = range.end.max(exemplar.timestamp);
        }
        range
    }

    /// The range of all samples of the memtable behind this view; may be wider than the view.
    pub(crate) fn range(&self) -> TimeRange {
        self.table.range()
    }
}
