//! `/-/healthy`, `/-/ready`, `/version`.

use hyper::{StatusCode, header::HeaderName};

use crate::server::{
    json,
    request::Request,
    respond::{ApiError, JSON, Reply},
};

/// The header by which Prometheus tells that it is going down.
const STOPPING: HeaderName = HeaderName::from_static("x-prometheus-stopping");

/// The process lives.
pub(crate) fn healthy(_: &Request<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::ok_text("Chronolith is Healthy.\n"))
}

/// Requests are answered.
pub(crate) fn ready(request: &Request<'_>) -> Result<Reply, ApiError> {
    if request.app.is_stopping() {
        let reply = Reply::text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
        return Ok(reply.with_header(STOPPING, hyper::header::HeaderValue::from_static("true")));
    }
    Ok(Reply::ok_text("Chronolith is Ready.\n"))
}

/// What was built.
pub(crate) fn version(_: &Request<'_>) -> Result<Reply, ApiError> {
    let mut out = Vec::new();
    json::object(&mut out, super::status::BUILD, json::string);
    Ok(Reply::new(StatusCode::OK, JSON, out))
}

/// What there is to find here.
pub(crate) fn index(_: &Request<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::ok_text(
        "Chronolith answers Prometheus' HTTP API:\n\
         /api/v1/query?query=up\n\
         /api/v1/labels\n\
         /api/v1/status/tsdb\n\
         /federate?match[]=up\n\
         /metrics\n\
         Samples come in by remote write at /api/v1/write.\n",
    ))
}
