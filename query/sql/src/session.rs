//! Sessions: what a connection is to the database: settings, a transaction, prepared statements' plans.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::{common::ScalarValue, sql::sqlparser::ast::Ident};
use futures::future::{self, BoxFuture};
use tokio::{sync::Mutex, task::JoinHandle};

use crate::{
    connection::Connection,
    engine::SqlEngine,
    error::{Result, SqlError},
    objects::{SessionInfo, Warning},
    outcome::Outcome,
    parse, settings,
    stop::{Canceller, Stop},
};

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

/// A [`TransactionStatus`] that a session and its running statements share.
#[derive(Debug, Default)]
pub(crate) struct SharedStatus(AtomicU8);

impl SharedStatus {
    pub(crate) fn set(&self, status: TransactionStatus) {
        self.0.store(status as u8, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> TransactionStatus {
        match self.0.load(Ordering::SeqCst) {
            0 => TransactionStatus::Idle,
            1 => TransactionStatus::Open,
            _ => TransactionStatus::Failed,
        }
    }

    /// A transaction that is open has failed.
    pub(crate) fn fail(&self) {
        let open = TransactionStatus::Open as u8;
        let failed = TransactionStatus::Failed as u8;
        let _ = self.0.compare_exchange(open, failed, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// One connection's state. Not shared: statements of a session run one after another, on the engine's own threads.
///
/// Its futures are boxed: those of `async fn` are compiled again in each crate that awaits them, and all of the planner with
/// them.
pub struct Session {
    handle: SessionHandle,
}

/// What a session and what it began share.
#[derive(Clone)]
pub(crate) struct SessionHandle {
    sql: SqlEngine,
    info: Arc<SessionInfo>,
    status: Arc<SharedStatus>,
    canceller: Canceller,
    connection: Arc<Mutex<Connection>>,
}

/// A statement that was parsed and planned, with places for parameters.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The statement's text.
    pub sql: String,
    /// The types of `$1`, `$2`, ...: what the client said, or what the plan needs; their `pg_type` as in
    /// [`Outcome::Rows`].
    pub parameters: Vec<Field>,
    /// The columns of the result; `None` when there are no rows.
    pub columns: Option<SchemaRef>,
}

impl Session {
    pub(crate) fn new(sql: &SqlEngine, user: &str, database: &str, pid: i32) -> Self {
        let info = Arc::new(SessionInfo {
            user: user.to_owned(),
            database: database.to_owned(),
            pid,
            started: sql.started(),
            settings: std::sync::Mutex::new(settings::defaults(user, sql.options().statement_timeout)),
            warnings: std::sync::Mutex::default(),
        });
        let status = Arc::new(SharedStatus::default());
        let connection = Connection::new(sql.clone(), Arc::clone(&info), Arc::clone(&status));
        let connection = Arc::new(Mutex::new(connection));
        let handle = SessionHandle { sql: sql.clone(), info, status, canceller: Canceller::new(), connection };
        Self { handle }
    }

    /// The statements of a text, which are separated by semicolons: each as its own text.
    ///
    /// # Errors
    /// When the text cannot be split because a quote is not closed.
    pub fn split(&self, text: &str) -> Result<Vec<String>> {
        parse::split(text)
    }

    /// Runs one statement without parameters, as the simple protocol does.
    ///
    /// # Errors
    /// When it is wrong, refused, or fails. In a transaction, that transaction has then failed.
    pub fn run(&mut self, statement: &str) -> BoxFuture<'_, Result<Outcome>> {
        self.outcome(statement.to_owned(), Vec::new())
    }

    /// Parses and plans one statement; `hints` are the parameters' types as far as the client tells them.
    ///
    /// # Errors
    /// When it is wrong or refused.
    pub fn prepare(&mut self, statement: &str, hints: &[Option<DataType>]) -> BoxFuture<'_, Result<Prepared>> {
        let (statement, hints) = (statement.to_owned(), hints.to_vec());
        let work =
            self.handle.work(move |connection| Box::pin(async move { connection.prepare(&statement, &hints).await }));
        Box::pin(work)
    }

    /// Runs a prepared statement with its parameters' values.
    ///
    /// # Errors
    /// As [`Session::run`], and when the number or types of the values do not fit.
    pub fn execute(&mut self, prepared: &Prepared, parameters: &[ScalarValue]) -> BoxFuture<'_, Result<Outcome>> {
        if parameters.len() != prepared.parameters.len() {
            let (got, wanted) = (parameters.len(), prepared.parameters.len());
            let error =
                SqlError::new(b"08P01", format!("the statement has {wanted} parameters, {got} values were given"));
            return Box::pin(future::ready(Err(error)));
        }
        self.outcome(prepared.sql.clone(), parameters.to_vec())
    }

    /// The columns of a cursor that DECLARE opened.
    ///
    /// # Errors
    /// `34000` when there is none of this name.
    pub fn cursor_columns(&mut self, name: &str) -> BoxFuture<'_, Result<SchemaRef>> {
        let name = Ident::with_quote('"', name);
        Box::pin(self.handle.work(move |connection| Box::pin(async move { connection.cursor_schema(&name) })))
    }

    fn outcome(&self, statement: String, parameters: Vec<ScalarValue>) -> BoxFuture<'_, Result<Outcome>> {
        Box::pin(async move {
            let run = self
                .handle
                .work(move |connection| Box::pin(async move { connection.run(&statement, &parameters).await }));
            let mut outcome = run.await?;
            if let Outcome::CopyIn(copy) = &mut outcome {
                copy.attach(self.handle.clone());
            }
            Ok(outcome)
        })
    }

    /// Where the session is in a transaction.
    #[must_use]
    pub fn transaction_status(&self) -> TransactionStatus {
        self.handle.status.get()
    }

    /// Lets the transaction fail that is open, if one is: for what goes wrong outside a statement, such as a message of the
    /// wire that cannot be read.
    pub fn fail_transaction(&mut self) {
        self.handle.status.fail();
    }

    /// A setting's value, such as `TimeZone` or `application_name`.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<String> {
        self.handle.info.setting(name)
    }

    /// Sets a setting as SET does, such as those of a connection's first message.
    ///
    /// # Errors
    /// When there is no such setting, or the value is none of it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        settings::set(&self.handle.info, name, value, false)
    }

    /// What the user should know of the statements since this was called last.
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut *self.handle.info.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The session's number, which clients know as the process id of their backend.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.handle.info.pid
    }

    /// Stops the statement that runs now, from another thread; it fails with `57014`.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.handle.canceller.clone()
    }
}

impl SessionHandle {
    /// Lets the transaction fail that is open, if one is.
    pub(crate) fn fail(&self) {
        self.status.fail();
    }

    /// Does something with the connection on the engine's threads, until it is done, cancelled or too late.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Connection) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let handle = self.sql.handle()?;
        let timeout = settings::statement_timeout(&self.info);
        let mut stop = Stop::new(&self.canceller, timeout);
        let connection = Arc::clone(&self.connection);
        let task = handle.spawn(async move {
            let mut connection = connection.lock_owned().await;
            connection.begin_work(stop.clone());
            let done = tokio::select! {
                biased;
                error = stop.stopped() => Err(error),
                done = work(&mut connection) => done,
            };
            connection.end_work(done.as_ref().err());
            done
        });
        AbortOnDrop(task).wait().await
    }
}

/// A task that ends when nobody waits for it any more.
struct AbortOnDrop<T>(JoinHandle<Result<T>>);

impl<T> AbortOnDrop<T> {
    async fn wait(mut self) -> Result<T> {
        match (&mut self.0).await {
            Ok(done) => done,
            Err(e) => Err(SqlError::new(b"XX000", format!("the statement ended unexpectedly: {e}"))),
        }
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long a statement may take: nothing when there is no limit.
pub(crate) type Timeout = Option<Duration>;
