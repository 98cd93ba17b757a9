//! Trimming: what is left of a histogram below or above a value.

use super::{Bucket, FloatHistogram};

/// Where a histogram is cut.
#[derive(Clone, Copy)]
struct Cut {
    at: f64,
    /// Whether the upper part goes, else the lower one.
    upper: bool,
    /// Whether buckets are interpolated on a linear scale.
    linear: bool,
}

/// What is left so far, told by the middles of the buckets.
#[derive(Default)]
struct Left {
    count: f64,
    sum: f64,
    changed: bool,
}

impl Left {
    fn keep(&mut self, count: f64, middle: f64) {
        self.count += count;
        self.sum += middle * count;
    }
}

impl FloatHistogram {
    /// Keeps the observations below `rhs` (`upper`: what is above is trimmed, the operator `</`), or those above it
    /// (`>/`). Buckets are interpolated; count and sum are estimated anew when anything was trimmed.
    pub fn trim_buckets(&mut self, rhs: f64, upper: bool) {
        let cut = Cut { at: rhs, upper, linear: self.uses_custom_buckets() };
        let mut left = Left::default();
        let has_positive = self.trim_side(true, cut, &mut left);
        let has_negative = self.trim_side(false, cut, &mut left);
        if self.zero_count > 0.0 && !self.uses_custom_buckets() {
            let (kept, middle) = cut.zero_bucket(&self.zero_bucket(), has_negative, has_positive);
            left.changed |= self.zero_count != kept;
            self.zero_count = kept;
            left.sum += middle * kept;
            left.count += kept;
        }
        if left.changed {
            self.count = left.count;
            self.sum = left.sum;
            self.compact(0);
        }
    }

    /// Trims one side; returns whether it had any observations.
    fn trim_side(&mut self, positive: bool, cut: Cut, left: &mut Left) -> bool {
        // Walked over a copy of the counts, since they change on the way.
        let mut counts = if positive { self.positive_buckets.clone() } else { self.negative_buckets.clone() };
        let buckets = if positive { self.positive_buckets() } else { self.negative_buckets() };
        let mut populated = false;
        for (bucket, count) in buckets.zip(&mut counts).filter(|(bucket, _)| bucket.count != 0.0) {
            populated = true;
            let (whole, partly) = if cut.upper {
                (bucket.upper <= cut.at, bucket.lower < cut.at)
            } else {
                (bucket.lower >= cut.at, bucket.upper > cut.at)
            };
            if whole {
                left.keep(bucket.count, cut.middle(bucket.lower, bucket.upper, positive));
            } else if partly {
                let (kept, middle) = cut.bucket(&bucket, positive);
                left.keep(kept, middle);
                left.changed |= *count != kept;
                *count = kept;
            } else {
                left.changed = true;
                *count = 0.0;
            }
        }
        *(if positive { &mut self.positive_buckets } else { &mut self.negative_buckets }) = counts;
        populated
    }
}

impl Cut {
    /// What a bucket keeps that the cut goes through, and the middle of that.
    fn bucket(&self, bucket: &Bucket, positive: bool) -> (f64, f64) {
        if bucket.lower == f64::NEG_INFINITY {
            return self.bucket_without_lower_bound(bucket);
        }
        if bucket.upper == f64::INFINITY {
            return self.bucket_without_upper_bound(bucket);
        }
        let below = if self.at <= bucket.lower {
            0.0
        } else if self.at >= bucket.upper {
            bucket.count
        } else {
            bucket.count * bucket.fraction_below(self.at, self.linear)
        };
        if self.upper {
            (below, self.middle(bucket.lower, self.at, positive))
        } else {
            (bucket.count - below, self.middle(self.at, bucket.upper, positive))
        }
    }

    /// A bucket from -Inf to a finite bound above 0 is taken to begin at 0. Of others nothing is known, so that all goes
    /// that may be cut.
    fn bucket_without_lower_bound(&self, bucket: &Bucket) -> (f64, f64) {
        let begins_at_zero = bucket.upper > 0.0 && bucket.upper != f64::INFINITY;
        if self.upper {
            if self.at >= bucket.upper {
                return (bucket.count, 0.0);
            }
            if self.at > 0.0 && begins_at_zero {
                return (bucket.count * self.at / bucket.upper, self.at / 2.0);
            }
            if bucket.upper <= 0.0 {
                return (bucket.count, self.at);
            }
        } else {
            if self.at <= bucket.lower {
                return (bucket.count, 0.0);
            }
            if self.at >= 0.0 && bucket.upper > self.at && bucket.upper != f64::INFINITY {
                return (bucket.count * (1.0 - self.at / bucket.upper), (self.at + bucket.upper) / 2.0);
            }
        }
        (0.0, zero_if_infinite(bucket.upper))
    }

    /// A bucket up to +Inf goes as a whole when its upper part is trimmed, and stays as a whole when its lower part is.
    fn bucket_without_upper_bound(&self, bucket: &Bucket) -> (f64, f64) {
        if !self.upper && self.at >= bucket.lower {
            (bucket.count, self.at)
        } else {
            (0.0, zero_if_infinite(bucket.lower))
        }
    }

    /// What the zero bucket keeps, and the middle of that. With buckets on one side only, it reaches to that side.
    fn zero_bucket(&self, zero: &Bucket, has_negative: bool, has_positive: bool) -> (f64, f64) {
        let lower = if has_positive && !has_negative { 0.0 } else { zero.lower };
        let upper = if has_negative && !has_positive { 0.0 } else { zero.upper };
        let all = (zero.count, (lower + upper) / 2.0);
        let (below, above) = if self.upper { ((0.0, 0.0), all) } else { (all, (0.0, 0.0)) };
        if self.at <= lower {
            return below;
        }
        if self.at >= upper {
            return above;
        }
        if self.upper {
            (zero.count * ((self.at - lower) / (upper - lower)), (lower + self.at) / 2.0)
        } else {
            (zero.count * ((upper - self.at) / (upper - lower)), (self.at + upper) / 2.0)
        }
    }

    /// Where the observations between two bounds are taken to be: the arithmetic mean of linear buckets, the geometric
    /// one of exponential buckets.
    fn middle(&self, lower: f64, upper: f64, positive: bool) -> f64 {
        match (lower.is_infinite(), upper.is_infinite()) {
            (true, true) => 0.0,
            (true, false) if upper > 0.0 => upper / 2.0,
            (true, false) => upper,
            (false, true) => lower,
            (false, false) if self.linear => (lower + upper) / 2.0,
            (false, false) => {
                let mean = (lower * upper).abs().sqrt();
                if positive { mean } else { -mean }
            }
        }
    }
}

fn zero_if_infinite(bound: f64) -> f64 {
    if bound.is_infinite() { 0.0 } else { bound }
}
