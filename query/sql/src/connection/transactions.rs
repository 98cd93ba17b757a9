//! Transactions: of one statement, tried again on conflict, or from BEGIN to COMMIT.

use chronolith_storage::{StorageError, engine::Transaction};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{Ident, Statement, TransactionAccessMode, TransactionIsolationLevel, TransactionMode, With},
};

use super::{Connection, ISOLATION, Open, REPEATABLE_READ};
use crate::{
    error::{Result, SqlError},
    outcome::Outcome,
    parse::ident,
    session::TransactionStatus,
    settings,
    statement::{self, Written},
    undo::ByName,
};

/// How often a statement that is its own transaction is tried.
const MOST_TRIES: usize = 20;

impl Connection {
    /// Runs a statement that writes: in the open transaction, or in one of its own, which is tried again when another
    /// transaction was faster.
    pub(crate) async fn write(
        &mut self,
        statement: &Statement,
        with: Option<&With>,
        parameters: &[ScalarValue],
    ) -> Result<Outcome> {
        self.check_may_write()?;
        if self.open.is_some() {
            self.look();
            return Ok(Box::pin(statement::apply(self, statement, with, parameters)).await?.into_outcome());
        }
        let mut tries = 1;
        loop {
            self.open = Some(Open {
                transaction: self.sql.engine().begin(),
                explicit: false,
                read_only: false,
                savepoints: Vec::new(),
            });
            self.look();
            let applied = Box::pin(statement::apply(self, statement, with, parameters)).await;
            let open = self.open.take();
            let written: Written = match applied {
                Err(e) if e.state.as_str() == "40001" && tries < MOST_TRIES => {
                    tries += 1;
                    continue;
                }
                other => other?,
            };
            let Some(open) = open else { return Ok(written.into_outcome()) };
            match commit(open.transaction).await {
                Ok(()) => return Ok(written.into_outcome()),
                Err(StorageError::Conflict { .. }) if tries < MOST_TRIES => tries += 1,
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Commits rows that came from outside, such as those of COPY, in a transaction of their own or the open one.
    pub(crate) async fn commit_implicit(&mut self) -> Result<()> {
        match self.open.take() {
            Some(open) if !open.explicit => Ok(commit(open.transaction).await?),
            other => {
                self.open = other;
                Ok(())
            }
        }
    }

    /// Opens a transaction for a statement that has none.
    pub(crate) fn begin_implicit(&mut self) -> Result<()> {
        self.check_may_write()?;
        if self.open.is_none() {
            let transaction = self.sql.engine().begin();
            self.open = Some(Open { transaction, explicit: false, read_only: false, savepoints: Vec::new() });
        }
        Ok(())
    }

    /// Refuses to write where that is not allowed.
    ///
    /// # Errors
    /// `25006` in a read-only transaction, `25P02` in one that failed.
    pub(crate) fn check_may_write(&self) -> Result<()> {
        self.check_not_failed()?;
        let read_only = match &self.open {
            Some(open) => open.read_only,
            None => self.info.setting("default_transaction_read_only").as_deref() == Some("on"),
        };
        if read_only {
            return Err(SqlError::new(b"25006", "cannot execute a statement that writes in a read-only transaction"));
        }
        Ok(())
    }

    /// BEGIN. Inside a transaction it changes nothing, as in PostgreSQL.
    pub(crate) fn begin(&mut self, modes: &[TransactionMode], tag: &str) -> Result<Outcome> {
        let mut read_only = self.info.setting("default_transaction_read_only").as_deref() == Some("on");
        let mut isolation = self.info.setting("default_transaction_isolation").unwrap_or_default();
        for mode in modes {
            match mode {
                TransactionMode::AccessMode(access) => read_only = *access == TransactionAccessMode::ReadOnly,
                TransactionMode::IsolationLevel(level) => isolation = isolation_name(*level)?.to_owned(),
            }
        }
        if self.open.is_none() {
            let transaction = self.sql.engine().begin();
            self.open = Some(Open { transaction, explicit: true, read_only, savepoints: Vec::new() });
            self.info.settings().begin();
            settings::set(&self.info, ISOLATION, &isolation, true)?;
            self.status.set(TransactionStatus::Open);
        }
        Ok(Outcome::Done { tag: tag.to_owned() })
    }

    /// COMMIT. A transaction that failed is rolled back, and the tag tells so.
    pub(crate) async fn commit(&mut self, chain: bool) -> Result<Outcome> {
        if chain {
            return Err(SqlError::unsupported("COMMIT AND CHAIN"));
        }
        let failed = self.status.get() == TransactionStatus::Failed;
        let settings = self.end_transaction();
        let open = self.open.take();
        match open {
            Some(open) if !failed => {
                commit(open.transaction).await?;
                if let Some(settings) = settings {
                    self.info.settings().put(settings);
                }
                Ok(Outcome::Done { tag: "COMMIT".to_owned() })
            }
            Some(_) => Ok(Outcome::Done { tag: "ROLLBACK".to_owned() }),
            None => Ok(Outcome::Done { tag: "COMMIT".to_owned() }),
        }
    }

    /// ROLLBACK, or ROLLBACK TO a savepoint.
    pub(crate) fn rollback(&mut self, savepoint: Option<&Ident>, chain: bool) -> Result<Outcome> {
        if chain {
            return Err(SqlError::unsupported("ROLLBACK AND CHAIN"));
        }
        if let Some(name) = savepoint {
            let at = self.savepoint_place(name)?;
            if let Some(open) = &mut self.open {
                open.transaction.rollback_to(open.savepoints[at].1);
                open.savepoints.truncate(at + 1);
            }
            self.info.settings().rollback_to(at);
            self.status.set(TransactionStatus::Open);
        } else {
            drop(self.end_transaction());
            self.open = None;
        }
        Ok(Outcome::Done { tag: "ROLLBACK".to_owned() })
    }

    /// Lets the open transaction see as this level has it, before it has seen anything at another.
    ///
    /// # Errors
    /// `0A000` for a level that there is not, `25001` when the transaction is bound to a moment already.
    pub(crate) fn set_isolation(&self, level: TransactionIsolationLevel) -> Result<()> {
        let name = isolation_name(level)?;
        if name != REPEATABLE_READ && self.open.as_ref().is_some_and(|open| open.transaction.is_pinned()) {
            return Err(SqlError::new(b"25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query"));
        }
        settings::set(&self.info, ISOLATION, name, true)
    }

    /// Lets the open transaction write or not.
    pub(crate) fn set_read_only(&mut self, read_only: bool) {
        if let Some(open) = &mut self.open {
            open.read_only = read_only;
        }
    }

    /// SAVEPOINT.
    pub(crate) fn savepoint(&mut self, name: &Ident) -> Result<Outcome> {
        let Some(open) = self.open.as_mut().filter(|open| open.explicit) else {
            return Err(SqlError::new(b"25P01", "SAVEPOINT can only be used in transaction blocks"));
        };
        open.savepoints.push((ident(name), open.transaction.savepoint()));
        self.info.settings().savepoint();
        Ok(Outcome::Done { tag: "SAVEPOINT".to_owned() })
    }

    /// RELEASE SAVEPOINT.
    pub(crate) fn release(&mut self, name: &Ident) -> Result<Outcome> {
        let at = self.savepoint_place(name)?;
        if let Some(open) = &mut self.open {
            open.savepoints.truncate(at);
        }
        self.info.settings().release(at);
        Ok(Outcome::Done { tag: "RELEASE".to_owned() })
    }

    fn savepoint_place(&self, name: &Ident) -> Result<usize> {
        let name = ident(name);
        let Some(open) = self.open.as_ref().filter(|open| open.explicit) else {
            return Err(SqlError::new(b"25P01", "savepoints can only be used in transaction blocks"));
        };
        open.savepoints
            .iter()
            .rposition(|(n, _)| *n == name)
            .ok_or_else(|| SqlError::new(b"3B001", format!("savepoint \"{name}\" does not exist")))
    }

    /// What ends with a transaction, however it ends: its status, its cursors and its settings. Returns the settings that
    /// count when it is committed.
    fn end_transaction(&mut self) -> Option<ByName> {
        self.status.set(TransactionStatus::Idle);
        self.close_cursors_of_transaction();
        self.info.settings().end()
    }
}

/// The name of a level as settings have it.
///
/// # Errors
/// `0A000` for a level that there is not.
pub(crate) fn isolation_name(level: TransactionIsolationLevel) -> Result<&'static str> {
    match level {
        TransactionIsolationLevel::ReadCommitted => Ok("read committed"),
        TransactionIsolationLevel::ReadUncommitted => Ok("read uncommitted"),
        TransactionIsolationLevel::RepeatableRead => Ok(REPEATABLE_READ),
        other => Err(SqlError::unsupported(format!("the isolation level {other}")).with_hint(
            "there are READ COMMITTED and REPEATABLE READ; writes that contradict each other fail with 40001",
        )),
    }
}

/// Commits where waiting for the disk keeps no query's thread.
async fn commit(transaction: Transaction) -> Result<(), StorageError> {
    match tokio::task::spawn_blocking(move || transaction.commit()).await {
        Ok(done) => done,
        Err(e) => Err(StorageError::Invalid(format!("the commit ended unexpectedly: {e}"))),
    }
}
