//! Chunks of integer histograms: every field as the delta of its delta.

use std::sync::Arc;

use chronolith_storage::{Buckets, Histogram, SampleBuffer, read::HistogramSample};

use super::{
    ChunkError, SAMPLES_PER_CHUNK,
    bits::{BitReader, BitWriter, XorFloat},
    layout::{self, Layout},
};

/// A number of which each next value is written as the change of its change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Delta {
    value: i64,
    delta: i64,
}

impl Delta {
    pub(super) const fn new(value: i64) -> Self {
        Self { value, delta: 0 }
    }

    pub(super) fn write(&mut self, out: &mut BitWriter, value: i64) {
        let delta = value.wrapping_sub(self.value);
        out.varbit(delta.wrapping_sub(self.delta));
        *self = Self { value, delta };
    }

    pub(super) fn read(&mut self, reader: &mut BitReader<'_>) -> Result<i64, ChunkError> {
        self.delta = self.delta.wrapping_add(reader.varbit()?);
        self.value = self.value.wrapping_add(self.delta);
        Ok(self.value)
    }
}

/// A chunk of integer histograms that still takes samples.
pub(super) struct Encoder {
    out: BitWriter,
    len: u16,
    layout: Layout,
    last: Arc<Histogram>,
    timestamp: Delta,
    count: Delta,
    zero_count: Delta,
    sum: XorFloat,
    positive: Vec<Delta>,
    negative: Vec<Delta>,
}

/// The counts of an integer histogram.
struct Counts<'h> {
    count: u64,
    zero_count: u64,
    positive: &'h [i64],
    negative: &'h [i64],
}

impl<'h> Counts<'h> {
    /// `None` for a float histogram; a stale marker counts nothing.
    fn of(h: &'h Histogram) -> Option<Self> {
        match &h.buckets {
            Buckets::Integer { .. } if h.is_stale() => {
                Some(Self { count: 0, zero_count: 0, positive: &[], negative: &[] })
            }
            Buckets::Integer { count, zero_count, positive, negative } => {
                Some(Self { count: *count, zero_count: *zero_count, positive, negative })
            }
            Buckets::Float { .. } => None,
        }
    }
}

impl Encoder {
    /// A chunk that starts with this sample. One of floats would start an empty chunk: the caller asked before.
    pub(super) fn new(first: &HistogramSample) -> Self {
        let h = &first.histogram;
        let counts = Counts::of(h).unwrap_or(Counts { count: 0, zero_count: 0, positive: &[], negative: &[] });
        let mut out = BitWriter::after(vec![0, 0, layout::flags(h)]);
        let layout = Layout::of(h);
        layout.write(&mut out);
        out.varbit(first.timestamp);
        out.varbit_unsigned(counts.count);
        out.varbit_unsigned(counts.zero_count);
        out.bits(h.sum.to_bits(), 64);
        for bucket in counts.positive.iter().chain(counts.negative) {
            out.varbit(*bucket);
        }
        Self {
            out,
            len: 1,
            layout,
            last: Arc::clone(h),
            timestamp: Delta::new(first.timestamp),
            count: Delta::new(counts.count as i64),
            zero_count: Delta::new(counts.zero_count as i64),
            sum: XorFloat::new(h.sum),
            positive: counts.positive.iter().map(|b| Delta::new(*b)).collect(),
            negative: counts.negative.iter().map(|b| Delta::new(*b)).collect(),
        }
    }

    /// Adds a sample, or tells that it needs a chunk of its own.
    pub(super) fn push(&mut self, sample: &HistogramSample) -> bool {
        let h = &sample.histogram;
        let Some(counts) = Counts::of(h) else { return false };
        if usize::from(self.len) >= SAMPLES_PER_CHUNK || !self.layout.goes_on(&self.last, h, is_reset) {
            return false;
        }
        self.timestamp.write(&mut self.out, sample.timestamp);
        if h.is_stale() {
            self.out.bits(0, 2);
            self.sum.write(&mut self.out, h.sum);
        } else {
            self.count.write(&mut self.out, counts.count as i64);
            self.zero_count.write(&mut self.out, counts.zero_count as i64);
            self.sum.write(&mut self.out, h.sum);
            for (delta, bucket) in self.positive.iter_mut().zip(counts.positive) {
                delta.write(&mut self.out, *bucket);
            }
            for (delta, bucket) in self.negative.iter_mut().zip(counts.negative) {
                delta.write(&mut self.out, *bucket);
            }
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

/// Whether a count of two integer histograms of one layout went down.
fn is_reset(before: &Histogram, after: &Histogram) -> bool {
    let (Some(before), Some(after)) = (Counts::of(before), Counts::of(after)) else { return true };
    let sinks = |before: &[i64], after: &[i64]| {
        let (mut b, mut a) = (0i64, 0i64);
        before.iter().zip(after).any(|(db, da)| {
            (b, a) = (b.wrapping_add(*db), a.wrapping_add(*da));
            a < b
        })
    };
    after.count < before.count
        || after.zero_count < before.zero_count
        || sinks(before.positive, after.positive)
        || sinks(before.negative, after.negative)
}

/// Appends the samples of a chunk of integer histograms to `out`.
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
    let mut count = Delta::new(reader.varbit_unsigned()? as i64);
    let mut zero_count = Delta::new(reader.varbit_unsigned()? as i64);
    let mut sum = XorFloat::new(reader.float()?);
    let (mut positive, mut negative) = (vec![Delta::default(); positive], vec![Delta::default(); negative]);
    for bucket in positive.iter_mut().chain(&mut negative) {
        *bucket = Delta::new(reader.varbit()?);
    }
    for i in 0..len {
        if i > 0 {
            timestamp.read(&mut reader)?;
            count.read(&mut reader)?;
            zero_count.read(&mut reader)?;
            sum.read(&mut reader)?;
        }
        let hint = layout::reset_hint(flags, i);
        let histogram = if layout::is_stale(sum.value()) {
            let buckets = Buckets::Integer { count: 0, zero_count: 0, positive: Vec::new(), negative: Vec::new() };
            layout::stale_histogram(hint, buckets)
        } else {
            if i > 0 {
                for bucket in positive.iter_mut().chain(&mut negative) {
                    bucket.read(&mut reader)?;
                }
            }
            let buckets = Buckets::Integer {
                count: count.value as u64,
                zero_count: zero_count.value as u64,
                positive: positive.iter().map(|b| b.value).collect(),
                negative: negative.iter().map(|b| b.value).collect(),
            };
            layout.histogram(hint, sum.value(), buckets)
        };
        out.histograms.push(HistogramSample {
            timestamp: timestamp.value,
            start_timestamp: 0,
            histogram: Arc::new(histogram),
        });
    }
    Ok(())
}

impl Delta {
    /// The value at the present sample.
    pub(super) const fn value(&self) -> i64 {
        self.value
    }
}
