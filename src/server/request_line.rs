//! Characters that clients leave bare in a request's target although a URI has them percent-encoded.
//!
//! `curl -g 'http://host/api/v1/query?query=up{job="api"}'` sends its quotes as they are. Prometheus takes them; hyper
//! answers 400 without a word before any handler sees the request. So the first line of a request is mended on its way
//! to hyper.

use tokio::io::ReadBuf;

/// Every byte may become this many.
pub(crate) const GROWTH: usize = 3;

/// Moves bytes that begin inside a request line to `to`, which has room for [`GROWTH`] times as many. Tells whether the
/// line ended; what follows it is moved as it is.
pub(crate) fn mend(from: &[u8], to: &mut ReadBuf<'_>) -> bool {
    let end = from.iter().position(|b| *b == b'\n');
    let (line, rest) = from.split_at(end.unwrap_or(from.len()));
    for &byte in line {
        match byte {
            b'"' => to.put_slice(b"%22"),
            b'<' => to.put_slice(b"%3C"),
            b'>' => to.put_slice(b"%3E"),
            other => to.put_slice(&[other]),
        }
    }
    to.put_slice(rest);
    end.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_is_mended() {
        let mended = |text: &str| {
            let mut space = [0; 256];
            let mut to = ReadBuf::new(&mut space);
            let ended = mend(text.as_bytes(), &mut to);
            (String::from_utf8(to.filled().to_vec()).unwrap(), ended)
        };
        assert_eq!(mended("GET /a?b=\"<"), ("GET /a?b=%22%3C".to_owned(), false));
        let whole = "> HTTP/1.1\r\nif-match: \"x\"\r\n\r\n";
        assert_eq!(mended(whole), ("%3E HTTP/1.1\r\nif-match: \"x\"\r\n\r\n".to_owned(), true));
    }
}
