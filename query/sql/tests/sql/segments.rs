//! Tables in segments: the same answers as before the flush and after merges, and blocks that are never read.

use chronolith_sql::{Session, SqlEngine, SqlOptions};
use chronolith_storage::engine::{Engine, EngineOptions};

use crate::harness::run;

/// What is asked again and again.
const QUESTIONS: &[&str] = &[
    "SELECT count(*), count(price), min(n), max(n), min(at), max(at), sum(n) FROM events",
    "SELECT kind, count(*), avg(price), count(DISTINCT n % 100) FROM events GROUP BY kind ORDER BY kind",
    "SELECT * FROM events WHERE id = 'id-12345'",
    "SELECT n, id FROM events WHERE n BETWEEN 16380 AND 16390 ORDER BY n",
    "SELECT id, at FROM events ORDER BY at DESC, n DESC LIMIT 7",
    "SELECT count(*) FROM events WHERE message LIKE '%needle%'",
    "SELECT count(*), sum(n) FROM events WHERE price IS NULL AND kind = 'view'",
    "SELECT n % 7 AS r, max(id) FROM events WHERE at >= '2024-01-01 05:00:00+00' GROUP BY 1 ORDER BY 1",
];

/// An engine whose flushes and merges are called by the test.
fn database() -> (Engine, SqlEngine) {
    let options = EngineOptions { background: false, ..EngineOptions::in_memory() };
    let engine = Engine::open(options).expect("an engine in memory opens");
    let sql = SqlEngine::new(engine.clone(), SqlOptions { threads: 2, ..SqlOptions::default() }).expect("SQL starts");
    (engine, sql)
}

fn done(session: &mut Session, statement: &str) {
    run(session, statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
}

fn answers(session: &mut Session) -> Vec<Vec<Vec<String>>> {
    let ask = |question: &&str| run(session, question).unwrap_or_else(|e| panic!("{question}: {e}")).rows;
    QUESTIONS.iter().map(ask).collect()
}

/// Rows of these numbers, one after another in time.
fn insert(session: &mut Session, from: u32, to: u32) {
    done(
        session,
        &format!(
            "INSERT INTO events SELECT 'id-' || v, to_timestamp(1704067200 + v), v, \
             CASE WHEN v % 3 = 0 THEN 'view' ELSE 'click' END, CASE WHEN v % 5 <> 0 THEN v / 4.0 END, \
             CASE WHEN v = 20000 THEN 'a needle in it' ELSE 'message ' || v % 50 END \
             FROM generate_series({from}, {to}) AS s(v) ORDER BY v"
        ),
    );
}

fn table(session: &mut Session) {
    let columns = "id TEXT, at TIMESTAMPTZ, n BIGINT, kind TEXT, price DOUBLE PRECISION, message TEXT";
    done(session, &format!("CREATE TABLE events ({columns})"));
}

/// A statement's plan as one text.
fn plan(session: &mut Session, statement: &str) -> String {
    let rows = run(session, &format!("EXPLAIN {statement}")).expect("it is planned").rows;
    rows.concat().join("\n")
}

/// The `x` and `y` of `blocks=x of y`.
fn blocks(plan: &str) -> (usize, usize) {
    let told = plan.split_once("blocks=").map(|(_, rest)| rest).unwrap_or_else(|| panic!("no blocks in {plan}"));
    let mut words = told.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let read = words.next().and_then(|n| n.parse().ok()).expect("a number");
    let of = words.nth(1).and_then(|n| n.parse().ok()).expect("a number");
    (read, of)
}

#[test]
fn answers_stay_the_same_through_flushes_deletions_and_merges() {
    let (engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    table(&mut session);
    for part in 0..4 {
        insert(&mut session, part * 10_000 + 1, (part + 1) * 10_000);
        let before = answers(&mut session);
        engine.flush().expect("it is flushed");
        assert_eq!(answers(&mut session), before, "after flush {part}");
    }
    done(&mut session, "DELETE FROM events WHERE n % 11 = 0");
    done(&mut session, "UPDATE events SET price = -1, kind = 'changed' WHERE n BETWEEN 9990 AND 10010");
    let before = answers(&mut session);
    let deleted = before[0][0][0].parse::<u64>().expect("a number");
    assert_eq!(deleted, 40_000 - 40_000 / 11);
    engine.flush().expect("it is flushed");
    assert_eq!(answers(&mut session), before, "after the flush of deletions");
    engine.merge().expect("it is merged");
    assert_eq!(answers(&mut session), before, "after a merge");
    engine.compact().expect("it is compacted");
    assert_eq!(answers(&mut session), before, "after all was merged");
}

#[test]
fn blocks_that_cannot_hold_an_answer_are_not_read() {
    let (engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    table(&mut session);
    for part in 0..2 {
        insert(&mut session, part * 20_000 + 1, (part + 1) * 20_000);
        engine.flush().expect("it is flushed");
    }
    let whole = plan(&mut session, "SELECT sum(price) FROM events");
    let (read, of) = blocks(&whole);
    assert!(read == of && of >= 6, "{whole}");
    for filter in ["n = 15000", "n BETWEEN 10 AND 20", "at < '2024-01-01 00:01:00+00'"] {
        let pruned = plan(&mut session, &format!("SELECT sum(price) FROM events WHERE {filter}"));
        assert_eq!(blocks(&pruned), (1, of), "{pruned}");
    }
    let none = plan(&mut session, "SELECT sum(price) FROM events WHERE n > 1000000");
    assert!(!none.contains("blocks=") || blocks(&none).0 == 0, "{none}");
    let by_id = plan(&mut session, "SELECT n FROM events WHERE id = 'id-12345'");
    assert!(by_id.contains(", index"), "{by_id}");
    assert_eq!(run(&mut session, "SELECT n FROM events WHERE id = 'id-12345'").expect("it runs").rows, [["12345"]]);
}

#[test]
fn counts_and_bounds_come_from_footers() {
    let (engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    table(&mut session);
    insert(&mut session, 1, 20_000);
    engine.flush().expect("it is flushed");
    for (asked, want) in
        [("count(*)", &["20000"][..]), ("count(price)", &["16000"]), ("min(n), max(n)", &["1", "20000"])]
    {
        let statement = format!("SELECT {asked} FROM events");
        let told = plan(&mut session, &statement);
        assert!(!told.contains("blocks="), "{told}");
        assert_eq!(run(&mut session, &statement).expect("it runs").rows, [want]);
    }
    // A filter makes it read.
    assert!(plan(&mut session, "SELECT count(*) FROM events WHERE price > 3").contains("blocks="));
}

/// In each part of a union a key may be constant, and still it orders the rows of all.
#[test]
fn first_rows_are_sought_by_the_whole_order() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    table(&mut session);
    insert(&mut session, 1, 10);
    let told = plan(
        &mut session,
        "SELECT 2 AS part, n FROM events UNION ALL SELECT 1, n FROM events ORDER BY n, part LIMIT 3",
    );
    let (_, sort) = told.split_once("TopK(fetch=3)").unwrap_or_else(|| panic!("{told}"));
    let keys = sort.split_once(']').map(|(keys, _)| keys).unwrap_or_default();
    assert!(keys.contains("n@1") && keys.contains("part@0"), "{told}");
}
