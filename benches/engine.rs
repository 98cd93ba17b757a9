//! The engine's hot ways: opening in memory, naming series, appending, selecting.

use std::hint::black_box;

use chronolith::{
    Db,
    storage::{
        Matcher, SampleBuffer, SeriesSource, StorageError, TimeRange,
        engine::{Engine, EngineOptions},
    },
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// One scrape of a host.
const SERIES: usize = 500;

fn engine() -> Engine {
    let options = EngineOptions { background: false, ..EngineOptions::in_memory() };
    Engine::open(options).expect("an engine in memory opens")
}

/// The labels of series number `n`, sorted, and the key that a sender's bytes would have.
fn labels(n: usize) -> [(String, String); 5] {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    [
        pair("__name__", format!("node_metric_{}_total", n % 97)),
        pair("cpu", (n % 8).to_string()),
        pair("instance", format!("host-{}:9100", n / SERIES)),
        pair("job", "node".to_owned()),
        pair("series", n.to_string()),
    ]
}

/// Appends one sample to each of these series, by key where the engine knows it.
fn scrape(engine: &Engine, series: &[([(String, String); 5], u128)], t: i64) {
    let result = engine.append(|appender| {
        for (labels, key) in series {
            let id = match appender.lookup(*key) {
                Some(id) => id,
                None => {
                    let pairs: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                    appender.series(&pairs, Some(*key))?
                }
            };
            appender.float(id, t, t as f64, 0).map_err(|e| StorageError::Invalid(e.to_string()))?;
        }
        Ok(())
    });
    result.expect("an append in memory succeeds");
}

fn series(from: usize, to: usize) -> Vec<([(String, String); 5], u128)> {
    (from..to).map(|n| (labels(n), n as u128)).collect()
}

fn open(c: &mut Criterion) {
    c.bench_function("open in memory", |b| b.iter(|| Db::in_memory().expect("it opens")));
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append a scrape");
    group.throughput(Throughput::Elements(SERIES as u64));
    let (known, scrape_of) = (engine(), series(0, SERIES));
    let mut t = 0;
    group.bench_function("of known series", |b| {
        b.iter(|| {
            t += 15_000;
            scrape(&known, &scrape_of, t);
        });
    });
    group.bench_function("of new series", |b| {
        b.iter_batched(engine, |fresh| scrape(&fresh, &scrape_of, 15_000), BatchSize::SmallInput);
    });
    group.finish();
}

fn select(c: &mut Criterion) {
    let engine = engine();
    for host in 0..20 {
        let of_host = series(host * SERIES, (host + 1) * SERIES);
        for t in 0..40 {
            scrape(&engine, &of_host, t * 15_000);
        }
    }
    let matchers = [Matcher::equal("__name__", "node_metric_7_total"), Matcher::equal("job", "node")];
    let read_all = |engine: &Engine| {
        let snapshot = engine.snapshot();
        let set = snapshot.select(&matchers, TimeRange::ALL).expect("it selects");
        let mut buffer = SampleBuffer::default();
        for i in 0..set.len() {
            buffer.clear();
            set.read(i, TimeRange::ALL, &mut buffer).expect("it reads");
            black_box(&buffer);
        }
    };
    let mut group = c.benchmark_group("select and read 100 of 10,000 series");
    group.bench_function("from the memtable", |b| b.iter(|| read_all(&engine)));
    engine.flush().expect("it flushes");
    group.bench_function("from a segment", |b| b.iter(|| read_all(&engine)));
    group.finish();
}

criterion_group!(benches, open, append, select);
criterion_main!(benches);
