//! Prometheus remote write 1.0 and 2.0: decoders that borrow from the request's decoded body, and encoders.
//!
//! Decoding is lazy. A series' view is made by one pass over the tags and lengths of its fields; labels, histograms and
//! exemplars are looked at when they are asked for. A [`DecodeError`](super::DecodeError) says that the request is
//! broken: drop all of it. Everything else that is wrong with a series concerns that series alone.

mod encode;
mod histogram;
mod repeated;
pub mod v1;
pub mod v2;

#[cfg(test)]
mod tests;

pub(crate) use encode::{write_labels, write_samples};
pub(crate) use histogram::write_histogram;

pub use encode::{SeriesData, V1Encoder, V2Encoder};
pub use histogram::{Histograms, MAX_HISTOGRAM_BUCKETS};

use super::protobuf::{DecodeError, Reader};

/// One float sample. Remote write 1.0 knows no start timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The value; stale markers keep their bits.
    pub value: f64,
    /// When the counter started, in milliseconds since the Unix epoch; 0 when not known.
    pub start_timestamp: i64,
}

impl Sample {
    /// A sample without a start timestamp.
    #[must_use]
    pub const fn new(timestamp: i64, value: f64) -> Self {
        Self { timestamp, value, start_timestamp: 0 }
    }

    /// Reads a `Sample` message of either version.
    #[inline]
    fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let mut sample = Self::default();
        // Nearly all samples are a value and then a timestamp.
        if reader.take_tag(0x09) {
            sample.value = f64::from_bits(reader.fixed64()?);
            if reader.take_tag(0x10) {
                sample.timestamp = reader.varint()? as i64;
            }
        }
        while let Some((field, wire_type)) = reader.field()? {
            match field {
                1 => sample.value = reader.double(field, wire_type)?,
                2 => sample.timestamp = reader.number(field, wire_type)? as i64,
                3 => sample.start_timestamp = reader.number(field, wire_type)? as i64,
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok(sample)
    }
}

/// The float samples of a series, in the order they were sent.
#[derive(Debug, Clone)]
pub struct Samples<'a>(repeated::Repeated<'a>);

impl Iterator for Samples<'_> {
    type Item = Result<Sample, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(Sample::read))
    }
}
