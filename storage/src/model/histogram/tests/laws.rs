//! Laws that hold for any histograms.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;

/// Spans, and counts for them.
type Side = (Vec<Span>, Vec<f64>);

/// Counts are whole, so that sums are exact in any order.
fn side() -> impl Strategy<Value = Side> {
    (-6i32..6, vec((0i32..4, vec(0u32..9, 0..4)), 0..5)).prop_map(|(first, runs)| {
        let spans = runs
            .iter()
            .enumerate()
            .map(|(i, (gap, counts))| Span { offset: if i == 0 { first } else { *gap }, length: counts.len() as u32 });
        (spans.collect(), runs.iter().flat_map(|(_, counts)| counts).map(|c| f64::from(*c)).collect())
    })
}

/// Zero thresholds are bounds of every schema. Within a finer bucket, Prometheus' sums depend on their order.
fn exponential() -> impl Strategy<Value = FloatHistogram> {
    let threshold = prop::sample::select(vec![0.0f64, 0.25, 0.5, 1.0]);
    (0i32..4, threshold, 0u32..9, side(), side()).prop_map(
        |(schema, zero_threshold, zero_count, mut p, mut n): (i32, f64, u32, Side, Side)| {
            // No bucket lies inside of the zero bucket.
            if zero_threshold > 0.0 {
                let first = ((zero_threshold.log2() as i32) << schema) + 1;
                [&mut p, &mut n]
                    .into_iter()
                    .filter_map(|side| side.0.first_mut())
                    .for_each(|s| s.offset = s.offset.max(first));
            }
            let zero_count = f64::from(zero_count);
            FloatHistogram {
                schema,
                zero_threshold,
                zero_count,
                count: zero_count + p.1.iter().chain(&n.1).sum::<f64>(),
                sum: 0.0 + p.1.iter().sum::<f64>(),
                reset_hint: ResetHint::Unknown,
                positive_spans: p.0,
                negative_spans: n.0,
                positive_buckets: p.1,
                negative_buckets: n.1,
                custom_values: Vec::new(),
            }
        },
    )
}

fn bounds() -> impl Strategy<Value = FloatHistogram> {
    (prop::collection::btree_set(-5i32..5, 0..5), vec(0u32..9, 6)).prop_map(|(bounds, counts)| {
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
        let counts: Vec<f64> = counts.into_iter().take(bounds.len() + 1).map(f64::from).collect();
        bounded(&bounds, &counts)
    })
}

fn pair() -> impl Strategy<Value = (FloatHistogram, FloatHistogram)> {
    prop_oneof![(exponential(), exponential()), (bounds(), bounds())]
}

/// The same pair with the same schema, zero threshold and bounds.
fn alike() -> impl Strategy<Value = (FloatHistogram, FloatHistogram)> {
    (exponential(), exponential()).prop_map(|(mut a, mut b)| {
        b.schema = a.schema;
        (a.zero_threshold, b.zero_threshold) = (0.0, 0.0);
        (a, b)
    })
}

fn compacted(mut h: FloatHistogram) -> FloatHistogram {
    h.compact(0);
    h
}

/// The counts of populated buckets by side and index.
fn populated(h: &FloatHistogram) -> BTreeMap<(bool, i64), f64> {
    let mut found = BTreeMap::new();
    for (positive, spans, counts) in
        [(true, &h.positive_spans, &h.positive_buckets), (false, &h.negative_spans, &h.negative_buckets)]
    {
        let (mut index, mut counts) = (0, counts.iter());
        for span in spans {
            index += i64::from(span.offset);
            for _ in 0..span.length {
                let count = counts.next().unwrap();
                if *count != 0.0 {
                    *found.entry((positive, index)).or_default() += count;
                }
                index += 1;
            }
        }
    }
    found
}

/// All observations that are in a bucket.
fn total(h: &FloatHistogram) -> f64 {
    h.all_buckets().map(|b| b.count).sum()
}

proptest! {
    #[test]
    fn sums_do_not_depend_on_the_order((a, b) in pair()) {
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.add(&b).unwrap();
        ba.add(&a).unwrap();
        prop_assert_eq!(total(&ab), total(&a) + total(&b));
        prop_assert_eq!(ab.count, a.count + b.count);
        prop_assert!(compacted(ab.clone()).equals(&compacted(ba)), "{} and {}", ab, a);
    }

    #[test]
    fn sums_are_those_of_the_buckets((a, b) in alike()) {
        let mut expected = populated(&a);
        for (bucket, count) in populated(&b) {
            *expected.entry(bucket).or_default() += count;
        }
        let mut sum = a;
        sum.add(&b).unwrap();
        prop_assert_eq!(populated(&sum), expected);
    }

    #[test]
    fn a_difference_undoes_a_sum((a, b) in alike()) {
        let mut h = a.clone();
        h.add(&b).unwrap();
        h.sub(&b).unwrap();
        prop_assert!(compacted(h).equals(&compacted(a)));
    }

    #[test]
    fn compensated_sums_of_whole_numbers_are_the_plain_ones((a, b) in pair(), (c, d) in pair()) {
        let (mut plain, mut compensated, mut rest) = (a.clone(), a, None);
        for other in [b, c, d] {
            let done = plain.add(&other);
            prop_assert_eq!(compensated.kahan_add(&other, &mut rest), done);
        }
        if let Some(rest) = rest {
            prop_assert_eq!(&rest.positive_spans, &compensated.positive_spans);
            prop_assert_eq!(rest.negative_buckets.len(), compensated.negative_buckets.len());
            compensated.add(&rest).unwrap();
        }
        prop_assert!(compacted(compensated).equals(&compacted(plain)));
    }

    #[test]
    fn compacting_keeps_all_counts(h in exponential(), max_empty in 0usize..4) {
        let mut compact = h.clone();
        compact.compact(max_empty);
        prop_assert_eq!(populated(&compact), populated(&h));
        prop_assert_eq!(compact.validate(), Ok(()));
        for (spans, counts) in [
            (&compact.positive_spans, &compact.positive_buckets),
            (&compact.negative_spans, &compact.negative_buckets),
        ] {
            prop_assert!(spans.iter().all(|s| s.length > 0));
            prop_assert!(spans.iter().skip(1).all(|s| s.offset as usize > max_empty));
            let empty_run = counts.split(|c| *c != 0.0).map(<[f64]>::len).max();
            prop_assert!(empty_run.is_none_or(|run| run <= max_empty));
        }
        let mut again = compact.clone();
        again.compact(max_empty);
        prop_assert_eq!(again, compact);
    }

    #[test]
    fn less_resolution_keeps_the_observations_within_their_bounds(h in exponential(), steps in 1i32..6) {
        let mut coarse = h.clone();
        coarse.reduce_resolution(h.schema - steps).unwrap();
        prop_assert_eq!(total(&coarse), total(&h));
        prop_assert!(coarse.equals(&h.copy_to_schema(h.schema - steps)));
        for bucket in coarse.positive_buckets() {
            let inside = h.positive_buckets().filter(|b| b.lower >= bucket.lower && b.upper <= bucket.upper);
            prop_assert_eq!(inside.map(|b| b.count).sum::<f64>(), bucket.count);
        }
    }

    #[test]
    fn iterators_agree_with_the_spans(h in exponential()) {
        let told = |positive: bool, buckets: SideBuckets<'_>| {
            buckets.filter(|b| b.count != 0.0).map(|b| ((positive, i64::from(b.index)), b.count)).collect::<Vec<_>>()
        };
        let mut buckets: BTreeMap<_, _> = told(true, h.positive_buckets()).into_iter().collect();
        buckets.extend(told(false, h.negative_buckets()));
        prop_assert_eq!(buckets, populated(&h));
        let mut back: Vec<Bucket> = h.positive_buckets().rev().collect();
        back.reverse();
        prop_assert_eq!(h.positive_buckets().collect::<Vec<_>>(), back);
        let all: Vec<Bucket> = h.all_buckets().collect();
        prop_assert!(all.windows(2).all(|pair| pair[0].lower <= pair[1].lower && pair[0].upper <= pair[1].upper));
        prop_assert_eq!(all.len(), h.all_buckets_reverse().count());
    }

    #[test]
    fn what_is_added_is_no_reset((a, b) in pair()) {
        let mut sum = a.clone();
        sum.add(&b).unwrap();
        prop_assert!(!sum.detect_reset(&a));
        if b.count > 0.0 {
            prop_assert!(a.detect_reset(&sum));
        }
    }

    #[test]
    fn nothing_is_lost_between_both_parts_of_a_cut(h in exponential(), at in -10f64..10.0) {
        let (mut low, mut high) = (h.clone(), h.clone());
        low.trim_buckets(at, true);
        high.trim_buckets(at, false);
        prop_assert!((total(&low) + total(&high) - total(&h)).abs() < 1e-9);
    }
}

/// Anything that fits into the fields.
fn anything() -> impl Strategy<Value = FloatHistogram> {
    let number = prop_oneof![
        any::<f64>(),
        prop::sample::select(vec![0.0, -0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MAX, 5e-324])
    ];
    let offset = prop_oneof![any::<i32>(), -3i32..9];
    let length = prop_oneof![9 => 0u32..5, 1 => any::<u32>()];
    let spans = vec((offset, length).prop_map(|(offset, length)| Span { offset, length }), 0..5);
    let schema = prop_oneof![-5i32..10, Just(CUSTOM_BUCKETS_SCHEMA), any::<i32>()];
    (schema, vec(number.clone(), 4), (spans.clone(), spans), vec(vec(number, 0..9), 3)).prop_map(
        |(schema, numbers, spans, lists)| FloatHistogram {
            schema,
            zero_threshold: numbers[0],
            zero_count: numbers[1],
            count: numbers[2],
            sum: numbers[3],
            reset_hint: ResetHint::Unknown,
            positive_spans: spans.0,
            negative_spans: spans.1,
            positive_buckets: lists[0].clone(),
            negative_buckets: lists[1].clone(),
            custom_values: lists[2].clone(),
        },
    )
}

proptest! {
    #[test]
    fn nothing_panics_or_hangs(a in anything(), b in anything(), at in any::<f64>(), schema in -60i32..10) {
        for other in [&a, &b] {
            let (mut sum, mut difference, mut rest) = (a.clone(), a.clone(), None);
            let _ = sum.add(other);
            let _ = difference.sub(other);
            let mut compensated = a.clone();
            let _ = compensated.kahan_add(other, &mut rest);
            let _ = compensated.kahan_add(&b, &mut rest);
            let _ = a.detect_reset(other);
            let _ = a.equals(other);
            for h in [sum, difference, compensated] {
                let _ = (h.to_string(), h.test_expression(), h.validate(), h.has_overflow());
                prop_assert_eq!(h.all_buckets().count(), h.all_buckets_reverse().count());
            }
        }
        for upper in [true, false] {
            let mut h = a.clone();
            h.trim_buckets(at, upper);
            h.compact(3);
        }
        let mut h = a.copy_to_schema(schema);
        let _ = h.reduce_resolution(schema - 1);
    }
}
