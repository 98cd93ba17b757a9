//! SQL by HTTP: the ways to ask, the formats of answers, errors with their codes.

use serde_json::{Value, json};

use crate::harness::{Reply, TestServer, target};

const SQL: &str = "/api/v1/sql";

fn ask(server: &TestServer, statement: &str) -> Reply {
    server.send("POST", SQL, &[("content-type", "text/plain")], statement.as_bytes())
}

fn rows(server: &TestServer, statement: &str) -> Value {
    let reply = ask(server, statement);
    assert_eq!(reply.status, 200, "{statement}: {}", reply.text());
    reply.json()["rows"].clone()
}

/// A server with a table `t` of two rows.
fn loaded() -> TestServer {
    let server = TestServer::start();
    for statement in [
        "CREATE TABLE t (id INT PRIMARY KEY, name TEXT, score FLOAT)",
        "INSERT INTO t VALUES (1, 'a,b', 0.5), (2, NULL, 2)",
    ] {
        let reply = ask(&server, statement);
        assert_eq!(reply.status, 200, "{statement}: {}", reply.text());
        assert!(reply.json()["command"].is_string(), "{}", reply.text());
    }
    server
}

#[test]
fn a_statement_is_asked_in_several_ways() {
    let server = loaded();
    let query = "SELECT id, name, score FROM t ORDER BY id";
    let columns = json!([
        {"name": "id", "type": "integer"}, {"name": "name", "type": "text"}, {"name": "score", "type": "double precision"}
    ]);
    let rows = json!([[1, "a,b", 0.5], [2, null, 2.0]]);
    let object = json!({ "query": query }).to_string();
    for reply in [
        ask(&server, query),
        server.send("POST", SQL, &[("content-type", "application/json")], object.as_bytes()),
        server.post_form(SQL, &[("query", query)]),
        // As `curl -d` sends it.
        server.send("POST", SQL, &[("content-type", "application/x-www-form-urlencoded")], query.as_bytes()),
        server.get(&target(SQL, &[("query", query)])),
    ] {
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{}", reply.text());
        assert_eq!(reply.json(), json!({"columns": columns, "rows": rows}));
    }
}

#[test]
fn answers_come_in_every_format() {
    let server = loaded();
    let query = "SELECT id, name, score FROM t ORDER BY id";
    let ndjson = "{\"id\":1,\"name\":\"a,b\",\"score\":0.5}\n{\"id\":2,\"name\":null,\"score\":2.0}\n";
    let csv = "id,name,score\n1,\"a,b\",0.5\n2,,2.0\n";
    for (name, media, text) in [("ndjson", "application/x-ndjson", ndjson), ("csv", "text/csv", csv)] {
        let by_name = server.get(&target(SQL, &[("query", query), ("format", name)]));
        assert_eq!((by_name.status, by_name.text().as_str()), (200, text));
        let by_type = server.send("POST", SQL, &[("accept", media)], query.as_bytes());
        assert_eq!((by_type.status, by_type.text().as_str()), (200, text));
    }
    let arrow = server.get(&target(SQL, &[("query", query), ("format", "arrow")]));
    let mut reader = arrow_ipc::reader::StreamReader::try_new(arrow.body.as_slice(), None).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().num_rows(), 2);
    assert!(reader.next().is_none());
    let reply = server.get(&target(SQL, &[("query", query), ("format", "xml")]));
    assert_eq!(reply.status, 400, "{}", reply.text());
}

#[test]
fn events_are_asked_by_sql() {
    let server = TestServer::start();
    let events = b"{\"page\":\"/\",\"ms\":3}\n{\"page\":\"/a\",\"ms\":5}\n";
    let reply = server.send("POST", "/api/v1/events/views", &[("content-type", "application/x-ndjson")], events);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(rows(&server, "SELECT count(*), sum(ms) FROM views WHERE page = '/a'"), json!([[1, 5]]));
}

#[test]
fn many_rows_are_streamed() {
    let server = TestServer::start();
    let events: String = (0..50_000).map(|n| format!("{{\"n\":{n},\"pad\":\"{}\"}}\n", "x".repeat(50))).collect();
    let reply =
        server.send("POST", "/api/v1/events/many", &[("content-type", "application/x-ndjson")], events.as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.text());
    let all = rows(&server, "SELECT n, pad FROM many");
    assert_eq!(all.as_array().unwrap().len(), 50_000);
}

#[test]
fn errors_have_codes_and_a_get_writes_nothing() {
    let server = loaded();
    for (statement, status, code) in [
        ("SELECT * FROM nowhere", 400, "42P01"),
        ("SELEC 1", 400, "42601"),
        ("INSERT INTO t VALUES (1, 'again', 1)", 409, "23505"),
    ] {
        let reply = ask(&server, statement);
        let told = reply.json();
        assert_eq!((reply.status, &told["code"]), (status, &json!(code)), "{statement}: {told}");
        assert_eq!(told["status"], "error");
        assert!(told["error"].as_str().is_some_and(|e| !e.is_empty()), "{told}");
    }
    for (statement, word) in [("", "no statement"), ("SELECT 1; SELECT 2", "one statement")] {
        let (status, _, error) = ask(&server, statement).error();
        assert_eq!(status, 400);
        assert!(error.contains(word), "{error}");
    }
    for statement in
        ["INSERT INTO t VALUES (3, 'c', 1)", "DROP TABLE t", "INSERT INTO t VALUES (4, 'd', 1) RETURNING id"]
    {
        let reply = server.get(&target(SQL, &[("query", statement)]));
        assert_eq!(reply.status, 400, "{statement}: {}", reply.text());
    }
    assert_eq!(rows(&server, "SELECT count(*) FROM t"), json!([[2]]));
    let long = format!("SELECT '{}'", "x".repeat(2 << 20));
    assert_eq!(ask(&server, &long).status, 413);
    server.still_works();
}
