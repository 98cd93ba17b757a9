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

/// The same of one table by the key, and of another where only a query finds the row.
const CHANGES: &[&str] = &[
    "UPDATE t SET n = n + 1, v = upper(v) || '!' WHERE {id} = 7 RETURNING *",
    "UPDATE t SET v = DEFAULT, f = n WHERE ({id} = 8) AND n > 3 RETURNING v, f",
    "UPDATE t AS x SET n = CASE WHEN x.n > 10 THEN NULL ELSE x.n END WHERE x.id = 9 AND x.v IS NOT NULL",
    "UPDATE t SET n = '12', f = 3 WHERE {id} = 10 AND v = 'v10'",
    "UPDATE t SET n = 1 WHERE {id} = 10 AND v = 'other'",
    "UPDATE t SET n = 1 WHERE {id} = 10 AND {id} = 11",
    "UPDATE t SET n = 1 WHERE {id} = 12 OR v = 'v13'",
    "UPDATE t SET n = 1 WHERE NOT {id} = 12 AND v IN ('v14', 'v15')",
    "UPDATE t SET n = 1 WHERE {id} = 3000000000",
    "UPDATE t SET n = 1 WHERE {id} = 7.0",
    "UPDATE t SET n = 1 WHERE {id} = -7",
    "UPDATE t SET n = 1 WHERE {id} = NULL",
    "UPDATE t SET id = 1000 WHERE {id} = 16 RETURNING id, v",
    "UPDATE t SET id = 17 WHERE {id} = 18",
    "UPDATE t SET v = NULL WHERE {id} = 19",
    "UPDATE t SET n = n / 0 WHERE {id} = 20",
    "UPDATE t SET n = v WHERE {id} = 20",
    "UPDATE t SET n = nope WHERE {id} = 20",
    "UPDATE t SET nope = 1 WHERE {id} = 20",
    "UPDATE t SET n = nope(1) WHERE {id} = 4000",
    "UPDATE t SET n = sum(n) WHERE {id} = 20",
    "UPDATE t SET j = '{\"b\":   2}' WHERE {id} = 21 RETURNING j",
    "UPDATE t SET j = '{' WHERE {id} = 21",
    "UPDATE t SET n = (SELECT max(n) FROM t) WHERE {id} = 22 RETURNING n",
    "UPDATE t SET n = o.n FROM t AS o WHERE t.id = 23 AND o.id = 24 RETURNING t.n",
    "UPDATE t SET v = $q$it's$q$, n = coalesce(n, 0) - 5, f = round(f) WHERE {id} = 25 RETURNING v, n, f",
    "DELETE FROM t WHERE {id} = 26 RETURNING v, n + 1 AS m",
    "DELETE FROM t WHERE {id} = 26",
    "DELETE FROM t WHERE {id} = 27 AND n IS NULL",
    "DELETE FROM t WHERE {id} = 28 AND nope",
    "DELETE FROM t USING t AS o WHERE t.id = 29 AND o.id = 30",
    "BEGIN",
    "INSERT INTO t VALUES (60, 'own')",
    "UPDATE t SET n = 5 WHERE {id} = 60 RETURNING *",
    "UPDATE t SET n = n + 1 WHERE {id} = 60 RETURNING n",
    "DELETE FROM t WHERE {id} = 60 AND n = 6 RETURNING n",
    "UPDATE t SET n = n + 1 WHERE {id} = 60 RETURNING n",
    "COMMIT",
];

#[test]
fn changes_by_key_are_what_a_query_makes_of_them() {
    let (engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    let mut ask = |statement: &str| match run(&mut session, statement) {
        Ok(answer) => (answer.tag, answer.rows),
        Err(error) => (error.state.as_str().to_owned(), Vec::new()),
    };
    for table in ["a", "b"] {
        ask(&format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, v TEXT NOT NULL DEFAULT 'd', n BIGINT, f FLOAT8, j JSONB)"
        ));
        ask(&format!(
            "INSERT INTO {table} SELECT i, 'v' || i, i * 2, i / 4.0, '{{\"a\": [1]}}' FROM generate_series(1, 50) AS s(i)"
        ));
    }
    engine.flush().expect("it flushes");
    let of = |statement: &str, table: &str, id: &str| {
        let words = statement.replace("{id}", id).replace("x.id = ", &format!("{} = ", id.replace("id", "x.id")));
        let words: Vec<String> = words
            .split(' ')
            .map(|w| {
                if w == "t" || w == "t)" {
                    w.replace('t', table)
                } else {
                    w.replace("t.id", &format!("{table}.id")).replace("t.n", &format!("{table}.n"))
                }
            })
            .collect();
        words.join(" ")
    };
    for statement in CHANGES {
        if ["BEGIN", "COMMIT"].contains(statement) {
            ask(statement);
            continue;
        }
        let (by_key, by_query) = (of(statement, "a", "id"), of(statement, "b", "(id + 0)"));
        assert_eq!(ask(&by_key), ask(&by_query), "{by_key}; {by_query}");
        assert_eq!(ask("SELECT * FROM a ORDER BY id"), ask("SELECT * FROM b ORDER BY id"), "{by_key}");
    }
    assert_eq!(ask("SELECT count(*), count(n) FROM a").1, [["48", "47"]]);
}

#[test]
fn constants_among_values_are_what_a_query_makes_of_them() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    let mut ask = |statement: &str| match run(&mut session, statement) {
        Ok(answer) => (answer.tag, answer.rows),
        Err(error) => (error.state.as_str().to_owned(), Vec::new()),
    };
    for table in ["a", "b"] {
        ask(&format!(
            "CREATE TABLE {table} (id SERIAL PRIMARY KEY, at TIMESTAMPTZ, d DATE, n INT DEFAULT 7, v TEXT, f FLOAT8, j JSONB)"
        ));
    }
    // WITH makes a query of it.
    for values in [
        "(now(), '2026-01-02', 1, 'x', 1, NULL)",
        "(now(), current_date, 1 + 1, upper('y'), 0.5 * 3, '{\"a\":1}')",
        "(timestamptz '2026-01-01 00:00+00' + interval '1 day', date '2026-01-01', coalesce(NULL, 3), 'a' || 'b', -2.5, NULL)",
        "(NULL, NULL, 2147483647 + 1, '', 0, NULL)",
        "(NULL, NULL, 1 / 0, '', 0, NULL)",
        "(NULL, NULL, nope(), '', 0, NULL)",
        "(NULL, NULL, n, '', 0, NULL)",
        "(NULL, NULL, '12'::int, 5::text, '1e3'::float8, NULL)",
        "(NULL, '2026-13-01'::date, 1, '', 0, NULL)",
    ] {
        let columns = "(at, d, n, v, f, j)";
        let done = ask(&format!("INSERT INTO a {columns} VALUES {values}"));
        let planned =
            ask(&format!("WITH w AS (SELECT 1) INSERT INTO b {columns} SELECT * FROM (VALUES {values}) AS s"));
        assert_eq!(done, planned, "{values}");
        let all = "SELECT at IS NULL OR at > now() - interval '1 hour', d, n, v, f, j FROM";
        assert_eq!(ask(&format!("{all} a ORDER BY id")), ask(&format!("{all} b ORDER BY id")), "{values}");
    }
    assert_eq!(
        ask("INSERT INTO a (at, n) VALUES (now(), DEFAULT), (now(), 8) RETURNING n, at = now()").0,
        "INSERT 0 2"
    );
    assert_eq!(ask("SELECT count(DISTINCT at) FROM a WHERE n IN (7, 8)").1, [["1"]]);
}
