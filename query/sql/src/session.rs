//! Sessions: what a connection is to the database: settings, a transaction, prepared statements' plans.

use std::{sync::Arc, time::Duration};

use arrow::datatypes::{DataType, SchemaRef};
use chronolith_storage::engine::Engine;
use datafusion::common::ScalarValue;

use crate::{error::Result, outcome::Outcome};

/// Limits of the SQL engine.
#[derive(Debug, Clone)]
pub struct SqlOptions {
    /// Memory that all queries together may take for sorting, grouping and joining, in bytes; beyond it they spill or fail.
    pub memory_bytes: usize,
    /// Where queries spill; `None`: they do not.
    pub spill_dir: Option<std::path::PathBuf>,
    /// How long a statement may run unless the session says otherwise.
    pub statement_timeout: Option<Duration>,
    /// Threads that one query uses.
    pub threads: usize,
}

/// SQL over one database. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct SqlEngine {
    engine: Engine,
    options: Arc<SqlOptions>,
}

/// Where a session is in a transaction, as PostgreSQL tells it after each statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// In none: each statement is one.
    Idle,
    /// In one.
    Open,
    /// In one that failed: only ROLLBACK is taken.
    Failed,
}

/// One connection's state. Not shared: statements of a session run one after another.
pub struct Session {
    sql: SqlEngine,
}

/// A statement that was parsed and planned, with places for parameters.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The statement's text.
    pub sql: String,
    /// The types of `$1`, `$2`, ...: what the client said, or what the plan needs; their `pg_type` as in
    /// [`Outcome::Rows`].
    pub parameters: Vec<DataType>,
    /// The columns of the result; `None` when there are no rows.
    pub columns: Option<SchemaRef>,
}

impl SqlEngine {
    /// SQL over this engine.
    ///
    /// # Errors
    /// When the spill directory cannot be made.
    pub fn new(engine: Engine, options: SqlOptions) -> Result<Self> {
        Ok(Self { engine, options: Arc::new(options) })
    }

    /// A session of this user, who asked for this database.
    #[must_use]
    pub fn session(&self, user: &str, database: &str) -> Session {
        let _ = (user, database, &self.engine, &self.options);
        Session { sql: self.clone() }
    }
}

impl Session {
    /// The statements of a text, which are separated by semicolons: each as its own text.
    ///
    /// # Errors
    /// When the text cannot be split because a quote is not closed.
    pub fn split(&self, text: &str) -> Result<Vec<String>> {
        let _ = &self.sql;
        Ok(vec![text.to_owned()])
    }

    /// Runs one statement without parameters, as the simple protocol does.
    ///
    /// # Errors
    /// When it is wrong, refused, or fails. In a transaction, that transaction has then failed.
    pub async fn run(&mut self, statement: &str) -> Result<Outcome> {
        let _ = statement;
        Ok(Outcome::Empty)
    }

    /// Parses and plans one statement; `hints` are the parameters' types as far as the client tells them.
    ///
    /// # Errors
    /// When it is wrong or refused.
    pub async fn prepare(&mut self, statement: &str, hints: &[Option<DataType>]) -> Result<Prepared> {
        let _ = hints;
        Ok(Prepared { sql: statement.to_owned(), parameters: Vec::new(), columns: None })
    }

    /// Runs a prepared statement with its parameters' values.
    ///
    /// # Errors
    /// As [`Session::run`], and when the number or types of the values do not fit.
    pub async fn execute(&mut self, prepared: &Prepared, parameters: &[ScalarValue]) -> Result<Outcome> {
        let _ = (prepared, parameters);
        Ok(Outcome::Empty)
    }

    /// Makes an open transaction a failed one, because something went wrong beside its statements, such as a value that
    /// could not be decoded. Nothing when none is open.
    pub fn fail_transaction(&mut self) {
        let _ = &self.sql;
    }

    /// Where the session is in a transaction.
    #[must_use]
    pub fn transaction_status(&self) -> TransactionStatus {
        TransactionStatus::Idle
    }

    /// A setting's value, such as `TimeZone` or `application_name`.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// Stops the statement that runs now, from another thread; it fails with `57014`.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller {}
    }
}

/// Stops a session's statement.
#[derive(Debug, Clone)]
pub struct Canceller {}

impl Canceller {
    /// Stops what runs now; nothing when nothing runs.
    pub fn cancel(&self) {}
}
