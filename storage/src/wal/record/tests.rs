//! Records come back as they were written; cut or changed bytes are refused or give other records, never a panic.

use proptest::prelude::*;
use roaring::RoaringTreemap;

use super::*;
use crate::{
    StorageError,
    model::{
        histogram::{Buckets, ResetHint, Span},
        labels::Labels,
        metadata::MetricKind,
        stale_nan,
    },
    rng::Rng,
};

#[derive(Debug, Clone, PartialEq)]
enum Record {
    Pair(u32, String, String),
    Series(u32, Vec<u32>),
    /// The value by its bits, so that NaNs compare.
    Float(u32, i64, i64, u64),
    /// By its text, so that NaNs compare.
    Histogram(u32, i64, i64, String),
    Exemplar(u32, Exemplar),
    Metadata(String, MetricMetadata),
    /// By its text.
    Table(String),
}

#[derive(Default)]
struct Collect(Vec<Record>);

impl RecordVisitor for Collect {
    fn pair(&mut self, id: u32, name: &str, value: &str) -> Result<()> {
        self.0.push(Record::Pair(id, name.to_owned(), value.to_owned()));
        Ok(())
    }
    fn series(&mut self, id: u32, pairs: &[u32]) -> Result<()> {
        self.0.push(Record::Series(id, pairs.to_vec()));
        Ok(())
    }
    fn float(&mut self, s: FloatSample) -> Result<()> {
        self.0.push(Record::Float(s.series, s.timestamp, s.start_timestamp, s.value.to_bits()));
        Ok(())
    }
    fn histogram(&mut self, series: u32, timestamp: i64, start: i64, histogram: Histogram) -> Result<()> {
        self.0.push(Record::Histogram(series, timestamp, start, format!("{histogram:?}")));
        Ok(())
    }
    fn exemplar(&mut self, series: u32, exemplar: Exemplar) -> Result<()> {
        self.0.push(Record::Exemplar(series, exemplar));
        Ok(())
    }
    fn metadata(&mut self, metric: &str, metadata: MetricMetadata) -> Result<()> {
        self.0.push(Record::Metadata(metric.to_owned(), metadata));
        Ok(())
    }
    fn table(&mut self, record: TableRecord<'_>) -> Result<()> {
        self.0.push(Record::Table(format!("{record:?}")));
        Ok(())
    }
}

fn histograms() -> [Histogram; 2] {
    let integer = Histogram {
        schema: -4,
        zero_threshold: 1e-128,
        sum: -0.0,
        reset_hint: ResetHint::Gauge,
        positive_spans: vec![Span { offset: i32::MIN, length: 2 }, Span { offset: 3, length: u32::MAX }],
        negative_spans: vec![],
        custom_values: vec![],
        buckets: Buckets::Integer {
            count: u64::MAX,
            zero_count: 1,
            positive: vec![i64::MIN, i64::MAX, 0],
            negative: vec![-1],
        },
    };
    let float = Histogram {
        schema: crate::model::histogram::CUSTOM_BUCKETS_SCHEMA,
        sum: f64::INFINITY,
        reset_hint: ResetHint::NotReset,
        custom_values: vec![0.5, 1.0],
        buckets: Buckets::Float { count: 1.5, zero_count: 0.0, positive: vec![0.25, f64::MAX], negative: vec![] },
        ..integer.clone()
    };
    [integer, float]
}

fn sample(series: u32, timestamp: i64, start_timestamp: i64, value: f64) -> FloatSample {
    FloatSample { series, timestamp, start_timestamp, value }
}

/// A payload with every kind of record, and what it has to decode to.
fn every_kind() -> (Vec<u8>, Vec<Record>) {
    let mut payload = Vec::new();
    let mut encoder = RecordEncoder::new(&mut payload);
    let floats = [
        sample(0, 0, 0, 1.0),
        sample(u32::MAX, i64::MAX, 0, stale_nan()),
        sample(7, i64::MIN, 0, -0.0),
        sample(8, -1, 0, f64::NEG_INFINITY),
    ];
    let started = [sample(1, 1000, i64::MIN, 2.0), sample(2, 1000, i64::MAX, 3.0), sample(0, 0, 0, 4.0)];
    let exemplar =
        Exemplar { labels: Labels::from_pairs([("trace_id", "abc"), ("a", "b")]), value: 0.5, timestamp: -5 };
    let metadata =
        MetricMetadata { kind: MetricKind::StateSet, help: "Hilfe \u{e4}".to_owned(), unit: "seconds".to_owned() };
    encoder.pair(0, "__name__", "up");
    encoder.pair(u32::MAX, "", "");
    encoder.series(300, &[0, u32::MAX, 128]);
    encoder.series(0, &[]);
    encoder.floats(floats);
    encoder.floats([]);
    encoder.floats_with_start(started);
    let mut expected = vec![
        Record::Pair(0, "__name__".to_owned(), "up".to_owned()),
        Record::Pair(u32::MAX, String::new(), String::new()),
        Record::Series(300, vec![0, u32::MAX, 128]),
        Record::Series(0, vec![]),
    ];
    let float = |s: &FloatSample| Record::Float(s.series, s.timestamp, s.start_timestamp, s.value.to_bits());
    expected.extend(floats.iter().chain(&started).map(float));
    for histogram in histograms() {
        encoder.histogram(5, 10, -10, &histogram);
        expected.push(Record::Histogram(5, 10, -10, format!("{histogram:?}")));
    }
    encoder.exemplar(9, &exemplar);
    encoder.metadata("up", &metadata);
    expected.push(Record::Exemplar(9, exemplar));
    expected.push(Record::Metadata("up".to_owned(), metadata));
    (payload, expected)
}

fn decoded(payload: &[u8]) -> (Vec<Record>, Result<()>) {
    let mut collect = Collect::default();
    let result = decode(payload, &mut collect);
    (collect.0, result)
}

#[test]
fn every_kind_of_record_comes_back() {
    let (payload, expected) = every_kind();
    let (records, result) = decoded(&payload);
    result.unwrap();
    assert_eq!(records, expected);
    assert!(decoded(&[]).0.is_empty());
}

#[test]
fn a_payload_cut_anywhere_gives_a_beginning_and_an_error() {
    let (payload, expected) = every_kind();
    let mut whole = 0;
    for len in 0..payload.len() {
        let (records, result) = decoded(&payload[..len]);
        assert!(expected.starts_with(&records), "cut at {len}");
        match result {
            Ok(()) => whole += 1,
            Err(e) => assert!(matches!(e, StorageError::Malformed { .. }), "{e}"),
        }
    }
    assert_eq!(whole, 10, "only a cut between two records is no error: {whole}");
}

#[test]
fn changed_bytes_never_panic() {
    let (payload, _) = every_kind();
    for at in 0..payload.len() {
        for bit in 0..8 {
            let mut changed = payload.clone();
            changed[at] ^= 1 << bit;
            let _ = decoded(&changed);
        }
    }
    let mut rng = Rng::new(1);
    for _ in 0..20_000 {
        let bytes: Vec<u8> =
            (0..rng.below(64)).map(|_| rng.below(256) as u8 & if rng.below(2) == 0 { 7 } else { 255 }).collect();
        let _ = decoded(&bytes);
    }
}

#[test]
fn lies_about_lengths_are_refused_before_memory_is_taken() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    for prefix in [vec![TAG_PAIR, 0], vec![TAG_SERIES, 0], vec![TAG_EXEMPLAR, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let mut payload = prefix;
        payload.extend(huge);
        assert!(matches!(decoded(&payload).1, Err(StorageError::Malformed { .. })));
    }
    let overlong = [TAG_PAIR, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
    assert!(decoded(&overlong).1.unwrap_err().to_string().contains("64 bits"));
    assert!(decoded(&[99]).1.unwrap_err().to_string().contains("tag 99"));
}

proptest! {
    #[test]
    fn any_samples_come_back(samples in prop::collection::vec((any::<u32>(), any::<i64>(), any::<i64>(), any::<u64>()), 0..50)) {
        let given: Vec<FloatSample> =
            samples.iter().map(|(s, t, st, v)| sample(*s, *t, *st, f64::from_bits(*v))).collect();
        let mut payload = Vec::new();
        RecordEncoder::new(&mut payload).floats_with_start(given.iter().copied());
        let (records, result) = decoded(&payload);
        prop_assert!(result.is_ok());
        let expected: Vec<Record> = samples.into_iter().map(|(s, t, st, v)| Record::Float(s, t, st, v)).collect();
        prop_assert_eq!(records, expected);
    }
}

#[test]
fn records_of_tables_come_back() {
    let mut ids = RoaringTreemap::from_iter([1, 5, 6, 7, 1 << 40, u64::MAX - 1]);
    ids.insert_range(1_000..100_000);
    let records = [
        TableRecord::Table(b"body"),
        TableRecord::Drop(3),
        TableRecord::Entry { space: "view", name: "v", body: Some(b"select 1") },
        TableRecord::Entry { space: "view", name: "v", body: None },
        TableRecord::Rows { table: 7, first: 1 << 50, rows: b"rows" },
        TableRecord::Deleted { table: 7, ids },
        TableRecord::Serial { table: 1, column: 2, next: -3 },
    ];
    let mut payload = Vec::new();
    records.iter().for_each(|record| RecordEncoder::new(&mut payload).table(record));
    let mut got = Collect::default();
    decode(&payload, &mut got).unwrap();
    let want: Vec<_> = records.iter().map(|record| Record::Table(format!("{record:?}"))).collect();
    assert_eq!(got.0, want);
    let many = [TAG_DELETED, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert!(decode(&many, &mut Collect::default()).is_err(), "a few bytes must not take much memory");
}
