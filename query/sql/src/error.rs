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

impl SqlError {
    /// An error of this code.
    #[must_use]
    pub fn new(state: &[u8; 5], message: impl Into<String>) -> Self {
        Self { state: SqlState(*state), message: message.into(), detail: None, hint: None, position: None }
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

    /// The same with more of what happened.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}
