//! SET and SHOW: which setting they mean.

use datafusion::sql::sqlparser::ast::{
    ContextModifier, Expr, ObjectName, Set, SetSessionAuthorizationParamKind, TransactionAccessMode,
    TransactionIsolationLevel, TransactionMode, UnaryOperator, Value,
};

use crate::{
    clock,
    connection::Connection,
    error::{Result, SqlError},
    parse::ident,
    settings,
};

/// A setting's name.
pub(crate) fn setting_name(name: &ObjectName) -> String {
    let parts = name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.to_lowercase());
    parts.collect::<Vec<_>>().join(".")
}

/// The setting that SHOW's words name: some have names of several words.
pub(crate) fn shown_words(words: &[String]) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["time", "zone"] => "timezone".to_owned(),
        ["transaction", "isolation", "level"] => "transaction_isolation".to_owned(),
        ["session", "authorization"] => "session_authorization".to_owned(),
        other => other.join("."),
    }
}

/// Runs a SET.
///
/// # Errors
/// When there is no such setting, or the value is none of it.
pub(crate) fn run(connection: &mut Connection, statement: &Set) -> Result<()> {
    match statement {
        Set::SingleAssignment { variable, values, hivevar: false, scope } => {
            let name = setting_name(variable);
            put(connection, &name, values, is_local(connection, *scope == Some(ContextModifier::Local)))
        }
        Set::SetTimeZone { value, local } => {
            put(connection, "timezone", std::slice::from_ref(value), is_local(connection, *local))
        }
        Set::SetNames { charset_name, collation_name: None } => {
            settings::set(&connection.info, "client_encoding", &charset_name.value, false)
        }
        Set::SetRole { role_name, context_modifier } => {
            let role = role_name.as_ref().map_or_else(|| "none".to_owned(), ident);
            if role == connection.info.user {
                return Ok(());
            }
            let local = is_local(connection, *context_modifier == Some(ContextModifier::Local));
            settings::set(&connection.info, "role", &role, local)
        }
        Set::SetSessionAuthorization(authorization) => match &authorization.kind {
            SetSessionAuthorizationParamKind::Default => Ok(()),
            SetSessionAuthorizationParamKind::User(user) if ident(user) == connection.info.user => Ok(()),
            SetSessionAuthorizationParamKind::User(_) => {
                Err(SqlError::new(b"42501", "permission denied to set session authorization"))
            }
        },
        Set::SetTransaction { modes, snapshot: None, session } => {
            modes.iter().try_for_each(|mode| transaction_mode(connection, mode, *session))
        }
        other => Err(SqlError::unsupported(format!("SET {other}"))),
    }
}

/// Whether a SET is until the end of the transaction. Without one it has no effect, and its user is told.
fn is_local(connection: &Connection, local: bool) -> bool {
    if local && !connection.in_transaction() {
        connection.info.warn("25P01", "SET LOCAL can only be used in transaction blocks");
    }
    local
}

fn put(connection: &Connection, name: &str, values: &[Expr], local: bool) -> Result<()> {
    if let [Expr::Identifier(word)] = values
        && word.quote_style.is_none()
        && word.value.eq_ignore_ascii_case("default")
    {
        return settings::reset(&connection.info, Some(name), local);
    }
    // A word in double quotes is its text, as PostgreSQL has it; only the search path is a list of names, which keep them.
    let value = |value: &Expr| match value {
        Expr::Identifier(word) if word.quote_style.is_some() && name == "search_path" => {
            Ok(format!("\"{}\"", word.value))
        }
        other => text(other),
    };
    let texts = values.iter().map(value).collect::<Result<Vec<_>>>()?;
    settings::set(&connection.info, name, &texts.join(", "), local)
}

fn text(value: &Expr) -> Result<String> {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Ok(text.clone()),
            Value::Number(number, _) => Ok(number.clone()),
            Value::Boolean(value) => Ok(value.to_string()),
            other => Err(SqlError::new(b"22023", format!("{other} cannot be the value of a setting"))),
        },
        Expr::Identifier(word) => Ok(word.value.clone()),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(format!("-{}", text(expr)?)),
        // An interval counts to the east, other offsets that are told as texts to the west.
        Expr::Interval(interval) => {
            let text = text(&interval.value)?;
            let span = clock::parse_interval(&text).filter(|span| span.months == 0 && span.days == 0);
            let minutes = span
                .map(|span| span.nanoseconds / 60_000_000_000)
                .ok_or_else(|| SqlError::new(b"22023", format!("invalid value for parameter \"TimeZone\": {text}")))?;
            let (sign, minutes) = (if minutes > 0 { '-' } else { '+' }, minutes.unsigned_abs());
            Ok(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60))
        }
        other => Err(SqlError::new(b"22023", format!("{other} cannot be the value of a setting"))),
    }
}

fn transaction_mode(connection: &mut Connection, mode: &TransactionMode, session: bool) -> Result<()> {
    match mode {
        TransactionMode::IsolationLevel(
            TransactionIsolationLevel::ReadCommitted | TransactionIsolationLevel::ReadUncommitted,
        ) => Ok(()),
        TransactionMode::IsolationLevel(level) => Err(SqlError::unsupported(format!("the isolation level {level}"))
            .with_hint("transactions are READ COMMITTED; writes that contradict each other fail with 40001")),
        TransactionMode::AccessMode(access) => {
            let read_only = *access == TransactionAccessMode::ReadOnly;
            if session {
                let value = if read_only { "on" } else { "off" };
                settings::set(&connection.info, "default_transaction_read_only", value, false)
            } else {
                connection.set_read_only(read_only);
                Ok(())
            }
        }
    }
}
