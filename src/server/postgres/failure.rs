//! How a connection ends or a statement fails, and the notices that change nothing.

use std::io;

use chronolith_sql::{SqlError, SqlState};

use crate::ingest::postgres::frontend::Malformed;

/// How bad an error is for its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The statement failed; the connection goes on.
    Error,
    /// The connection ends.
    Fatal,
}

impl Severity {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// Something that the client's user should know.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) severity: &'static str,
    pub(crate) state: &'static str,
    pub(crate) message: String,
}

impl Notice {
    pub(crate) fn warning(state: &'static str, message: impl Into<String>) -> Self {
        Self { severity: "WARNING", state, message: message.into() }
    }
}

/// Why something on a connection did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The statement failed; the connection goes on.
    #[error("{0}")]
    Statement(Box<SqlError>),
    /// The client is told why, and the connection ends.
    #[error("{0}")]
    Fatal(Box<SqlError>),
    /// The connection broke, or the client did not do its part in time.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// The client ended the connection.
    #[error("the client ended the connection")]
    Ended,
}

/// What calls on a connection return.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// An error with a code and a message.
pub(crate) fn sql_error(state: &[u8; 5], message: impl Into<String>) -> SqlError {
    SqlError { state: SqlState(*state), message: message.into(), detail: None, hint: None, position: None, about: None }
}

impl Failure {
    /// The statement failed.
    pub(crate) fn statement(state: &[u8; 5], message: impl Into<String>) -> Self {
        Self::Statement(Box::new(sql_error(state, message)))
    }

    /// The connection ends.
    pub(crate) fn fatal(state: &[u8; 5], message: impl Into<String>) -> Self {
        Self::Fatal(Box::new(sql_error(state, message)))
    }

    /// The client did not do its part in time.
    pub(crate) fn stalled() -> Self {
        Self::Broken(io::ErrorKind::TimedOut.into())
    }
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self::Statement(Box::new(error))
    }
}

/// A message whose frame was good and whose body was not: the next one can be read.
impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        let state = match malformed {
            Malformed::Encoding => b"22021",
            Malformed::Format(_) => b"22023",
            Malformed::Version { .. } => b"0A000",
            _ => b"08P01",
        };
        Self::statement(state, malformed.to_string())
    }
}
