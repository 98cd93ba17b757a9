//! SQL over the engine's tables: DataFusion below, PostgreSQL's dialect and behaviour above.
//!
//! A [`SqlEngine`] belongs to a database; each connection has a [`Session`] of it. Nothing here knows a wire: results are
//! streams of Arrow record batches, errors carry SQLSTATE codes.

pub mod catalog;
pub mod clock;
mod connection;
mod engine;
mod error;
pub mod functions;
mod give_way;
mod metrics;
pub mod objects;
mod outcome;
mod parse;
mod rollup;
mod scan;
mod scope;
mod session;
mod settings;
mod statement;
mod stop;
mod stored;
pub mod types;
mod undo;
mod whole_order;

pub use datafusion::common::ScalarValue;
pub use engine::{SqlEngine, SqlOptions};
pub use error::{About, Result, SqlError, SqlState};
pub use outcome::{CopyIn, CopyOptions, Outcome, RowStream};
pub use session::{Prepared, Session, TransactionStatus};
pub use stop::Canceller;
