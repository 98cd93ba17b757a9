//! What a query sees of the engine: a source that selects series, and buffers of decoded columns.

use std::sync::Arc;

use crate::{
    Result,
    model::{histogram::Histogram, labels::Labels, matcher::Matcher, time::TimeRange},
};

/// A consistent view of stored series. Every call on one source sees the same samples.
pub trait SeriesSource: Send + Sync {
    /// The series that fulfil every matcher and may have samples inside `range`, sorted by labels, without duplicates.
    ///
    /// # Errors
    /// When an index cannot be read.
    fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Box<dyn SeriesSet + '_>>;
}

/// Selected series, addressed by their position. Reading is by shared reference, so threads can share a set.
pub trait SeriesSet: Send + Sync {
    /// How many series were selected.
    fn len(&self) -> usize;

    /// Whether none was.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The labels of the series at `index`.
    fn labels(&self, index: usize) -> &Labels;

    /// Appends the samples of the series at `index` whose timestamps are inside `range` to `out`, in order of time,
    /// each timestamp once. Stale markers are samples like any other.
    ///
    /// # Errors
    /// When a block cannot be read or its checksum does not fit.
    fn read(&self, index: usize, range: TimeRange, out: &mut SampleBuffer) -> Result<()>;
}

/// Decoded samples of one series in columns. Floats and histograms stand apart, each sorted by time; no timestamp is
/// in both. A start timestamp of 0 means that none is known.
#[derive(Debug, Default, Clone)]
pub struct SampleBuffer {
    /// Timestamps of the float samples, in milliseconds.
    pub timestamps: Vec<i64>,
    /// Their values; as long as `timestamps`.
    pub values: Vec<f64>,
    /// Their start timestamps: empty when none is known, else as long as `timestamps`.
    pub start_timestamps: Vec<i64>,
    /// The histogram samples.
    pub histograms: Vec<HistogramSample>,
}

/// One histogram sample.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSample {
    /// Timestamp in milliseconds.
    pub timestamp: i64,
    /// Start timestamp in milliseconds, 0 when not known.
    pub start_timestamp: i64,
    /// The histogram; stale markers have the stale NaN as their sum.
    pub histogram: Arc<Histogram>,
}

impl SampleBuffer {
    /// Empties the buffer and keeps its memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.start_timestamps.clear();
        self.histograms.clear();
    }

    /// How many samples of either kind there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len() + self.histograms.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends one float sample later than all before it.
    pub fn push_float(&mut self, timestamp: i64, value: f64, start_timestamp: i64) {
        if start_timestamp != 0 && self.start_timestamps.is_empty() {
            self.start_timestamps.resize(self.timestamps.len(), 0);
        }
        if !self.start_timestamps.is_empty() || start_timestamp != 0 {
            self.start_timestamps.push(start_timestamp);
        }
        self.timestamps.push(timestamp);
        self.values.push(value);
    }
}
