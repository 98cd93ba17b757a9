//! The engine against a plain model: random writes in any order, deletions, flushes, merges and restarts.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
};

use chronolith_storage::{
    Buckets, Exemplar, Histogram, Labels, MatchOp, Matcher, MetricKind, MetricMetadata, ResetHint, SampleBuffer,
    SeriesSource, StorageError, TimeRange,
    clock::VirtualClock,
    engine::{Engine, EngineOptions, SampleRejection, Snapshot},
    model::labels::MAX_LABELS_BYTES,
    rng::Rng,
    vfs::{MemFs, Vfs},
};

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// What a sample's value is, told apart to the bit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Float(u64),
    Histogram(u64),
}

type Model = BTreeMap<Labels, BTreeMap<i64, Value>>;

fn options(vfs: &Arc<dyn Vfs>, clock: &Arc<VirtualClock>) -> EngineOptions {
    EngineOptions {
        vfs: Arc::clone(vfs),
        dir: PathBuf::from("/data"),
        clock: Arc::clone(clock) as _,
        seed: 1,
        reserved_space: 0,
        background: false,
        ..EngineOptions::in_memory()
    }
}

fn histogram(sum: f64) -> Histogram {
    Histogram {
        schema: 3,
        zero_threshold: 0.001,
        sum,
        reset_hint: ResetHint::Unknown,
        positive_spans: vec![chronolith_storage::Span { offset: 1, length: 2 }],
        negative_spans: vec![],
        custom_values: vec![],
        buckets: Buckets::Integer { count: 5, zero_count: 1, positive: vec![1, 2], negative: vec![] },
    }
}

fn dump(snapshot: &Snapshot, matchers: &[Matcher], range: TimeRange) -> Model {
    let mut model = Model::new();
    let set = snapshot.select(matchers, range).unwrap();
    let mut last: Option<Labels> = None;
    for i in 0..set.len() {
        let labels = set.labels(i).clone();
        assert!(last.as_ref().is_none_or(|l| *l < labels), "sorted and unique");
        let mut buffer = SampleBuffer::default();
        set.read(i, range, &mut buffer).unwrap();
        assert!(buffer.timestamps.is_sorted_by(|a, b| a < b));
        let mut samples = BTreeMap::new();
        for (t, v) in buffer.timestamps.iter().zip(&buffer.values) {
            samples.insert(*t, Value::Float(v.to_bits()));
        }
        for h in &buffer.histograms {
            assert!(samples.insert(h.timestamp, Value::Histogram(h.histogram.sum.to_bits())).is_none());
        }
        if !samples.is_empty() {
            model.insert(labels.clone(), samples);
        }
        last = Some(labels);
    }
    model
}

fn labels_of(series: u64) -> Labels {
    let name = if series.is_multiple_of(2) { "requests" } else { "errors" };
    Labels::from_pairs([("__name__", name), ("job", &format!("j{}", series % 3)), ("n", &series.to_string())])
}

fn write(engine: &Engine, samples: &[(u64, i64, Value)]) {
    engine
        .append(|appender| {
            for (series, t, value) in samples {
                let labels = labels_of(*series);
                let pairs: Vec<_> = labels.iter().collect();
                let id = appender.series(&pairs, None)?;
                match value {
                    Value::Float(bits) => appender.float(id, *t, f64::from_bits(*bits), 0).unwrap(),
                    Value::Histogram(bits) => appender.histogram(id, *t, histogram(f64::from_bits(*bits)), 0).unwrap(),
                }
            }
            Ok(())
        })
        .unwrap();
}

/// A batch of one kind: within one request a histogram counts over a float at the same timestamp, whatever their order.
fn random_batch(rng: &mut Rng, now: i64) -> Vec<(u64, i64, Value)> {
    let histograms = rng.below(6) == 0;
    (0..1 + rng.below(30))
        .map(|_| {
            let back = if rng.below(5) == 0 { rng.below(3 * DAY as u64) as i64 } else { rng.below(60_000) as i64 };
            let bits = (rng.below(5) as f64).to_bits();
            let value = if histograms { Value::Histogram(bits) } else { Value::Float(bits) };
            (rng.below(12), (now - back) / 1_000 * 1_000, value)
        })
        .collect()
}

fn random_matchers(rng: &mut Rng) -> Vec<Matcher> {
    let all = [
        ("__name__", MatchOp::Equal, "requests"),
        ("job", MatchOp::Regex, "j0|j1"),
        ("job", MatchOp::NotEqual, "j1"),
        ("n", MatchOp::NotRegex, "1.*"),
    ];
    (0..rng.below(3)).map(|_| all[rng.below(4) as usize]).map(|(n, o, v)| Matcher::new(n, o, v).unwrap()).collect()
}

/// Equal, or the first difference and nothing else of a long answer.
fn assert_same(got: &Model, want: &Model, seed: u64) {
    for labels in got.keys().chain(want.keys()) {
        let (got, want) = (got.get(labels), want.get(labels));
        let (Some(got), Some(want)) = (got, want) else { panic!("seed {seed}: {labels}: {got:?} is not {want:?}") };
        for t in got.keys().chain(want.keys()) {
            assert_eq!(got.get(t), want.get(t), "seed {seed}: {labels} at {t}");
        }
    }
}

fn restrict(model: &Model, matchers: &[Matcher], range: TimeRange) -> Model {
    let fits = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")));
    let series = model.iter().filter(|(labels, _)| fits(labels));
    series
        .map(|(labels, samples)| {
            let inside = samples.range(range.start..=range.end).map(|(t, v)| (*t, *v)).collect();
            (labels.clone(), inside)
        })
        .filter(|(_, samples): &(_, BTreeMap<i64, Value>)| !samples.is_empty())
        .collect()
}

fn delete(engine: &Engine, model: &mut Model, rng: &mut Rng, now: i64) {
    let mut matchers = random_matchers(rng);
    matchers.push(Matcher::equal("n", rng.below(12).to_string()));
    let range = TimeRange::new(now - rng.below(2 * DAY as u64) as i64, now);
    engine.delete_series(&matchers, range).unwrap();
    for labels in restrict(model, &matchers, range).keys() {
        if let Some(samples) = model.get_mut(labels) {
            samples.retain(|t, _| !range.contains(*t));
        }
    }
    model.retain(|_, samples| !samples.is_empty());
}

#[test]
fn any_run_of_operations_answers_as_the_model() {
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let vfs: Arc<dyn Vfs> = Arc::new(MemFs::default());
        let clock = Arc::new(VirtualClock::at(1_800_000_000_000));
        let mut engine = Engine::open(options(&vfs, &clock)).unwrap();
        let mut model = Model::new();
        for step in 0..300 {
            let now = 1_800_000_000_000 + step * 300_000;
            clock.set(now);
            match rng.below(40) {
                0 => engine.flush().unwrap(),
                1 => engine.merge().unwrap(),
                2 => engine.compact().unwrap(),
                3 => delete(&engine, &mut model, &mut rng, now),
                4 => engine.clean_tombstones().unwrap(),
                5 => {
                    if rng.below(2) == 0 {
                        engine.close().unwrap();
                    }
                    drop(engine);
                    engine = Engine::open(options(&vfs, &clock)).unwrap();
                }
                6..=12 => {
                    let matchers = random_matchers(&mut rng);
                    let range = TimeRange::new(now - rng.below(2 * DAY as u64) as i64, now - rng.below(60_000) as i64);
                    assert_same(&dump(&engine.snapshot(), &matchers, range), &restrict(&model, &matchers, range), seed);
                }
                _ => {
                    let batch = random_batch(&mut rng, now);
                    write(&engine, &batch);
                    for (series, t, value) in batch {
                        model.entry(labels_of(series)).or_default().insert(t, value);
                    }
                }
            }
        }
        assert_same(&dump(&engine.snapshot(), &[], TimeRange::ALL), &model, seed);
        engine.compact().unwrap();
        assert_same(&dump(&engine.snapshot(), &[], TimeRange::ALL), &model, seed);
        assert!(engine.verify().unwrap().is_clean());
    }
}

#[test]
fn a_snapshot_keeps_its_moment_over_writes_flushes_and_merges() {
    let (vfs, clock): (Arc<dyn Vfs>, _) = (Arc::new(MemFs::default()), Arc::new(VirtualClock::at(1_000_000_000)));
    let engine = Engine::open(options(&vfs, &clock)).unwrap();
    let mut rng = Rng::new(3);
    for _ in 0..3 {
        write(&engine, &random_batch(&mut rng, 1_000_000_000));
        engine.flush().unwrap();
    }
    write(&engine, &random_batch(&mut rng, 1_000_000_000));
    let snapshot = engine.snapshot();
    let before = dump(&snapshot, &[], TimeRange::ALL);
    for _ in 0..3 {
        write(&engine, &random_batch(&mut rng, 1_000_000_000));
        engine.compact().unwrap();
        assert_eq!(dump(&snapshot, &[], TimeRange::ALL), before);
    }
}

#[test]
fn metadata_and_exemplars_survive_a_restart_and_a_flush() {
    let (vfs, clock): (Arc<dyn Vfs>, _) = (Arc::new(MemFs::default()), Arc::new(VirtualClock::at(DAY)));
    let exemplar = |t: i64| Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), value: 0.5, timestamp: t };
    let told = MetricMetadata { kind: MetricKind::Counter, help: "Requests.".into(), unit: "requests".into() };
    let mut engine = Engine::open(options(&vfs, &clock)).unwrap();
    engine
        .append(|appender| {
            let id = appender.series(&[("__name__", "requests")], None)?;
            appender.float(id, DAY, 1.0, 0).unwrap();
            appender.exemplar(id, exemplar(DAY - 5)).unwrap();
            appender.exemplar(id, exemplar(DAY)).unwrap();
            appender.metadata("requests", told.clone());
            Ok(())
        })
        .unwrap();
    let sets = [vec![Matcher::equal("__name__", "requests")]];
    for round in 0..4 {
        let all = engine.snapshot().exemplars(&sets, TimeRange::ALL).unwrap();
        assert_eq!(all.len(), 1, "round {round}");
        assert_eq!(all[0].1, [exemplar(DAY - 5), exemplar(DAY)]);
        assert_eq!(engine.snapshot().exemplars(&sets, TimeRange::new(DAY, DAY)).unwrap()[0].1, [exemplar(DAY)]);
        assert_eq!(engine.metadata(), [("requests".to_owned(), told.clone())]);
        if round == 1 {
            engine.flush().unwrap();
        }
        drop(engine);
        engine = Engine::open(options(&vfs, &clock)).unwrap();
    }
}

#[test]
fn timestamps_out_of_bounds_are_refused_by_name_and_the_rest_is_kept() {
    let (vfs, clock): (Arc<dyn Vfs>, _) = (Arc::new(MemFs::default()), Arc::new(VirtualClock::at(10 * DAY)));
    let engine = Engine::open(EngineOptions { retention_ms: Some(DAY), ..options(&vfs, &clock) }).unwrap();
    engine
        .append(|appender| {
            let id = appender.series(&[("__name__", "x")], None)?;
            let ahead = appender.float(id, 10 * DAY + 600_001, 1.0, 0).unwrap_err();
            assert!(matches!(ahead, SampleRejection::TooFarInFuture { .. }));
            let old = appender.float(id, 9 * DAY - 1, 1.0, 0).unwrap_err();
            assert!(matches!(old, SampleRejection::TooOld { .. }));
            appender.float(id, 10 * DAY + 600_000, 2.0, 0).unwrap();
            Ok(())
        })
        .unwrap();
    assert_eq!(dump(&engine.snapshot(), &[], TimeRange::ALL).values().map(BTreeMap::len).sum::<usize>(), 1);
}

#[test]
fn retention_drops_by_age_and_by_size_but_not_for_a_clock_that_jumps() {
    let (vfs, clock): (Arc<dyn Vfs>, _) = (Arc::new(MemFs::default()), Arc::new(VirtualClock::at(100 * DAY)));
    let by_age = |clock: &Arc<VirtualClock>| EngineOptions { retention_ms: Some(2 * DAY), ..options(&vfs, clock) };
    let engine = Engine::open(by_age(&clock)).unwrap();
    for day in 98..=100 {
        write(&engine, &[(1, day * DAY, Value::Float(0))]);
    }
    engine.flush().unwrap();
    assert_eq!(engine.stats().segments, 3);
    clock.advance(std::time::Duration::from_millis(DAY as u64));
    engine.enforce_retention().unwrap();
    assert_eq!(engine.stats().segments, 3, "no newer sample came: nothing is too old");
    write(&engine, &[(1, 101 * DAY, Value::Float(0))]);
    engine.flush().unwrap();
    engine.enforce_retention().unwrap();
    assert_eq!(engine.stats().segments, 3);
    drop(engine);
    let by_size = EngineOptions { retention_bytes: Some(1), ..options(&vfs, &clock) };
    let engine = Engine::open(by_size).unwrap();
    engine.enforce_retention().unwrap();
    assert_eq!(engine.stats().segments, 0);
    assert!(dump(&engine.snapshot(), &[], TimeRange::ALL).is_empty());
}

#[test]
fn one_process_a_directory_and_read_only_changes_nothing() {
    let (vfs, clock): (Arc<dyn Vfs>, _) = (Arc::new(MemFs::default()), Arc::new(VirtualClock::at(DAY)));
    let engine = Engine::open(options(&vfs, &clock)).unwrap();
    write(&engine, &[(1, DAY, Value::Float(7)), (2, DAY, Value::Float(8))]);
    assert!(matches!(Engine::open(options(&vfs, &clock)).unwrap_err(), StorageError::Locked { .. }));
    let before = dump(&engine.snapshot(), &[], TimeRange::ALL);
    drop(engine);
    let files = |vfs: &Arc<dyn Vfs>| vfs.list(&PathBuf::from("/data/wal")).unwrap();
    let there = files(&vfs);
    let reader = Engine::open(EngineOptions { read_only: true, ..options(&vfs, &clock) }).unwrap();
    assert_eq!(dump(&reader.snapshot(), &[], TimeRange::ALL), before);
    assert!(matches!(reader.append(|_| Ok(())).unwrap_err(), StorageError::ReadOnly));
    assert!(matches!(reader.flush().unwrap_err(), StorageError::ReadOnly));
    assert_eq!(files(&vfs), there);
}

#[test]
fn a_directory_without_a_database_is_told_as_such() {
    let (vfs, clock): (Arc<dyn Vfs>, _) = (Arc::new(MemFs::default()), Arc::new(VirtualClock::at(DAY)));
    vfs.create_dir_all(&PathBuf::from("/data")).unwrap();
    let error = Engine::open(EngineOptions { read_only: true, ..options(&vfs, &clock) }).unwrap_err();
    assert!(error.to_string().contains("/data holds no database"), "{error}");
}

#[test]
fn a_backup_is_a_database_of_its_own() {
    let (vfs, clock): (Arc<dyn Vfs>, _) = (Arc::new(MemFs::default()), Arc::new(VirtualClock::at(DAY)));
    let engine = Engine::open(options(&vfs, &clock)).unwrap();
    let mut rng = Rng::new(9);
    write(&engine, &random_batch(&mut rng, DAY));
    let name = engine.backup().unwrap();
    let then = dump(&engine.snapshot(), &[], TimeRange::ALL);
    write(&engine, &random_batch(&mut rng, DAY));
    engine.compact().unwrap();
    let dir = PathBuf::from("/data/snapshots").join(name);
    let restored = Engine::open(EngineOptions { dir, ..options(&vfs, &clock) }).unwrap();
    assert_eq!(dump(&restored.snapshot(), &[], TimeRange::ALL), then);
}

#[test]
fn new_series_over_the_budget_are_refused_and_known_ones_go_on() {
    let (vfs, clock): (Arc<dyn Vfs>, _) = (Arc::new(MemFs::default()), Arc::new(VirtualClock::at(DAY)));
    let small = EngineOptions { memory_budget: 200_000, cache_bytes: 0, ..options(&vfs, &clock) };
    let engine = Engine::open(small).unwrap();
    let mut refused = None;
    for i in 0..20_000u64 {
        let n = i.to_string();
        let result = engine.append(|appender| {
            let id = appender.series(&[("__name__", "x"), ("exploding", n.as_str())], None)?;
            appender.float(id, DAY, 1.0, 0).map_err(|e| StorageError::Invalid(e.to_string()))
        });
        if let Err(error) = result {
            refused = Some(error.to_string());
            break;
        }
    }
    assert!(refused.unwrap().contains("exploding"), "the error names the label that exploded");
    engine
        .append(|appender| {
            let id = appender.series(&[("__name__", "x"), ("exploding", "1")], None)?;
            appender.float(id, DAY + 1, 1.0, 0).map_err(|e| StorageError::Invalid(e.to_string()))
        })
        .unwrap();
}

#[test]
fn labels_that_no_segment_should_hold_are_refused() {
    let (vfs, clock): (Arc<dyn Vfs>, _) = (Arc::new(MemFs::default()), Arc::new(VirtualClock::at(DAY)));
    let engine = Engine::open(options(&vfs, &clock)).unwrap();
    let write = |bytes: usize| {
        let value = "v".repeat(bytes - "__name__xl".len());
        engine.append(|appender| {
            let id = appender.series(&[("__name__", "x"), ("l", &value)], None)?;
            appender.float(id, DAY, 1.0, 0).map_err(|e| StorageError::Invalid(e.to_string()))
        })
    };
    write(MAX_LABELS_BYTES).unwrap();
    let error = write(MAX_LABELS_BYTES + 1).unwrap_err();
    assert!(matches!(&error, StorageError::Invalid(why) if why.contains("262145 bytes")), "{error}");
    engine.flush().unwrap();
    assert_eq!(dump(&engine.snapshot(), &[], TimeRange::ALL).len(), 1);
}

#[test]
fn a_read_only_open_beside_a_flushing_owner_misses_nothing() {
    let (vfs, clock): (Arc<dyn Vfs>, _) = (Arc::new(MemFs::default()), Arc::new(VirtualClock::at(DAY)));
    let owner = Engine::open(options(&vfs, &clock)).unwrap();
    let (acknowledged, stop) = (AtomicI64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !stop.load(SeqCst) {
                write(&owner, &[(1, DAY + n, Value::Float(n as u64))]);
                n += 1;
                acknowledged.store(n, SeqCst);
                if n % 20 == 0 {
                    owner.flush().unwrap();
                    owner.merge().unwrap();
                }
            }
        });
        while acknowledged.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut opened = 0;
            for _ in 0..200 {
                let before = acknowledged.load(SeqCst);
                match Engine::open(EngineOptions { read_only: true, ..options(&vfs, &clock) }) {
                    Ok(reader) => {
                        let got = dump(&reader.snapshot(), &[], TimeRange::ALL);
                        assert!(got.values().next().map_or(0, BTreeMap::len) as i64 >= before);
                        assert_eq!(reader.stats().quarantined, 0);
                        opened += 1;
                    }
                    Err(error) => assert!(error.to_string().contains("faster than it can be read"), "{error}"),
                }
            }
            assert!(opened > 0);
        }));
        // The writer ends whatever was seen.
        stop.store(true, SeqCst);
        looked.unwrap();
    });
}
