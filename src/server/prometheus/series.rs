//! `/api/v1/series`.

use crate::server::{
    json,
    request::Request,
    respond::{ApiError, Reply, Success},
};

use super::{NO_MATCH, TRUNCATED, selectors, storage_error};

/// The label sets of selected series.
pub(crate) fn series(request: &Request<'_>) -> Result<Reply, ApiError> {
    if request.params.all(selectors::FIELD).next().is_none() {
        return Err(ApiError::bad_data(NO_MATCH));
    }
    let limit = request.params.limit()?;
    let range = request.params.range()?;
    let sets = selectors::matcher_sets(request.params).map_err(|e| ApiError::invalid(selectors::FIELD, e))?;
    let snapshot = request.app.engine.snapshot();
    let all = snapshot.series(&sets, range).map_err(storage_error)?;
    let mut warnings = snapshot.warnings(range);
    let shown = all.get(..limit.unwrap_or(all.len())).unwrap_or(&all);
    if shown.len() < all.len() {
        warnings.push(TRUNCATED.to_owned());
    }
    let mut success = Success::new();
    json::array(success.data(), shown, json::labels);
    Ok(success.finish_with(&warnings, &[]))
}
