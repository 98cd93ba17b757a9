//! `GET /api/v1/events/<table>/export`: a table's rows as lines of JSON or CSV, sent while they are read.

use std::io;

use hyper::StatusCode;

use crate::{
    error::Error,
    events::{Export, ExportFormat},
    server::{
        body::FrameSender,
        request::Request,
        respond::{ApiError, ErrorType, Reply},
    },
};

const NANOS_PER_MS: i64 = 1_000_000;

/// Why sending ended early.
enum Ended {
    Failed(Error),
    ClientGone,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Sends the rows of a table whose times are from `start` to `end`.
pub(crate) fn export(request: &Request<'_>) -> Result<Reply, ApiError> {
    request.params.allow(&["format", "start", "end"])?;
    let (format, content_type) = match request.params.get("format") {
        "" | "ndjson" => (ExportFormat::Ndjson, "application/x-ndjson"),
        "csv" => (ExportFormat::Csv, "text/csv; charset=utf-8"),
        other => return Err(ApiError::invalid("format", format!("{other:?} is not known; it is ndjson or csv"))),
    };
    let nanos = |name: &str, default: i64| {
        let ms = request.params.time_or(name, default)?;
        Ok::<_, ApiError>(ms.saturating_mul(NANOS_PER_MS))
    };
    let bounded = ["start", "end"].iter().any(|name| !request.params.get(name).is_empty());
    // The last millisecond counts to its end.
    let (start, end) = (nanos("start", i64::MIN)?, nanos("end", i64::MAX)?.saturating_add(NANOS_PER_MS - 1));
    let range = bounded.then_some(start..=end);
    let export =
        Export::new(&request.app.engine, request.open_segment, format, range).map_err(|error| match error {
            Error::Storage(error) => {
                ApiError::new(ErrorType::NotFound, error.to_string()).with_status(StatusCode::NOT_FOUND)
            }
            error => ApiError::bad_data(error.to_string()),
        })?;
    let producer = move |sender: FrameSender| {
        let sent = export.write(|text, _| {
            let part = std::mem::take(text).into_bytes();
            if part.is_empty() { Ok(()) } else { sender.send(part).map_err(|_| Ended::ClientGone) }
        });
        if let Err(Ended::Failed(error)) = sent {
            tracing::warn!(%error, "an export failed while it was sent");
            sender.fail(io::Error::other(error.to_string()));
        }
    };
    Ok(Reply::streamed(content_type, Box::new(producer)))
}
