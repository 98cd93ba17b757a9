//! Reading records: every length is checked against the bytes that are left before anything is allocated.

use super::{
    FloatSample, HISTOGRAM_HINT_SHIFT, HISTOGRAM_IS_FLOAT, RecordVisitor, TAG_EXEMPLAR, TAG_FLOATS,
    TAG_FLOATS_WITH_START, TAG_HISTOGRAM, TAG_METADATA, TAG_PAIR, TAG_SERIES, tables,
};
use crate::{
    Result, StorageError,
    model::{
        exemplar::Exemplar,
        histogram::{Buckets, Histogram, ResetHint, Span},
        labels::Labels,
        metadata::{MetricKind, MetricMetadata},
    },
};

/// Hands the records of a frame's payload to a visitor, in order.
///
/// # Errors
/// [`StorageError::Malformed`] at the first record that does not follow the format (those before it have been visited),
/// or the visitor's error.
pub fn decode(payload: &[u8], visitor: &mut impl RecordVisitor) -> Result<()> {
    let mut input = Input(payload);
    let mut pairs = Vec::new();
    while !input.0.is_empty() {
        match input.byte()? {
            TAG_PAIR => visitor.pair(input.number_u32()?, input.text()?, input.text()?)?,
            TAG_SERIES => {
                let id = input.number_u32()?;
                pairs.clear();
                for _ in 0..input.count(1)? {
                    pairs.push(input.number_u32()?);
                }
                visitor.series(id, &pairs)?;
            }
            TAG_FLOATS => floats::<false>(&mut input, visitor)?,
            TAG_FLOATS_WITH_START => floats::<true>(&mut input, visitor)?,
            TAG_HISTOGRAM => {
                let (series, timestamp, start) = (input.number_u32()?, input.signed()?, input.signed()?);
                visitor.histogram(series, timestamp, start, histogram(&mut input)?)?;
            }
            TAG_EXEMPLAR => {
                let series = input.number_u32()?;
                visitor.exemplar(series, exemplar(&mut input)?)?;
            }
            TAG_METADATA => {
                let metric = input.text()?;
                let number = input.byte()?;
                let kind = MetricKind::from_number(u64::from(number))
                    .ok_or_else(|| malformed(format!("metric kind {number} is unknown")))?;
                let (help, unit) = (input.text()?.to_owned(), input.text()?.to_owned());
                visitor.metadata(metric, MetricMetadata { kind, help, unit })?;
            }
            tag => match tables::decode(tag, input.0)? {
                Some((record, rest)) => {
                    input.0 = rest;
                    visitor.table(record)?;
                }
                None => return Err(malformed(format!("record tag {tag} is unknown"))),
            },
        }
    }
    Ok(())
}

#[cold]
fn malformed(reason: impl Into<String>) -> StorageError {
    StorageError::Malformed { what: "log record", reason: reason.into() }
}

#[cold]
fn short() -> StorageError {
    malformed("it ends before its time")
}

/// A block of float samples.
#[inline]
fn floats<const WITH_START: bool>(input: &mut Input<'_>, visitor: &mut impl RecordVisitor) -> Result<()> {
    let count = u32::from_le_bytes(*input.array::<4>()?);
    let (mut series, mut timestamp, mut start) = (0i64, 0i64, 0i64);
    for _ in 0..count {
        series = series.wrapping_add(input.signed()?);
        timestamp = timestamp.wrapping_add(input.signed()?);
        if WITH_START {
            start = start.wrapping_add(input.signed()?);
        }
        let value = input.float()?;
        let id = u32::try_from(series).map_err(|_| malformed(format!("series number {series} is out of range")))?;
        visitor.float(FloatSample { series: id, timestamp, start_timestamp: start, value })?;
    }
    Ok(())
}

fn histogram(input: &mut Input<'_>) -> Result<Histogram> {
    let flags = input.byte()?;
    let reset_hint = ResetHint::from_number(u64::from(flags >> HISTOGRAM_HINT_SHIFT))
        .ok_or_else(|| malformed(format!("histogram flags {flags:#x} are unknown")))?;
    let schema = i32::try_from(input.signed()?).map_err(|_| malformed("a histogram schema is out of range"))?;
    let (zero_threshold, sum) = (input.float()?, input.float()?);
    let (positive_spans, negative_spans) = (input.spans()?, input.spans()?);
    let custom_values = input.floats()?;
    let buckets = if flags & HISTOGRAM_IS_FLOAT == 0 {
        Buckets::Integer {
            count: input.number()?,
            zero_count: input.number()?,
            positive: input.deltas()?,
            negative: input.deltas()?,
        }
    } else {
        Buckets::Float {
            count: input.float()?,
            zero_count: input.float()?,
            positive: input.floats()?,
            negative: input.floats()?,
        }
    };
    Ok(Histogram { schema, zero_threshold, sum, reset_hint, positive_spans, negative_spans, custom_values, buckets })
}

fn exemplar(input: &mut Input<'_>) -> Result<Exemplar> {
    let (timestamp, value) = (input.signed()?, input.float()?);
    let count = input.count(2)?;
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, value) = (input.text()?, input.text()?);
        // Labels rely on this order.
        if value.is_empty() || pairs.last().is_some_and(|(before, _)| *before >= name) {
            return Err(malformed("the labels of an exemplar are not sorted, or one is empty"));
        }
        pairs.push((name, value));
    }
    Ok(Exemplar { labels: Labels::from_sorted(pairs), value, timestamp })
}

/// The bytes that are left.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    #[inline]
    fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.0.split_first().ok_or_else(short)?;
        self.0 = rest;
        Ok(*byte)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(short)?;
        self.0 = rest;
        Ok(array)
    }

    #[inline]
    fn number(&mut self) -> Result<u64> {
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(malformed("a number has more than 64 bits"))
    }

    #[inline]
    fn signed(&mut self) -> Result<i64> {
        let n = self.number()?;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    #[inline]
    fn number_u32(&mut self) -> Result<u32> {
        let n = self.number()?;
        u32::try_from(n).map_err(|_| malformed(format!("the number {n} does not fit 32 bits")))
    }

    #[inline]
    fn float(&mut self) -> Result<f64> {
        Ok(f64::from_bits(u64::from_le_bytes(*self.array()?)))
    }

    /// A number of items that are at least `item_min` bytes each: no more than can be there, so safe to allocate for.
    fn count(&mut self, item_min: usize) -> Result<usize> {
        let n = self.number()?;
        usize::try_from(n)
            .ok()
            .filter(|n| *n <= self.0.len() / item_min)
            .ok_or_else(|| malformed(format!("{n} items are announced, {} bytes are left", self.0.len())))
    }

    fn text(&mut self) -> Result<&'a str> {
        let len = self.count(1)?;
        let (text, rest) = self.0.split_at_checked(len).ok_or_else(short)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| malformed("a text is not UTF-8"))
    }

    fn spans(&mut self) -> Result<Vec<Span>> {
        (0..self.count(2)?)
            .map(|_| {
                let offset = i32::try_from(self.signed()?).map_err(|_| malformed("a span's offset is out of range"))?;
                Ok(Span { offset, length: self.number_u32()? })
            })
            .collect()
    }

    fn floats(&mut self) -> Result<Vec<f64>> {
        (0..self.count(8)?).map(|_| self.float()).collect()
    }

    fn deltas(&mut self) -> Result<Vec<i64>> {
        (0..self.count(1)?).map(|_| self.signed()).collect()
    }
}
