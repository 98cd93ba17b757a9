//! Coarser exponential schemas: neighbouring buckets become one.

use super::{
    FloatHistogram, HistogramMathError, ResetHint, Span, check_spans,
    compensated::compensated_add,
    layout::{SpanBuilder, indices},
};

impl FloatHistogram {
    /// A copy in a coarser schema, whose resets are not known. A schema that is not coarser than this one's, and custom
    /// buckets, leave it as it is.
    #[must_use]
    pub fn copy_to_schema(&self, schema: i32) -> Self {
        let mut copy = self.clone();
        if self.uses_custom_buckets() || schema >= self.schema {
            return copy;
        }
        let shift = shift(self.schema, schema);
        merge_buckets(&mut copy.positive_spans, &mut copy.positive_buckets, None, shift);
        merge_buckets(&mut copy.negative_spans, &mut copy.negative_buckets, None, shift);
        copy.schema = schema;
        copy.reset_hint = ResetHint::Unknown;
        copy
    }

    /// Changes to a coarser schema.
    ///
    /// # Errors
    /// The schema is not coarser, one of both is that of custom buckets, or spans and buckets do not fit each other. The
    /// histogram is as before then.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), HistogramMathError> {
        if self.uses_custom_buckets() {
            return Err(HistogramMathError::ReduceCustom);
        }
        if schema == super::CUSTOM_BUCKETS_SCHEMA {
            return Err(HistogramMathError::ReduceToCustom);
        }
        if schema >= self.schema {
            return Err(HistogramMathError::NotCoarser { from: self.schema, to: schema });
        }
        check_spans("positive", &self.positive_spans, self.positive_buckets.len())?;
        check_spans("negative", &self.negative_spans, self.negative_buckets.len())?;
        let shift = shift(self.schema, schema);
        merge_buckets(&mut self.positive_spans, &mut self.positive_buckets, None, shift);
        merge_buckets(&mut self.negative_spans, &mut self.negative_buckets, None, shift);
        self.schema = schema;
        Ok(())
    }
}

/// By how many bits an index gets smaller between two schemas.
pub(super) const fn shift(from: i32, to: i32) -> u32 {
    let shift = from.saturating_sub(to);
    if shift > 62 { 62 } else { shift.unsigned_abs() }
}

/// The index of a bucket in a schema that is coarser by that many steps.
pub(super) const fn coarser(index: i64, shift: u32) -> i64 {
    ((index - 1) >> shift) + 1
}

/// Merges the buckets of one side, and with them the compensation of its counts.
pub(super) fn merge_buckets(
    spans: &mut Vec<Span>,
    counts: &mut Vec<f64>,
    mut compensation: Option<&mut Vec<f64>>,
    shift: u32,
) {
    if let Some(compensation) = &mut compensation {
        compensation.resize(counts.len(), 0.0);
    }
    let mut builder = SpanBuilder::default();
    let mut merged = 0;
    let mut last = None;
    for (at, index) in indices(spans).take(counts.len()).enumerate() {
        let target = coarser(index, shift);
        if last != Some(target) {
            builder.push(target, 1);
            counts[merged] = counts[at];
            if let Some(compensation) = &mut compensation {
                compensation[merged] = compensation[at];
            }
            merged += 1;
            last = Some(target);
            continue;
        }
        let into = merged - 1;
        match &mut compensation {
            None => counts[into] += counts[at],
            Some(compensation) => {
                let (count, rest) = compensated_add(counts[at], counts[into], compensation[into]);
                (counts[into], compensation[into]) = compensated_add(compensation[at], count, rest);
            }
        }
    }
    *spans = builder.finish();
    counts.truncate(merged);
    if let Some(compensation) = compensation {
        compensation.truncate(merged);
    }
}
