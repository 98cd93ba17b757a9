//! Counter resets, found by comparison with the histogram before.

use super::{
    FloatHistogram, ResetHint, Span,
    bounds::exponential_bound,
    layout::{indices, narrow},
    resolution::{coarser, shift},
};

impl FloatHistogram {
    /// Whether the counter was reset between the histogram before and this one: it says so, or any count (not the sum)
    /// became smaller, or the resolution finer. A coarser schema and a wider zero bucket are no resets by themselves.
    #[must_use]
    pub fn detect_reset(&self, previous: &Self) -> bool {
        match self.reset_hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            // Functions of counters applied to a gauge treat it as a counter.
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.uses_custom_buckets() {
            if !previous.uses_custom_buckets() {
                return true;
            }
            if self.custom_values != previous.custom_values {
                return self.custom_bucket_fell(previous);
            }
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (zero_count, threshold, _) = previous.zero_count_for(self.zero_threshold, None);
        // Else the threshold lies inside of a populated bucket of the histogram before.
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let sides =
            |h: &Self| Merged { schema: self.schema, shift: shift(h.schema, self.schema), start: self.zero_threshold };
        let (ours, theirs) = (sides(self), sides(previous));
        bucket_fell(
            ours.buckets(&self.positive_spans, &self.positive_buckets),
            theirs.buckets(&previous.positive_spans, &previous.positive_buckets),
        ) || bucket_fell(
            ours.buckets(&self.negative_spans, &self.negative_buckets),
            theirs.buckets(&previous.negative_spans, &previous.negative_buckets),
        )
    }

    /// Compares two histograms with different custom bounds, over the bounds that both have.
    fn custom_bucket_fell(&self, previous: &Self) -> bool {
        let (mut ours, mut theirs) = (self.positive_buckets().peekable(), previous.positive_buckets().peekable());
        let mut bounds = previous.custom_values.iter().peekable();
        for bound in self.custom_values.iter().chain([&f64::INFINITY]) {
            while bounds.next_if(|other| *other < bound).is_some() {}
            if *bound != f64::INFINITY && bounds.peek() != Some(&bound) {
                continue;
            }
            let (mut now, mut before) = (0.0, 0.0);
            while let Some(bucket) = ours.next_if(|b| b.upper <= *bound) {
                now += bucket.count;
            }
            while let Some(bucket) = theirs.next_if(|b| b.upper <= *bound) {
                before += bucket.count;
            }
            if now < before {
                return true;
            }
        }
        false
    }
}

/// How buckets are looked at: merged to a coarser schema, without those that end at or below `start`.
struct Merged {
    schema: i32,
    shift: u32,
    start: f64,
}

impl Merged {
    fn buckets<'h>(&self, spans: &'h [Span], counts: &'h [f64]) -> impl Iterator<Item = (i64, f64)> + use<'h> {
        let Self { schema, shift, start } = *self;
        let mut buckets = indices(spans).map(move |i| coarser(i, shift)).zip(counts.iter().copied()).peekable();
        std::iter::from_fn(move || {
            let (index, mut count) = buckets.next()?;
            while let Some((_, more)) = buckets.next_if(|(next, _)| *next == index) {
                count += more;
            }
            Some((index, count))
        })
        // Custom buckets have no zero bucket, so nothing is left out of them.
        .skip_while(move |(index, _)| start != 0.0 && exponential_bound(narrow(*index), schema) <= start)
    }
}

/// Whether a bucket holds less than before; one that is missing holds nothing.
fn bucket_fell(now: impl Iterator<Item = (i64, f64)>, before: impl Iterator<Item = (i64, f64)>) -> bool {
    let mut now = now.peekable();
    for (index, count) in before {
        while now.next_if(|(i, _)| *i < index).is_some() {}
        let current = now.peek().filter(|(i, _)| *i == index).map(|(_, count)| *count);
        match current {
            Some(current) if current < count => return true,
            None if count != 0.0 => return true,
            _ => {}
        }
    }
    false
}
