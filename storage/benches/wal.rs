//! The log: encoding and decoding float samples, appending and reading frames, opening and committing the catalog.

use std::{hint::black_box, path::Path, sync::Arc};

use chronolith_storage::{
    Exemplar, Histogram, MetricMetadata, Result,
    catalog::{Catalog, CatalogEdit},
    vfs::{MemFs, RealFs, Vfs, create_dir_durable},
    wal::{
        LogReader, LogWriter,
        record::{FloatSample, RecordEncoder, RecordVisitor, TableRecord, decode},
    },
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const SAMPLES: u32 = 10_000;

/// One scrape after the other of a target with 500 series.
fn samples() -> impl Iterator<Item = FloatSample> {
    (0..SAMPLES).map(|i| FloatSample {
        series: 1000 + i % 500,
        timestamp: 1_700_000_000_000 + i64::from(i / 500) * 15_000,
        start_timestamp: 1_699_999_000_000,
        value: f64::from(i) * 0.25,
    })
}

#[derive(Default)]
struct Sum {
    value: f64,
    timestamp: i64,
    series: u32,
}

impl RecordVisitor for Sum {
    fn pair(&mut self, _: u32, _: &str, _: &str) -> Result<()> {
        Ok(())
    }
    fn series(&mut self, _: u32, pairs: &[u32]) -> Result<()> {
        self.series ^= pairs.iter().sum::<u32>();
        Ok(())
    }
    fn float(&mut self, sample: FloatSample) -> Result<()> {
        self.value += sample.value;
        self.timestamp ^= sample.timestamp ^ sample.start_timestamp;
        self.series ^= sample.series;
        Ok(())
    }
    fn histogram(&mut self, _: u32, _: i64, _: i64, _: Histogram) -> Result<()> {
        Ok(())
    }
    fn exemplar(&mut self, _: u32, _: Exemplar) -> Result<()> {
        Ok(())
    }
    fn metadata(&mut self, _: &str, _: MetricMetadata) -> Result<()> {
        Ok(())
    }
    fn table(&mut self, _: TableRecord<'_>) -> Result<()> {
        Ok(())
    }
}

fn records(c: &mut Criterion) {
    let mut group = c.benchmark_group("wal_records");
    group.throughput(Throughput::Elements(u64::from(SAMPLES)));
    let given: Vec<FloatSample> = samples().collect();
    let mut out = Vec::new();
    group.bench_function("encode_floats", |b| {
        b.iter(|| {
            out.clear();
            RecordEncoder::new(&mut out).floats(black_box(&given).iter().copied());
            out.len()
        });
    });
    let mut started = Vec::new();
    group.bench_function("encode_floats_with_start", |b| {
        b.iter(|| {
            started.clear();
            RecordEncoder::new(&mut started).floats_with_start(black_box(&given).iter().copied());
            started.len()
        });
    });
    for (name, payload) in [("decode_floats", &out), ("decode_floats_with_start", &started)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut sum = Sum::default();
                decode(black_box(payload), &mut sum).expect("it was encoded here");
                (sum.value, sum.timestamp, sum.series)
            });
        });
    }
    let mut series = Vec::new();
    let mut encoder = RecordEncoder::new(&mut series);
    for id in 0..SAMPLES {
        encoder.pair(id, "instance", "host-0123456789:9100");
        encoder.series(id, &[id, id / 2, id / 3, 7, 8, 9, 10]);
    }
    group.bench_function("decode_pairs_and_series", |b| {
        b.iter(|| {
            let mut sum = Sum::default();
            decode(black_box(&series), &mut sum).expect("it was encoded here");
            sum.series
        });
    });
    group.finish();
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("wal_frames");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let memory = MemFs::new();
    let payload = vec![0x5a; 100_000];
    group.throughput(Throughput::Bytes(payload.len() as u64));
    let places: [(&str, &dyn Vfs, &Path); 2] = [("mem", &memory, Path::new("")), ("real", &RealFs, dir.path())];
    for (name, vfs, path) in places {
        let mut generation = 0;
        let mut next = || {
            generation += 1;
            vfs.remove(&chronolith_storage::wal::log_path(path, generation - 1)).ok();
            LogWriter::create(vfs, path, generation).expect("a new log")
        };
        let mut writer = next();
        let mut append = |sync: bool| {
            // Bounds the disk and memory that the bench takes.
            if writer.len() > 256 << 20 {
                writer = next();
            }
            writer.append(&payload).expect("space");
            if sync {
                writer.sync().expect("a sound disk");
            }
        };
        group.bench_function(format!("append_{name}"), |b| b.iter(|| append(false)));
        group.bench_function(format!("append_and_sync_{name}"), |b| b.iter(|| append(true)));
    }
    let mut writer = LogWriter::create(&memory, Path::new(""), u64::MAX).expect("a new log");
    for _ in 0..100 {
        writer.append(&payload).expect("memory");
    }
    group.throughput(Throughput::Bytes(writer.len()));
    group.bench_function("read_mem", |b| {
        b.iter(|| {
            let mut reader = LogReader::open(&memory, writer.path()).expect("the log");
            let mut bytes = 0;
            while let Some(payload) = reader.next().expect("readable memory") {
                bytes += payload.len();
            }
            bytes
        });
    });
    group.finish();
}

fn catalog(c: &mut Criterion) {
    let mut group = c.benchmark_group("catalog");
    let open = |vfs: &Arc<dyn Vfs>, dir: &Path| Catalog::open(Arc::clone(vfs), dir, false).expect("a sound catalog");
    group.bench_function("open_new_mem", |b| {
        b.iter_batched(
            || Arc::new(MemFs::new()) as Arc<dyn Vfs>,
            |vfs| open(&vfs, Path::new("")),
            BatchSize::PerIteration,
        );
    });
    let memory: Arc<dyn Vfs> = Arc::new(MemFs::new());
    drop(open(&memory, Path::new("")));
    group.bench_function("open_again_mem", |b| b.iter(|| open(&memory, Path::new(""))));
    let dir = tempfile::tempdir().expect("a temporary directory");
    create_dir_durable(&RealFs, dir.path()).expect("it is there");
    let real: Arc<dyn Vfs> = Arc::new(RealFs);
    for (name, vfs, path) in [("mem", &memory, Path::new("")), ("real", &real, dir.path())] {
        let catalog = open(vfs, path);
        let mut floor = 0;
        group.bench_function(format!("commit_{name}"), |b| {
            b.iter(|| {
                floor += 1;
                catalog.commit(&CatalogEdit { wal_floor: Some(floor), ..CatalogEdit::default() }).expect("a commit");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, records, frames, catalog);
criterion_main!(benches);
