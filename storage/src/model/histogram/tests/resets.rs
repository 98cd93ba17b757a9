//! Counter resets by example.

use super::*;

fn base() -> FloatHistogram {
    with_zero(with_negative(positive(1, &[(1, 2), (1, 1)], &[3.0, 4.0, 5.0]), &[(0, 1)], &[6.0]), 0.25, 2.0)
}

/// `base` with more observations, so that the count alone tells nothing.
fn more(change: impl FnOnce(&mut FloatHistogram)) -> FloatHistogram {
    let mut h = base();
    h.count = 100.0;
    change(&mut h);
    h
}

#[test]
fn what_only_grows_was_not_reset() {
    assert!(!base().detect_reset(&base()));
    assert!(!more(|h| h.positive_buckets[1] = 40.0).detect_reset(&base()));
    // New buckets, and old ones without observations that went.
    let grown = more(|h| {
        h.positive_spans = spans_of(&[(0, 5)]);
        h.positive_buckets = vec![1.0, 3.0, 4.0, 1.0, 5.0];
    });
    assert!(!grown.detect_reset(&base()));
    let mut with_empty = base();
    with_empty.positive_spans = spans_of(&[(1, 2), (1, 2)]);
    with_empty.positive_buckets.push(0.0);
    assert!(!more(|_| ()).detect_reset(&with_empty));
}

#[test]
fn what_became_smaller_was_reset() {
    let mut fewer = base();
    fewer.count -= 1.0;
    assert!(fewer.detect_reset(&base()));
    assert!(more(|h| h.positive_buckets[1] = 3.5).detect_reset(&base()));
    assert!(more(|h| h.negative_buckets[0] = 5.0).detect_reset(&base()));
    assert!(more(|h| h.zero_count = 1.0).detect_reset(&base()));
    let gone = more(|h| {
        h.positive_spans = spans_of(&[(1, 2)]);
        h.positive_buckets.pop();
    });
    assert!(gone.detect_reset(&base()));
    let all_gone = more(|h| {
        h.negative_spans.clear();
        h.negative_buckets.clear();
    });
    assert!(all_gone.detect_reset(&base()));
}

#[test]
fn hints_are_believed() {
    let mut fewer = base();
    fewer.count = 0.0;
    fewer.reset_hint = ResetHint::NotReset;
    assert!(!fewer.detect_reset(&base()));
    assert!(more(|h| h.reset_hint = ResetHint::Reset).detect_reset(&base()));
    assert!(!more(|h| h.reset_hint = ResetHint::Gauge).detect_reset(&base()));
}

#[test]
fn a_coarser_schema_is_no_reset_a_finer_one_is() {
    // The indices 1, 2 and 4 become 1 and 2.
    let coarse = |counts: &[f64]| {
        let counts = counts.to_vec();
        more(|h| {
            h.schema = 0;
            h.positive_spans = spans_of(&[(1, 2)]);
            h.positive_buckets = counts;
        })
    };
    assert!(!coarse(&[7.0, 5.0]).detect_reset(&base()));
    assert!(coarse(&[6.0, 5.0]).detect_reset(&base()));
    let mut finer = more(|_| ());
    finer.schema = 2;
    assert!(finer.detect_reset(&base()));
}

#[test]
fn a_wider_zero_bucket_holds_the_buckets_it_swallowed() {
    // Up to 1 it has swallowed [-1,-0.71): 2 and 6.
    let wider = |threshold: f64, zero_count: f64| {
        more(|h| {
            h.zero_threshold = threshold;
            h.zero_count = zero_count;
            h.negative_spans.clear();
            h.negative_buckets.clear();
        })
    };
    assert!(!wider(1.0, 8.0).detect_reset(&base()));
    assert!(wider(1.0, 7.0).detect_reset(&base()));
    assert!(wider(0.125, 8.0).detect_reset(&base()), "it became narrower");
    assert!(wider(0.9, 8.0).detect_reset(&base()), "it cuts a populated bucket");
}

#[test]
fn custom_buckets_are_compared_over_the_common_bounds() {
    let before = bounded(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]);
    assert!(!bounded(&[2.0, 5.0], &[3.0, 6.0, 1.0]).detect_reset(&before));
    assert!(bounded(&[2.0, 5.0], &[2.0, 6.0, 10.0]).detect_reset(&before));
    assert!(bounded(&[2.0, 5.0], &[20.0, 6.0, 0.0]).detect_reset(&before), "6 are above 2, 7 were");
    assert!(!bounded(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 5.0]).detect_reset(&before));
    assert!(bounded(&[1.0, 2.0, 3.0], &[1.0, 1.0, 3.0, 9.0]).detect_reset(&before));
    // Another kind of buckets is a reset in both directions.
    let exponential = positive(0, &[(0, 1)], &[100.0]);
    assert!(exponential.detect_reset(&before));
    assert!(bounded(&[1.0], &[100.0, 1.0]).detect_reset(&exponential));
}
