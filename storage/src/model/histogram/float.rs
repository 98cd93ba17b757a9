//! The histogram that queries compute with: absolute float counts.

use super::{
    Buckets, CUSTOM_BUCKETS_SCHEMA, Histogram, HistogramError, Layout, ResetHint, Span, check_counts, check_totals,
    layout::same_layout,
};
use crate::encoding::MAX_HISTOGRAM_BUCKETS;

/// A histogram with absolute float counts: what queries compute with.
///
/// Arithmetic neither needs nor makes a valid histogram in the sense of [`FloatHistogram::validate`]: a difference has
/// negative counts. Counts without a span, and spans without counts, are as if they were not there.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatHistogram {
    /// As in [`Histogram`].
    pub schema: i32,
    /// As in [`Histogram`].
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// Observations in all.
    pub count: f64,
    /// Sum of the observations.
    pub sum: f64,
    /// As in [`Histogram`].
    pub reset_hint: ResetHint,
    /// As in [`Histogram`].
    pub positive_spans: Vec<Span>,
    /// As in [`Histogram`].
    pub negative_spans: Vec<Span>,
    /// Absolute counts of the positive buckets.
    pub positive_buckets: Vec<f64>,
    /// Absolute counts of the negative buckets.
    pub negative_buckets: Vec<f64>,
    /// As in [`Histogram`].
    pub custom_values: Vec<f64>,
}

impl FloatHistogram {
    /// Whether the buckets have custom bounds.
    #[must_use]
    pub const fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// The same histogram as it is stored, with float counts.
    #[must_use]
    pub fn to_stored(&self) -> Histogram {
        self.clone().into()
    }

    /// Multiplies the counts and the sum. A negative factor makes it a gauge.
    pub fn mul(&mut self, factor: f64) {
        self.zero_count *= factor;
        self.count *= factor;
        self.sum *= factor;
        self.positive_buckets.iter_mut().chain(&mut self.negative_buckets).for_each(|c| *c *= factor);
        if factor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
    }

    /// Divides the counts and the sum. A negative divisor makes it a gauge; zero removes all buckets but the zero
    /// bucket, and what is left is infinite, or NaN where there was nothing.
    pub fn div(&mut self, divisor: f64) {
        self.zero_count /= divisor;
        self.count /= divisor;
        self.sum /= divisor;
        if divisor == 0.0 {
            self.positive_buckets.clear();
            self.negative_buckets.clear();
            self.positive_spans.clear();
            self.negative_spans.clear();
            return;
        }
        self.positive_buckets.iter_mut().chain(&mut self.negative_buckets).for_each(|c| *c /= divisor);
        if divisor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
    }

    /// Whether both have the same data: schema, bounds and counts, these by their bits. The reset hint plays no part,
    /// nor do empty spans.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && (!self.uses_custom_buckets() || self.custom_values == other.custom_values)
            && self.zero_threshold == other.zero_threshold
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && same_layout(&self.negative_spans, &other.negative_spans)
            && same_bits(&self.negative_buckets, &other.negative_buckets)
            && same_layout(&self.positive_spans, &other.positive_spans)
            && same_bits(&self.positive_buckets, &other.positive_buckets)
    }

    /// Whether any count, the sum or a bound is infinite: additions went beyond what a float holds.
    #[must_use]
    pub fn has_overflow(&self) -> bool {
        [self.zero_count, self.count, self.sum]
            .iter()
            .chain(&self.positive_buckets)
            .chain(&self.negative_buckets)
            .chain(&self.custom_values)
            .any(|v| v.is_infinite())
    }

    /// The size in bytes that Prometheus counts a histogram with, for limits on samples.
    #[must_use]
    pub const fn size(&self) -> usize {
        let spans = self.positive_spans.len() + self.negative_spans.len();
        let counts = self.positive_buckets.len() + self.negative_buckets.len();
        168 + 8 * (spans + counts + self.custom_values.len())
    }

    /// Checks what Prometheus' `Validate` checks of a histogram that is to be stored.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn validate(&self) -> Result<(), HistogramError> {
        let size = self.positive_spans.len()
            + self.negative_spans.len()
            + self.positive_buckets.len()
            + self.negative_buckets.len()
            + self.custom_values.len();
        if size > MAX_HISTOGRAM_BUCKETS {
            return Err(HistogramError::TooLarge(size));
        }
        Layout {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            custom_values: &self.custom_values,
            positive: (&self.positive_spans, self.positive_buckets.len()),
            negative: (&self.negative_spans, self.negative_buckets.len()),
        }
        .check()?;
        check_counts("negative", &self.negative_buckets)?;
        check_totals(self.schema, self.count, self.zero_count)?;
        check_counts("positive", &self.positive_buckets)
    }
}

impl From<FloatHistogram> for Histogram {
    fn from(h: FloatHistogram) -> Self {
        Self {
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            sum: h.sum,
            reset_hint: h.reset_hint,
            positive_spans: h.positive_spans,
            negative_spans: h.negative_spans,
            custom_values: h.custom_values,
            buckets: Buckets::Float {
                count: h.count,
                zero_count: h.zero_count,
                positive: h.positive_buckets,
                negative: h.negative_buckets,
            },
        }
    }
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
