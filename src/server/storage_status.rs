//! What a write that the engine refused is answered with.

use chronolith_storage::StorageError;
use hyper::StatusCode;

use super::respond::RETRY_SECONDS;

/// How long a sender should wait while the disk is full, the log is broken, or new series are refused: a person has to act.
pub(crate) const RETRY_AFTER_TROUBLE: u16 = 30;

/// The status, and the seconds after which the sender may try again.
pub(crate) fn refused_write(error: &StorageError) -> (StatusCode, Option<u16>) {
    match error {
        StorageError::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, Some(RETRY_SECONDS)),
        StorageError::OverBudget { .. } => (StatusCode::TOO_MANY_REQUESTS, Some(RETRY_AFTER_TROUBLE)),
        StorageError::DiskFull { .. } | StorageError::Poisoned { .. } | StorageError::Closed => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(RETRY_AFTER_TROUBLE))
        }
        // Trying again is of no use here, and a sender that did would hold up everything behind it.
        StorageError::ReadOnly => (StatusCode::FORBIDDEN, None),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, None),
    }
}
