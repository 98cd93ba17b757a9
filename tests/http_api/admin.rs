//! `admin/tsdb/*`.

use serde_json::json;

use crate::harness::{TestServer, target};

fn post(server: &TestServer, target: &str) -> crate::harness::Reply {
    server.send("POST", target, &[], b"")
}

#[test]
fn it_is_off_unless_turned_on() {
    let server = TestServer::start();
    for path in ["delete_series?match[]=up", "clean_tombstones", "snapshot", "compact"] {
        let (status, kind, error) = post(&server, &format!("/api/v1/admin/tsdb/{path}")).error();
        assert_eq!((status, kind.as_str(), error.as_str()), (500, "unavailable", "admin APIs disabled"));
    }
}

#[test]
fn series_are_deleted_in_a_range() {
    let server = TestServer::configured(|config| config.enable_admin_api = true);
    server.load(&[(r#"up{job="a"}"#, &[(-2_000, 1.0), (-1_000, 2.0), (0, 3.0)]), (r#"up{job="b"}"#, &[(0, 9.0)])]);
    let delete = target(
        "/api/v1/admin/tsdb/delete_series",
        &[("match[]", r#"up{job="a"}"#), ("start", "1699999999"), ("end", "1699999999")],
    );
    assert_eq!(post(&server, &delete).status, 204);
    let values = |job: &str| {
        let query = format!("up{{job={job:?}}}[1m]");
        server.data(&target("/api/v1/query", &[("query", &query)]))["result"][0]["values"].clone()
    };
    assert_eq!(values("a"), json!([[1_699_999_998, "1"], [1_700_000_000, "3"]]));
    assert_eq!(values("b"), json!([[1_700_000_000, "9"]]));
    for path in ["compact", "clean_tombstones"] {
        let reply = server.send("PUT", &format!("/api/v1/admin/tsdb/{path}"), &[], b"");
        assert_eq!(reply.status, 204, "{}", reply.text());
    }
    assert_eq!(values("a"), json!([[1_699_999_998, "1"], [1_700_000_000, "3"]]));
}

#[test]
fn a_bad_request_deletes_nothing() {
    let server = TestServer::configured(|config| config.enable_admin_api = true);
    server.load(&[("up{}", &[(0, 1.0)])]);
    let path = "/api/v1/admin/tsdb/delete_series";
    assert_eq!(post(&server, path).error().2, "no match[] parameter provided");
    let two = target(path, &[("match[]", "up"), ("match[]", "up{")]);
    assert_eq!(post(&server, &two).status, 400);
    let everything = target(path, &[("match[]", r#"{job=~".*"}"#)]);
    assert_eq!(post(&server, &everything).status, 400);
    assert_eq!(server.data("/api/v1/query?query=up")["result"][0]["value"][1], "1");
}

#[test]
fn a_snapshot_has_a_name() {
    let server = TestServer::configured(|config| config.enable_admin_api = true);
    server.load(&[("up{}", &[(0, 1.0)])]);
    let reply = post(&server, "/api/v1/admin/tsdb/snapshot?skip_head=false").json();
    assert!(!reply["data"]["name"].as_str().unwrap().is_empty(), "{reply}");
    let (status, _, error) = post(&server, "/api/v1/admin/tsdb/snapshot?skip_head=true").error();
    assert_eq!(status, 400);
    assert!(error.contains("skip_head"), "{error}");
}
