//! The texts of JSON and JSONB values: checked, and in PostgreSQL's canonical form.

use std::fmt::Write as _;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::error::{Result, SqlError};

/// Refuses what is no JSON.
///
/// # Errors
/// `22P02`.
pub(super) fn check(text: &str) -> Result<()> {
    serde_json::from_str::<IgnoredAny>(text).map(|_| ()).map_err(|e| invalid(&e))
}

/// The text of a JSONB value: shorter keys first, a space behind each colon and comma.
///
/// # Errors
/// `22P02`.
pub(super) fn canonical(text: &str) -> Result<String> {
    let value: Value = serde_json::from_str(text).map_err(|e| invalid(&e))?;
    let mut out = String::with_capacity(text.len());
    write(&value, &mut out);
    Ok(out)
}

fn invalid(error: &serde_json::Error) -> SqlError {
    SqlError::new(b"22P02", "invalid input syntax for type json").with_detail(error.to_string())
}

// As deep as the parser allows: 128.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|a, b| (a.0.len(), a.0).cmp(&(b.0.len(), b.0)));
            out.push('{');
            for (i, (key, item)) in fields.into_iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_scalar(&Value::String(key.clone()), out);
                out.push_str(": ");
                write(item, out);
            }
            out.push('}');
        }
        scalar => write_scalar(scalar, out),
    }
}

fn write_scalar(value: &Value, out: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(out, "{value}");
}
