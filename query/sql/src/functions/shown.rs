//! Values as texts, as PostgreSQL shows them: what a cast to text, or `||` beside a text, gives.

use std::fmt::Write as _;

use arrow::{
    array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder},
    compute::cast,
    datatypes::{DataType, Float32Type, Float64Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::common::{Result, exec_datafusion_err};

use super::time_texts;
use crate::types::float_text::{write_f32, write_f64};

/// Whether a type's texts are others than Arrow's.
pub(super) fn is_own(of: &DataType) -> bool {
    use DataType as T;
    of.is_floating() || matches!(of, T::Binary | T::LargeBinary | T::BinaryView | T::List(_) | T::LargeList(_))
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
    Time(StringViewArray),
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
            of if time_texts::is_time(of) => {
                let zones = std::iter::repeat_n(Some(zone), values.len()).collect::<StringViewArray>();
                Self::Time(time_texts::texts(values, &zones)?)
            }
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
            Self::Time(of) => out.push_str(of.value(row)),
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
        let special = |c: char| matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace() || c == '\u{b}';
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
