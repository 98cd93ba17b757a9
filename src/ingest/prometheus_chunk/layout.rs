//! What all histograms of a chunk have in common and the chunk says once: schema, zero bucket, spans, bounds.

use chronolith_storage::{
    Buckets, Histogram, ResetHint, Span,
    model::{histogram::CUSTOM_BUCKETS_SCHEMA, stale_nan},
};

use super::{
    ChunkError,
    bits::{BitReader, BitWriter},
};
use crate::ingest::remote_write::MAX_HISTOGRAM_BUCKETS;

/// The bits of the flags byte that say what is known about counter resets.
const RESET: u8 = 0b1000_0000;
const NOT_RESET: u8 = 0b0100_0000;
const GAUGE: u8 = 0b1100_0000;

/// The layout of a chunk's histograms.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) positive_spans: Vec<Span>,
    pub(super) negative_spans: Vec<Span>,
    pub(super) custom_values: Vec<f64>,
}

impl Layout {
    /// A histogram's layout; a stale marker has none.
    pub(super) fn of(h: &Histogram) -> Self {
        if h.is_stale() {
            return Self {
                schema: 0,
                zero_threshold: 0.0,
                positive_spans: Vec::new(),
                negative_spans: Vec::new(),
                custom_values: Vec::new(),
            };
        }
        Self {
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            positive_spans: h.positive_spans.clone(),
            negative_spans: h.negative_spans.clone(),
            custom_values: h.custom_values.clone(),
        }
    }

    /// Whether a histogram can follow `last` in a chunk of this layout: the same layout, the same flavour, and no counter
    /// reset by what `is_reset` says of the two.
    pub(super) fn goes_on(
        &self,
        last: &Histogram,
        h: &Histogram,
        is_reset: impl FnOnce(&Histogram, &Histogram) -> bool,
    ) -> bool {
        let gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
        if gauge(last) != gauge(h) || h.reset_hint == ResetHint::Reset {
            return false;
        }
        if h.is_stale() || last.is_stale() {
            return h.is_stale();
        }
        self.is_of(h) && (gauge(h) || !is_reset(last, h))
    }

    fn is_of(&self, h: &Histogram) -> bool {
        self.schema == h.schema
            && self.zero_threshold == h.zero_threshold
            && self.positive_spans == h.positive_spans
            && self.negative_spans == h.negative_spans
            && self.custom_values == h.custom_values
    }

    pub(super) fn write(&self, out: &mut BitWriter) {
        write_zero_threshold(out, self.zero_threshold);
        out.varbit(i64::from(self.schema));
        for spans in [&self.positive_spans, &self.negative_spans] {
            out.varbit_unsigned(spans.len() as u64);
            for span in spans {
                out.varbit_unsigned(u64::from(span.length));
                out.varbit(i64::from(span.offset));
            }
        }
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            out.varbit_unsigned(self.custom_values.len() as u64);
            for bound in &self.custom_values {
                write_bound(out, *bound);
            }
        }
    }

    pub(super) fn read(reader: &mut BitReader<'_>) -> Result<Self, ChunkError> {
        let zero_threshold = read_zero_threshold(reader)?;
        let schema = i32::try_from(reader.varbit()?).map_err(|_| ChunkError::Damaged("the schema is no schema"))?;
        if schema != CUSTOM_BUCKETS_SCHEMA && !(-4..=8).contains(&schema) {
            return Err(ChunkError::Damaged("the histogram schema is not known"));
        }
        let positive_spans = read_spans(reader)?;
        let negative_spans = read_spans(reader)?;
        let mut custom_values = Vec::new();
        if schema == CUSTOM_BUCKETS_SCHEMA {
            for _ in 0..checked_len(reader.varbit_unsigned()?, reader)? {
                custom_values.push(read_bound(reader)?);
            }
        }
        Ok(Self { schema, zero_threshold, positive_spans, negative_spans, custom_values })
    }

    /// How many positive and negative buckets each histogram has. Every bucket takes a bit at least in what is left of
    /// the chunk, so that a damaged layout cannot make much memory be asked for.
    pub(super) fn bucket_counts(&self, reader: &BitReader<'_>) -> Result<(usize, usize), ChunkError> {
        let positive = checked_len(total(&self.positive_spans), reader)?;
        let negative = checked_len(total(&self.negative_spans), reader)?;
        Ok((positive, negative))
    }

    /// A histogram of this layout.
    pub(super) fn histogram(&self, reset_hint: ResetHint, sum: f64, buckets: Buckets) -> Histogram {
        Histogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum,
            reset_hint,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            custom_values: self.custom_values.clone(),
            buckets,
        }
    }
}

/// The stale marker among histograms.
pub(super) const fn stale_histogram(reset_hint: ResetHint, buckets: Buckets) -> Histogram {
    Histogram {
        schema: 0,
        zero_threshold: 0.0,
        sum: f64::from_bits(chronolith_storage::model::STALE_NAN_BITS),
        reset_hint,
        positive_spans: Vec::new(),
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        buckets,
    }
}

/// The hint of the sample at `index` in a chunk with these flags: inside a chunk of counters no reset happens.
pub(super) const fn reset_hint(flags: u8, index: u16) -> ResetHint {
    match flags & GAUGE {
        GAUGE => ResetHint::Gauge,
        _ if index > 0 => ResetHint::NotReset,
        _ => ResetHint::Unknown,
    }
}

/// The flags of a chunk that starts with this histogram.
pub(super) const fn flags(h: &Histogram) -> u8 {
    match h.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => RESET,
        ResetHint::NotReset => NOT_RESET,
        ResetHint::Gauge => GAUGE,
    }
}

/// Refuses a histogram whose buckets are not as many as its spans say, for its chunk could not be read.
pub(super) fn check_counts(h: &Histogram) -> Result<(), ChunkError> {
    let (positive, negative) = match &h.buckets {
        Buckets::Integer { positive, negative, .. } => (positive.len(), negative.len()),
        Buckets::Float { positive, negative, .. } => (positive.len(), negative.len()),
    };
    if h.is_stale() || (total(&h.positive_spans) == positive as u64 && total(&h.negative_spans) == negative as u64) {
        return Ok(());
    }
    Err(ChunkError::Damaged("a histogram has another number of buckets than its spans"))
}

fn total(spans: &[Span]) -> u64 {
    spans.iter().map(|s| u64::from(s.length)).sum()
}

fn checked_len(len: u64, reader: &BitReader<'_>) -> Result<usize, ChunkError> {
    match usize::try_from(len) {
        Ok(len) if len <= reader.left().min(MAX_HISTOGRAM_BUCKETS) => Ok(len),
        _ => Err(ChunkError::Damaged("the histogram layout has more spans or buckets than the chunk can hold")),
    }
}

fn read_spans(reader: &mut BitReader<'_>) -> Result<Vec<Span>, ChunkError> {
    let damaged = ChunkError::Damaged("a span does not fit 32 bits");
    let mut spans = Vec::new();
    for _ in 0..checked_len(reader.varbit_unsigned()?, reader)? {
        let length = u32::try_from(reader.varbit_unsigned()?).map_err(|_| damaged)?;
        let offset = i32::try_from(reader.varbit()?).map_err(|_| damaged)?;
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

/// Powers of two from 2^-243 to 2^10 take one byte, 1 to 254; 0 is 0, and 255 stands before any other float.
fn write_zero_threshold(out: &mut BitWriter, threshold: f64) {
    let bits = threshold.to_bits();
    let exponent = (bits >> 52) as i64 - 1_023;
    let power_of_two = bits & ((1 << 52) - 1) == 0;
    if threshold == 0.0 {
        out.bits(0, 8);
    } else if power_of_two && (-243..=10).contains(&exponent) {
        out.bits((exponent + 244) as u64, 8);
    } else {
        out.bits(255, 8);
        out.bits(bits, 64);
    }
}

fn read_zero_threshold(reader: &mut BitReader<'_>) -> Result<f64, ChunkError> {
    Ok(match reader.bits(8)? {
        0 => 0.0,
        255 => reader.float()?,
        byte => f64::from_bits((byte + 1_023 - 244) << 52),
    })
}

/// Bounds with at most three decimals up to 33554.430 are written as whole thousandths plus one.
fn write_bound(out: &mut BitWriter, bound: f64) {
    let thousandths = (bound * 1_000.0).round();
    if bound * 1_000.0 >= 0.0 && bound * 1_000.0 <= 33_554_430.0 && thousandths / 1_000.0 == bound {
        out.varbit_unsigned(thousandths as u64 + 1);
    } else {
        out.bit(false);
        out.bits(bound.to_bits(), 64);
    }
}

fn read_bound(reader: &mut BitReader<'_>) -> Result<f64, ChunkError> {
    match reader.varbit_unsigned()? {
        0 => reader.float(),
        n => Ok((n - 1) as f64 / 1_000.0),
    }
}

/// Whether a decoded sum says that the sample is a stale marker.
pub(super) fn is_stale(sum: f64) -> bool {
    sum.to_bits() == stale_nan().to_bits()
}
