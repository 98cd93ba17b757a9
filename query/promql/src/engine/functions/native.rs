//! Numbers of one native histogram: quantiles, fractions, variance. Inside a bucket observations are spread as
//! Prometheus takes them to be: evenly where bounds are custom and in the zero bucket, else evenly on a logarithmic
//! scale.

use chronolith_storage::{
    FloatHistogram,
    model::histogram::{Bucket, compensated_add},
};

use crate::engine::{
    budget::Budget,
    error::Result,
    grid::{ABSENT, HistogramPoints},
};

/// What there is to say about observations of NaN, which are counted but are in no bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NanObservations {
    /// The quantile is among them.
    Result,
    /// The quantile is higher than it would be without them.
    Skew,
}

/// The function that makes a number of a histogram, for functions that leave floats out.
pub(in crate::engine) fn simple(name: &str) -> Option<fn(&FloatHistogram) -> f64> {
    Some(match name {
        "histogram_avg" => |h| h.sum / h.count,
        "histogram_count" => |h| h.count,
        "histogram_sum" => |h| h.sum,
        "histogram_stddev" => |h| variance(h).sqrt(),
        "histogram_stdvar" => variance,
        _ => return None,
    })
}

/// Puts the number of each histogram in the column, where only floats were before.
pub(in crate::engine) fn reduce(
    f: fn(&FloatHistogram) -> f64,
    column: &mut [f64],
    histograms: &mut HistogramPoints,
    budget: &Budget<'_>,
) -> Result<()> {
    column.fill(ABSENT);
    for (n, (k, h)) in histograms.drain(..).enumerate() {
        if n % 256 == 255 {
            budget.check()?;
        }
        if let Some(place) = column.get_mut(k as usize) {
            *place = super::math::present(f(&h));
        }
    }
    Ok(())
}

/// The variance of the observations, each taken to be in the middle of its bucket.
fn variance(h: &FloatHistogram) -> f64 {
    let mean = h.sum / h.count;
    let (mut sum, mut compensation) = (0.0, 0.0);
    for bucket in h.all_buckets().filter(|b| b.count != 0.0) {
        let value = if h.uses_custom_buckets() {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            let middle = (bucket.upper * bucket.lower).sqrt();
            if bucket.upper < 0.0 { -middle } else { middle }
        };
        let delta = value - mean;
        (sum, compensation) = compensated_add(bucket.count * delta * delta, sum, compensation);
    }
    (sum + compensation) / h.count
}

/// The zero bucket of a histogram whose other observations are all on one side is taken to be on that side too.
fn one_sided(bucket: &mut Bucket, h: &FloatHistogram) {
    match (h.negative_buckets.is_empty(), h.positive_buckets.is_empty()) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
}

/// The quantile `q` of the observations.
pub(super) fn quantile(q: f64, h: &FloatHistogram) -> (f64, Option<NanObservations>) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if h.count == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    // Observations of NaN are in no bucket, and count as larger than all others: so with them there is no end of the
    // buckets from which to count back.
    let forward = h.sum.is_nan() || q < 0.5;
    if forward {
        rank_in(h.all_buckets(), q * h.count, forward, h)
    } else {
        rank_in(h.all_buckets().rev(), (1.0 - q) * h.count, forward, h)
    }
}

/// The value of the observation of this rank, the buckets being in the order in which ranks are counted.
fn rank_in(
    mut buckets: impl Iterator<Item = Bucket>,
    mut rank: f64,
    forward: bool,
    h: &FloatHistogram,
) -> (f64, Option<NanObservations>) {
    let mut count = 0.0;
    let mut bucket =
        Bucket { lower: 0.0, upper: 0.0, lower_inclusive: false, upper_inclusive: false, count: 0.0, index: 0 };
    for next in buckets.by_ref() {
        bucket = next;
        if bucket.count == 0.0 {
            continue;
        }
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    if h.uses_custom_buckets() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, None);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, None);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        one_sided(&mut bucket, h);
    }
    // Rounding may have made the sum of the buckets larger than the count.
    if count > h.count {
        count = h.count;
    }
    if count < rank {
        return if h.sum.is_nan() { (f64::NAN, Some(NanObservations::Result)) } else { (bucket.upper, None) };
    }
    if forward {
        rank -= count - bucket.count;
    } else {
        rank = count - rank;
    }
    let mut remark = None;
    if h.sum.is_nan() {
        for next in buckets {
            // As in Prometheus, the last bucket is what the rank is then looked up in.
            bucket = next;
            count += bucket.count;
        }
        remark = (count < h.count).then_some(NanObservations::Skew);
    }
    (inside(&bucket, rank / bucket.count, h.uses_custom_buckets()), remark)
}

/// The value below which this fraction of a bucket's observations is.
fn inside(bucket: &Bucket, fraction: f64, custom: bool) -> f64 {
    if custom || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let lower = bucket.lower.abs().log2();
    let upper = bucket.upper.abs().log2();
    if bucket.lower > 0.0 {
        (lower + (upper - lower) * fraction).exp2()
    } else {
        -(upper + (lower - upper) * (1.0 - fraction)).exp2()
    }
}

/// How many observations are below a value, found while buckets pass by.
struct RankBelow {
    value: f64,
    rank: Option<f64>,
}

impl RankBelow {
    const fn new(value: f64) -> Self {
        Self { value, rank: None }
    }

    /// Whether the value is at or below the lower bound of the next bucket, before which are `rank` observations.
    fn reached(&mut self, bucket: &Bucket, rank: f64) -> bool {
        if self.rank.is_none() && bucket.lower >= self.value {
            self.rank = Some(rank);
        }
        self.rank.is_some()
    }

    /// Whether the value is inside the bucket.
    fn inside(&mut self, bucket: &Bucket, rank: f64, linear: bool) -> bool {
        if self.rank.is_none() && bucket.lower < self.value && bucket.upper > self.value {
            // Nothing can be said about where observations are in a bucket without a lower bound.
            let endless = linear && bucket.lower == f64::NEG_INFINITY;
            self.rank = Some(if endless {
                bucket.count
            } else {
                rank + bucket.count * bucket.fraction_below(self.value, linear)
            });
        }
        self.rank.is_some()
    }

    fn at_most(&self, count: f64) -> f64 {
        match self.rank {
            Some(rank) if rank > count => count,
            Some(rank) => rank,
            None => count,
        }
    }
}

/// The fraction of the observations between two values, and whether there are observations of NaN, which are in none.
pub(super) fn fraction(lower: f64, upper: f64, h: &FloatHistogram) -> (f64, bool) {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, false);
    }
    if lower >= upper {
        return (0.0, false);
    }
    let (mut count, mut rank) = (0.0, 0.0);
    let (mut low, mut high) = (RankBelow::new(lower), RankBelow::new(upper));
    let mut buckets = h.all_buckets();
    for mut bucket in buckets.by_ref() {
        count += bucket.count;
        let zero_bucket = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if zero_bucket {
            one_sided(&mut bucket, h);
        }
        if low.reached(&bucket, rank) & high.reached(&bucket, rank) {
            break;
        }
        let linear = h.uses_custom_buckets() || zero_bucket;
        if low.inside(&bucket, rank, linear) & high.inside(&bucket, rank, linear) {
            break;
        }
        rank += bucket.count;
    }
    let mut nan_observations = false;
    if h.sum.is_nan() {
        for bucket in buckets {
            count += bucket.count;
        }
        nan_observations = count < h.count;
    } else {
        count = h.count;
    }
    ((high.at_most(count) - low.at_most(count)) / h.count, nan_observations)
}

#[cfg(test)]
mod tests {
    use chronolith_storage::{ResetHint, Span, model::histogram::CUSTOM_BUCKETS_SCHEMA};

    use super::*;

    fn histogram(schema: i32, sum: f64, counts: &[f64], custom: &[f64]) -> FloatHistogram {
        FloatHistogram {
            schema,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count: counts.iter().sum(),
            sum,
            reset_hint: ResetHint::Unknown,
            positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
            negative_spans: Vec::new(),
            positive_buckets: counts.to_vec(),
            negative_buckets: Vec::new(),
            custom_values: custom.to_vec(),
        }
    }

    #[test]
    fn quantiles_lie_on_the_scale_of_the_buckets() {
        // (0.5, 1], (1, 2], (2, 4]
        let h = histogram(0, 10.0, &[2.0, 4.0, 4.0], &[]);
        assert_eq!(quantile(0.2, &h), (1.0, None));
        assert_eq!(quantile(0.4, &h), (2f64.sqrt(), None));
        assert_eq!(quantile(1.0, &h), (4.0, None));
        assert_eq!(quantile(1.1, &h).0, f64::INFINITY);
        assert_eq!(quantile(-0.1, &h).0, f64::NEG_INFINITY);
        assert!(quantile(f64::NAN, &h).0.is_nan());
        // (-Inf, 1], (1, 3], (3, +Inf)
        let custom = histogram(CUSTOM_BUCKETS_SCHEMA, 10.0, &[2.0, 4.0, 4.0], &[1.0, 3.0]);
        assert_eq!(quantile(0.1, &custom).0, 0.5);
        assert_eq!(quantile(0.4, &custom).0, 2.0);
        assert_eq!(quantile(0.9, &custom).0, 3.0);
    }

    #[test]
    fn observations_of_nan_are_in_no_bucket() {
        let h = FloatHistogram { count: 10.0, ..histogram(0, f64::NAN, &[8.0], &[]) };
        assert_eq!(quantile(0.8, &h), (1.0, Some(NanObservations::Skew)));
        let (value, remark) = quantile(0.9, &h);
        assert!(value.is_nan() && remark == Some(NanObservations::Result));
        assert_eq!(fraction(0.0, 1.0, &h), (0.8, true));
    }

    #[test]
    fn fractions_are_of_the_count() {
        let h = histogram(0, 10.0, &[2.0, 4.0, 4.0], &[]);
        assert_eq!(fraction(1.0, 2.0, &h), (0.4, false));
        assert_eq!(fraction(f64::NEG_INFINITY, f64::INFINITY, &h), (1.0, false));
        assert_eq!(fraction(2.0, 1.0, &h), (0.0, false));
        assert!(fraction(f64::NAN, 1.0, &h).0.is_nan());
        // The middle of (1, 2] on a logarithmic scale.
        assert!((fraction(1.0, 2f64.sqrt(), &h).0 - 0.2).abs() < 1e-15);
    }

    #[test]
    fn the_variance_is_about_the_mean_of_all_observations() {
        // All observations are in (1, 3], whose middle is their mean.
        let h = histogram(CUSTOM_BUCKETS_SCHEMA, 5.0, &[2.0, 2.0], &[1.0, 3.0]);
        let from_zero = FloatHistogram {
            positive_spans: vec![Span { offset: 1, length: 1 }],
            count: 2.0,
            sum: 4.0,
            positive_buckets: vec![2.0],
            ..h
        };
        assert_eq!(variance(&from_zero), 0.0);
    }
}
