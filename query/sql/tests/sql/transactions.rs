//! Transactions: what other sessions see, what fails, what is tried again.

use chronolith_sql::{SqlEngine, TransactionStatus};

use crate::harness::{Answer, database, run};

fn rows(sql: &SqlEngine, query: &str) -> Vec<Vec<String>> {
    run(&mut sql.session("other", "chronolith"), query).expect("the query runs").rows
}

fn table() -> SqlEngine {
    let (_engine, sql) = database();
    run(&mut sql.session("a", "chronolith"), "CREATE TABLE t (id INT PRIMARY KEY, n INT)").expect("the table is made");
    sql
}

#[test]
fn writes_are_seen_by_others_after_commit_only() {
    let sql = table();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "BEGIN").expect("it begins");
    assert_eq!(session.transaction_status(), TransactionStatus::Open);
    run(&mut session, "INSERT INTO t VALUES (1, 1)").expect("a row is written");
    assert_eq!(run(&mut session, "SELECT count(*) FROM t").expect("it is seen").rows, [["1"]]);
    assert_eq!(rows(&sql, "SELECT count(*) FROM t"), [["0"]]);
    run(&mut session, "COMMIT").expect("it commits");
    assert_eq!(session.transaction_status(), TransactionStatus::Idle);
    assert_eq!(rows(&sql, "SELECT count(*) FROM t"), [["1"]]);
}

#[test]
fn a_rollback_leaves_no_trace_of_tables_either() {
    let sql = table();
    let mut session = sql.session("a", "chronolith");
    for statement in [
        "BEGIN",
        "INSERT INTO t VALUES (1, 1)",
        "CREATE TABLE u (x INT)",
        "CREATE VIEW v AS SELECT * FROM u",
        "INSERT INTO u VALUES (1)",
        "ROLLBACK",
    ] {
        run(&mut session, statement).expect(statement);
    }
    assert_eq!(rows(&sql, "SELECT count(*) FROM t"), [["0"]]);
    for gone in ["SELECT * FROM u", "SELECT * FROM v"] {
        assert_eq!(run(&mut session, gone).expect_err("it is gone").state.as_str(), "42P01");
    }
}

#[test]
fn a_failed_transaction_takes_nothing_but_its_end() {
    let sql = table();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "BEGIN").expect("it begins");
    run(&mut session, "INSERT INTO t VALUES (1, 1)").expect("a row is written");
    run(&mut session, "SELECT nope FROM t").expect_err("there is no such column");
    assert_eq!(session.transaction_status(), TransactionStatus::Failed);
    assert_eq!(run(&mut session, "SELECT 1").expect_err("it failed").state.as_str(), "25P02");
    assert_eq!(run(&mut session, "COMMIT").expect("it ends").tag, "ROLLBACK");
    assert_eq!(rows(&sql, "SELECT count(*) FROM t"), [["0"]]);
}

#[test]
fn an_error_while_rows_come_fails_the_transaction() {
    let sql = table();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "INSERT INTO t VALUES (1, 0)").expect("a row is written");
    run(&mut session, "BEGIN").expect("it begins");
    assert_eq!(run(&mut session, "SELECT 1 / n FROM t").expect_err("it divides by zero").state.as_str(), "22012");
    assert_eq!(session.transaction_status(), TransactionStatus::Failed);
}

#[test]
fn savepoints_take_back_what_came_after_them() {
    let sql = table();
    let mut session = sql.session("a", "chronolith");
    for statement in ["BEGIN", "INSERT INTO t VALUES (1, 1)", "SAVEPOINT a", "INSERT INTO t VALUES (2, 2)"] {
        run(&mut session, statement).expect(statement);
    }
    run(&mut session, "INSERT INTO t VALUES (1, 9)").expect_err("the key is there");
    run(&mut session, "ROLLBACK TO SAVEPOINT a").expect("it rolls back to the savepoint");
    assert_eq!(session.transaction_status(), TransactionStatus::Open);
    run(&mut session, "INSERT INTO t VALUES (3, 3)").expect("a row is written");
    run(&mut session, "RELEASE SAVEPOINT a").expect("it is released");
    let error = run(&mut session, "ROLLBACK TO SAVEPOINT a").expect_err("it is gone");
    assert_eq!(error.state.as_str(), "3B001");
    run(&mut session, "ROLLBACK").expect("it ends");
    assert_eq!(rows(&sql, "SELECT count(*) FROM t"), [["0"]]);
}

#[test]
fn two_that_change_one_row_conflict() {
    let sql = table();
    let (mut a, mut b) = (sql.session("a", "chronolith"), sql.session("b", "chronolith"));
    run(&mut a, "INSERT INTO t VALUES (1, 0)").expect("a row is written");
    for session in [&mut a, &mut b] {
        run(session, "BEGIN").expect("it begins");
        run(session, "UPDATE t SET n = n + 1 WHERE id = 1").expect("the row is changed");
    }
    run(&mut a, "COMMIT").expect("the first commits");
    assert_eq!(run(&mut b, "COMMIT").expect_err("the second conflicts").state.as_str(), "40001");
    assert_eq!(b.transaction_status(), TransactionStatus::Idle);
    assert_eq!(rows(&sql, "SELECT n FROM t"), [["1"]]);
}

#[test]
fn statements_of_their_own_are_tried_again() {
    let sql = table();
    run(&mut sql.session("a", "chronolith"), "INSERT INTO t VALUES (1, 0)").expect("a row is written");
    let (writers, each) = (4, 10);
    std::thread::scope(|threads| {
        for _ in 0..writers {
            threads.spawn(|| {
                let mut session = sql.session("a", "chronolith");
                for _ in 0..each {
                    // A conflict that lasts is told to the client, who tries again.
                    while let Err(error) = run(&mut session, "UPDATE t SET n = n + 1 WHERE id = 1") {
                        assert_eq!(error.state.as_str(), "40001", "{error}");
                    }
                }
            });
        }
    });
    assert_eq!(rows(&sql, "SELECT n FROM t"), [[(writers * each).to_string()]]);
}

#[test]
fn a_transaction_sees_what_others_committed_meanwhile() {
    let sql = table();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "BEGIN").expect("it begins");
    assert_eq!(run(&mut session, "SELECT count(*) FROM t").expect("it is empty").rows, [["0"]]);
    run(&mut sql.session("b", "chronolith"), "INSERT INTO t VALUES (1, 1)").expect("a row is written");
    assert_eq!(run(&mut session, "SELECT count(*) FROM t").expect("it is seen").rows, [["1"]]);
}

#[test]
fn read_only_transactions_refuse_to_write() {
    let sql = table();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "BEGIN READ ONLY").expect("it begins");
    assert_eq!(run(&mut session, "INSERT INTO t VALUES (1, 1)").expect_err("no").state.as_str(), "25006");
    run(&mut session, "ROLLBACK").expect("it ends");
    let error = run(&mut session, "BEGIN ISOLATION LEVEL SERIALIZABLE").expect_err("it is not there");
    assert_eq!(error.state.as_str(), "0A000");
}

#[test]
fn cursors_give_a_few_rows_at_a_time() {
    let sql = table();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "INSERT INTO t SELECT value, value FROM generate_series(1, 5) AS s(value)")
        .expect("rows are written");
    let error = run(&mut session, "DECLARE c CURSOR FOR SELECT id FROM t").expect_err("outside a transaction");
    assert_eq!(error.state.as_str(), "25P01");
    run(&mut session, "BEGIN").expect("it begins");
    run(&mut session, "DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id").expect("it is declared");
    let fetched = |answer: Answer| answer.rows.into_iter().map(|mut row| row.remove(0)).collect::<Vec<_>>();
    assert_eq!(fetched(run(&mut session, "FETCH 2 FROM c").expect("rows")), ["1", "2"]);
    assert_eq!(fetched(run(&mut session, "FETCH NEXT FROM c").expect("a row")), ["3"]);
    assert_eq!(fetched(run(&mut session, "FETCH ALL FROM c").expect("rows")), ["4", "5"]);
    assert!(fetched(run(&mut session, "FETCH 1 FROM c").expect("nothing")).is_empty());
    run(&mut session, "COMMIT").expect("it ends");
    assert_eq!(run(&mut session, "FETCH 1 FROM c").expect_err("it ended").state.as_str(), "34000");
}
