//! The HTTP server by its wire: every endpoint's success and failure, hostile clients, limits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod admin;
mod connections;
mod events;
mod harness;
mod hostile;
mod limits;
mod metadata;
mod protocol;
mod query;
mod read;
mod series;
#[cfg(feature = "sql")]
mod sql;
mod status;
mod write;
