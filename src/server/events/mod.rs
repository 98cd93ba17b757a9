//! `POST /api/v1/events/<table>`: events of every format into a table. All of a request is durable, or none of it is.
//! `GET /api/v1/events/<table>/export` gives them back.

mod body;
mod export;

use std::sync::atomic::Ordering::Relaxed;

use chronolith_storage::StorageError;
use hyper::{
    StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use super::{
    json,
    request::Request,
    respond::{ApiError, ErrorType, RETRY_SECONDS, Reply, Success},
    storage_status::refused_write,
};
pub(crate) use export::export;

use crate::{
    error::Error,
    events,
    ingest::events::{EventFormat, EventReader},
};

/// What is spoken here, for who speaks something else.
const SPOKEN: &str = "send application/json, application/x-ndjson, text/csv or application/vnd.apache.arrow.stream, or name \
                      it by the parameter format=json, ndjson, csv or arrow";

/// Takes the events of a request.
pub(crate) fn append(request: &Request<'_>) -> Result<Reply, ApiError> {
    request.params.allow(&["format", "time_field"])?;
    let format = format(request)?;
    let encoding = request.header(&CONTENT_ENCODING).unwrap_or("");
    let body = body::decode(request.body, encoding, request.app.config.limits.max_decoded_bytes)?;
    let time_field = Some(request.params.get("time_field")).filter(|field| !field.is_empty());
    let table = request.open_segment;
    let appended =
        events::append(&request.app.engine, table, time_field, &|options| EventReader::new(format, &body, options));
    let summary = appended.map_err(|error| refused(&error))?;
    request.app.counters.events_appended.fetch_add(summary.rows, Relaxed);
    Ok(Success::of(|out| {
        out.push(b'{');
        json::key(out, "table");
        json::string(out, table);
        out.push(b',');
        json::key(out, "rows");
        json::unsigned(out, summary.rows);
        out.push(b',');
        json::key(out, "created");
        json::boolean(out, summary.created);
        out.push(b'}');
    }))
}

/// The body's format: what the parameter says, else the content type; JSON when neither says anything.
fn format(request: &Request<'_>) -> Result<EventFormat, ApiError> {
    match request.params.get("format") {
        "" => {}
        "json" => return Ok(EventFormat::Json),
        "ndjson" => return Ok(EventFormat::Ndjson),
        "csv" => return Ok(EventFormat::Csv),
        "arrow" => return Ok(EventFormat::ArrowStream),
        other => return Err(ApiError::invalid("format", format!("{other:?} is not known; {SPOKEN}"))),
    }
    let content_type = request.header(&CONTENT_TYPE).unwrap_or("");
    let name = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    Ok(match name.as_str() {
        "" | "application/json" => EventFormat::Json,
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines"
        | "application/stream+json" => EventFormat::Ndjson,
        "text/csv" | "application/csv" => EventFormat::Csv,
        "application/vnd.apache.arrow.stream" => EventFormat::ArrowStream,
        _ => {
            let reason = format!("Content-Type {content_type:?} is not spoken here: {SPOKEN}");
            return Err(ApiError::bad_data(reason).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
    })
}

fn refused(error: &Error) -> ApiError {
    let Error::Storage(storage) = error else { return ApiError::bad_data(error.to_string()) };
    match storage {
        StorageError::UniqueViolation { .. } => {
            ApiError::bad_data(storage.to_string()).with_status(StatusCode::CONFLICT)
        }
        StorageError::Conflict { .. } | StorageError::TableExists(_) => {
            ApiError::new(ErrorType::Unavailable, storage.to_string())
                .with_status(StatusCode::SERVICE_UNAVAILABLE)
                .with_retry_after(RETRY_SECONDS)
        }
        StorageError::NotNullViolation { .. }
        | StorageError::UnknownTable(_)
        | StorageError::TooManyFields { .. }
        | StorageError::Malformed { .. }
        | StorageError::Invalid(_) => ApiError::bad_data(storage.to_string()),
        _ => {
            let (status, retry) = refused_write(storage);
            if matches!(storage, StorageError::Busy { .. }) {
                tracing::debug!(error = %storage, "events have to wait");
            } else {
                tracing::warn!(error = %storage, "events could not be written");
            }
            let error = ApiError::new(ErrorType::Unavailable, storage.to_string()).with_status(status);
            match retry {
                Some(seconds) => error.with_retry_after(seconds),
                None => error,
            }
        }
    }
}
