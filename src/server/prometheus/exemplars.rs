//! `/api/v1/query_exemplars`.

use chronolith_promql::parse;
use chronolith_storage::Exemplar;

use crate::server::{
    json,
    request::Request,
    respond::{ApiError, Reply, Success},
};

use super::{selected, storage_error};

/// The exemplars of every series that a query's selectors name.
pub(crate) fn query_exemplars(request: &Request<'_>) -> Result<Reply, ApiError> {
    let range = request.params.range()?;
    if range.is_empty() {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let expr = parse(request.params.get("query")).map_err(|e| ApiError::bad_data(e.to_string()))?;
    let sets = selected::matcher_sets(&expr);
    if sets.is_empty() {
        return Ok(Reply::no_content());
    }
    let found = request.app.engine.snapshot().exemplars(&sets, range).map_err(storage_error)?;
    Ok(Success::of(|out| {
        json::array(out, &found, |out, (labels, exemplars)| {
            out.extend_from_slice(br#"{"seriesLabels":"#);
            json::labels(out, labels);
            out.extend_from_slice(br#","exemplars":"#);
            json::array(out, exemplars, exemplar);
            out.push(b'}');
        });
    }))
}

fn exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    out.extend_from_slice(br#"{"labels":"#);
    json::labels(out, &exemplar.labels);
    out.extend_from_slice(br#","value":"#);
    json::value(out, exemplar.value);
    out.extend_from_slice(br#","timestamp":"#);
    json::timestamp(out, exemplar.timestamp);
    out.push(b'}');
}
