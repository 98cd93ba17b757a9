//! Fields whose values have several kinds: all of them as texts.

use std::{fmt::Write as _, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, StringViewBuilder},
    util::display::{ArrayFormatter, FormatOptions},
};
use chronolith_storage::table::{Kind, ListKind};

use crate::error::{Result, SqlError};

/// The texts of values of several kinds; in each row at most one array has a value. Texts are as they are, all else as
/// JSON writes it.
pub(crate) fn as_texts(arrays: &[(Kind, ArrayRef)]) -> Result<ArrayRef> {
    let options = FormatOptions::default();
    let formatters: Result<Vec<Option<ArrayFormatter<'_>>>> = arrays
        .iter()
        .map(|(kind, array)| match kind {
            Kind::Text | Kind::Json | Kind::List(_) => Ok(None),
            _ => ArrayFormatter::try_new(array, &options).map(Some).map_err(internal),
        })
        .collect();
    let formatters = formatters?;
    let rows = arrays.first().map_or(0, |(_, array)| array.len());
    let mut out = StringViewBuilder::with_capacity(rows);
    let mut text = String::new();
    for row in 0..rows {
        let Some(at) = arrays.iter().position(|(_, array)| array.is_valid(row)) else {
            out.append_null();
            continue;
        };
        let (kind, array) = &arrays[at];
        match (kind, &formatters[at]) {
            (Kind::List(of), _) => {
                text.clear();
                list_text(*of, &array.as_list::<i32>().value(row), &mut text)?;
                out.append_value(&text);
            }
            (_, Some(formatter)) => out.append_value(formatter.value(row).try_to_string().map_err(internal)?),
            (_, None) => out.append_value(array.as_string_view().value(row)),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn list_text(of: ListKind, values: &ArrayRef, out: &mut String) -> Result<()> {
    let formatter = ArrayFormatter::try_new(values, &FormatOptions::default()).map_err(internal)?;
    out.push('[');
    for row in 0..values.len() {
        if row > 0 {
            out.push(',');
        }
        let text = formatter.value(row).try_to_string().map_err(internal)?;
        match of {
            ListKind::Text | ListKind::Date | ListKind::Micros => {
                // Writing to a string does not fail.
                let _ = write!(out, "{}", serde_json::Value::String(text));
            }
            _ => out.push_str(&text),
        }
    }
    out.push(']');
    Ok(())
}

fn internal(error: arrow::error::ArrowError) -> SqlError {
    SqlError::new(b"XX000", error.to_string())
}
