//! Whole segments: bytes and nanoseconds a sample, on real scrapes and on a million series.
//!
//! `cargo bench -p chronolith-storage --bench segments`. Real scrapes are taken from the zstd file that the variable
//! CHRONOLITH_SCRAPES names: each scrape begins with a line `@N`, the rest is Prometheus' text format.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints what it measures and may stop on an error"
)]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use chronolith_storage::{
    Labels, Matcher, SampleBuffer, TimeRange,
    rng::Rng,
    segment::{BlockCache, Level, ReadScratch, Segment, SegmentSummary, SegmentWriter, WriterOptions},
    vfs::{MemFs, Vfs},
};

const START: i64 = 1_700_000_000_000;

fn main() {
    match std::env::var_os("CHRONOLITH_SCRAPES") {
        Some(path) => real(Path::new(&path)),
        None => println!("CHRONOLITH_SCRAPES is not set: real scrapes are left out"),
    }
    for samples in [1, 4] {
        million(samples);
    }
}

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

/// Hosts play the same scrapes at 15 s, each from an offset and with a jitter of its own; counters go on when the
/// scrapes begin anew.
fn real(path: &Path) {
    let columns = scrapes(path);
    let scrapes = columns.values().map(Vec::len).max().unwrap_or(0);
    for (hosts, length) in [(1, 900), (20, 900), (20, 1920)] {
        let mut all: BTreeMap<Labels, SampleBuffer> = BTreeMap::new();
        for host in 0..hosts {
            let mut rng = Rng::new(host);
            let phase = rng.below(15_000) as i64;
            let offset = if hosts == 1 { 0 } else { rng.below(scrapes as u64) as usize };
            let jitter: Vec<i64> = (0..length).map(|_| rng.below(5) as i64).collect();
            for (text, values) in &columns {
                let counter = values.is_sorted();
                let gain = if counter { values[values.len() - 1] - values[0] } else { 0.0 };
                let mut samples = SampleBuffer::default();
                for (i, jitter) in jitter.iter().enumerate() {
                    let (at, rounds) = ((offset + i) % values.len(), (offset + i) / values.len());
                    let time = START + phase + i as i64 * 15_000 + jitter;
                    let value = if rounds == 0 { values[at] } else { values[at] + gain * rounds as f64 };
                    samples.push_float(time, value, 0);
                }
                all.insert(labels(text, host), samples);
            }
        }
        println!("{hosts} hosts, {} series each, {length} scrapes", columns.len());
        for level in [Level::Flush, Level::Merge] {
            let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
            let summary = write(&vfs, level, all.iter());
            read(&vfs, &summary);
        }
    }
}

fn scrapes(path: &Path) -> BTreeMap<String, Vec<f64>> {
    let text = zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in std::str::from_utf8(&text).unwrap().lines() {
        if let Some((series, value)) = line.rsplit_once(' ') {
            columns.entry(series.to_owned()).or_default().push(value.parse().unwrap());
        }
    }
    columns
}

fn labels(text: &str, host: u64) -> Labels {
    let (name, rest) = text.split_once('{').unwrap_or((text, ""));
    let mut pairs = vec![
        ("__name__".to_owned(), name.to_owned()),
        ("instance".to_owned(), format!("host-{host:02}.example:9100")),
        ("job".to_owned(), "node".to_owned()),
    ];
    for pair in rest.trim_end_matches('}').split("\",").filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once("=\"").unwrap();
        pairs.push((name.to_owned(), value.trim_end_matches('"').to_owned()));
    }
    Labels::from_pairs(pairs)
}

/// A million series of a thousand targets, with few samples each.
fn million(samples: i64) {
    let mut all: Vec<(Labels, SampleBuffer)> = (0..1_000_000u32)
        .map(|i| {
            let (target, number) = (i % 1000, i / 1000);
            let labels = Labels::from_pairs([
                ("__name__", format!("metric_{}_total", number % 100)),
                ("instance", format!("10.0.{}.{}:9100", target / 250, target % 250)),
                ("job", "pods".to_owned()),
                ("pod", format!("pod-{:08x}", i.wrapping_mul(0x9e37_79b9))),
            ]);
            let mut buffer = SampleBuffer::default();
            for s in 0..samples {
                let t = START + i64::from(target) * 15 + s * 15_000;
                buffer.push_float(t, f64::from(i % 5000 * (s as u32 + 1)), 0);
            }
            (labels, buffer)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
    let summary = write(&vfs, Level::Flush, all.iter().map(|(l, s)| (l, s)));
    read(&vfs, &summary);
}

fn write<'a>(
    vfs: &Arc<dyn Vfs>,
    level: Level,
    series: impl Iterator<Item = (&'a Labels, &'a SampleBuffer)>,
) -> SegmentSummary {
    let started = Timer::start();
    let mut writer =
        SegmentWriter::create(vfs, Path::new("segment"), WriterOptions { level, ..WriterOptions::default() }).unwrap();
    for (labels, samples) in series {
        writer.add_series(labels, samples, &[]).unwrap();
    }
    let streamed = started.elapsed();
    let summary = writer.finish().unwrap();
    println!(
        "{level:?}: {} series, {} samples: {:.3} bytes a sample, {:.1} bytes a series; written in {:.1} ns a sample ({:.0} ms index)",
        summary.series,
        summary.samples(),
        summary.file_len as f64 / summary.samples() as f64,
        summary.file_len as f64 / f64::from(summary.series),
        started.elapsed().as_nanos() as f64 / summary.samples() as f64,
        (started.elapsed() - streamed).as_millis(),
    );
    summary
}

fn read(vfs: &Arc<dyn Vfs>, summary: &SegmentSummary) {
    let started = Timer::start();
    let cache = BlockCache::new(256 << 20);
    let segment = Segment::open(vfs, Path::new("segment"), Arc::clone(&cache)).unwrap();
    println!("  opened in {:?} with {} KiB in memory", started.elapsed(), segment.heap_size() / 1024);
    let ordinals: Vec<u32> = (0..summary.series).collect();
    let mut samples = SampleBuffer::default();
    let mut scratch = ReadScratch::default();
    for round in ["cold", "warm"] {
        // The kernel counts in steps of some milliseconds.
        let times = if round == "cold" { 1 } else { (50_000_000 / summary.samples()).clamp(1, 100) as u32 };
        let started = Timer::start();
        for _ in 0..times {
            for ordinal in &ordinals {
                samples.clear();
                segment.read_with(*ordinal, TimeRange::ALL, &mut scratch, &mut samples).unwrap();
            }
        }
        let spent = started.elapsed() / times;
        println!(
            "  read {round}: {:.2} ns a sample, {:.0} ns a series",
            spent.as_nanos() as f64 / summary.samples() as f64,
            spent.as_nanos() as f64 / f64::from(summary.series)
        );
    }
    let started = Timer::start();
    let labels = segment.labels(&ordinals).unwrap();
    println!("  labels: {:.0} ns a series", started.elapsed().as_nanos() as f64 / labels.len() as f64);
    let one = labels[labels.len() / 2].clone();
    let matchers: Vec<Matcher> = one.iter().map(|(n, v)| Matcher::equal(n, v)).collect();
    let started = Timer::start();
    let found = segment.select(&matchers, TimeRange::ALL).unwrap();
    println!("  select one series: {:?} ({} found)", started.elapsed(), found.len());
    let started = Timer::start();
    let damage = segment.verify().unwrap();
    println!("  verify: {:?}, {} damaged; cache {:?}", started.elapsed(), damage.len(), cache.stats());
}
