//! The storage engine of Chronolith: rows, columns, time and disk.
//!
//! Samples come in through an appender, are made durable by the write-ahead log, live in the memtable, are flushed to
//! immutable segments, merged, and dropped by retention. Queries read memtable and segments as one snapshot.
//!
//! It is not: a server, a query language, an async library. It knows no protocol and never parses PromQL.

pub mod catalog;
pub mod clock;
mod codec;
pub mod document;
pub mod encoding;
pub mod engine;
mod error;
mod memtable;
pub mod model;
pub mod read;
pub mod rng;
pub mod segment;
pub mod table;
pub mod vfs;
pub mod wal;

pub use error::{Result, StorageError};
pub use model::{
    exemplar::Exemplar,
    histogram::{Bucket, Buckets, FloatHistogram, Histogram, HistogramMathError, Reconciled, ResetHint, Span},
    labels::{Labels, LabelsBuilder},
    matcher::{MatchOp, Matcher, MatcherError},
    metadata::{MetricKind, MetricMetadata},
    time::TimeRange,
};
pub use read::{SampleBuffer, SeriesSet, SeriesSource};
