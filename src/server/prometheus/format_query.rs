//! `/api/v1/format_query`.

use chronolith_promql::{parse, pretty};

use crate::server::{
    json,
    request::Request,
    respond::{ApiError, Reply, Success},
};

/// The query, laid out for reading.
pub(crate) fn format_query(request: &Request<'_>) -> Result<Reply, ApiError> {
    let expr = parse(request.params.get("query")).map_err(|e| ApiError::invalid("query", e))?;
    Ok(Success::of(|out| json::string(out, &pretty(&expr))))
}
