//! The `Histogram` message, which both versions of remote write share.

use std::sync::Arc;

use chronolith_storage::{Buckets, Histogram, ResetHint, Span, read::HistogramSample};

use super::repeated::Repeated;
use crate::ingest::protobuf::{
    DecodeError, Message, PackedDoubles, PackedVarints, Problem, Reader, WireType, Writer, zigzag,
};

/// How many buckets, spans or custom bounds one side of a histogram may have.
pub const MAX_HISTOGRAM_BUCKETS: usize = 1 << 16;

/// The histogram samples of a series, in the order they were sent. They are decoded but not validated:
/// [`Histogram::validate`] tells whether one may be stored.
#[derive(Debug, Clone)]
pub struct Histograms<'a>(Repeated<'a>);

impl<'a> Histograms<'a> {
    pub(crate) const fn new(elements: Repeated<'a>) -> Self {
        Self(elements)
    }
}

impl Iterator for Histograms<'_> {
    type Item = Result<HistogramSample, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(read))
    }
}

/// A count that is a whole number or a float, whichever was sent last.
#[derive(Clone, Copy)]
enum Count {
    Integer(u64),
    Float(f64),
}

/// The fields of the message before it is known whether they are integers or floats.
#[derive(Default)]
struct Fields {
    count: Option<Count>,
    zero_count: Option<Count>,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    reset_hint: ResetHint,
    timestamp: i64,
    start_timestamp: i64,
    positive: Side,
    negative: Side,
    custom_values: Vec<f64>,
}

#[derive(Default)]
struct Side {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

fn read(mut reader: Reader<'_>) -> Result<HistogramSample, DecodeError> {
    let mut f = Fields::default();
    while let Some((field, wire_type)) = reader.field()? {
        match field {
            1 => f.count = Some(Count::Integer(reader.number(field, wire_type)?)),
            2 => f.count = Some(Count::Float(reader.double(field, wire_type)?)),
            3 => f.sum = reader.double(field, wire_type)?,
            4 => f.schema = schema(&mut reader, wire_type)?,
            5 => f.zero_threshold = reader.double(field, wire_type)?,
            6 => f.zero_count = Some(Count::Integer(reader.number(field, wire_type)?)),
            7 => f.zero_count = Some(Count::Float(reader.double(field, wire_type)?)),
            8..=10 => f.negative.read(&mut reader, field, wire_type, field - 8)?,
            11..=13 => f.positive.read(&mut reader, field, wire_type, field - 11)?,
            14 => f.reset_hint = ResetHint::from_number(reader.number(field, wire_type)?).unwrap_or_default(),
            15 => f.timestamp = reader.number(field, wire_type)? as i64,
            16 => {
                let bounds = reader.packed_doubles(field, wire_type)?;
                push_doubles(&mut f.custom_values, &reader, bounds)?;
            }
            17 => f.start_timestamp = reader.number(field, wire_type)? as i64,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(f.into_sample())
}

impl Fields {
    /// The kind is that of the count, as in Prometheus; values of the other kind are no part of the histogram.
    fn into_sample(self) -> HistogramSample {
        let float = match self.count {
            Some(count) => matches!(count, Count::Float(_)),
            None => matches!(self.zero_count, Some(Count::Float(_))),
        };
        let buckets = if float {
            let value = |count| match count {
                Some(Count::Float(value)) => value,
                _ => 0.0,
            };
            Buckets::Float {
                count: value(self.count),
                zero_count: value(self.zero_count),
                positive: self.positive.counts,
                negative: self.negative.counts,
            }
        } else {
            let value = |count| match count {
                Some(Count::Integer(value)) => value,
                _ => 0,
            };
            Buckets::Integer {
                count: value(self.count),
                zero_count: value(self.zero_count),
                positive: self.positive.deltas,
                negative: self.negative.deltas,
            }
        };
        let histogram = Histogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            reset_hint: self.reset_hint,
            positive_spans: self.positive.spans,
            negative_spans: self.negative.spans,
            custom_values: self.custom_values,
            buckets,
        };
        HistogramSample {
            timestamp: self.timestamp,
            start_timestamp: self.start_timestamp,
            histogram: Arc::new(histogram),
        }
    }
}

impl Side {
    /// Reads the spans (`which` 0), the deltas (1) or the counts (2).
    fn read(
        &mut self,
        reader: &mut Reader<'_>,
        field: u32,
        wire_type: WireType,
        which: u32,
    ) -> Result<(), DecodeError> {
        match which {
            0 => {
                check_len(reader, self.spans.len(), 1)?;
                self.spans.push(span(reader.message(field, wire_type, Message::BucketSpan)?)?);
            }
            1 => {
                let values: PackedVarints<'_> = reader.packed_varints(field, wire_type)?;
                // A value takes a byte at least, so no more memory is asked for than eight times the bytes.
                self.deltas.reserve(values.max_len().min(MAX_HISTOGRAM_BUCKETS));
                for value in values {
                    check_len(reader, self.deltas.len(), 1)?;
                    self.deltas.push(zigzag(value?));
                }
            }
            _ => {
                let values = reader.packed_doubles(field, wire_type)?;
                push_doubles(&mut self.counts, reader, values)?;
            }
        }
        Ok(())
    }
}

fn check_len(reader: &Reader<'_>, have: usize, more: usize) -> Result<(), DecodeError> {
    if have + more > MAX_HISTOGRAM_BUCKETS {
        let what = "buckets or spans in one histogram";
        return Err(reader.error(Problem::TooMany { what, limit: MAX_HISTOGRAM_BUCKETS }));
    }
    Ok(())
}

fn push_doubles(out: &mut Vec<f64>, reader: &Reader<'_>, values: PackedDoubles<'_>) -> Result<(), DecodeError> {
    check_len(reader, out.len(), values.len())?;
    out.extend(values.iter());
    Ok(())
}

fn schema(reader: &mut Reader<'_>, wire_type: WireType) -> Result<i32, DecodeError> {
    let value = reader.number(4, wire_type)?;
    i32::try_from(zigzag(value)).map_err(|_| reader.error(Problem::UnknownValue { field: 4, value }))
}

fn span(mut reader: Reader<'_>) -> Result<Span, DecodeError> {
    let mut span = Span { offset: 0, length: 0 };
    while let Some((field, wire_type)) = reader.field()? {
        match field {
            1 => {
                let value = reader.number(field, wire_type)?;
                span.offset =
                    i32::try_from(zigzag(value)).map_err(|_| reader.error(Problem::UnknownValue { field, value }))?;
            }
            2 => {
                let value = reader.number(field, wire_type)?;
                span.length = u32::try_from(value).map_err(|_| reader.error(Problem::UnknownValue { field, value }))?;
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(span)
}

/// Writes the message's fields.
pub(crate) fn write_histogram(w: &mut Writer, sample: &HistogramSample) {
    let h = &sample.histogram;
    match &h.buckets {
        Buckets::Integer { count, zero_count, .. } => {
            w.number_or_zero(1, *count);
            w.double(3, h.sum);
            w.signed(4, i64::from(h.schema));
            w.double(5, h.zero_threshold);
            w.number_or_zero(6, *zero_count);
        }
        Buckets::Float { count, zero_count, .. } => {
            w.double_or_zero(2, *count);
            w.double(3, h.sum);
            w.signed(4, i64::from(h.schema));
            w.double(5, h.zero_threshold);
            w.double_or_zero(7, *zero_count);
        }
    }
    write_spans(w, 8, &h.negative_spans);
    match &h.buckets {
        Buckets::Integer { negative, .. } => w.packed_signed(9, negative),
        Buckets::Float { negative, .. } => w.packed_doubles(10, negative),
    }
    write_spans(w, 11, &h.positive_spans);
    match &h.buckets {
        Buckets::Integer { positive, .. } => w.packed_signed(12, positive),
        Buckets::Float { positive, .. } => w.packed_doubles(13, positive),
    }
    w.number(14, h.reset_hint as u64);
    w.int64(15, sample.timestamp);
    w.packed_doubles(16, &h.custom_values);
}

fn write_spans(w: &mut Writer, field: u32, spans: &[Span]) {
    for span in spans {
        w.message(field, |w| {
            w.signed(1, i64::from(span.offset));
            w.number(2, u64::from(span.length));
        });
    }
}
