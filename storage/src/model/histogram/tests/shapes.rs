//! Buckets, bounds, spans and schemas by example.

use super::*;

fn told(buckets: impl Iterator<Item = Bucket>) -> Vec<String> {
    buckets.map(|b| b.to_string()).collect()
}

#[test]
fn buckets_are_told_with_their_bounds() {
    let h = with_zero(
        with_negative(positive(0, &[(0, 2), (1, 1)], &[1.0, 2.0, 3.0]), &[(1, 1), (0, 1)], &[4.0, 5.0]),
        0.75,
        6.0,
    );
    assert_eq!(told(h.positive_buckets()), ["(0.5,1]:1", "(1,2]:2", "(4,8]:3"]);
    assert_eq!(told(h.positive_buckets().rev()), ["(4,8]:3", "(1,2]:2", "(0.5,1]:1"]);
    assert_eq!(told(h.negative_buckets()), ["[-2,-1):4", "[-4,-2):5"]);
    let all = ["[-4,-2):5", "[-2,-1):4", "[-0.75,0.75]:6", "(0.75,1]:1", "(1,2]:2", "(4,8]:3"];
    assert_eq!(told(h.all_buckets()), all);
    let mut reverse = told(h.all_buckets_reverse());
    reverse.reverse();
    assert_eq!(reverse, all);
}

#[test]
fn custom_buckets_begin_and_end_at_infinity() {
    let h = bounded(&[-1.0, 2.5], &[1.0, 2.0, 3.0]);
    assert_eq!(told(h.all_buckets()), ["[-Inf,-1]:1", "(-1,2.5]:2", "(2.5,+Inf]:3"]);
}

#[test]
fn both_ends_of_an_iterator_meet() {
    let h = positive(0, &[(5, 1), (0, 0), (2, 2), (0, 0)], &[1.0, 2.0, 3.0]);
    let mut buckets = h.positive_buckets();
    assert_eq!(buckets.len(), 3);
    assert_eq!(buckets.next_back().map(|b| b.index), Some(9));
    assert_eq!(buckets.next().map(|b| b.index), Some(5));
    assert_eq!(buckets.next_back().map(|b| b.index), Some(8));
    assert_eq!((buckets.next(), buckets.next_back()), (None, None));
}

#[test]
fn fractions_are_linear_or_logarithmic() {
    let bucket = positive(0, &[(2, 1)], &[1.0]).positive_buckets().next().unwrap();
    assert_eq!(bucket.fraction_below(3.0, true), 0.5);
    assert!((bucket.fraction_below(8f64.sqrt(), false) - 0.5).abs() < 1e-15);
    let bucket = with_negative(positive(0, &[], &[]), &[(2, 1)], &[1.0]).negative_buckets().next().unwrap();
    // From -4 up to -2, more than half of the way down to -2.83 on a logarithmic scale.
    assert!((bucket.fraction_below(-(2f64.powf(1.75)), false) - 0.25).abs() < 1e-15);
}

#[test]
fn compacting_removes_joins_and_splits() {
    for (spans, counts, max_empty, expected_spans, expected) in [
        // Empty ends go whatever is allowed.
        (vec![(-2, 4)], vec![0.0, 1.0, 2.0, 0.0], 3, vec![(-1, 2)], vec![1.0, 2.0]),
        // Adjacent spans become one.
        (vec![(1, 1), (0, 2)], vec![1.0, 2.0, 3.0], 0, vec![(1, 3)], vec![1.0, 2.0, 3.0]),
        // A hole splits a span, or stays.
        (vec![(0, 4)], vec![1.0, 0.0, 0.0, 2.0], 1, vec![(0, 1), (2, 1)], vec![1.0, 2.0]),
        (vec![(0, 4)], vec![1.0, 0.0, 0.0, 2.0], 2, vec![(0, 4)], vec![1.0, 0.0, 0.0, 2.0]),
        // Empty ends and a gap are a hole together.
        (vec![(0, 2), (1, 2)], vec![1.0, 0.0, 0.0, 2.0], 2, vec![(0, 1), (3, 1)], vec![1.0, 2.0]),
        (vec![(0, 2), (1, 2)], vec![1.0, 0.0, 0.0, 2.0], 3, vec![(0, 5)], vec![1.0, 0.0, 0.0, 0.0, 2.0]),
        // Empty spans go, their offsets stay.
        (vec![(1, 0), (2, 1), (1, 0), (1, 1)], vec![1.0, 2.0], 0, vec![(3, 1), (2, 1)], vec![1.0, 2.0]),
        (vec![(4, 2)], vec![0.0, -0.0], 0, vec![], vec![]),
    ] {
        let mut h = with_negative(positive(0, &spans, &counts), &spans, &counts);
        h.compact(max_empty);
        assert_eq!((h.positive_spans, &h.positive_buckets), (spans_of(&expected_spans), &expected));
        assert_eq!((h.negative_spans, &h.negative_buckets), (spans_of(&expected_spans), &expected));
    }
}

#[test]
fn resolution_is_reduced_and_never_raised() {
    let mut h = positive(2, &[(-3, 3), (1, 2)], &[1.0, 2.0, 3.0, 4.0, 5.0]);
    // By 2: the indices -3, -2, -1 | 1, 2 of schema 2 become 0, 0, 0 | 1, 1 of schema 0.
    let copy = h.copy_to_schema(0);
    assert_eq!((copy.schema, &copy.positive_spans), (0, &spans_of(&[(0, 2)])));
    assert_eq!(copy.positive_buckets, [6.0, 9.0]);
    assert!(h.copy_to_schema(2).equals(&h) && h.copy_to_schema(3).equals(&h));
    assert_eq!(h.reduce_resolution(2), Err(HistogramMathError::NotCoarser { from: 2, to: 2 }));
    assert_eq!(h.reduce_resolution(CUSTOM_BUCKETS_SCHEMA), Err(HistogramMathError::ReduceToCustom));
    let mut custom = bounded(&[1.0], &[1.0, 2.0]);
    assert_eq!(custom.reduce_resolution(-4), Err(HistogramMathError::ReduceCustom));
    let mut broken = h.clone();
    broken.positive_buckets.pop();
    let error = HistogramError::SpanCount { side: "positive", need: 5, have: 4 };
    assert_eq!(broken.reduce_resolution(0), Err(HistogramMathError::Invalid(error)));
    h.reduce_resolution(0).unwrap();
    assert!(h.equals(&copy));
}

#[test]
fn equality_is_that_of_the_data() {
    let h = positive(0, &[(1, 1), (2, 2)], &[1.0, 2.0, f64::NAN]);
    let mut same = positive(0, &[(0, 0), (1, 1), (1, 0), (1, 2), (5, 0)], &[1.0, 2.0, f64::NAN]);
    same.reset_hint = ResetHint::Gauge;
    same.count = h.count;
    assert!(h.equals(&same) && same.equals(&h));
    for change in [
        |h: &mut FloatHistogram| h.positive_spans[1].offset = 1,
        |h: &mut FloatHistogram| h.positive_buckets[0] = 1.5,
        |h: &mut FloatHistogram| h.sum = -0.0,
        |h: &mut FloatHistogram| h.zero_threshold = 0.1,
        |h: &mut FloatHistogram| h.schema = 1,
    ] {
        let mut other = h.clone();
        change(&mut other);
        assert!(!h.equals(&other), "{other:?}");
    }
}

#[test]
fn a_float_histogram_is_stored_and_comes_back() {
    let h = with_zero(with_negative(positive(3, &[(1, 2)], &[1.0, 2.5]), &[(0, 1)], &[4.0]), 0.5, 6.0);
    assert_eq!(h.to_stored().to_float(), h);
    assert_eq!(h.validate(), Ok(()));
    assert_eq!(h.size(), 168 + 8 * 5);
    let mut bad = h.clone();
    bad.mul(-1.0);
    assert_eq!(bad.validate(), Err(HistogramError::NegativeCount { side: "negative", number: 1 }));
    bad.negative_buckets[0] = 0.0;
    assert_eq!(bad.validate(), Err(HistogramError::Negative("zero count")));
    bad.zero_count = 0.0;
    assert_eq!(bad.validate(), Err(HistogramError::Negative("count")));
    bad = bounded(&[1.0], &[1.0, 2.0]);
    assert_eq!(bad.validate(), Ok(()));
    bad.zero_count = 1.0;
    assert!(matches!(bad.validate(), Err(HistogramError::Mixed(_))));
}
