//! Settings in transactions, and the session's time zone in what statements compute.

use chronolith_sql::Session;

use crate::harness::{database, run};

fn exec(session: &mut Session, statement: &str) -> String {
    run(session, statement).unwrap_or_else(|e| panic!("{statement}: {e} {:?}", e.hint)).tag
}

fn one(session: &mut Session, query: &str) -> String {
    let mut rows = run(session, query).unwrap_or_else(|e| panic!("{query}: {e} {:?}", e.hint)).rows;
    rows.remove(0).join("|")
}

#[test]
fn settings_go_with_the_transaction_that_set_them() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    let name = |session: &mut Session| one(session, "SHOW application_name");
    let run_all = |session: &mut Session, statements: &[&str]| {
        for statement in statements {
            exec(session, statement);
        }
    };
    run_all(&mut session, &["SET application_name = 'one'", "BEGIN", "SET LOCAL application_name = 'two'"]);
    assert_eq!(name(&mut session), "two");
    exec(&mut session, "COMMIT");
    assert_eq!(name(&mut session), "one");
    run_all(&mut session, &["BEGIN", "SET application_name = 'two'", "SET my.own = 'x'", "ROLLBACK"]);
    assert_eq!(name(&mut session), "one");
    assert_eq!(run(&mut session, "SHOW my.own").expect_err("it is undone").state.as_str(), "42704");
    // What is set for the session outlives what is set for the transaction, in either order.
    run_all(&mut session, &["BEGIN", "SET application_name = 'two'", "SET LOCAL application_name = 'three'"]);
    assert_eq!(name(&mut session), "three");
    exec(&mut session, "COMMIT");
    assert_eq!(name(&mut session), "two");
    run_all(&mut session, &["BEGIN", "SET LOCAL application_name = 'three'", "RESET application_name", "COMMIT"]);
    assert_eq!(name(&mut session), "");
    // A transaction that failed is rolled back, whatever ends it.
    run_all(&mut session, &["BEGIN", "SET application_name = 'four'"]);
    run(&mut session, "SELECT nope").expect_err("there is no such column");
    assert_eq!(exec(&mut session, "COMMIT"), "ROLLBACK");
    assert_eq!(name(&mut session), "");
    run_all(&mut session, &["BEGIN", "SELECT set_config('application_name', 'five', true)"]);
    assert_eq!(name(&mut session), "five");
    run_all(&mut session, &["SAVEPOINT s", "SET application_name = 'six'", "ROLLBACK TO s"]);
    assert_eq!(name(&mut session), "five");
    run_all(&mut session, &["SET application_name = 'seven'", "RELEASE s", "COMMIT"]);
    assert_eq!(name(&mut session), "seven");
    assert_eq!(session.take_warnings(), []);
}

#[test]
fn set_local_outside_a_transaction_is_told_and_has_no_effect() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    assert_eq!(exec(&mut session, "SET LOCAL application_name = 'x'"), "SET");
    assert_eq!(one(&mut session, "SHOW application_name"), "");
    let warnings = session.take_warnings();
    assert_eq!((warnings.len(), warnings[0].state), (1, "25P01"));
    assert_eq!(run(&mut session, "SET LOCAL nope = 1").expect_err("there is none").state.as_str(), "42704");
    assert_eq!(one(&mut session, "SELECT set_config('application_name', 'x', true)"), "");
}

/// The values are PostgreSQL's.
#[test]
fn a_zone_counts_wherever_clocks_are_looked_at() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    exec(&mut session, "CREATE TABLE t (at TIMESTAMPTZ NOT NULL, clock TIMESTAMP, text TEXT)");
    let insert = "INSERT INTO t VALUES ('2026-03-28 23:30:00Z', '2026-03-29 00:30:00', '2026-03-29 12:00:00')";
    exec(&mut session, insert);
    exec(&mut session, "SET TIME ZONE 'Europe/Rome'");
    let cases = [
        ("date_trunc('day', at)", "2026-03-28T23:00:00Z"),
        ("date_trunc('century', at)", "2000-12-31T23:00:00Z"),
        ("extract(day FROM at), extract(hour FROM at), date_part('second', at)", "29|0|0.0"),
        ("extract(epoch FROM at) = extract(epoch FROM at AT TIME ZONE 'UTC')", "true"),
        ("extract(timezone FROM at), extract(timezone_hour FROM at)", "3600|1"),
        ("to_char(at, 'YYYY-MM-DD HH24:MI TZ OF')", "2026-03-29 00:30 CET +01"),
        ("at::date, at::timestamp, at::time", "2026-03-29|2026-03-29T00:30:00|00:30:00"),
        ("at::text", "2026-03-29 00:30:00+01"),
        ("clock::timestamptz, clock = at, at > DATE '2026-03-29'", "2026-03-28T23:30:00Z|true|true"),
        ("text::timestamptz, '2026-03-29 12:00'::timestamptz", "2026-03-29T10:00:00Z|2026-03-29T10:00:00Z"),
        // The night in which clocks go forward: a day is not 24 hours.
        ("at + INTERVAL '1 day', at + INTERVAL '24 hours'", "2026-03-29T22:30:00Z|2026-03-29T23:30:00Z"),
        ("INTERVAL '1 month 1 hour' + at, at - INTERVAL '1 day'", "2026-04-28T23:30:00Z|2026-03-27T23:30:00Z"),
        ("at + 1 * INTERVAL '1 day'", "2026-03-29T22:30:00Z"),
        ("'today'::timestamptz = date_trunc('day', now()), current_date = now()::date", "true|true"),
        // Buckets are of UTC, as TimescaleDB has them.
        ("time_bucket('1 day', at)", "2026-03-28T00:00:00Z"),
    ];
    for (exprs, expected) in cases {
        assert_eq!(one(&mut session, &format!("SELECT {exprs} FROM t")), expected, "{exprs}");
    }
    assert_eq!(one(&mut session, "SELECT count(*) FROM t WHERE at >= '2026-03-29' AND at < '2026-03-29 00:31'"), "1");
    assert_eq!(one(&mut session, "SELECT date_trunc('day', at), count(*) FROM t GROUP BY 1"), "2026-03-28T23:00:00Z|1");
    exec(&mut session, "INSERT INTO t VALUES (date_trunc('day', '2026-07-01 12:00Z'::timestamptz), NULL, NULL)");
    assert_eq!(one(&mut session, "SELECT max(at) FROM t"), "2026-06-30T22:00:00Z");
    exec(&mut session, "SET TIME ZONE 'utc'");
    assert_eq!(one(&mut session, "SELECT at::date FROM t WHERE clock IS NOT NULL"), "2026-03-28");
}

#[test]
fn zones_have_the_names_that_clients_send() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    for (given, shown) in [
        ("'europe/rome'", "Europe/Rome"),
        ("'Etc/UTC'", "UTC"),
        ("'GMT-02:00'", "+02:00"),
        ("'UTC+5:30'", "-05:30"),
        ("2", "+02:00"),
        ("-7", "-07:00"),
        ("'+05:30'", "-05:30"),
        ("INTERVAL '-08:00' HOUR TO MINUTE", "-08:00"),
    ] {
        exec(&mut session, &format!("SET TIME ZONE {given}"));
        assert_eq!(one(&mut session, "SHOW timezone"), shown, "{given}");
        exec(&mut session, "SELECT date_trunc('day', now()), now()::text, now()::date");
    }
    for nowhere in ["'Nowhere/Town'", "'GMT-99'", "99"] {
        let error = run(&mut session, &format!("SET TIME ZONE {nowhere}")).expect_err("there is no such zone");
        assert_eq!(error.state.as_str(), "22023", "{nowhere}");
    }
}

#[test]
fn rollups_are_of_utc_whoever_reads_them() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    exec(&mut session, "CREATE TABLE e (at TIMESTAMPTZ, n INT)");
    let daily = "CREATE MATERIALIZED VIEW daily WITH (continuous) AS \
                 SELECT date_trunc('day', at) AS day, sum(n) AS n FROM e GROUP BY 1";
    exec(&mut session, daily);
    let mut other = sql.session("a", "chronolith");
    exec(&mut other, "SET TimeZone = 'Asia/Tokyo'");
    let read = "SELECT day, n FROM daily ORDER BY day LIMIT 1";
    exec(
        &mut other,
        "INSERT INTO e VALUES ('2026-01-01 20:00:00Z', 1), ('2026-01-01 23:00:00Z', 2), ('2026-01-02 20:00:00Z', 4)",
    );
    assert_eq!(one(&mut other, read), "2026-01-01T00:00:00Z|3");
    exec(&mut other, "REFRESH MATERIALIZED VIEW daily");
    assert_eq!(one(&mut other, read), "2026-01-01T00:00:00Z|3");
    exec(&mut other, "DELETE FROM e WHERE n = 1");
    assert_eq!(one(&mut other, read), "2026-01-01T00:00:00Z|2");
    // What is asked of it is asked in the reader's zone.
    assert_eq!(one(&mut other, "SELECT to_char(day, 'HH24') FROM daily LIMIT 1"), "09");
    let refused = run(&mut other, &daily.replace("VIEW daily", "VIEW other")).expect_err("it is of another zone");
    assert_eq!(refused.state.as_str(), "0A000");
    assert!(refused.message.contains("Asia/Tokyo"), "{}", refused.message);
}
