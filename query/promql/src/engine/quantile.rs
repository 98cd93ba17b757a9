//! Quantiles: of plain values, and of classic histograms.

/// Differences between bucket counts below this, relative to their sum, are errors of rounding.
const SMALL_DELTA: f64 = 1e-12;

/// The order of values for quantiles and `sort`: NaN before everything.
pub(super) fn nan_first(a: &f64, b: &f64) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        // Both are numbers.
        (false, false) => a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal),
    }
}

/// The quantile of values that are sorted, NaN first.
pub(super) fn quantile_of_sorted(q: f64, sorted: &[f64]) -> f64 {
    if !(0.0..=1.0).contains(&q) {
        return quantile_of(q, &mut [0.0]);
    }
    let rank = q * sorted.len().saturating_sub(1) as f64;
    let weight = rank - rank.floor();
    let lower = rank.floor() as usize;
    let low = sorted.get(lower).copied().unwrap_or(f64::NAN);
    let high = sorted.get(lower + 1).copied().unwrap_or(low);
    low * (1.0 - weight) + high * weight
}

/// The quantile of values; reorders them.
pub(super) fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let n = values.len();
    let rank = q * (n - 1) as f64;
    let lower = rank.floor().max(0.0) as usize;
    let weight = rank - rank.floor();
    // `q` is at most 1, so `lower` is an index.
    let (_, low, above) = values.select_nth_unstable_by(lower.min(n - 1), nan_first);
    let low = *low;
    let high = above.iter().copied().min_by(nan_first).unwrap_or(low);
    low * (1.0 - weight) + high * weight
}

/// A bucket of a classic histogram: how many observations are at most `upper`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bucket {
    pub(super) upper: f64,
    pub(super) count: f64,
}

/// What was changed where counts fell from one bucket to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Forced {
    pub(super) min_bucket: f64,
    pub(super) max_bucket: f64,
    pub(super) max_diff: f64,
}

/// Sums the buckets of the same bound; they are sorted by it.
fn coalesce(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|b, kept| {
        let same = b.upper == kept.upper;
        if same {
            kept.count += b.count;
        }
        same
    });
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DELTA
}

/// Raises each count to the one before it; tells what was raised by more than rounding can explain.
fn ensure_monotonic(buckets: &mut [Bucket]) -> Option<Forced> {
    let mut forced: Option<Forced> = None;
    let mut before = buckets.first()?.count;
    for b in buckets.iter_mut().skip(1) {
        if b.count == before {
            continue;
        }
        if almost_equal(before, b.count) {
            b.count = before;
        } else if b.count < before {
            let f = forced.get_or_insert(Forced {
                min_bucket: f64::INFINITY,
                max_bucket: f64::NEG_INFINITY,
                max_diff: 0.0,
            });
            f.min_bucket = f.min_bucket.min(b.upper);
            f.max_bucket = f.max_bucket.max(b.upper);
            f.max_diff = f.max_diff.max(before - b.count);
            b.count = before;
        } else {
            before = b.count;
        }
    }
    forced
}

/// The quantile of a classic histogram, whose buckets are sorted by bound: linear inside a bucket.
pub(super) fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Forced>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return (f64::NAN, None);
    }
    coalesce(buckets);
    let forced = ensure_monotonic(buckets);
    let [.., second_last, last] = buckets.as_slice() else { return (f64::NAN, forced) };
    let observations = last.count;
    if observations == 0.0 {
        return (f64::NAN, forced);
    }
    let mut rank = q * observations;
    let index = buckets[..buckets.len() - 1].partition_point(|b| b.count < rank || b.count.is_nan() || rank.is_nan());
    if index == buckets.len() - 1 {
        return (second_last.upper, forced);
    }
    let bucket = buckets[index];
    if index == 0 && bucket.upper <= 0.0 {
        return (bucket.upper, forced);
    }
    let (mut start, mut count) = (0.0, bucket.count);
    if index > 0 {
        let below = buckets[index - 1];
        start = below.upper;
        count -= below.count;
        rank -= below.count;
    }
    (start + (bucket.upper - start) * (rank / count), forced)
}

/// Which part of a classic histogram's observations lies between two values; its buckets are sorted by bound.
pub(super) fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return f64::NAN;
    }
    coalesce(buckets);
    let count = buckets.last().map_or(0.0, |b| b.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank_of = |value: f64| -> f64 {
        let mut rank = 0.0;
        // Only positive observations are assumed when the lowest bound is positive.
        let mut from = if buckets.first().is_some_and(|b| b.upper <= 0.0) { f64::NEG_INFINITY } else { 0.0 };
        for b in buckets.iter() {
            if from >= value {
                return rank;
            }
            if b.upper > value {
                // Nothing can be said about where observations lie in a bucket without an end.
                return if from == f64::NEG_INFINITY {
                    b.count
                } else {
                    rank + (b.count - rank) * (value - from) / (b.upper - from)
                };
            }
            rank = b.count;
            from = b.upper;
        }
        count
    };
    let at_most = |rank: f64| if rank > count { count } else { rank };
    (at_most(rank_of(upper)) - at_most(rank_of(lower))) / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(list: &[(f64, f64)]) -> Vec<Bucket> {
        list.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_of_values_lie_between_neighbours() {
        assert_eq!(quantile_of(0.5, &mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(quantile_of(0.0, &mut [4.0, 1.0]), 1.0);
        assert_eq!(quantile_of(1.0, &mut [4.0, 1.0]), 4.0);
        assert!(quantile_of(0.0, &mut [4.0, f64::NAN]).is_nan());
        assert_eq!(quantile_of(1.0, &mut [4.0, f64::NAN]), 4.0);
        assert_eq!(quantile_of(-0.1, &mut [1.0]), -INF);
        assert!(quantile_of(0.5, &mut []).is_nan());
    }

    #[test]
    fn quantiles_of_buckets_are_linear_inside_one() {
        let b = buckets(&[(0.1, 50.0), (0.5, 70.0), (INF, 100.0)]);
        assert_eq!(bucket_quantile(0.25, &mut b.clone()), (0.05, None));
        assert!((bucket_quantile(0.6, &mut b.clone()).0 - 0.3).abs() < 1e-15);
        assert_eq!(bucket_quantile(0.9, &mut b.clone()), (0.5, None));
        assert_eq!(bucket_quantile(2.0, &mut b.clone()).0, INF);
        assert!(bucket_quantile(0.5, &mut buckets(&[(0.1, 1.0)])).0.is_nan());
        assert!(bucket_quantile(0.5, &mut buckets(&[(INF, 1.0)])).0.is_nan());
        assert_eq!(bucket_quantile(0.1, &mut buckets(&[(-1.0, 5.0), (INF, 5.0)])).0, -1.0);
    }

    #[test]
    fn falling_counts_are_raised_and_told() {
        let (q, forced) = bucket_quantile(1.0, &mut buckets(&[(1.0, 10.0), (2.0, 8.0), (3.0, 20.0), (INF, 15.0)]));
        assert_eq!(q, 3.0);
        assert_eq!(forced, Some(Forced { min_bucket: 2.0, max_bucket: INF, max_diff: 5.0 }));
        let (_, forced) = bucket_quantile(1.0, &mut buckets(&[(1.0, 10.0), (INF, 10.0 - 1e-13)]));
        assert_eq!(forced, None);
    }

    #[test]
    fn fractions_of_buckets() {
        let b = buckets(&[(1.0, 10.0), (2.0, 30.0), (INF, 40.0)]);
        assert_eq!(bucket_fraction(0.0, 1.0, &mut b.clone()), 0.25);
        assert_eq!(bucket_fraction(-INF, INF, &mut b.clone()), 1.0);
        assert_eq!(bucket_fraction(1.5, 2.0, &mut b.clone()), 0.25);
        assert_eq!(bucket_fraction(2.0, 1.0, &mut b.clone()), 0.0);
        assert!(bucket_fraction(f64::NAN, 1.0, &mut b.clone()).is_nan());
    }
}
