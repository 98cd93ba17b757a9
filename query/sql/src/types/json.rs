//! The texts of JSON and JSONB values: checked, and in PostgreSQL's canonical form.

use serde::de::IgnoredAny;

use crate::{
    error::{Result, SqlError},
    functions,
};

/// Refuses what is no JSON.
///
/// # Errors
/// `22P02`.
pub(super) fn check(text: &str) -> Result<()> {
    serde_json::from_str::<IgnoredAny>(text).map(|_| ()).map_err(|e| invalid(&e.to_string()))
}

/// The text of a JSONB value: shorter keys first, a space behind each colon and comma, numbers as numerics.
///
/// # Errors
/// `22P02`.
pub(super) fn canonical(text: &str) -> Result<String> {
    functions::json::jsonb(text).map_err(|e| invalid(&e.message()))
}

fn invalid(reason: &str) -> SqlError {
    SqlError::new(b"22P02", "invalid input syntax for type json").with_detail(reason)
}
