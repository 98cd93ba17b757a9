//! Chronolith: a time-series and event database to embed, and the binary that serves it.
//!
//! [`Db`] is the centre: open one in a directory or in memory, append samples, ask PromQL. It is synchronous, needs no
//! async runtime and has no global state.
//!
//! ```
//! use chronolith::Db;
//!
//! let db = Db::in_memory()?;
//! db.load_series("load 60s\n  http_requests_total{job=\"api\"} 0+120x10")?;
//! let rate = db.query("rate(http_requests_total[5m])", 600_000)?;
//! assert_eq!(rate.value(), Some(2.0));
//! # Ok::<(), chronolith::Error>(())
//! ```
//!
//! Events stand beside the samples: [`Db::append_json`] takes documents, `Db::sql` (feature `sql`) asks them and every metric.
//!
//! It is not: a cluster (one process owns a directory), a client library, an agent that scrapes.

#[cfg(feature = "server")]
#[doc(hidden)]
pub mod cli;
mod db;
mod error;
mod events;
mod features;
pub mod ingest;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod promqltest;
#[cfg(feature = "server")]
pub mod server;

pub use arrow_array;
pub use chronolith_promql as promql;
#[cfg(feature = "sql")]
pub use chronolith_sql as sql;
pub use chronolith_storage as storage;
pub use db::{Builder, Db, QueryResult};
pub use error::{Error, Result};
pub use events::AppendSummary;
pub use features::{Features, Standing};
