//! Whole segments: written, read, compared with a model, damaged.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::{BlockCache, Damage, Level, Segment, SegmentSummary, SegmentWriter, WriterOptions};
use crate::{
    Buckets, Exemplar, Histogram, Labels, MatchOp, Matcher, ResetHint, Result, SampleBuffer, Span, StorageError,
    TimeRange,
    model::stale_nan,
    read::HistogramSample,
    vfs::{MemFs, OpenMode, Vfs},
};

type Series = (Labels, SampleBuffer, Vec<Exemplar>);

fn fs() -> Arc<dyn Vfs> {
    Arc::new(MemFs::new())
}

fn write(vfs: &Arc<dyn Vfs>, path: &str, series: &[Series]) -> Result<SegmentSummary> {
    let mut writer =
        SegmentWriter::create(vfs, Path::new(path), WriterOptions { level: Level::Merge, ..Default::default() })?;
    for (labels, samples, exemplars) in series {
        writer.add_series(labels, samples, exemplars)?;
    }
    writer.finish()
}

fn open(vfs: &Arc<dyn Vfs>, path: &str) -> Result<Segment> {
    Segment::open(vfs, Path::new(path), BlockCache::new(1 << 20))
}

/// All that can be seen of samples, with floats by their bits.
fn seen(samples: &SampleBuffer) -> String {
    let histograms: Vec<String> = samples
        .histograms
        .iter()
        .map(|h| format!("{} {} {:?} {:x}", h.timestamp, h.start_timestamp, h.histogram, h.histogram.sum.to_bits()))
        .collect();
    let values: Vec<u64> = samples.values.iter().map(|v| v.to_bits()).collect();
    format!("{:?} {values:?} {:?} {histograms:?}", samples.timestamps, samples.start_timestamps)
}

/// Every answer that a segment gives, as one text.
fn answers(segment: &Segment) -> Result<String> {
    let mut all = String::new();
    let series: Vec<u32> = (0..segment.summary().series).collect();
    for (labels, ordinal) in segment.labels(&series)?.iter().zip(&series) {
        let mut samples = SampleBuffer::default();
        segment.read(*ordinal, TimeRange::ALL, &mut samples)?;
        let exemplars = segment.exemplars(*ordinal, TimeRange::ALL)?;
        all += &format!("{labels} {:?} {} {exemplars:?}\n", segment.series_range(*ordinal)?, seen(&samples));
    }
    for name in segment.label_names(None)? {
        for value in segment.label_values(&name, None)? {
            let found = segment.select(&[Matcher::equal(&name, &value)], TimeRange::ALL)?;
            all += &format!("{name}={value:?} {found:?}\n");
        }
    }
    Ok(all)
}

fn histogram(i: i64) -> Histogram {
    Histogram {
        schema: 3,
        zero_threshold: 1e-9,
        sum: i as f64 * 1.5,
        reset_hint: if i % 7 == 0 { ResetHint::Unknown } else { ResetHint::NotReset },
        positive_spans: vec![Span { offset: -2, length: 3 }],
        negative_spans: vec![],
        custom_values: vec![],
        buckets: if i % 50 > 40 {
            Buckets::Float { count: 1.5, zero_count: 0.5, positive: vec![1.0, 0.0, 0.25], negative: vec![] }
        } else {
            Buckets::Integer { count: 6 * i as u64, zero_count: i as u64, positive: vec![i, i, -i], negative: vec![] }
        },
    }
}

/// A few hosts with some series each, of every kind.
fn sample_series(hosts: i64, per_host: i64, samples: i64) -> Vec<Series> {
    let mut all = BTreeMap::new();
    for host in 0..hosts {
        for number in 0..per_host {
            let instance = format!("host-{host}:9100");
            let labels = Labels::from_pairs([
                ("__name__", format!("metric_{}", number / 3)),
                ("instance", instance),
                ("job", "node".to_owned()),
                (if number % 2 == 0 { "cpu" } else { "device" }, number.to_string()),
            ]);
            let mut buffer = SampleBuffer::default();
            for i in 0..samples {
                let t = 1_700_000_000_000 + i * 15_000 + host * 37;
                if number % 5 == 4 {
                    let histogram = Arc::new(histogram(i));
                    buffer.histograms.push(HistogramSample { timestamp: t, start_timestamp: host, histogram });
                } else {
                    let value = if i % 97 == 96 { stale_nan() } else { (i * number * 3 + host) as f64 / 4.0 };
                    buffer.push_float(t, value, if number == 1 { 1_600_000_000_000 } else { 0 });
                }
            }
            let exemplars = (0..number % 3)
                .map(|n| Exemplar {
                    labels: Labels::from_pairs([("trace_id", format!("{number:x}{n}"))]),
                    value: n as f64 / 3.0,
                    timestamp: 1_700_000_000_000 + n,
                })
                .collect();
            all.insert(labels, (buffer, exemplars));
        }
    }
    all.into_iter().map(|(labels, (samples, exemplars))| (labels, samples, exemplars)).collect()
}

#[test]
fn what_is_written_is_read() {
    let vfs = fs();
    let series = sample_series(7, 30, 700);
    let summary = write(&vfs, "s", &series).unwrap();
    let segment = open(&vfs, "s").unwrap();
    assert_eq!(*segment.summary(), summary);
    assert_eq!(summary.series, 210);
    assert_eq!(summary.samples(), 210 * 700);
    assert_eq!(summary.range, TimeRange::new(1_700_000_000_000, 1_700_000_000_000 + 699 * 15_000 + 6 * 37));
    assert_eq!(segment.verify().unwrap(), []);
    let ordinals: Vec<u32> = (0..210).rev().collect();
    let labels = segment.labels(&ordinals).unwrap();
    for (ordinal, labels) in ordinals.iter().zip(&labels) {
        let (expected, samples, exemplars) = &series[*ordinal as usize];
        assert_eq!(labels, expected);
        let mut read = SampleBuffer::default();
        segment.read(*ordinal, TimeRange::ALL, &mut read).unwrap();
        assert_eq!(seen(&read), seen(samples));
        assert_eq!(segment.exemplars(*ordinal, TimeRange::ALL).unwrap(), *exemplars);
    }
    // The scan sees the same.
    let mut scan = segment.scan();
    for (expected, samples, exemplars) in &series {
        let (mut read, mut found) = Default::default();
        assert_eq!(scan.peek().unwrap(), Some(expected));
        assert_eq!(scan.take(TimeRange::ALL, &mut read, &mut found).unwrap().as_ref(), Some(expected));
        assert_eq!((seen(&read), &found), (seen(samples), exemplars));
    }
    assert_eq!(scan.peek().unwrap(), None);
    assert!(summary.file_len < 60_000, "{}", summary.file_len);
}

#[test]
fn a_part_of_time_is_read() {
    let vfs = fs();
    let series = sample_series(3, 10, 900);
    write(&vfs, "s", &series).unwrap();
    let segment = open(&vfs, "s").unwrap();
    let base = 1_700_000_000_000;
    for (from, to) in
        [(0, 0), (1, 1), (15_000, 14_000), (-5, 3_000_000), (4_000_000, 4_000_040), (9_000_000, 99_000_000)]
    {
        let range = TimeRange::new(base + from, base + to);
        for (ordinal, (_, samples, _)) in series.iter().enumerate() {
            let mut expected = SampleBuffer::default();
            for i in (0..samples.timestamps.len()).filter(|i| range.contains(samples.timestamps[*i])) {
                let start = samples.start_timestamps.get(i).copied().unwrap_or(0);
                expected.push_float(samples.timestamps[i], samples.values[i], start);
            }
            expected.histograms = samples.histograms.iter().filter(|h| range.contains(h.timestamp)).cloned().collect();
            let mut read = SampleBuffer::default();
            segment.read(ordinal as u32, range, &mut read).unwrap();
            assert_eq!(seen(&read), seen(&expected));
        }
    }
    // Start timestamps stay as long as the timestamps when series with and without follow each other.
    let mut both = SampleBuffer::default();
    for ordinal in 0..segment.summary().series {
        segment.read(ordinal, TimeRange::ALL, &mut both).unwrap();
    }
    assert_eq!(both.start_timestamps.len(), both.timestamps.len());
    assert_eq!(both.values.len(), both.timestamps.len());
}

#[test]
fn timestamps_are_stored_once_for_all_series_of_a_target() {
    let vfs = fs();
    let mut series = sample_series(1, 400, 600);
    series.retain(|(_, samples, _)| samples.histograms.is_empty());
    write(&vfs, "s", &series).unwrap();
    let segment = open(&vfs, "s").unwrap();
    assert!(segment.times.count <= 3, "{}", segment.times.count);
}

fn matchers() -> Vec<Matcher> {
    let mut all = Vec::new();
    for name in ["__name__", "instance", "job", "cpu", "device", "none"] {
        for op in [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex] {
            for value in ["", "metric_1", "node", "host-2:9100", "3", "12", "zzz"] {
                all.push(Matcher::new(name, op, value).unwrap());
            }
        }
        for op in [MatchOp::Regex, MatchOp::NotRegex] {
            for value in ["metric_.*", ".*", ".+", "1|2|3", "|3", "host-[0-3].*", "(?i:NODE)", "metric_1.+", "1.*"] {
                all.push(Matcher::new(name, op, value).unwrap());
            }
        }
    }
    all
}

#[test]
fn every_matcher_selects_what_it_matches() {
    let vfs = fs();
    let series = sample_series(9, 120, 1);
    write(&vfs, "s", &series).unwrap();
    let segment = open(&vfs, "s").unwrap();
    let fits = |m: &Matcher, l: &Labels| m.matches(l.get(m.name()).unwrap_or(""));
    let expected = |matchers: &[&Matcher]| -> RoaringBitmap {
        (0..series.len() as u32).filter(|o| matchers.iter().all(|m| fits(m, &series[*o as usize].0))).collect()
    };
    let all = matchers();
    for (i, m) in all.iter().enumerate() {
        let found = segment.select(std::slice::from_ref(m), TimeRange::ALL).unwrap();
        assert_eq!(found, expected(&[m]), "{m}");
        let other = &all[(i * 31 + 7) % all.len()];
        let found = segment.select(&[m.clone(), other.clone()], TimeRange::ALL).unwrap();
        assert_eq!(found, expected(&[m, other]), "{m} and {other}");
    }
    assert_eq!(segment.select(&[], TimeRange::ALL).unwrap().len(), series.len() as u64);
    assert!(segment.select(&[], TimeRange::new(0, 1)).unwrap().is_empty());
}

#[test]
fn names_and_values_are_those_of_the_series_asked_for() {
    let vfs = fs();
    let mut series = sample_series(40, 60, 1);
    // Values that share more than an index keeps of them, over many blocks.
    for i in 0..3000 {
        let long = format!("{}{i:05}", "x".repeat(300));
        series.push((Labels::from_pairs([("__name__", "z"), ("long", &long)]), SampleBuffer::default(), Vec::new()));
    }
    write(&vfs, "s", &series).unwrap();
    let segment = open(&vfs, "s").unwrap();
    assert!(segment.values.blocks.len() > 2);
    assert_eq!(segment.verify().unwrap(), []);
    for i in (0..3000).step_by(7) {
        let long = Matcher::equal("long", format!("{}{i:05}", "x".repeat(300)));
        let found = segment.select(&[long], TimeRange::ALL).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), [2400 + i]);
    }
    let few: RoaringBitmap = [3, 500, 2399].into_iter().collect();
    let many: RoaringBitmap = (0..2300).collect();
    for among in [None, Some(&few), Some(&many)] {
        let chosen: Vec<&Labels> = (0..series.len() as u32)
            .filter(|o| among.is_none_or(|a| a.contains(*o)))
            .map(|o| &series[o as usize].0)
            .collect();
        let mut names: Vec<String> = chosen.iter().flat_map(|l| l.iter().map(|(n, _)| n.to_owned())).collect();
        names.sort();
        names.dedup();
        assert_eq!(segment.label_names(among).unwrap(), names);
        for name in names.iter().map(String::as_str).chain(["none"]) {
            let mut values: Vec<String> = chosen.iter().filter_map(|l| l.get(name)).map(str::to_owned).collect();
            values.sort();
            values.dedup();
            assert_eq!(segment.label_values(name, among).unwrap(), values, "{name}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let vfs = fs();
    let create = |path: &str| SegmentWriter::create(&vfs, Path::new(path), WriterOptions::default());
    let (a, b) = (Labels::from_pairs([("a", "1")]), Labels::from_pairs([("b", "1")]));
    let empty = SampleBuffer::default();
    let mut writer = create("s").unwrap();
    assert!(create("s").is_err());
    writer.add_series(&b, &empty, &[]).unwrap();
    assert!(matches!(writer.add_series(&a, &empty, &[]), Err(StorageError::Invalid(_))));
    assert!(matches!(writer.add_series(&b, &empty, &[]), Err(StorageError::Invalid(_))));
    let mut twice = SampleBuffer::default();
    twice.push_float(5, 1.0, 0);
    twice.push_float(5, 1.0, 0);
    assert!(matches!(create("t").unwrap().add_series(&a, &twice, &[]), Err(StorageError::Invalid(_))));
    // Not finished: not a segment.
    assert!(matches!(open(&vfs, "s"), Err(StorageError::Corrupt { .. })));
}

#[test]
fn an_empty_segment_answers() {
    let vfs = fs();
    let summary = write(&vfs, "s", &[]).unwrap();
    assert!(summary.range.is_empty());
    let segment = open(&vfs, "s").unwrap();
    assert!(segment.select(&[], TimeRange::ALL).unwrap().is_empty());
    assert_eq!(segment.label_names(None).unwrap(), Vec::<String>::new());
    assert_eq!(segment.verify().unwrap(), []);
    assert!(segment.labels(&[0]).is_err());
    assert!(segment.read(0, TimeRange::ALL, &mut SampleBuffer::default()).is_ok());
}

fn bytes_of(vfs: &Arc<dyn Vfs>, path: &str) -> Vec<u8> {
    let file = vfs.open(Path::new(path), OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn put(vfs: &Arc<dyn Vfs>, path: &str, bytes: &[u8]) {
    let file = vfs.open(Path::new(path), OpenMode::CreateOrOpen).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

/// What a reader sees of a file that is not as it was written: never other answers than before.
fn check_damaged(vfs: &Arc<dyn Vfs>, bytes: &[u8], whole: &str, what: &str) {
    put(vfs, "damaged", bytes);
    match open(vfs, "damaged") {
        Err(StorageError::Corrupt { .. } | StorageError::NewerFormat { .. }) => {}
        Err(other) => panic!("{what}: {other}"),
        Ok(segment) => {
            match answers(&segment) {
                Ok(found) => assert_eq!(found, whole, "{what}: another answer"),
                Err(StorageError::Corrupt { .. }) => {}
                Err(other) => panic!("{what}: {other}"),
            }
            let damage = segment.verify().unwrap();
            assert_ne!(damage, [], "{what}: not seen by verify");
        }
    }
}

#[test]
fn every_flipped_bit_and_every_truncation_is_noticed() {
    let vfs = fs();
    write(&vfs, "s", &sample_series(2, 6, 5)).unwrap();
    let bytes = bytes_of(&vfs, "s");
    let whole = answers(&open(&vfs, "s").unwrap()).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        check_damaged(&vfs, &damaged, &whole, &format!("bit {} of byte {at}", at % 8));
        check_damaged(&vfs, &bytes[..at], &whole, &format!("cut at {at}"));
    }
    check_damaged(&vfs, &[&bytes[..], &[0]].concat(), &whole, "a byte too many");
}

#[test]
fn blocks_of_another_place_or_file_are_noticed() {
    let vfs = fs();
    write(&vfs, "s", &sample_series(2, 40, 300)).unwrap();
    write(&vfs, "t", &sample_series(2, 40, 300)).unwrap();
    let (bytes, other) = (bytes_of(&vfs, "s"), bytes_of(&vfs, "t"));
    let whole = answers(&open(&vfs, "s").unwrap()).unwrap();
    assert_eq!(bytes.len(), other.len());
    for page in (0..bytes.len()).step_by(512) {
        let end = (page + 512).min(bytes.len());
        let mut mixed = bytes.clone();
        mixed[page..end].copy_from_slice(&other[page..end]);
        if mixed != bytes {
            check_damaged(&vfs, &mixed, &whole, &format!("page {page} of another file"));
        }
        for fill in [0, 0xff] {
            mixed[page..end].fill(fill);
            check_damaged(&vfs, &mixed, &whole, &format!("page {page} filled with {fill}"));
        }
    }
}

#[test]
fn verify_tells_what_is_lost() {
    let vfs = fs();
    write(&vfs, "s", &sample_series(2, 10, 50)).unwrap();
    let mut bytes = bytes_of(&vfs, "s");
    let segment = open(&vfs, "s").unwrap();
    let chunks = segment.chunks.blocks[0].at;
    bytes[chunks.offset as usize + 40] ^= 4;
    put(&vfs, "d", &bytes);
    let damage = open(&vfs, "d").unwrap().verify().unwrap();
    assert!(
        matches!(&damage[..], [Damage { offset, series: 20, range, .. }]
        if *offset == chunks.offset && *range == segment.summary().range),
        "{damage:?}"
    );
}

#[test]
fn a_newer_format_is_named() {
    let vfs = fs();
    write(&vfs, "s", &[]).unwrap();
    let mut bytes = bytes_of(&vfs, "s");
    bytes[8] = 2;
    let checksum = crc32c::crc32c(&bytes[..20]).to_le_bytes();
    bytes[20..24].copy_from_slice(&checksum);
    put(&vfs, "n", &bytes);
    assert!(matches!(open(&vfs, "n"), Err(StorageError::NewerFormat { found: 2, supported: 1, .. })));
}

fn any_samples() -> impl Strategy<Value = SampleBuffer> {
    let times = prop::collection::vec((any::<i64>(), 0u32..45), 0..80);
    let histograms = prop::collection::vec(crate::encoding::any_histogram(), 0..20);
    (times, any::<u64>(), histograms, any::<bool>()).prop_map(|(times, seed, histograms, starts)| {
        let mut times: Vec<i64> = times.into_iter().map(|(t, shift)| t >> shift).collect();
        times.sort_unstable();
        times.dedup();
        let mut samples = SampleBuffer::default();
        for (i, t) in times.into_iter().enumerate() {
            if let Some(h) = histograms.get(i)
                && seed % 3 == 0
            {
                let histogram = Arc::new(h.clone());
                samples.histograms.push(HistogramSample { timestamp: t, start_timestamp: t / 2, histogram });
            } else {
                let value = f64::from_bits(seed.wrapping_mul(i as u64) >> (seed % 64));
                samples.push_float(t, value, if starts { t.wrapping_sub(1) } else { 0 });
            }
        }
        samples
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_series_come_back(
        series in prop::collection::btree_map(
            prop::collection::btree_map("[a-c]{1,2}", "[x-z\u{e9}]{1,3}", 0..4),
            any_samples(),
            0..40,
        ),
        from: i64,
        to: i64,
    ) {
        let mut all: Vec<Series> = series
            .into_iter()
            .map(|(pairs, samples)| (Labels::from_pairs(pairs), samples, Vec::new()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let vfs = fs();
        write(&vfs, "s", &all).unwrap();
        let segment = open(&vfs, "s").unwrap();
        prop_assert_eq!(segment.verify().unwrap(), []);
        let ordinals: Vec<u32> = (0..all.len() as u32).collect();
        let labels = segment.labels(&ordinals).unwrap();
        let range = TimeRange::new(from.min(to), from.max(to));
        for (ordinal, (expected, samples, _)) in all.iter().enumerate() {
            prop_assert_eq!(&labels[ordinal], expected);
            let mut read = SampleBuffer::default();
            segment.read(ordinal as u32, TimeRange::ALL, &mut read).unwrap();
            prop_assert_eq!(seen(&read), seen(samples));
            let mut part = SampleBuffer::default();
            segment.read(ordinal as u32, range, &mut part).unwrap();
            let inside: Vec<i64> = samples.timestamps.iter().copied().filter(|t| range.contains(*t)).collect();
            prop_assert_eq!(&part.timestamps, &inside);
        }
    }
}
