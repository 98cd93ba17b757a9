//! Bodies that are compressed: undone up to a limit.

use std::{borrow::Cow, io::Read};

use hyper::StatusCode;

use crate::server::respond::ApiError;

/// Most memory that a zstd frame may ask for, as a power of two: its window.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The body as it was before it was compressed, of at most `limit` bytes.
pub(super) fn decode<'a>(body: &'a [u8], encoding: &str, limit: usize) -> Result<Cow<'a, [u8]>, ApiError> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" if body.len() <= limit => Ok(Cow::Borrowed(body)),
        "" | "identity" => Err(too_large(limit)),
        "gzip" | "x-gzip" => read(flate2::read::MultiGzDecoder::new(body), "gzip", limit),
        "zstd" => {
            let broken = |e: std::io::Error| broken("zstd", &e);
            let mut decoder = zstd::Decoder::with_buffer(body).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
            read(decoder, "zstd", limit)
        }
        _ => {
            let reason =
                format!("Content-Encoding {encoding:?} is not spoken here: send gzip, zstd, or nothing of the kind");
            Err(ApiError::bad_data(reason).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
        }
    }
}

fn read<'a>(decoder: impl Read, name: &str, limit: usize) -> Result<Cow<'a, [u8]>, ApiError> {
    let mut out = Vec::new();
    // One byte more than may be tells that there are more.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(most).read_to_end(&mut out).map_err(|e| broken(name, &e))?;
    if out.len() > limit { Err(too_large(limit)) } else { Ok(Cow::Owned(out)) }
}

fn broken(name: &str, error: &std::io::Error) -> ApiError {
    ApiError::bad_data(format!("the body is no {name} that can be undone: {error}"))
}

fn too_large(limit: usize) -> ApiError {
    ApiError::bad_data(format!("the decompressed body is over the limit of {limit} bytes; send smaller requests"))
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
}
