//! Remote read against an independent implementation of Protocol Buffers.

use std::sync::Arc;

use chronolith_storage::{Buckets, Histogram, Labels, MatchOp, Matcher, ResetHint, SampleBuffer, TimeRange};
use chronolith_storage::{Span, read::HistogramSample};
use prost::Message as _;

use super::{Query, ReadError, ReadRequest, ResponseEncoder, ResponseType, write_series_frames};
use crate::ingest::prometheus_chunk::{self, Encoding};

/// Prometheus' messages as prost understands them.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ReadRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) queries: Vec<Query>,
        #[prost(int32, repeated, tag = "2")]
        pub(super) accepted_response_types: Vec<i32>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Query {
        #[prost(int64, tag = "1")]
        pub(super) start: i64,
        #[prost(int64, tag = "2")]
        pub(super) end: i64,
        #[prost(message, repeated, tag = "3")]
        pub(super) matchers: Vec<LabelMatcher>,
        #[prost(message, optional, tag = "4")]
        pub(super) hints: Option<ReadHints>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct LabelMatcher {
        #[prost(int32, tag = "1")]
        pub(super) kind: i32,
        #[prost(string, tag = "2")]
        pub(super) name: String,
        #[prost(string, tag = "3")]
        pub(super) value: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ReadHints {
        #[prost(int64, tag = "1")]
        pub(super) step_ms: i64,
        #[prost(string, tag = "2")]
        pub(super) func: String,
        #[prost(int64, tag = "3")]
        pub(super) start_ms: i64,
        #[prost(int64, tag = "4")]
        pub(super) end_ms: i64,
        #[prost(string, repeated, tag = "5")]
        pub(super) grouping: Vec<String>,
        #[prost(bool, tag = "6")]
        pub(super) by: bool,
        #[prost(int64, tag = "7")]
        pub(super) range_ms: i64,
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
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
        #[prost(bytes = "vec", repeated, tag = "4")]
        pub(super) histograms: Vec<Vec<u8>>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct QueryResult {
        #[prost(message, repeated, tag = "1")]
        pub(super) timeseries: Vec<TimeSeries>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ReadResponse {
        #[prost(message, repeated, tag = "1")]
        pub(super) results: Vec<QueryResult>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Chunk {
        #[prost(int64, tag = "1")]
        pub(super) min_time_ms: i64,
        #[prost(int64, tag = "2")]
        pub(super) max_time_ms: i64,
        #[prost(int32, tag = "3")]
        pub(super) kind: i32,
        #[prost(bytes = "vec", tag = "4")]
        pub(super) data: Vec<u8>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ChunkedSeries {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(super) chunks: Vec<Chunk>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ChunkedReadResponse {
        #[prost(message, repeated, tag = "1")]
        pub(super) chunked_series: Vec<ChunkedSeries>,
        #[prost(int64, tag = "2")]
        pub(super) query_index: i64,
    }
}

fn request(accepted_response_types: Vec<i32>) -> proto::ReadRequest {
    let matcher =
        |kind, name: &str, value: &str| proto::LabelMatcher { kind, name: name.to_owned(), value: value.to_owned() };
    let hints = proto::ReadHints {
        step_ms: 15_000,
        func: "rate".to_owned(),
        start_ms: -1,
        end_ms: 9,
        grouping: vec!["job".to_owned()],
        by: true,
        range_ms: 300_000,
    };
    let matchers = vec![matcher(0, "__name__", "up"), matcher(3, "job", "a.*")];
    proto::ReadRequest {
        queries: vec![proto::Query { start: -5, end: 7, matchers, hints: Some(hints) }, proto::Query::default()],
        accepted_response_types,
    }
}

#[test]
fn requests_are_read_as_prost_writes_them() {
    let decoded = ReadRequest::decode(&request(vec![9, 1, 0]).encode_to_vec()).unwrap();
    assert_eq!(decoded.response_type, ResponseType::StreamedXorChunks);
    let Query { range, matchers, hints } = &decoded.queries[0];
    assert_eq!(*range, TimeRange::new(-5, 7));
    let expected = [Matcher::equal("__name__", "up"), Matcher::new("job", MatchOp::NotRegex, "a.*").unwrap()];
    assert_eq!(*matchers, expected);
    let hints = hints.as_ref().unwrap();
    assert_eq!((hints.step_ms, hints.func.as_str(), hints.start_ms, hints.by), (15_000, "rate", -1, true));
    assert_eq!((hints.end_ms, hints.range_ms, hints.grouping.len()), (9, 300_000, 1));
    let samples = ReadRequest::decode(&request(vec![]).encode_to_vec()).unwrap();
    assert_eq!((samples.response_type, samples.queries.len()), (ResponseType::Samples, 2));
}

#[test]
fn bad_requests_are_named() {
    let none = ReadRequest::decode(&request(vec![7]).encode_to_vec());
    assert!(matches!(none, Err(ReadError::NoResponseType(types)) if types == [7]));
    let mut bad = request(vec![]);
    bad.queries[0].matchers[1].value = "(".to_owned();
    assert!(matches!(ReadRequest::decode(&bad.encode_to_vec()), Err(ReadError::Matcher(_))));
    bad.queries[0].matchers[1].kind = 4;
    assert!(matches!(ReadRequest::decode(&bad.encode_to_vec()), Err(ReadError::Decode(_))));
    let many = proto::ReadRequest { queries: vec![proto::Query::default(); 1_001], ..Default::default() };
    assert!(matches!(ReadRequest::decode(&many.encode_to_vec()), Err(ReadError::Decode(_))));
    let bytes = request(vec![0]).encode_to_vec();
    for i in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[i / 8] ^= 1 << (i % 8);
        let _ = ReadRequest::decode(&flipped);
        let _ = ReadRequest::decode(&bytes[..i / 8]);
    }
}

fn buffer() -> SampleBuffer {
    let mut buffer = SampleBuffer::default();
    for i in 0..200 {
        buffer.push_float(1_000 * i, i as f64, 0);
    }
    let histogram = Histogram {
        schema: 0,
        zero_threshold: 0.0,
        sum: 1.0,
        reset_hint: ResetHint::Unknown,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        buckets: Buckets::Integer { count: 1, zero_count: 0, positive: vec![1], negative: Vec::new() },
    };
    let timestamp = 500_000;
    buffer.histograms.push(HistogramSample { timestamp, start_timestamp: 0, histogram: Arc::new(histogram) });
    buffer
}

#[test]
fn samples_are_written_as_prost_reads_them() {
    let labels = Labels::from_pairs([("__name__", "up"), ("job", "a")]);
    let mut encoder = ResponseEncoder::new();
    encoder.push_series(&labels, &buffer());
    encoder.end_query();
    encoder.end_query();
    let response = proto::ReadResponse::decode(encoder.finish().as_slice()).unwrap();
    assert_eq!(response.results.len(), 2);
    assert!(response.results[1].timeseries.is_empty());
    let series = &response.results[0].timeseries[0];
    assert_eq!((series.labels[1].name.as_str(), series.labels[1].value.as_str()), ("job", "a"));
    assert_eq!((series.samples.len(), series.histograms.len()), (200, 1));
    assert_eq!(series.samples[199], proto::Sample { value: 199.0, timestamp: 199_000 });
}

/// Splits a stream into its messages, checking lengths and checksums.
fn frames(mut stream: &[u8]) -> Vec<proto::ChunkedReadResponse> {
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let len = prost::encoding::decode_varint(&mut stream).unwrap() as usize;
        let (crc, rest) = stream.split_first_chunk::<4>().unwrap();
        let (message, rest) = rest.split_at(len);
        assert_eq!(u32::from_be_bytes(*crc), crc32c::crc32c(message));
        frames.push(proto::ChunkedReadResponse::decode(message).unwrap());
        stream = rest;
    }
    frames
}

#[test]
fn streams_are_frames_of_chunks() {
    let labels = Labels::from_pairs([("__name__", "up")]);
    let mut out = Vec::new();
    write_series_frames(3, &labels, &SampleBuffer::default(), &mut out).unwrap();
    assert!(out.is_empty());
    write_series_frames(3, &labels, &buffer(), &mut out).unwrap();
    let mut large = SampleBuffer::default();
    for i in 0..200_000i64 {
        large.push_float(i * i, f64::from_bits((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2), 0);
    }
    write_series_frames(4, &labels, &large, &mut out).unwrap();
    let frames = frames(&out);
    assert!(frames.len() > 2);
    assert_eq!(frames[0].query_index, 3);
    let chunks = &frames[0].chunked_series[0].chunks;
    assert_eq!(chunks.iter().map(|c| c.kind).collect::<Vec<_>>(), [1, 1, 2]);
    assert_eq!((chunks[1].min_time_ms, chunks[1].max_time_ms), (120_000, 199_000));
    let mut got = SampleBuffer::default();
    for chunk in frames[1..].iter().flat_map(|f| &f.chunked_series[0].chunks) {
        prometheus_chunk::decode(Encoding::Xor, &chunk.data, &mut got).unwrap();
    }
    assert_eq!((got.timestamps, got.values), (large.timestamps, large.values));
}
