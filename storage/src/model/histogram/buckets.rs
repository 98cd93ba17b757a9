//! The buckets of a histogram with their bounds, in both directions, without memory of their own.

use std::{fmt, iter::FusedIterator};

use super::{
    CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Span,
    bounds::{custom_bound, exponential_bound},
    layout::narrow,
    logarithm::log2,
    text::general,
};

/// A bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Whether the lower bound belongs to the bucket.
    pub lower_inclusive: bool,
    /// Whether the upper bound belongs to the bucket.
    pub upper_inclusive: bool,
    /// Observations in the bucket.
    pub count: f64,
    /// The index within the schema, comparable among buckets of the same side; 0 for the zero bucket.
    pub index: i32,
}

impl Bucket {
    /// The fraction of the bucket's width at or below `value`, which is inside of finite bounds: on a linear scale, or
    /// on a logarithmic one as exponential buckets are interpolated.
    #[must_use]
    pub fn fraction_below(&self, value: f64, linear: bool) -> f64 {
        if linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let lower = log2(self.lower.abs());
        let upper = log2(self.upper.abs());
        let at = log2(value.abs());
        if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - ((at - upper) / (lower - upper)) }
    }
}

/// In mathematical notation, with the count: `(0.5,1]:3`.
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        write!(f, "{open}{},{}{close}:{}", general(self.lower), general(self.upper), general(self.count))
    }
}

/// The buckets of one side, from the zero bucket outwards; `rev` comes back to it.
#[derive(Debug, Clone)]
pub struct SideBuckets<'h> {
    schema: i32,
    positive: bool,
    bounds: &'h [f64],
    counts: &'h [f64],
    /// The span of the first bucket that is left, and those up to the last bucket that is left.
    spans: &'h [Span],
    /// The index and the place in its span of the first bucket that is left.
    front: (i64, u32),
    /// The index behind the last bucket that is left, and how many buckets of its span are left.
    back: (i64, u32),
}

impl<'h> SideBuckets<'h> {
    fn new(histogram: &'h FloatHistogram, positive: bool) -> Self {
        let (mut spans, mut counts) = if positive {
            (histogram.positive_spans.as_slice(), histogram.positive_buckets.as_slice())
        } else {
            (histogram.negative_spans.as_slice(), histogram.negative_buckets.as_slice())
        };
        // Counts and spans are made to cover each other, so that both directions see the same buckets.
        let (mut end, mut covered, mut back) = (0i64, 0usize, (0, 0));
        for (i, span) in spans.iter().enumerate() {
            let first = end + i64::from(span.offset);
            end = first + i64::from(span.length);
            let length = (span.length as usize).min(counts.len() - covered);
            covered += length;
            back = (first + length as i64, length as u32);
            if length < span.length as usize {
                spans = spans.get(..=i).unwrap_or_default();
                break;
            }
        }
        counts = counts.get(..covered).unwrap_or_default();
        let front = (spans.first().map_or(0, |s| i64::from(s.offset)), 0);
        Self { schema: histogram.schema, positive, bounds: &histogram.custom_values, counts, spans, front, back }
    }

    fn bucket(&self, index: i64, count: f64) -> Bucket {
        let index = narrow(index);
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            return Bucket {
                lower: custom_bound(index.saturating_sub(1), self.bounds),
                upper: custom_bound(index, self.bounds),
                lower_inclusive: index == 0,
                upper_inclusive: true,
                count,
                index,
            };
        }
        let far = exponential_bound(index, self.schema);
        let near = exponential_bound(index.saturating_sub(1), self.schema);
        let (lower, upper) = if self.positive { (near, far) } else { (-far, -near) };
        Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count, index }
    }
}

impl Iterator for SideBuckets<'_> {
    type Item = Bucket;

    fn next(&mut self) -> Option<Bucket> {
        let (count, rest) = self.counts.split_first()?;
        while self.front.1 >= self.spans.first()?.length {
            self.spans = self.spans.get(1..)?;
            self.front = (self.front.0 + i64::from(self.spans.first()?.offset), 0);
        }
        let index = self.front.0;
        self.front = (index + 1, self.front.1 + 1);
        self.counts = rest;
        Some(self.bucket(index, *count))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.counts.len(), Some(self.counts.len()))
    }
}

impl DoubleEndedIterator for SideBuckets<'_> {
    fn next_back(&mut self) -> Option<Bucket> {
        let (count, rest) = self.counts.split_last()?;
        while self.back.1 == 0 {
            let (span, before) = self.spans.split_last()?;
            self.back = (self.back.0 - i64::from(span.offset), before.last()?.length);
            self.spans = before;
        }
        let index = self.back.0 - 1;
        self.back = (index, self.back.1 - 1);
        self.counts = rest;
        Some(self.bucket(index, *count))
    }
}

impl ExactSizeIterator for SideBuckets<'_> {}
impl FusedIterator for SideBuckets<'_> {}

impl FloatHistogram {
    /// The positive buckets, or all of a histogram with custom bounds, by rising bounds.
    #[must_use]
    pub fn positive_buckets(&self) -> SideBuckets<'_> {
        SideBuckets::new(self, true)
    }

    /// The negative buckets, from the zero bucket downwards.
    #[must_use]
    pub fn negative_buckets(&self) -> SideBuckets<'_> {
        SideBuckets::new(self, false)
    }

    /// The zero bucket. A histogram with custom bounds has none; it comes out empty then.
    #[must_use]
    pub const fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
            index: 0,
        }
    }

    /// All buckets by rising bounds. The zero bucket is among them when something is in it; buckets that reach into it
    /// are cut at the zero threshold.
    pub fn all_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> {
        let cut = move |mut bucket: Bucket| {
            if bucket.upper < 0.0 && bucket.upper > -self.zero_threshold {
                bucket.upper = -self.zero_threshold;
            } else if bucket.lower > 0.0 && bucket.lower < self.zero_threshold {
                bucket.lower = self.zero_threshold;
            }
            bucket
        };
        let zero = (self.zero_count > 0.0 && !self.uses_custom_buckets()).then(|| self.zero_bucket());
        self.negative_buckets().rev().map(cut).chain(zero).chain(self.positive_buckets().map(cut))
    }

    /// All buckets as [`FloatHistogram::all_buckets`] tells them, by falling bounds.
    pub fn all_buckets_reverse(&self) -> impl DoubleEndedIterator<Item = Bucket> {
        self.all_buckets().rev()
    }
}
