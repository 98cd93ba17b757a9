//! Chronolith: a time-series and event database to embed, and the binary that serves it.
//!
//! [`Db`] is the centre: open one in a directory or in memory, append samples, ask PromQL. It is synchronous, needs no
//! async runtime and has no global state.
//!
//! ```
//! use chronolith::Db;
//!
//! let db = Db::in_memory()?;
//! db.append(&[("__name__", "up"), ("job", "api")], 1_000, 1.0)?;
//! assert_eq!(db.query("sum(up)", 1_000)?.value(), Some(1.0));
//! # Ok::<(), chronolith::Error>(())
//! ```
//!
//! It is not: a cluster (one process owns a directory), a client library, an agent that scrapes.

mod db;
mod error;
pub mod ingest;
#[cfg(feature = "server")]
pub mod server;

pub use chronolith_promql as promql;
pub use chronolith_storage as storage;
pub use db::{Builder, Db, QueryResult};
pub use error::{Error, Result};
