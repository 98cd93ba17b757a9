//! Encoding and decoding of each kind of column, on the shapes that metrics have; times are per column of 512 values.

use std::hint::black_box;

use chronolith_storage::{
    Buckets, Histogram, ResetHint, Span,
    encoding::{
        Reader, decode_floats, decode_histograms, decode_integers, decode_timestamps, encode_floats, encode_histograms,
        encode_integers, encode_timestamps,
    },
    model::stale_nan,
    rng::Rng,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const COUNT: usize = 512;

/// The shapes of float columns, each with its name.
fn float_shapes() -> Vec<(&'static str, Vec<f64>)> {
    let mut rng = Rng::new(1);
    let mut walk = |start: f64, scale: f64, step: &dyn Fn(u64) -> f64| -> Vec<f64> {
        let mut at = start;
        (0..COUNT)
            .map(|_| {
                at += step(rng.below(1 << 20));
                at / scale
            })
            .collect()
    };
    let mut shapes = vec![
        ("constant", vec![1.0; COUNT]),
        ("requests_counter", walk(1e6, 1.0, &|r| (r % 80) as f64)),
        ("idle_counter", walk(1e6, 1.0, &|r| if r % 20 == 0 { (r % 50) as f64 } else { 0.0 })),
        ("cpu_seconds", walk(1e7, 100.0, &|r| (1400 + r % 100) as f64)),
        ("memory_4k", walk(1e5, 1.0, &|r| (r % 41) as f64 * 4096.0 - 20.0 * 4096.0)),
        ("ratio_all_digits", walk(0.3, 1.0, &|r| (r as f64 - 524_288.0) / 1.1e7)),
        ("duration_sum", walk(100.0, 1.0, &|r| r as f64 / 3e6)),
    ];
    let mut stale = shapes[1].1.clone();
    stale[COUNT - 1] = stale_nan();
    shapes.push(("counter_that_ends", stale));
    shapes
}

fn floats(c: &mut Criterion) {
    let mut group = c.benchmark_group("float");
    group.throughput(Throughput::Elements(COUNT as u64));
    for (name, values) in float_shapes() {
        let mut bytes = Vec::new();
        encode_floats(&values, &mut bytes);
        let size = bytes.len() as f64 / COUNT as f64;
        let mut out = Vec::new();
        group.bench_function(format!("encode/{name} ({size:.2} B a value)"), |b| {
            b.iter(|| {
                out.clear();
                encode_floats(black_box(&values), &mut out);
            });
        });
        let mut decoded = Vec::with_capacity(COUNT);
        group.bench_function(format!("decode/{name}"), |b| {
            b.iter(|| {
                decoded.clear();
                decode_floats(&mut Reader::new(black_box(&bytes)), COUNT, &mut decoded)
            });
        });
    }
    group.finish();
}

fn timestamps(c: &mut Criterion) {
    let mut group = c.benchmark_group("timestamp");
    group.throughput(Throughput::Elements(COUNT as u64));
    let mut rng = Rng::new(2);
    for (name, jitter) in [("exact", 1), ("jitter_5ms", 5), ("jitter_1s", 1000)] {
        let times: Vec<i64> =
            (0..COUNT as i64).map(|i| 1_700_000_000_000 + i * 15_000 + rng.below(jitter) as i64).collect();
        let mut bytes = Vec::new();
        encode_timestamps(&times, &mut bytes);
        let size = bytes.len() as f64 / COUNT as f64;
        let mut out = Vec::new();
        group.bench_function(format!("encode/{name} ({size:.2} B a value)"), |b| {
            b.iter(|| {
                out.clear();
                encode_timestamps(black_box(&times), &mut out);
            });
        });
        let mut decoded = Vec::with_capacity(COUNT);
        group.bench_function(format!("decode/{name}"), |b| {
            b.iter(|| {
                decoded.clear();
                decode_timestamps(&mut Reader::new(black_box(&bytes)), &mut decoded)
            });
        });
    }
    group.finish();
}

fn integers(c: &mut Criterion) {
    let mut group = c.benchmark_group("integer");
    group.throughput(Throughput::Elements(COUNT as u64));
    let mut rng = Rng::new(3);
    let values: Vec<i64> = (0..COUNT).map(|_| rng.below(1 << 40) as i64).collect();
    let mut bytes = Vec::new();
    encode_integers(&values, &mut bytes);
    let mut out = Vec::new();
    group.bench_function("encode/random_40_bits", |b| {
        b.iter(|| {
            out.clear();
            encode_integers(black_box(&values), &mut out);
        });
    });
    let mut decoded = Vec::with_capacity(COUNT);
    group.bench_function("decode/random_40_bits", |b| {
        b.iter(|| {
            decoded.clear();
            decode_integers(&mut Reader::new(black_box(&bytes)), COUNT, &mut decoded)
        });
    });
    group.finish();
}

fn histograms(c: &mut Criterion) {
    let mut group = c.benchmark_group("histogram");
    let count = 120;
    group.throughput(Throughput::Elements(count as u64));
    let mut rng = Rng::new(4);
    let mut buckets = [0i64; 20];
    let histograms: Vec<Histogram> = (0..count)
        .map(|i| {
            buckets.iter_mut().for_each(|b| *b += rng.below(10) as i64);
            let mut before = 0;
            let positive = buckets.iter().map(|b| {
                let delta = b - before;
                before = *b;
                delta
            });
            Histogram {
                schema: 3,
                zero_threshold: 2f64.powi(-128),
                sum: i as f64 * 3.25,
                reset_hint: ResetHint::NotReset,
                positive_spans: vec![Span { offset: -10, length: 20 }],
                negative_spans: vec![],
                custom_values: vec![],
                buckets: Buckets::Integer {
                    count: buckets.iter().sum::<i64>() as u64,
                    zero_count: 0,
                    positive: positive.collect(),
                    negative: vec![],
                },
            }
        })
        .collect();
    let all: Vec<&Histogram> = histograms.iter().collect();
    let mut bytes = Vec::new();
    encode_histograms(&all, &mut bytes).expect("spans and buckets agree");
    let size = bytes.len() as f64 / count as f64;
    let mut out = Vec::new();
    group.bench_function(format!("encode/20_buckets ({size:.1} B each)"), |b| {
        b.iter(|| {
            out.clear();
            encode_histograms(black_box(&all), &mut out)
        });
    });
    group.bench_function("decode/20_buckets", |b| {
        b.iter(|| {
            let mut decoded = Vec::with_capacity(count);
            decode_histograms(&mut Reader::new(black_box(&bytes)), count, &mut decoded).map(|()| decoded)
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(200)).measurement_time(std::time::Duration::from_millis(600));
    targets = floats, timestamps, integers, histograms
}
criterion_main!(benches);
