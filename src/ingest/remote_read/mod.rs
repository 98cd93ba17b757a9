//! Prometheus remote read: requests, and the two kinds of response.

mod request;
mod response;

#[cfg(test)]
mod tests;

pub use request::{Query, ReadError, ReadHints, ReadRequest, ResponseType};
pub use response::{FRAME_TARGET, ResponseEncoder, write_series_frames};

/// The Content-Type of a response of samples.
pub const SAMPLES_CONTENT_TYPE: &str = "application/x-protobuf";
/// The Content-Type of a stream of chunks.
pub const CHUNKS_CONTENT_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
