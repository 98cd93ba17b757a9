//! The steps of an evaluation, and columns of step values.

use std::sync::Arc;

use chronolith_storage::{FloatHistogram, Labels};

/// Stands in a column where a series has no float at a step. These are the bits of the stale marker, which no value
/// can have: selectors end a series at a stale marker, and arithmetic sets a bit that is clear here. So gathering a
/// stale marker from a series gives an absent value without a look at it. Never compare it as a float.
pub(super) const ABSENT: f64 = f64::from_bits(STALE_BITS);

/// The bits of a stale marker.
pub(super) const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Whether a column's value is absent, or a sample is a stale marker.
#[inline(always)]
pub(super) fn is_absent(v: f64) -> bool {
    v.to_bits() == STALE_BITS
}

/// Evenly spaced times: `start + k * step` for k below `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) start: i64,
    pub(super) step: i64,
    pub(super) count: usize,
    /// What was asked for, which may be after the last step.
    pub(super) end: i64,
}

impl Grid {
    /// One step.
    pub(super) const fn instant(at: i64) -> Self {
        Self { start: at, step: 1, count: 1, end: at }
    }

    /// The steps from `start` up to and including `end`.
    pub(super) fn new(start: i64, end: i64, step: i64) -> Self {
        let step = step.max(1);
        let count = if end < start { 0 } else { (end.saturating_sub(start) / step).saturating_add(1) };
        Self { start, step, count: usize::try_from(count).unwrap_or(usize::MAX), end }
    }

    /// The time of step `k`.
    #[inline]
    pub(super) const fn at(&self, k: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(k as i64))
    }

    /// The time of the last step; `start` when there is none.
    pub(super) const fn last(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    /// All times.
    pub(super) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |k| self.at(k))
    }
}

/// Histogram values of a series, sparse: the step and the value, by rising step. At no step there is a float too.
pub(super) type HistogramPoints = Vec<(u32, Arc<FloatHistogram>)>;

/// One series over a grid.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) labels: Labels,
    /// With delayed name removal: whether the metadata labels go at the end of the query.
    pub(super) drop_name: bool,
    /// One value a step, [`ABSENT`] where there is none.
    pub(super) values: Vec<f64>,
    pub(super) histograms: HistogramPoints,
}

impl Series {
    /// A series of floats.
    pub(super) const fn floats(labels: Labels, values: Vec<f64>) -> Self {
        Self { labels, drop_name: false, values, histograms: Vec::new() }
    }

    /// How many steps have a value, as samples are counted against the limit.
    pub(super) fn samples(&self) -> usize {
        count_present(&self.values) + self.histograms.iter().map(|(_, h)| histogram_weight(h)).sum::<usize>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.values.iter().all(|v| is_absent(*v))
    }

    /// Memory of the columns. A histogram that several steps share counts for each of them.
    pub(super) fn bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|(_, h)| histogram_weight(h) * 16).sum();
        self.values.capacity() * 8 + self.histograms.capacity() * 16 + histograms + size_of::<Self>()
    }

    /// Whether there is any value at step `k`.
    pub(super) fn has(&self, k: usize) -> bool {
        self.values.get(k).is_some_and(|v| !is_absent(*v)) || self.histogram(k).is_some()
    }

    /// The first step with a value; behind all of them when there is none.
    pub(super) fn first_step(&self) -> usize {
        let float = self.values.iter().position(|v| !is_absent(*v)).unwrap_or(usize::MAX);
        float.min(self.histograms.first().map_or(usize::MAX, |(k, _)| *k as usize))
    }

    /// The histogram at step `k`.
    pub(super) fn histogram(&self, k: usize) -> Option<&Arc<FloatHistogram>> {
        if self.histograms.is_empty() {
            return None;
        }
        let i = self.histograms.binary_search_by_key(&k, |(s, _)| *s as usize).ok()?;
        self.histograms.get(i).map(|(_, h)| h)
    }

    /// Takes away the value at each step that `keep` does not want.
    pub(super) fn retain_steps(&mut self, keep: impl Fn(usize) -> bool) {
        for (k, v) in self.values.iter_mut().enumerate() {
            if !keep(k) {
                *v = ABSENT;
            }
        }
        self.histograms.retain(|(k, _)| keep(*k as usize));
    }
}

/// The last step with a value of either kind.
pub(super) fn last_step(values: &[f64], histograms: &[(u32, Arc<FloatHistogram>)]) -> Option<usize> {
    let float = values.iter().rposition(|v| !is_absent(*v));
    float.max(histograms.last().map(|(k, _)| *k as usize))
}

/// How many of a column's values are there.
pub(super) fn count_present(values: &[f64]) -> usize {
    values.iter().filter(|v| !is_absent(**v)).count()
}

/// How many floats a histogram counts for: its size in memory over that of a float sample, as in Prometheus.
pub(super) fn histogram_weight(h: &FloatHistogram) -> usize {
    let buckets = h.positive_buckets.len() + h.negative_buckets.len();
    let spans = h.positive_spans.len() + h.negative_spans.len();
    (176 + (buckets + spans + h.custom_values.len()) * 8) / 16
}

/// Samples and bytes of a whole vector.
pub(super) fn weigh(series: &[Series]) -> (usize, usize) {
    series.iter().fold((0, 0), |(s, b), x| (s + x.samples(), b + x.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_ends_at_its_last_whole_step() {
        assert_eq!(Grid::new(0, 100, 30).times().collect::<Vec<_>>(), [0, 30, 60, 90]);
        assert_eq!(Grid::new(5, 4, 1).count, 0);
        assert_eq!(Grid::new(5, 5, 10).count, 1);
    }

    #[test]
    fn arithmetic_never_gives_an_absent_value() {
        assert!(is_absent(ABSENT));
        assert!(!is_absent(f64::NAN));
        for v in [ABSENT + 1.0, ABSENT * 0.0, ABSENT.sqrt(), f64::NAN] {
            assert!(!is_absent(v));
        }
    }
}
