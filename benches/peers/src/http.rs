//! A blocking HTTP/1.1 client with keep-alive: no client library may blur what is measured.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(600);

/// A reply, read to its end.
pub(crate) struct Reply {
    /// Status code.
    pub(crate) status: u16,
    /// Seconds of a Retry-After header.
    pub(crate) retry_after: Option<u64>,
    /// The whole body.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Whether the status is 2xx.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The beginning of the body, for messages.
    pub(crate) fn excerpt(&self) -> String {
        self.text().trim().chars().take(300).collect()
    }
}

/// One keep-alive connection to `address`, opened when first needed.
pub(crate) struct Client {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    /// A client for `host:port`.
    pub(crate) fn new(address: String) -> Client {
        Client { address, stream: None }
    }

    /// GET of a path with its query string.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.request("GET", path, "", b"")
    }

    /// POST of a body; `headers` are whole lines, each ended with CRLF.
    pub(crate) fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> io::Result<Reply> {
        self.request("POST", path, headers, body)
    }

    fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<Reply> {
        let address = &self.address;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n");
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        // A server may close an idle connection at any time: then once more on a new one.
        if let Some(stream) = self.stream.take()
            && let Ok(reply) = self.exchange(stream, &message)
        {
            return Ok(reply);
        }
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        self.exchange(BufReader::with_capacity(64 * 1024, stream), &message)
    }

    fn exchange(&mut self, mut stream: BufReader<TcpStream>, message: &[u8]) -> io::Result<Reply> {
        stream.get_mut().write_all(message)?;
        let (reply, keep) = read_reply(&mut stream)?;
        if keep {
            self.stream = Some(stream);
        }
        Ok(reply)
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("HTTP reply: {what}"))
}

/// Reads one reply; true when the connection may be used again.
fn read_reply(stream: &mut impl BufRead) -> io::Result<(Reply, bool)> {
    let first = read_line(stream)?;
    let status = first.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| broken("no status"))?;
    let mut reply = Reply { status, retry_after: None, body: Vec::new() };
    let (mut length, mut chunked, mut keep) = (None, false, true);
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken("header without colon"))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse::<u64>().map_err(|_| broken("content-length"))?),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => keep = !value.eq_ignore_ascii_case("close"),
            "retry-after" => reply.retry_after = value.parse().ok(),
            _ => {}
        }
    }
    if chunked {
        read_chunks(stream, &mut reply.body)?;
    } else if let Some(length) = length {
        if stream.take(length).read_to_end(&mut reply.body)? as u64 != length {
            return Err(broken("body ends early"));
        }
    } else if status != 204 && status != 304 {
        stream.read_to_end(&mut reply.body)?;
        keep = false;
    }
    Ok((reply, keep))
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.take(64 * 1024).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(broken("line ends early"));
    }
    Ok(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(stream)?;
        let size = line.split(';').next().unwrap_or("").trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| broken("chunk size"))?;
        if stream.take(size).read_to_end(body)? as u64 != size {
            return Err(broken("chunk ends early"));
        }
        // The line end of the chunk, or of the (empty) trailer.
        read_line(stream)?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// Percent-encodes a query parameter.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_chunked_and_counted_bodies() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        let (reply, keep) = read_reply(&mut &chunked[..]).unwrap();
        assert!(keep && reply.body == b"abcde");
        let counted = b"HTTP/1.1 429 No\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
        let (reply, keep) = read_reply(&mut &counted[..]).unwrap();
        assert!(!keep && reply.status == 429 && reply.retry_after == Some(2) && reply.text() == "hi");
        assert!(read_reply(&mut &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"[..]).is_err());
        assert_eq!(escape("a b{c=\"d\"}"), "a%20b%7Bc%3D%22d%22%7D");
    }
}
