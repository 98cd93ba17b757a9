//! `/api/v1/metadata`.

use crate::server::{
    json,
    request::Request,
    respond::{ApiError, Reply, Success},
};

/// Type, help text and unit of every metric family, or of one.
pub(crate) fn metadata(request: &Request<'_>) -> Result<Reply, ApiError> {
    let number =
        |name: &str| request.params.integer(name).map_err(|_| ApiError::bad_data(format!("{name} must be a number")));
    // A family has one set of metadata here, so any positive limit per metric is kept.
    number("limit_per_metric")?;
    // A negative limit is none, and 0 shows nothing, as in Prometheus.
    let limit = number("limit")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let metric = request.params.get("metric");
    let all = request.app.engine.metadata();
    let shown = all.iter().filter(|(name, _)| metric.is_empty() || name == metric).take(limit);
    Ok(Success::of(|out| {
        json::object(out, shown.map(|(name, metadata)| (name, metadata)), |out, metadata| {
            out.push(b'[');
            let fields = [("type", metadata.kind.as_str()), ("unit", &metadata.unit), ("help", &metadata.help)];
            json::object(out, fields, json::string);
            out.push(b']');
        });
    }))
}
