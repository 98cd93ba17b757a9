//! Requests, each over a connection of its own: HTTP/1.0 needs no chunks and no keep-alive.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The body of a 200 reply, or what went wrong.
pub(crate) fn get(address: &str, path: &str) -> Result<Vec<u8>, String> {
    let (status, body) = send(address, &format!("GET {path}"), "", &[]).map_err(|e| format!("{address}{path}: {e}"))?;
    if status == 200 {
        return Ok(body);
    }
    let said: String = String::from_utf8_lossy(&body).chars().take(300).collect();
    Err(format!("{address}{path}: {status}: {said}"))
}

/// The status and body of the reply to a request such as `GET /path`; every line of `headers` ends with CRLF.
pub(crate) fn send(address: &str, request: &str, headers: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{request} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n{headers}{length}\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let bad = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
    let end = reply.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| bad("a reply without headers"))?;
    let head = String::from_utf8_lossy(&reply[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| bad("a reply without status"))?;
    if head.contains("transfer-encoding") {
        return Err(bad("chunks in reply to HTTP/1.0"));
    }
    Ok((status, reply.split_off(end + 4)))
}

/// Percent-encodes a query parameter.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
