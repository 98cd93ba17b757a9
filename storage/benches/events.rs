//! Event segments: bytes a row of typical columns, and nanoseconds a row to write and to read them.
//!
//! `cargo bench -p chronolith-storage --bench events` times each column of a few blocks; the variable
//! CHRONOLITH_EVENT_ROWS, say 1000000, first prints what a whole segment of so many rows takes, column by column.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints what it measures and may stop on an error"
)]

use std::{hint::black_box, path::Path, sync::Arc, time::Duration};

use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray, StringViewArray,
    TimestampNanosecondArray, UInt64Array, builder::ListBuilder, builder::StringViewBuilder,
};
use chronolith_storage::{
    rng::Rng,
    segment::{BlockCache, Level},
    table::{
        BLOCK_ROWS, ColumnKey, Kind, ListKind, Needle, Part, Rows, TableId,
        segment::{EventSegment, EventSegmentIdentity, EventSegmentOptions, EventSegmentWriter},
    },
    vfs::{MemFs, Vfs},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const PATH: &str = "events";

/// Time that this thread spent on a processor, so that what else the machine does is not counted.
struct Timer(Duration);

impl Timer {
    fn start() -> Self {
        Self(Self::spent())
    }

    fn spent() -> Duration {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    }

    fn elapsed(&self) -> Duration {
        Self::spent() - self.0
    }
}

fn texts(rows: usize, mut of: impl FnMut(usize) -> String) -> ArrayRef {
    Arc::new((0..rows).map(|row| Some(of(row))).collect::<StringViewArray>())
}

/// A number below `bound`, small ones far more often.
fn skewed(rng: &mut Rng, bound: u64) -> u64 {
    let high = rng.below(bound) + 1;
    rng.below(high)
}

/// Columns as web logs and analytics have them.
fn columns(rows: usize) -> Vec<(&'static str, Kind, ArrayRef)> {
    let mut rng = Rng::new(1);
    let mut at = 1_767_225_600_000_000_000i64;
    let times: Vec<i64> = (0..rows)
        .map(|_| {
            at += rng.below(20_000_000) as i64;
            at
        })
        .collect();
    let paths = ["/", "/login", "/api/v1/items", "/api/v1/items/{}", "/users/{}/orders", "/search", "/static/app.js"];
    let methods = ["GET", "GET", "GET", "POST", "PUT", "DELETE"];
    let verbs = ["opened", "closed", "merged", "failed to load", "retried"];
    let stamp = |nanos: i64| {
        let seconds = nanos / 1_000_000_000;
        let (day, second) = (seconds / 86_400 - 20_454, seconds % 86_400);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        format!("2026-01-{:02}T{hour:02}:{minute:02}:{:02}.{:03}Z", day % 28 + 1, second % 60, nanos / 1_000_000 % 1000)
    };
    let mut tags = ListBuilder::new(StringViewBuilder::new());
    for _ in 0..rows {
        for _ in 0..rng.below(4) {
            tags.values().append_value(format!("tag-{}", skewed(&mut rng, 60)));
        }
        tags.append(true);
    }
    let tags: ListArray = tags.finish();
    vec![
        ("time", Kind::Nanos, Arc::new(TimestampNanosecondArray::from(times.clone())) as ArrayRef),
        ("level", Kind::Text, texts(rows, |_| ["info", "warn", "error"][skewed(&mut rng, 3) as usize].to_owned())),
        ("host", Kind::Text, texts(rows, |_| format!("web-{:02}.eu.example.com", rng.below(40)))),
        ("method", Kind::Text, texts(rows, |_| methods[rng.below(6) as usize].to_owned())),
        (
            "path",
            Kind::Text,
            texts(rows, |_| {
                let path = paths[skewed(&mut rng, 7) as usize];
                path.replace("{}", &skewed(&mut rng, 50_000).to_string())
            }),
        ),
        (
            "status",
            Kind::Int64,
            Arc::new(Int64Array::from_iter_values(
                (0..rows).map(|_| [200, 304, 404, 500][skewed(&mut rng, 4) as usize]),
            )),
        ),
        (
            "bytes",
            Kind::Int64,
            Arc::new(Int64Array::from_iter_values((0..rows).map(|_| skewed(&mut rng, 200_000) as i64))),
        ),
        (
            "duration_ms",
            Kind::Float64,
            Arc::new(Float64Array::from_iter_values((0..rows).map(|_| skewed(&mut rng, 200_000) as f64 / 100.0))),
        ),
        ("cached", Kind::Bool, Arc::new(BooleanArray::from_iter((0..rows).map(|_| Some(rng.below(5) == 0))))),
        (
            "price",
            Kind::Decimal(2),
            Arc::new(
                Decimal128Array::from_iter_values((0..rows).map(|_| i128::from(skewed(&mut rng, 100_000))))
                    .with_precision_and_scale(38, 2)
                    .unwrap(),
            ),
        ),
        (
            "referrer (a tenth)",
            Kind::Text,
            Arc::new(
                (0..rows)
                    .map(|_| {
                        (rng.below(10) == 0).then(|| format!("https://site-{}.example.org/", skewed(&mut rng, 300)))
                    })
                    .collect::<StringViewArray>(),
            ),
        ),
        ("user", Kind::Text, texts(rows, |_| format!("user_{}", skewed(&mut rng, 300_000)))),
        (
            "session",
            Kind::Text,
            texts(rows, |row| format!("s-{:012x}", (row as u64 / 5).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16)),
        ),
        (
            "request_id (UUID)",
            Kind::Text,
            texts(rows, |_| {
                let (a, b) = (rng.next_u64(), rng.next_u64());
                format!("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", a as u32, a >> 48, a >> 32 & 0xfff, b & 0xfff, b >> 16)
            }),
        ),
        (
            "sha (40 digits)",
            Kind::Text,
            texts(rows, |_| format!("{:016x}{:016x}{:08x}", rng.next_u64(), rng.next_u64(), rng.next_u64() as u32)),
        ),
        ("created_at (text)", Kind::Text, texts(rows, |row| stamp(times[row]))),
        (
            "message",
            Kind::Text,
            texts(rows, |_| {
                let (verb, number) = (verbs[rng.below(5) as usize], skewed(&mut rng, 100_000));
                format!(
                    "user_{} {verb} pull request #{number} in {} ms on branch feature-{}",
                    skewed(&mut rng, 30_000),
                    rng.below(900),
                    skewed(&mut rng, 400)
                )
            }),
        ),
        ("tags (list)", Kind::List(ListKind::Text), Arc::new(tags)),
    ]
}

fn write(rows: usize, columns: Vec<(ColumnKey, ArrayRef)>, keys: Option<&[u64]>) -> (Arc<dyn Vfs>, u64) {
    let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
    let identity = EventSegmentIdentity { table: TableId(1), id: 1, sequence: 1, merges: 1 };
    let options = EventSegmentOptions { identity, level: Level::Merge, time: None };
    let mut writer = EventSegmentWriter::create(&vfs, Path::new(PATH), options).unwrap();
    let ids = UInt64Array::from_iter_values(1..=rows as u64);
    writer.push(&Rows::new(rows, columns).unwrap(), &ids, keys).unwrap();
    let len = writer.finish().unwrap().file_len;
    (vfs, len)
}

fn open(vfs: &Arc<dyn Vfs>) -> EventSegment {
    EventSegment::open(vfs, Path::new(PATH), BlockCache::new(1 << 30)).unwrap()
}

/// Prints what each column of a segment of many rows costs.
fn whole(rows: usize) {
    let per_row = |total: u64| total as f64 / rows as f64;
    let nanos = |from: Timer| from.elapsed().as_nanos() as f64 / rows as f64;
    println!(
        "{rows} rows: bytes a row as stored, of them the term index; nanoseconds a row to write, to read cold, warm"
    );
    let (_, none) = write(rows, Vec::new(), None);
    let all = columns(rows);
    for (name, kind, array) in &all {
        let key = ColumnKey::new(*name, *kind);
        let start = Timer::start();
        let (vfs, len) = write(rows, vec![(key.clone(), Arc::clone(array))], None);
        let written = nanos(start);
        let terms = match kind {
            // The same texts in a column that is not searched.
            Kind::Text => len - write(rows, vec![(ColumnKey::new(*name, Kind::Json), Arc::clone(array))], None).1,
            _ => 0,
        };
        let segment = open(&vfs);
        let read = || {
            let start = Timer::start();
            (0..segment.blocks()).for_each(|block| drop(black_box(segment.read(&key, block).unwrap())));
            nanos(start)
        };
        let (cold, warm) = (read(), read());
        let raw = array.get_buffer_memory_size() as u64;
        println!(
            "{name:20} {:7.2} bytes, {:5.2} terms, {:7.2} in Arrow; {written:6.0} ns written, {cold:5.1} cold, {warm:5.1} warm",
            per_row(len - none),
            per_row(terms),
            per_row(raw)
        );
    }
    let (_, with_keys) = write(rows, Vec::new(), Some(&keys(rows)));
    println!("row ids {:.3} bytes, key index {:.2} bytes", per_row(none), per_row(with_keys - none));
    let start = Timer::start();
    let keyed = all.into_iter().map(|(name, kind, array)| (ColumnKey::new(name, kind), array)).collect();
    let (vfs, len) = write(rows, keyed, Some(&keys(rows)));
    let written = nanos(start);
    let start = Timer::start();
    let segment = open(&vfs);
    println!("all {:.1} bytes, {written:.0} ns written; opened in {:?}", per_row(len), start.elapsed());
    for (field, text) in [("request_id (UUID)", "none"), ("message", "none"), ("sha (40 digits)", "none")] {
        let key = ColumnKey::new(field, Kind::Text);
        segment.find(&key, &Needle::Value(text)).unwrap();
        let start = Timer::start();
        for n in 0..1000 {
            black_box(segment.find(&key, &Needle::Value(&format!("none{n}"))).unwrap());
        }
        println!("find in {field}: {:?}", start.elapsed() / 1000);
    }
    let keys = keys(rows);
    segment.find_key(1).unwrap();
    let start = Timer::start();
    let found: u64 = keys.iter().step_by(rows / 1000).map(|k| segment.find_key(*k).unwrap().unwrap().len()).sum();
    println!(
        "find_key: {:?}, {found} rows for 1000 keys; in memory {} bytes",
        start.elapsed() / 1000,
        segment.heap_size()
    );
}

fn keys(rows: usize) -> Vec<u64> {
    let mut rng = Rng::new(7);
    (0..rows).map(|_| rng.next_u64()).collect()
}

fn events(c: &mut Criterion) {
    if let Some(rows) = std::env::var("CHRONOLITH_EVENT_ROWS").ok().and_then(|v| v.parse().ok()) {
        whole(rows);
    }
    let rows = 4 * BLOCK_ROWS;
    for (name, kind, array) in columns(rows) {
        let key = ColumnKey::new(name, kind);
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function("write", |b| {
            b.iter(|| write(rows, vec![(key.clone(), Arc::clone(&array))], None));
        });
        let (vfs, _) = write(rows, vec![(key.clone(), Arc::clone(&array))], None);
        let segment = open(&vfs);
        group.throughput(Throughput::Elements(BLOCK_ROWS as u64));
        group.bench_function("read", |b| b.iter(|| black_box(segment.read(&key, 1).unwrap().len())));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).without_plots();
    targets = events
}
criterion_main!(benches);
