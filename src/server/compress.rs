//! Compression of replies, as the client's `Accept-Encoding` allows.

use std::io::Write as _;

use hyper::{
    HeaderMap,
    header::{ACCEPT_ENCODING, HeaderValue},
};

/// Replies up to this size are sent as they are: a packet holds them either way.
const MIN_BYTES: usize = 1024;
/// Fast levels: replies are compressed while the client waits.
const ZSTD_LEVEL: i32 = 1;
const GZIP_LEVEL: u32 = 4;

/// An encoding that replies can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Zstd,
    Gzip,
}

impl Encoding {
    pub(crate) const fn header(self) -> HeaderValue {
        match self {
            Self::Zstd => HeaderValue::from_static("zstd"),
            Self::Gzip => HeaderValue::from_static("gzip"),
        }
    }
}

/// The encoding that the client likes best among ours; zstd when it does not care.
pub(crate) fn negotiate(headers: &HeaderMap) -> Option<Encoding> {
    let mut best: Option<(Encoding, f32)> = None;
    for list in headers.get_all(ACCEPT_ENCODING) {
        for item in list.to_str().unwrap_or("").split(',') {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let encoding = match name.trim() {
                name if name.eq_ignore_ascii_case("zstd") => Encoding::Zstd,
                name if name.eq_ignore_ascii_case("gzip") => Encoding::Gzip,
                _ => continue,
            };
            let quality = match parameters.trim().split_once('=') {
                Some((q, weight)) if q.trim() == "q" => weight.trim().parse().unwrap_or(0.0),
                _ => 1.0,
            };
            let better = best.is_none_or(|(_, q)| quality > q || (quality == q && encoding == Encoding::Zstd));
            if quality > 0.0 && better {
                best = Some((encoding, quality));
            }
        }
    }
    best.map(|(encoding, _)| encoding)
}

/// The body in the encoding, or `None` when it is small or the encoder fails: then it is sent as it is.
pub(crate) fn compress(body: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    if body.len() <= MIN_BYTES {
        return None;
    }
    match encoding {
        Encoding::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL).ok(),
        Encoding::Gzip => {
            let out = Vec::with_capacity(body.len() / 4);
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL));
            encoder.write_all(body).ok()?;
            encoder.finish().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_clients_preference_counts() {
        for (accept, expected) in [
            ("", None),
            ("identity, br", None),
            ("gzip", Some(Encoding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Encoding::Zstd)),
            ("zstd;q=0.5, GZIP;q=0.8", Some(Encoding::Gzip)),
            ("zstd;q=0, gzip;q=0", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, accept.parse().unwrap());
            assert_eq!(negotiate(&headers), expected, "{accept}");
        }
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let body = b"abcdefgh".repeat(1000);
        assert_eq!(zstd::decode_all(&*compress(&body, Encoding::Zstd).unwrap()).unwrap(), body);
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&*compress(&body, Encoding::Gzip).unwrap()).read_to_end(&mut back).unwrap();
        assert_eq!(back, body);
        assert!(compress(&body[..MIN_BYTES], Encoding::Gzip).is_none());
    }
}
