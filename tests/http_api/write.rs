//! Remote write: what is taken, what is refused, and what the sender is told.

use chronolith::ingest::{
    remote_write::{Sample, SeriesData, V1Encoder},
    snappy,
};
use chronolith_storage::{
    Buckets, Histogram, Labels, ResetHint, Span,
    model::metadata::{MetricKind, MetricMetadata},
    read::HistogramSample,
};
use serde_json::json;

use crate::harness::{NOW, Reply, TestServer, labels, target, v2};

const SAMPLES: &str = "x-prometheus-remote-write-samples-written";
const HISTOGRAMS: &str = "x-prometheus-remote-write-histograms-written";
const EXEMPLARS: &str = "x-prometheus-remote-write-exemplars-written";

fn values(server: &TestServer, selector: &str) -> serde_json::Value {
    let time = (NOW / 1000).to_string();
    let found = server.data(&target("/api/v1/query", &[("query", &format!("{selector}[1h]")), ("time", &time)]));
    found["result"][0]["values"].clone()
}

fn histogram() -> Histogram {
    Histogram {
        schema: 0,
        zero_threshold: 0.001,
        sum: 7.0,
        reset_hint: ResetHint::Unknown,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        buckets: Buckets::Integer { count: 4, zero_count: 1, positive: vec![1, 1], negative: Vec::new() },
    }
}

fn written(reply: &Reply) -> [Option<&str>; 3] {
    [SAMPLES, HISTOGRAMS, EXEMPLARS].map(|name| reply.header(name))
}

#[test]
fn version_1_is_taken() {
    let server = TestServer::start();
    let mut encoder = V1Encoder::new();
    let samples = [Sample::new(NOW - 1, 1.0), Sample::new(NOW, 2.0)];
    encoder.push(&SeriesData::floats(&labels(r#"up{job="a"}"#), &samples));
    let reply = server.write_v1(encoder.as_bytes());
    assert_eq!((reply.status, reply.body.as_slice()), (204, &b""[..]));
    assert_eq!(written(&reply), [None; 3]);
    let expected = json!([[1_699_999_999.999, "1"], [1_700_000_000, "2"]]);
    assert_eq!(values(&server, "up"), expected);
    // A retry changes nothing.
    assert_eq!(server.write_v1(encoder.as_bytes()).status, 204);
    assert_eq!(values(&server, "up"), expected);
}

#[test]
fn version_2_is_taken_and_counted() {
    let server = TestServer::start();
    let (floats, histograms) = (labels("up{}"), labels("latency{}"));
    let samples = [Sample { timestamp: NOW, value: 2.0, start_timestamp: NOW - 1000 }];
    let sample = HistogramSample { timestamp: NOW, start_timestamp: 0, histogram: histogram().into() };
    let body = v2(&[
        SeriesData::floats(&floats, &samples),
        SeriesData { histograms: &[sample], ..SeriesData::floats(&histograms, &[]) },
    ]);
    let reply = server.write_v2(&body);
    assert_eq!(reply.status, 204, "{}", reply.text());
    assert_eq!(written(&reply), [Some("1"), Some("1"), Some("0")]);
    let found = server.data("/api/v1/query?query=latency");
    assert_eq!(
        found["result"][0]["histogram"],
        json!([NOW / 1000, {"count": "4", "sum": "7", "buckets":
            [[3, "-0.001", "0.001", "1"], [0, "0.5", "1", "1"], [0, "1", "2", "2"]]}])
    );
}

#[test]
fn type_and_unit_become_labels_where_that_is_switched_on() {
    let metadata = MetricMetadata { kind: MetricKind::Counter, help: "h".to_owned(), unit: "seconds".to_owned() };
    let series = labels(r#"up{job="a",__type__="gauge"}"#);
    let samples = [Sample::new(NOW, 1.0)];
    let message = v2(&[SeriesData { metadata: Some(&metadata), ..SeriesData::floats(&series, &samples) }]);
    let query = target("/api/v1/query", &[("query", "up"), ("time", &(NOW / 1000).to_string())]);
    let found = |server: &TestServer| server.data(&query)["result"][0]["metric"].clone();

    let typed = TestServer::configured(|c| c.features.type_and_unit_labels = true);
    for _ in 0..2 {
        assert_eq!(typed.write_v2(&message).status, 204);
    }
    let expected = json!({"__name__": "up", "__type__": "counter", "__unit__": "seconds", "job": "a"});
    assert_eq!(found(&typed), expected);

    let plain = TestServer::start();
    assert_eq!(plain.write_v2(&message).status, 204);
    assert_eq!(found(&plain), json!({"__name__": "up", "__type__": "gauge", "job": "a"}));
}

#[test]
fn stale_markers_keep_their_meaning() {
    let server = TestServer::start();
    server.load(&[("gone{}", &[(-1000, 1.0), (0, chronolith_storage::model::stale_nan())])]);
    assert_eq!(server.data("/api/v1/query?query=gone")["result"], json!([]));
}

#[test]
fn good_samples_are_kept_when_others_are_bad() {
    let server = TestServer::start();
    let (good, far, bad) = (labels("good{}"), labels(r#"far{job="a"}"#), Labels::from_pairs([("job", "nameless")]));
    let now = [Sample::new(NOW, 1.0)];
    let both = [Sample::new(NOW, 3.0), Sample::new(NOW + 3_600_000, 4.0)];
    let mut encoder = V1Encoder::new();
    for (labels, samples) in [(&bad, &now[..]), (&good, &now), (&far, &both)] {
        encoder.push(&SeriesData::floats(labels, samples));
    }
    let reply = server.write_v1(encoder.as_bytes());
    let text = reply.text();
    assert_eq!(reply.status, 400, "{text}");
    assert!(text.starts_with("2 samples refused, 2 written:\n"), "{text}");
    assert!(text.contains(r#"{job="nameless"}: the series has no metric name"#), "{text}");
    assert!(
        text.contains(r#"far{job="a"}: out of bounds: timestamp 1700003600000 is more than 600000 ms ahead"#),
        "{text}"
    );
    assert_eq!(values(&server, "good"), json!([[NOW / 1000, "1"]]));
    assert_eq!(values(&server, "far"), json!([[NOW / 1000, "3"]]));

    let mut broken = histogram();
    broken.buckets = Buckets::Integer { count: 99, zero_count: 1, positive: vec![1, 1], negative: Vec::new() };
    let samples =
        [broken, histogram()].map(|h| HistogramSample { timestamp: NOW, start_timestamp: 0, histogram: h.into() });
    let empty = labels("empty{}");
    let latency = labels("latency{}");
    let body = v2(&[
        SeriesData::floats(&empty, &[]),
        SeriesData { histograms: &samples, ..SeriesData::floats(&latency, &[]) },
        SeriesData::floats(&good, &now),
    ]);
    let reply = server.write_v2(&body);
    let text = reply.text();
    assert_eq!(reply.status, 400, "{text}");
    assert_eq!(written(&reply), [Some("1"), Some("1"), Some("0")]);
    assert!(text.contains("empty: the series has neither samples nor histograms"), "{text}");
    assert!(text.contains("latency: invalid histogram: the buckets hold 4 observations but the count is 99"), "{text}");
}

#[test]
fn what_is_not_spoken_is_415() {
    let server = TestServer::start();
    let mut encoder = V1Encoder::new();
    encoder.push(&SeriesData::floats(&labels("up{}"), &[Sample::new(NOW, 1.0)]));
    let body = snappy::encode(encoder.as_bytes()).unwrap();
    let status = |content_type: &str, encoding: &str| {
        let headers = [("content-type", content_type), ("content-encoding", encoding)];
        let reply = server.send("POST", "/api/v1/write", &headers, &body);
        assert!(reply.status == 204 || reply.text().contains("is not spoken here"), "{}", reply.text());
        reply.status
    };
    assert_eq!(status("application/x-protobuf", "snappy"), 204);
    assert_eq!(status("application/x-protobuf; proto=prometheus.WriteRequest", "Snappy"), 204);
    assert_eq!(status("application/json", "snappy"), 415);
    assert_eq!(status("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy"), 415);
    assert_eq!(status("application/x-protobuf", "gzip"), 415);
    assert_eq!(status("application/x-protobuf", "zstd"), 415);
    assert_eq!(server.send("POST", "/api/v1/write", &[], &body).status, 204);
}

#[test]
fn a_full_memory_refuses_new_series_and_takes_known_ones() {
    let server = TestServer::with(|_| {}, |options| options.memory_budget = 40 << 20);
    server.load(&[("known{}", &[(-1, 1.0)])]);
    let mut encoder = V1Encoder::new();
    let mut status = 204;
    for batch in 0..100 {
        encoder.clear();
        for i in 0..5_000 {
            let name = format!("new{{id=\"{batch}-{i}-{}\"}}", "x".repeat(500));
            encoder.push(&SeriesData::floats(&labels(&name), &[Sample::new(NOW, 1.0)]));
        }
        encoder.push(&SeriesData::floats(&labels("known{}"), &[Sample::new(NOW, f64::from(batch))]));
        let reply = server.write_v1(encoder.as_bytes());
        status = reply.status;
        if status != 204 {
            assert_eq!(reply.header("retry-after"), Some("30"));
            let text = reply.text();
            assert!(text.contains("new series are refused") && text.contains("\"id\""), "{text}");
            assert_eq!(values(&server, "known")[1], json!([NOW / 1000, batch.to_string()]));
            break;
        }
    }
    assert_eq!(status, 429);
}

#[test]
fn a_closed_database_asks_to_come_back() {
    let server = TestServer::start();
    server.load(&[("up{}", &[(0, 1.0)])]);
    server.engine.close().unwrap();
    let mut encoder = V1Encoder::new();
    encoder.push(&SeriesData::floats(&labels("up{}"), &[Sample::new(NOW, 1.0)]));
    let reply = server.write_v1(encoder.as_bytes());
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("30")), "{}", reply.text());
    assert!(server.get("/metrics").text().contains("chronolith_writable 0\n"));
}

#[test]
fn more_writes_than_places_are_refused_with_retry_after() {
    let server = TestServer::configured(|config| config.limits.max_bodies_bytes = 100);
    let reply = server.write_v1(&(0..1000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{}", reply.text());
    server.still_works();
}
