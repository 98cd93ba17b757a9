//! Chunks go round, match bytes that Prometheus made, and bear any damage.

use std::sync::Arc;

use chronolith_storage::{Buckets, Histogram, ResetHint, SampleBuffer, Span, model::stale_nan, read::HistogramSample};
use proptest::prelude::*;

use super::{ChunkError, EncodedChunk, Encoding, decode, encode};

fn decode_all(chunks: &[EncodedChunk]) -> SampleBuffer {
    let mut out = SampleBuffer::default();
    for chunk in chunks {
        let before = out.len();
        decode(chunk.encoding, &chunk.data, &mut out).unwrap();
        assert!(out.len() > before);
    }
    out
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn integer(count: u64, zero_count: u64, positive: Vec<i64>, negative: Vec<i64>, sum: f64) -> Histogram {
    Histogram {
        schema: 1,
        zero_threshold: 2f64.powi(-128),
        sum,
        reset_hint: ResetHint::Unknown,
        positive_spans: vec![Span { offset: -2, length: 1 }, Span { offset: 3, length: 2 }],
        negative_spans: vec![Span { offset: 5, length: 1 }],
        custom_values: Vec::new(),
        buckets: Buckets::Integer { count, zero_count, positive, negative },
    }
}

fn custom(count: f64, positive: Vec<f64>) -> Histogram {
    Histogram {
        schema: -53,
        zero_threshold: 0.0,
        sum: count * 1.5,
        reset_hint: ResetHint::Gauge,
        positive_spans: vec![Span { offset: 0, length: 3 }],
        negative_spans: Vec::new(),
        custom_values: vec![-0.5, 0.005, 33_554.43],
        buckets: Buckets::Float { count, zero_count: 0.0, positive, negative: Vec::new() },
    }
}

fn samples(histograms: Vec<Histogram>) -> SampleBuffer {
    let histograms = histograms
        .into_iter()
        .enumerate()
        .map(|(i, h)| HistogramSample { timestamp: 1_000 * i as i64, start_timestamp: 0, histogram: Arc::new(h) })
        .collect();
    SampleBuffer { histograms, ..SampleBuffer::default() }
}

/// The same samples but for the hints, which a chunk says only in part.
fn without_hints(buffer: &SampleBuffer) -> Vec<String> {
    let mut lines = Vec::new();
    for sample in &buffer.histograms {
        let mut h = (*sample.histogram).clone();
        if h.reset_hint != ResetHint::Gauge {
            h.reset_hint = ResetHint::Unknown;
        }
        lines.push(format!("{} {h:?}", sample.timestamp));
    }
    lines
}

#[test]
fn floats_are_cut_at_120_samples() {
    let mut buffer = SampleBuffer::default();
    for i in 0..250i64 {
        buffer.push_float(i * 15_000 + i % 7, (i as f64).sin(), 0);
    }
    let chunks = encode(&buffer).unwrap();
    assert_eq!(chunks.iter().map(|c| u16::from_be_bytes([c.data[0], c.data[1]])).collect::<Vec<_>>(), [120, 120, 10]);
    assert_eq!((chunks[1].min_time, chunks[1].max_time), (120 * 15_000 + 1, 239 * 15_000 + 1));
    let got = decode_all(&chunks);
    assert_eq!((got.timestamps, bits(&got.values)), (buffer.timestamps, bits(&buffer.values)));
}

#[test]
fn histograms_go_round_and_are_cut_where_prometheus_cuts() {
    let mut stale = integer(0, 0, Vec::new(), Vec::new(), stale_nan());
    (stale.positive_spans, stale.negative_spans, stale.schema, stale.zero_threshold) = (vec![], vec![], 0, 0.0);
    let buffer = samples(vec![
        integer(7, 1, vec![2, 0, 0], vec![0], 3.5),
        integer(9, 1, vec![2, 1, 0], vec![0], 4.5),
        integer(17, 3, vec![3, 2, -1], vec![2], -4.5),
        stale.clone(),
        stale,
        integer(18, 4, vec![3, 2, -1], vec![2], -4.5),
        integer(4, 0, vec![1, 0, 0], vec![1], 0.0),
        custom(1.5, vec![0.5, 1.0, 0.0]),
        custom(0.5, vec![0.5, 0.0, 0.0]),
    ]);
    let chunks = encode(&buffer).unwrap();
    let shape: Vec<_> = chunks.iter().map(|c| (c.encoding, u16::from_be_bytes([c.data[0], c.data[1]]))).collect();
    use Encoding::{FloatHistogram as F, Histogram as H};
    assert_eq!(shape, [(H, 5), (H, 1), (H, 1), (F, 2)]);
    let got = decode_all(&chunks);
    assert_eq!(without_hints(&got), without_hints(&buffer));
    let hints: Vec<_> = got.histograms.iter().map(|s| s.histogram.reset_hint).collect();
    use ResetHint::{Gauge, NotReset, Unknown};
    assert_eq!(hints, [Unknown, NotReset, NotReset, NotReset, NotReset, Unknown, Unknown, Gauge, Gauge]);
}

#[test]
fn floats_and_histograms_alternate_in_order_of_time() {
    let mut buffer = samples(vec![custom(1.0, vec![1.0, 0.0, 0.0]), custom(2.0, vec![2.0, 0.0, 0.0])]);
    for timestamp in [-5, 500, 600, 2_000] {
        buffer.push_float(timestamp, 1.0, 0);
    }
    let chunks = encode(&buffer).unwrap();
    let times: Vec<_> = chunks.iter().map(|c| (c.min_time, c.max_time)).collect();
    assert_eq!(times, [(-5, -5), (0, 0), (500, 600), (1_000, 1_000), (2_000, 2_000)]);
    buffer.histograms[0].histogram = Arc::new(custom(1.0, vec![1.0]));
    assert!(matches!(encode(&buffer), Err(ChunkError::Damaged(_))));
}

#[test]
fn zero_thresholds_go_round() {
    for threshold in [0.0, 1e-128, 2f64.powi(-243), 2f64.powi(10), 2f64.powi(-244), 2f64.powi(11), 0.001, 3.0] {
        let h = Histogram { zero_threshold: threshold, ..integer(7, 1, vec![2, 0, 0], vec![0], 3.5) };
        let chunks = encode(&samples(vec![h])).unwrap();
        assert_eq!(decode_all(&chunks).histograms[0].histogram.zero_threshold.to_bits(), threshold.to_bits());
    }
    // As Prometheus has it: 2^-128 is the byte 116.
    let chunks = encode(&samples(vec![integer(7, 1, vec![2, 0, 0], vec![0], 3.5)])).unwrap();
    assert_eq!(chunks[0].data[3], 116);
}

#[test]
fn encodings_that_are_not_read_are_named() {
    let text = |n| Encoding::from_number(n).unwrap_err().to_string();
    assert!(text(4).contains("XOR2"));
    assert_eq!(text(9), "chunk encoding 9 is not known");
}

#[test]
fn truncation_and_flipped_bits_never_panic() {
    let mut buffer = samples(vec![
        integer(7, 1, vec![2, 0, 0], vec![0], 3.5),
        integer(9, 1, vec![2, 1, 0], vec![0], 4.5),
        custom(1.5, vec![0.5, 1.0, 0.0]),
        custom(0.5, vec![0.5, 0.0, 0.0]),
    ]);
    for i in 0..10 {
        buffer.push_float(100_000 + i * i, 1.0 / i as f64, 0);
    }
    for chunk in encode(&buffer).unwrap() {
        for len in 0..chunk.data.len() {
            assert!(decode(chunk.encoding, &chunk.data[..len], &mut SampleBuffer::default()).is_err(), "length {len}");
        }
        for i in 0..chunk.data.len() * 8 {
            let mut flipped = chunk.data.clone();
            flipped[i / 8] ^= 1 << (i % 8);
            let _ = decode(chunk.encoding, &flipped, &mut SampleBuffer::default());
        }
    }
}

proptest! {
    #[test]
    fn any_floats_go_round(samples in prop::collection::vec((any::<i64>(), any::<u64>()), 1..300)) {
        let mut samples = samples;
        samples.sort_unstable();
        samples.dedup_by_key(|s| s.0);
        let mut buffer = SampleBuffer::default();
        for (timestamp, value) in samples {
            buffer.push_float(timestamp, f64::from_bits(value), 0);
        }
        let got = decode_all(&encode(&buffer).unwrap());
        prop_assert_eq!(got.timestamps, buffer.timestamps);
        prop_assert_eq!(bits(&got.values), bits(&buffer.values));
    }

    #[test]
    fn any_bytes_are_decoded_without_panic(
        encoding in 1u8..=3,
        data in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let _ = decode(Encoding::from_number(encoding).unwrap(), &data, &mut SampleBuffer::default());
    }
}
