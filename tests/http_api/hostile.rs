//! Input that is meant to hurt: each gets an error that names it, and the server goes on.

use chronolith::ingest::{
    remote_write::{Sample, SeriesData, V1Encoder},
    snappy,
};
use serde_json::json;

use crate::harness::{NOW, TestServer, labels, target};

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 128 {
        out.push(length as u8 | 128);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
    out
}

/// A series of a write request with labels as they are given, and one sample.
fn series(labels: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in labels {
        out.extend(field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat()));
    }
    out.extend(sample());
    field(1, &out)
}

/// The field of a series that holds one sample, 1 at [`NOW`].
fn sample() -> Vec<u8> {
    let mut sample = vec![0x09];
    sample.extend_from_slice(&1f64.to_le_bytes());
    sample.push(0x10);
    let mut timestamp = NOW as u64;
    while timestamp >= 128 {
        sample.push(timestamp as u8 | 128);
        timestamp >>= 7;
    }
    sample.push(timestamp as u8);
    field(2, &sample)
}

#[test]
fn bodies_that_are_no_snappy() {
    let server = TestServer::start();
    let write = |body: &[u8]| {
        let reply = server.send("POST", "/api/v1/write", &[("content-encoding", "snappy")], body);
        (reply.status, reply.text())
    };
    let (status, text) = write(b"this is not snappy at all");
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("snappy"), "{text}");
    // 4 GiB declared in 8 bytes.
    let (status, text) = write(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0]);
    assert_eq!(status, 413, "{text}");
    assert!(text.contains("declares 4294967295 bytes"), "{text}");
    let (status, text) = write(b"");
    assert!(status == 400 || status == 204, "{status} {text}");
    server.still_works();
}

#[test]
fn a_body_that_decodes_to_too_much() {
    let server = TestServer::configured(|config| config.limits.max_decoded_bytes = 1000);
    let reply = server.write_v1(&[0; 1001]);
    assert_eq!(reply.status, 413, "{}", reply.text());
    server.still_works();
}

#[test]
fn broken_protobuf_is_refused_as_a_whole() {
    let server = TestServer::start();
    let mut body = series(&[("__name__", "half")]);
    body.extend_from_slice(&[0x0a, 0x7f, 0x01]);
    let reply = server.write_v1(&body);
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("is broken at byte"), "{}", reply.text());
    assert_eq!(server.data("/api/v1/query?query=half")["result"], json!([]));
    let reply = server.write_v2(&body);
    assert_eq!(reply.status, 400);
    assert_eq!(reply.header("x-prometheus-remote-write-samples-written"), Some("0"));
    server.still_works();
}

#[test]
fn bad_labels_are_named_and_the_rest_is_kept() {
    let server = TestServer::start();
    let many: Vec<String> = (0..300).map(|i| format!("l{i:03}")).collect();
    let mut many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
    many.insert(0, ("__name__", "many"));
    for (labels, text) in [
        (&[("b", "1"), ("__name__", "x")][..], "the labels are not sorted: \"__name__\" comes after \"b\""),
        (&[("__name__", "x"), ("a", "1"), ("a", "2")], "the label \"a\" is there twice"),
        (&[("", "1"), ("__name__", "x")], "label number 1 has an empty name"),
        (&[("__name__", ""), ("a", "1")], "the series has no metric name"),
        (&[], "the series has no metric name"),
        (&many, "the series has more than 256 labels"),
    ] {
        let body = [series(labels), series(&[("__name__", "good")])].concat();
        let reply = server.write_v1(&body);
        assert_eq!(reply.status, 400);
        assert!(reply.text().contains(text), "{}", reply.text());
        assert!(reply.text().starts_with("1 samples refused, 1 written:"), "{}", reply.text());
        assert_eq!(server.data("/api/v1/query?query=good")["result"][0]["value"][1], "1");
    }
}

#[test]
fn a_million_labels() {
    let server = TestServer::start();
    let names: Vec<String> = (0..1_000_000).map(|i| format!("l{i:06}")).collect();
    let mut labels: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    labels.insert(0, ("__name__", "wide"));
    let reply = server.write_v1(&[series(&labels), series(&[("__name__", "good")])].concat());
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("the series has more than 256 labels"), "{}", reply.text());
    assert_eq!(server.data("/api/v1/query?query=good")["result"][0]["value"][1], "1");
}

#[test]
fn a_thousand_bad_series_make_a_short_answer() {
    let server = TestServer::start();
    let body = series(&[("a", "1")]).repeat(1000);
    let reply = server.write_v1(&body);
    let text = reply.text();
    assert_eq!(reply.status, 400);
    assert!(text.ends_with("and 990 more\n") && text.len() < 2000, "{text}");
}

#[test]
fn queries_that_are_too_long_or_too_deep() {
    let server = TestServer::start();
    let query = |text: &str| server.post_form("/api/v1/query", &[("query", text)]).error();
    let (status, _, error) = query(&format!("1{}", " + 1".repeat(5000)));
    assert_eq!(status, 400);
    assert!(error.contains("16384"), "{error}");
    let (status, _, error) = query(&"(".repeat(100_000));
    assert_eq!(status, 400, "{error}");
    let (status, _, error) = query(&format!("{}1{}", "(".repeat(8000), ")".repeat(8000)));
    assert_eq!(status, 400, "{error}");
    let (status, _, error) = query(&format!("{}1", "-".repeat(16_000)));
    assert_eq!(status, 400, "{error}");
    for path in ["/api/v1/parse_query", "/api/v1/format_query", "/api/v1/query_exemplars"] {
        assert_eq!(server.post_form(path, &[("query", &"(".repeat(100_000))]).status, 400);
    }
    let long = target("/api/v1/query", &[("query", &"(".repeat(16_000))]);
    assert_eq!(server.get(&long).status, 400);
    server.still_works();
}

#[test]
fn queries_as_deep_as_they_may_be() {
    let server = TestServer::start();
    server.load(&[("up{}", &[(0, 4.0)])]);
    let calls = |n: usize| format!("{}up{}", "abs(".repeat(n), ")".repeat(n));
    let sums = |n: usize| format!("{}up{}", "sum(".repeat(n), ")".repeat(n));
    let parens = |n: usize| format!("{}up{}", "(".repeat(n), ")".repeat(n));
    let subqueries = |n: usize| format!("{}up{}", "max_over_time(".repeat(n), "[1m:1m])".repeat(n));
    let minus = |n: usize| format!("{}up", "-".repeat(n * 2));
    let chain = |n: usize| format!("up{}", " + 0".repeat(n * 2));
    let makers: [&dyn Fn(usize) -> String; 6] = [&calls, &sums, &parens, &subqueries, &minus, &chain];
    for make in makers {
        // The deepest that is accepted is somewhere here; every one gets an answer.
        let mut accepted = 0;
        for depth in (1..=260).rev().step_by(7) {
            let reply = server.post_form("/api/v1/query", &[("query", &make(depth))]);
            assert!(matches!(reply.status, 200 | 400 | 422), "{}", reply.text());
            for path in ["/api/v1/parse_query", "/api/v1/format_query"] {
                assert!(matches!(server.post_form(path, &[("query", &make(depth))]).status, 200 | 400));
            }
            accepted += usize::from(reply.status == 200);
            if accepted > 1 {
                break;
            }
        }
        assert!(accepted > 0, "{}", make(3));
    }
    server.still_works();
}

#[test]
fn regular_expressions_that_explode() {
    let server = TestServer::start();
    for pattern in ["((a{100}){100}){100}", "(", &"(".repeat(5_000)] {
        let query = format!("{{job=~{pattern:?}}}");
        let (status, kind, error) = server.post_form("/api/v1/query", &[("query", &query)]).error();
        assert_eq!((status, kind.as_str()), (400, "bad_data"), "{error}");
    }
    server.still_works();
}

#[test]
fn more_parameters_than_anyone_needs() {
    let server = TestServer::start();
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let reply = server.send("POST", "/api/v1/query", &headers, "a&".repeat(20_000).as_bytes());
    assert_eq!(reply.error().2, "the request has more than 10000 parameters");
}

#[test]
fn odd_names_come_back_as_they_are() {
    let server = TestServer::start();
    let odd = "<script>\u{202e}\u{0}\"\\";
    let labels = chronolith_storage::Labels::from_pairs([("__name__", odd), ("l", odd)]);
    let mut encoder = V1Encoder::new();
    encoder.push(&SeriesData::floats(&labels, &[Sample::new(NOW, 1.0)]));
    assert_eq!(server.write_v1(encoder.as_bytes()).status, 204);
    let reply = server.get("/api/v1/series?match[]={l!=%22%22}");
    assert_eq!(reply.json()["data"], json!([{"__name__": odd, "l": odd}]));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[test]
fn invalid_utf8_costs_the_series_that_has_it_and_no_other() {
    let server = TestServer::start();
    let latin = [field(1, b"l"), field(2, b"caf\xe9")].concat();
    let mut bad = field(1, &[field(1, b"__name__"), field(2, b"bad")].concat());
    bad.extend(field(1, &latin));
    bad.extend(sample());
    let good = series(&[("__name__", "good")]);
    let metadata = field(3, &[field(2, b"good"), field(4, b"caf\xe9")].concat());
    let reply = server.write_v1(&[field(1, &bad), good, metadata].concat());
    let text = reply.text();
    assert_eq!(reply.status, 400, "{text}");
    assert!(text.starts_with("1 samples refused, 1 written:\nbad: ") && text.contains("UTF-8"), "{text}");
    let found = server.data(&format!("/api/v1/query?query=good&time={}", NOW / 1000));
    assert_eq!(found["result"][0]["value"][1], "1");

    // Version 2.0 has its texts in a table: 1 is the name, 2 and 4 are metrics, 3 is the broken one.
    let symbols = [&b""[..], b"__name__", b"bad2", b"l\xe9", b"good2"].map(|s| field(4, s)).concat();
    let series = |references: &[u8]| field(5, &[field(1, references), sample()].concat());
    let reply = server.write_v2(&[symbols, series(&[1, 2, 3, 4]), series(&[1, 4])].concat());
    let text = reply.text();
    assert_eq!((reply.status, reply.header("x-prometheus-remote-write-samples-written")), (400, Some("1")), "{text}");
    assert!(text.contains("UTF-8"), "{text}");
    let found = server.data(&format!("/api/v1/query?query=good2&time={}", NOW / 1000));
    assert_eq!(found["result"][0]["value"][1], "1");
}

#[test]
fn a_body_that_is_cut_off_is_refused() {
    let server = TestServer::start();
    let mut encoder = V1Encoder::new();
    encoder.push(&SeriesData::floats(&labels("up{}"), &[Sample::new(NOW, 1.0)]));
    let cut = snappy::encode(encoder.as_bytes()).unwrap();
    for end in 0..cut.len() {
        let reply = server.send("POST", "/api/v1/write", &[], &cut[..end]);
        assert!(matches!(reply.status, 204 | 400), "{end}: {}", reply.text());
    }
    server.still_works();
}
