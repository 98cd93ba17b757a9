//! Values as texts, as PostgreSQL shows them: what a cast to text, or `||` beside a text, gives.

use std::fmt::Write as _;

use arrow::{
    array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder},
    compute::cast,
    datatypes::{DataType, Float32Type, Float64Type, IntervalMonthDayNanoType, IntervalUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use chrono::{NaiveDateTime, Timelike};
use datafusion::common::{Result, exec_datafusion_err};

use super::{
    datetime::naive,
    times::{Zone, out_of_range},
};
use crate::types::{
    float_text::{write_f32, write_f64},
    interval_text::write_interval,
};

/// Whether a type's texts are others than Arrow's.
pub(super) fn is_own(of: &DataType) -> bool {
    use DataType as T;
    of.is_floating()
        || matches!(
            of,
            T::Timestamp(..)
                | T::Interval(_)
                | T::Duration(_)
                | T::Binary
                | T::LargeBinary
                | T::BinaryView
                | T::List(_)
                | T::LargeList(_)
        )
}

/// The texts of values; moments are shown as the clocks of this zone do.
pub(super) fn texts(values: &ArrayRef, zone: &str) -> Result<StringViewArray> {
    let mut out = StringViewBuilder::with_capacity(values.len());
    let mut row_text = String::new();
    let writer = Writer::new(values, zone)?;
    for row in 0..values.len() {
        if values.is_null(row) {
            out.append_null();
            continue;
        }
        row_text.clear();
        writer.write(row, &mut row_text)?;
        out.append_value(&row_text);
    }
    Ok(out.finish())
}

/// Values that are written one by one.
enum Writer {
    Float4(ArrayRef),
    Float8(ArrayRef),
    Time(Vec<Option<NaiveDateTime>>, Option<Zone>),
    Interval(ArrayRef),
    Bytes(ArrayRef),
    Bool(ArrayRef),
    List(Vec<Option<StringViewArray>>),
    Other(ArrayRef),
}

impl Writer {
    fn new(values: &ArrayRef, zone: &str) -> Result<Self> {
        use DataType as T;
        Ok(match values.data_type() {
            T::Float16 | T::Float32 => Self::Float4(cast(values, &T::Float32)?),
            T::Float64 => Self::Float8(values.clone()),
            T::Timestamp(_, None) => Self::Time(naive(values)?, None),
            T::Timestamp(_, Some(_)) => Self::Time(naive(values)?, Some(Zone::parse(zone)?)),
            T::Interval(_) | T::Duration(_) => Self::Interval(cast(values, &T::Interval(IntervalUnit::MonthDayNano))?),
            T::Binary | T::LargeBinary | T::BinaryView => Self::Bytes(cast(values, &T::BinaryView)?),
            T::Boolean => Self::Bool(values.clone()),
            T::List(_) | T::LargeList(_) => Self::List(lists(values, zone)?),
            _ => Self::Other(values.clone()),
        })
    }

    fn write(&self, row: usize, out: &mut String) -> Result<()> {
        let mut bytes = Vec::new();
        match self {
            Self::Float4(of) => write_f32(&mut bytes, of.as_primitive::<Float32Type>().value(row)),
            Self::Float8(of) => write_f64(&mut bytes, of.as_primitive::<Float64Type>().value(row)),
            Self::Interval(of) => write_interval(&mut bytes, of.as_primitive::<IntervalMonthDayNanoType>().value(row)),
            Self::Time(of, zone) => {
                if let Some(Some(time)) = of.get(row) {
                    moment(*time, *zone, out).ok_or_else(out_of_range)?;
                }
            }
            Self::Bytes(of) => {
                out.push_str("\\x");
                for byte in of.as_binary_view().value(row) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "{byte:02x}");
                }
            }
            Self::Bool(of) => out.push_str(if of.as_boolean().value(row) { "t" } else { "f" }),
            Self::List(of) => {
                if let Some(Some(elements)) = of.get(row) {
                    list(elements, out);
                }
            }
            Self::Other(of) => {
                let options = FormatOptions::default();
                let formatter = ArrayFormatter::try_new(of, &options)?;
                let text = formatter.value(row).try_to_string();
                out.push_str(&text.map_err(|e| exec_datafusion_err!("a value has no text: {e}"))?);
            }
        }
        out.push_str(&String::from_utf8_lossy(&bytes));
        Ok(())
    }
}

/// A moment as a clock shows it, and how far a zone's clock is before UTC.
fn moment(time: NaiveDateTime, zone: Option<Zone>, out: &mut String) -> Option<()> {
    let local = zone.map_or(Some(time), |zone| zone.local(time))?;
    // Writing to a string cannot fail.
    let _ = write!(out, "{}", local.format("%Y-%m-%d %H:%M:%S"));
    let micros = local.nanosecond() / 1000;
    if micros > 0 {
        let _ = write!(out, ".{micros:06}");
        out.truncate(out.trim_end_matches('0').len());
    }
    if let Some(zone) = zone {
        let (_, offset) = zone.offset(time);
        let seconds = offset.unsigned_abs();
        let _ = write!(out, "{}{:02}", if offset < 0 { '-' } else { '+' }, seconds / 3600);
        if !seconds.is_multiple_of(3600) {
            let _ = write!(out, ":{:02}", seconds / 60 % 60);
        }
    }
    Some(())
}

/// The texts of the elements of each list.
fn lists(values: &ArrayRef, zone: &str) -> Result<Vec<Option<StringViewArray>>> {
    let elements = |row: usize| {
        let of = match values.data_type() {
            DataType::List(_) => values.as_list::<i32>().value(row),
            _ => values.as_list::<i64>().value(row),
        };
        texts(&of, zone)
    };
    (0..values.len()).map(|row| values.is_valid(row).then(|| elements(row)).transpose()).collect()
}

fn list(elements: &StringViewArray, out: &mut String) {
    out.push('{');
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let Some(element) = element else {
            out.push_str("NULL");
            continue;
        };
        let special = |c: char| matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_whitespace();
        // Lists inside are written as they are.
        let nested = element.starts_with('{') && element.ends_with('}');
        if !nested && (element.is_empty() || element.eq_ignore_ascii_case("null") || element.contains(special)) {
            out.push('"');
            for c in element.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        } else {
            out.push_str(element);
        }
    }
    out.push('}');
}
