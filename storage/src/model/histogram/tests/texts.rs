//! Histograms as texts, and from classic ones, by example.

use super::{
    classic::{ClassicError, ClassicHistogram},
    text::general,
    *,
};

#[test]
fn numbers_are_those_of_go() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (100_000.0, "100000"),
        (1_000_000.0, "1e+06"),
        (123_456_789.0, "1.23456789e+08"),
        (0.0001, "0.0001"),
        (0.000_012, "1.2e-05"),
        (-1.5e300, "-1.5e+300"),
        (-0.001_25, "-0.00125"),
        (1234.5, "1234.5"),
        // Halfway between ...67.2 and ...67.3.
        (2_085_229_414_348_067.0 + 0.25, "2.0852294143480672e+15"),
        (5e-324, "5e-324"),
        (9_007_199_254_740_992.0, "9.007199254740992e+15"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(general(value).to_string(), text);
    }
}

#[test]
fn displays_as_prometheus_does() {
    let mut h = with_zero(with_negative(positive(0, &[(0, 2)], &[1.0, 0.0]), &[(0, 2)], &[2.0, 1e7]), 0.001, 2.0);
    h.count = 20.0;
    h.sum = -3.5;
    assert_eq!(h.to_string(), "{count:20, sum:-3.5, [-2,-1):1e+07, [-1,-0.5):2, [-0.001,0.001]:2, (0.5,1]:1}");
    assert_eq!(bounded(&[5.0], &[1.0, 2.0]).to_string(), "{count:3, sum:0, [-Inf,5]:1, (5,+Inf]:2}");
}

#[test]
fn test_expressions_are_those_of_prometheus() {
    assert_eq!(positive(0, &[], &[]).test_expression(), "{{}}");
    let mut h =
        with_zero(with_negative(positive(1, &[(-2, 1), (2, 2)], &[1.0, 2.5, 3.0]), &[(0, 2)], &[4.0, 5.0]), 0.001, 6.0);
    h.sum = 1.5;
    h.reset_hint = ResetHint::Gauge;
    assert_eq!(
        h.test_expression(),
        "{{schema:1 count:21.5 sum:1.5 z_bucket:6 z_bucket_w:0.001 counter_reset_hint:gauge \
         offset:-2 buckets:[1 0 0 2.5 3] n_buckets:[4 5]}}"
    );
    assert_eq!(
        bounded(&[5.0, 10.0], &[1.0, 0.0, 2.0]).test_expression(),
        "{{schema:-53 count:3 custom_values:[5 10] buckets:[1 0 2]}}"
    );
    // Nobody wants two thousand million zeros.
    let far = positive(0, &[(0, 1), (i32::MAX, 1)], &[1.0, 1.0]);
    assert_eq!(far.test_expression(), "{count:2, sum:0, (0.5,1]:1, (+Inf,+Inf]:1}");
}

fn classic(buckets: &[(f64, f64)]) -> ClassicHistogram {
    let mut h = ClassicHistogram::default();
    for (le, count) in buckets {
        let _ = h.set_bucket(*le, *count);
    }
    h
}

#[test]
fn classic_buckets_come_in_any_order() {
    let mut h = classic(&[(2.0, 5.0), (f64::INFINITY, 9.0), (1.0, 3.0), (1.0, 4.0)]);
    h.set_sum(12.5).unwrap();
    let h = h.convert().unwrap();
    assert_eq!((h.count, h.sum, h.schema), (9.0, 12.5, CUSTOM_BUCKETS_SCHEMA));
    assert_eq!((h.custom_values, h.positive_buckets), (vec![1.0, 2.0], vec![3.0, 2.0, 4.0]));
}

#[test]
fn what_a_classic_histogram_lacks_is_filled_in() {
    // Without +Inf the highest bucket is the count, and nothing is above it.
    let h = classic(&[(1.0, 3.0), (2.0, 5.0)]).convert().unwrap();
    assert_eq!((h.count, h.positive_buckets, h.custom_values), (5.0, vec![3.0, 2.0], vec![1.0, 2.0]));
    let mut h = classic(&[(1.0, 3.0), (2.0, 5.0)]);
    h.set_count(8.0).unwrap();
    assert_eq!(h.convert().unwrap().positive_buckets, [3.0, 2.0, 3.0]);
    let mut h = classic(&[]);
    h.set_count(8.0).unwrap();
    let h = h.convert().unwrap();
    assert_eq!((h.count, h.positive_buckets, h.custom_values), (8.0, vec![8.0], vec![]));
    assert_eq!(classic(&[]).convert().unwrap().positive_buckets, [0.0; 0]);
    // A whole histogram keeps up to two empty buckets in between, one with fractions keeps none.
    let h = classic(&[(1.0, 3.0), (2.0, 3.0), (3.0, 4.0)]).convert().unwrap();
    assert_eq!((h.positive_spans, h.positive_buckets), (spans_of(&[(0, 3)]), vec![3.0, 0.0, 1.0]));
    let h = classic(&[(1.0, 3.5), (2.0, 3.5), (3.0, 4.0)]).convert().unwrap();
    assert_eq!((h.positive_spans, h.positive_buckets), (spans_of(&[(0, 1), (1, 1)]), vec![3.5, 0.5]));
}

#[test]
fn classic_histograms_that_make_no_sense_are_refused() {
    for (buckets, count, text) in [
        (vec![(f64::NAN, 1.0)], None, "bucket boundary must not be NaN"),
        (vec![(1.0, -1.0)], None, "bucket count must be non-negative: le=1, count=-1"),
        (vec![(1.0, 3.0), (2.0, 2.0)], None, "count is not cumulative: 2 < 3"),
        (vec![(2.0, 3.0), (1.0, 4.0)], None, "count is not cumulative: 4 > 3"),
        (vec![(1.0, 1.0)], Some(-1.0), "count must be non-negative: count=-1"),
        (vec![(f64::INFINITY, 1.0)], Some(2.0), "count mismatch: count=2 != le=+Inf count=1"),
    ] {
        let mut h = classic(&buckets);
        if let Some(count) = count {
            let _ = h.set_count(count);
        }
        assert_eq!(h.convert().unwrap_err().to_string(), text);
    }
    // The first error stays.
    let mut h = classic(&[(1.0, -1.0)]);
    let first = ClassicError::NegativeBucket { le: 1.0, count: -1.0 };
    assert_eq!(h.set_bucket(f64::NAN, 1.0), Err(first.clone()));
    assert_eq!(h.set_sum(1.0), Err(first));
}
