//! Events by HTTP: every format and encoding, what is refused, and that a request is taken as a whole or not at all.

use std::{io::Write as _, sync::Arc};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use serde_json::json;

use crate::harness::{Reply, TestServer};

const TARGET: &str = "/api/v1/events/clicks";

fn post(server: &TestServer, target: &str, content_type: &str, body: &[u8]) -> Reply {
    server.send("POST", target, &[("content-type", content_type)], body)
}

/// How many rows a table has.
fn rows(server: &TestServer, table: &str) -> u64 {
    server.engine.tables().table(table).map_or(0, |t| t.len())
}

fn arrow() -> Vec<u8> {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("n", values)]).unwrap();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn every_format_is_taken() {
    let server = TestServer::start();
    let arrow = arrow();
    let mut expected = 0;
    for (content_type, body, count) in [
        ("application/json", &b"{\"a\":1}"[..], 1),
        ("application/json; charset=utf-8", b"[{\"a\":1},{\"b\":[1,2]}]", 2),
        ("application/x-ndjson", b"{\"a\":\"x\"}\n{\"timestamp\":\"2023-01-01\"}\n", 2),
        ("text/csv", b"a,b\n1,x\n2,y\n", 2),
        ("application/vnd.apache.arrow.stream", &arrow, 3),
    ] {
        let reply = post(&server, TARGET, content_type, body);
        assert_eq!(reply.status, 200, "{content_type}: {}", reply.text());
        let data = json!({"table": "clicks", "rows": count, "created": expected == 0});
        assert_eq!(reply.json(), json!({"status": "success", "data": data}), "{content_type}");
        expected += count;
        assert_eq!(rows(&server, "clicks"), expected);
    }
    let reply = server.send("POST", "/api/v1/events/clicks?format=csv", &[], b"a\n1\n");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains(&format!("chronolith_events_total {}", expected + 1)), "{metrics}");
}

#[test]
fn compressed_bodies_are_undone_within_limits() {
    let server = TestServer::configured(|config| config.limits.max_decoded_bytes = 1_000_000);
    let line = "{\"message\":\"the same again\"}\n";
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 3).unwrap();
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let send = |encoding: &str, body: &[u8]| {
        let headers = [("content-type", "application/x-ndjson"), ("content-encoding", encoding)];
        server.send("POST", TARGET, &headers, body)
    };
    let many = line.repeat(1_000);
    for (encoding, body) in [("zstd", zstd(&many)), ("gzip", gzip(&many)), ("identity", many.clone().into_bytes())] {
        let reply = send(encoding, &body);
        assert_eq!(reply.status, 200, "{encoding}: {}", reply.text());
    }
    assert_eq!(rows(&server, "clicks"), 3_000);
    let bomb = line.repeat(1_000_000);
    for (encoding, body, status) in [
        ("zstd", zstd(&bomb), 413),
        ("gzip", gzip(&bomb), 413),
        ("identity", line.repeat(40_000).into_bytes(), 413),
        ("gzip", b"no gzip".to_vec(), 400),
        ("zstd", zstd(&many)[..20].to_vec(), 400),
        ("br", many.into_bytes(), 415),
    ] {
        let reply = send(encoding, &body);
        assert_eq!(reply.status, status, "{encoding}: {}", reply.text());
    }
    assert_eq!(rows(&server, "clicks"), 3_000);
    server.still_works();
}

#[test]
fn a_bad_event_is_named_and_keeps_its_request_out() {
    let server = TestServer::start();
    for (target, content_type, body, status, words) in [
        (TARGET, "application/json", "{\"a\":1}\n{\"a\":", 400, "line 2: the document is cut off"),
        (TARGET, "application/x-ndjson", "{}\n\n{\"a\" 1}", 400, "line 3: this is no JSON: a colon"),
        (TARGET, "application/json", "{\"timestamp\":\"soon\"}", 400, "line 1: field \"timestamp\" is no time: soon"),
        (TARGET, "text/csv", "a,b\n1\n", 400, "line 2: there are 1 values"),
        (TARGET, "application/vnd.apache.arrow.stream", "{}", 400, "no stream of Arrow batches"),
        (TARGET, "application/xml", "<a/>", 415, "application/x-ndjson"),
        (TARGET, "application/x-www-form-urlencoded", "{}", 415, "application/json"),
        ("/api/v1/events/clicks?format=xml", "application/json", "{}", 400, "format"),
        ("/api/v1/events/clicks?tiem_field=at", "application/json", "{}", 400, "\"tiem_field\": it is not known"),
        ("/api/v1/events/a%00b", "application/json", "{}", 400, "zero byte"),
        ("/api/v1/events/clicks?time_field=at", "application/json", "{\"at\":\"soon\"}", 400, "\"at\" is no time"),
    ] {
        let reply = post(&server, target, content_type, body.as_bytes());
        let (is, _, error) = reply.error();
        assert_eq!(is, status, "{body}: {error}");
        assert!(error.contains(words), "{body}: {error}");
    }
    assert_eq!(rows(&server, "clicks"), 0);
    assert_eq!(server.get(TARGET).status, 405);
    let reply = post(&server, TARGET, "application/json", b"{\"a\":1}");
    assert_eq!(reply.json()["data"]["created"], true);
}

#[test]
fn hostile_documents_are_refused_and_nothing_is_lost() {
    let server = TestServer::start();
    assert_eq!(post(&server, TARGET, "application/json", b"{\"kept\":1}").status, 200);
    let fields: Vec<String> = (0..100_000).map(|n| format!("\"f{n}\":{n}")).collect();
    for (body, words) in [
        ("{\"a\":".repeat(100_000), "128 deep"),
        (format!("{{\"a\":{}", "[".repeat(100_000)), "128 deep"),
        (format!("{{{}}}", fields.join(",")), "10000 fields"),
        (format!("{{\"{}\":1}}", "k".repeat(100_000)), "longer than"),
        (format!("{{\"a\":\"{}\"}}", "x".repeat(9 << 20)), "longer than"),
        (format!("{{\"a\":\"{}\"}}", "x".repeat(20 << 20)), "longer than"),
        ("{\"a\":\"\\ud800\"}".to_owned(), "surrogate"),
    ] {
        let reply = post(&server, TARGET, "application/json", body.as_bytes());
        let (status, _, error) = reply.error();
        assert_eq!(status, 400, "{error}");
        assert!(error.contains(words), "{error}");
    }
    let odd = r##"{"quote\"\u0000":1,"":2,"#0":3,"n":123456789012345678901234567890,"e":1e999}"##;
    assert_eq!(post(&server, TARGET, "application/json", odd.as_bytes()).status, 200);
    assert_eq!(rows(&server, "clicks"), 2);
    server.still_works();
}

/// Sends a document of this many bytes, made while it is sent, and reads what the server answers to it.
fn send_endless(server: &TestServer, head: &str, bytes: usize, chunked: bool) -> Reply {
    let mut stream = server.connect();
    stream.write_all(head.as_bytes()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let piece = vec![b'x'; 1 << 20];
        let send = |writer: &mut std::net::TcpStream, piece: &[u8]| -> std::io::Result<()> {
            if chunked {
                write!(writer, "{:x}\r\n", piece.len())?;
            }
            writer.write_all(piece)?;
            if chunked { writer.write_all(b"\r\n") } else { Ok(()) }
        };
        // The server answers and closes long before the end.
        let mut sent = 0;
        while sent < bytes && send(&mut writer, if sent == 0 { b"{\"a\":\"" } else { &piece }).is_ok() {
            sent += piece.len();
        }
    });
    let reply = crate::harness::read_reply(&mut stream, false);
    drop(stream);
    sending.join().unwrap();
    reply
}

#[test]
fn a_document_of_a_gigabyte_is_refused_without_reading_it() {
    let server = TestServer::start();
    assert_eq!(post(&server, TARGET, "application/json", b"{\"kept\":1}").status, 200);
    let begin =
        format!("POST {TARGET} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n");
    for (length, chunked) in [
        (format!("content-length: {}\r\n\r\n", 1 << 30), false),
        ("transfer-encoding: chunked\r\n\r\n".to_owned(), true),
    ] {
        let reply = send_endless(&server, &format!("{begin}{length}"), 1 << 30, chunked);
        let (status, _, error) = reply.error();
        assert_eq!(status, 413, "{error}");
        assert!(error.contains("limit") || error.contains("larger") || error.contains("bytes"), "{error}");
    }
    assert_eq!(rows(&server, "clicks"), 1);
    server.still_works();
}
