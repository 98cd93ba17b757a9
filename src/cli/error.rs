//! Everything that can end a command early, with the exit code it stands for.

use std::{io, process::ExitCode};

use chronolith_storage::StorageError;

use super::{answer::ApiFailure, http_client::HttpError};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file or stream cannot be read or written.
    #[error("{what}: {source}")]
    Io {
        /// The file or stream.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// Nobody reads standard output any more: not a failure.
    #[error("standard output was closed")]
    ReaderGone,
    /// A server could not be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A server refused.
    #[error(transparent)]
    Api(#[from] ApiFailure),
    /// The engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] crate::Error),
    /// The server does not start, or stops by itself.
    #[error(transparent)]
    Server(#[from] crate::server::ServerError),
    /// A query is wrong; the message shows where.
    #[error("{0}")]
    Query(String),
    /// Stored data is damaged: the report was printed.
    #[error("{0}")]
    Damage(String),
    /// Anything else, already in words.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// A failure of a file or a stream.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// The code that the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::ReaderGone => ExitCode::SUCCESS,
            Self::Usage(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
