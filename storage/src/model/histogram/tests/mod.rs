//! Tests of histograms: what is stored, examples of the mathematics, and laws that hold for any histograms.

mod laws;
mod resets;
mod shapes;
mod sums;
mod texts;
mod trimming;

use super::*;

/// A float histogram with these positive spans and counts, and nothing else.
fn positive(schema: i32, spans: &[(i32, u32)], counts: &[f64]) -> FloatHistogram {
    FloatHistogram {
        schema,
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: counts.iter().sum(),
        sum: 0.0,
        reset_hint: ResetHint::Unknown,
        positive_spans: spans_of(spans),
        negative_spans: Vec::new(),
        positive_buckets: counts.to_vec(),
        negative_buckets: Vec::new(),
        custom_values: Vec::new(),
    }
}

/// A float histogram with custom bounds and a count for each bucket.
fn bounded(bounds: &[f64], counts: &[f64]) -> FloatHistogram {
    let mut h = positive(CUSTOM_BUCKETS_SCHEMA, &[(0, counts.len() as u32)], counts);
    h.custom_values = bounds.to_vec();
    h
}

/// The same with negative buckets too.
fn with_negative(mut h: FloatHistogram, spans: &[(i32, u32)], counts: &[f64]) -> FloatHistogram {
    h.negative_spans = spans_of(spans);
    h.negative_buckets = counts.to_vec();
    h.count += counts.iter().sum::<f64>();
    h
}

/// The same with a zero bucket too.
fn with_zero(mut h: FloatHistogram, threshold: f64, count: f64) -> FloatHistogram {
    h.zero_threshold = threshold;
    h.zero_count = count;
    h.count += count;
    h
}

fn spans_of(spans: &[(i32, u32)]) -> Vec<Span> {
    spans.iter().map(|&(offset, length)| Span { offset, length }).collect()
}

fn custom(bounds: &[f64], spans: &[(i32, u32)]) -> Histogram {
    let buckets: u32 = spans.iter().map(|s| s.1).sum();
    Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        zero_threshold: 0.0,
        sum: 1.0,
        reset_hint: ResetHint::Unknown,
        positive_spans: spans.iter().map(|&(offset, length)| Span { offset, length }).collect(),
        negative_spans: Vec::new(),
        custom_values: bounds.to_vec(),
        buckets: Buckets::Float {
            count: f64::from(buckets),
            zero_count: 0.0,
            positive: vec![1.0; buckets as usize],
            negative: Vec::new(),
        },
    }
}

#[test]
fn spans_stay_inside_the_custom_bounds() {
    assert_eq!(custom(&[1.0, 2.0], &[(0, 3)]).validate(), Ok(()));
    assert_eq!(custom(&[1.0, 2.0], &[(1, 1), (0, 1)]).validate(), Ok(()));
    let error = HistogramError::CustomSpans { bounds: 2, need: 4 };
    assert_eq!(custom(&[1.0, 2.0], &[(1, 1), (1, 1)]).validate(), Err(error));
    let error = HistogramError::SpanOffset { side: "positive", number: 1, offset: -1 };
    assert_eq!(custom(&[1.0, 2.0], &[(-1, 1)]).validate(), Err(error));
}

#[test]
fn counts_below_zero_are_refused() {
    let with = |count: f64, zero_count: f64| {
        let mut h = custom(&[1.0], &[(0, 1)]);
        h.schema = 0;
        h.custom_values = Vec::new();
        h.buckets = Buckets::Float { count, zero_count, positive: vec![1.0], negative: Vec::new() };
        h
    };
    assert_eq!(with(1.0, 0.0).validate(), Ok(()));
    assert_eq!(with(-1.0, 0.0).validate(), Err(HistogramError::Negative("count")));
    assert_eq!(with(1.0, -1.0).validate(), Err(HistogramError::Negative("zero count")));
    assert_eq!(with(1.0, -1.0).to_float().validate(), with(1.0, -1.0).validate());
}

#[test]
fn what_the_engine_could_not_read_back_is_refused() {
    let length = MAX_HISTOGRAM_BUCKETS as u32;
    let mut large = custom(&[], &[(0, length)]);
    large.schema = 0;
    assert_eq!(large.validate(), Err(HistogramError::TooLarge(MAX_HISTOGRAM_BUCKETS + 2)));
    let mut fits = custom(&[], &[(0, length - 2)]);
    fits.schema = 0;
    assert_eq!(fits.validate(), Ok(()));
}
