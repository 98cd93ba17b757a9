//! Clients that stall, send too much, or go away.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use chronolith::ingest::remote_write::{Sample, SeriesData, V1Encoder};
use chronolith_storage::Labels;
use hyper::{StatusCode, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness::{NOW, TestServer, read_reply, target};

/// What every wait in this file ends after: far more than the limits that are set, far less than a test may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads until the server closes the connection.
fn closed_by_server(mut stream: TcpStream) -> Vec<u8> {
    let began = Instant::now();
    let mut bytes = Vec::new();
    // A reset is as good as an end.
    let _ = stream.read_to_end(&mut bytes);
    assert!(began.elapsed() < PATIENCE);
    bytes
}

pub(crate) fn metric(server: &TestServer, name: &str) -> f64 {
    let text = server.get("/metrics").text();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// Asks for a metric until it has this value.
pub(crate) fn wait_for(server: &TestServer, name: &str, value: f64) {
    let began = Instant::now();
    while metric(server, name) != value {
        assert!(began.elapsed() < PATIENCE, "{name} did not become {value}");
        std::thread::yield_now();
    }
}

#[test]
fn slow_heads_are_cut_off() {
    let server = TestServer::configured(|config| config.limits.head_timeout = Duration::from_millis(100));
    let mut slow = server.connect();
    slow.write_all(b"GET /api/v1/labels HTTP/1.1\r\nhost: te").unwrap();
    let silent = server.connect();
    closed_by_server(slow);
    closed_by_server(silent);
    // After a request too.
    let mut second = server.connect();
    second.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    let mut first = [0; 12];
    second.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    second.write_all(b"GET /-/healthy HT").unwrap();
    closed_by_server(second);
    server.still_works();
}

#[test]
fn idle_connections_are_closed() {
    let server = TestServer::configured(|config| config.limits.idle_timeout = Duration::from_millis(100));
    let mut stream = server.connect();
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    let bytes = closed_by_server(stream);
    assert!(bytes.ends_with(b"Chronolith is Healthy.\n"));
    server.still_works();
}

#[test]
fn slow_bodies_are_cut_off() {
    let server = TestServer::configured(|config| config.limits.body_timeout = Duration::from_millis(100));
    let mut stream = server.connect();
    stream.write_all(b"POST /api/v1/write HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\nabc").unwrap();
    let reply = read_reply(&mut stream, false);
    assert_eq!(reply.status, 408, "{}", reply.text());
    assert!(reply.text().contains("did not arrive within 0.1 s"), "{}", reply.text());
    server.still_works();
}

#[test]
fn large_bodies_are_refused() {
    let server = TestServer::configured(|config| config.limits.max_body_bytes = 100_000);
    let reply = server.send("POST", "/api/v1/write", &[], &[0; 200_000]);
    assert_eq!(reply.status, 413);
    assert!(reply.text().contains("over the limit of 100000 bytes"), "{}", reply.text());
    let mut stream = server.connect();
    stream.write_all(b"POST /api/v1/write HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let chunk = [b"10000\r\n".to_vec(), vec![0; 0x10000], b"\r\n".to_vec()].concat();
    for _ in 0..3 {
        // The server may have answered and closed already.
        let _ = stream.write_all(&chunk);
    }
    let _ = stream.write_all(b"0\r\n\r\n");
    assert_eq!(read_reply(&mut stream, false).status, 413);
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let reply = server.send("POST", "/api/v1/query", &headers, &vec![b'a'; (1 << 20) + 1]);
    assert_eq!((reply.status, reply.error().1.as_str()), (413, "bad_data"));
    server.still_works();
}

#[test]
fn large_heads_are_refused() {
    let server = TestServer::start();
    let giant = "x".repeat(1 << 20);
    assert_eq!(server.send("GET", "/-/healthy", &[("x-giant", &giant)], b"").status, 431);
    let many: Vec<(String, String)> = (0..1000).map(|i| (format!("x-{i}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(server.send("GET", "/-/healthy", &many, b"").status, 431);
    let reply = server.get(&format!("/api/v1/query?query={}", "x".repeat(60_000)));
    assert_eq!((reply.status, reply.error().1.as_str()), (414, "bad_data"));
    let reply = server.get(&format!("/api/v1/query?query={}", "x".repeat(1 << 20)));
    assert!(matches!(reply.status, 414 | 431), "{}", reply.status);
    server.still_works();
}

#[test]
fn what_is_no_http_is_refused() {
    let server = TestServer::start();
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], b"GET\r\n\r\n", b"\0\0\0\0\r\n\r\n"] {
        let mut stream = server.connect();
        stream.write_all(garbage).unwrap();
        assert_eq!(read_reply(&mut stream, false).status, 400);
    }
    server.still_works();
}

#[test]
fn clients_that_do_not_read_are_cut_off() {
    let server = TestServer::configured(|config| config.limits.send_timeout = Duration::from_millis(200));
    let mut encoder = V1Encoder::new();
    for i in 0..900 {
        let labels = Labels::from_pairs([("__name__", "wide"), ("id", &format!("{i}")), ("text", &"x".repeat(32_000))]);
        encoder.push(&SeriesData::floats(&labels, &[Sample::new(NOW, 1.0)]));
    }
    assert_eq!(server.write_v1(encoder.as_bytes()).status, 204);
    let mut stream = server.connect();
    stream.write_all(b"GET /api/v1/series?match[]=wide HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    wait_for(&server, "chronolith_http_connections_stalled_total", 1.0);
    server.still_works();
}

#[test]
fn a_query_ends_when_its_client_goes() {
    let server = TestServer::start();
    let query = "quantile_over_time(0.5, vector(time())[100000s:1s])";
    let long = target("/api/v1/query_range", &[("query", query), ("start", "0"), ("end", "11000"), ("step", "1")]);
    let mut stream = server.connect();
    stream.write_all(format!("GET {long} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).unwrap();
    wait_for(&server, "prometheus_engine_queries", 1.0);
    drop(stream);
    wait_for(&server, "prometheus_engine_queries", 0.0);
}

#[test]
fn connections_beyond_the_limit_wait_for_a_place() {
    let server = TestServer::configured(|config| config.limits.max_connections = 1);
    let mut first = server.connect();
    first.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    first.read_exact(&mut [0; 12]).unwrap();
    let mut second = server.connect();
    second.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    drop(first);
    assert_eq!(read_reply(&mut second, false).status, 200);
}

#[test]
fn the_server_stops_although_connections_are_open() {
    let server = TestServer::start();
    let mut idle = server.connect();
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    idle.read_exact(&mut [0; 12]).unwrap();
    let address = server.address;
    let began = Instant::now();
    drop(server);
    assert!(began.elapsed() < PATIENCE);
    closed_by_server(idle);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn http_2_is_spoken() {
    let server = TestServer::start();
    server.load(&[("up{}", &[(0, 1.0)])]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut send = || {
            let uri = format!("http://{}/api/v1/query?query=up", server.address);
            let request = hyper::Request::get(uri).body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
            client.send_request(request)
        };
        // The first answer brings the server's limit of streams, which the client keeps from then on.
        assert_eq!(send().await.unwrap().status(), StatusCode::OK);
        for request in (0..200).map(|_| send()).collect::<Vec<_>>() {
            assert_eq!(request.await.unwrap().status(), StatusCode::OK);
        }
        drop(client);
        connection.abort();
    });
}
