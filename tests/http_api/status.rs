//! `status/*` and `/metrics`.

use serde_json::json;

use crate::harness::TestServer;

#[test]
fn status() {
    let server = TestServer::configured(|config| {
        config.flags.insert("web.listen-address".to_owned(), "127.0.0.1:9090".to_owned());
        config.config_text = "a: 1\n".to_owned();
        config.retention_text = "15d".to_owned();
    });
    assert_eq!(server.data("/api/v1/status/buildinfo")["version"], "3.14.0");
    assert_eq!(server.data("/api/v1/status/flags"), json!({"web.listen-address": "127.0.0.1:9090"}));
    assert_eq!(server.data("/api/v1/status/config"), json!({"yaml": "a: 1\n"}));
    let info = server.data("/api/v1/status/runtimeinfo");
    assert_eq!((&info["storageRetention"], &info["corruptionCount"]), (&"15d".into(), &0.into()), "{info}");
    assert!(info["startTime"].as_str().unwrap().ends_with('Z'), "{info}");
}

#[test]
fn tsdb() {
    let server = TestServer::start();
    server.load(&[
        (r#"up{job="a"}"#, &[(-5, 1.0)]),
        (r#"up{job="b"}"#, &[(0, 1.0)]),
        (r#"down{job="b"}"#, &[(0, 1.0)]),
    ]);
    let all = server.data("/api/v1/status/tsdb");
    let head = &all["headStats"];
    assert_eq!(
        (&head["numSeries"], &head["minTime"], &head["maxTime"]),
        (&3.into(), &1_699_999_999_995i64.into(), &1_700_000_000_000i64.into())
    );
    assert_eq!(all["seriesCountByMetricName"], json!([{"name": "up", "value": 2}, {"name": "down", "value": 1}]));
    assert_eq!(all["seriesCountByLabelValuePair"].as_array().unwrap().len(), 4);
    let one = server.data("/api/v1/status/tsdb?limit=1");
    assert_eq!(one["labelValueCountByLabelName"].as_array().unwrap().len(), 1);
    for (limit, text) in [
        ("0", "limit must be a positive number"),
        ("-1", "limit must be a positive number"),
        ("x", "limit must be a positive number"),
        ("10001", "limit must not exceed 10000"),
    ] {
        assert_eq!(server.error(&format!("/api/v1/status/tsdb?limit={limit}")).2, text);
    }
}

#[test]
fn metrics_are_well_formed_and_count() {
    let server = TestServer::start();
    server.load(&[("up{}", &[(0, 1.0)])]);
    server.get("/api/v1/query?query=up");
    server.get("/api/v1/query?query=");
    server.get("/nothing");
    let text = server.get("/metrics").text();
    for line in [
        "prometheus_http_requests_total{code=\"200\",handler=\"/api/v1/query\"} 1",
        "prometheus_http_requests_total{code=\"400\",handler=\"/api/v1/query\"} 1",
        "prometheus_http_requests_total{code=\"204\",handler=\"/api/v1/write\"} 1",
        "prometheus_http_requests_total{code=\"404\",handler=\"none\"} 1",
        "prometheus_http_request_duration_seconds_count{handler=\"/api/v1/query\"} 2",
        "prometheus_http_request_duration_seconds_bucket{handler=\"/api/v1/query\",le=\"+Inf\"} 2",
        "prometheus_tsdb_head_series 1",
        "prometheus_tsdb_head_samples_appended_total 1",
        "chronolith_remote_write_samples_total 1",
        "prometheus_ready 1",
        "chronolith_writable 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    // Each family is told once, and every sample belongs to the family before it.
    let mut families = std::collections::HashSet::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap();
            assert!(families.insert(family), "{family}");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(family), "{line}");
            line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
        }
    }
}
