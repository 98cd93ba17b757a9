//! Sums of histograms with compensation: what rounding takes from each addition is kept beside the sum.

use super::{
    FloatHistogram, HistogramMathError, Reconciled, Span,
    arithmetic::{Addend, covered_by_zero_bucket, merge},
    custom_bounds::{common_bounds, map_to_common},
    layout::pieces,
    resolution::{merge_buckets, shift},
};

/// One step of Kahan's summation as Neumaier improved it: `inc` is added to `sum`, and what rounding took of it to
/// `compensation`. A sum that becomes infinite has no compensation.
#[inline]
#[must_use]
pub fn compensated_add(inc: f64, sum: f64, compensation: f64) -> (f64, f64) {
    let total = sum + inc;
    let compensation = if total.is_infinite() {
        0.0
    } else if sum.abs() >= inc.abs() {
        compensation + ((sum - total) + inc)
    } else {
        compensation + ((inc - total) + sum)
    };
    (total, compensation)
}

impl FloatHistogram {
    /// Adds a histogram as [`FloatHistogram::add`] does, and what rounding takes of it to the compensation. That begins
    /// as `None`, is kept in the layout of the sum, scaled together with it (`mul`, `div`), and added to it in the end.
    ///
    /// # Errors
    /// One has exponential buckets, the other custom ones. Both are as before then.
    pub fn kahan_add(
        &mut self,
        other: &Self,
        compensation: &mut Option<Self>,
    ) -> Result<Reconciled, HistogramMathError> {
        self.check_compatible(other)?;
        let mut reconciled =
            Reconciled { counter_reset_collision: self.adjust_reset_hint(other), ..Reconciled::default() };
        let c = compensation.get_or_insert_with(|| self.no_compensation());
        align(c, self);
        if !self.uses_custom_buckets() {
            let (zero_count, rest) = self.reconcile_zero_buckets(other, Some(c));
            (self.zero_count, c.zero_count) = compensated_add(zero_count, self.zero_count, c.zero_count);
            (self.zero_count, c.zero_count) = compensated_add(rest, self.zero_count, c.zero_count);
        }
        (self.count, c.count) = compensated_add(other.count, self.count, c.count);
        (self.sum, c.sum) = compensated_add(other.sum, self.sum, c.sum);

        if self.uses_custom_buckets() && self.custom_values != other.custom_values {
            reconciled.custom_bounds_reconciled = true;
            let common = common_bounds(&self.custom_values, &other.custom_values);
            map_to_common(self, other, Some(&mut c.positive_buckets), 1.0, &common);
            c.custom_values.clone_from(&common);
            self.custom_values = common;
        } else {
            self.kahan_add_buckets(other, c);
        }
        c.schema = self.schema;
        c.zero_threshold = self.zero_threshold;
        follow(&mut c.positive_spans, &self.positive_spans);
        follow(&mut c.negative_spans, &self.negative_spans);
        Ok(reconciled)
    }

    /// Adds the buckets where nothing but the schema is left to be reconciled.
    fn kahan_add_buckets(&mut self, other: &Self, c: &mut Self) {
        let exponential = !self.uses_custom_buckets();
        if other.schema < self.schema {
            let shift = shift(self.schema, other.schema);
            merge_buckets(&mut self.positive_spans, &mut self.positive_buckets, Some(&mut c.positive_buckets), shift);
            merge_buckets(&mut self.negative_spans, &mut self.negative_buckets, Some(&mut c.negative_buckets), shift);
            self.schema = other.schema;
        }
        let shift = shift(other.schema, self.schema);
        for (spans, counts, compensation, their_spans, their_counts) in [
            (
                &mut self.positive_spans,
                &mut self.positive_buckets,
                &mut c.positive_buckets,
                &other.positive_spans,
                &other.positive_buckets,
            ),
            (
                &mut self.negative_spans,
                &mut self.negative_buckets,
                &mut c.negative_buckets,
                &other.negative_spans,
                &other.negative_buckets,
            ),
        ] {
            let skip = |spans: &[Span], counts: &[f64]| {
                if exponential { covered_by_zero_bucket(spans, counts, self.schema, self.zero_threshold) } else { 0 }
            };
            if shift == 0 {
                let addend = Addend { spans: their_spans, counts: their_counts, compensation: None, sign: 1.0 };
                merge(spans, counts, Some(compensation), &addend, skip(their_spans, their_counts));
            } else {
                let (mut their_spans, mut their_counts) = (their_spans.clone(), their_counts.clone());
                let mut rest = vec![0.0; their_counts.len()];
                merge_buckets(&mut their_spans, &mut their_counts, Some(&mut rest), shift);
                let addend =
                    Addend { spans: &their_spans, counts: &their_counts, compensation: Some(&rest), sign: 1.0 };
                merge(spans, counts, Some(compensation), &addend, skip(&their_spans, &their_counts));
            }
        }
    }

    /// The compensation of a sum that nothing was added to yet: zero, in the same layout.
    fn no_compensation(&self) -> Self {
        Self {
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive_buckets: vec![0.0; self.positive_buckets.len()],
            negative_buckets: vec![0.0; self.negative_buckets.len()],
            ..self.clone()
        }
    }
}

/// Takes over spans, which are the same most of the time.
fn follow(spans: &mut Vec<Span>, of: &[Span]) {
    if spans.as_slice() != of {
        of.clone_into(spans);
    }
}

/// Brings a compensation into the layout of its sum, in case the sum was compacted in between.
fn align(c: &mut FloatHistogram, sum: &FloatHistogram) {
    align_side((&mut c.positive_spans, &mut c.positive_buckets), (&sum.positive_spans, sum.positive_buckets.len()));
    align_side((&mut c.negative_spans, &mut c.negative_buckets), (&sum.negative_spans, sum.negative_buckets.len()));
}

fn align_side((spans, counts): (&mut Vec<Span>, &mut Vec<f64>), (of, length): (&[Span], usize)) {
    if spans.as_slice() == of && counts.len() == length {
        return;
    }
    let mut aligned = vec![0.0; length];
    for piece in pieces((of, length), (spans, counts.len()), 0) {
        if let (Some(to), Some(from)) = (piece.ours, piece.theirs) {
            aligned[to..to + piece.length].copy_from_slice(&counts[from..from + piece.length]);
        }
    }
    *counts = aligned;
    of.clone_into(spans);
}
