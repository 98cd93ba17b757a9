//! Why a query gives no answer, in the words of Prometheus.

use chronolith_storage::StorageError;

/// The classes of failure that Prometheus' API tells apart (`errorType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The query cannot be evaluated on this data: 422.
    Execution,
    /// The deadline passed: 503.
    Timeout,
    /// Somebody cancelled the query: 499.
    Canceled,
    /// The query makes no sense, whatever the data: 400.
    BadData,
    /// Stored data could not be read: 500.
    Internal,
}

/// Why a query gives no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The machine could not give what the evaluation needs.
    #[error("{0}")]
    Internal(String),
    /// More samples would be held at once than the options allow.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// The columns of the query would need more memory than its budget.
    #[error(
        "query needs more than its memory budget of {budget} bytes; select fewer series, a shorter range or a longer step"
    )]
    OverMemory {
        /// The budget in bytes.
        budget: usize,
    },
    /// The deadline passed.
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// The cancel flag was set.
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// The expression cannot be evaluated on the data that it found.
    #[error("{0}")]
    Execution(String),
    /// The expression or its times make no sense.
    #[error("{0}")]
    BadData(String),
    /// Something that Prometheus has and this version has not.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// The storage could not read the series.
    #[error("expanding series: {0}")]
    Storage(#[from] StorageError),
}

impl QueryError {
    /// The class that Prometheus' API would give it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooManySamples | Self::OverMemory { .. } | Self::Execution(_) | Self::Unsupported(_) => {
                ErrorKind::Execution
            }
            Self::Timeout => ErrorKind::Timeout,
            Self::Canceled => ErrorKind::Canceled,
            Self::BadData(_) => ErrorKind::BadData,
            Self::Storage(_) | Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// Two series came out with the same labels at the same time.
    pub(super) fn same_labelset() -> Self {
        Self::Execution("vector cannot contain metrics with the same labelset".to_owned())
    }
}

/// What the engine's inner calls return.
pub(super) type Result<T, E = QueryError> = std::result::Result<T, E>;
