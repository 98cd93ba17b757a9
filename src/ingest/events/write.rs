//! Values of Arrow arrays as JSON and as cells of CSV: what the readers of events read back.

use arrow_array::{
    Array,
    cast::AsArray as _,
    types::{Decimal128Type, Float32Type, Float64Type},
};
use arrow_cast::display::{ArrayFormatter, DurationFormat, FormatOptions};
use arrow_schema::{DataType, TimeUnit};
use chronolith_storage::document::{time, write_string};

/// How deep lists and structs are written inside each other; what is deeper is a text.
const MAX_DEPTH: usize = 32;

/// Appends a value as JSON; nothing as null. Numbers that JSON lacks, times and bytes are texts.
pub fn write_json(out: &mut String, array: &dyn Array, row: usize) {
    json(out, array, row, 0);
}

/// Calls itself at most [`MAX_DEPTH`] deep.
fn json(out: &mut String, array: &dyn Array, row: usize, depth: usize) {
    if array.is_null(row) {
        return out.push_str("null");
    }
    if depth < MAX_DEPTH {
        if let Some(object) = array.as_struct_opt() {
            out.push('{');
            for (i, (field, values)) in object.fields().iter().zip(object.columns()).enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_string(out, field.name());
                out.push(':');
                json(out, values, row, depth + 1);
            }
            return out.push('}');
        }
        let list = match array.data_type() {
            DataType::List(_) => array.as_list_opt::<i32>().map(|l| l.value(row)),
            DataType::LargeList(_) => array.as_list_opt::<i64>().map(|l| l.value(row)),
            DataType::FixedSizeList(..) => array.as_fixed_size_list_opt().map(|l| l.value(row)),
            _ => None,
        };
        if let Some(items) = list {
            out.push('[');
            for at in 0..items.len() {
                out.push_str(if at > 0 { "," } else { "" });
                json(out, &items, at, depth + 1);
            }
            return out.push(']');
        }
    }
    match array.data_type() {
        DataType::Utf8View => write_string(out, array.as_string_view().value(row)),
        _ => {
            let text = text(array, row);
            if is_bare(array, row) { out.push_str(&text) } else { write_string(out, &text) }
        }
    }
}

/// Appends a value as a cell of CSV; nothing as nothing. A text that would be read as something else is in quotes, so is
/// one with a comma, a quote or the end of a line.
pub fn write_csv(out: &mut String, array: &dyn Array, row: usize) {
    if array.is_null(row) {
        return;
    }
    if array.data_type().is_nested() {
        let mut value = String::new();
        write_json(&mut value, array, row);
        return write_csv_text(out, &value, false);
    }
    write_csv_text(out, &text(array, row), is_text(array.data_type()));
}

/// Appends a value as people read it: a text as it is, what is nested as JSON, nothing as nothing.
pub fn write_plain(out: &mut String, array: &dyn Array, row: usize) {
    if array.is_null(row) {
        return;
    }
    if array.data_type().is_nested() {
        return write_json(out, array, row);
    }
    out.push_str(&text(array, row));
}

/// Appends a cell; `is_text` says that it is a text, however it looks.
pub fn write_csv_text(out: &mut String, text: &str, is_text: bool) {
    let looks_else = || text.is_empty() || matches!(text, "true" | "false") || super::csv::is_number(text);
    if text.contains([',', '"', '\n', '\r']) || (is_text && looks_else()) {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

fn is_text(of: &DataType) -> bool {
    match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Whether JSON has such a value without quotes.
fn is_bare(array: &dyn Array, row: usize) -> bool {
    match array.data_type() {
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row).is_finite(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).is_finite(),
        DataType::Boolean => true,
        of => of.is_integer() || of.is_decimal(),
    }
}

/// A value that is there, as text.
fn text(array: &dyn Array, row: usize) -> String {
    match array.data_type() {
        DataType::Decimal128(..) => return array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            if value.is_infinite() {
                return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
            }
        }
        DataType::Timestamp(unit, zone) => {
            if let Some(nanos) = nanos(array, *unit, row) {
                let text = time::to_text(nanos);
                // Without a zone it is no moment, but what a clock showed somewhere.
                return if zone.is_some() { text } else { text.trim_end_matches('Z').to_owned() };
            }
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            return format!("\\x{}", formatted(array, row));
        }
        _ => {}
    }
    formatted(array, row)
}

fn formatted(array: &dyn Array, row: usize) -> String {
    let options = FormatOptions::default().with_duration_format(DurationFormat::ISO8601);
    ArrayFormatter::try_new(array, &options).map(|f| f.value(row).to_string()).unwrap_or_default()
}

fn nanos(array: &dyn Array, unit: TimeUnit, row: usize) -> Option<i64> {
    use arrow_array::types::{
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    };
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000_000),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000_000),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row).checked_mul(1_000),
        TimeUnit::Nanosecond => Some(array.as_primitive::<TimestampNanosecondType>().value(row)),
    }
}
