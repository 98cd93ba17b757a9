//! What is too long, too deep, too large or too slow is refused, and the engine goes on.

use std::time::Duration;

use chronolith_sql::{SqlEngine, SqlOptions};

use crate::harness::{database, run, wait, with_options};

fn state_of(sql: &SqlEngine, statement: &str) -> String {
    match run(&mut sql.session("a", "chronolith"), statement) {
        Ok(answer) => format!("ok {}", answer.rows.len()),
        Err(error) => error.state.as_str().to_owned(),
    }
}

#[test]
fn deep_statements_are_refused_or_run() {
    let (_engine, sql) = database();
    let chain = |n: usize| format!("SELECT 1{}", " + 1".repeat(n));
    assert_eq!(state_of(&sql, &chain(1_000)), "ok 1");
    assert_eq!(state_of(&sql, &chain(2_900)), "ok 1");
    assert_eq!(state_of(&sql, &chain(100_000)), "54001");
    let texts = |n: usize| format!("SELECT length('a'{})", " || 'bc'".repeat(n));
    assert_eq!(state_of(&sql, &texts(2_900)), "ok 1");
    for (link, few, many) in [(" - interval '1 day'", 50, 1_000), (" -> 'a'", 50, 1_000)] {
        let of = if link.contains("->") { "'{}'::jsonb" } else { "timestamp '2026-01-01'" };
        assert_eq!(state_of(&sql, &format!("SELECT {of}{}", link.repeat(few))), "ok 1", "{few} of {link}");
        assert_eq!(state_of(&sql, &format!("SELECT {of}{}", link.repeat(many))), "54001", "{many} of {link}");
    }
    let ors = |n: usize| format!("SELECT 1 WHERE 1 = 2{}", " OR 1 = 1".repeat(n));
    assert_eq!(state_of(&sql, &ors(1_400)), "ok 1");
    assert_eq!(state_of(&sql, &ors(50_000)), "54001");
    let parens = |n: usize| format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n));
    assert_eq!(state_of(&sql, &parens(20)), "ok 1");
    for deep in [200, 100_000] {
        assert_eq!(state_of(&sql, &parens(deep)), "54001");
    }
    let calls = |n: usize| format!("SELECT {}1{}", "abs(".repeat(n), ")".repeat(n));
    assert_eq!(state_of(&sql, &calls(40)), "ok 1");
    let zones = format!("SELECT now(){}", " AT TIME ZONE 'UTC'".repeat(40));
    assert_eq!(state_of(&sql, &zones), "ok 1");
    let casts = |n: usize| format!("SELECT 1{}", "::int".repeat(n));
    assert_eq!(state_of(&sql, &casts(100_000)), "54001");
    let unions = |n: usize| format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(n));
    assert_eq!(state_of(&sql, &unions(200)), "ok 201");
    assert_eq!(state_of(&sql, &unions(100_000)), "54001");
    for prefix in ["NOT ", "- ", "CASE WHEN ", "(SELECT "] {
        let state = state_of(&sql, &format!("SELECT {}true", prefix.repeat(50_000)));
        assert!(state == "54001" || state == "42601", "{prefix} gave {state}");
    }
    assert_eq!(state_of(&sql, "SELECT 1"), "ok 1");
}

#[test]
fn long_chains_of_texts_are_what_short_ones_are() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    let mut ask = |statement: &str| run(&mut session, statement).expect(statement).rows;
    ask("CREATE TABLE t (a TEXT, n INT, b BOOL, l TEXT[])");
    ask("INSERT INTO t VALUES ('x', 1, true, '{p,q}'), (NULL, 2, false, NULL), ('y', NULL, true, '{}')");
    // The same operands as one chain, and as chains that are too short to be one.
    let operands = ["a", "'-'", "n", "b", "upper(a)", "n + 1"].repeat(8);
    let long = operands.join(" || ");
    let short: Vec<String> = operands.chunks(6).map(|part| format!("({})", part.join(" || "))).collect();
    let short = short.chunks(3).map(|part| format!("({})", part.join(" || "))).collect::<Vec<_>>().join(" || ");
    let rows = ask(&format!("SELECT {long}, {short} FROM t"));
    assert_eq!(rows.len(), 3);
    assert!(rows[0][0].starts_with("x-1trueX2x-1true"), "{rows:?}");
    assert!(rows.iter().all(|row| row[0] == row[1]), "{rows:?}");
    assert_eq!(ask(&format!("SELECT count(*) FROM t WHERE {long} = {short}")), [["1"]]);
    assert_eq!(ask(&format!("SELECT '1'{} || NULL", " || '1'".repeat(40))), [["NULL"]]);
    // Lists are no texts.
    let list = format!("SELECT array_length(l{}, 1) FROM t WHERE n = 1", " || 'r'".repeat(40));
    assert_eq!(ask(&list), [["42"]]);
}

#[test]
fn long_statements_run_or_are_refused() {
    let (_engine, sql) = database();
    let long = format!("SELECT length('{}')", "x".repeat(1 << 20));
    assert_eq!(state_of(&sql, &long), "ok 1");
    let longer = format!("SELECT '{}'", "x".repeat(5 << 20));
    assert_eq!(state_of(&sql, &longer), "54000");
    let list: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    assert_eq!(state_of(&sql, &format!("SELECT 1 WHERE 7 IN ({})", list.join(","))), "ok 1");
}

#[test]
fn a_join_that_never_reads_on_ends_at_its_timeout() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "SET statement_timeout = '100ms'").expect("it is set");
    let began = std::time::Instant::now();
    // Every thread is inside a join that has all of its input and makes batches without end.
    let cross = "SELECT count(*) FROM generate_series(1, 1000000) AS a(v), generate_series(1, 1000000) AS b(v)";
    assert_eq!(run(&mut session, cross).expect_err("it is too slow").state.as_str(), "57014");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_statement_ends_at_its_timeout() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "SET statement_timeout = '50ms'").expect("it is set");
    let slow = "SELECT count(*) FROM generate_series(1, 100000000) AS a(value), generate_series(1, 1000) AS b(value) WHERE a.value % 7 = b.value";
    assert_eq!(run(&mut session, slow).expect_err("it is too slow").state.as_str(), "57014");
    run(&mut session, "RESET statement_timeout").expect("it is reset");
    assert_eq!(run(&mut session, "SELECT 1").expect("the session goes on").rows, [["1"]]);
}

#[test]
fn a_statement_can_be_cancelled() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    let canceller = session.canceller();
    canceller.cancel();
    let slow = "SELECT count(*) FROM generate_series(1, 100000000) AS a(value), generate_series(1, 1000) AS b(value) WHERE a.value % 7 = b.value";
    let (started, may_cancel) = std::sync::mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            may_cancel.recv().expect("the statement starts");
            // Until it is heard: the statement may just be about to begin.
            while may_cancel.recv_timeout(Duration::from_millis(5)).is_err() {
                canceller.cancel();
            }
        });
        started.send(()).expect("the other thread waits");
        let error = run(&mut session, slow).expect_err("it is cancelled");
        assert_eq!(error.state.as_str(), "57014");
        started.send(()).expect("the other thread waits");
    });
    assert_eq!(run(&mut session, "SELECT 1").expect("the session goes on").rows, [["1"]]);
}

#[test]
fn memory_is_bounded() {
    let (_engine, sql) = with_options(SqlOptions { memory_bytes: 8 << 20, threads: 2, ..SqlOptions::default() });
    let large = "SELECT count(*) FROM (SELECT (value * 7919) % 5000011 AS k, count(*) FROM generate_series(1, 5000000) AS s(value) GROUP BY 1) g";
    assert_eq!(state_of(&sql, large), "53200");
    // One side of a cross join is held in memory.
    let cross = "SELECT max(a.v + b.v) FROM generate_series(1, 5000000) AS a(v), generate_series(1, 5000000) AS b(v)";
    assert_eq!(state_of(&sql, cross), "53200");
    assert_eq!(state_of(&sql, "SELECT 1"), "ok 1");
}

#[test]
fn files_and_internals_are_out_of_reach() {
    let (_engine, sql) = database();
    for (statement, state) in [
        ("COPY (SELECT 1) TO '/etc/x'", "42501"),
        ("COPY (SELECT 1) TO PROGRAM 'sh'", "42501"),
        ("CREATE EXTERNAL TABLE t (a INT) STORED AS CSV LOCATION '/etc/passwd'", "0A000"),
        ("SET datafusion.execution.batch_size = 1", "42704"),
        ("SHOW datafusion.execution.batch_size", "42704"),
        ("SELECT * FROM '/etc/passwd'", "42P01"),
        ("LISTEN x", "0A000"),
        ("NOTIFY x", "0A000"),
        ("CREATE FUNCTION f() RETURNS int AS 'SELECT 1'", "0A000"),
        ("CREATE ROLE r", "0A000"),
        ("GRANT ALL ON t TO x", "0A000"),
        ("CREATE SEQUENCE s", "0A000"),
        ("CREATE DATABASE d", "0A000"),
        ("EXPLAIN ANALYZE DELETE FROM t", "0A000"),
        ("SELECT 1 FROM pg_class FOR UPDATE", "0A000"),
    ] {
        assert_eq!(state_of(&sql, statement), state, "{statement}");
    }
}

#[test]
fn callers_without_a_runtime_get_batches() {
    let (_engine, sql) = database();
    assert!(sql.query("CREATE TABLE t (a INT)").expect("it is made").is_empty());
    sql.query("INSERT INTO t VALUES (1), (2)").expect("rows are written");
    let batches = sql.query("SELECT a FROM t").expect("rows are read");
    assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 2);
    assert_eq!(sql.query("SELECT nope").expect_err("it is wrong").state.as_str(), "42703");
}

#[test]
fn a_statement_that_nobody_waits_for_ends() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "BEGIN").expect("it begins");
    let slow = "SELECT count(*) FROM generate_series(1, 100000000) AS a(value), generate_series(1, 1000) AS b(value) WHERE a.value % 7 = b.value";
    wait(async {
        let outcome = session.run(slow).await.expect("it starts");
        drop(outcome);
    });
    assert_eq!(run(&mut session, "SELECT 1").expect("the session goes on").rows, [["1"]]);
}
