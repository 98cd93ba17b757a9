//! `labels`, `label/<name>/values`, `series`.

use serde_json::json;

use crate::harness::{TestServer, target};

fn server() -> TestServer {
    let server = TestServer::start();
    server.load(&[
        (r#"up{job="a"}"#, &[(0, 1.0)]),
        (r#"up{job="b",zone="x"}"#, &[(0, 1.0)]),
        (r#"my.metric{my.label="v"}"#, &[(0, 1.0)]),
    ]);
    server
}

#[test]
fn label_names() {
    let server = server();
    assert_eq!(server.data("/api/v1/labels"), json!(["__name__", "job", "my.label", "zone"]));
    assert_eq!(server.data("/api/v1/labels?match[]=up{job=%22a%22}"), json!(["__name__", "job"]));
    let two = target("/api/v1/labels", &[("match[]", r#"{"my.metric"}"#), ("match[]", r#"up{zone="x"}"#)]);
    assert_eq!(server.data(&two), json!(["__name__", "job", "my.label", "zone"]));
    assert_eq!(server.data("/api/v1/labels?match[]=none"), json!([]));
    let cut = server.get("/api/v1/labels?limit=1").json();
    assert_eq!((&cut["data"], &cut["warnings"]), (&json!(["__name__"]), &json!(["results truncated due to limit"])));
    assert_eq!(
        server.post_form("/api/v1/labels", &[("match[]", "up")]).json()["data"],
        json!(["__name__", "job", "zone"])
    );
    assert_eq!(server.data("/api/v1/labels?start=0&end=1"), json!([]));
}

#[test]
fn label_values() {
    let server = server();
    assert_eq!(server.data("/api/v1/label/job/values"), json!(["a", "b"]));
    assert_eq!(server.data("/api/v1/label/none/values"), json!([]));
    assert_eq!(server.data("/api/v1/label/my.label/values"), json!(["v"]));
    assert_eq!(server.data("/api/v1/label/my%2Elabel/values"), json!(["v"]));
    assert_eq!(server.data("/api/v1/label/U__my_2e_label/values"), json!(["v"]));
    assert_eq!(server.data("/api/v1/label/job/values?match[]=up{zone=%22x%22}"), json!(["b"]));
    let cut = server.get("/api/v1/label/__name__/values?limit=1").json();
    assert_eq!((&cut["data"], &cut["warnings"][0]), (&json!(["my.metric"]), &"results truncated due to limit".into()));
    let (status, kind, error) = server.error("/api/v1/label/U__/values");
    assert_eq!((status, kind.as_str(), error.as_str()), (400, "bad_data", "invalid label name: \"\""));
}

#[test]
fn series() {
    let server = server();
    assert_eq!(
        server.data("/api/v1/series?match[]=up"),
        json!([{"__name__": "up", "job": "a"}, {"__name__": "up", "job": "b", "zone": "x"}])
    );
    let twice = target("/api/v1/series", &[("match[]", "up"), ("match[]", r#"{job="a"}"#)]);
    assert_eq!(server.data(&twice).as_array().unwrap().len(), 2);
    let cut = server.get("/api/v1/series?match[]=up&limit=1").json();
    assert_eq!(cut["data"].as_array().unwrap().len(), 1);
    assert_eq!(cut["warnings"], json!(["results truncated due to limit"]));
}

#[test]
fn bad_selectors_are_named() {
    let server = server();
    let (status, _, error) = server.error("/api/v1/series");
    assert_eq!((status, error.as_str()), (400, "no match[] parameter provided"));
    let (status, _, error) = server.error(&target("/api/v1/series", &[("match[]", "up{")]));
    assert_eq!(status, 400);
    assert!(error.starts_with("invalid parameter \"match[]\": 1:4: parse error: "), "{error}");
    let everything = target("/api/v1/labels", &[("match[]", r#"{job=~".*"}"#)]);
    assert_eq!(server.error(&everything).2, "match[] must contain at least one non-empty matcher");
    let broken = target("/api/v1/labels", &[("match[]", r#"{job=~"("}"#)]);
    assert_eq!(server.error(&broken).0, 400);
    assert_eq!(
        server.error("/api/v1/labels?start=x").2,
        r#"invalid parameter "start": invalid time value for 'start': cannot parse "x" to a valid timestamp"#
    );
}
