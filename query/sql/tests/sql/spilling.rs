//! Queries that need more memory than they may have: on disk where that is allowed, refused where it is not.

use std::path::Path;

use chronolith_sql::SqlOptions;

use crate::harness::{run, with_options};

/// A group for every row: far more than the memory holds.
const GROUPS: &str = "SELECT count(*), sum(c), sum(k) FROM \
    (SELECT (value * 7919) % 1000003 AS k, count(*) AS c FROM generate_series(1, 1000002) AS s(value) GROUP BY 1) g";
const MEMORY: usize = 16 << 20;

/// How many files there are, in directories within too.
fn files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).expect("it can be read").map(|entry| entry.expect("it can be read").path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[test]
fn a_query_over_its_memory_is_answered_from_disk_and_leaves_nothing_there() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let spill_dir = Some(dir.path().join("spilled"));
    let options = SqlOptions { memory_bytes: MEMORY, spill_dir, threads: 2, ..SqlOptions::default() };
    let (_engine, sql) = with_options(options);
    let mut session = sql.session("a", "chronolith");
    // 7919 and 1000003 are primes, so each k from 1 on is there once.
    let answer = run(&mut session, GROUPS).expect("it is answered");
    assert_eq!(answer.rows, [["1000002", "1000002", "500002500003"]]);
    assert_eq!(files(dir.path()), 0);
}

#[test]
fn without_a_place_on_disk_it_is_refused() {
    let options = SqlOptions { memory_bytes: MEMORY, threads: 2, ..SqlOptions::default() };
    let (_engine, sql) = with_options(options);
    let mut session = sql.session("a", "chronolith");
    let error = run(&mut session, GROUPS).expect_err("there is no room");
    assert_eq!(error.state.as_str(), "53200");
    assert!(error.message.contains("memory") && error.hint.is_some(), "{error:?}");
    assert_eq!(run(&mut session, "SELECT 1").expect("the session goes on").rows, [["1"]]);
}
