//! What the engine costs, without storage: dashboard queries over 20 hosts, 8 hours at 15 s, columns in memory; and
//! queries of native histograms.

use std::{hint::black_box, sync::Arc, time::Duration};

use chronolith_promql::{
    engine::{self, QueryOptions},
    parse,
};
use chronolith_storage::{
    Buckets, Histogram, Labels, Matcher, ResetHint, Result, SampleBuffer, SeriesSet, SeriesSource, Span, TimeRange,
    read::HistogramSample,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const HOSTS: usize = 20;
const STEP: i64 = 15_000;
const SAMPLES: i64 = 8 * 3600 * 1000 / STEP;

/// Series sorted by labels, all of a host scraped together.
struct Columns {
    series: Vec<(Labels, usize, Vec<f64>)>,
    timestamps: Vec<Vec<i64>>,
}

impl Columns {
    fn node_exporters() -> Self {
        let timestamps = (0..HOSTS as i64).map(|h| (0..SAMPLES).map(|i| i * STEP + h * 731).collect()).collect();
        let mut out = Self { series: Vec::new(), timestamps };
        for host in 0..HOSTS {
            let instance = format!("host-{host:02}:9100");
            let of = |name: &str, more: &[(&str, &str)]| {
                let base = [("__name__", name), ("instance", instance.as_str()), ("job", "node")];
                Labels::from_pairs(base.into_iter().chain(more.iter().copied()))
            };
            let mut add = |labels: Labels, rise: f64, noise: f64| {
                let mut seed = out.series.len() as u64 + 1;
                let mut total = 0.0;
                let values = (0..SAMPLES).map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let random = (seed >> 40) as f64 / f64::from(1 << 24);
                    total += rise * random;
                    total + noise * random
                });
                out.series.push((labels, host, values.collect()));
            };
            for cpu in ["0", "1", "2", "3"] {
                for mode in ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"] {
                    add(of("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)]), 3.0, 0.0);
                }
            }
            for handler in ["/", "/api/query", "/api/write", "/metrics", "/static"] {
                for (i, le) in
                    ["0.005", "0.01", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"].iter().enumerate()
                {
                    add(of("http_request_duration_seconds_bucket", &[("handler", handler), ("le", le)]), i as f64, 0.0);
                }
            }
            for device in ["eth0", "eth1", "lo", "docker0"] {
                add(of("node_network_receive_bytes_total", &[("device", device)]), 1e6, 0.0);
            }
            add(of("node_memory_MemAvailable_bytes", &[]), 0.0, 8e9);
            add(of("node_memory_MemTotal_bytes", &[]), 0.0, 0.0);
            add(of("node_load1", &[]), 0.0, 8.0);
            add(of("node_uname_info", &[("nodename", &format!("host-{host:02}")), ("release", "6.12")]), 0.0, 0.0);
        }
        out.series.sort_by(|a, b| a.0.cmp(&b.0));
        out
    }
}

impl SeriesSource for Columns {
    fn select(&self, matchers: &[Matcher], _: TimeRange) -> Result<Box<dyn SeriesSet + '_>> {
        let fits = |l: &Labels| matchers.iter().all(|m| m.matches(l.get(m.name()).unwrap_or_default()));
        let chosen = (0..self.series.len()).filter(|i| fits(&self.series[*i].0)).collect();
        Ok(Box::new(Chosen { columns: self, chosen }))
    }
}

struct Chosen<'a> {
    columns: &'a Columns,
    chosen: Vec<usize>,
}

impl SeriesSet for Chosen<'_> {
    fn len(&self) -> usize {
        self.chosen.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.columns.series[self.chosen[index]].0
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut SampleBuffer) -> Result<()> {
        let (_, host, values) = &self.columns.series[self.chosen[index]];
        let timestamps = &self.columns.timestamps[*host];
        let from = timestamps.partition_point(|t| *t < range.start);
        let to = timestamps.partition_point(|t| *t <= range.end);
        out.timestamps.extend_from_slice(&timestamps[from..to]);
        out.values.extend_from_slice(&values[from..to]);
        Ok(())
    }
}

const QUERIES: [(&str, &str); 17] = [
    ("rate", "rate(node_cpu_seconds_total[5m])"),
    ("sum_by_rate", "sum by (mode) (rate(node_cpu_seconds_total[5m]))"),
    ("sum_by_instance_rate", "sum by (instance) (rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))"),
    ("busy", "100 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) * 100"),
    ("irate", "sum by (mode) (irate(node_cpu_seconds_total[5m]))"),
    ("topk", "topk(5, rate(node_network_receive_bytes_total[5m]))"),
    (
        "histogram_quantile",
        "histogram_quantile(0.99, sum by (le, handler) (rate(http_request_duration_seconds_bucket[5m])))",
    ),
    ("avg_over_time", "avg_over_time(node_load1[10m])"),
    ("sum_over_time_long", "sum_over_time(node_load1[1h])"),
    ("max_over_time_long", "max_over_time(node_memory_MemAvailable_bytes[1h])"),
    ("quantile_over_time", "quantile_over_time(0.9, node_load1[30m])"),
    ("stddev_over_time", "stddev_over_time(node_load1[10m])"),
    ("memory_ratio", "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"),
    ("group_left", "sum by (instance) (node_load1) * on (instance) group_left (nodename) node_uname_info"),
    ("subquery", "max_over_time(sum by (instance) (rate(node_cpu_seconds_total[5m]))[30m:1m])"),
    ("predict_linear", "predict_linear(node_memory_MemAvailable_bytes[1h], 3600) < 1e9"),
    ("count_selector", "count by (job) (node_cpu_seconds_total)"),
];

/// 20 native histograms of 60 buckets each, 2 hours at 15 s, that grow a little at each scrape.
struct Natives(Vec<(Labels, Vec<HistogramSample>)>);

impl Natives {
    fn hosts() -> Self {
        const BUCKETS: u64 = 60;
        let series = (0..HOSTS).map(|host| {
            let instance = format!("host-{host:02}:9100");
            let labels = Labels::from_pairs([("__name__", "request_seconds"), ("instance", instance.as_str())]);
            let samples = (1..=480u64).map(|i| {
                let counts: Vec<i64> = (0..BUCKETS).map(|b| (i * (b % 7 + 1)) as i64).collect();
                let count = counts.iter().sum::<i64>() as u64;
                let deltas = counts.iter().scan(0, |before, c| Some(c - std::mem::replace(before, *c))).collect();
                let histogram = Histogram {
                    schema: 3,
                    zero_threshold: 1e-9,
                    sum: count as f64 * 0.01,
                    reset_hint: ResetHint::Unknown,
                    positive_spans: vec![Span { offset: -40, length: BUCKETS as u32 }],
                    negative_spans: Vec::new(),
                    custom_values: Vec::new(),
                    buckets: Buckets::Integer { count, zero_count: 0, positive: deltas, negative: Vec::new() },
                };
                HistogramSample { timestamp: i as i64 * STEP, start_timestamp: 0, histogram: Arc::new(histogram) }
            });
            (labels, samples.collect())
        });
        Self(series.collect())
    }
}

impl SeriesSource for Natives {
    fn select(&self, _: &[Matcher], _: TimeRange) -> Result<Box<dyn SeriesSet + '_>> {
        Ok(Box::new(self))
    }
}

impl SeriesSet for &Natives {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.0[index].0
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut SampleBuffer) -> Result<()> {
        let inside = |s: &&HistogramSample| s.timestamp >= range.start && s.timestamp <= range.end;
        out.histograms.extend(self.0[index].1.iter().filter(inside).cloned());
        Ok(())
    }
}

const NATIVE_QUERIES: [(&str, &str); 4] = [
    ("rate", "rate(request_seconds[5m])"),
    ("quantile", "histogram_quantile(0.99, sum(rate(request_seconds[5m])))"),
    ("sum", "sum(request_seconds)"),
    ("count", "histogram_count(rate(request_seconds[5m]))"),
];

fn native_queries(c: &mut Criterion) {
    let natives = Natives::hosts();
    let mut group = c.benchmark_group("native_2h_step_60s");
    for (name, text) in NATIVE_QUERIES {
        let expr = parse(text).expect("a valid query");
        let options = QueryOptions { threads: 1, ..QueryOptions::default() };
        let run = || engine::range(&natives, &expr, 300_000, 480 * STEP, 60_000, &options).expect("an answer");
        group.throughput(Throughput::Elements(run().statistics.samples_read));
        group.bench_function(name, |b| b.iter(|| black_box(run())));
    }
    group.finish();
}

fn queries(c: &mut Criterion) {
    let columns = Columns::node_exporters();
    let end = (SAMPLES - 1) * STEP;
    let mut group = c.benchmark_group("range_8h_step_60s");
    for (name, text) in QUERIES {
        let expr = parse(text).expect("a valid query");
        for threads in [1, 0] {
            let options = QueryOptions { threads, ..QueryOptions::default() };
            let run = || engine::range(&columns, &expr, 3_600_000, end, 60_000, &options).expect("an answer");
            group.throughput(Throughput::Elements(run().statistics.samples_read));
            let kind = if threads == 1 { "one_thread" } else { "all_cores" };
            group.bench_with_input(BenchmarkId::new(name, kind), &(), |b, ()| b.iter(|| black_box(run())));
        }
    }
    group.finish();
    let mut group = c.benchmark_group("instant");
    for (name, text) in QUERIES {
        let expr = parse(text).expect("a valid query");
        let options = QueryOptions::default();
        let run = || engine::instant(&columns, &expr, end, &options).expect("an answer");
        group.bench_function(name, |b| b.iter(|| black_box(run())));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = queries, native_queries
}
criterion_main!(benches);
