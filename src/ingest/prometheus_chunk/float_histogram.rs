//! Chunks of float histograms: timestamps as deltas of deltas, every other field XORed with the one before.

use std::sync::Arc;

use chronolith_storage::{Buckets, Histogram, SampleBuffer, read::HistogramSample};

use super::{
    ChunkError, SAMPLES_PER_CHUNK,
    bits::{BitReader, BitWriter, XorFloat},
    histogram::Delta,
    layout::{self, Layout},
};

/// A chunk of float histograms that still takes samples.
pub(super) struct Encoder {
    out: BitWriter,
    len: u16,
    layout: Layout,
    last: Arc<Histogram>,
    timestamp: Delta,
    /// Count, zero count, sum, positive and negative buckets.
    fields: Vec<XorFloat>,
}

/// The floats of a histogram in the order in which a chunk holds them; `None` for an integer histogram.
fn fields(h: &Histogram) -> Option<impl Iterator<Item = f64> + '_> {
    let Buckets::Float { count, zero_count, positive, negative } = &h.buckets else { return None };
    let (count, zero_count, positive, negative): (_, _, &[f64], &[f64]) =
        if h.is_stale() { (0.0, 0.0, &[], &[]) } else { (*count, *zero_count, positive, negative) };
    Some([count, zero_count, h.sum].into_iter().chain(positive.iter().copied()).chain(negative.iter().copied()))
}

impl Encoder {
    /// A chunk that starts with this sample. One of integers would start an empty chunk: the caller asked before.
    pub(super) fn new(first: &HistogramSample) -> Self {
        let h = &first.histogram;
        let mut out = BitWriter::after(vec![0, 0, layout::flags(h)]);
        let layout = Layout::of(h);
        layout.write(&mut out);
        out.varbit(first.timestamp);
        let fields: Vec<_> = fields(h).map(|f| f.map(XorFloat::new).collect()).unwrap_or_default();
        for field in &fields {
            out.bits(field.value().to_bits(), 64);
        }
        Self { out, len: 1, layout, last: Arc::clone(h), timestamp: Delta::new(first.timestamp), fields }
    }

    /// Adds a sample, or tells that it needs a chunk of its own.
    pub(super) fn push(&mut self, sample: &HistogramSample) -> bool {
        let h = &sample.histogram;
        let Some(values) = fields(h) else { return false };
        if usize::from(self.len) >= SAMPLES_PER_CHUNK || !self.layout.goes_on(&self.last, h, is_reset) {
            return false;
        }
        self.timestamp.write(&mut self.out, sample.timestamp);
        // A stale marker has three fields alone, which come first.
        for (field, value) in self.fields.iter_mut().zip(values) {
            field.write(&mut self.out, value);
        }
        self.last = Arc::clone(h);
        self.len += 1;
        true
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.header()[..2].copy_from_slice(&self.len.to_be_bytes());
        self.out.into_bytes()
    }
}

/// Whether a count of two float histograms of one layout went down; the sum, the third field, may.
fn is_reset(before: &Histogram, after: &Histogram) -> bool {
    let (Some(before), Some(after)) = (fields(before), fields(after)) else { return true };
    before.zip(after).enumerate().any(|(i, (before, after))| i != 2 && after < before)
}

/// Appends the samples of a chunk of float histograms to `out`.
pub(super) fn decode(data: &[u8], out: &mut SampleBuffer) -> Result<(), ChunkError> {
    let Some((header, body)) = data.split_first_chunk::<3>() else { return Err(ChunkError::Truncated) };
    let [high, low, flags] = *header;
    let len = u16::from_be_bytes([high, low]);
    if len == 0 {
        return Ok(());
    }
    let mut reader = BitReader::new(body);
    let layout = Layout::read(&mut reader)?;
    let (positive, negative) = layout.bucket_counts(&reader)?;
    let mut timestamp = Delta::new(reader.varbit()?);
    let mut fields = vec![XorFloat::new(0.0); 3 + positive + negative];
    for field in &mut fields {
        *field = XorFloat::new(reader.float()?);
    }
    let (numbers, buckets) = fields.split_at_mut(3);
    for i in 0..len {
        if i > 0 {
            timestamp.read(&mut reader)?;
            for field in &mut *numbers {
                field.read(&mut reader)?;
            }
        }
        let hint = layout::reset_hint(flags, i);
        let sum = numbers[2].value();
        let histogram = if layout::is_stale(sum) {
            let buckets = Buckets::Float { count: 0.0, zero_count: 0.0, positive: Vec::new(), negative: Vec::new() };
            layout::stale_histogram(hint, buckets)
        } else {
            if i > 0 {
                for field in &mut *buckets {
                    field.read(&mut reader)?;
                }
            }
            let mut values = buckets.iter().map(XorFloat::value);
            let counts = Buckets::Float {
                count: numbers[0].value(),
                zero_count: numbers[1].value(),
                positive: values.by_ref().take(positive).collect(),
                negative: values.collect(),
            };
            layout.histogram(hint, sum, counts)
        };
        out.histograms.push(HistogramSample {
            timestamp: timestamp.value(),
            start_timestamp: 0,
            histogram: Arc::new(histogram),
        });
    }
    Ok(())
}
