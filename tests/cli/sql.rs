//! `chronolith sql`: answers in every format, scripts, refusals; and Parquet in and out.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Output, Stdio},
};

use crate::harness::{Serving, chronolith, run, succeed, text};

const CLICKS: &str = concat!(
    r#"{"_time":"2024-05-01T10:00:00Z","page":"/a","user":{"id":7,"tags":["x","y"]},"ms":1.5}"#,
    "\n",
    r#"{"_time":"2024-05-01T10:00:01Z","page":"/b,\"c\"","user":{"id":8}}"#,
    "\n",
    r#"{"_time":"2024-05-01T10:00:02Z","page":"/a","ms":2.5}"#,
    "\n",
);

/// A data directory with a table.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("clicks.ndjson"), CLICKS).unwrap();
    succeed(dir.path(), &["import", "--data-dir", "data", "--table", "clicks", "clicks.ndjson"]);
    dir
}

/// Runs `sql` with a script on standard input.
fn piped(dir: &Path, args: &[&str], script: &str) -> Output {
    let mut command = chronolith();
    command.arg("sql").args(args).current_dir(dir);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn every_format_says_the_same_of_a_server_and_of_a_directory() {
    let dir = directory();
    let dir = dir.path();
    let server = Serving::serve(dir, &["--data-dir", "served"]);
    succeed(dir, &["import", "--url", &server.url, "--table", "clicks", "clicks.ndjson"]);
    let statement = "SELECT page, count(*) AS n, sum(ms) AS ms FROM clicks GROUP BY page ORDER BY page";
    let table = "page    n    ms\n------  -  ----\n/a      2   4.0\n/b,\"c\"  1  NULL\n(2 rows)\n";
    let json = r#"{"columns":[{"name":"page","type":"text"},{"name":"n","type":"bigint"},{"name":"ms","type":"double precision"}],"rows":[["/a",2,4.0],["/b,\"c\"",1,null]]}"#;
    for source in [["--data-dir", "data"], ["--url", &server.url]] {
        let ask = |format: &str| succeed(dir, &["sql", source[0], source[1], "-o", format, statement]);
        assert_eq!(ask("table"), table, "{source:?}");
        assert_eq!(ask("csv"), "page,n,ms\n/a,2,4.0\n\"/b,\"\"c\"\"\",1,\n");
        assert_eq!(ask("json"), format!("{json}\n"));
        assert_eq!(
            ask("ndjson"),
            "{\"page\":\"/a\",\"n\":2,\"ms\":4.0}\n{\"page\":\"/b,\\\"c\\\"\",\"n\":1,\"ms\":null}\n"
        );
        let args = ["sql", source[0], source[1], "-o", "parquet", "--output-file", "pages.parquet", statement];
        succeed(dir, &args);
        let imported = ["import", "--data-dir", "again", "--table", "pages", "--format", "parquet", "pages.parquet"];
        succeed(dir, &imported);
        let back = ["sql", "--data-dir", "again", "-o", "csv", "SELECT page, n, ms FROM pages ORDER BY page"];
        assert_eq!(succeed(dir, &back), "page,n,ms\n/a,2,4.0\n\"/b,\"\"c\"\"\",1,\n");
        fs::remove_dir_all(dir.join("again")).unwrap();
    }
}

#[test]
fn statements_of_a_script_run_up_to_the_first_that_fails() {
    let dir = directory();
    let dir = dir.path();
    let script = "SELECT 1 AS a; -- not ;\nSELECT ';' AS b;\nSELECT nothing FROM clicks;\nSELECT 4";
    let done = piped(dir, &["--data-dir", "data", "-o", "csv"], script);
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(text(&done.stdout), "a\n1\nb\n;\n");
    assert!(text(&done.stderr).contains("\"nothing\""), "{}", text(&done.stderr));
    let done = piped(dir, &["--data-dir", "data", "-"], "");
    assert!(done.status.success() && done.stdout.is_empty());
    let done = piped(dir, &["--data-dir", "data"], "SET LOCAL TimeZone = 'Europe/Rome'");
    assert!(text(&done.stderr).contains("warning: SET LOCAL"), "{}", text(&done.stderr));
    let done = piped(dir, &["--data-dir", "data"], "SELECT 'open");
    assert!(text(&done.stderr).contains("not closed"), "{}", text(&done.stderr));
    let wrong = run(dir, &["sql", "--data-dir", "data", "SELECT 1\n  FROM clicks WHERE )"]);
    let said = text(&wrong.stderr);
    assert!(said.contains("|   FROM clicks WHERE )\n") && said.contains("^"), "{said}");
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let dir = directory();
    let dir = dir.path();
    let server = Serving::serve(dir, &["--data-dir", "served"]);
    for (args, code, word) in [
        (&["sql", "--data-dir", "data", "INSERT INTO clicks (page) VALUES ('/x')"][..], 1, "read"),
        (&["sql", "--data-dir", "data", "COPY clicks TO '/tmp/x'"], 1, "COPY"),
        (&["sql", "--data-dir", "none", "SELECT 1"], 1, "none"),
        (&["sql", "--url", &server.url, "BEGIN"], 1, "PostgreSQL client"),
        (&["sql", "--url", &server.url, "SELECT * FROM nowhere"], 1, "nowhere"),
        (&["sql", "--url", "http://127.0.0.1:1", "SELECT 1"], 1, "127.0.0.1:1"),
        (&["sql", "--file", "a.sql", "SELECT 1"], 2, "--file"),
        (&["import", "--data-dir", "data", "--table", "t", "--format", "parquet", "clicks.ndjson"], 1, "Parquet"),
        (&["import", "--data-dir", "data", "--table", "t", "--format", "parquet", "-"], 2, "standard input"),
        (&["import", "--data-dir", "data", "--format", "parquet", "x.parquet"], 2, "--table"),
        (&["export", "--data-dir", "data", "--table", "clicks", "--format", "parquet", "--start", "-1h"], 2, "WHERE"),
    ] {
        let done = run(dir, args);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: {said}");
    }
    let done = run(dir, &["sql", "--url", &server.url, "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)"]);
    assert!(done.status.success() && text(&done.stderr).contains("INSERT 0 2"), "{}", text(&done.stderr));
}

#[test]
fn a_table_goes_through_parquet_and_back() {
    let dir = directory();
    let dir = dir.path();
    let server = Serving::serve(dir, &["--data-dir", "served"]);
    succeed(dir, &["export", "--data-dir", "data", "--table", "clicks", "--format", "parquet", "-o", "clicks.parquet"]);
    succeed(dir, &["import", "--url", &server.url, "--table", "clicks", "clicks.parquet"]);
    let args = ["export", "--url", &server.url, "--table", "clicks", "--format", "parquet", "-o", "again.parquet"];
    succeed(dir, &args);
    succeed(dir, &["import", "--data-dir", "again", "--table", "clicks", "again.parquet"]);
    let there = succeed(dir, &["export", "--data-dir", "data", "--table", "clicks"]);
    assert_eq!(succeed(dir, &["export", "--data-dir", "again", "--table", "clicks"]), there);
}
