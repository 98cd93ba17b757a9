//! `metadata`, `query_exemplars`, `format_query`, `parse_query`.

use chronolith::ingest::remote_write::{Sample, SeriesData};
use chronolith_storage::{Exemplar, Labels, MetricKind, MetricMetadata};
use serde_json::json;

use crate::harness::{NOW, TestServer, labels, target, v2};

fn server() -> TestServer {
    let server = TestServer::start();
    let metadata =
        MetricMetadata { kind: MetricKind::Counter, help: "How \"many\".".to_owned(), unit: "seconds".to_owned() };
    let exemplars = [Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), value: 0.25, timestamp: NOW + 500 }];
    let labels = labels(r#"hits_total{job="a"}"#);
    let body = v2(&[SeriesData {
        labels: &labels,
        samples: &[Sample::new(NOW, 1.0)],
        histograms: &[],
        exemplars: &exemplars,
        metadata: Some(&metadata),
    }]);
    let reply = server.write_v2(&body);
    assert_eq!(reply.status, 204, "{}", reply.text());
    assert_eq!(reply.header("x-prometheus-remote-write-exemplars-written"), Some("1"));
    server
}

#[test]
fn metadata() {
    let server = server();
    let all = json!({"hits_total": [{"type": "counter", "unit": "seconds", "help": "How \"many\"."}]});
    assert_eq!(server.data("/api/v1/metadata"), all);
    assert_eq!(server.data("/api/v1/metadata?metric=hits_total&limit=1&limit_per_metric=1"), all);
    assert_eq!(server.data("/api/v1/metadata?metric=none"), json!({}));
    assert_eq!(server.data("/api/v1/metadata?limit=0"), json!({}));
    assert_eq!(server.error("/api/v1/metadata?limit=x").2, "limit must be a number");
    assert_eq!(server.error("/api/v1/metadata?limit_per_metric=x").2, "limit_per_metric must be a number");
}

#[test]
fn exemplars() {
    let server = server();
    let query = target("/api/v1/query_exemplars", &[("query", r#"rate(hits_total{job="a"}[5m]) + 1"#)]);
    assert_eq!(
        server.data(&query),
        json!([{"seriesLabels": {"__name__": "hits_total", "job": "a"},
            "exemplars": [{"labels": {"trace_id": "abc"}, "value": "0.25", "timestamp": 1_700_000_000.5}]}])
    );
    assert_eq!(server.data("/api/v1/query_exemplars?query=none"), json!([]));
    assert_eq!(server.get("/api/v1/query_exemplars?query=1").status, 204);
    assert_eq!(
        server.error("/api/v1/query_exemplars?query=up&start=2&end=1").2,
        "end timestamp must not be before start timestamp"
    );
    assert_eq!(
        server.error("/api/v1/query_exemplars?query=").2,
        "unknown position: parse error: no expression found in input"
    );
}

#[test]
fn queries_are_formatted_and_parsed() {
    let server = TestServer::start();
    let formatted = server.data(&target("/api/v1/format_query", &[("query", "sum by(a)(  up)")]));
    assert_eq!(formatted, "sum by (a) (up)");
    let tree = server.data(&target("/api/v1/parse_query", &[("query", "-up")]));
    assert_eq!((&tree["type"], &tree["expr"]["name"]), (&"unaryExpr".into(), &"up".into()));
    for path in ["/api/v1/format_query", "/api/v1/parse_query"] {
        let (status, kind, error) = server.error(&target(path, &[("query", "up{")]));
        assert_eq!((status, kind.as_str()), (400, "bad_data"));
        assert!(error.starts_with("invalid parameter \"query\": 1:4: parse error: "), "{error}");
    }
}
