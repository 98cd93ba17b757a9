//! Writing records.

use super::{
    FloatSample, HISTOGRAM_HINT_SHIFT, HISTOGRAM_IS_FLOAT, TAG_EXEMPLAR, TAG_FLOATS, TAG_FLOATS_WITH_START,
    TAG_HISTOGRAM, TAG_METADATA, TAG_PAIR, TAG_SERIES, TableRecord, tables,
};
use crate::model::{
    exemplar::Exemplar,
    histogram::{Buckets, Histogram, Span},
    metadata::MetricMetadata,
};

/// Appends records to a buffer, which becomes the payload of one frame.
#[derive(Debug)]
pub struct RecordEncoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> RecordEncoder<'a> {
    /// An encoder that appends to `out`.
    #[must_use]
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Gives a label pair its number.
    pub fn pair(&mut self, id: u32, name: &str, value: &str) {
        self.out.push(TAG_PAIR);
        varint(self.out, u64::from(id));
        text(self.out, name);
        text(self.out, value);
    }

    /// Gives a series its number; `pairs` were numbered before.
    pub fn series(&mut self, id: u32, pairs: &[u32]) {
        self.out.push(TAG_SERIES);
        varint(self.out, u64::from(id));
        varint(self.out, pairs.len() as u64);
        for pair in pairs {
            varint(self.out, u64::from(*pair));
        }
    }

    /// Float samples; their start timestamps are not written. Smallest when neighbours have close series numbers and
    /// timestamps.
    pub fn floats(&mut self, samples: impl IntoIterator<Item = FloatSample>) {
        let (mut series, mut timestamp) = (0, 0);
        self.block(TAG_FLOATS, samples, |head, s| {
            head.signed(i64::from(s.series) - series);
            head.signed(s.timestamp.wrapping_sub(timestamp));
            (series, timestamp) = (i64::from(s.series), s.timestamp);
        });
    }

    /// Float samples with their start timestamps.
    pub fn floats_with_start(&mut self, samples: impl IntoIterator<Item = FloatSample>) {
        let (mut series, mut timestamp, mut start) = (0, 0, 0);
        self.block(TAG_FLOATS_WITH_START, samples, |head, s| {
            head.signed(i64::from(s.series) - series);
            head.signed(s.timestamp.wrapping_sub(timestamp));
            head.signed(s.start_timestamp.wrapping_sub(start));
            (series, timestamp, start) = (i64::from(s.series), s.timestamp, s.start_timestamp);
        });
    }

    /// A block of samples behind their number, which is known at the end. An empty block writes nothing.
    #[inline]
    fn block(
        &mut self,
        tag: u8,
        samples: impl IntoIterator<Item = FloatSample>,
        mut head: impl FnMut(&mut Scratch, FloatSample),
    ) {
        let start = self.out.len();
        self.out.extend_from_slice(&[tag, 0, 0, 0, 0]);
        let mut count = 0u32;
        for sample in samples {
            let mut scratch = Scratch { bytes: [0; SAMPLE_MAX], len: 0 };
            head(&mut scratch, sample);
            scratch.value(sample.value);
            self.out.extend_from_slice(&scratch.bytes[..scratch.len]);
            // A block of 2^32 samples would be far over the limit of a frame.
            count = count.saturating_add(1);
        }
        if count == 0 {
            self.out.truncate(start);
        } else {
            self.out[start + 1..start + 5].copy_from_slice(&count.to_le_bytes());
        }
    }

    /// A histogram sample.
    pub fn histogram(&mut self, series: u32, timestamp: i64, start_timestamp: i64, histogram: &Histogram) {
        let out = &mut *self.out;
        out.push(TAG_HISTOGRAM);
        varint(out, u64::from(series));
        signed(out, timestamp);
        signed(out, start_timestamp);
        let is_float = matches!(histogram.buckets, Buckets::Float { .. });
        let hint = (histogram.reset_hint as u8) << HISTOGRAM_HINT_SHIFT;
        out.push(hint | if is_float { HISTOGRAM_IS_FLOAT } else { 0 });
        signed(out, i64::from(histogram.schema));
        float(out, histogram.zero_threshold);
        float(out, histogram.sum);
        spans(out, &histogram.positive_spans);
        spans(out, &histogram.negative_spans);
        floats(out, &histogram.custom_values);
        match &histogram.buckets {
            Buckets::Integer { count, zero_count, positive, negative } => {
                varint(out, *count);
                varint(out, *zero_count);
                for side in [positive, negative] {
                    varint(out, side.len() as u64);
                    for delta in side {
                        signed(out, *delta);
                    }
                }
            }
            Buckets::Float { count, zero_count, positive, negative } => {
                float(out, *count);
                float(out, *zero_count);
                floats(out, positive);
                floats(out, negative);
            }
        }
    }

    /// An exemplar of a series.
    pub fn exemplar(&mut self, series: u32, exemplar: &Exemplar) {
        let out = &mut *self.out;
        out.push(TAG_EXEMPLAR);
        varint(out, u64::from(series));
        signed(out, exemplar.timestamp);
        float(out, exemplar.value);
        varint(out, exemplar.labels.len() as u64);
        for (name, value) in exemplar.labels.iter() {
            text(out, name);
            text(out, value);
        }
    }

    /// The metadata of a metric.
    pub fn metadata(&mut self, metric: &str, metadata: &MetricMetadata) {
        let out = &mut *self.out;
        out.push(TAG_METADATA);
        text(out, metric);
        out.push(metadata.kind as u8);
        text(out, &metadata.help);
        text(out, &metadata.unit);
    }

    /// What happened to a table.
    pub fn table(&mut self, record: &TableRecord<'_>) {
        tables::encode(record, self.out);
    }
}

/// Longest form of a sample: three varints and the value.
const SAMPLE_MAX: usize = 3 * 10 + 8;

/// One sample before it is copied to the buffer: the buffer's room is checked once a sample, not once a byte.
struct Scratch {
    bytes: [u8; SAMPLE_MAX],
    len: usize,
}

impl Scratch {
    #[inline]
    fn signed(&mut self, n: i64) {
        let mut n = zigzag(n);
        while n >= 0x80 {
            self.bytes[self.len] = n as u8 | 0x80;
            self.len += 1;
            n >>= 7;
        }
        self.bytes[self.len] = n as u8;
        self.len += 1;
    }

    #[inline]
    fn value(&mut self, value: f64) {
        self.bytes[self.len..self.len + 8].copy_from_slice(&value.to_bits().to_le_bytes());
        self.len += 8;
    }
}

const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn signed(out: &mut Vec<u8>, n: i64) {
    varint(out, zigzag(n));
}

fn float(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn floats(out: &mut Vec<u8>, values: &[f64]) {
    varint(out, values.len() as u64);
    for value in values {
        float(out, *value);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn spans(out: &mut Vec<u8>, spans: &[Span]) {
    varint(out, spans.len() as u64);
    for span in spans {
        signed(out, i64::from(span.offset));
        varint(out, u64::from(span.length));
    }
}
