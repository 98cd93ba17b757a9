//! Writes remote write requests of both versions.

use std::collections::HashMap;

use chronolith_storage::{Exemplar, Labels, MetricMetadata, read::HistogramSample};

use super::{Sample, histogram::write_histogram};
use crate::ingest::protobuf::Writer;

/// What one series of a request says.
#[derive(Debug, Clone, Copy)]
pub struct SeriesData<'a> {
    /// Its labels.
    pub labels: &'a Labels,
    /// Its float samples, in order of time.
    pub samples: &'a [Sample],
    /// Its histogram samples, in order of time.
    pub histograms: &'a [HistogramSample],
    /// Its exemplars.
    pub exemplars: &'a [Exemplar],
    /// The metadata of its metric family.
    pub metadata: Option<&'a MetricMetadata>,
}

impl<'a> SeriesData<'a> {
    /// A series of floats alone.
    #[must_use]
    pub const fn floats(labels: &'a Labels, samples: &'a [Sample]) -> Self {
        Self { labels, samples, histograms: &[], exemplars: &[], metadata: None }
    }
}

/// Builds a `prometheus.WriteRequest`, uncompressed. Start timestamps are left out: 1.0 cannot say them.
#[derive(Debug, Default)]
pub struct V1Encoder {
    out: Writer,
}

impl V1Encoder {
    /// An empty request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series; its metadata, if any, becomes an entry of its own under the metric's name.
    pub fn push(&mut self, series: &SeriesData<'_>) {
        self.out.message(1, |w| {
            write_labels(w, 1, series.labels);
            write_samples(w, 2, series.samples.iter().map(|s| (s.timestamp, s.value)));
            for exemplar in series.exemplars {
                w.message(3, |w| {
                    write_labels(w, 1, &exemplar.labels);
                    w.double(2, exemplar.value);
                    w.int64(3, exemplar.timestamp);
                });
            }
            for histogram in series.histograms {
                w.message(4, |w| write_histogram(w, histogram));
            }
        });
        if let Some(metadata) = series.metadata {
            self.push_metadata(series.labels.metric_name(), metadata);
        }
    }

    /// Adds the metadata of a metric family.
    pub fn push_metadata(&mut self, family: &str, metadata: &MetricMetadata) {
        self.out.message(3, |w| {
            w.number(1, metadata.kind as u64);
            w.bytes(2, family.as_bytes());
            w.bytes(4, metadata.help.as_bytes());
            w.bytes(5, metadata.unit.as_bytes());
        });
    }

    /// The request's bytes so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.out.as_bytes()
    }

    /// Empties the request and keeps its memory.
    pub fn clear(&mut self) {
        self.out.clear();
    }
}

/// Builds an `io.prometheus.write.v2.Request`, uncompressed.
#[derive(Debug)]
pub struct V2Encoder {
    symbols: Writer,
    references: HashMap<String, u64>,
    series: Writer,
}

impl Default for V2Encoder {
    fn default() -> Self {
        let mut encoder = Self { symbols: Writer::default(), references: HashMap::new(), series: Writer::default() };
        encoder.reference("");
        encoder
    }
}

impl V2Encoder {
    /// An empty request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series.
    pub fn push(&mut self, series: &SeriesData<'_>) {
        let labels = self.references(series.labels);
        let exemplars: Vec<_> = series.exemplars.iter().map(|e| (self.references(&e.labels), e)).collect();
        let metadata = series.metadata.map(|m| (m.kind, self.reference(&m.help), self.reference(&m.unit)));
        self.series.message(5, |w| {
            w.packed_varints(1, labels.into_iter());
            for sample in series.samples {
                w.message(2, |w| {
                    w.double(1, sample.value);
                    w.int64(2, sample.timestamp);
                    w.int64(3, sample.start_timestamp);
                });
            }
            for histogram in series.histograms {
                w.message(3, |w| {
                    write_histogram(w, histogram);
                    w.int64(17, histogram.start_timestamp);
                });
            }
            for (labels, exemplar) in exemplars {
                w.message(4, |w| {
                    w.packed_varints(1, labels.into_iter());
                    w.double(2, exemplar.value);
                    w.int64(3, exemplar.timestamp);
                });
            }
            if let Some((kind, help, unit)) = metadata {
                w.message(5, |w| {
                    w.number(1, kind as u64);
                    w.number(3, help);
                    w.number(4, unit);
                });
            }
        });
    }

    /// The request's bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut out = self.symbols;
        out.raw(self.series.as_bytes());
        out.into_bytes()
    }

    fn references(&mut self, labels: &Labels) -> Vec<u64> {
        let mut references = Vec::with_capacity(16);
        for (name, value) in labels.iter() {
            references.push(self.reference(name));
            references.push(self.reference(value));
        }
        references
    }

    fn reference(&mut self, symbol: &str) -> u64 {
        if let Some(reference) = self.references.get(symbol) {
            return *reference;
        }
        let reference = self.references.len() as u64;
        self.references.insert(symbol.to_owned(), reference);
        self.symbols.bytes_or_empty(4, symbol.as_bytes());
        reference
    }
}

/// Writes labels as `Label` messages.
pub(crate) fn write_labels(w: &mut Writer, field: u32, labels: &Labels) {
    for (name, value) in labels.iter() {
        w.message(field, |w| {
            w.bytes(1, name.as_bytes());
            w.bytes(2, value.as_bytes());
        });
    }
}

/// Writes float samples as `Sample` messages.
pub(crate) fn write_samples(w: &mut Writer, field: u32, samples: impl Iterator<Item = (i64, f64)>) {
    for (timestamp, value) in samples {
        w.message(field, |w| {
            w.double(1, value);
            w.int64(2, timestamp);
        });
    }
}

/// Appends one label field of a 1.0 series.
pub(super) fn push_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let field_len = |text: &str| if text.is_empty() { 0 } else { 1 + varint_len(text.len()) + text.len() };
    out.push(0x0a);
    push_varint(out, field_len(name) + field_len(value));
    for (tag, text) in [(0x0a, name), (0x12, value)] {
        if !text.is_empty() {
            out.push(tag);
            push_varint(out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn push_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

const fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    (bits as usize).div_ceil(7)
}
