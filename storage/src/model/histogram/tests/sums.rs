//! Sums and differences by example.

use super::*;

fn sum(a: &FloatHistogram, b: &FloatHistogram) -> FloatHistogram {
    let mut sum = a.clone();
    sum.add(b).unwrap();
    sum
}

#[test]
fn buckets_of_the_same_layout_are_added() {
    let mut a = with_negative(positive(2, &[(-1, 2), (3, 1)], &[1.0, 2.0, 3.0]), &[(0, 1)], &[4.0]);
    a.sum = 0.5;
    let mut b = with_negative(positive(2, &[(-1, 2), (3, 1)], &[10.0, 20.0, 30.0]), &[(0, 1)], &[40.0]);
    b.sum = 0.25;
    assert_eq!(a.add(&b), Ok(Reconciled::default()));
    assert_eq!((a.count, a.sum), (110.0, 0.75));
    assert_eq!((a.positive_buckets, a.negative_buckets), (vec![11.0, 22.0, 33.0], vec![44.0]));
}

#[test]
fn missing_buckets_are_made() {
    let a = positive(0, &[(0, 2)], &[1.0, 2.0]);
    let b = positive(0, &[(2, 1), (1, 1)], &[5.0, 7.0]);
    let h = sum(&a, &b);
    assert_eq!((h.positive_spans, h.positive_buckets), (spans_of(&[(0, 3), (1, 1)]), vec![1.0, 2.0, 5.0, 7.0]));
    // Buckets that are in both and in one, in turns.
    let a = positive(0, &[(0, 2), (2, 2)], &[1.0, 2.0, 3.0, 4.0]);
    let b = positive(0, &[(-2, 1), (2, 4)], &[10.0, 20.0, 30.0, 40.0, 50.0]);
    let h = sum(&a, &b);
    assert_eq!(h.positive_buckets, [10.0, 1.0, 22.0, 30.0, 40.0, 53.0, 4.0]);
    let indices: Vec<i32> = h.positive_buckets().map(|b| b.index).collect();
    assert_eq!(indices, [-2, 0, 1, 2, 3, 4, 5]);
}

#[test]
fn new_buckets_join_the_spans_that_prometheus_joins_them_to() {
    // Behind a span, although that then touches the next one.
    let h = sum(&positive(0, &[(0, 1), (1, 1)], &[1.0, 1.0]), &positive(0, &[(1, 1)], &[1.0]));
    assert_eq!(h.positive_spans, spans_of(&[(0, 2), (0, 1)]));
    // A single one before a span.
    let h = sum(&positive(0, &[(3, 1)], &[1.0]), &positive(0, &[(0, 1), (1, 1)], &[2.0, 4.0]));
    assert_eq!((h.positive_spans, h.positive_buckets), (spans_of(&[(0, 1), (1, 2)]), vec![2.0, 4.0, 1.0]));
    // Two before a span stay on their own.
    let h = sum(&positive(0, &[(3, 1)], &[1.0]), &positive(0, &[(1, 2)], &[2.0, 4.0]));
    assert_eq!(h.positive_spans, spans_of(&[(1, 2), (0, 1)]));
}

#[test]
fn the_coarser_schema_wins() {
    // In schema 1 the buckets 1 and 2 make bucket 1 of schema 0, 3 and 4 make 2.
    let fine = positive(1, &[(1, 4)], &[1.0, 2.0, 3.0, 4.0]);
    let coarse = positive(0, &[(1, 1)], &[10.0]);
    for h in [sum(&fine, &coarse), sum(&coarse, &fine)] {
        assert_eq!((h.schema, h.positive_buckets), (0, vec![13.0, 7.0]));
    }
}

#[test]
fn the_zero_bucket_takes_in_the_other_sides_buckets() {
    // (0.5,1] of the second lies inside of the first's zero bucket.
    let a = with_zero(positive(0, &[(1, 1)], &[5.0]), 1.0, 1.0);
    let b = with_zero(positive(0, &[(0, 2)], &[3.0, 4.0]), 0.5, 2.0);
    for mut h in [sum(&a, &b), sum(&b, &a)] {
        h.compact(0);
        assert_eq!((h.zero_threshold, h.zero_count, h.count), (1.0, 6.0, 15.0));
        assert_eq!((h.positive_spans, h.positive_buckets), (spans_of(&[(1, 1)]), vec![9.0]));
    }
}

#[test]
fn a_zero_bucket_that_would_cut_a_populated_bucket_grows_to_its_end() {
    // 1.5 is inside of (1,2], and -2 the end of [-2,-1).
    let a = with_negative(positive(0, &[(1, 1)], &[5.0]), &[(1, 1)], &[7.0]);
    let b = with_zero(positive(0, &[], &[]), 1.5, 1.0);
    for h in [sum(&a, &b), sum(&b, &a)] {
        assert_eq!((h.zero_threshold, h.zero_count), (2.0, 13.0));
        assert!(h.positive_buckets().chain(h.negative_buckets()).all(|b| b.count == 0.0));
    }
    // An empty bucket may be cut.
    let empty = positive(0, &[(1, 1)], &[0.0]);
    assert_eq!(sum(&empty, &b).zero_threshold, 1.5);
    // A threshold of NaN is not less and not more than another, and must not be waited for.
    let nan = with_zero(positive(0, &[(1, 1)], &[5.0]), f64::NAN, 1.0);
    assert_eq!(sum(&nan, &b).count, 7.0);
}

#[test]
fn custom_bounds_that_differ_are_reduced_to_the_common_ones() {
    let a = bounded(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]);
    let b = bounded(&[2.0, 4.0], &[10.0, 20.0, 30.0]);
    let mut h = a.clone();
    let reconciled = Reconciled { counter_reset_collision: false, custom_bounds_reconciled: true };
    assert_eq!(h.add(&b), Ok(reconciled));
    assert_eq!((h.custom_values, h.positive_buckets), (vec![2.0], vec![13.0, 57.0]));
    let mut h = a.clone();
    assert_eq!(h.sub(&b), Ok(reconciled));
    assert_eq!(h.positive_buckets, [-7.0, -43.0]);
    // Nothing in common leaves one bucket.
    let mut h = a.clone();
    h.add(&bounded(&[7.0], &[1.0, 0.0])).unwrap();
    assert_eq!((h.custom_values, h.positive_buckets), (Vec::new(), vec![11.0]));
    // The same bounds keep their buckets.
    let mut h = a.clone();
    assert_eq!(h.add(&a), Ok(Reconciled::default()));
    assert_eq!(h.positive_buckets, [2.0, 4.0, 6.0, 8.0]);
}

#[test]
fn exponential_and_custom_buckets_do_not_mix() {
    let a = positive(0, &[(0, 1)], &[1.0]);
    let b = bounded(&[1.0], &[1.0, 1.0]);
    for (a, b) in [(&a, &b), (&b, &a)] {
        let mut h = a.clone();
        assert_eq!(h.add(b), Err(HistogramMathError::IncompatibleSchemas));
        assert_eq!(h.sub(b), Err(HistogramMathError::IncompatibleSchemas));
        let mut c = None;
        assert_eq!(h.kahan_add(b, &mut c), Err(HistogramMathError::IncompatibleSchemas));
        assert!(h.equals(a) && c.is_none());
    }
}

#[test]
fn hints_of_both_decide_that_of_the_sum() {
    use ResetHint::{Gauge, NotReset, Reset, Unknown};
    for (a, b, expected, collision) in [
        (Reset, Reset, Reset, false),
        (NotReset, NotReset, NotReset, false),
        (Reset, NotReset, Unknown, true),
        (NotReset, Reset, Unknown, true),
        (NotReset, Unknown, Unknown, false),
        (Unknown, Reset, Unknown, false),
        (Gauge, Reset, Gauge, false),
        (Unknown, Gauge, Gauge, false),
    ] {
        let mut h = positive(0, &[], &[]);
        let mut other = h.clone();
        h.reset_hint = a;
        other.reset_hint = b;
        let mut compensated = h.clone();
        assert_eq!(h.sub(&other).unwrap().counter_reset_collision, collision);
        assert_eq!(h.reset_hint, expected, "{a:?} and {b:?}");
        assert_eq!(compensated.kahan_add(&other, &mut None).unwrap().counter_reset_collision, collision);
        assert_eq!(compensated.reset_hint, expected);
    }
}

#[test]
fn scaling_by_a_negative_number_makes_a_gauge() {
    let mut h = with_zero(positive(0, &[(0, 2)], &[1.0, 2.0]), 0.1, 3.0);
    h.sum = 5.0;
    h.mul(2.0);
    assert_eq!((h.count, h.sum, h.zero_count, h.reset_hint), (12.0, 10.0, 6.0, ResetHint::Unknown));
    h.div(-4.0);
    assert_eq!((h.count, h.sum, h.zero_count, h.reset_hint), (-3.0, -2.5, -1.5, ResetHint::Gauge));
    assert_eq!(h.positive_buckets, [-0.5, -1.0]);
    h.div(0.0);
    assert_eq!((h.count, h.positive_buckets.len(), h.positive_spans.len()), (f64::NEG_INFINITY, 0, 0));
    assert!(h.has_overflow());
}

#[test]
fn compensation_keeps_what_rounding_takes() {
    let huge = positive(0, &[(0, 1)], &[1e100]);
    let one = positive(0, &[(0, 2)], &[1.0, 0.5]);
    let mut minus = huge.clone();
    minus.mul(-1.0);
    let mut h = huge;
    let mut c = None;
    for other in [&one, &minus, &one] {
        h.kahan_add(other, &mut c).unwrap();
    }
    let c = c.unwrap();
    assert_eq!(c.positive_spans, h.positive_spans);
    h.add(&c).unwrap();
    assert_eq!((h.positive_buckets.as_slice(), h.count), ([2.0, 1.0].as_slice(), 3.0));
}

#[test]
fn compensation_goes_through_changes_of_layout() {
    let mut h = with_zero(positive(1, &[(0, 1), (1, 2)], &[1e100, 1.0, 1e100]), 0.25, 0.0);
    let small = with_zero(positive(1, &[(0, 4)], &[1.0, 2.0, 3.0, 4.0]), 0.25, 1e100);
    let mut c = None;
    h.kahan_add(&small, &mut c).unwrap();
    // Now schema 0, where 0 stays alone and 1, 2 and 3 make 1 and 2; and (0.5,1] goes into the zero bucket.
    let coarse = with_zero(positive(0, &[(1, 2)], &[-4.0, -1e100]), 1.0, -1e100);
    h.kahan_add(&coarse, &mut c).unwrap();
    let mut c = c.unwrap();
    assert_eq!((c.schema, c.zero_threshold, &c.positive_spans), (0, 1.0, &h.positive_spans));
    h.add(&c).unwrap();
    h.compact(0);
    // (0.5,1] held 1e100 and 1; the zero bucket 1e100, which the last histogram took away.
    assert_eq!(h.zero_count, 1e100);
    assert_eq!(h.positive_buckets().map(|b| (b.index, b.count)).collect::<Vec<_>>(), [(1, 2.0), (2, 4.0)]);
    // A compensation of another layout is brought into that of its sum.
    c.compact(0);
    let mut c = Some(c);
    h.kahan_add(&coarse, &mut c).unwrap();
    assert_eq!(c.unwrap().positive_spans, h.positive_spans);
}

#[test]
fn compensation_of_custom_buckets_follows_the_bounds() {
    let mut h = bounded(&[1.0, 2.0], &[1e100, 1.0, 0.0]);
    let mut c = None;
    h.kahan_add(&bounded(&[1.0, 2.0], &[1.0, 1.0, 1.0]), &mut c).unwrap();
    let reconciled = h.kahan_add(&bounded(&[2.0], &[-1e100, 1.0]), &mut c).unwrap();
    assert!(reconciled.custom_bounds_reconciled);
    h.add(&c.unwrap()).unwrap();
    assert_eq!((h.custom_values, h.positive_buckets), (vec![2.0], vec![3.0, 2.0]));
}
