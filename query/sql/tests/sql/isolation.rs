//! What transactions see of each other at REPEATABLE READ, and what FOR UPDATE guards.

use chronolith_sql::{Session, SqlEngine};

use crate::harness::{database, run};

fn table() -> SqlEngine {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    for statement in ["CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 1), (2, 2)"] {
        run(&mut session, statement).expect(statement);
    }
    sql
}

fn rows(session: &mut Session, query: &str) -> Vec<Vec<String>> {
    run(session, query).expect(query).rows
}

fn state(session: &mut Session, statement: &str) -> String {
    run(session, statement).expect_err(statement).state.as_str().to_owned()
}

#[test]
fn repeatable_read_sees_the_moment_of_its_first_statement() {
    let sql = table();
    let (mut a, mut b) = (sql.session("a", "chronolith"), sql.session("b", "chronolith"));
    run(&mut a, "BEGIN ISOLATION LEVEL REPEATABLE READ").expect("it begins");
    run(&mut b, "INSERT INTO t VALUES (3, 3)").expect("the moment is not that of BEGIN");
    assert_eq!(rows(&mut a, "SELECT count(*) FROM t"), [["3"]]);
    assert_eq!(rows(&mut a, "SHOW transaction_isolation"), [["repeatable read"]]);
    for statement in ["UPDATE t SET n = 10 WHERE id = 1", "DELETE FROM t WHERE id = 2", "CREATE TABLE u (x INT)"] {
        run(&mut b, statement).expect(statement);
    }
    assert_eq!(rows(&mut a, "SELECT id, n FROM t ORDER BY id"), [["1", "1"], ["2", "2"], ["3", "3"]]);
    assert_eq!(state(&mut a, "SELECT * FROM u"), "42P01");
    run(&mut a, "ROLLBACK").expect("it ends");
    // Its own writes are on top, and those of rows that are as they were do not contradict anybody.
    run(&mut a, "BEGIN ISOLATION LEVEL REPEATABLE READ").expect("it begins");
    run(&mut a, "UPDATE t SET n = n + 1 WHERE id = 3").expect("the row is changed");
    run(&mut b, "UPDATE t SET n = n + 1 WHERE id = 1").expect("another row is changed");
    assert_eq!(rows(&mut a, "SELECT id, n FROM t ORDER BY id"), [["1", "10"], ["3", "4"]]);
    run(&mut a, "COMMIT").expect("nothing contradicts it");
    assert_eq!(rows(&mut b, "SELECT id, n FROM t ORDER BY id"), [["1", "11"], ["3", "4"]]);
}

#[test]
fn writes_at_repeatable_read_of_what_others_changed_conflict() {
    let sql = table();
    let (mut a, mut b) = (sql.session("a", "chronolith"), sql.session("b", "chronolith"));
    for write in [
        "UPDATE t SET n = n + 1 WHERE id = 1",
        "DELETE FROM t WHERE id = 1",
        "INSERT INTO t VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET n = t.n + 1",
    ] {
        run(&mut a, "BEGIN ISOLATION LEVEL REPEATABLE READ").expect("it begins");
        run(&mut a, "SELECT * FROM t").expect("it sees its moment");
        run(&mut b, "UPDATE t SET n = n + 100 WHERE id = 1").expect("the row is changed");
        let failed = run(&mut a, write).and_then(|_| run(&mut a, "COMMIT")).expect_err(write);
        assert_eq!(failed.state.as_str(), "40001", "{write}: {failed}");
        let _ = run(&mut a, "ROLLBACK");
    }
    assert_eq!(rows(&mut a, "SELECT n FROM t WHERE id = 1"), [["301"]]);
}

#[test]
fn a_level_is_chosen_before_anything_is_seen() {
    let sql = table();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ").expect("it is set");
    run(&mut session, "BEGIN").expect("it begins");
    assert_eq!(rows(&mut session, "SHOW transaction_isolation"), [["repeatable read"]]);
    run(&mut session, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED").expect("nothing is seen yet");
    run(&mut session, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").expect("nothing is seen yet");
    run(&mut session, "SELECT * FROM t").expect("it sees its moment");
    assert_eq!(state(&mut session, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"), "25001");
    run(&mut session, "ROLLBACK").expect("it ends");
    assert_eq!(rows(&mut session, "SHOW transaction_isolation"), [["read committed"]]);
    assert_eq!(state(&mut session, "BEGIN ISOLATION LEVEL SERIALIZABLE"), "0A000");
}

#[test]
fn rows_selected_for_update_must_stay_as_they_are() {
    let sql = table();
    let (mut a, mut b) = (sql.session("a", "chronolith"), sql.session("b", "chronolith"));
    for (other, fails) in [
        ("UPDATE t SET n = n + 100 WHERE id = 1", true),
        ("UPDATE t SET n = n + 100 WHERE id = 2", false),
        ("DELETE FROM t WHERE id = 1", true),
    ] {
        run(&mut a, "BEGIN").expect("it begins");
        let seen = run(&mut a, "SELECT * FROM t AS x WHERE id = 1 ORDER BY n LIMIT 1 FOR UPDATE").expect("it is seen");
        assert_eq!((seen.rows.len(), seen.rows[0].len()), (1, 2), "no row id is shown");
        run(&mut b, other).expect(other);
        run(&mut a, "INSERT INTO t VALUES (9, 9)").expect("a row is written");
        let committed = run(&mut a, "COMMIT").map(|_| ()).map_err(|e| e.state.as_str().to_owned());
        assert_eq!(committed, if fails { Err("40001".to_owned()) } else { Ok(()) }, "{other}");
        run(&mut b, "DELETE FROM t WHERE id = 9").expect("it is taken away");
    }
    // What writes nothing contradicts nobody, and a rollback to before lets go.
    run(&mut b, "INSERT INTO t VALUES (1, 1)").expect("the row is there again");
    for ends in [&["COMMIT"][..], &["ROLLBACK TO s", "INSERT INTO t VALUES (8, 8)", "COMMIT"]] {
        for statement in ["BEGIN", "SAVEPOINT s", "SELECT n FROM t WHERE id = 1 FOR SHARE NOWAIT"] {
            run(&mut a, statement).expect(statement);
        }
        run(&mut b, "UPDATE t SET n = n + 1 WHERE id = 1").expect("the row is changed");
        ends.iter().for_each(|statement| drop(run(&mut a, statement).expect(statement)));
    }
}

#[test]
fn what_cannot_be_locked_is_refused_by_name() {
    let sql = table();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "SELECT * FROM t FOR UPDATE").expect("alone it guards nothing");
    for (query, wanted) in [
        ("SELECT * FROM t FOR UPDATE SKIP LOCKED", "0A000"),
        ("SELECT * FROM t JOIN t AS u USING (id) FOR UPDATE", "0A000"),
        ("SELECT n, count(*) FROM t GROUP BY n FOR UPDATE", "0A000"),
        ("SELECT * FROM (SELECT 1) AS s FOR UPDATE", "0A000"),
        ("SELECT * FROM t FOR UPDATE OF u", "42P01"),
        ("SELECT * FROM nowhere FOR UPDATE", "42P01"),
    ] {
        run(&mut session, "BEGIN").expect("it begins");
        assert_eq!(state(&mut session, query), wanted, "{query}");
        run(&mut session, "ROLLBACK").expect("it ends");
    }
    run(&mut session, "BEGIN READ ONLY").expect("it begins");
    assert_eq!(state(&mut session, "SELECT * FROM t FOR UPDATE"), "25006");
}
