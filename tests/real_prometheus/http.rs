//! GET over a connection of its own: HTTP/1.0 needs no chunks and no keep-alive.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The body of a 200 reply, or what went wrong.
pub(crate) fn get(address: &str, path: &str) -> Result<Vec<u8>, String> {
    let (status, body) = fetch(address, path).map_err(|e| format!("{address}{path}: {e}"))?;
    if status == 200 {
        return Ok(body);
    }
    let said: String = String::from_utf8_lossy(&body).chars().take(300).collect();
    Err(format!("{address}{path}: {status}: {said}"))
}

fn fetch(address: &str, path: &str) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
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
