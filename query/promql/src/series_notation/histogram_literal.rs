//! Histograms of the series notation: `{{schema:0 sum:5 count:4 buckets:[1 2 1]}}`, and how they are added up.

use chronolith_storage::{FloatHistogram, ResetHint, Span};

use super::cursor::Cursor;
use crate::error::ParseError;

/// A histogram as it was written.
pub(super) struct Literal {
    pub(super) histogram: FloatHistogram,
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
    let histogram = FloatHistogram {
        schema: parts.schema.unwrap_or(0),
        zero_threshold: parts.zero_threshold.unwrap_or(0.0),
        zero_count: parts.zero_count.unwrap_or(0.0),
        count: parts.count.unwrap_or(0.0),
        sum: parts.sum.unwrap_or(0.0),
        reset_hint: parts.reset_hint.unwrap_or_default(),
        positive_spans: spans(parts.offset, &positive),
        negative_spans: spans(parts.negative_offset, &negative),
        positive_buckets: positive,
        negative_buckets: negative,
        custom_values: parts.custom_values.unwrap_or_default(),
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

/// The sum, or the difference, of two literals.
pub(super) fn add(base: &FloatHistogram, step: &FloatHistogram, negative: bool) -> Result<FloatHistogram, String> {
    // The step must not make the base coarser.
    if base.schema > step.schema {
        return Err(format!("error combining histograms: cannot merge from schema {} to {}", step.schema, base.schema));
    }
    let mut sum = base.clone();
    let reconciled = if negative { sum.sub(step) } else { sum.add(step) };
    reconciled.map_err(|e| e.to_string())?;
    Ok(sum)
}
