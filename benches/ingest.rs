//! The decoders of remote write, per series with eight labels and one sample.
//!
//! `cargo bench --bench ingest --no-default-features`

use std::{hint::black_box, time::Duration};

use chronolith::ingest::{
    label_rules::LabelLimits,
    remote_write::{Sample, SeriesData, V1Encoder, V2Encoder, v1, v2},
    snappy,
};
use chronolith_storage::Labels;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use xxhash_rust::xxh3::xxh3_64;

const SERIES: usize = 2_000;

/// Both versions of one request: what a Prometheus that scrapes node exporters sends at a time.
fn requests() -> (Vec<u8>, Vec<u8>) {
    let (mut one, mut two) = (V1Encoder::new(), V2Encoder::new());
    for i in 0..SERIES {
        let instance = format!("host-{:03}.example.org:9100", i / 100);
        let device = format!("/dev/disk/by-id/nvme-{:04x}", i % 100);
        let labels = Labels::from_pairs([
            ("__name__", "node_filesystem_avail_bytes"),
            ("cluster", "production-west"),
            ("device", &device),
            ("fstype", "ext4"),
            ("instance", &instance),
            ("job", "node"),
            ("mountpoint", "/var/lib/containers"),
            ("team", "infrastructure"),
        ]);
        let samples = [Sample::new(1_700_000_000_000 + i as i64, i as f64 * 1_024.0)];
        let data = SeriesData::floats(&labels, &samples);
        one.push(&data);
        two.push(&data);
    }
    (one.as_bytes().to_vec(), two.finish())
}

fn decode(c: &mut Criterion) {
    let (one, two) = requests();
    let limits = LabelLimits::default();
    let mut group = c.benchmark_group("remote_write");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("v1/label_bytes_and_samples", |b| {
        b.iter(|| {
            let (mut bytes, mut sum) = (0, 0);
            for series in v1::WriteRequest::new(black_box(&one)).series() {
                let series = series.expect("the bench encoded it");
                bytes += series.label_bytes().map_or(0, <[u8]>::len);
                sum += series.samples().map(|s| s.map_or(0, |s| s.timestamp)).sum::<i64>();
            }
            (bytes, sum)
        });
    });
    group.bench_function("v1/known_series_key_and_samples", |b| {
        b.iter(|| {
            let (mut keys, mut sum) = (0, 0);
            for series in v1::WriteRequest::new(black_box(&one)).series() {
                let series = series.expect("the bench encoded it");
                keys ^= xxh3_64(series.label_bytes().expect("labels stand together"));
                sum += series.samples().map(|s| s.map_or(0, |s| s.timestamp)).sum::<i64>();
            }
            (keys, sum)
        });
    });
    group.bench_function("v1/unknown_series_labels", |b| {
        b.iter(|| {
            let series = v1::WriteRequest::new(black_box(&one)).series();
            series.map(|s| s.expect("encoded").to_labels(&limits).map_or(0, |l| l.heap_size())).sum::<usize>()
        });
    });
    let mut key = Vec::new();
    group.bench_function("v2/known_series_key_and_samples", |b| {
        b.iter(|| {
            let (mut keys, mut sum) = (0, 0);
            let request = v2::Request::new(black_box(&two)).expect("the bench encoded it");
            for series in request.series() {
                let series = series.expect("the bench encoded it");
                key.clear();
                series.write_label_bytes(&mut key);
                keys ^= xxh3_64(&key);
                sum += series.samples().map(|s| s.map_or(0, |s| s.timestamp)).sum::<i64>();
            }
            (keys, sum)
        });
    });
    let packed = snappy::encode(&one).expect("far below 4 GiB");
    let mut buffer = Vec::new();
    group.bench_function("v1/snappy", |b| {
        b.iter(|| {
            snappy::decode(black_box(&packed), snappy::DEFAULT_DECODED_LIMIT, &mut buffer).map_or(0, <[u8]>::len)
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
