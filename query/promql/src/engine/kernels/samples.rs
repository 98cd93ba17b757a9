//! The samples of one window, of both kinds and with start timestamps, for functions that look at them one by one.

use std::sync::Arc;

use chronolith_storage::FloatHistogram;

/// Samples of one kind.
///
/// Invariant: `timestamps` and `values` are of one length; `starts` is too, or empty when start timestamps play no
/// part.
#[derive(Debug)]
pub(in crate::engine) struct Column<'a, T> {
    pub(in crate::engine) timestamps: &'a [i64],
    pub(in crate::engine) values: &'a [T],
    pub(in crate::engine) starts: &'a [i64],
}

// Derived, these would ask the same of `T`.
impl<T> Clone for Column<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Column<'_, T> {}

impl<'a, T> Column<'a, T> {
    pub(in crate::engine) const fn len(&self) -> usize {
        self.timestamps.len()
    }

    pub(in crate::engine) const fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// The samples from `lo` up to `hi`.
    pub(in crate::engine) fn slice(&self, lo: usize, hi: usize) -> Self {
        Self {
            timestamps: &self.timestamps[lo..hi],
            values: &self.values[lo..hi],
            starts: if self.starts.is_empty() { &[] } else { &self.starts[lo..hi] },
        }
    }

    /// The start timestamp of a sample, 0 where none is known.
    pub(in crate::engine) fn start(&self, i: usize) -> i64 {
        self.starts.get(i).copied().unwrap_or(0)
    }

    /// Whether the start timestamps tell that the counter was reset between sample `i` and the one before it.
    pub(in crate::engine) fn starts_anew(&self, i: usize) -> bool {
        i > 0
            && !self.starts.is_empty()
            && reset_between((self.start(i - 1), self.timestamps[i - 1]), (self.start(i), self.timestamps[i]))
    }

    /// Whether the start timestamp of sample `i` lies before the sample before it, which it then counts again.
    pub(in crate::engine) fn overlaps(&self, i: usize) -> bool {
        let start = self.start(i);
        i > 0 && start != 0 && start < self.timestamps[i - 1] && start != self.start(i - 1)
    }

    /// The start timestamp of the first sample when it lies inside the range that begins behind `range_start`, and
    /// before the sample: the counter was zero then.
    pub(in crate::engine) fn zero_point(&self, range_start: i64) -> Option<i64> {
        let (first, start) = (*self.timestamps.first()?, *self.starts.first()?);
        (start != 0 && start > range_start && start < first).then_some(start)
    }
}

/// Whether the counter was reset between two samples, each with its start timestamp and its own.
pub(in crate::engine) const fn reset_between(before: (i64, i64), sample: (i64, i64)) -> bool {
    let ((start_before, before), (start, at)) = (before, sample);
    // Not known, or not valid, or equal to the sample's time, which OpenTelemetry writes when it is not known.
    if start == 0 || start >= at || start < before {
        return false;
    }
    if start > before {
        return true;
    }
    // It begins where the sample before is: a series of deltas, or a counter whose start is not known. The latter has no
    // start before either, or a sample's own time instead of one.
    start_before != 0 && start_before < before
}

/// The samples of one window.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Window<'a> {
    pub(in crate::engine) floats: Column<'a, f64>,
    pub(in crate::engine) histograms: Column<'a, Arc<FloatHistogram>>,
    /// The range is open here,
    pub(in crate::engine) start: i64,
    /// and closed here. There are samples outside of it when the selector is anchored or smoothed.
    pub(in crate::engine) end: i64,
}

impl Window<'_> {
    /// Length of the range in seconds, as Go's `Duration.Seconds` gives it.
    pub(in crate::engine) fn range_seconds(&self) -> f64 {
        super::rate::seconds(self.end.saturating_sub(self.start))
    }

    /// Whether there are floats and histograms.
    pub(in crate::engine) const fn is_mixed(&self) -> bool {
        !self.floats.is_empty() && !self.histograms.is_empty()
    }
}

/// What a function makes of a window.
#[derive(Debug)]
pub(in crate::engine) enum Value {
    Float(f64),
    Histogram(FloatHistogram),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_timestamps_tell_resets() {
        // Start and time of the sample before, then of the sample.
        for (before, sample, want) in [
            ((10, 100), (0, 200), false),
            ((10, 100), (10, 200), false),
            ((10, 100), (150, 200), true),
            ((10, 100), (100, 200), true),
            ((0, 100), (100, 200), false),
            ((100, 100), (100, 200), false),
            ((120, 100), (100, 200), false),
            ((10, 100), (200, 200), false),
            ((10, 100), (250, 200), false),
        ] {
            assert_eq!(reset_between(before, sample), want, "{before:?} {sample:?}");
        }
    }
}
