//! Chronolith.

pub mod ingest;
