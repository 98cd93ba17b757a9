//! Names: unquoted ones are in lower case.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName};

use crate::error::{Result, SqlError};

/// What a name means.
pub(crate) fn ident(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// A name as it must be written to mean exactly this.
pub(crate) fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// The name of a relation of the schema `public`.
///
/// # Errors
/// `3F000` for another schema.
pub(crate) fn relation_name(name: &ObjectName) -> Result<String> {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(ident)).collect();
    let mut parts = parts.ok_or_else(|| SqlError::new(b"42602", format!("invalid name: {name}")))?;
    let Some(last) = parts.pop() else { return Err(SqlError::new(b"42602", "a name is missing")) };
    match parts.last().map(String::as_str) {
        None | Some("public") => Ok(last),
        Some(schema @ ("pg_catalog" | "information_schema")) => {
            Err(SqlError::new(b"42501", format!("permission denied: \"{schema}.{last}\" is a system catalog")))
        }
        Some(schema) => Err(SqlError::new(b"3F000", format!("schema \"{schema}\" does not exist"))
            .with_hint("all tables are in the schema public")),
    }
}
