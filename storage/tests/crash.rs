//! Crashes and faults at every I/O operation of a scripted run, under the simulated file system.
//!
//! Every batch has a label of its own, so that what a recovery shows can be told batch by batch: one that was confirmed
//! must be there whole, one that failed may be there whole or not at all, one that was deleted must be gone.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use chronolith_storage::{
    Labels, Matcher, Result, SampleBuffer, SeriesSource, StorageError, TimeRange,
    clock::VirtualClock,
    engine::{Engine, EngineOptions},
    vfs::{Fault, SimFs, Vfs},
};

const DAY: i64 = 24 * 60 * 60 * 1_000;
const SERIES: u64 = 4;
const SAMPLES: i64 = 3;
const SEEDS: u64 = 5;

fn options(fs: &SimFs) -> EngineOptions {
    EngineOptions {
        vfs: Arc::new(fs.clone()),
        dir: PathBuf::from("/data"),
        clock: Arc::new(VirtualClock::at(20 * DAY)),
        seed: 1,
        durability: chronolith_storage::engine::Durability::Sync,
        reserved_space: 0,
        background: false,
        ..EngineOptions::in_memory()
    }
}

/// One step of the script.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write(u64),
    Delete(u64),
    Flush,
    Merge,
    Compact,
    Clean,
    Backup,
    Reopen,
}

/// Every way through the engine that writes, in an order that makes them meet.
fn script() -> Vec<Step> {
    use Step::{Backup, Clean, Compact, Delete, Flush, Merge, Reopen, Write};
    vec![
        Write(0),
        Write(1),
        Flush,
        Write(2),
        Flush,
        Write(3),
        Flush,
        Write(4),
        Flush,
        Merge,
        Delete(1),
        Write(5),
        Reopen,
        Write(6),
        Clean,
        Backup,
        Write(7),
        Compact,
        Write(8),
        Delete(3),
        Reopen,
        Write(9),
        Compact,
        Write(10),
    ]
}

/// What must, may and must not be there.
#[derive(Debug, Default, Clone)]
struct Expected {
    there: BTreeSet<u64>,
    perhaps: BTreeSet<u64>,
}

impl Expected {
    fn note(&mut self, step: Step, succeeded: bool) {
        match (step, succeeded) {
            (Step::Write(batch), true) => {
                self.there.insert(batch);
            }
            (Step::Write(batch), false) => {
                self.perhaps.insert(batch);
            }
            (Step::Delete(batch), true) => {
                self.there.remove(&batch);
                self.perhaps.remove(&batch);
            }
            (Step::Delete(batch), false) if self.there.remove(&batch) => {
                self.perhaps.insert(batch);
            }
            _ => {}
        }
    }
}

fn timestamp(batch: u64, sample: i64) -> i64 {
    // Every other batch crosses the border of a day.
    20 * DAY - 1 + (batch as i64 % 2) * (sample - 1) * 10_000 - batch as i64 * 100_000
}

fn run_step(engine: &mut Option<Engine>, fs: &SimFs, step: Step) -> Result<()> {
    if matches!(step, Step::Reopen) || engine.is_none() {
        *engine = None;
        *engine = Some(Engine::open(options(fs))?);
    }
    let Some(engine) = engine else { return Ok(()) };
    match step {
        Step::Write(batch) => engine.append(|appender| {
            for series in 0..SERIES {
                let (batch_text, series_text) = (batch.to_string(), series.to_string());
                let labels = [("__name__", "m"), ("batch", batch_text.as_str()), ("series", series_text.as_str())];
                let id = appender.series(&labels, None)?;
                for sample in 0..SAMPLES {
                    let value = (batch * 100 + series * 10) as f64 + sample as f64;
                    let t = timestamp(batch, sample) + sample;
                    appender.float(id, t, value, 0).map_err(|e| StorageError::Invalid(e.to_string()))?;
                }
            }
            Ok(())
        }),
        Step::Delete(batch) => {
            engine.delete_series(&[Matcher::equal("batch", batch.to_string())], TimeRange::new(0, 21 * DAY))
        }
        Step::Flush => engine.flush(),
        Step::Merge => engine.merge(),
        Step::Compact => engine.compact(),
        Step::Clean => engine.clean_tombstones(),
        Step::Backup => engine.backup().map(|_| ()),
        Step::Reopen => Ok(()),
    }
}

/// The batches that show, each whole.
fn batches_shown(engine: &Engine, context: &str) -> BTreeSet<u64> {
    let snapshot = engine.snapshot();
    let set = snapshot.select(&[], TimeRange::ALL).unwrap_or_else(|e| panic!("{context}: {e}"));
    let mut shown: BTreeMap<u64, u64> = BTreeMap::new();
    for i in 0..set.len() {
        let labels: &Labels = set.labels(i);
        let batch: u64 = labels.get("batch").unwrap().parse().unwrap();
        let series: u64 = labels.get("series").unwrap().parse().unwrap();
        let mut buffer = SampleBuffer::default();
        set.read(i, TimeRange::ALL, &mut buffer).unwrap_or_else(|e| panic!("{context}: {e}"));
        if buffer.is_empty() {
            continue;
        }
        let mut want: Vec<(i64, f64)> =
            (0..SAMPLES).map(|s| (timestamp(batch, s) + s, (batch * 100 + series * 10) as f64 + s as f64)).collect();
        want.sort_by_key(|(t, _)| *t);
        let got: Vec<(i64, f64)> = buffer.timestamps.iter().copied().zip(buffer.values.iter().copied()).collect();
        assert_eq!(got, want, "{context}: batch {batch}, series {series}");
        *shown.entry(batch).or_default() += 1;
    }
    for (batch, series) in &shown {
        assert_eq!(*series, SERIES, "{context}: batch {batch} shows in part");
    }
    shown.into_keys().collect()
}

fn check(engine: &Engine, expected: &Expected, context: &str) {
    let shown = batches_shown(engine, context);
    for batch in &expected.there {
        assert!(shown.contains(batch), "{context}: batch {batch} was confirmed and is lost; shown: {shown:?}");
    }
    for batch in &shown {
        let known = expected.there.contains(batch) || expected.perhaps.contains(batch);
        assert!(known, "{context}: batch {batch} must not be there");
    }
}

/// Runs the script until a step fails; with `go_on` through all of it.
fn run_script(fs: &SimFs, go_on: bool) -> Expected {
    let mut expected = Expected::default();
    let mut engine = None;
    for step in script() {
        let result = run_step(&mut engine, fs, step);
        expected.note(step, result.is_ok());
        if result.is_err() {
            if !go_on {
                break;
            }
            if engine.is_none() {
                continue;
            }
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
    assert_eq!(expected.there.len(), 9, "the script runs through without faults");
    fs.operations()
}

/// Opens after a crash, checks, writes on, and checks again after another restart.
fn recover_and_check(fs: &SimFs, expected: &Expected, context: &str) {
    let engine = Engine::open(options(fs)).unwrap_or_else(|e| panic!("{context}: {e}"));
    check(&engine, expected, context);
    let mut engine = Some(engine);
    let mut expected = expected.clone();
    run_step(&mut engine, fs, Step::Write(99)).unwrap_or_else(|e| panic!("{context}: writing on: {e}"));
    expected.note(Step::Write(99), true);
    run_step(&mut engine, fs, Step::Compact).unwrap_or_else(|e| panic!("{context}: compacting: {e}"));
    drop(engine);
    let engine = Engine::open(options(fs)).unwrap_or_else(|e| panic!("{context}: opened again: {e}"));
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

#[test]
fn a_crash_during_recovery_is_recovered_from() {
    let operations = operations_of_script();
    let mut recoveries = 0;
    for at in (1..=operations).step_by(17) {
        let fs = SimFs::new(at);
        fs.crash_at(at);
        let expected = run_script(&fs, false);
        let mut inner = 1;
        loop {
            let again = fs.recover(at);
            again.crash_at(inner);
            let opened = Engine::open(options(&again));
            let crashed = again.crashed();
            drop(opened);
            if !crashed {
                break;
            }
            recover_and_check(&again.recover(inner), &expected, &format!("crash at {at}, then at {inner} of recovery"));
            recoveries += 1;
            inner += 3;
        }
    }
    assert!(recoveries > 50);
    println!("{recoveries} recoveries from crashes during recovery");
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

#[test]
fn a_full_disk_refuses_writes_and_goes_on_when_there_is_space() {
    let fs = SimFs::new(5);
    let mut engine = Some(Engine::open(options(&fs)).unwrap());
    run_step(&mut engine, &fs, Step::Write(0)).unwrap();
    let vfs: &dyn Vfs = &fs;
    let used = (1u64 << 40) - vfs.available_space(&PathBuf::from("/")).unwrap_or(0).min(1 << 40);
    fs.set_capacity(Some(used.max(1)));
    let mut expected = Expected::default();
    expected.note(Step::Write(0), true);
    let mut refused = 0;
    for batch in 1..40 {
        let result = run_step(&mut engine, &fs, Step::Write(batch));
        expected.note(Step::Write(batch), result.is_ok());
        if let Err(error) = result {
            assert!(matches!(error, StorageError::DiskFull { .. }), "{error}");
            refused += 1;
        }
    }
    assert!(refused > 0, "the disk was never full");
    assert!(!expected.there.contains(&39), "the last write was refused");
    fs.set_capacity(None);
    // The last one was refused; its sender sends it again. The log must define its series now, though it was asked to before.
    for batch in [39, 50] {
        run_step(&mut engine, &fs, Step::Write(batch)).unwrap();
        expected.note(Step::Write(batch), true);
    }
    recover_and_check(&fs.recover(1), &expected, "after a full disk");
}
