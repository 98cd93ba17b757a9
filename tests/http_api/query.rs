//! `query` and `query_range`.

use serde_json::json;

use crate::harness::{NOW, TestServer, target};

fn at(query: &str, extra: &[(&str, &str)]) -> String {
    let time = (NOW / 1000).to_string();
    let mut fields = vec![("query", query), ("time", &time)];
    fields.extend_from_slice(extra);
    target("/api/v1/query", &fields)
}

fn over(query: &str, start: &str, end: &str, step: &str) -> String {
    target("/api/v1/query_range", &[("query", query), ("start", start), ("end", end), ("step", step)])
}

fn server() -> TestServer {
    let server = TestServer::start();
    server.load(&[
        (r#"up{job="a"}"#, &[(-60_000, 1.0), (-30_000, 0.0), (0, 1.5)]),
        (r#"up{job="b"}"#, &[(-60_000, 1.0), (-30_000, 1.0), (0, f64::NAN)]),
    ]);
    server
}

#[test]
fn each_type_of_result() {
    let server = server();
    let now = NOW / 1000;
    assert_eq!(
        server.data(&at(r#"up{job="a"}"#, &[])),
        json!({"resultType": "vector", "result": [{"metric": {"__name__": "up", "job": "a"}, "value": [now, "1.5"]}]})
    );
    assert_eq!(server.data(&at("2 ^ -1", &[])), json!({"resultType": "scalar", "result": [now, "0.5"]}));
    assert_eq!(server.data(&at(r#""a\nb""#, &[])), json!({"resultType": "string", "result": [now, "a\nb"]}));
    assert_eq!(
        server.data(&at(r#"up{job="b"}[40s]"#, &[])),
        json!({"resultType": "matrix", "result": [
            {"metric": {"__name__": "up", "job": "b"}, "values": [[now - 30, "1"], [now, "NaN"]]}]})
    );
    assert_eq!(server.data(&at("nothing", &[])), json!({"resultType": "vector", "result": []}));
    assert_eq!(server.data("/api/v1/query?query=time()")["result"], json!([now, now.to_string()]));
}

#[test]
fn a_form_counts_as_a_target_does() {
    let server = server();
    let reply = server.post_form("/api/v1/query?time=5", &[("query", "time()"), ("time", "7.5")]);
    assert_eq!(reply.json()["data"]["result"], json!([7.5, "7.5"]));
}

#[test]
fn times_may_be_written_in_two_ways() {
    let server = server();
    let reply = server.data(&target("/api/v1/query", &[("query", "time()"), ("time", "2023-11-14T22:13:20.5Z")]));
    assert_eq!(reply["result"], json!([1_700_000_000.5, "1700000000.5"]));
}

#[test]
fn bad_parameters_are_named() {
    let server = server();
    let bad = |target: &str, text: &str| {
        let (status, kind, error) = server.error(target);
        assert_eq!((status, kind.as_str()), (400, "bad_data"), "{error}");
        assert_eq!(error, text);
    };
    bad(
        "/api/v1/query?query=up&time=x",
        r#"invalid parameter "time": invalid time value for 'time': cannot parse "x" to a valid timestamp"#,
    );
    bad("/api/v1/query", r#"invalid parameter "query": unknown position: parse error: no expression found in input"#);
    bad("/api/v1/query?query=up&limit=-1", r#"invalid parameter "limit": limit must be non-negative"#);
    bad("/api/v1/query?query=up&timeout=5x", r#"invalid parameter "timeout": cannot parse "5x" to a valid duration"#);
}

#[test]
fn bad_ranges_are_named() {
    let server = server();
    for (target, text) in [
        (over("up", "x", "1", "1"), r#"invalid parameter "start": cannot parse "x" to a valid timestamp"#),
        (over("up", "1", "", "1"), r#"invalid parameter "end": cannot parse "" to a valid timestamp"#),
        (over("up", "2", "1", "1"), r#"invalid parameter "end": end timestamp must not be before start time"#),
        (over("up", "1", "2", "5q"), r#"invalid parameter "step": cannot parse "5q" to a valid duration"#),
        (
            over("up", "1", "2", "0"),
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (
            over("up", "0", "11001", "1"),
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            over("up[5m]", "0", "1", "1"),
            "invalid parameter \"query\": invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
        ),
    ] {
        let (status, kind, error) = server.error(&target);
        assert_eq!((status, kind.as_str(), error.as_str()), (400, "bad_data", text));
    }
    server.data(&over("time()", "0", "11000", "1"));
}

#[test]
fn a_range_has_a_column_a_series() {
    let server = server();
    let now = NOW / 1000;
    let found = server.data(&over("up", &(now - 60).to_string(), &now.to_string(), "30s"));
    assert_eq!(
        found,
        json!({"resultType": "matrix", "result": [
            {"metric": {"__name__": "up", "job": "a"}, "values": [[now - 60, "1"], [now - 30, "0"], [now, "1.5"]]},
            {"metric": {"__name__": "up", "job": "b"}, "values": [[now - 60, "1"], [now - 30, "1"], [now, "NaN"]]}]})
    );
}

#[test]
fn limit_cuts_and_says_so() {
    let server = server();
    let reply = server.get(&at("up", &[("limit", "1")])).json();
    assert_eq!(reply["data"]["result"].as_array().unwrap().len(), 1);
    assert_eq!(reply["warnings"], json!(["results truncated due to limit"]));
    let reply = server.get(&at("up", &[("limit", "2")])).json();
    assert_eq!(reply["data"]["result"].as_array().unwrap().len(), 2);
    assert!(reply.get("warnings").is_none());
}

#[test]
fn lookback_can_be_set() {
    let server = TestServer::start();
    server.load(&[("old{}", &[(-200_000, 1.0)])]);
    assert_eq!(server.data(&at("old", &[]))["result"].as_array().unwrap().len(), 1);
    assert_eq!(server.data(&at("old", &[("lookback_delta", "1m")]))["result"], json!([]));
    let (_, _, error) = server.error(&at("old", &[("lookback_delta", "x")]));
    assert_eq!(error, r#"error parsing lookback delta duration: cannot parse "x" to a valid duration"#);
}

#[test]
fn stats_are_given_when_asked_for() {
    let server = server();
    assert!(server.data(&at("up", &[])).get("stats").is_none());
    let stats = &server.data(&at("sum(up)", &[("stats", "all")]))["stats"];
    assert!(stats["timings"]["execTotalTime"].as_f64().unwrap() > 0.0, "{stats}");
    assert!(stats["samples"]["totalQueryableSamples"].as_u64().unwrap() >= 2, "{stats}");
    let reply = server.get(&at("up", &[("stats", "yes")])).json();
    assert!(reply["warnings"][0].as_str().unwrap().contains("\"stats\" is deprecated"), "{reply}");
}

#[test]
fn annotations_come_with_the_answer() {
    let server = server();
    let reply = server.get(&at("quantile(2, up)", &[])).json();
    let warning = reply["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("PromQL warning: quantile value should be between 0 and 1, got 2"), "{warning}");
    let reply = server.get(&at("rate(up[1m])", &[])).json();
    let info = reply["infos"][0].as_str().unwrap();
    assert!(info.starts_with("PromQL info: metric might not be a counter"), "{info}");
}

#[test]
fn a_query_that_fails_on_its_data_is_an_execution_error() {
    let server = server();
    let (status, kind, error) = server.error(&at("up * on () up", &[]));
    assert_eq!((status, kind.as_str()), (422, "execution"), "{error}");
}

#[test]
fn a_query_that_takes_too_long_is_given_up() {
    let server = server();
    let (status, kind, error) = server.error(&at("up", &[("timeout", "0.000001")]));
    assert_eq!((status, kind.as_str()), (503, "timeout"), "{error}");
    assert!(error.starts_with("query timed out in "), "{error}");
}

#[test]
fn too_many_samples_are_refused() {
    let server = TestServer::configured(|config| config.max_samples = 3);
    server.load(&[("many{}", &[(-4, 1.0), (-3, 1.0), (-2, 1.0), (-1, 1.0)])]);
    let (status, kind, error) = server.error(&at("many[1m]", &[]));
    assert_eq!((status, kind.as_str()), (422, "execution"));
    assert_eq!(error, "query processing would load too many samples into memory in query execution");
}
