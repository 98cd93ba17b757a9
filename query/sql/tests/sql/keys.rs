//! Rows found by their primary keys: in memory and in segments, by one column and by several, and after changes.

use crate::harness::{database, run};

#[test]
fn keys_find_rows_wherever_they_are() {
    let (engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    let mut ask = |statement: &str| run(&mut session, statement).expect(statement);
    ask("CREATE TABLE t (name TEXT, n INT, at TIMESTAMPTZ, v INT, PRIMARY KEY (name, n))");
    // Keys that come in no order, so that bounds of blocks tell nothing.
    ask("INSERT INTO t SELECT 'k' || (i * 7919 % 20000), i * 7919 % 20000, '2026-01-01'::timestamptz, i
         FROM generate_series(0, 19999) AS s(i)");
    for flushed in [false, true] {
        if flushed {
            engine.flush().expect("it flushes");
            let plan = ask("EXPLAIN SELECT v FROM t WHERE name = 'k7' AND n = 7").rows;
            assert!(plan.iter().any(|line| line[0].contains("index")), "{plan:?}");
        }
        assert_eq!(ask("SELECT v * 7919 % 20000 FROM t WHERE name = 'k7' AND n = 7").rows, [["7"]]);
        assert_eq!(
            ask("SELECT count(*) FROM t WHERE n IN (1, 2, 3, 4, 5) AND name IN ('k1', 'k5', 'k9')").rows,
            [["2"]]
        );
        assert_eq!(ask("SELECT count(*) FROM t WHERE (n = 1 OR n = 2) AND name = 'k2'").rows, [["1"]]);
        assert_eq!(ask("SELECT count(*) FROM t WHERE name = 'k7' AND n = 8").rows, [["0"]]);
        assert_eq!(ask("SELECT count(*) FROM t WHERE name = 'k7' AND n = 7 AND n = 8").rows, [["0"]]);
        assert_eq!(ask("SELECT count(*) FROM t WHERE name = 'k7' AND n = NULL").rows, [["0"]]);
        assert_eq!(ask("UPDATE t SET v = -v WHERE name = 'k11' AND n = 11").tag, "UPDATE 1");
        assert_eq!(
            ask("DELETE FROM t WHERE name = 'k12' AND n = 12").tag,
            if flushed { "DELETE 0" } else { "DELETE 1" }
        );
    }
    let upsert = "INSERT INTO t SELECT 'k' || i, i, '2026-01-02', -5 FROM generate_series(0, 19999, 100) AS s(i)
                  ON CONFLICT (name, n) DO UPDATE SET v = excluded.v, at = excluded.at";
    assert_eq!(ask(upsert).tag, "INSERT 0 200");
    assert_eq!(ask("SELECT count(*), count(DISTINCT n) FROM t").rows, [["19999", "19999"]]);
    assert_eq!(ask("SELECT count(*) FROM t WHERE v = -5 AND at = '2026-01-02'").rows, [["200"]]);
    assert_eq!(ask("SELECT v FROM t WHERE name = 'k300' AND n = 300").rows, [["-5"]]);
}

#[test]
fn rows_in_memory_are_found_by_their_keys_among_changes() {
    let (engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    let mut ask = |statement: &str| run(&mut session, statement).expect(statement);
    ask("CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT, n INT)");
    for part in 0..3 {
        ask(&format!(
            "INSERT INTO t SELECT i, 'text ' || i, i % 7 FROM generate_series({}, {}) AS s(i)",
            part * 9_000,
            part * 9_000 + 8_999
        ));
        if part == 0 {
            engine.flush().expect("it flushes");
        }
    }
    let plan = ask("EXPLAIN SELECT v FROM t WHERE id = 26000").rows;
    assert!(plan.iter().any(|line| line[0].contains("blocks=1 of")), "{plan:?}");
    // A key that comes and goes, in segments, in memory, and in the transaction itself.
    for key in [5, 8_999, 9_000, 20_000] {
        for (change, found) in [
            (format!("UPDATE t SET v = 'new' WHERE id = {key}"), "new"),
            (
                format!(
                    "INSERT INTO t VALUES ({key}, 'newer', 1) ON CONFLICT (id) DO UPDATE SET v = t.v || excluded.v"
                ),
                "newnewer",
            ),
            (format!("DELETE FROM t WHERE id = {key}"), ""),
            (format!("INSERT INTO t VALUES ({key}, 'again', 1)"), "again"),
        ] {
            ask(&change);
            let rows = ask(&format!("SELECT v FROM t WHERE id = {key}")).rows;
            assert_eq!(rows.first().map_or("", |row| row[0].as_str()), found, "{change}");
            ask("BEGIN");
            assert_eq!(
                ask(&format!("UPDATE t SET n = n + 1 WHERE id = {key} AND v = '{found}'")).tag,
                format!("UPDATE {}", rows.len())
            );
            assert_eq!(ask(&format!("SELECT v FROM t WHERE id = {key}")).rows, rows);
            ask("ROLLBACK");
        }
    }
    // Many deletions in the middle of blocks, with and without an index that finds the rows.
    ask("DELETE FROM t WHERE n = 3");
    assert_eq!(ask("SELECT count(*), count(v) FROM t WHERE n <> 3").rows, ask("SELECT count(*), count(v) FROM t").rows);
    assert_eq!(ask("SELECT count(*) FROM t WHERE id IN (3, 10, 17, 9007, 9008, 9009)").rows, [["3"]]);
    engine.flush().expect("it flushes");
    assert_eq!(ask("SELECT count(*) FROM t WHERE id IN (3, 10, 17, 9007, 9008, 9009)").rows, [["3"]]);
    assert_eq!(ask("SELECT v FROM t WHERE id = 20000").rows, [["again"]]);
}
