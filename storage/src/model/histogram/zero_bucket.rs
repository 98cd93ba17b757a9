//! Zero buckets of different widths: the narrower one is widened until no populated bucket is cut.

use std::cmp::Ordering;

use super::{FloatHistogram, compact::remove_empty, compensated::compensated_add};

impl FloatHistogram {
    /// What the zero count is with a larger threshold, the threshold, and the zero count's compensation. A threshold
    /// inside of a populated bucket moves to that bucket's end.
    pub(super) fn zero_count_for(&self, threshold: f64, c: Option<&Self>) -> (f64, f64, f64) {
        let mut threshold = threshold;
        // As in Prometheus, what is compensated adds up over the rounds, while the count begins anew.
        let mut rest = c.map_or(0.0, |c| c.zero_count);
        if threshold == self.zero_threshold {
            return (self.zero_count, threshold, rest);
        }
        'widen: loop {
            let mut count = self.zero_count;
            let mut take = |bucket: f64, compensation: Option<&f64>| {
                (count, rest) = compensated_add(bucket, count, rest);
                if let Some(compensation) = compensation {
                    (count, rest) = compensated_add(*compensation, count, rest);
                }
            };
            for (i, bucket) in self.positive_buckets().enumerate() {
                if bucket.lower >= threshold {
                    break;
                }
                take(bucket.count, c.and_then(|c| c.positive_buckets.get(i)));
                if bucket.upper > threshold {
                    if bucket.count != 0.0 {
                        threshold = bucket.upper;
                    }
                    break;
                }
            }
            for (i, bucket) in self.negative_buckets().enumerate() {
                if bucket.upper <= -threshold {
                    break;
                }
                take(bucket.count, c.and_then(|c| c.negative_buckets.get(i)));
                if bucket.lower < -threshold {
                    if bucket.count != 0.0 {
                        // The positive buckets have to be looked at again.
                        threshold = -bucket.lower;
                        continue 'widen;
                    }
                    break;
                }
            }
            return (count, threshold, rest);
        }
    }

    /// Gives this histogram a zero bucket that holds those of both and cuts no populated bucket of either. Returns what
    /// the other's zero count is with that, and its compensation. A threshold of NaN cannot be reconciled and stays.
    pub(super) fn reconcile_zero_buckets(&mut self, other: &Self, mut c: Option<&mut Self>) -> (f64, f64) {
        let (mut count, mut threshold, mut rest) = (other.zero_count, other.zero_threshold, 0.0);
        // Thresholds only ever rise, so this ends.
        while threshold.partial_cmp(&self.zero_threshold).is_some_and(Ordering::is_ne) {
            if self.zero_threshold > threshold {
                (count, threshold, rest) = other.zero_count_for(self.zero_threshold, None);
            }
            if threshold > self.zero_threshold {
                let (our_count, our_threshold, our_rest) = self.zero_count_for(threshold, c.as_deref());
                (self.zero_count, self.zero_threshold) = (our_count, our_threshold);
                if let Some(c) = &mut c {
                    c.zero_count = our_rest;
                }
                self.remove_buckets_in_zero_bucket(c.as_deref_mut());
            }
        }
        (count, rest)
    }

    /// Removes the buckets that the zero bucket has swallowed. The threshold is a bound of buckets.
    fn remove_buckets_in_zero_bucket(&mut self, c: Option<&mut Self>) {
        let threshold = self.zero_threshold;
        let positive = self.positive_buckets().take_while(|b| b.lower < threshold).count();
        let negative = self.negative_buckets().take_while(|b| b.upper > -threshold).count();
        let clear = |counts: &mut Vec<f64>, length: usize| counts.iter_mut().take(length).for_each(|c| *c = 0.0);
        clear(&mut self.positive_buckets, positive);
        clear(&mut self.negative_buckets, negative);
        let (mut positive_rest, mut negative_rest) = (None, None);
        if let Some(c) = c {
            clear(&mut c.positive_buckets, positive);
            clear(&mut c.negative_buckets, negative);
            positive_rest = Some(&mut c.positive_buckets);
            negative_rest = Some(&mut c.negative_buckets);
        }
        remove_empty(&mut self.positive_spans, &mut self.positive_buckets, positive_rest);
        remove_empty(&mut self.negative_spans, &mut self.negative_buckets, negative_rest);
    }
}
