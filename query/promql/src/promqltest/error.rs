//! Why a file cannot be run to its end.

use crate::{duration::DurationError, error::ParseError, series_notation::LoadError};

/// What a storage under test says when it fails.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Why a file cannot be run, and where.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}:{}{} {reason}", column.map_or(String::new(), |c| c.to_string()), column.map_or("", |_| ":"))]
pub struct RunError {
    /// The name that the file was given.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in bytes, counted from 1, when the line cannot be parsed from there on.
    pub column: Option<usize>,
    /// What is wrong there.
    pub reason: Box<RunErrorReason>,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunErrorReason {
    /// The first word is no command.
    #[error("invalid command {0:?}")]
    Command(String),
    /// An `eval` line of another form.
    #[error(
        "invalid evaluation command. Must be either 'eval[_fail|_warn|_ordered|_info] instant at <offset:duration> \
         <query>' or 'eval[_fail|_warn|_info] range from <from> to <to> step <step> <query>'"
    )]
    Eval,
    /// A `load` line of another form.
    #[error("invalid load command. (load[_with_nhcb] <step:duration>)")]
    Load,
    /// A duration that is none.
    #[error("invalid {what} definition {text:?}: {reason}")]
    Duration {
        /// What the duration is for.
        what: &'static str,
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: DurationError,
    },
    /// A range that ends before it starts.
    #[error("invalid test definition, end timestamp ({end}) is before start timestamp ({start})")]
    Backwards {
        /// The start as written.
        start: String,
        /// The end as written.
        end: String,
    },
    /// An expression or a series that cannot be parsed.
    #[error("parse error: {}", .0.message)]
    Parse(ParseError),
    /// A block of series that cannot be loaded.
    #[error("{}", .0.reason())]
    Series(LoadError),
    /// An `expect` line that makes no sense.
    #[error("{0}")]
    Expect(String),
    /// A pattern that is no regular expression.
    #[error("invalid regex {0} for {1}")]
    Regex(String, String),
    /// The storage under test refused what the file asks of it.
    #[error("{0}")]
    Store(StoreError),
}

impl RunErrorReason {
    /// The error of a block of series; one that only cannot be parsed keeps its column.
    pub(super) fn of_block(error: LoadError) -> Self {
        match error {
            LoadError::Series { error, .. } => Self::Parse(error),
            other => Self::Series(other),
        }
    }

    /// The column of a line with so many spaces before its text.
    pub(super) const fn column(&self, indent: usize) -> Option<usize> {
        match self {
            Self::Parse(e) => Some(indent + e.column as usize),
            _ => None,
        }
    }
}

/// A reason with its line.
#[derive(Debug)]
pub(super) struct ScriptError {
    pub(super) line: usize,
    pub(super) reason: RunErrorReason,
}
