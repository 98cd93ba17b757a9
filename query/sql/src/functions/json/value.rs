//! A JSON value as a tree, and how it is written; and JSON of SQL's values.

use std::fmt::{self, Display, Write};

use arrow::{
    array::{Array, ArrayRef, AsArray, StringViewArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::common::Result;

use super::{super::time_texts, scan};
use crate::{
    clock::{self, Zone},
    types::UTC,
};

/// A JSON value. Numbers are kept as they are written, fields in the order they are written.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Json {
    Null,
    Bool(bool),
    Number(Box<str>),
    String(Box<str>),
    Array(Vec<Json>),
    Object(Vec<(Box<str>, Json)>),
}

impl Json {
    /// A number, or the string that stands for what JSON has no number for.
    pub(in super::super) fn from_float(value: f64) -> Self {
        if !value.is_finite() {
            let name = if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            return Self::String(name.into());
        }
        let text = if value.abs() >= 1e21 || (value != 0.0 && value.abs() < 1e-7) {
            format!("{value:e}")
        } else {
            value.to_string()
        };
        Self::Number(text.into())
    }

    /// What `jsonb_typeof` calls it.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// Whether both are scalars of the same value. Numbers are compared by value.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => {
                a == b || a.parse::<f64>().ok().zip(b.parse::<f64>().ok()).is_some_and(|(a, b)| a == b)
            }
            (Self::Array(a), Self::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Self::Object(a), Self::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(k, v)| other.field(k).is_some_and(|o| v.same(o)))
            }
            _ => self == other,
        }
    }

    /// A field of an object.
    pub(super) fn field(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(name, _)| **name == *key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Whether this contains the other, as PostgreSQL's `@>` tells it.
    pub(super) fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(_), Self::Object(wanted)) => {
                wanted.iter().all(|(key, value)| self.field(key).is_some_and(|own| own.contains(value)))
            }
            (Self::Array(own), Self::Array(wanted)) => wanted.iter().all(|w| own.iter().any(|o| o.contains_element(w))),
            // An array may contain a scalar as if it were an array of one.
            (Self::Array(own), wanted) => !matches!(wanted, Self::Object(_)) && own.iter().any(|o| o.same(wanted)),
            _ => self.same(other),
        }
    }

    fn contains_element(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Array(_), Self::Array(_)) | (Self::Object(_), Self::Object(_)) => self.contains(wanted),
            _ => self.same(wanted),
        }
    }

    /// The value in lines, indented by four.
    pub(super) fn pretty(&self, out: &mut String, depth: usize) {
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("    ", depth));
        };
        let (open, close, empty) = match self {
            Self::Array(values) => ('[', ']', values.is_empty()),
            Self::Object(fields) => ('{', '}', fields.is_empty()),
            scalar => return out.push_str(&scalar.to_string()),
        };
        out.push(open);
        let (nothing, no_fields) = (Vec::new(), Vec::new());
        let (values, fields) = match self {
            Self::Array(values) => (values, &no_fields),
            Self::Object(fields) => (&nothing, fields),
            _ => (&nothing, &no_fields),
        };
        for (at, value) in values.iter().enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            line(out, depth + 1);
            value.pretty(out, depth + 1);
        }
        for (at, (key, value)) in fields.iter().enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            line(out, depth + 1);
            quote(key, out).and_then(|()| out.write_str(": ")).unwrap_or_default();
            value.pretty(out, depth + 1);
        }
        if !empty {
            line(out, depth);
        }
        out.push(close);
    }
}

/// Writes a string with its quotes.
pub(super) fn quote(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{c}' => out.write_str("\\f")?,
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

impl Display for Json {
    /// As PostgreSQL writes jsonb: a space after colons and commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(text) => f.write_str(text),
            Self::String(text) => quote(text, f),
            Self::Array(values) => {
                f.write_char('[')?;
                for (at, value) in values.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    value.fmt(f)?;
                }
                f.write_char(']')
            }
            Self::Object(fields) => {
                f.write_char('{')?;
                for (at, (key, value)) in fields.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    quote(key, f)?;
                    f.write_str(": ")?;
                    value.fmt(f)?;
                }
                f.write_char('}')
            }
        }
    }
}

/// A cell that holds the text of a JSON value, as that value.
pub(super) fn embedded(array: &ArrayRef, row: usize) -> Result<Json> {
    let texts = cast(array, &DataType::Utf8View)?;
    let texts = texts.as_string_view();
    if texts.is_null(row) { Ok(Json::Null) } else { scan::parse(texts.value(row)) }
}

/// A cell as JSON, as `to_jsonb` makes it.
pub(in super::super) fn from_arrow(array: &ArrayRef, row: usize) -> Result<Json> {
    use DataType as T;
    if array.is_null(row) || array.data_type() == &T::Null {
        return Ok(Json::Null);
    }
    let elements = |values: ArrayRef| -> Result<Json> {
        (0..values.len()).map(|at| from_arrow(&values, at)).collect::<Result<_>>().map(Json::Array)
    };
    match array.data_type() {
        T::Boolean => Ok(Json::Bool(array.as_boolean().value(row))),
        T::Float16 | T::Float64 => {
            let floats = cast(&array.slice(row, 1), &T::Float64)?;
            Ok(Json::from_float(floats.as_primitive::<Float64Type>().value(0)))
        }
        // By its shortest text, as it has fewer digits than the same number as a double.
        T::Float32 => {
            let value = array.as_primitive::<arrow::datatypes::Float32Type>().value(row);
            let text = Json::Number(value.to_string().into());
            Ok(if value.is_finite() { text } else { Json::from_float(f64::from(value)) })
        }
        of if of.is_numeric() => Ok(Json::Number(written(array, row)?.into())),
        T::List(_) => elements(array.as_list::<i32>().value(row)),
        T::LargeList(_) => elements(array.as_list::<i64>().value(row)),
        T::FixedSizeList(..) => elements(array.as_fixed_size_list().value(row)),
        T::Struct(fields) => {
            let columns = array.as_struct();
            let field = |(at, field): (usize, &arrow::datatypes::FieldRef)| {
                Ok((field.name().as_str().into(), from_arrow(columns.column(at), row)?))
            };
            fields.iter().enumerate().map(field).collect::<Result<_>>().map(Json::Object)
        }
        T::Timestamp(_, zone) => {
            let micros = cast(&array.slice(row, 1), &T::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
            let zone = zone.as_deref().map(Zone::parse).transpose()?;
            let mut text = Vec::new();
            let micros = cast(&micros, &T::Int64)?.as_primitive::<Int64Type>().value(0);
            clock::write_timestamp(&mut text, micros, zone.as_ref());
            let text = String::from_utf8_lossy(&text).replacen(' ', "T", 1);
            let is_short =
                zone.is_some() && text.as_bytes().iter().rev().nth(2).is_some_and(|b| matches!(b, b'+' | b'-'));
            Ok(Json::String(if is_short { format!("{text}:00") } else { text }.into()))
        }
        T::Date32 | T::Interval(_) | T::Duration(_) | T::Time64(_) => {
            let text = time_texts::texts(&array.slice(row, 1), &StringViewArray::from_iter_values([UTC]))?;
            Ok(Json::String(text.value(0).into()))
        }
        _ => Ok(Json::String(written(array, row)?.into())),
    }
}

fn written(array: &ArrayRef, row: usize) -> Result<String> {
    let options = FormatOptions::default();
    Ok(ArrayFormatter::try_new(array.as_ref(), &options)?.value(row).try_to_string()?)
}
