//! Everything that can go wrong in the engine.

use std::{io, path::PathBuf};

/// What the engine's calls return.
pub type Result<T, E = StorageError> = std::result::Result<T, E>;

/// Why the engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Bytes on disk are not what was written there.
    #[error("{}: damaged at byte {offset}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What does not fit.
        reason: String,
    },
    /// Bytes do not follow the format they claim; used by decoders that do not know their file.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was decoded.
        what: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The file or directory was written by a newer version.
    #[error("{}: format version {found} is newer than {supported}, the newest this program knows; nothing was changed. Use a newer chronolith", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that is understood.
        supported: u32,
    },
    /// The file was written by a version whose format is no longer read.
    #[error("{}: format version {found} is older than {oldest}, the oldest this program reads; nothing was changed. Export it with the chronolith that wrote it, and load it anew", path.display())]
    OlderFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The oldest version that is understood.
        oldest: u32,
    },
    /// Another process has the directory open.
    #[error("{} is in use by another process; stop it, or open the directory read-only", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The log failed before; writes stay refused until the directory is opened again.
    #[error("writes are stopped since the write-ahead log failed ({reason}); reads go on. Mend the disk, then restart")]
    Poisoned {
        /// The first failure.
        reason: String,
    },
    /// The disk is full, or nearly; writes go on when there is space again.
    #[error("no space left in {}: {reason}", path.display())]
    DiskFull {
        /// The data directory.
        path: PathBuf,
        /// What was seen.
        reason: String,
    },
    /// A row with this primary key is there already.
    #[error("table {table:?} has a row with the primary key {key} already")]
    UniqueViolation {
        /// The table.
        table: String,
        /// The key's values as text.
        key: String,
    },
    /// A row has no value in a column that must have one.
    #[error("column {column:?} of table {table:?} must have a value")]
    NotNullViolation {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A transaction contradicts one that committed while it ran; nothing of it is written.
    #[error("the transaction conflicts with another one that committed before it ({reason}); do it again")]
    Conflict {
        /// What contradicts.
        reason: String,
    },
    /// There is no such table.
    #[error("there is no table {0:?}")]
    UnknownTable(String),
    /// There is a table of this name already.
    #[error("there is a table {0:?} already")]
    TableExists(String),
    /// A table cannot have more fields.
    #[error("table {table:?} has {limit} fields, the most it may have; the row's field {field:?} would be one more")]
    TooManyFields {
        /// The table.
        table: String,
        /// The field that found no place.
        field: String,
        /// How many a table may have.
        limit: usize,
    },
    /// The memory budget does not allow another series.
    #[error("memory budget of {budget_bytes} bytes is used up by {series} series; new series are refused. {offender}")]
    OverBudget {
        /// The budget.
        budget_bytes: usize,
        /// How many series there are.
        series: usize,
        /// Which label holds the most values.
        offender: String,
    },
    /// The log did not take a write, and was cut back to what it was before.
    #[error("the write-ahead log did not take the write: {reason}")]
    LogWrite {
        /// What the log said.
        reason: String,
    },
    /// Flushes do not keep up with writes.
    #[error("{bytes} bytes of samples wait to be flushed, the limit is {limit}; try again in a few seconds")]
    Busy {
        /// What waits.
        bytes: usize,
        /// How much may wait.
        limit: usize,
    },
    /// The database was opened without the right to write.
    #[error("the database is open read-only")]
    ReadOnly,
    /// The database is shutting down.
    #[error("the database is closed")]
    Closed,
    /// The catalog refused.
    #[error("catalog: {0}")]
    Catalog(String),
    /// A matcher is invalid.
    #[error(transparent)]
    Matcher(#[from] crate::model::matcher::MatcherError),
    /// What was asked makes no sense.
    #[error("{0}")]
    Invalid(String),
}
