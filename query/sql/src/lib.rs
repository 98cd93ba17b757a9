//! SQL over the engine's tables: DataFusion below, PostgreSQL's dialect and behaviour above.
//!
//! A [`SqlEngine`] belongs to a database; each connection has a [`Session`] of it. Nothing here knows a wire: results are
//! streams of Arrow record batches, errors carry SQLSTATE codes.

mod error;
mod outcome;
mod session;

pub use datafusion::common::ScalarValue;
pub use error::{Result, SqlError, SqlState};
pub use outcome::{CopyIn, CopyOptions, Outcome, RowStream};
pub use session::{Canceller, Prepared, Session, SqlEngine, SqlOptions, TransactionStatus};
