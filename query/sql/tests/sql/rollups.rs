//! Continuous rollups: what they answer against the query that they stand for, whatever happens to their source.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arrow::array::{ArrayRef, Int32Array, TimestampMicrosecondArray};
use chronolith_sql::{Session, SqlEngine, SqlOptions};
use chronolith_storage::{
    clock::VirtualClock,
    engine::{Engine, EngineOptions, OnConflict},
    rng::Rng,
    table::{Rows, TableDefinition},
    vfs::MemFs,
};

use crate::harness::{database, run};

const HOURLY: &str = "SELECT time_bucket('1 hour', ts) AS hour, user_id, count(*) AS messages, avg(length) AS length, \
                      sum(cost) AS cost, min(length) AS shortest, max(name) AS name, \
                      count(*) FILTER (WHERE length > 50) AS long, sum(length) / count(*) AS mean, \
                      bool_or(length > 90) AS huge, approx_distinct(name) AS names \
                      FROM events WHERE length >= 0 GROUP BY 1, 2";

fn opened(fs: &Arc<MemFs>, clock: &Arc<VirtualClock>) -> (Engine, SqlEngine) {
    let options = EngineOptions {
        vfs: Arc::clone(fs) as _,
        dir: PathBuf::from("/db"),
        clock: Arc::clone(clock) as _,
        background: false,
        ..EngineOptions::in_memory()
    };
    let engine = Engine::open(options).expect("the engine opens");
    let sql = SqlEngine::new(engine.clone(), SqlOptions { threads: 2, rollup_interval: None, ..SqlOptions::default() })
        .expect("SQL starts");
    (engine, sql)
}

fn exec(session: &mut Session, statement: &str) -> String {
    run(session, statement).unwrap_or_else(|e| panic!("{statement}: {e} {:?}", e.hint)).tag
}

fn rows(session: &mut Session, query: &str) -> Vec<Vec<String>> {
    run(session, query).unwrap_or_else(|e| panic!("{query}: {e}")).rows
}

fn refused(session: &mut Session, statement: &str) -> (String, String) {
    let error = run(session, statement).expect_err(statement);
    (error.state.as_str().to_owned(), error.message)
}

fn table(session: &mut Session) {
    exec(
        session,
        "CREATE TABLE events (id BIGINT PRIMARY KEY, ts TIMESTAMPTZ, user_id TEXT, name TEXT, length INT, \
         cost NUMERIC(12, 2)) WITH (time = 'ts')",
    );
}

fn same(session: &mut Session, direct: &str, what: &str) {
    let order = |query: &str| format!("SELECT * FROM ({query}) AS q ORDER BY 1 NULLS FIRST, 2");
    let wanted = rows(session, &order(direct));
    let got = rows(session, &order("SELECT * FROM hourly"));
    assert_eq!(got, wanted, "{what}");
}

/// Some new events, one in twenty without a time.
fn some_events(rng: &mut Rng, next: &mut u64) -> Vec<String> {
    let count = 1 + rng.below(30);
    let event = |_| {
        *next += 1;
        let minutes = rng.below(12 * 60);
        let ts = match rng.below(20) {
            0 => "NULL".to_owned(),
            _ => format!("'2023-11-14T00:00:00Z'::timestamptz + interval '{minutes} minutes'"),
        };
        let (user, name, length) = (rng.below(4), rng.below(9), rng.below(110));
        format!("({next}, {ts}, 'u{user}', 'n{name}', {length} - 5, {length}.25)")
    };
    (0..count).map(event).collect()
}

#[test]
fn any_history_answers_as_the_query_itself() {
    let (fs, clock) = (Arc::new(MemFs::default()), Arc::new(VirtualClock::at(1_700_000_000_000)));
    let (mut engine, mut sql) = opened(&fs, &clock);
    let mut session = sql.session("a", "chronolith");
    table(&mut session);
    exec(&mut session, &format!("CREATE MATERIALIZED VIEW hourly WITH (continuous) AS {HOURLY}"));
    let mut rng = Rng::new(11);
    let mut next = 0_u64;
    for step in 0..60 {
        let what = rng.below(12);
        match what {
            0..=4 => {
                let values = some_events(&mut rng, &mut next);
                exec(&mut session, &format!("INSERT INTO events VALUES {}", values.join(", ")));
            }
            5 => {
                exec(&mut session, &format!("DELETE FROM events WHERE id % 17 = {}", rng.below(17)));
            }
            6 => {
                let (minutes, part) = (rng.below(300), rng.below(23));
                exec(
                    &mut session,
                    &format!(
                        "UPDATE events SET ts = ts + interval '{minutes} minutes', length = length + 1 \
                         WHERE id % 23 = {part}"
                    ),
                );
            }
            7 => {
                let id = rng.below(next + 2);
                exec(
                    &mut session,
                    &format!(
                        "INSERT INTO events VALUES ({id}, '2023-11-14T05:30:00Z', 'u1', 'x', 7, 1) \
                         ON CONFLICT (id) DO UPDATE SET length = 99"
                    ),
                );
            }
            8 => {
                exec(&mut session, "BEGIN");
                exec(&mut session, &format!("DELETE FROM events WHERE id % 7 = {}", rng.below(7)));
                same(&mut session, HOURLY, "inside a transaction");
                let end = if rng.below(2) == 0 { "COMMIT" } else { "ROLLBACK" };
                exec(&mut session, end);
            }
            9 => engine.flush().expect("it flushes"),
            10 if rng.below(3) == 0 => {
                exec(&mut session, "TRUNCATE events");
            }
            10 => engine.compact().expect("it compacts"),
            _ => {
                drop(session);
                drop(sql);
                engine.close().expect("it closes");
                drop(engine);
                (engine, sql) = opened(&fs, &clock);
                session = sql.session("a", "chronolith");
            }
        }
        same(&mut session, HOURLY, &format!("after {what} at step {step}"));
        if rng.below(3) == 0 {
            exec(&mut session, "REFRESH MATERIALIZED VIEW hourly");
            same(&mut session, HOURLY, &format!("refreshed after {what} at step {step}"));
        }
    }
}

#[test]
fn many_states_of_a_group_become_one() {
    let (_engine, sql) = opened(&Arc::new(MemFs::default()), &Arc::new(VirtualClock::at(0)));
    let mut session = sql.session("a", "chronolith");
    table(&mut session);
    exec(&mut session, &format!("CREATE MATERIALIZED VIEW hourly WITH (continuous) AS {HOURLY}"));
    for round in 0..6 {
        exec(
            &mut session,
            &format!(
                "INSERT INTO events SELECT {round} * 10000 + i, to_timestamp(1699920000 + (i % 10) * 3600), 'u' || (i % 1000), 'n', i % 100, 1 FROM generate_series(1, 1000) t(i)"
            ),
        );
        exec(&mut session, "REFRESH MATERIALIZED VIEW hourly");
    }
    let stored = rows(&mut session, "SELECT count(*) FROM _rollup_hourly");
    assert_eq!(stored, [["2000"]], "5 rounds were put together, one came later");
    same(&mut session, HOURLY, "put together");
}

#[test]
fn it_tells_of_what_retention_has_dropped() {
    let clock = Arc::new(VirtualClock::at(1_700_000_000_000)); // 2023-11-14T22:13:20Z
    let (engine, sql) = opened(&Arc::new(MemFs::default()), &clock);
    let mut session = sql.session("a", "chronolith");
    exec(
        &mut session,
        "CREATE TABLE events (ts TIMESTAMPTZ, user_id TEXT, n INT) WITH (time = 'ts', retention = '1d')",
    );
    exec(
        &mut session,
        "CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous, retention = '2y') AS \
         SELECT date_trunc('hour', ts) AS hour, user_id, sum(n) AS n FROM events GROUP BY hour, user_id",
    );
    exec(&mut session, "INSERT INTO events VALUES ('2023-11-14T20:10:00Z', 'a', 1), ('2023-11-14T20:20:00Z', 'a', 2)");
    engine.flush().expect("it flushes");
    clock.advance(Duration::from_secs(3 * 86_400));
    exec(&mut session, "INSERT INTO events VALUES ('2023-11-17T22:00:00Z', 'a', 10)");
    engine.flush().expect("it flushes");
    // What is not in the rollup yet is kept, however old.
    engine.enforce_retention().expect("retention runs");
    assert_eq!(rows(&mut session, "SELECT count(*) FROM events"), [["3"]]);
    exec(&mut session, "REFRESH MATERIALIZED VIEW hourly");
    engine.enforce_retention().expect("retention runs");
    assert_eq!(rows(&mut session, "SELECT count(*) FROM events"), [["1"]]);
    let all = "SELECT n FROM hourly ORDER BY hour";
    assert_eq!(rows(&mut session, all), [["3"], ["10"]]);
    // A late event of a bucket that is gone is added; deleting it again no longer changes what was told.
    exec(&mut session, "INSERT INTO events VALUES ('2023-11-14T20:30:00Z', 'a', 100)");
    assert_eq!(rows(&mut session, all), [["103"], ["10"]]);
    exec(&mut session, "REFRESH MATERIALIZED VIEW hourly");
    exec(&mut session, "DELETE FROM events WHERE n = 100");
    assert_eq!(rows(&mut session, all), [["103"], ["10"]]);
    exec(&mut session, "DELETE FROM events WHERE n = 10");
    assert_eq!(rows(&mut session, all), [["103"]]);
    exec(&mut session, "REFRESH MATERIALIZED VIEW hourly");
    assert_eq!(rows(&mut session, all), [["103"]]);
}

#[test]
fn sketches_merge_to_longer_buckets() {
    let (_engine, sql) = opened(&Arc::new(MemFs::default()), &Arc::new(VirtualClock::at(0)));
    let mut session = sql.session("a", "chronolith");
    table(&mut session);
    exec(
        &mut session,
        "CREATE MATERIALIZED VIEW hourly (hour, users, lengths, spread, p90) WITH (continuous = true) AS \
         SELECT time_bucket('1 hour', e.ts), hll(e.user_id), percentile_agg(e.length), stddev(e.length), \
         approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY e.length) FROM events e GROUP BY 1",
    );
    for start in [0, 5_000] {
        exec(
            &mut session,
            &format!(
                "INSERT INTO events SELECT {start} + i, to_timestamp(1699920000 + (i % 24) * 3600), 'u' || (i % 700), 'n', i % 100, 1 FROM generate_series(1, 5000) t(i)"
            ),
        );
        exec(&mut session, "REFRESH MATERIALIZED VIEW public.hourly WITH DATA");
    }
    let days = rows(
        &mut session,
        "SELECT date_trunc('day', hour), hll_count(hll_merge(users)) BETWEEN 680 AND 720, \
         approx_percentile(0.5, percentile_merge(lengths)) BETWEEN 48 AND 51 FROM hourly GROUP BY 1",
    );
    assert_eq!(days, [["2023-11-14T00:00:00Z", "true", "true"]]);
    let spread = "SELECT bool_and(abs(h.spread - d.spread) < 1e-9), bool_and(abs(h.p90 - d.p90) <= 2) FROM hourly h JOIN \
                  (SELECT time_bucket('1 hour', ts) AS hour, stddev(length) AS spread, \
                  percentile_cont(0.9) WITHIN GROUP (ORDER BY length) AS p90 FROM events GROUP BY 1) d USING (hour)";
    assert_eq!(rows(&mut session, spread), [["true", "true"]]);
}

#[test]
fn it_is_a_relation_that_nobody_writes_to() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    table(&mut session);
    let create = format!("CREATE MATERIALIZED VIEW IF NOT EXISTS hourly WITH (continuous) AS {HOURLY} WITH DATA");
    assert_eq!(exec(&mut session, &create), "CREATE MATERIALIZED VIEW");
    exec(&mut session, &create);
    exec(&mut session, "CREATE VIEW busy AS SELECT * FROM hourly WHERE messages > 1");
    exec(&mut session, "INSERT INTO events VALUES (1, now(), 'u', 'n', 1, 1), (2, now(), 'u', 'n', 2, 1)");
    exec(&mut session, "COMMENT ON MATERIALIZED VIEW hourly IS 'by hour'");
    exec(&mut session, "ALTER MATERIALIZED VIEW hourly SET (retention = '2y')");
    let kinds =
        "SELECT relname, relkind FROM pg_class WHERE relname IN ('hourly', '_rollup_hourly', 'busy') ORDER BY 1";
    assert_eq!(rows(&mut session, kinds), [["busy", "v"], ["hourly", "m"]]);
    assert_eq!(rows(&mut session, "SELECT matviewname FROM pg_matviews"), [["hourly"]]);
    for (statement, state) in [
        ("INSERT INTO hourly VALUES (now())", "42809"),
        ("DELETE FROM hourly", "42809"),
        ("DELETE FROM _rollup_hourly", "42809"),
        ("DROP TABLE _rollup_hourly", "42809"),
        ("DROP VIEW hourly", "42809"),
        ("DROP MATERIALIZED VIEW busy", "42809"),
        ("DROP MATERIALIZED VIEW hourly", "2BP01"),
        ("DROP TABLE events", "2BP01"),
        ("ALTER TABLE events DROP COLUMN length", "2BP01"),
        ("ALTER TABLE events RENAME TO others", "2BP01"),
        ("REFRESH MATERIALIZED VIEW busy", "42809"),
        ("REFRESH MATERIALIZED VIEW nope", "42P01"),
        ("REFRESH MATERIALIZED VIEW hourly WITH NO DATA", "0A000"),
        ("CALL refresh_continuous_aggregate('hourly', '2023-01-01', NULL)", "0A000"),
        ("CREATE OR REPLACE VIEW hourly AS SELECT 1", "42809"),
    ] {
        assert_eq!(refused(&mut session, statement).0, state, "{statement}");
    }
    exec(&mut session, "BEGIN");
    assert_eq!(refused(&mut session, "REFRESH MATERIALIZED VIEW hourly").0, "25001");
    exec(&mut session, "ROLLBACK");
    assert_eq!(
        exec(&mut session, "CALL refresh_continuous_aggregate('hourly', NULL, NULL)"),
        "REFRESH MATERIALIZED VIEW"
    );
    exec(&mut session, "DROP MATERIALIZED VIEW hourly CASCADE");
    assert_eq!(refused(&mut session, "SELECT * FROM busy").0, "42P01");
    assert_eq!(refused(&mut session, "SELECT * FROM _rollup_hourly").0, "42P01");
    exec(&mut session, &create);
    exec(&mut session, "DROP TABLE events CASCADE");
    assert_eq!(refused(&mut session, "SELECT * FROM hourly").0, "42P01");
}

#[test]
fn what_cannot_be_kept_up_to_date_is_refused_by_name() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    table(&mut session);
    exec(&mut session, "CREATE TABLE users (id TEXT, born DATE)");
    exec(&mut session, "CREATE VIEW v AS SELECT * FROM events");
    let bucket = "time_bucket('1 hour', ts) AS h";
    for (query, named) in [
        (format!("SELECT {bucket}, count(DISTINCT name) FROM events GROUP BY 1"), "count(DISTINCT ...)"),
        (format!("SELECT {bucket}, median(length) FROM events GROUP BY 1"), "median"),
        (format!("SELECT {bucket}, array_agg(length) FROM events GROUP BY 1"), "array_agg"),
        (format!("SELECT {bucket}, count(*) FROM events JOIN users ON users.id = user_id GROUP BY 1"), "a join"),
        (format!("SELECT {bucket}, count(*) FROM events GROUP BY 1 HAVING count(*) > 1"), "HAVING"),
        (format!("SELECT {bucket}, count(*) FROM events GROUP BY 1 ORDER BY 1"), "ORDER BY"),
        (format!("SELECT {bucket}, count(*) FROM events GROUP BY 1 LIMIT 1"), "LIMIT"),
        (format!("SELECT DISTINCT {bucket}, count(*) FROM events GROUP BY 1"), "DISTINCT"),
        (format!("SELECT {bucket}, count(*) FROM events WHERE ts < now() GROUP BY 1"), "now()"),
        (format!("SELECT {bucket}, count(*) FROM events WHERE random() < 1 GROUP BY 1"), "random()"),
        (format!("SELECT {bucket}, count(*) FROM events WHERE id IN (SELECT 1) GROUP BY 1"), "a subquery"),
        (format!("SELECT {bucket}, sum(count(*)) OVER () FROM events GROUP BY 1"), "a window function"),
        (format!("SELECT {bucket}, count(*) FROM v GROUP BY 1"), "view"),
        ("SELECT user_id, count(*) FROM events GROUP BY 1".to_owned(), "without a bucket"),
        ("SELECT time_bucket('1 hour', ts) a, date_trunc('day', ts) b FROM events GROUP BY 1, 2".to_owned(), "second"),
        ("SELECT 1".to_owned(), "without a table"),
        ("VALUES (1)".to_owned(), "VALUES"),
    ] {
        let (state, message) =
            refused(&mut session, &format!("CREATE MATERIALIZED VIEW m WITH (continuous) AS {query}"));
        assert!(message.contains(named), "{query}: {message}");
        assert!(["0A000", "42809"].contains(&state.as_str()), "{query}: {state}");
    }
    for query in [
        "SELECT date_trunc('hour', nope) FROM events GROUP BY 1",
        "SELECT date_trunc('hour', ts), sum(nope) FROM events GROUP BY 1",
    ] {
        let (state, message) =
            refused(&mut session, &format!("CREATE MATERIALIZED VIEW m WITH (continuous) AS {query}"));
        assert!(state == "42703" && message.contains("nope"), "{message}");
    }
    let plain = refused(&mut session, "CREATE MATERIALIZED VIEW m AS SELECT 1");
    assert_eq!(plain.1, "CREATE MATERIALIZED VIEW without WITH (continuous) is not supported");
    assert!(rows(&mut session, "SELECT relname FROM pg_class WHERE relname LIKE '%rollup%'").is_empty());
}

#[test]
fn deletions_and_refreshes_at_the_same_time_miss_nothing() {
    let (_engine, sql) = opened(&Arc::new(MemFs::default()), &Arc::new(VirtualClock::at(0)));
    let (mut session, mut other) = (sql.session("a", "chronolith"), sql.session("b", "chronolith"));
    table(&mut session);
    let insert = |from: u64| {
        format!(
            "INSERT INTO events SELECT i, to_timestamp(1699920000 + i * 60), 'u', 'n', 1, 1 \
             FROM generate_series({from}, {from} + 99) t(i)"
        )
    };
    exec(&mut session, &insert(0));
    // It began before there was a rollup, so it is in no position to tell it.
    exec(&mut other, "BEGIN");
    exec(&mut other, "DELETE FROM events WHERE id = 1");
    exec(&mut session, &format!("CREATE MATERIALIZED VIEW hourly WITH (continuous) AS {HOURLY}"));
    assert_eq!(refused(&mut other, "COMMIT").0, "40001");
    // Rows that are deleted while they are taken into the rollup.
    for end in ["COMMIT", "ROLLBACK"] {
        exec(&mut session, &insert(if end == "COMMIT" { 100 } else { 200 }));
        exec(&mut other, "BEGIN");
        exec(&mut other, "DELETE FROM events WHERE id % 3 = 0");
        exec(&mut session, "REFRESH MATERIALIZED VIEW hourly");
        exec(&mut session, "DELETE FROM events WHERE id % 5 = 1 AND id % 3 <> 0");
        same(&mut other, HOURLY, "inside");
        exec(&mut other, end);
        same(&mut session, HOURLY, end);
        exec(&mut session, "REFRESH MATERIALIZED VIEW hourly");
        same(&mut session, HOURLY, "refreshed");
    }
    exec(&mut other, "BEGIN");
    exec(&mut other, "DELETE FROM events WHERE id = 7");
    exec(&mut session, "DROP MATERIALIZED VIEW hourly");
    assert_eq!(refused(&mut other, "COMMIT").0, "40001");
}

#[test]
fn documents_are_rolled_up_by_their_fields() {
    let (engine, sql) = opened(&Arc::new(MemFs::default()), &Arc::new(VirtualClock::at(0)));
    let mut session = sql.session("a", "chronolith");
    let mut transaction = engine.begin();
    transaction.create_table(TableDefinition::dynamic("logs")).expect("the table is made");
    transaction.commit().expect("it commits");
    exec(&mut session, "INSERT INTO logs (_time, level, size) VALUES ('2023-11-14T00:10:00Z', 'info', 7)");
    let hourly = |name: &str, sum: &str| {
        format!(
            "CREATE MATERIALIZED VIEW {name} WITH (continuous) AS SELECT date_bin('1 hour', _time) AS hour, level, \
             sum({sum}) AS size FROM logs WHERE level <> 'debug' GROUP BY 1, 2"
        )
    };
    exec(&mut session, &hourly("plain", "size"));
    exec(&mut session, &hourly("cast", "size::double precision"));
    exec(&mut session, "REFRESH MATERIALIZED VIEW plain");
    exec(&mut session, "REFRESH MATERIALIZED VIEW cast");
    exec(&mut session, "INSERT INTO logs (_time, level, size) VALUES ('2023-11-14T00:20:00Z', 'info', 2.5)");
    engine.flush().expect("it flushes");
    let told = "SELECT level, size FROM ";
    assert_eq!(rows(&mut session, &format!("{told} cast")), [["info", "9.5"]]);
    exec(&mut session, "REFRESH MATERIALIZED VIEW cast");
    assert_eq!(rows(&mut session, &format!("{told} cast")), [["info", "9.5"]]);
    let (state, message) = refused(&mut session, &format!("{told} plain"));
    assert_eq!(state, "55000");
    assert!(message.contains("field \"size\" of \"logs\" was Int64"), "{message}");
    assert_eq!(refused(&mut session, "REFRESH MATERIALIZED VIEW plain").0, "55000");
}

#[test]
fn nobody_has_to_ask_for_it() {
    let fs = Arc::new(MemFs::default());
    let (engine, sql) = opened(&fs, &Arc::new(VirtualClock::at(0)));
    let mut session = sql.session("a", "chronolith");
    table(&mut session);
    exec(&mut session, &format!("CREATE MATERIALIZED VIEW hourly WITH (continuous) AS {HOURLY}"));
    exec(&mut session, "INSERT INTO events VALUES (1, '2023-11-14T00:10:00Z', 'u', 'n', 1, 1)");
    let often = SqlOptions { rollup_interval: Some(Duration::from_millis(1)), ..SqlOptions::default() };
    let again = SqlEngine::new(engine, often).expect("SQL starts");
    let mut session = again.session("a", "chronolith");
    let stored = |session: &mut Session| rows(session, "SELECT count(*) FROM _rollup_hourly") == [["1"]];
    assert!((0..100_000).any(|_| stored(&mut session)), "the rollup was not refreshed");
    same(&mut session, HOURLY, "refreshed by itself");
}

#[test]
fn tables_whose_rows_are_replaced_below_have_none() {
    let (engine, sql) = opened(&Arc::new(MemFs::default()), &Arc::new(VirtualClock::at(0)));
    let mut session = sql.session("a", "chronolith");
    exec(&mut session, "CREATE TABLE positions (id INT PRIMARY KEY, at TIMESTAMPTZ NOT NULL)");
    let replace = |id: i32, ms: i64| {
        let view = engine.tables();
        let definition = &view.table("positions").expect("it is there").definition;
        let keys = definition.columns.iter().filter_map(|column| column.key());
        let ids: ArrayRef = Arc::new(Int32Array::from(vec![id]));
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![ms * 1_000]));
        let rows = Rows::new(1, keys.zip([ids, times]).collect()).expect("they are rows");
        let mut transaction = engine.begin();
        transaction.insert(definition.id, rows, OnConflict::Replace)?;
        transaction.commit()
    };
    let create = "CREATE MATERIALIZED VIEW hourly WITH (continuous) AS \
                  SELECT date_trunc('hour', at) AS hour, count(*) AS n FROM positions GROUP BY 1";
    // With a rollup, rows cannot be replaced: it would not be told.
    exec(&mut session, create);
    let error = replace(1, 1).expect_err("it is refused");
    assert!(error.to_string().contains("cannot be replaced while a materialized view"), "{error}");
    exec(&mut session, "DROP MATERIALIZED VIEW hourly");
    // Once they were, there can be no rollup, also when it began before.
    let mut other = sql.session("a", "chronolith");
    exec(&mut other, "BEGIN");
    exec(&mut other, create);
    replace(1, 1).expect("it is replaced");
    assert_eq!(refused(&mut other, "COMMIT").0, "40001");
    let (state, message) = refused(&mut session, create);
    assert_eq!(state, "0A000");
    assert!(message.contains("\"positions\", whose rows are replaced"), "{message}");
    // Statements may still write there, and it may go and come again.
    exec(&mut session, "UPDATE positions SET at = now()");
    exec(&mut session, "TRUNCATE positions");
    assert_eq!(refused(&mut session, create).0, "0A000");
    exec(&mut session, "DROP TABLE positions");
    exec(&mut session, "CREATE TABLE positions (id INT PRIMARY KEY, at TIMESTAMPTZ NOT NULL)");
    exec(&mut session, create);
}
