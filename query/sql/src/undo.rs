//! What transactions do to settings: those of SET LOCAL end with them, those of a transaction that rolls back are undone.

use std::{collections::BTreeMap, ops::Deref};

use crate::objects::Setting;

/// Settings by their name in lower case.
pub(crate) type ByName = BTreeMap<String, Setting>;

/// The settings of a session. To read, they are a map by name in lower case.
#[derive(Debug)]
pub struct Settings {
    now: ByName,
    /// There between BEGIN and the transaction's end.
    transaction: Option<Levels>,
}

/// What the ends of a transaction bring back.
#[derive(Debug)]
struct Levels {
    /// What will be after COMMIT: without what SET LOCAL set.
    committed: ByName,
    /// What was before BEGIN.
    before: ByName,
    /// What was, and what would have been after COMMIT, at each savepoint.
    savepoints: Vec<(ByName, ByName)>,
}

impl Deref for Settings {
    type Target = BTreeMap<String, Setting>;

    fn deref(&self) -> &Self::Target {
        &self.now
    }
}

impl Settings {
    pub(crate) const fn new(now: ByName) -> Self {
        Self { now, transaction: None }
    }

    /// Changes settings until the session ends, or with `local` until the transaction ends: without a transaction that
    /// is no change.
    pub(crate) fn change(&mut self, local: bool, change: impl Fn(&mut ByName)) {
        if !local || self.transaction.is_some() {
            change(&mut self.now);
        }
        if let Some(levels) = self.transaction.as_mut().filter(|_| !local) {
            change(&mut levels.committed);
        }
    }

    pub(crate) fn begin(&mut self) {
        let savepoints = Vec::new();
        self.transaction = Some(Levels { committed: self.now.clone(), before: self.now.clone(), savepoints });
    }

    pub(crate) fn savepoint(&mut self) {
        if let Some(levels) = &mut self.transaction {
            levels.savepoints.push((self.now.clone(), levels.committed.clone()));
        }
    }

    /// Back to a savepoint, which stays.
    pub(crate) fn rollback_to(&mut self, savepoint: usize) {
        if let Some(levels) = &mut self.transaction
            && let Some((now, committed)) = levels.savepoints.get(savepoint)
        {
            self.now.clone_from(now);
            levels.committed.clone_from(committed);
            levels.savepoints.truncate(savepoint + 1);
        }
    }

    /// Forgets a savepoint and those behind it.
    pub(crate) fn release(&mut self, savepoint: usize) {
        if let Some(levels) = &mut self.transaction {
            levels.savepoints.truncate(savepoint);
        }
    }

    /// Ends the transaction as a rollback does. Returns what a commit that succeeds has to put in place.
    pub(crate) fn end(&mut self) -> Option<ByName> {
        let levels = self.transaction.take()?;
        self.now = levels.before;
        Some(levels.committed)
    }

    /// Puts in place what a committed transaction set.
    pub(crate) fn put(&mut self, committed: ByName) {
        self.now = committed;
    }
}
