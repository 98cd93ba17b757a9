//! Histograms of the series notation: `{{schema:0 sum:5 count:4 buckets:[1 2 1]}}`, and how they are added up.

use std::collections::BTreeMap;

use chronolith_storage::{Buckets, Histogram, ResetHint, Span, model::histogram::CUSTOM_BUCKETS_SCHEMA};

use super::cursor::Cursor;
use crate::error::ParseError;

/// A histogram as it was written.
pub(super) struct Literal {
    pub(super) histogram: Histogram,
    pub(super) hint_is_written: bool,
}

/// The parts of a histogram; what is left out is 0.
#[derive(Default)]
struct Parts {
    schema: Option<i32>,
    sum: Option<f64>,
    count: Option<f64>,
    zero_count: Option<f64>,
    zero_threshold: Option<f64>,
    offset: Option<i32>,
    positive: Option<Vec<f64>>,
    negative_offset: Option<i32>,
    negative: Option<Vec<f64>>,
    custom_values: Option<Vec<f64>>,
    reset_hint: Option<ResetHint>,
}

/// After the opening braces, up to the closing ones.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Literal, ParseError> {
    let mut parts = Parts::default();
    loop {
        cursor.skip_spaces();
        if cursor.take("}}") {
            break;
        }
        part(cursor, &mut parts)?;
        if !(cursor.is_at(' ') || cursor.is_at('\t') || cursor.is_at('}')) {
            return Err(cursor.unexpected("histogram description", "a space or \"}}\""));
        }
    }
    let spans = |offset: Option<i32>, buckets: &Vec<f64>| {
        // A line that long is refused before.
        let length = buckets.len() as u32;
        if length == 0 { Vec::new() } else { vec![Span { offset: offset.unwrap_or(0), length }] }
    };
    let positive = parts.positive.unwrap_or_default();
    let negative = parts.negative.unwrap_or_default();
    let histogram = Histogram {
        schema: parts.schema.unwrap_or(0),
        zero_threshold: parts.zero_threshold.unwrap_or(0.0),
        sum: parts.sum.unwrap_or(0.0),
        reset_hint: parts.reset_hint.unwrap_or_default(),
        positive_spans: spans(parts.offset, &positive),
        negative_spans: spans(parts.negative_offset, &negative),
        custom_values: parts.custom_values.unwrap_or_default(),
        buckets: Buckets::Float {
            count: parts.count.unwrap_or(0.0),
            zero_count: parts.zero_count.unwrap_or(0.0),
            positive,
            negative,
        },
    };
    Ok(Literal { histogram, hint_is_written: parts.reset_hint.is_some() })
}

fn part(cursor: &mut Cursor<'_>, parts: &mut Parts) -> Result<(), ParseError> {
    let start = cursor.clone();
    let key = cursor.word();
    if key.is_empty() {
        return Err(start.unexpected("histogram description", "histogram description key, e.g. buckets:[5 10 7]"));
    }
    if !cursor.take(":") {
        return Err(start.error(format!("missing `:` for histogram descriptor {key:?}")));
    }
    let was_there = match key {
        "schema" => parts.schema.replace(cursor.integer()?).is_some(),
        "sum" => parts.sum.replace(cursor.signed_number()?).is_some(),
        "count" => parts.count.replace(cursor.signed_number()?).is_some(),
        "z_bucket" => parts.zero_count.replace(cursor.signed_number()?).is_some(),
        "z_bucket_w" => parts.zero_threshold.replace(cursor.number()?).is_some(),
        "offset" => parts.offset.replace(cursor.integer()?).is_some(),
        "buckets" => parts.positive.replace(numbers(cursor)?).is_some(),
        "n_offset" => parts.negative_offset.replace(cursor.integer()?).is_some(),
        "n_buckets" => parts.negative.replace(numbers(cursor)?).is_some(),
        "custom_values" => parts.custom_values.replace(numbers(cursor)?).is_some(),
        "counter_reset_hint" => parts.reset_hint.replace(reset_hint(cursor)?).is_some(),
        _ => return Err(start.error(format!("bad histogram descriptor found: {key:?}"))),
    };
    if was_there { Err(start.error(format!("duplicate key {key:?} in histogram"))) } else { Ok(()) }
}

fn reset_hint(cursor: &mut Cursor<'_>) -> Result<ResetHint, ParseError> {
    let start = cursor.clone();
    match cursor.word() {
        "unknown" => Ok(ResetHint::Unknown),
        "reset" => Ok(ResetHint::Reset),
        "not_reset" => Ok(ResetHint::NotReset),
        "gauge" => Ok(ResetHint::Gauge),
        _ => Err(start.unexpected("histogram description", "unknown, reset, not_reset or gauge")),
    }
}

/// `[1 2 3]`
fn numbers(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, ParseError> {
    if !cursor.take("[") {
        return Err(cursor.unexpected("histogram description", "\"[\""));
    }
    let mut numbers = Vec::new();
    loop {
        let spaced = cursor.skip_spaces() || numbers.is_empty();
        if cursor.take("]") {
            return Ok(numbers);
        }
        if !spaced {
            return Err(cursor.unexpected("buckets", "a space or \"]\""));
        }
        numbers.push(cursor.signed_number()?);
    }
}

/// Why two histograms cannot be added.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum AddError {
    /// The step is coarser than the base, or one of them has custom buckets.
    #[error("error combining histograms: cannot merge from schema {from} to {to}")]
    Schema {
        /// Schema of the step.
        from: i32,
        /// Schema of the base.
        to: i32,
    },
    /// Zero buckets of different widths are not combined in this notation.
    #[error("error combining histograms: their zero buckets have the different widths {0} and {1}")]
    ZeroThreshold(f64, f64),
    /// Custom buckets with different bounds are not combined in this notation.
    #[error("error combining histograms: their custom bucket bounds differ")]
    CustomValues,
    /// Bucket numbers leave 32 bits.
    #[error("error combining histograms: bucket number {0} is out of range")]
    Index(i64),
    /// Only literals are added here, and those have float counts.
    #[error("error combining histograms: one of them has integer counts")]
    Integer,
}

/// The sum, or the difference, of two literals. The resolution of `step` is reduced to that of `base`.
pub(super) fn add(base: &Histogram, step: &Histogram, negative: bool) -> Result<Histogram, AddError> {
    let is_custom = |h: &Histogram| h.schema == CUSTOM_BUCKETS_SCHEMA;
    if base.schema > step.schema || is_custom(base) != is_custom(step) {
        return Err(AddError::Schema { from: step.schema, to: base.schema });
    }
    if base.zero_threshold != step.zero_threshold {
        return Err(AddError::ZeroThreshold(base.zero_threshold, step.zero_threshold));
    }
    if base.custom_values != step.custom_values {
        return Err(AddError::CustomValues);
    }
    let (
        Buckets::Float { count, zero_count, positive, negative: negatives },
        Buckets::Float {
            count: step_count,
            zero_count: step_zero_count,
            positive: step_positive,
            negative: step_negatives,
        },
    ) = (&base.buckets, &step.buckets)
    else {
        return Err(AddError::Integer);
    };
    let sign = if negative { -1.0 } else { 1.0 };
    let shift = step.schema.abs_diff(base.schema);
    let side = |spans: &[Span], counts: &[f64], step_spans: &[Span], step_counts: &[f64]| {
        let mut buckets: BTreeMap<i64, f64> = numbered(spans, counts).collect();
        for (index, count) in numbered(step_spans, step_counts) {
            // Bucket i of a schema holds 2^shift buckets of a finer one.
            let index = if shift == 0 { index } else { ((index - 1) >> shift.min(63)) + 1 };
            *buckets.entry(index).or_insert(0.0) += sign * count;
        }
        spanned(&buckets)
    };
    let (positive_spans, positive) = side(&base.positive_spans, positive, &step.positive_spans, step_positive)?;
    let (negative_spans, negative) = side(&base.negative_spans, negatives, &step.negative_spans, step_negatives)?;
    Ok(Histogram {
        schema: base.schema,
        zero_threshold: base.zero_threshold,
        sum: base.sum + sign * step.sum,
        reset_hint: combined_hint(base.reset_hint, step.reset_hint),
        positive_spans,
        negative_spans,
        custom_values: base.custom_values.clone(),
        buckets: Buckets::Float {
            count: count + sign * step_count,
            zero_count: zero_count + sign * step_zero_count,
            positive,
            negative,
        },
    })
}

/// A gauge stays a gauge; two different hints say nothing.
fn combined_hint(a: ResetHint, b: ResetHint) -> ResetHint {
    match (a, b) {
        (a, b) if a == b => a,
        (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}

/// The buckets with their numbers.
fn numbered<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i64, f64)> + 'a {
    let mut next = 0i64;
    let indexes = spans.iter().flat_map(move |span| {
        let start = next + i64::from(span.offset);
        next = start + i64::from(span.length);
        start..next
    });
    indexes.zip(counts.iter().copied())
}

/// Numbered buckets as spans and counts.
fn spanned(buckets: &BTreeMap<i64, f64>) -> Result<(Vec<Span>, Vec<f64>), AddError> {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for index in buckets.keys() {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => {
                let offset = i32::try_from(index - next).map_err(|_| AddError::Index(*index))?;
                spans.push(Span { offset, length: 1 });
            }
        }
        next = index + 1;
    }
    Ok((spans, buckets.values().copied().collect()))
}
