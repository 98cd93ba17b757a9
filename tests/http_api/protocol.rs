//! Methods, paths, CORS, compression, health.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::harness::{NOW, TestServer};

#[test]
fn unknown_paths_and_methods() {
    let server = TestServer::start();
    let (status, kind, error) = server.error("/api/v1/nothing");
    assert_eq!((status, kind.as_str(), error.as_str()), (404, "not_found", "there is nothing at \"/api/v1/nothing\""));
    for path in ["//api/v1/query", "/api/v1/query/", "/api/v1/%71uery", "/api/v1/../v1/query", "/nothing"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    let reply = server.send("DELETE", "/api/v1/series", &[], b"");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, POST")));
    assert_eq!(reply.error().2, "/api/v1/series does not take DELETE; use GET, POST");
    assert_eq!(server.get("/api/v1/write").status, 405);
    assert_eq!(server.get("/api/v1/admin/tsdb/snapshot").status, 405);
}

#[test]
fn head_is_get_without_the_body() {
    let server = TestServer::start();
    let get = server.get("/-/healthy");
    let head = server.send("HEAD", "/-/healthy", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!(server.send("HEAD", "/api/v1/write", &[], b"").status, 405);
}

#[test]
fn other_origins_may_read_the_api() {
    let server = TestServer::start();
    let origin = [("origin", "http://grafana.example")];
    let reply = server.send("OPTIONS", "/api/v1/query", &origin, b"");
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("Accept, Authorization, Content-Type, Origin"));
    assert_eq!(reply.header("access-control-expose-headers"), Some("Date"));
    let reply = server.get("/api/v1/labels");
    assert_eq!((reply.header("access-control-allow-origin"), reply.header("vary")), (None, Some("Accept-Encoding")));
    assert!(reply.headers.contains(&("vary".to_owned(), "Origin".to_owned())));

    let server = TestServer::configured(|config| config.cors_origin = r"https?://(a|b)\.example".to_owned());
    let allowed = |origin: &str| {
        let reply = server.send("GET", "/api/v1/query?query=1", &[("origin", origin)], b"");
        reply.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(allowed("https://a.example").as_deref(), Some("https://a.example"));
    assert_eq!(allowed("https://a.example.org"), None);
}

#[test]
fn large_answers_are_compressed() {
    let server = TestServer::start();
    let long = format!("/api/v1/format_query?query={}", "a_rather_long_metric_name%2B".repeat(100) + "a");
    let plain = server.get(&long);
    assert_eq!(plain.header("content-encoding"), None);
    let with = |accept: &str| server.send("GET", &long, &[("accept-encoding", accept)], b"");
    let gzip = with("gzip");
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(gzip.body.as_slice()).read_to_end(&mut body).unwrap();
    assert_eq!(body, plain.body);
    let zstd = with("gzip, zstd");
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    assert_eq!(zstd::decode_all(zstd.body.as_slice()).unwrap(), plain.body);
    let small = server.send("GET", "/api/v1/query?query=1", &[("accept-encoding", "gzip")], b"");
    assert_eq!(small.header("content-encoding"), None);
}

#[test]
fn health_and_version() {
    let server = TestServer::start();
    assert_eq!(server.get("/-/healthy").text(), "Chronolith is Healthy.\n");
    assert_eq!(server.get("/-/ready").text(), "Chronolith is Ready.\n");
    let version: serde_json::Value = serde_json::from_slice(&server.get("/version").body).unwrap();
    assert_eq!(version["version"], "3.14.0");
    assert_eq!(version["chronolithVersion"], env!("CARGO_PKG_VERSION"));
    assert!(server.get("/").text().contains("/api/v1/query"));
}

#[test]
fn errors_of_plain_paths_are_plain() {
    let server = TestServer::start();
    let reply = server.get("/federate?match[]=up%7B");
    assert_eq!((reply.status, reply.header("content-type")), (400, Some("text/plain; charset=utf-8")));
    assert!(reply.text().contains("parse error"), "{}", reply.text());
    assert_eq!(server.get("/nothing").text(), "there is nothing at \"/nothing\"\n");
}

#[test]
fn federation_gives_the_last_sample() {
    let server = TestServer::start();
    let stale = chronolith_storage::model::stale_nan();
    server.load(&[
        (r#"up{job="a",instance="i"}"#, &[(-60_000, 1.0), (-1_000, 2.5)]),
        (r#"up{job="b"}"#, &[(0, 3.0)]),
        (r#"up{job="old"}"#, &[(-400_000, 3.0)]),
        (r#"down{job="a"}"#, &[(-1_000, 1.0), (0, stale)]),
        (r#"bytes{job="a"}"#, &[(0, f64::INFINITY)]),
    ]);
    let reply = server.get("/federate?match[]={job=%22a%22}&match[]=up");
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(
        reply.text(),
        "# TYPE bytes untyped\nbytes{job=\"a\",instance=\"\"} +Inf 1700000000000\n# TYPE up untyped\n\
         up{instance=\"i\",job=\"a\"} 2.5 1699999999000\nup{job=\"b\",instance=\"\"} 3 1700000000000\n"
    );
    assert_eq!(server.get("/federate").text(), "");
}

/// Sends a request on an open connection and gives the answer's body, whose length the server tells.
fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{request}: {head}");
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

#[test]
fn quotes_and_comparisons_may_stand_bare_in_a_target() {
    let server = TestServer::start();
    server.load(&[(r#"up{job="a"}"#, &[(0, 1.0)]), (r#"up{job="b"}"#, &[(0, 2.0)])]);
    let time = NOW / 1000;
    let found = server.data(&format!(r#"/api/v1/query?query=up{{job="a"}}<2&time={time}"#));
    assert_eq!(found["result"][0]["metric"]["job"], "a");

    // Again on one connection, and never inside a body.
    let mut stream = server.connect();
    let get = format!("GET /api/v1/query?query=up{{job=\"b\"}}>1&time={time} HTTP/1.1\r\nhost: test\r\n\r\n");
    let form = format!("time={time}&query=up{{job=\"a\"}}");
    let post = format!(
        "POST /api/v1/query HTTP/1.1\r\nhost: test\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n",
        form.len()
    );
    for _ in 0..2 {
        assert!(ask(&mut stream, &get).contains(r#""job":"b""#));
    }
    stream.write_all(post.as_bytes()).unwrap();
    assert!(ask(&mut stream, &form).contains(r#""job":"a""#));
}
