//! Trimming by example.

use super::*;

fn trimmed(h: &FloatHistogram, at: f64, upper: bool) -> FloatHistogram {
    let mut h = h.clone();
    h.trim_buckets(at, upper);
    h
}

#[test]
fn custom_buckets_are_cut_linearly() {
    let mut h = bounded(&[1.0, 2.0], &[2.0, 4.0, 6.0]);
    h.sum = 99.0;
    // Half of (1,2] with its middle at 1.25, and all up to 1, of which the middle is taken to be 0.5.
    let low = trimmed(&h, 1.5, true);
    assert_eq!((low.positive_buckets.as_slice(), low.count, low.sum), ([2.0, 2.0].as_slice(), 4.0, 3.5));
    // The other half with its middle at 1.75, and all above 2, as if it were 2.
    let high = trimmed(&h, 1.5, false);
    assert_eq!((high.positive_buckets.as_slice(), high.count, high.sum), ([2.0, 6.0].as_slice(), 8.0, 15.5));
    assert_eq!(high.positive_spans, spans_of(&[(1, 2)]));
}

#[test]
fn buckets_without_an_end_are_guessed() {
    let h = bounded(&[4.0], &[8.0, 1.0]);
    // From 0 to 4, since the bound is positive: a quarter is below 1.
    let low = trimmed(&h, 1.0, true);
    assert_eq!((low.positive_buckets.as_slice(), low.sum), ([2.0].as_slice(), 1.0));
    let high = trimmed(&h, 1.0, false);
    assert_eq!((high.positive_buckets.as_slice(), high.sum), ([6.0, 1.0].as_slice(), 6.0 * 2.5 + 4.0));
    // Below 0 nothing is known: all may be above.
    assert_eq!(trimmed(&h, -1.0, true).count, 0.0);
    // What is above 4 may be above 5, or below it.
    assert_eq!(trimmed(&h, 5.0, true).positive_buckets, [8.0]);
    let high = trimmed(&h, 5.0, false);
    assert_eq!((high.positive_buckets.as_slice(), high.sum), ([1.0].as_slice(), 5.0));
    // A negative bound leaves what is below it.
    let negative = bounded(&[-4.0], &[8.0, 1.0]);
    let low = trimmed(&negative, -6.0, true);
    assert_eq!((low.positive_buckets.as_slice(), low.sum), ([8.0].as_slice(), -48.0));
}

#[test]
fn exponential_buckets_are_cut_logarithmically() {
    let h = with_negative(positive(0, &[(2, 2)], &[8.0, 2.0]), &[(2, 1)], &[4.0]);
    // 2^1.5 is the middle of (2,4]; [-4,-2) stays, with its geometric middle.
    let low = trimmed(&h, 2f64.powf(1.5), true);
    assert_eq!(
        (low.positive_buckets.as_slice(), low.negative_buckets.as_slice()),
        ([4.0].as_slice(), [4.0].as_slice())
    );
    let expected = 4.0 * 2f64.powf(1.25) - 4.0 * 8f64.sqrt();
    assert!((low.sum - expected).abs() < 1e-12 && low.count == 8.0);
    let high = trimmed(&h, -(2f64.powf(1.5)), false);
    assert_eq!(high.negative_buckets, [2.0]);
    assert_eq!(high.count, 12.0);
}

#[test]
fn what_is_not_touched_keeps_its_sum() {
    let mut h = with_zero(positive(0, &[(0, 3)], &[8.0, 0.0, 2.0]), 0.25, 1.0);
    h.sum = 77.0;
    assert_eq!(trimmed(&h, 100.0, true), h);
    assert_eq!(trimmed(&h, -100.0, false), h);
}

#[test]
fn the_zero_bucket_is_cut_on_the_sides_that_have_buckets() {
    let both = with_zero(with_negative(positive(0, &[(2, 1)], &[1.0]), &[(2, 1)], &[1.0]), 1.0, 8.0);
    assert_eq!(trimmed(&both, 0.5, true).zero_count, 6.0);
    assert_eq!(trimmed(&both, 0.5, false).zero_count, 2.0);
    let positive_only = with_zero(positive(0, &[(2, 1)], &[1.0]), 1.0, 8.0);
    assert_eq!(trimmed(&positive_only, 0.25, true).zero_count, 2.0);
    assert_eq!(trimmed(&positive_only, 0.25, false).zero_count, 6.0);
    assert_eq!(trimmed(&positive_only, -0.5, true).zero_count, 0.0);
    let negative_only = with_zero(with_negative(positive(0, &[], &[]), &[(2, 1)], &[1.0]), 1.0, 8.0);
    let low = trimmed(&negative_only, -0.25, true);
    // Three quarters from -1 to -0.25, and [-4,-2).
    assert_eq!((low.zero_count, low.count), (6.0, 7.0));
    assert!((low.sum - (6.0 * -0.625 - 8f64.sqrt())).abs() < 1e-12);
}
