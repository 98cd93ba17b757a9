//! Wire formats to rows and back: pure functions over bytes that come from outside, each one a fuzz target.
//!
//! It is not: a server, a writer to the engine, an async library. A decoder borrows from the bytes it is given, checks
//! every length before it allocates, and answers broken input with an error that says what is broken and where.

pub mod events;
pub mod exposition;
#[cfg(feature = "kafka-records")]
pub mod kafka_records;
pub mod label_rules;
pub mod parquet_schema;
pub mod postgres;
pub mod prometheus_chunk;
#[cfg(feature = "server")]
pub mod prometheus_tsdb;
pub mod protobuf;
pub mod remote_read;
pub mod remote_write;
pub mod snappy;

pub use label_rules::{LabelError, LabelLimits, validate_labels};
pub use protobuf::DecodeError;
