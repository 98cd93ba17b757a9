//! `POST /api/v1/read`: Prometheus remote read, as samples or as streamed chunks.

use std::time::Instant;

use chronolith_storage::{SampleBuffer, SeriesSource, StorageError, engine::Snapshot};
use hyper::{
    StatusCode,
    header::{CONTENT_ENCODING, HeaderValue},
};

use crate::{
    ingest::{
        prometheus_chunk::ChunkError,
        remote_read::{
            CHUNKS_CONTENT_TYPE, FRAME_TARGET, Query, ReadRequest, ResponseEncoder, ResponseType, SAMPLES_CONTENT_TYPE,
            write_series_frames,
        },
        snappy::{self, SnappyError},
    },
    server::{
        body::FrameSender,
        request::Request,
        respond::{ApiError, ErrorType, Reply},
    },
};

/// Why a stream ends early; the client sees its connection break, the log says why.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("the client went away")]
    Gone(#[from] std::io::Error),
    #[error("the query's time is up")]
    TimedOut,
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Chunk(#[from] ChunkError),
}

/// Answers the queries of a request.
pub(crate) fn read(request: &Request<'_>) -> Result<Reply, ApiError> {
    let mut buffer = Vec::new();
    let decoded = match snappy::decode(request.body, request.app.config.limits.max_decoded_bytes, &mut buffer) {
        Ok(decoded) => decoded,
        Err(error) => {
            let status = match &error {
                SnappyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            };
            return Ok(Reply::text(status, format!("{error}\n")));
        }
    };
    let asked = match ReadRequest::decode(decoded) {
        Ok(asked) => asked,
        Err(error) => return Ok(Reply::text(StatusCode::BAD_REQUEST, format!("{error}\n"))),
    };
    let snapshot = request.app.engine.snapshot();
    let deadline = request.deadline()?;
    match asked.response_type {
        ResponseType::Samples => samples(request, &snapshot, &asked.queries, deadline),
        ResponseType::StreamedXorChunks => {
            let producer = move |sender: FrameSender| match stream(&snapshot, &asked.queries, deadline, &sender) {
                Ok(()) => {}
                Err(StreamError::Gone(_)) => {}
                Err(error) => {
                    tracing::warn!(%error, "a stream of chunks ends early");
                    sender.fail(error);
                }
            };
            Ok(Reply::streamed(CHUNKS_CONTENT_TYPE, Box::new(producer)))
        }
    }
}

/// One message with all samples.
fn samples(
    request: &Request<'_>,
    snapshot: &Snapshot,
    queries: &[Query],
    deadline: Instant,
) -> Result<Reply, ApiError> {
    let limit = request.app.config.limits.max_read_samples;
    let mut encoder = ResponseEncoder::new();
    let mut buffer = SampleBuffer::default();
    let mut count = 0;
    for query in queries {
        let selected = snapshot.select(&query.matchers, query.range).map_err(super::storage_error)?;
        for index in 0..selected.len() {
            if request.is_canceled() {
                return Err(ApiError::new(ErrorType::Canceled, "the client went away"));
            }
            if Instant::now() >= deadline {
                return Err(ApiError::new(ErrorType::Timeout, "query timed out in remote read"));
            }
            buffer.clear();
            selected.read(index, query.range, &mut buffer).map_err(super::storage_error)?;
            if buffer.is_empty() {
                continue;
            }
            count += buffer.len();
            if count > limit {
                let text = format!("exceeded sample limit ({limit}); ask for less, or for streamed chunks\n");
                return Ok(Reply::text(StatusCode::BAD_REQUEST, text));
            }
            encoder.push_series(selected.labels(index), &buffer);
        }
        encoder.end_query();
    }
    let body = snappy::encode(&encoder.finish()).map_err(ApiError::internal)?;
    let reply = Reply::new(StatusCode::OK, SAMPLES_CONTENT_TYPE, body);
    Ok(reply.with_header(CONTENT_ENCODING, HeaderValue::from_static("snappy")))
}

/// Sends frames as they fill; memory holds one series and one part.
fn stream(snapshot: &Snapshot, queries: &[Query], deadline: Instant, sender: &FrameSender) -> Result<(), StreamError> {
    let mut buffer = SampleBuffer::default();
    let mut part = Vec::new();
    for (number, query) in queries.iter().enumerate() {
        let selected = snapshot.select(&query.matchers, query.range)?;
        for index in 0..selected.len() {
            if Instant::now() >= deadline {
                return Err(StreamError::TimedOut);
            }
            buffer.clear();
            selected.read(index, query.range, &mut buffer)?;
            write_series_frames(number, selected.labels(index), &buffer, &mut part)?;
            if part.len() >= FRAME_TARGET {
                sender.send(std::mem::take(&mut part))?;
            }
        }
    }
    if !part.is_empty() {
        sender.send(part)?;
    }
    Ok(())
}
