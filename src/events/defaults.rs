//! Values of declared columns that a row does not name: serial numbers, and defaults that need no SQL.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringViewArray};
use chronolith_storage::{
    document::time,
    table::{ColumnType, Kind},
};

use super::convert::convert;

/// What rows get that do not name a column.
#[derive(Debug)]
pub(super) enum Default {
    /// Nothing.
    Null,
    /// All the one value.
    Same(ArrayRef),
    /// Each its own.
    Each(ArrayRef),
}

/// The numbers from `first`, as the column holds them.
pub(super) fn serial(column_type: &ColumnType, first: i64, count: usize) -> Result<Default, String> {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((first..).take(count)));
    convert(column_type, Kind::Int64, &numbers, None).map(Default::Each).map_err(|refused| refused.reason)
}

/// The value of a default: a constant, or the time of arrival. Any other expression is refused.
pub(super) fn evaluate(column_type: &ColumnType, expression: &str, arrival: i64) -> Result<Default, String> {
    let unknown = || {
        format!(
            "the event has no value, and the default {expression:?} is an expression that only SQL computes. Give a value, \
             or insert by SQL"
        )
    };
    let plain = without_cast(expression.trim());
    let lower = plain.to_ascii_lowercase();
    let text = match lower.as_str() {
        "null" => return Ok(Default::Null),
        "true" | "false" => lower,
        "now()" | "current_timestamp" | "localtimestamp" | "current_timestamp()" => time::to_text(arrival),
        "current_date" => time::to_text(arrival).chars().take(10).collect(),
        _ => match quoted(plain) {
            Some(text) => text,
            None if plain.parse::<f64>().is_ok() => plain.to_owned(),
            None => return Err(unknown()),
        },
    };
    let value: ArrayRef = Arc::new(StringViewArray::from(vec![text]));
    convert(column_type, Kind::Text, &value, None).map(Default::Same).map_err(|refused| refused.reason)
}

/// The expression in front of a cast such as `'x'::text`.
fn without_cast(expression: &str) -> &str {
    match expression.rsplit_once("::") {
        Some((value, name)) if !name.contains('\'') => value.trim(),
        _ => expression,
    }
}

/// The text of an SQL string.
fn quoted(expression: &str) -> Option<String> {
    let inner = expression.strip_prefix('\'')?.strip_suffix('\'')?;
    let unescaped = inner.replace("''", "\u{0}");
    (!unescaped.contains('\'')).then(|| unescaped.replace('\u{0}', "'"))
}
