//! `/api/v1/admin/tsdb/*`: off unless the configuration turns it on.

use chronolith_promql::parse_selector;

use crate::server::{
    json,
    request::Request,
    respond::{ApiError, ErrorType, Reply, Success},
};

use super::{NO_MATCH, selectors};

fn check_enabled(request: &Request<'_>) -> Result<(), ApiError> {
    if request.app.config.enable_admin_api {
        return Ok(());
    }
    Err(ApiError::new(ErrorType::Unavailable, "admin APIs disabled"))
}

/// Deletes samples of selected series.
pub(crate) fn delete_series(request: &Request<'_>) -> Result<Reply, ApiError> {
    check_enabled(request)?;
    let texts: Vec<_> = request.params.all(selectors::FIELD).collect();
    if texts.is_empty() {
        return Err(ApiError::bad_data(NO_MATCH));
    }
    let range = request.params.range()?;
    // Every selector is read before the first deletes: a request with an error deletes nothing.
    let sets = texts
        .into_iter()
        .map(|text| parse_selector(text).map_err(|e| ApiError::invalid(selectors::FIELD, e)))
        .collect::<Result<Vec<_>, _>>()?;
    for set in &sets {
        request.app.engine.delete_series(set, range).map_err(super::storage_error)?;
    }
    Ok(Reply::no_content())
}

/// Takes deleted samples off the disk.
pub(crate) fn clean_tombstones(request: &Request<'_>) -> Result<Reply, ApiError> {
    check_enabled(request)?;
    request.app.engine.clean_tombstones().map_err(super::storage_error)?;
    Ok(Reply::no_content())
}

/// Makes a backup by hard links.
pub(crate) fn snapshot(request: &Request<'_>) -> Result<Reply, ApiError> {
    check_enabled(request)?;
    let skip_head = request.params.get("skip_head");
    if !matches!(skip_head, "" | "0" | "f" | "F" | "false" | "False" | "FALSE") {
        let reason = "snapshots always hold every sample; leave skip_head out";
        return Err(ApiError::invalid("skip_head", reason));
    }
    let name = request.app.engine.backup().map_err(super::storage_error)?;
    Ok(Success::of(|out| json::object(out, [("name", name.as_str())], json::string)))
}

/// Flushes all samples to segments and merges them: what would happen by itself, now.
pub(crate) fn compact(request: &Request<'_>) -> Result<Reply, ApiError> {
    check_enabled(request)?;
    request.app.engine.compact().map_err(super::storage_error)?;
    Ok(Reply::no_content())
}
