//! Random SELECTs over random rows must get the answers of a real PostgreSQL: rows, names of columns and their types.
//!
//! RANDOM_SQL says how many (400), RANDOM_SQL_SEED which (1), RANDOM_SQL_FROM at which to begin, to come back to one.
//! PostgreSQL's programs are looked for in PATH and in Debian's directories; without them the test says so and passes,
//! except where CHRONOLITH_POSTGRES=required. What the two do not mean alike is not generated; `grammar.rs` names it. Each
//! difference is made small and printed with its seed.
#![cfg(all(feature = "server", feature = "sql"))]
#![expect(clippy::unwrap_used, reason = "a test")]

mod aggregates;
mod answers;
#[expect(dead_code, reason = "queries of metrics use the rest")]
#[path = "../random_queries/dice.rs"]
mod dice;
mod grammar;
mod node;
mod peers;
mod values;
mod wire;

use answers::{Answer, difference};
use dice::Dice;
use grammar::Select;
use peers::Pair;

/// So many queries share their rows.
const PER_DATA: usize = 200;
/// So many differences are made small; the rest are counted.
const SHOWN: usize = 8;
/// So often a query is tried in a smaller form.
const TRIES: usize = 400;

#[test]
fn random_selects_get_the_answers_of_a_real_postgresql() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
    };
    let (seed, queries, first) =
        (number("RANDOM_SQL_SEED", 1), number("RANDOM_SQL", 400) as usize, number("RANDOM_SQL_FROM", 0) as usize);
    let mut pair = match Pair::start() {
        Ok(pair) => pair,
        Err(missing) => {
            let note = format!("random_sql: NOT RUN: {missing}");
            assert!(std::env::var("CHRONOLITH_POSTGRES").as_deref() != Ok("required"), "{note}");
            return say(&note);
        }
    };
    let mut report = Report::default();
    let mut rows_of = None;
    for at in first..first + queries {
        let part = at / PER_DATA;
        if rows_of != Some(part) {
            pair.load(&mut Dice::part(seed, part as u64));
            rows_of = Some(part);
        }
        let mut dice = Dice::part(seed ^ 0x5eed, at as u64);
        run(&mut pair, at, grammar::select(&mut dice), &mut report);
    }
    say(&format!("random_sql: seed {seed}: {report}"));
    assert!(report.differences == 0, "random_sql: seed {seed}: {report}");
}

fn say(note: &str) {
    eprintln!("{note}");
}

/// What came of all queries.
#[derive(Debug, Default)]
struct Report {
    queries: usize,
    differences: usize,
    failed: usize,
    empty: usize,
    rows: usize,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { queries, differences, failed, empty, rows } = self;
        write!(
            f,
            "{queries} queries, {differences} differ; {rows} rows, {empty} answers empty and {failed} failed on both sides"
        )
    }
}

fn run(pair: &mut Pair, number: usize, query: Select, report: &mut Report) {
    let text = query.text();
    let (ours, theirs) = pair.ask(&text);
    report.queries += 1;
    match &theirs {
        Answer::Rows { rows, .. } if rows.is_empty() => report.empty += 1,
        Answer::Rows { rows, .. } => report.rows += rows.len(),
        Answer::Failed { .. } => report.failed += 1,
    }
    let Some(what) = difference(&ours, &theirs, query.is_ordered()) else { return };
    report.differences += 1;
    if report.differences > SHOWN {
        return say(&format!("#{number} differs: {text}\n  {what}"));
    }
    let small = shrunk(pair, query);
    let (ours, theirs) = pair.ask(&small.text());
    let seen = difference(&ours, &theirs, small.is_ordered()).unwrap_or(what);
    say(&format!("#{number} differs: {text}\n  small: {}\n  {seen}", small.text()));
}

/// The smallest query that still differs, found by one step after the other.
fn shrunk(pair: &mut Pair, mut query: Select) -> Select {
    let mut left = TRIES;
    'again: while left > 0 {
        for smaller in query.smaller() {
            if left == 0 {
                break;
            }
            left -= 1;
            let (ours, theirs) = pair.ask(&smaller.text());
            // A query that PostgreSQL refuses as such says nothing.
            let valid = !matches!(&theirs, Answer::Failed { code } if code.starts_with("42"));
            if valid && difference(&ours, &theirs, smaller.is_ordered()).is_some() {
                query = smaller;
                continue 'again;
            }
        }
        break;
    }
    query
}
