//! Remote read: samples and streamed chunks.

use std::io::Write as _;

use chronolith::ingest::snappy;
use chronolith_storage::Labels;
use prost::Message;

use crate::harness::{NOW, Reply, TestServer};

#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<Query>,
    #[prost(int32, repeated, tag = "2")]
    accepted_response_types: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Query {
    #[prost(int64, tag = "1")]
    start: i64,
    #[prost(int64, tag = "2")]
    end: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<LabelMatcher>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelMatcher {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<QueryResult>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryResult {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ChunkedReadResponse {
    #[prost(message, repeated, tag = "1")]
    chunked_series: Vec<ChunkedSeries>,
    #[prost(int64, tag = "2")]
    query_index: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ChunkedSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    chunks: Vec<Chunk>,
}

#[derive(Clone, PartialEq, Message)]
struct Chunk {
    #[prost(int64, tag = "1")]
    min_time: i64,
    #[prost(int64, tag = "2")]
    max_time: i64,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
}

fn query(name: &str, start: i64) -> Query {
    let matcher = LabelMatcher { kind: 0, name: "__name__".to_owned(), value: name.to_owned() };
    Query { start: NOW + start, end: NOW, matchers: vec![matcher] }
}

fn read(server: &TestServer, request: &ReadRequest) -> Reply {
    let body = snappy::encode(&request.encode_to_vec()).unwrap();
    let headers =
        [("content-type", "application/x-protobuf"), ("content-encoding", "snappy"), ("accept-encoding", "gzip")];
    server.send("POST", "/api/v1/read", &headers, &body)
}

fn server() -> TestServer {
    let server = TestServer::start();
    server.load(&[
        (r#"up{job="a"}"#, &[(-2000, 1.0), (-1000, 2.5), (0, 3.0)]),
        (r#"up{job="b"}"#, &[(0, 4.0)]),
        ("down{}", &[(0, 5.0)]),
    ]);
    server
}

#[test]
fn samples_are_read_back() {
    let server = server();
    let request = ReadRequest {
        queries: vec![query("up", -1000), query("none", 0), query("down", 0)],
        accepted_response_types: vec![],
    };
    let reply = read(&server, &request);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(reply.header("content-encoding"), Some("snappy"));
    let mut buffer = Vec::new();
    let response = ReadResponse::decode(snappy::decode(&reply.body, 1 << 20, &mut buffer).unwrap()).unwrap();
    assert_eq!(response.results.len(), 3);
    let up = &response.results[0].timeseries;
    assert_eq!(up.len(), 2);
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    assert_eq!(up[0].labels, [label("__name__", "up"), label("job", "a")]);
    let sample = |timestamp: i64, value| Sample { value, timestamp: NOW + timestamp };
    assert_eq!(up[0].samples, [sample(-1000, 2.5), sample(0, 3.0)]);
    assert!(response.results[1].timeseries.is_empty());
    assert_eq!(response.results[2].timeseries[0].samples, [sample(0, 5.0)]);
}

#[test]
fn chunks_are_streamed_in_checked_frames() {
    let server = server();
    let request =
        ReadRequest { queries: vec![query("down", 0), query("up", -2000)], accepted_response_types: vec![1, 0] };
    let reply = read(&server, &request);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.complete);
    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(
        reply.header("content-type"),
        Some("application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
    );
    let frames = frames(&reply.body);
    let seen: Vec<_> = frames
        .iter()
        .map(|frame| {
            let series = &frame.chunked_series[0];
            let labels = Labels::from_pairs(series.labels.iter().map(|l| (&l.name, &l.value)));
            let chunk = &series.chunks[0];
            (frame.query_index, labels.to_string(), chunk.min_time - NOW, chunk.max_time - NOW, chunk.kind)
        })
        .collect();
    assert_eq!(
        seen,
        [
            (0, "down".to_owned(), 0, 0, 1),
            (1, r#"up{job="a"}"#.to_owned(), -2000, 0, 1),
            (1, r#"up{job="b"}"#.to_owned(), 0, 0, 1)
        ]
    );
    // The chunk begins with its count of samples.
    assert_eq!(frames[1].chunked_series[0].chunks[0].data[..2], [0, 3]);
}

fn frames(mut body: &[u8]) -> Vec<ChunkedReadResponse> {
    let mut frames = Vec::new();
    while !body.is_empty() {
        let length = prost::decode_length_delimiter(body).unwrap();
        body = &body[prost::length_delimiter_len(length)..];
        let (checksum, rest) = body.split_at(4);
        let (message, rest) = rest.split_at(length);
        assert_eq!(checksum, crc32c::crc32c(message).to_be_bytes());
        frames.push(ChunkedReadResponse::decode(message).unwrap());
        body = rest;
    }
    frames
}

#[test]
fn a_client_that_stops_reading_a_stream_frees_the_server() {
    let server = TestServer::configured(|config| {
        config.query_concurrency = 1;
        config.limits.send_timeout = std::time::Duration::from_millis(200);
    });
    let series: Vec<String> = (0..600).map(|i| format!("wide{{id=\"{i}\",text=\"{}\"}}", "x".repeat(30_000))).collect();
    let load: Vec<(&str, &[(i64, f64)])> = series.iter().map(|s| (s.as_str(), &[(0, 1.0)][..])).collect();
    server.load(&load);
    let request = ReadRequest { queries: vec![query("wide", 0)], accepted_response_types: vec![1] };
    let body = snappy::encode(&request.encode_to_vec()).unwrap();
    let mut stream = server.connect();
    let head = format!("POST /api/v1/read HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    // The only place for queries is taken by the stream until the server gives it up.
    assert_eq!(server.get("/api/v1/query?query=1").status, 200);
}

#[test]
fn bad_requests_are_named() {
    let server = server();
    let post = |body: &[u8]| {
        let reply = server.send("POST", "/api/v1/read", &[], body);
        (reply.status, reply.text())
    };
    let (status, text) = post(b"no snappy");
    assert_eq!(status, 400, "{text}");
    assert_eq!(post(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0]).0, 413);
    let (status, text) = post(&snappy::encode(&[0x0a, 0x7f]).unwrap());
    assert!(status == 400 && text.contains("ReadRequest is broken"), "{text}");
    let mut regex = query("up", 0);
    regex.matchers[0].kind = 2;
    regex.matchers[0].value = "(".to_owned();
    let request = ReadRequest { queries: vec![regex], accepted_response_types: vec![] };
    let reply = read(&server, &request);
    assert!(
        reply.status == 400 && reply.text().contains("error parsing regexp: missing closing )"),
        "{}",
        reply.text()
    );
    let request = ReadRequest { queries: vec![query("up", 0)], accepted_response_types: vec![7] };
    assert_eq!(read(&server, &request).status, 400);
    server.still_works();
}

#[test]
fn more_samples_than_one_message_may_hold_are_refused() {
    let server = TestServer::configured(|config| config.limits.max_read_samples = 2);
    server.load(&[("up{}", &[(-2, 1.0), (-1, 1.0), (0, 1.0)])]);
    let request = ReadRequest { queries: vec![query("up", -10)], accepted_response_types: vec![0] };
    let reply = read(&server, &request);
    assert_eq!(reply.status, 400);
    assert!(reply.text().starts_with("exceeded sample limit (2)"), "{}", reply.text());
}
