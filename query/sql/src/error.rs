//! What goes wrong in SQL, with PostgreSQL's error codes.

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
}
