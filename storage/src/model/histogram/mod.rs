//! Native histograms: integer or float, with exponential or custom buckets, as Prometheus defines them
//! (prometheus/docs, `specs/native_histograms.md`). Here is what is stored; what queries compute with is in `float` and
//! the modules beside it, one a subject.

mod arithmetic;
pub mod bounds;
mod buckets;
pub mod classic;
mod compact;
mod compensated;
mod custom_bounds;
mod float;
mod layout;
mod logarithm;
mod resets;
mod resolution;
#[cfg(test)]
mod tests;
mod text;
mod trim;
mod zero_bucket;

pub use arithmetic::{HistogramMathError, Reconciled};
pub use buckets::{Bucket, SideBuckets};
pub use compensated::compensated_add;
pub use float::FloatHistogram;
pub use logarithm::log2;

use crate::encoding::{MAX_HISTOGRAM_BUCKETS, bucket_count};

/// The schema number of histograms with custom bucket bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// What is known about counter resets between a histogram and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum ResetHint {
    /// Not known: has to be found by comparison.
    #[default]
    Unknown = 0,
    /// The counter was reset.
    Reset = 1,
    /// The counter was not reset.
    NotReset = 2,
    /// A gauge: resets have no meaning.
    Gauge = 3,
}

impl ResetHint {
    /// The hint with this number, as remote write numbers them.
    #[must_use]
    pub const fn from_number(n: u64) -> Option<Self> {
        match n {
            0 => Some(Self::Unknown),
            1 => Some(Self::Reset),
            2 => Some(Self::NotReset),
            3 => Some(Self::Gauge),
            _ => None,
        }
    }
}

/// A run of consecutive buckets: `offset` buckets are left out since the span before, then `length` follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// For the first span the index of its first bucket, else the gap to the span before; never negative then.
    pub offset: i32,
    /// How many buckets the span holds.
    pub length: u32,
}

/// The counts of a histogram, either as integers with bucket deltas (as instrumented programs send them) or as floats.
#[derive(Debug, Clone, PartialEq)]
pub enum Buckets {
    /// Integer counts; each bucket is the difference to the bucket before it.
    Integer {
        /// Observations in all.
        count: u64,
        /// Observations in the zero bucket.
        zero_count: u64,
        /// Deltas of the positive buckets.
        positive: Vec<i64>,
        /// Deltas of the negative buckets.
        negative: Vec<i64>,
    },
    /// Float counts; each bucket is absolute.
    Float {
        /// Observations in all.
        count: f64,
        /// Observations in the zero bucket.
        zero_count: f64,
        /// Counts of the positive buckets.
        positive: Vec<f64>,
        /// Counts of the negative buckets.
        negative: Vec<f64>,
    },
}

/// One native histogram as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// -4 to 8 for exponential buckets, [`CUSTOM_BUCKETS_SCHEMA`] for custom ones.
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Sum of the observations; stale markers keep their NaN bits here.
    pub sum: f64,
    /// What is known about resets.
    pub reset_hint: ResetHint,
    /// Layout of the positive buckets.
    pub positive_spans: Vec<Span>,
    /// Layout of the negative buckets.
    pub negative_spans: Vec<Span>,
    /// Upper bounds of custom buckets, strictly rising, without the last +Inf; empty for exponential schemas.
    pub custom_values: Vec<f64>,
    /// The counts.
    pub buckets: Buckets,
}

/// Why a histogram is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HistogramError {
    /// A schema outside -4..=8 and not the custom one.
    #[error("histogram schema {0} is not supported: it must be between -4 and 8, or -53 for custom buckets")]
    Schema(i32),
    /// A span other than the first has a negative offset.
    #[error("{side} span number {number} has the negative offset {offset}")]
    SpanOffset {
        /// "positive" or "negative".
        side: &'static str,
        /// Which span, counted from 1.
        number: usize,
        /// Its offset.
        offset: i32,
    },
    /// The spans cover another number of buckets than there are.
    #[error("the {side} spans need {need} buckets, the histogram has {have}")]
    SpanCount {
        /// "positive" or "negative".
        side: &'static str,
        /// Buckets that the spans cover.
        need: u64,
        /// Buckets that are there.
        have: usize,
    },
    /// A bucket's count is below zero.
    #[error("{side} bucket number {number} has a negative count")]
    NegativeCount {
        /// "positive" or "negative".
        side: &'static str,
        /// Which bucket, counted from 1.
        number: usize,
    },
    /// The count of all observations, or that of the zero bucket, is below zero.
    #[error("the histogram has a negative {0}")]
    Negative(&'static str),
    /// The buckets hold another number of observations than the count says.
    #[error("the buckets hold {buckets} observations but the count is {count}")]
    CountMismatch {
        /// Sum over the buckets.
        buckets: u64,
        /// The histogram's count.
        count: u64,
    },
    /// Custom bounds are not strictly rising, or not finite.
    #[error("custom bucket bound number {0} is not finite or not above the one before it")]
    CustomBounds(usize),
    /// More buckets, spans and custom bounds than the engine stores.
    #[error("the histogram has {0} buckets, spans and bounds, the limit is {MAX_HISTOGRAM_BUCKETS}")]
    TooLarge(usize),
    /// The spans go beyond the bounds of custom buckets.
    #[error("{bounds} custom bounds make {} buckets, the spans need {need}", bounds + 1)]
    CustomSpans {
        /// Bounds that are there.
        bounds: usize,
        /// Buckets that the spans cover, gaps included.
        need: u64,
    },
    /// Something that only one kind of schema has stands in the other.
    #[error("{0}")]
    Mixed(&'static str),
}

impl Histogram {
    /// Whether this is a stale marker (its sum carries the stale NaN).
    #[must_use]
    pub fn is_stale(&self) -> bool {
        crate::model::is_stale(self.sum)
    }

    /// The same histogram with absolute float counts.
    #[must_use]
    pub fn to_float(&self) -> FloatHistogram {
        let (count, zero_count, positive_buckets, negative_buckets) = match &self.buckets {
            Buckets::Integer { count, zero_count, positive, negative } => {
                (*count as f64, *zero_count as f64, absolute(positive), absolute(negative))
            }
            Buckets::Float { count, zero_count, positive, negative } => {
                (*count, *zero_count, positive.clone(), negative.clone())
            }
        };
        FloatHistogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count,
            count,
            sum: self.sum,
            reset_hint: self.reset_hint,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            positive_buckets,
            negative_buckets,
            custom_values: self.custom_values.clone(),
        }
    }

    /// Checks what Prometheus' `Validate` checks.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn validate(&self) -> Result<(), HistogramError> {
        let size = bucket_count(self);
        if size > MAX_HISTOGRAM_BUCKETS {
            return Err(HistogramError::TooLarge(size));
        }
        let (positive, negative) = match &self.buckets {
            Buckets::Integer { positive, negative, .. } => (positive.len(), negative.len()),
            Buckets::Float { positive, negative, .. } => (positive.len(), negative.len()),
        };
        Layout {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            custom_values: &self.custom_values,
            positive: (&self.positive_spans, positive),
            negative: (&self.negative_spans, negative),
        }
        .check()?;
        match &self.buckets {
            Buckets::Integer { count, zero_count, positive, negative } => {
                let held = sum_deltas("positive", positive)?
                    .saturating_add(sum_deltas("negative", negative)?)
                    .saturating_add(*zero_count);
                // Observations of NaN are in the count and in no bucket; then the sum is NaN.
                if (self.sum.is_nan() && held > *count) || (!self.sum.is_nan() && held != *count) {
                    return Err(HistogramError::CountMismatch { buckets: held, count: *count });
                }
            }
            Buckets::Float { count, zero_count, positive, negative } => {
                check_counts("negative", negative)?;
                check_totals(self.schema, *count, *zero_count)?;
                check_counts("positive", positive)?;
            }
        }
        Ok(())
    }
}

/// Where a histogram has buckets: each side's spans, with how many counts there are.
struct Layout<'h> {
    schema: i32,
    zero_threshold: f64,
    custom_values: &'h [f64],
    positive: (&'h [Span], usize),
    negative: (&'h [Span], usize),
}

impl Layout<'_> {
    fn check(&self) -> Result<(), HistogramError> {
        let custom = self.schema == CUSTOM_BUCKETS_SCHEMA;
        if !custom && !(-4..=8).contains(&self.schema) {
            return Err(HistogramError::Schema(self.schema));
        }
        if custom {
            for (i, bound) in self.custom_values.iter().enumerate() {
                if !bound.is_finite() || (i > 0 && *bound <= self.custom_values[i - 1]) {
                    return Err(HistogramError::CustomBounds(i + 1));
                }
            }
            if !self.negative.0.is_empty() {
                return Err(HistogramError::Mixed("a histogram with custom buckets has no negative buckets"));
            }
            if self.zero_threshold != 0.0 {
                return Err(HistogramError::Mixed("a histogram with custom buckets has no zero bucket"));
            }
        } else if !self.custom_values.is_empty() {
            return Err(HistogramError::Mixed("only a histogram of schema -53 has custom bucket bounds"));
        }
        check_spans("positive", self.positive.0, self.positive.1)?;
        check_spans("negative", self.negative.0, self.negative.1)?;
        if custom { check_custom_spans(self.positive.0, self.custom_values.len()) } else { Ok(()) }
    }
}

fn check_counts(side: &'static str, counts: &[f64]) -> Result<(), HistogramError> {
    match counts.iter().position(|c| *c < 0.0) {
        Some(i) => Err(HistogramError::NegativeCount { side, number: i + 1 }),
        None => Ok(()),
    }
}

/// Checks the counts of floats that are no bucket's.
fn check_totals(schema: i32, count: f64, zero_count: f64) -> Result<(), HistogramError> {
    if schema == CUSTOM_BUCKETS_SCHEMA && zero_count != 0.0 {
        return Err(HistogramError::Mixed("a histogram with custom buckets has no zero bucket"));
    }
    for (what, n) in [("zero count", zero_count), ("count", count)] {
        if n < 0.0 {
            return Err(HistogramError::Negative(what));
        }
    }
    Ok(())
}

fn absolute(deltas: &[i64]) -> Vec<f64> {
    let mut at = 0i64;
    deltas
        .iter()
        .map(|d| {
            at = at.wrapping_add(*d);
            at as f64
        })
        .collect()
}

fn sum_deltas(side: &'static str, deltas: &[i64]) -> Result<u64, HistogramError> {
    let (mut at, mut sum) = (0i64, 0u64);
    for (i, d) in deltas.iter().enumerate() {
        at = at.wrapping_add(*d);
        let count = u64::try_from(at).map_err(|_| HistogramError::NegativeCount { side, number: i + 1 })?;
        sum = sum.saturating_add(count);
    }
    Ok(sum)
}

/// The last bucket of custom bounds ends at +Inf, behind the last bound. Buckets are counted from the first bound.
fn check_custom_spans(spans: &[Span], bounds: usize) -> Result<(), HistogramError> {
    let mut need = 0u64;
    for (i, span) in spans.iter().enumerate() {
        let gap = u64::try_from(span.offset).map_err(|_| HistogramError::SpanOffset {
            side: "positive",
            number: i + 1,
            offset: span.offset,
        })?;
        need += gap + u64::from(span.length);
    }
    if need > bounds as u64 + 1 { Err(HistogramError::CustomSpans { bounds, need }) } else { Ok(()) }
}

fn check_spans(side: &'static str, spans: &[Span], have: usize) -> Result<(), HistogramError> {
    for (i, span) in spans.iter().enumerate().skip(1) {
        if span.offset < 0 {
            return Err(HistogramError::SpanOffset { side, number: i + 1, offset: span.offset });
        }
    }
    let need: u64 = spans.iter().map(|s| u64::from(s.length)).sum();
    if need != have as u64 {
        return Err(HistogramError::SpanCount { side, need, have });
    }
    Ok(())
}
