//! Chronolith.

pub mod ingest;
#[cfg(feature = "server")]
pub mod server;
