//! Remote write against an independent implementation of Protocol Buffers, and against broken bytes.

use std::sync::Arc;

use chronolith_storage::{
    Buckets, Exemplar, Histogram, Labels, MetricKind, MetricMetadata, ResetHint, Span, read::HistogramSample,
};
use proptest::prelude::*;
use prost::Message as _;

use super::{Sample, SeriesData, V1Encoder, V2Encoder, v1, v2};
use crate::ingest::{
    label_rules::{LabelError, LabelLimits, LabelsError},
    protobuf::Problem,
};

/// Prometheus' messages as prost understands them.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) timeseries: Vec<TimeSeries>,
        #[prost(message, repeated, tag = "3")]
        pub(super) metadata: Vec<MetricMetadata>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub(super) exemplars: Vec<Exemplar>,
        #[prost(message, repeated, tag = "4")]
        pub(super) histograms: Vec<Histogram>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Label {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) value: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Sample {
        #[prost(double, tag = "1")]
        pub(super) value: f64,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
        #[prost(int64, tag = "3")]
        pub(super) start_timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(double, tag = "2")]
        pub(super) value: f64,
        #[prost(int64, tag = "3")]
        pub(super) timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct MetricMetadata {
        #[prost(int32, tag = "1")]
        pub(super) kind: i32,
        #[prost(string, tag = "2")]
        pub(super) metric_family_name: String,
        #[prost(string, tag = "4")]
        pub(super) help: String,
        #[prost(string, tag = "5")]
        pub(super) unit: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct BucketSpan {
        #[prost(sint32, tag = "1")]
        pub(super) offset: i32,
        #[prost(uint32, tag = "2")]
        pub(super) length: u32,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Histogram {
        #[prost(uint64, optional, tag = "1")]
        pub(super) count_int: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub(super) count_float: Option<f64>,
        #[prost(double, tag = "3")]
        pub(super) sum: f64,
        #[prost(sint32, tag = "4")]
        pub(super) schema: i32,
        #[prost(double, tag = "5")]
        pub(super) zero_threshold: f64,
        #[prost(uint64, optional, tag = "6")]
        pub(super) zero_count_int: Option<u64>,
        #[prost(double, optional, tag = "7")]
        pub(super) zero_count_float: Option<f64>,
        #[prost(message, repeated, tag = "8")]
        pub(super) negative_spans: Vec<BucketSpan>,
        #[prost(sint64, repeated, tag = "9")]
        pub(super) negative_deltas: Vec<i64>,
        #[prost(double, repeated, tag = "10")]
        pub(super) negative_counts: Vec<f64>,
        #[prost(message, repeated, tag = "11")]
        pub(super) positive_spans: Vec<BucketSpan>,
        #[prost(sint64, repeated, tag = "12")]
        pub(super) positive_deltas: Vec<i64>,
        #[prost(double, repeated, tag = "13")]
        pub(super) positive_counts: Vec<f64>,
        #[prost(int32, tag = "14")]
        pub(super) reset_hint: i32,
        #[prost(int64, tag = "15")]
        pub(super) timestamp: i64,
        #[prost(double, repeated, tag = "16")]
        pub(super) custom_values: Vec<f64>,
        #[prost(int64, tag = "17")]
        pub(super) start_timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(string, repeated, tag = "4")]
        pub(super) symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        pub(super) timeseries: Vec<TimeSeries2>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TimeSeries2 {
        #[prost(uint32, repeated, tag = "1")]
        pub(super) labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub(super) histograms: Vec<Histogram>,
        #[prost(message, repeated, tag = "4")]
        pub(super) exemplars: Vec<Exemplar2>,
        #[prost(message, optional, tag = "5")]
        pub(super) metadata: Option<Metadata2>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Exemplar2 {
        #[prost(uint32, repeated, tag = "1")]
        pub(super) labels_refs: Vec<u32>,
        #[prost(double, tag = "2")]
        pub(super) value: f64,
        #[prost(int64, tag = "3")]
        pub(super) timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metadata2 {
        #[prost(int32, tag = "1")]
        pub(super) kind: i32,
        #[prost(uint32, tag = "3")]
        pub(super) help_ref: u32,
        #[prost(uint32, tag = "4")]
        pub(super) unit_ref: u32,
    }
}

fn label(name: &str, value: &str) -> proto::Label {
    proto::Label { name: name.to_owned(), value: value.to_owned() }
}

fn span(offset: i32, length: u32) -> proto::BucketSpan {
    proto::BucketSpan { offset, length }
}

fn integer_histogram() -> proto::Histogram {
    proto::Histogram {
        count_int: Some(9),
        sum: 1.5,
        schema: -3,
        zero_threshold: 1e-128,
        zero_count_int: Some(2),
        negative_spans: vec![span(-4, 1)],
        negative_deltas: vec![1],
        positive_spans: vec![span(3, 2), span(1, 1)],
        positive_deltas: vec![2, -1, 2],
        reset_hint: 2,
        timestamp: 1_700_000_000_001,
        ..Default::default()
    }
}

fn float_histogram() -> proto::Histogram {
    proto::Histogram {
        count_float: Some(4.5),
        sum: f64::NEG_INFINITY,
        schema: -53,
        zero_count_float: Some(0.0),
        positive_spans: vec![span(0, 3)],
        positive_counts: vec![0.5, 0.0, 4.0],
        custom_values: vec![-1.0, 0.25],
        reset_hint: 3,
        timestamp: -7,
        ..Default::default()
    }
}

fn expected_histograms() -> (Histogram, Histogram) {
    let integer = Histogram {
        schema: -3,
        zero_threshold: 1e-128,
        sum: 1.5,
        reset_hint: ResetHint::NotReset,
        positive_spans: vec![Span { offset: 3, length: 2 }, Span { offset: 1, length: 1 }],
        negative_spans: vec![Span { offset: -4, length: 1 }],
        custom_values: Vec::new(),
        buckets: Buckets::Integer { count: 9, zero_count: 2, positive: vec![2, -1, 2], negative: vec![1] },
    };
    let float = Histogram {
        schema: -53,
        zero_threshold: 0.0,
        sum: f64::NEG_INFINITY,
        reset_hint: ResetHint::Gauge,
        positive_spans: vec![Span { offset: 0, length: 3 }],
        negative_spans: Vec::new(),
        custom_values: vec![-1.0, 0.25],
        buckets: Buckets::Float { count: 4.5, zero_count: 0.0, positive: vec![0.5, 0.0, 4.0], negative: Vec::new() },
    };
    (integer, float)
}

fn full_v1() -> proto::WriteRequest {
    let long = "v".repeat(300);
    proto::WriteRequest {
        timeseries: vec![
            proto::TimeSeries {
                labels: vec![label("__name__", "up"), label("job", "a\u{fc}"), label("z", &long)],
                samples: vec![
                    proto::Sample { value: 1.0, timestamp: 1_700_000_000_000, start_timestamp: 0 },
                    proto::Sample { value: 0.0, timestamp: -1, start_timestamp: 0 },
                    proto::Sample { value: f64::from_bits(0x7ff0_0000_0000_0002), timestamp: 0, start_timestamp: 0 },
                ],
                exemplars: vec![proto::Exemplar {
                    labels: vec![label("trace_id", "abc")],
                    value: 0.5,
                    timestamp: 1_700_000_000_002,
                }],
                histograms: Vec::new(),
            },
            proto::TimeSeries {
                labels: vec![label("__name__", "h")],
                histograms: vec![integer_histogram(), float_histogram()],
                ..Default::default()
            },
        ],
        metadata: vec![proto::MetricMetadata {
            kind: 1,
            metric_family_name: "up".to_owned(),
            help: "Whether it is.".to_owned(),
            unit: "bool".to_owned(),
        }],
    }
}

#[test]
fn v1_reads_what_prost_writes() {
    let bytes = full_v1().encode_to_vec();
    let request = v1::WriteRequest::new(&bytes);
    let series: Vec<_> = request.series().collect::<Result<_, _>>().unwrap();
    assert_eq!(series.len(), 2);
    let labels = series[0].to_labels(&LabelLimits::default()).unwrap();
    assert_eq!(labels.get("job"), Some("a\u{fc}"));
    assert_eq!(labels.get("z").map(str::len), Some(300));
    let key = series[0].label_bytes().unwrap();
    let labels_alone = proto::TimeSeries { labels: full_v1().timeseries[0].labels.clone(), ..Default::default() };
    assert_eq!(key, labels_alone.encode_to_vec());
    let samples: Vec<_> = series[0].samples().map(|s| s.map(|s| (s.timestamp, s.value.to_bits()))).collect();
    assert_eq!(samples, [Ok((1_700_000_000_000, 1f64.to_bits())), Ok((-1, 0)), Ok((0, 0x7ff0_0000_0000_0002))]);
    let exemplars: Vec<_> = series[0].exemplars().collect();
    let trace = Labels::from_pairs([("trace_id", "abc")]);
    assert_eq!(exemplars, [Ok(Exemplar { labels: trace, value: 0.5, timestamp: 1_700_000_000_002 })]);
    let histograms: Vec<_> = series[1].histograms().collect::<Result<_, _>>().unwrap();
    let (integer, float) = expected_histograms();
    assert_eq!((&*histograms[0].histogram, histograms[0].timestamp), (&integer, 1_700_000_000_001));
    assert_eq!((&*histograms[1].histogram, histograms[1].timestamp), (&float, -7));
    let metadata: Vec<_> = request.metadata().collect();
    let expected = v1::Metadata { family: "up", kind: MetricKind::Counter, help: "Whether it is.", unit: "bool" };
    assert_eq!(metadata, [Ok(expected)]);
}

#[test]
fn prost_reads_what_v1_writes() {
    let (integer, float) = expected_histograms();
    let expected = full_v1();
    let labels = |i: usize| {
        Labels::from_pairs(expected.timeseries[i].labels.iter().map(|l| (l.name.as_str(), l.value.as_str())))
    };
    let samples = expected.timeseries[0].samples.iter().map(|s| Sample::new(s.timestamp, s.value)).collect::<Vec<_>>();
    let exemplars =
        [Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), value: 0.5, timestamp: 1_700_000_000_002 }];
    let histograms = [(1_700_000_000_001, integer), (-7, float)].map(|(timestamp, h)| HistogramSample {
        timestamp,
        start_timestamp: 0,
        histogram: Arc::new(h),
    });
    let metadata =
        MetricMetadata { kind: MetricKind::Counter, help: "Whether it is.".to_owned(), unit: "bool".to_owned() };
    let mut encoder = V1Encoder::new();
    encoder.push(&SeriesData {
        labels: &labels(0),
        samples: &samples,
        histograms: &[],
        exemplars: &exemplars,
        metadata: Some(&metadata),
    });
    encoder.push(&SeriesData { histograms: &histograms, ..SeriesData::floats(&labels(1), &[]) });
    let decoded = proto::WriteRequest::decode(encoder.as_bytes()).unwrap();
    // NaN does not equal itself: compare the bytes that prost makes.
    assert_eq!(decoded.encode_to_vec(), expected.encode_to_vec());
}

fn full_v2() -> proto::Request {
    let symbols = ["", "__name__", "up", "job", "a", "trace_id", "abc", "Whether it is.", "h"];
    proto::Request {
        symbols: symbols.map(str::to_owned).to_vec(),
        timeseries: vec![
            proto::TimeSeries2 {
                labels_refs: vec![1, 2, 3, 4],
                samples: vec![proto::Sample { value: 2.5, timestamp: 1_000, start_timestamp: 900 }],
                exemplars: vec![proto::Exemplar2 { labels_refs: vec![5, 6], value: 0.5, timestamp: 999 }],
                metadata: Some(proto::Metadata2 { kind: 2, help_ref: 7, unit_ref: 0 }),
                ..Default::default()
            },
            proto::TimeSeries2 {
                labels_refs: vec![1, 8],
                histograms: vec![proto::Histogram { start_timestamp: 5, ..integer_histogram() }, float_histogram()],
                ..Default::default()
            },
        ],
    }
}

#[test]
fn v2_reads_what_prost_writes() {
    let bytes = full_v2().encode_to_vec();
    let request = v2::Request::new(&bytes).unwrap();
    let series: Vec<_> = request.series().collect::<Result<_, _>>().unwrap();
    assert_eq!(series[0].to_labels(&LabelLimits::default()).unwrap().to_string(), r#"up{job="a"}"#);
    assert_eq!(
        series[0].samples().collect::<Vec<_>>(),
        [Ok(Sample { timestamp: 1_000, value: 2.5, start_timestamp: 900 })]
    );
    let exemplars: Vec<_> = series[0].exemplars().collect::<Result<_, _>>().unwrap();
    assert_eq!(exemplars[0].labels.get("trace_id"), Some("abc"));
    let metadata = series[0].metadata().unwrap();
    assert_eq!((metadata.kind, metadata.help, metadata.unit), (MetricKind::Gauge, "Whether it is.", ""));
    assert!(series[1].metadata().is_none());
    let histograms: Vec<_> = series[1].histograms().collect::<Result<_, _>>().unwrap();
    assert_eq!((&*histograms[0].histogram, histograms[0].start_timestamp), (&expected_histograms().0, 5));
    assert_eq!(*histograms[1].histogram, expected_histograms().1);
    // Both versions give the same key for the same labels.
    let mut key = Vec::new();
    series[0].write_label_bytes(&mut key);
    let same = proto::TimeSeries { labels: vec![label("__name__", "up"), label("job", "a")], ..Default::default() };
    assert_eq!(key, same.encode_to_vec());
}

#[test]
fn prost_reads_what_v2_writes() {
    let (integer, float) = expected_histograms();
    let metadata = MetricMetadata { kind: MetricKind::Gauge, help: "Whether it is.".to_owned(), unit: String::new() };
    let exemplars = [Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), value: 0.5, timestamp: 999 }];
    let mut encoder = V2Encoder::new();
    encoder.push(&SeriesData {
        labels: &Labels::from_pairs([("__name__", "up"), ("job", "a")]),
        samples: &[Sample { timestamp: 1_000, value: 2.5, start_timestamp: 900 }],
        histograms: &[],
        exemplars: &exemplars,
        metadata: Some(&metadata),
    });
    let histograms = [
        HistogramSample { timestamp: 1_700_000_000_001, start_timestamp: 5, histogram: Arc::new(integer) },
        HistogramSample { timestamp: -7, start_timestamp: 0, histogram: Arc::new(float) },
    ];
    let labels = Labels::from_pairs([("__name__", "h")]);
    encoder.push(&SeriesData { histograms: &histograms, ..SeriesData::floats(&labels, &[]) });
    assert_eq!(proto::Request::decode(encoder.finish().as_slice()).unwrap(), full_v2());
}

#[test]
fn fields_may_be_scattered_repeated_and_unknown() {
    // samples, label, unknown field 9, label: the labels do not stand together.
    let part = |t: proto::TimeSeries| t.encode_to_vec();
    let mut body = part(proto::TimeSeries {
        samples: vec![proto::Sample { value: 1.0, timestamp: 2, start_timestamp: 0 }],
        ..Default::default()
    });
    body.extend(part(proto::TimeSeries { labels: vec![label("__name__", "up")], ..Default::default() }));
    body.extend([0x4a, 2, 1, 2]);
    body.extend(part(proto::TimeSeries { labels: vec![label("a", "b")], ..Default::default() }));
    body.extend(part(proto::TimeSeries {
        samples: vec![proto::Sample { value: 3.0, timestamp: 4, start_timestamp: 0 }],
        ..Default::default()
    }));
    let mut bytes = vec![0x0a, body.len() as u8];
    bytes.extend(&body);
    let series = v1::WriteRequest::new(&bytes).series().next().unwrap().unwrap();
    assert_eq!(series.label_bytes(), None);
    assert_eq!(series.to_labels(&LabelLimits::default()).unwrap().to_string(), r#"up{a="b"}"#);
    assert_eq!(series.samples().map(|s| s.unwrap().timestamp).collect::<Vec<_>>(), [2, 4]);

    // 2.0: references as single numbers and two packed lists.
    let mut bytes = proto::Request { symbols: full_v2().symbols, timeseries: Vec::new() }.encode_to_vec();
    bytes.extend([0x2a, 10, 0x08, 1, 0x08, 2, 0x0a, 1, 3, 0x0a, 1, 4]);
    let request = v2::Request::new(&bytes).unwrap();
    let series = request.series().next().unwrap().unwrap();
    assert_eq!(series.to_labels(&LabelLimits::default()).unwrap().to_string(), r#"up{job="a"}"#);
}

/// Runs through everything that a body holds; gives the first error that breaks the request.
fn walk_v1(bytes: &[u8]) -> Result<usize, Problem> {
    let request = v1::WriteRequest::new(bytes);
    let mut seen = 0;
    for series in request.series() {
        let series = series.map_err(|e| e.problem)?;
        if let Err(LabelsError::Decode(e)) = series.to_labels(&LabelLimits::default()) {
            return Err(e.problem);
        }
        for sample in series.samples() {
            sample.map_err(|e| e.problem)?;
            seen += 1;
        }
        for histogram in series.histograms() {
            let histogram = histogram.map_err(|e| e.problem)?;
            let _ = histogram.histogram.validate();
        }
        for exemplar in series.exemplars() {
            if let Err(LabelsError::Decode(e)) = exemplar {
                return Err(e.problem);
            }
        }
    }
    for metadata in request.metadata() {
        metadata.map_err(|e| e.problem)?;
    }
    Ok(seen)
}

fn walk_v2(bytes: &[u8]) -> Result<usize, Problem> {
    let request = v2::Request::new(bytes).map_err(|e| e.problem)?;
    let mut seen = 0;
    for series in request.series() {
        let series = series.map_err(|e| e.problem)?;
        let _ = series.to_labels(&LabelLimits::default());
        let _ = series.metadata();
        series.write_label_bytes(&mut Vec::new());
        for sample in series.samples() {
            sample.map_err(|e| e.problem)?;
            seen += 1;
        }
        for histogram in series.histograms() {
            histogram.map_err(|e| e.problem)?;
        }
        for exemplar in series.exemplars() {
            if let Err(LabelsError::Decode(e)) = exemplar {
                return Err(e.problem);
            }
        }
    }
    Ok(seen)
}

#[test]
fn truncated_bodies_are_errors_or_fewer_series_as_prost_sees_it() {
    let v1_bytes = full_v1().encode_to_vec();
    for len in 0..=v1_bytes.len() {
        let cut = &v1_bytes[..len];
        assert_eq!(walk_v1(cut).is_ok(), proto::WriteRequest::decode(cut).is_ok(), "length {len}");
    }
    let v2_bytes = full_v2().encode_to_vec();
    for len in 0..=v2_bytes.len() {
        if walk_v2(&v2_bytes[..len]).is_ok() {
            assert!(proto::Request::decode(&v2_bytes[..len]).is_ok(), "length {len}");
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    for (bytes, walk) in [
        (full_v1().encode_to_vec(), walk_v1 as fn(&[u8]) -> Result<usize, Problem>),
        (full_v2().encode_to_vec(), walk_v2),
    ] {
        for i in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[i / 8] ^= 1 << (i % 8);
            let _ = walk(&flipped);
        }
    }
}

#[test]
fn each_kind_of_broken_body_is_named() {
    let problem = |bytes: &[u8]| walk_v1(bytes).unwrap_err();
    assert_eq!(problem(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), Problem::Length { field: 1, len: 0xffff_ffff, left: 0 });
    assert_eq!(problem(&[0x0a]), Problem::Truncated);
    assert_eq!(problem(&[0xff; 11]), Problem::Varint);
    assert_eq!(problem(&[0x00]), Problem::FieldNumber(0));
    assert_eq!(problem(&[0x0b]), Problem::UnknownWireType { field: 1, wire_type: 3 });
    assert_eq!(problem(&[0x08, 1]), Problem::WireType(1));
    assert_eq!(problem(&[0x0a, 5, 0x0a, 3, 0x0a, 1, 0xff]), Problem::Utf8(1));
    assert_eq!(problem(&full_v2().encode_to_vec()), Problem::SentAsV1(4));
    assert_eq!(walk_v2(&full_v1().encode_to_vec()), Err(Problem::SentAsV2(1)));
    let v2 = |labels_refs: Vec<u32>| {
        let timeseries = vec![proto::TimeSeries2 { labels_refs, ..Default::default() }];
        walk_v2(&proto::Request { symbols: vec![String::new()], timeseries }.encode_to_vec())
    };
    assert_eq!(v2(vec![0, 0, 0]), Err(Problem::OddReferences(3)));
    assert_eq!(v2(vec![0, 1]), Err(Problem::Reference { reference: 1, symbols: 1 }));
    let too_many = proto::Histogram { positive_deltas: vec![0; (1 << 16) + 1], ..Default::default() };
    let timeseries = vec![proto::TimeSeries { histograms: vec![too_many], ..Default::default() }];
    let body = proto::WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec();
    assert_eq!(problem(&body), Problem::TooMany { what: "buckets or spans in one histogram", limit: 1 << 16 });
    let symbols = vec![String::new(); v2::MAX_SYMBOLS + 1];
    let body = proto::Request { symbols, timeseries: Vec::new() }.encode_to_vec();
    assert_eq!(walk_v2(&body), Err(Problem::TooMany { what: "symbols", limit: v2::MAX_SYMBOLS }));
    let error = v1::WriteRequest::new(&[0x12, 1, 0, 0x0a, 2, 0x0a, 9]).series().next().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "TimeSeries is broken at byte 7 of the decoded body: field 1 says it has 9 bytes, 0 are left"
    );
}

#[test]
fn a_bad_series_leaves_the_others_good() {
    let series = |labels| proto::TimeSeries { labels, ..Default::default() };
    let request = proto::WriteRequest {
        timeseries: vec![series(vec![label("b", "1"), label("a", "2")]), series(vec![label("__name__", "up")])],
        metadata: Vec::new(),
    };
    let bytes = request.encode_to_vec();
    let labels: Vec<_> =
        v1::WriteRequest::new(&bytes).series().map(|s| s.unwrap().to_labels(&LabelLimits::default())).collect();
    assert_eq!(labels[0], Err(LabelsError::Rule(LabelError::Unsorted { name: "a".to_owned(), after: "b".to_owned() })));
    assert!(labels[1].is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_walked_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = walk_v1(&bytes);
        let _ = walk_v2(&bytes);
    }

    #[test]
    fn samples_go_round(
        samples in prop::collection::vec((any::<i64>(), any::<u64>(), any::<i64>()), 0..20),
        value in "\\PC{0,200}",
    ) {
        let labels = Labels::from_pairs([("__name__", "m"), ("v", value.as_str())]);
        let samples: Vec<_> = samples
            .into_iter()
            .map(|(timestamp, bits, start_timestamp)| Sample { timestamp, value: f64::from_bits(bits), start_timestamp })
            .collect();
        let data = SeriesData::floats(&labels, &samples);
        let (mut one, mut two) = (V1Encoder::new(), V2Encoder::new());
        one.push(&data);
        two.push(&data);
        let read = v1::WriteRequest::new(one.as_bytes()).series().next().unwrap().unwrap();
        prop_assert_eq!(&read.to_labels(&LabelLimits::default()).unwrap(), &labels);
        let got: Vec<_> = read.samples().map(|s| s.map(|s| (s.timestamp, s.value.to_bits())).unwrap()).collect();
        prop_assert_eq!(got, samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect::<Vec<_>>());
        let bytes = two.finish();
        let request = v2::Request::new(&bytes).unwrap();
        let read2 = request.series().next().unwrap().unwrap();
        let mut key = Vec::new();
        read2.write_label_bytes(&mut key);
        prop_assert_eq!(Some(key.as_slice()), read.label_bytes());
        let got: Vec<_> =
            read2.samples().map(|s| s.map(|s| (s.timestamp, s.value.to_bits(), s.start_timestamp)).unwrap()).collect();
        let sent: Vec<_> = samples.iter().map(|s| (s.timestamp, s.value.to_bits(), s.start_timestamp)).collect();
        prop_assert_eq!(got, sent);
    }
}
