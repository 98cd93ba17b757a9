//! What stands in a frame of the log: records of label pairs, series, samples, exemplars and metadata, back to back.
//!
//! [`RecordEncoder`] appends records to a buffer, [`decode`] hands each to a [`RecordVisitor`] over borrowed bytes. The
//! format is in FORMAT.md, section "Write-ahead log".

mod decode;
mod encode;
mod tables;
#[cfg(test)]
mod tests;

pub use self::{decode::decode, encode::RecordEncoder, tables::TableRecord};
use crate::{
    Result,
    model::{exemplar::Exemplar, histogram::Histogram, metadata::MetricMetadata},
};

/// First byte of a record: a label pair gets its number.
const TAG_PAIR: u8 = 1;
/// First byte of a record: a series gets its number.
const TAG_SERIES: u8 = 2;
/// First byte of a record: float samples.
const TAG_FLOATS: u8 = 3;
/// First byte of a record: float samples with start timestamps.
const TAG_FLOATS_WITH_START: u8 = 4;
/// First byte of a record: a histogram sample.
const TAG_HISTOGRAM: u8 = 5;
/// First byte of a record: an exemplar.
const TAG_EXEMPLAR: u8 = 6;
/// First byte of a record: metadata of a metric.
const TAG_METADATA: u8 = 7;
/// First byte of a record: a table is made or changed.
const TAG_TABLE: u8 = 8;
/// First byte of a record: a table is dropped.
const TAG_TABLE_DROP: u8 = 9;
/// First byte of a record: an entry is put.
const TAG_ENTRY: u8 = 10;
/// First byte of a record: an entry is taken out.
const TAG_ENTRY_GONE: u8 = 11;
/// First byte of a record: rows of a table.
const TAG_ROWS: u8 = 12;
/// First byte of a record: rows that count no longer.
const TAG_DELETED: u8 = 13;
/// First byte of a record: the next number of a serial column.
const TAG_SERIAL: u8 = 14;

/// Flag of a histogram record: counts are floats.
const HISTOGRAM_IS_FLOAT: u8 = 1;
/// Where the reset hint begins in a histogram record's flags; it has two bits.
const HISTOGRAM_HINT_SHIFT: u32 = 1;

/// One float sample of a series. A start timestamp of 0 means that none is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloatSample {
    /// Number of the series.
    pub series: u32,
    /// Timestamp in milliseconds.
    pub timestamp: i64,
    /// Start timestamp in milliseconds.
    pub start_timestamp: i64,
    /// The value; NaNs keep their bits.
    pub value: f64,
}

/// Takes the records of a frame in the order in which they were written. An error ends the decoding.
pub trait RecordVisitor {
    /// A label pair and its number.
    ///
    /// # Errors
    /// When the visitor cannot take it.
    fn pair(&mut self, id: u32, name: &str, value: &str) -> Result<()>;
    /// A series and the numbers of its label pairs.
    ///
    /// # Errors
    /// When the visitor cannot take it.
    fn series(&mut self, id: u32, pairs: &[u32]) -> Result<()>;
    /// A float sample.
    ///
    /// # Errors
    /// When the visitor cannot take it.
    fn float(&mut self, sample: FloatSample) -> Result<()>;
    /// A histogram sample with its timestamp and start timestamp. Its spans and counts are as they were written, not
    /// validated.
    ///
    /// # Errors
    /// When the visitor cannot take it.
    fn histogram(&mut self, series: u32, timestamp: i64, start_timestamp: i64, histogram: Histogram) -> Result<()>;
    /// An exemplar of a series.
    ///
    /// # Errors
    /// When the visitor cannot take it.
    fn exemplar(&mut self, series: u32, exemplar: Exemplar) -> Result<()>;
    /// The metadata of a metric.
    ///
    /// # Errors
    /// When the visitor cannot take it.
    fn metadata(&mut self, metric: &str, metadata: MetricMetadata) -> Result<()>;
    /// What happened to a table.
    ///
    /// # Errors
    /// When the visitor cannot take it.
    fn table(&mut self, record: TableRecord<'_>) -> Result<()>;
}
