//! What the library's calls return when they fail.

use chronolith_promql::{ParseError, engine::QueryError};
use chronolith_storage::StorageError;

use crate::ingest::events::EventError;

/// What the library's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The storage engine refused, or the disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A query is not valid PromQL; tells where.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A query failed while it ran.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Events cannot be read, or do not fit their table.
    #[error(transparent)]
    Events(#[from] EventError),
    /// A SQL statement is wrong, refused, or failed.
    #[cfg(feature = "sql")]
    #[error(transparent)]
    Sql(#[from] chronolith_sql::SqlError),
    /// Labels, samples or a series description that cannot be written.
    #[error("{0}")]
    Invalid(String),
}
