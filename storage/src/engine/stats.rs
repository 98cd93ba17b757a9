//! Sizes and counts of an engine, for status pages and metrics.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use super::Inner;
use crate::{
    memtable::read_lock,
    model::{labels::METRIC_NAME, time::TimeRange},
};

/// Counts since the engine was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) samples_appended: AtomicU64,
    pub(super) exemplars_appended: AtomicU64,
    pub(super) replayed_samples: AtomicU64,
    pub(super) replayed_rows: AtomicU64,
    pub(super) flushes: AtomicU64,
    pub(super) merges: AtomicU64,
    pub(super) segments_dropped: AtomicU64,
    pub(super) background_failures: AtomicU64,
    pub(super) wal_bytes: AtomicU64,
}

/// Sizes and counts at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStats {
    /// Series with samples in memory.
    pub active_series: usize,
    /// Series that the memtable's index knows.
    pub indexed_series: usize,
    /// Distinct label pairs in the memtable's index.
    pub label_pairs: usize,
    /// Samples in memory.
    pub memtable_samples: u64,
    /// Bytes of samples in memory.
    pub memtable_bytes: usize,
    /// Bytes of the memtable's index.
    pub index_bytes: usize,
    /// The range of samples in memory; empty when there is none.
    pub memtable_range: TimeRange,
    /// Live segments.
    pub segments: usize,
    /// Bytes of live segments.
    pub segment_bytes: u64,
    /// Samples in live segments, those that a later segment replaces counted as well.
    pub segment_samples: u64,
    /// The range of samples in segments; empty when there is none.
    pub segment_range: TimeRange,
    /// Bytes of the current log generation.
    pub wal_bytes: u64,
    /// Deletions that merges have not carried out yet.
    pub tombstones: usize,
    /// Things that were set aside as damaged.
    pub quarantined: usize,
    /// Bytes of blocks in the cache.
    pub cache_bytes: usize,
    /// Samples written since the engine was opened.
    pub samples_appended: u64,
    /// Exemplars written since the engine was opened.
    pub exemplars_appended: u64,
    /// Samples read back from the log when the engine was opened.
    pub replayed_samples: u64,
    /// Tables.
    pub tables: usize,
    /// Rows of tables that count.
    pub table_rows: u64,
    /// Bytes of rows in memory that wait to be flushed.
    pub table_memory_bytes: usize,
    /// Live segments of tables.
    pub table_segments: usize,
    /// Bytes of live segments of tables.
    pub table_segment_bytes: u64,
    /// Rows read back from the log when the engine was opened.
    pub replayed_rows: u64,
    /// Flushes since the engine was opened.
    pub flushes: u64,
    /// Merges since the engine was opened.
    pub merges: u64,
    /// Segments dropped by retention since the engine was opened.
    pub segments_dropped: u64,
    /// Rounds of background work that failed since the engine was opened.
    pub background_failures: u64,
}

/// What most series of the memtable have: lists of (what, count), the highest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelCardinality {
    /// Metric names by their series.
    pub series_by_metric: Vec<(String, u64)>,
    /// Label names by their distinct values.
    pub values_by_label: Vec<(String, u64)>,
    /// Label names by the bytes of their values over all series.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Label pairs (`name=value`) by their series.
    pub series_by_pair: Vec<(String, u64)>,
}

impl Inner {
    pub(super) fn stats(&self) -> EngineStats {
        let state = read_lock(&self.state).clone();
        let memtables = || state.flushing.iter().chain([&state.active]);
        let empty = TimeRange::new(1, 0);
        let index = read_lock(state.active.index());
        let tables = read_lock(&self.tables);
        let count = |c: &AtomicU64| c.load(Ordering::Relaxed);
        EngineStats {
            active_series: memtables().map(|m| m.active_series()).max().unwrap_or(0),
            indexed_series: index.len(),
            label_pairs: index.pairs().len(),
            memtable_samples: memtables().map(|m| m.sample_count()).sum(),
            memtable_bytes: memtables().map(|m| m.heap_size()).sum(),
            index_bytes: index.heap_size(),
            memtable_range: memtables().fold(empty, |all, m| all.union(&m.range())),
            segments: state.segments.len(),
            segment_bytes: state.segments.iter().map(|s| s.record.file_len).sum(),
            segment_samples: state.segments.iter().map(|s| s.record.samples).sum(),
            segment_range: state.segments.iter().fold(empty, |all, s| all.union(&s.record.range)),
            wal_bytes: count(&self.counters.wal_bytes),
            tombstones: state.tombstones.len(),
            quarantined: self.quarantine.items().len(),
            cache_bytes: self.cache.stats().bytes,
            samples_appended: count(&self.counters.samples_appended),
            exemplars_appended: count(&self.counters.exemplars_appended),
            replayed_samples: count(&self.counters.replayed_samples),
            tables: tables.iter().count(),
            table_rows: tables.iter().map(|(_, t)| t.rows()).sum(),
            table_memory_bytes: tables.memory(),
            table_segments: tables.segments().count(),
            table_segment_bytes: tables.segments().map(|live| live.record.file_len).sum(),
            replayed_rows: count(&self.counters.replayed_rows),
            flushes: count(&self.counters.flushes),
            merges: count(&self.counters.merges),
            segments_dropped: count(&self.counters.segments_dropped),
            background_failures: count(&self.counters.background_failures),
        }
    }

    pub(super) fn cardinality(&self, limit: usize) -> LabelCardinality {
        let active = std::sync::Arc::clone(&read_lock(&self.state).active);
        let index = read_lock(active.index());
        let mut by_pair: Vec<u64> = vec![0; index.pairs().len()];
        for id in 0..index.len() as u32 {
            for pair in index.series_pairs(id) {
                by_pair[*pair as usize] += 1;
            }
        }
        let mut bytes_by_label: HashMap<&str, u64> = HashMap::new();
        let (mut by_metric, mut pairs) = (Vec::new(), Vec::with_capacity(by_pair.len()));
        for (id, series) in by_pair.iter().enumerate() {
            let (name, value) = index.pairs().pair(id as u32);
            *bytes_by_label.entry(name).or_default() += value.len() as u64 * series;
            if name == METRIC_NAME {
                by_metric.push((value, *series));
            }
            pairs.push((id as u32, *series));
        }
        pairs.sort_unstable_by_key(|(id, n)| (std::cmp::Reverse(*n), *id));
        pairs.truncate(limit);
        let by_values = index.name_cardinalities().into_iter().map(|(n, c)| (n, c as u64)).collect();
        LabelCardinality {
            series_by_metric: highest(by_metric, limit),
            values_by_label: highest(by_values, limit),
            bytes_by_label: highest(bytes_by_label.into_iter().collect(), limit),
            series_by_pair: pairs
                .into_iter()
                .map(|(id, n)| {
                    let (name, value) = index.pairs().pair(id);
                    (format!("{name}={value}"), n)
                })
                .collect(),
        }
    }
}

fn highest(mut all: Vec<(&str, u64)>, limit: usize) -> Vec<(String, u64)> {
    all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    all.into_iter().take(limit).map(|(what, n)| (what.to_owned(), n)).collect()
}
