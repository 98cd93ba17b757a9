//! The histogram samples of one series as columns, with what is known about counter resets between them.
//!
//! Prometheus tells a query for each histogram whether the counter was reset before it, from how its storage laid the
//! sample into chunks: a sample that goes on where the one before it ended was not reset, and nothing is known of one
//! that begins a chunk. What is known decides what sums of histograms are marked as and which warnings they give. This
//! engine finds the same by comparing neighbours when samples are read. That is right whatever the storage did since:
//! what was stored with a sample when it was appended is not, once a late sample stands between it and its neighbour.
//! It also saves work, for each pair is compared once and not once a window.

use std::sync::Arc;

use chronolith_storage::{Buckets, FloatHistogram, Histogram, ResetHint, SampleBuffer};

use super::{error::Result, kernels::samples::Column};

/// How far before a sample the one before it is looked for when it was not read anyway: as long as a chunk of
/// Prometheus can be.
pub(super) const NEIGHBOURHOOD_MS: i64 = 2 * 60 * 60 * 1000;

/// The histogram samples of one series as columns of one length, by rising timestamp.
#[derive(Debug, Default)]
pub(super) struct HistogramColumn {
    pub(super) timestamps: Vec<i64>,
    /// 0 where none is known.
    pub(super) start_timestamps: Vec<i64>,
    pub(super) values: Vec<Arc<FloatHistogram>>,
}

impl HistogramColumn {
    pub(super) fn clear(&mut self) {
        self.timestamps.clear();
        self.start_timestamps.clear();
        self.values.clear();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// The samples as functions of windows see them, with start timestamps where they count.
    pub(super) fn column(&self, starts: bool) -> Column<'_, Arc<FloatHistogram>> {
        let starts = if starts { self.start_timestamps.as_slice() } else { &[] };
        Column { timestamps: &self.timestamps, values: &self.values, starts }
    }

    /// Appends a sample later than all before it.
    pub(super) fn push(&mut self, timestamp: i64, start_timestamp: i64, value: Arc<FloatHistogram>) {
        self.timestamps.push(timestamp);
        self.start_timestamps.push(start_timestamp);
        self.values.push(value);
    }

    /// Appends all histograms of a buffer but stale markers.
    pub(super) fn extend(&mut self, buffer: &SampleBuffer, stats_only: bool, before_all: BeforeAll<'_>) -> Result<()> {
        let mut reader = HistogramReader::new(buffer, stats_only, before_all);
        for (i, s) in buffer.histograms.iter().enumerate() {
            if !s.histogram.is_stale() {
                self.push(s.timestamp, s.start_timestamp, reader.value(i)?);
            }
        }
        Ok(())
    }
}

/// Gives the histogram before a time that is the first of what was read, when no other sample stands between.
pub(super) type BeforeAll<'a> = &'a mut dyn FnMut(i64) -> Result<Option<Arc<Histogram>>>;

/// Converts the histograms of a buffer to what queries compute with.
pub(super) struct HistogramReader<'a> {
    buffer: &'a SampleBuffer,
    stats_only: bool,
    before_all: BeforeAll<'a>,
    /// The last that was asked for, whole and with its hint, and what was given for it.
    last: Option<(usize, Arc<FloatHistogram>, Arc<FloatHistogram>)>,
}

impl<'a> HistogramReader<'a> {
    pub(super) fn new(buffer: &'a SampleBuffer, stats_only: bool, before_all: BeforeAll<'a>) -> Self {
        Self { buffer, stats_only, before_all, last: None }
    }

    /// The histogram number `i` of the buffer. The same again, and the one after it, cost least.
    pub(super) fn value(&mut self, i: usize) -> Result<Arc<FloatHistogram>> {
        if let Some((last, _, value)) = &self.last
            && *last == i
        {
            return Ok(Arc::clone(value));
        }
        let sample = &self.buffer.histograms[i];
        let mut whole = sample.histogram.to_float();
        whole.reset_hint = ResetHint::Unknown;
        whole.reset_hint = self.hint(i, &whole)?;
        let whole = Arc::new(whole);
        let value = if self.stats_only { Arc::new(self.stats(i, &whole)) } else { Arc::clone(&whole) };
        self.last = Some((i, whole, Arc::clone(&value)));
        Ok(value)
    }

    /// What is known about a reset between a sample, whose hint is not yet known, and the one before it.
    fn hint(&mut self, i: usize, whole: &FloatHistogram) -> Result<ResetHint> {
        let sample = &self.buffer.histograms[i];
        // What a sender says about a single sample holds for gauges only. Prometheus begins a chunk where a sender tells
        // a reset, and so nothing is known.
        match sample.histogram.reset_hint {
            ResetHint::Gauge => return Ok(ResetHint::Gauge),
            ResetHint::Reset => return Ok(ResetHint::Unknown),
            ResetHint::Unknown | ResetHint::NotReset => {}
        }
        let before = match i.checked_sub(1) {
            Some(j) if self.adjacent(j, i) => Some(Arc::clone(&self.buffer.histograms[j].histogram)),
            None if self.buffer.timestamps.first().is_none_or(|t| *t > sample.timestamp) => {
                (self.before_all)(sample.timestamp)?
            }
            _ => None,
        };
        let goes_on = before.is_some_and(|before| {
            same_layout(&before, &sample.histogram)
                && match &self.last {
                    Some((j, last, _)) if *j + 1 == i => !whole.detect_reset(last),
                    _ => !whole.detect_reset(&before.to_float()),
                }
        });
        Ok(if goes_on { ResetHint::NotReset } else { ResetHint::Unknown })
    }

    /// Whether no float stands between two histograms.
    fn adjacent(&self, before: usize, after: usize) -> bool {
        let at = |i: usize| self.buffer.histograms[i].timestamp;
        let next = self.buffer.timestamps.partition_point(|t| *t < at(before));
        self.buffer.timestamps.get(next).is_none_or(|t| *t > at(after))
    }

    /// Count and sum alone. The buckets are gone with which resets could be found, so they are found here, whatever
    /// the layout.
    fn stats(&self, i: usize, whole: &FloatHistogram) -> FloatHistogram {
        let mut hint = whole.reset_hint;
        let before = self.buffer.histograms[..i].iter().rev().find(|s| !s.histogram.is_stale());
        if hint == ResetHint::Unknown
            && let Some(before) = before
        {
            let fell = match &self.last {
                Some((j, last, _)) if *j + 1 == i && !self.is_stale(*j) => whole.detect_reset(last),
                _ => whole.detect_reset(&before.histogram.to_float()),
            };
            hint = if fell { ResetHint::Reset } else { ResetHint::NotReset };
        }
        FloatHistogram {
            schema: whole.schema,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count: whole.count,
            sum: whole.sum,
            reset_hint: hint,
            positive_spans: Vec::new(),
            negative_spans: Vec::new(),
            positive_buckets: Vec::new(),
            negative_buckets: Vec::new(),
            custom_values: Vec::new(),
        }
    }

    fn is_stale(&self, i: usize) -> bool {
        self.buffer.histograms[i].histogram.is_stale()
    }
}

/// Whether both could stand in one chunk of Prometheus.
fn same_layout(before: &Histogram, sample: &Histogram) -> bool {
    before.reset_hint != ResetHint::Gauge
        && !before.is_stale()
        && matches!(before.buckets, Buckets::Float { .. }) == matches!(sample.buckets, Buckets::Float { .. })
        && before.schema == sample.schema
        && before.zero_threshold == sample.zero_threshold
        && before.custom_values == sample.custom_values
}

/// The last sample of a buffer, if it is a histogram.
pub(super) fn last_histogram(buffer: &SampleBuffer) -> Option<&Arc<Histogram>> {
    let last = buffer.histograms.last()?;
    buffer.timestamps.last().is_none_or(|t| *t < last.timestamp).then_some(&last.histogram)
}

#[cfg(test)]
mod tests {
    use chronolith_storage::{Span, read::HistogramSample};

    use super::*;

    /// A histogram of schema 0 whose first buckets have these counts.
    fn sample(timestamp: i64, counts: &[f64], reset_hint: ResetHint) -> HistogramSample {
        let sum = counts.iter().sum();
        let histogram = Histogram {
            schema: 0,
            zero_threshold: 0.0,
            sum,
            reset_hint,
            positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
            negative_spans: Vec::new(),
            custom_values: Vec::new(),
            buckets: Buckets::Float { count: sum, zero_count: 0.0, positive: counts.to_vec(), negative: Vec::new() },
        };
        HistogramSample { timestamp, start_timestamp: 0, histogram: Arc::new(histogram) }
    }

    fn hints(buffer: &SampleBuffer, stats_only: bool, before: Option<&HistogramSample>) -> Vec<ResetHint> {
        let mut column = HistogramColumn::default();
        let mut before_all = |_| Ok(before.map(|s| Arc::clone(&s.histogram)));
        column.extend(buffer, stats_only, &mut before_all).unwrap();
        column.values.iter().map(|h| h.reset_hint).collect()
    }

    #[test]
    fn hints_are_found_by_comparing_neighbours() {
        use ResetHint::{Gauge, NotReset, Reset, Unknown};
        let histograms = vec![
            sample(10, &[1.0, 1.0], NotReset),
            sample(20, &[1.0, 2.0], Unknown),
            // The count is not below that before, but a bucket is.
            sample(30, &[4.0, 0.0], NotReset),
            // Told by the sender, and not seen in the counts.
            sample(40, &[5.0, 1.0], Reset),
            sample(50, &[6.0, 1.0], Unknown),
            sample(60, &[1.0, 1.0], Gauge),
            sample(70, &[9.0, 9.0], Unknown),
        ];
        let mut buffer = SampleBuffer { histograms, ..SampleBuffer::default() };
        let want = [Unknown, NotReset, Unknown, Unknown, NotReset, Gauge, Unknown];
        assert_eq!(hints(&buffer, false, None), want);
        // What was before the first goes on in it, or not.
        assert_eq!(hints(&buffer, false, Some(&sample(5, &[1.0, 1.0], Unknown)))[0], NotReset);
        assert_eq!(hints(&buffer, false, Some(&sample(5, &[2.0, 0.0], Unknown)))[0], Unknown);
        // Without buckets, resets are told as well.
        assert_eq!(hints(&buffer, true, None), [Unknown, NotReset, Reset, NotReset, NotReset, Gauge, NotReset]);
        // A float between two begins anew, and so does one before the first.
        buffer.push_float(15, 1.0, 0);
        assert_eq!(hints(&buffer, false, None)[..3], [Unknown, Unknown, Unknown]);
        buffer.timestamps[0] = 1;
        assert_eq!(hints(&buffer, false, Some(&sample(0, &[1.0, 1.0], Unknown)))[..2], [Unknown, NotReset]);
    }

    #[test]
    fn stale_markers_begin_anew_and_are_no_samples() {
        let stale = f64::from_bits(super::super::grid::STALE_BITS);
        let mut marker = sample(20, &[], ResetHint::Unknown);
        Arc::make_mut(&mut marker.histogram).sum = stale;
        let histograms = vec![sample(10, &[1.0], ResetHint::Unknown), marker, sample(30, &[2.0], ResetHint::Unknown)];
        let buffer = SampleBuffer { histograms, ..SampleBuffer::default() };
        assert_eq!(hints(&buffer, false, None), [ResetHint::Unknown; 2]);
        assert_eq!(hints(&buffer, true, None), [ResetHint::Unknown, ResetHint::NotReset]);
    }
}
