//! Crashes and faults at every I/O operation of a scripted run over tables.
//!
//! Every transaction writes rows of its own number, replaces one row that all of them share, and adds a row to another
//! table: it must show whole or not at all, and of the shared row there is one, that of the last one shown.

use std::{collections::BTreeSet, sync::Arc};

use chronolith_storage::{
    Result, StorageError,
    engine::{Engine, OnConflict},
    table::{TableDefinition, TablesView},
    vfs::{Fault, SimFs},
};
use roaring::RoaringTreemap;

use crate::world::{by_number, definition, options, rows};

const SEEDS: u64 = 3;
/// The number of the row that all transactions replace.
const SHARED: i64 = -1;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The tables are made by the first that finds none.
    Commit(i64),
    /// Deletes a row of an earlier commit.
    Delete(i64),
    /// Empties the other table.
    Truncate,
    /// Renames a column.
    Alter,
    Flush,
    Merge,
    Compact,
    Backup,
    Reopen,
}

fn script() -> Vec<Step> {
    use Step::{Alter, Backup, Commit, Compact, Delete, Flush, Merge, Reopen, Truncate};
    vec![
        Commit(0),
        Commit(1),
        Flush,
        Commit(2),
        Delete(0),
        Flush,
        Commit(3),
        Flush,
        Commit(4),
        Flush,
        Merge,
        Alter,
        Commit(5),
        Truncate,
        Commit(6),
        Reopen,
        Commit(7),
        Delete(5),
        Backup,
        Compact,
        Commit(8),
        Reopen,
        Delete(7),
        Compact,
        Commit(9),
    ]
}

/// What must and may be so.
#[derive(Debug, Default, Clone)]
struct Expected {
    there: BTreeSet<i64>,
    perhaps: BTreeSet<i64>,
    deleted: BTreeSet<i64>,
    perhaps_deleted: BTreeSet<i64>,
    /// Commits up to these may have lost their row in the other table; the first is sure.
    emptied: Vec<i64>,
    last: i64,
}

impl Expected {
    fn note(&mut self, step: Step, succeeded: bool) {
        match (step, succeeded) {
            (Step::Commit(n), true) => {
                self.there.insert(n);
                self.last = n;
            }
            (Step::Commit(n), false) => {
                self.perhaps.insert(n);
                self.last = n;
            }
            (Step::Delete(n), true) => {
                self.deleted.insert(n);
            }
            (Step::Delete(n), false) => {
                self.perhaps_deleted.insert(n);
            }
            (Step::Truncate, true) => self.emptied = vec![self.last],
            (Step::Truncate, false) => self.emptied.push(self.last),
            _ => {}
        }
    }
}

fn run_step(engine: &mut Option<Engine>, fs: &SimFs, step: Step) -> Result<()> {
    if matches!(step, Step::Reopen) || engine.is_none() {
        *engine = None;
        *engine = Some(Engine::open(options(Arc::new(fs.clone())))?);
    }
    let Some(engine) = engine else { return Ok(()) };
    match step {
        Step::Commit(n) => commit(engine, n),
        Step::Delete(n) => delete(engine, n),
        Step::Truncate => {
            let id = engine.tables().table("other").map(|t| t.definition.id);
            let id = id.ok_or_else(|| StorageError::UnknownTable("other".to_owned()))?;
            let mut t = engine.begin();
            t.truncate(id)?;
            t.commit()
        }
        Step::Alter => {
            let Some(table) = engine.tables().table("keyed").cloned() else { return Ok(()) };
            let mut changed = TableDefinition::clone(&table.definition);
            changed.columns[1].name = "renamed".to_owned();
            let mut t = engine.begin();
            t.alter_table(changed)?;
            t.commit()
        }
        Step::Flush => engine.flush(),
        Step::Merge => engine.merge(),
        Step::Compact => engine.compact(),
        Step::Backup => engine.backup().map(|_| ()),
        Step::Reopen => Ok(()),
    }
}

fn commit(engine: &Engine, n: i64) -> Result<()> {
    let mut t = engine.begin();
    let id = |view: &TablesView, name: &str| view.table(name).map(|table| table.definition.id);
    let view = t.tables();
    let (keyed, other) = match (id(&view, "keyed"), id(&view, "other")) {
        (Some(keyed), Some(other)) => (keyed, other),
        _ => (t.create_table(definition("keyed", true))?.id, t.create_table(definition("other", false))?.id),
    };
    let text = format!("row of commit {n}");
    let own = [(n * 10, text.clone()), (n * 10 + 1, text.clone()), (n * 10 + 2, text.clone())];
    t.insert(keyed, rows(&own), OnConflict::Refuse)?;
    t.insert(keyed, rows(&[(SHARED, n.to_string())]), OnConflict::Replace)?;
    t.insert(other, rows(&[(n, text)]), OnConflict::Refuse)?;
    t.commit()
}

fn delete(engine: &Engine, n: i64) -> Result<()> {
    let mut t = engine.begin();
    let id = t.tables().table("keyed").map(|table| table.definition.id);
    let id = id.ok_or_else(|| StorageError::UnknownTable("keyed".to_owned()))?;
    let found = t.find_by_key(id, &rows(&[(n * 10 + 1, String::new())]))?;
    // A commit that failed does not show yet, and may after a restart.
    let row = found[0].ok_or_else(|| StorageError::Invalid("there is no such row".to_owned()))?;
    t.delete(id, &RoaringTreemap::from_iter([row]))?;
    t.commit()
}

fn check(engine: &Engine, expected: &Expected, context: &str) {
    let view = engine.tables();
    let Some(keyed) = view.table("keyed") else {
        assert!(expected.there.is_empty(), "{context}: the table is lost");
        return;
    };
    let shown = by_number(keyed, context);
    let commits: BTreeSet<i64> = shown.keys().filter(|n| **n >= 0).map(|n| n / 10).collect();
    for n in &expected.there {
        assert!(commits.contains(n), "{context}: commit {n} was confirmed and is lost; shown: {commits:?}");
    }
    for n in &commits {
        assert!(expected.there.contains(n) || expected.perhaps.contains(n), "{context}: commit {n} must not be there");
        let text = format!("row of commit {n}");
        for row in [n * 10, n * 10 + 2] {
            let held = shown.get(&row).map(|row| row.0.as_str());
            assert_eq!(held, Some(text.as_str()), "{context}: commit {n} shows in part");
        }
        let is_deleted = !shown.contains_key(&(n * 10 + 1));
        assert!(is_deleted || !expected.deleted.contains(n), "{context}: a row of commit {n} is back");
        let may_be = expected.deleted.contains(n) || expected.perhaps_deleted.contains(n);
        assert!(!is_deleted || may_be, "{context}: a row of commit {n} is gone");
    }
    let shared = shown.get(&SHARED).map(|row| row.0.clone());
    assert_eq!(shared, commits.last().map(i64::to_string), "{context}: the shared row");
    let other: BTreeSet<i64> = by_number(view.table("other").unwrap(), context).into_keys().collect();
    let fits = |emptied: i64| other == commits.iter().copied().filter(|n| *n > emptied).collect();
    let never = expected.emptied.first().is_none_or(|_| !expected.there.is_empty());
    let sure = expected.emptied.clone();
    assert!(
        sure.iter().any(|n| fits(*n)) || (never && fits(-1)),
        "{context}: {other:?} of {commits:?}, emptied {sure:?}"
    );
}

/// Runs the script until a step fails; with `go_on` through all of it.
fn run_script(fs: &SimFs, go_on: bool) -> Expected {
    let mut expected = Expected { last: -1, ..Expected::default() };
    let mut engine = None;
    for step in script() {
        let result = run_step(&mut engine, fs, step);
        expected.note(step, result.is_ok());
        if result.is_err() && !go_on {
            break;
        }
    }
    if go_on && let Some(engine) = &engine {
        // What is visible while the process lives is held to the same rule, once the disk can be read again.
        fs.clear_fault();
        check(engine, &expected, "before the restart");
    }
    expected
}

fn operations_of_script() -> u64 {
    let fs = SimFs::new(0);
    let expected = run_script(&fs, false);
    assert_eq!((expected.there.len(), expected.perhaps.len()), (10, 0), "the script runs through without faults");
    fs.operations()
}

/// Opens after a crash, checks, writes on, and checks again after another restart.
fn recover_and_check(fs: &SimFs, expected: &Expected, context: &str) {
    let engine = Engine::open(options(Arc::new(fs.clone()))).unwrap_or_else(|e| panic!("{context}: {e}"));
    check(&engine, expected, context);
    let mut engine = Some(engine);
    let mut expected = expected.clone();
    for step in [Step::Commit(99), Step::Compact] {
        run_step(&mut engine, fs, step).unwrap_or_else(|e| panic!("{context}: {step:?}: {e}"));
        expected.note(step, true);
    }
    check(engine.as_ref().unwrap(), &expected, context);
    drop(engine);
    let engine = Engine::open(options(Arc::new(fs.clone()))).unwrap_or_else(|e| panic!("{context}: opened again: {e}"));
    check(&engine, &expected, context);
}

#[test]
fn a_crash_at_any_operation_loses_nothing_confirmed() {
    let operations = operations_of_script();
    let mut recoveries = 0;
    for at in 1..=operations {
        for seed in 0..SEEDS {
            let fs = SimFs::new(seed);
            fs.crash_at(at);
            let expected = run_script(&fs, false);
            recover_and_check(&fs.recover(seed * 7_919 + at), &expected, &format!("crash at {at}, seed {seed}"));
            recoveries += 1;
        }
    }
    println!("{recoveries} recoveries from crashes at each of {operations} operations");
}

/// Injects every kind of fault at every operation, and tells how many runs that made.
fn faults(sticky: bool) -> String {
    let operations = operations_of_script();
    let mut runs = 0;
    for fault in Fault::ALL {
        for at in 1..=operations {
            let fs = SimFs::new(at);
            fs.inject(at, fault, sticky);
            let expected = run_script(&fs, true);
            if !fs.fired() {
                break; // no later operation is of the kind that this fault fits
            }
            fs.clear_fault();
            let context = format!("{fault:?} at {at}, sticky {sticky}");
            recover_and_check(&fs.recover(at), &expected, &context);
            runs += 1;
        }
    }
    format!("{runs} runs with a fault at each of {operations} operations, sticky {sticky}")
}

#[test]
fn a_fault_at_any_operation_is_an_error_and_loses_nothing_confirmed() {
    println!("{}", faults(false));
}

#[test]
fn a_fault_that_lasts_is_an_error_and_loses_nothing_confirmed() {
    println!("{}", faults(true));
}
