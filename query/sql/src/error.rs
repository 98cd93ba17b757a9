//! What goes wrong in SQL, with PostgreSQL's error codes.

mod reasons;

use arrow::error::ArrowError;
use chronolith_storage::StorageError;
use datafusion::{
    common::{SchemaError, utils::datafusion_strsim::levenshtein},
    error::DataFusionError,
    sql::sqlparser::parser::ParserError,
};

/// Longest name, in bytes, that others are compared with.
const COMPARED_LEN_MAX: usize = 63;

/// What calls of this crate return.
pub type Result<T, E = SqlError> = std::result::Result<T, E>;

/// A PostgreSQL error code, such as `42P01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlState(pub [u8; 5]);

impl SqlState {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

/// Why a statement failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// The code that clients look at.
    pub state: SqlState,
    /// What happened.
    pub message: String,
    /// More of it, if there is more.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Where in the statement's text: characters, from 1.
    pub position: Option<usize>,
    /// What of the database it is about, when clients are told that.
    pub about: Option<Box<About>>,
}

/// What an error is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// A table of the schema `public`.
    pub table: Option<String>,
    /// A column of it.
    pub column: Option<String>,
    /// A constraint of it.
    pub constraint: Option<String>,
}

impl SqlError {
    /// An error of this code.
    #[must_use]
    pub fn new(state: &[u8; 5], message: impl Into<String>) -> Self {
        Self { state: SqlState(*state), message: message.into(), detail: None, hint: None, position: None, about: None }
    }

    /// Refuses what is not supported, by name (`0A000`).
    #[must_use]
    pub fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new(b"0A000", format!("{what} is not supported"))
    }

    /// The same with a hint what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, about a table and a column or a constraint of it.
    #[must_use]
    pub(crate) fn with_about(mut self, table: &str, column: Option<&str>, constraint: Option<&str>) -> Self {
        self.about = Some(Box::new(About {
            table: Some(table.to_owned()),
            column: column.map(str::to_owned),
            constraint: constraint.map(str::to_owned),
        }));
        self
    }

    /// The same with more of what happened.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl From<StorageError> for SqlError {
    fn from(error: StorageError) -> Self {
        let state = match &error {
            StorageError::UniqueViolation { .. } => b"23505",
            StorageError::NotNullViolation { .. } => b"23502",
            StorageError::Conflict { .. } => b"40001",
            StorageError::UnknownTable(_) => b"42P01",
            StorageError::TableExists(_) => b"42P07",
            StorageError::TooManyFields { .. } => b"54011",
            StorageError::DiskFull { .. } => b"53100",
            StorageError::OverBudget { .. } | StorageError::Busy { .. } => b"53000",
            StorageError::ReadOnly => b"25006",
            StorageError::Closed => b"57P03",
            StorageError::Corrupt { .. } | StorageError::Malformed { .. } => b"XX001",
            StorageError::Invalid(_) => b"22023",
            _ => b"58030",
        };
        Self::new(state, error.to_string())
    }
}

/// An error on its way through DataFusion; [`SqlError::from`] finds it again.
pub(crate) fn to_plan(error: impl Into<SqlError>) -> DataFusionError {
    DataFusionError::External(Box::new(error.into()))
}

impl From<SqlError> for DataFusionError {
    fn from(error: SqlError) -> Self {
        to_plan(error)
    }
}

impl From<ArrowError> for SqlError {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::DivideByZero => Self::new(b"22012", "division by zero"),
            ArrowError::ArithmeticOverflow(reason) => Self::new(b"22003", format!("value out of range: {reason}")),
            ArrowError::CastError(reason) | ArrowError::ParseError(reason) => reasons::cast(reason),
            ArrowError::ComputeError(reason) => reasons::of(reason, *b"22000"),
            ArrowError::InvalidArgumentError(reason) => reasons::of(reason, *b"22023"),
            ArrowError::ExternalError(inner) => match inner.downcast::<DataFusionError>() {
                Ok(inner) => (*inner).into(),
                Err(inner) => match inner.downcast::<Self>() {
                    Ok(own) => *own,
                    Err(inner) => Self::new(b"XX000", inner.to_string()),
                },
            },
            other => Self::new(b"XX000", other.to_string()),
        }
    }
}

impl From<DataFusionError> for SqlError {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(inner) => match inner.downcast::<ArrowError>() {
                    Ok(arrow) => (*arrow).into(),
                    Err(inner) => Self::new(b"XX000", inner.to_string()),
                },
            },
            DataFusionError::ArrowError(inner, _) => (*inner).into(),
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => (*inner).into(),
            DataFusionError::Collection(mut all) if !all.is_empty() => all.swap_remove(0).into(),
            DataFusionError::Shared(inner) => shared(&inner),
            DataFusionError::SchemaError(inner, _) => schema_error(&inner),
            DataFusionError::SQL(inner, _) => syntax_error(&inner),
            DataFusionError::Plan(reason) => plan_error(&reason),
            DataFusionError::NotImplemented(reason) if reason.contains("OuterReferenceColumn") => {
                Self::unsupported("a subquery of this form that names columns of the query around it")
                    .with_hint("Join with a subquery that has row_number() OVER (PARTITION BY ...) instead of LIMIT.")
            }
            DataFusionError::NotImplemented(reason) => Self::new(b"0A000", format!("not supported: {reason}")),
            DataFusionError::ResourcesExhausted(reason) => Self::new(b"53200", format!("out of memory: {reason}"))
                .with_hint("read less at once, or give the server more memory for queries"),
            DataFusionError::Execution(reason) => reasons::of(reason, *b"22000"),
            DataFusionError::Configuration(reason) => Self::new(b"22023", reason),
            DataFusionError::IoError(inner) => Self::new(b"58030", inner.to_string()),
            other => Self::new(b"XX000", other.strip_backtrace()),
        }
    }
}

/// An error that several readers of one stream share.
fn shared(error: &DataFusionError) -> SqlError {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<SqlError>() {
            Some(own) => own.clone(),
            None => SqlError::new(b"XX000", inner.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => shared(inner),
        DataFusionError::Shared(inner) => shared(inner),
        DataFusionError::ResourcesExhausted(reason) => DataFusionError::ResourcesExhausted(reason.clone()).into(),
        DataFusionError::Execution(reason) => DataFusionError::Execution(reason.clone()).into(),
        DataFusionError::ArrowError(inner, _) => match &**inner {
            ArrowError::ExternalError(inner) => match inner.downcast_ref::<SqlError>() {
                Some(own) => own.clone(),
                None => SqlError::new(b"XX000", inner.to_string()),
            },
            ArrowError::DivideByZero => SqlError::new(b"22012", "division by zero"),
            ArrowError::CastError(reason) | ArrowError::ParseError(reason) => reasons::cast(reason.clone()),
            other => SqlError::new(b"22000", other.to_string()),
        },
        other => SqlError::new(b"XX000", other.strip_backtrace()),
    }
}

fn schema_error(error: &SchemaError) -> SqlError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let column = match &field.relation {
                Some(relation) => format!("{}.{}", relation.table(), field.name),
                None => format!("\"{}\"", field.name),
            };
            let error = SqlError::new(b"42703", format!("column {column} does not exist"));
            match nearest(&field.name, valid_fields.iter().map(|valid| valid.name.as_str())) {
                Some(near) => error.with_hint(format!("Perhaps you meant to reference the column \"{near}\".")),
                None => error,
            }
        }
        SchemaError::AmbiguousReference { field } => {
            SqlError::new(b"42702", format!("column reference \"{}\" is ambiguous", field.name))
        }
        SchemaError::DuplicateQualifiedField { qualifier, name } => {
            let table = qualifier.table();
            SqlError::new(
                b"42712",
                format!("table name \"{table}\" or its column \"{name}\" is specified more than once"),
            )
        }
        SchemaError::DuplicateUnqualifiedField { .. } => SqlError::new(b"42701", error.to_string()),
    }
}

/// The name that this one, which is unknown, was likely meant to be: one that differs by case, or in no more than a third
/// of its letters.
fn nearest<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = Some(unknown).filter(|name| name.len() <= COMPARED_LEN_MAX)?.to_lowercase();
    let distances = names
        .filter(|name| name.len() <= COMPARED_LEN_MAX)
        .map(|name| (levenshtein(&unknown, &name.to_lowercase()), name));
    distances.filter(|(distance, name)| distance * 3 <= name.chars().count()).min().map(|(_, name)| name)
}

fn syntax_error(error: &ParserError) -> SqlError {
    match error {
        ParserError::RecursionLimitExceeded => {
            SqlError::new(b"54001", "the statement is nested too deeply").with_hint("write it with less nesting")
        }
        ParserError::ParserError(reason) | ParserError::TokenizerError(reason) => {
            SqlError::new(b"42601", format!("syntax error: {reason}"))
        }
    }
}

/// DataFusion tells many things as plan errors; the words tell which.
fn plan_error(reason: &str) -> SqlError {
    let unknown_table = reason.strip_prefix("table '").and_then(|rest| rest.split_once("' not found"));
    if let Some((table, _)) = unknown_table {
        let name = table.rsplit('.').next().unwrap_or(table);
        return SqlError::new(b"42P01", format!("relation \"{name}\" does not exist"));
    }
    reasons::of(reason.to_owned(), *b"42000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_nearly_right_are_told() {
        let names = ["id", "user_id", "data.path", "Name"];
        for (unknown, near) in [
            ("userid", Some("user_id")),
            ("user_ids", Some("user_id")),
            ("data.pth", Some("data.path")),
            ("name", Some("Name")),
            ("ip", None),
            ("session", None),
            ("", None),
        ] {
            assert_eq!(nearest(unknown, names.into_iter()), near, "{unknown}");
        }
        let long = "n".repeat(1_000_000);
        assert_eq!(nearest(&long, [long.as_str()].into_iter()), None);
    }
}
