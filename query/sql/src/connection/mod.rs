//! What a session keeps between statements, and which way a statement goes.

mod answers;
mod bytes;
mod cursors;
mod dispatch;
mod infer;
mod locking;
mod members;
pub(crate) mod naming;
mod plan;
mod prepare;
mod rewrite;
pub(crate) mod transactions;
mod values;

use std::{collections::BTreeMap, sync::Arc};

use chronolith_storage::{
    engine::{Savepoint, Transaction},
    table::TablesView,
};
use datafusion::prelude::SessionContext;

use crate::{
    engine::SqlEngine,
    error::{Result, SqlError},
    objects::{Objects, SessionInfo},
    scope::Scope,
    session::{SharedStatus, TransactionStatus},
    stop::{Canceller, Stop},
};

pub(crate) use dispatch::{check_query, done, first_words, texts};
pub(crate) use plan::{Evaluated, select};

/// The setting that tells what a transaction sees of others.
pub(crate) const ISOLATION: &str = "transaction_isolation";
/// The level at which a transaction sees one moment, that of its first statement.
pub(crate) const REPEATABLE_READ: &str = "repeatable read";

/// A session's state.
pub(crate) struct Connection {
    pub(crate) sql: SqlEngine,
    pub(crate) info: Arc<SessionInfo>,
    pub(crate) status: Arc<SharedStatus>,
    pub(crate) scope: Arc<Scope>,
    /// Made by the first statement that needs it.
    context: Option<SessionContext>,
    open: Option<Open>,
    /// When the statement that runs is to stop.
    stop: Stop,
    /// Whether the statement computes in UTC whatever the session's zone, as rollups do.
    pub(crate) is_in_utc: bool,
    /// Whether a statement runs, or was cut off.
    working: bool,
    prepared: BTreeMap<String, prepare::Named>,
    cursors: BTreeMap<String, cursors::Cursor>,
}

/// A transaction that is not at its end.
struct Open {
    transaction: Transaction,
    /// Whether BEGIN opened it; else it is that of one statement.
    explicit: bool,
    read_only: bool,
    savepoints: Vec<(String, Savepoint)>,
}

impl Connection {
    pub(crate) fn new(sql: SqlEngine, info: Arc<SessionInfo>, status: Arc<SharedStatus>) -> Self {
        let scope = Arc::new(Scope::new(sql.engine().clone()));
        Self {
            sql,
            info,
            status,
            scope,
            context: None,
            open: None,
            stop: Stop::new(&Canceller::new(), None),
            is_in_utc: false,
            working: false,
            prepared: BTreeMap::new(),
            cursors: BTreeMap::new(),
        }
    }

    /// Begins a statement. When the one before was cut off, its transaction has failed.
    pub(crate) fn begin_work(&mut self, stop: Stop) {
        if self.working {
            self.status.fail();
        }
        self.drop_implicit();
        self.is_in_utc = false;
        self.working = true;
        self.stop = stop;
    }

    /// Ends a statement.
    pub(crate) fn end_work(&mut self, error: Option<&SqlError>) {
        self.working = false;
        if error.is_some() {
            self.status.fail();
        }
        self.drop_implicit();
        self.scope.see(None);
    }

    pub(crate) fn drop_implicit(&mut self) {
        if self.open.as_ref().is_some_and(|open| !open.explicit) {
            self.open = None;
        }
    }

    /// Lets the statement see the tables as they are now, with the transaction's writes.
    pub(crate) fn look(&self) {
        if let Some(open) = self.open.as_ref().filter(|open| open.explicit)
            && self.info.setting(ISOLATION).as_deref() == Some(REPEATABLE_READ)
        {
            open.transaction.pin();
        }
        self.scope.see(Some(self.tables()));
    }

    fn tables(&self) -> TablesView {
        match &self.open {
            Some(open) => open.transaction.tables(),
            None => self.sql.engine().tables(),
        }
    }

    /// The transaction that the statement writes to.
    ///
    /// # Errors
    /// When there is none, which no statement that writes lets happen.
    pub(crate) fn transaction(&mut self) -> Result<&mut Transaction> {
        match &mut self.open {
            Some(open) => Ok(&mut open.transaction),
            None => Err(SqlError::new(b"25P01", "there is no transaction in progress")),
        }
    }

    /// Whether BEGIN opened a transaction.
    pub(crate) fn in_transaction(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.explicit)
    }

    /// When the statement is to stop.
    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    pub(crate) fn objects(&self) -> Arc<dyn Objects> {
        Arc::clone(&self.scope) as Arc<dyn Objects>
    }

    /// The zone that times without one are of.
    pub(crate) fn zone(&self) -> String {
        self.info.setting("timezone").unwrap_or_else(|| crate::types::UTC.to_owned())
    }

    fn check_not_failed(&self) -> Result<()> {
        if self.status.get() == TransactionStatus::Failed {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(SqlError::new(b"25P02", message));
        }
        Ok(())
    }
}
