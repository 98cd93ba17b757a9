//! Tests of what is stored, and of laws that hold for any histograms.

use super::*;

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
fn what_the_engine_could_not_read_back_is_refused() {
    let length = MAX_HISTOGRAM_BUCKETS as u32;
    let mut large = custom(&[], &[(0, length)]);
    large.schema = 0;
    assert_eq!(large.validate(), Err(HistogramError::TooLarge(MAX_HISTOGRAM_BUCKETS + 2)));
    let mut fits = custom(&[], &[(0, length - 2)]);
    fits.schema = 0;
    assert_eq!(fits.validate(), Ok(()));
}
