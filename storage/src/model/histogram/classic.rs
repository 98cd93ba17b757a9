//! From a classic histogram, with its cumulative `_bucket` series, to one with custom buckets.

use super::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, HistogramError, ResetHint, Span, text::general};

/// Why the samples of a classic histogram make no histogram.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClassicError {
    /// A bound is no number.
    #[error("bucket boundary must not be NaN")]
    NanBound,
    /// A bucket holds less than nothing.
    #[error("bucket count must be non-negative: le={}, count={}", general(*le), general(*count))]
    NegativeBucket {
        /// The bucket's bound.
        le: f64,
        /// Its cumulative count.
        count: f64,
    },
    /// A bucket holds less than one below it.
    #[error("count is not cumulative: {} {} {}", general(*count), if count < neighbour { '<' } else { '>' }, general(*neighbour))]
    NotCumulative {
        /// The bucket's cumulative count.
        count: f64,
        /// That of the bucket next to it.
        neighbour: f64,
    },
    /// The count of observations is below zero.
    #[error("count must be non-negative: count={}", general(*.0))]
    NegativeCount(f64),
    /// The last bucket holds another number than the count tells.
    #[error("count mismatch: count={} != le={} count={}", general(*count), general(*le), general(*last))]
    CountMismatch {
        /// The count.
        count: f64,
        /// The last bucket's bound.
        le: f64,
        /// Its cumulative count.
        last: f64,
    },
    /// What came out breaks a rule of histograms.
    #[error(transparent)]
    Invalid(#[from] HistogramError),
}

/// Gathers the samples that a classic histogram has at one time, in any order.
///
/// Of two buckets with the same bound the first one counts. A missing count is that of the highest bucket, a missing
/// bucket up to +Inf has the count, a missing sum is 0.
#[derive(Debug, Clone, Default)]
pub struct ClassicHistogram {
    /// Bounds and cumulative counts; both rise.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    /// The first error; nothing is taken in behind it.
    error: Option<ClassicError>,
}

impl ClassicHistogram {
    /// Takes in a bucket: its upper bound and its cumulative count.
    ///
    /// # Errors
    /// The bound is NaN, or the count does not fit the other buckets. The error stays, [`ClassicHistogram::convert`]
    /// returns it again.
    pub fn set_bucket(&mut self, le: f64, count: f64) -> Result<(), ClassicError> {
        let checked = self.place(le, count);
        if let Some(place) = self.keep(checked)? {
            self.buckets.insert(place, (le, count));
        }
        Ok(())
    }

    /// Where a bucket belongs; `None` when its bound is there already.
    fn place(&self, le: f64, count: f64) -> Result<Option<usize>, ClassicError> {
        if le.is_nan() {
            return Err(ClassicError::NanBound);
        }
        if count < 0.0 {
            return Err(ClassicError::NegativeBucket { le, count });
        }
        let place = self.buckets.partition_point(|(bound, _)| *bound < le);
        let above = self.buckets.get(place);
        if above.is_some_and(|(bound, _)| *bound == le) {
            return Ok(None);
        }
        if let Some((_, below)) = place.checked_sub(1).and_then(|i| self.buckets.get(i))
            && count < *below
        {
            return Err(ClassicError::NotCumulative { count, neighbour: *below });
        }
        if let Some((_, above)) = above
            && count > *above
        {
            return Err(ClassicError::NotCumulative { count, neighbour: *above });
        }
        Ok(Some(place))
    }

    /// Takes in the count of observations.
    ///
    /// # Errors
    /// It is negative, or there was an error before.
    pub fn set_count(&mut self, count: f64) -> Result<(), ClassicError> {
        let checked = if count < 0.0 { Err(ClassicError::NegativeCount(count)) } else { Ok(()) };
        self.keep(checked)?;
        self.count = Some(count);
        Ok(())
    }

    /// Takes in the sum of observations.
    ///
    /// # Errors
    /// There was an error before.
    pub fn set_sum(&mut self, sum: f64) -> Result<(), ClassicError> {
        self.keep(Ok(()))?;
        self.sum = sum;
        Ok(())
    }

    fn keep<T>(&mut self, checked: Result<T, ClassicError>) -> Result<T, ClassicError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        if let Err(error) = &checked {
            self.error = Some(error.clone());
        }
        checked
    }

    /// The histogram with custom buckets.
    ///
    /// # Errors
    /// There was an error before, the count differs from that of the last bucket, or what comes out is not valid.
    pub fn convert(mut self) -> Result<FloatHistogram, ClassicError> {
        self.keep(Ok(()))?;
        let count = self.count.or_else(|| self.buckets.last().map(|(_, count)| *count)).unwrap_or(0.0);
        if self.buckets.last().is_none_or(|(le, _)| *le != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut below = 0.0;
        let mut counts = Vec::with_capacity(self.buckets.len());
        for (_, cumulative) in &self.buckets {
            counts.push(cumulative - below);
            below = *cumulative;
        }
        if count != below {
            return Err(ClassicError::CountMismatch { count, le: f64::INFINITY, last: below });
        }
        let whole = self.buckets.iter().all(|(_, c)| c.trunc() == *c) && count.trunc() == count;
        let mut histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count,
            sum: self.sum,
            reset_hint: ResetHint::Unknown,
            positive_spans: vec![Span { offset: 0, length: u32::try_from(counts.len()).unwrap_or(u32::MAX) }],
            negative_spans: Vec::new(),
            positive_buckets: counts,
            negative_buckets: Vec::new(),
            custom_values: self.buckets.iter().map(|(le, _)| *le).filter(|le| *le != f64::INFINITY).collect(),
        };
        // Prometheus stores whole counts as an integer histogram, in whose layout a few empty buckets stay.
        histogram.compact(if whole { 2 } else { 0 });
        histogram.validate()?;
        Ok(histogram)
    }
}
