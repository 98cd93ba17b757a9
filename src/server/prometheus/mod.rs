//! The paths that Prometheus serves, answered as Prometheus answers them.

pub(crate) mod admin;
pub(crate) mod exemplars;
pub(crate) mod federate;
pub(crate) mod format_query;
pub(crate) mod health;
mod histogram_json;
pub(crate) mod labels;
pub(crate) mod metadata;
mod observed;
pub(crate) mod own_metrics;
pub(crate) mod parse_query;
pub(crate) mod query;
pub(crate) mod read;
mod refusals;
pub(crate) mod result_json;
mod selected;
mod selectors;
pub(crate) mod series;
pub(crate) mod status;
pub(crate) mod write;

use chronolith_storage::StorageError;
use hyper::StatusCode;

use super::respond::{ApiError, ErrorType, RETRY_SECONDS};

/// The warning on an answer that `limit` cut.
const TRUNCATED: &str = "results truncated due to limit";
/// The error of a request that selects nothing.
const NO_MATCH: &str = "no match[] parameter provided";

/// What the engine could not do, as the API tells it.
fn storage_error(error: StorageError) -> ApiError {
    let kind = match &error {
        StorageError::Invalid(_) | StorageError::Matcher(_) => ErrorType::BadData,
        StorageError::Closed
        | StorageError::ReadOnly
        | StorageError::Poisoned { .. }
        | StorageError::DiskFull { .. }
        | StorageError::OverBudget { .. }
        | StorageError::Busy { .. } => {
            return ApiError::new(ErrorType::Unavailable, error.to_string())
                .with_status(StatusCode::SERVICE_UNAVAILABLE)
                .with_retry_after(RETRY_SECONDS);
        }
        _ => ErrorType::Internal,
    };
    ApiError::new(kind, error.to_string())
}
