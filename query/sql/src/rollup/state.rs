//! The state of a rollup: its watermark, and its invalid buckets. Both are holds on the source.

use std::collections::BTreeSet;

use chronolith_storage::table::{HOLDS, TableId, TableSnapshot, TablesView, hold_body, read_hold};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{StoredRollup, define::touch, invalid_prefix, of_table, state_name};
use crate::{
    connection::Connection,
    error::{Result, SqlError},
};

/// Ranges that a list of invalid buckets has at most: near ones are joined.
const MOST_RANGES: usize = 64;

/// How far a rollup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Counts the changes, so that no two states are equal.
    pub(super) changes: u64,
    /// Source rows with ids up to this are in the store.
    pub(super) watermark: u64,
    /// Rows that were added to the store since rows of one group were last put together.
    pub(super) loose: u64,
    /// Source rows before this time, in milliseconds, may have been dropped.
    pub(super) dropped_before: Option<i64>,
}

/// Invalid buckets from one to another, both included, as numbers of their type, and the times of all their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Range {
    pub(super) first: i64,
    pub(super) last: i64,
    /// The lowest time, as a number of the time column's type.
    pub(super) from: i64,
    /// The time that all of them are below.
    pub(super) to: Option<i64>,
}

/// Buckets that the store says nothing true of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Invalid {
    pub(super) ranges: Vec<Range>,
    /// Whether the bucket of rows without a time is one of them.
    pub(super) null: bool,
}

impl State {
    /// The state of a rollup that has nothing in its store.
    pub(super) const fn new() -> Self {
        Self { changes: 0, watermark: 0, loose: 0, dropped_before: None }
    }

    /// The state as the entries tell it.
    ///
    /// # Errors
    /// `XX001` when it is lost.
    pub(crate) fn read(tables: &TablesView, source: TableId, name: &str) -> Result<Self> {
        let found = tables.entry(HOLDS, &state_name(source, name)).and_then(|body| parse(body));
        found.ok_or_else(|| {
            SqlError::new(b"XX001", format!("the state of materialized view \"{name}\" is lost"))
                .with_hint("Drop the materialized view and make it anew.")
        })
    }

    /// The highest row id of the source that is in the store.
    pub(crate) const fn watermark(&self) -> u64 {
        self.watermark
    }

    /// Writes it as the state after `self`, which must still be the committed one when the transaction commits.
    ///
    /// # Errors
    /// `40001` when it is not any more.
    pub(super) fn replace(&self, connection: &mut Connection, source: TableId, name: &str, next: Self) -> Result<()> {
        let entry = state_name(source, name);
        let next = Self { changes: self.changes + 1, ..next };
        let seen = connection.scope.view().entry(HOLDS, &entry).cloned();
        connection.transaction()?.put_entry(HOLDS, &entry, Some(next.body()));
        // The commit compares with what was there at the put: it must be what this statement saw.
        if connection.sql.engine().tables().entry(HOLDS, &entry) != seen.as_ref() {
            return Err(SqlError::new(b"40001", format!("materialized view \"{name}\" was refreshed meanwhile")));
        }
        Ok(())
    }

    pub(super) fn body(&self) -> Vec<u8> {
        hold_body(self.watermark, &serde_json::to_vec(self).unwrap_or_default())
    }
}

impl Invalid {
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty() && !self.null
    }

    /// All source rows are kept until these buckets are computed again.
    pub(super) fn body(&self) -> Vec<u8> {
        hold_body(0, &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Adds others, and joins ranges that overlap, and near ones while there are too many.
    pub(super) fn add(&mut self, other: Self) {
        self.null |= other.null;
        self.ranges.extend(other.ranges);
        self.ranges.sort_unstable();
        let mut joined: Vec<Range> = Vec::with_capacity(self.ranges.len());
        for range in std::mem::take(&mut self.ranges) {
            match joined.last_mut().filter(|last| range.first <= last.last) {
                Some(last) => last.join(&range),
                None => joined.push(range),
            }
        }
        let together = joined.len().div_ceil(MOST_RANGES).max(1);
        let near = joined.chunks(together).filter_map(|near| {
            let (first, rest) = near.split_first()?;
            let mut all = *first;
            rest.iter().for_each(|range| all.join(range));
            Some(all)
        });
        self.ranges = near.collect();
    }
}

impl Range {
    fn join(&mut self, later: &Self) {
        self.last = self.last.max(later.last);
        self.from = self.from.min(later.from);
        self.to = self.to.zip(later.to).map(|(a, b)| a.max(b));
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(read_hold(body)?.1).ok()
}

/// The invalid buckets of a rollup, and the entries that tell of them.
///
/// # Errors
/// `XX001` when an entry cannot be read.
pub(super) fn invalid(tables: &TablesView, source: TableId, name: &str) -> Result<(Vec<String>, Invalid)> {
    let prefix = invalid_prefix(source, name);
    let mut names = Vec::new();
    let mut all = Invalid::default();
    for (entry, body) in tables.entries(HOLDS).filter(|(entry, _)| entry.starts_with(&prefix)) {
        names.push(entry.to_owned());
        all.add(parse(body).ok_or_else(|| {
            SqlError::new(b"XX001", format!("the invalid buckets of materialized view \"{name}\" cannot be read"))
                .with_hint("Drop the materialized view and make it anew.")
        })?);
    }
    Ok((names, all))
}

/// Takes away a rollup's store and state.
///
/// # Errors
/// When there is no transaction.
pub(crate) fn forget(connection: &mut Connection, name: &str, rollup: &StoredRollup) -> Result<()> {
    let view = connection.scope.view();
    if let Some(source) = view.table(&rollup.source) {
        forget_entries(connection, &view, source.definition.id, name)?;
        touch(connection.transaction()?, &source.definition)?;
    }
    if let Some(store) = view.table(&rollup.store) {
        connection.transaction()?.drop_table(store.definition.id)?;
    }
    Ok(())
}

fn forget_entries(connection: &mut Connection, view: &TablesView, source: TableId, name: &str) -> Result<()> {
    let (mut entries, _) = invalid(view, source, name)?;
    entries.push(state_name(source, name));
    let entries: BTreeSet<String> = entries.into_iter().collect();
    let transaction = connection.transaction()?;
    entries.iter().for_each(|entry| transaction.put_entry(HOLDS, entry, None));
    Ok(())
}

/// Empties the rollups of a table that is emptied: from now on it has another number, and its row ids begin anew.
///
/// # Errors
/// When a state cannot be read.
pub(crate) fn truncated(connection: &mut Connection, source: &TableSnapshot, new: TableId) -> Result<()> {
    let view = connection.scope.view();
    for (name, rollup) in of_table(&view, &source.definition.name) {
        let state = State::read(&view, source.definition.id, &name)?;
        forget_entries(connection, &view, source.definition.id, &name)?;
        let fresh = State { changes: state.changes + 1, ..State::new() };
        let transaction = connection.transaction()?;
        transaction.put_entry(HOLDS, &state_name(new, &name), Some(fresh.body()));
        if let Some(store) = view.table(&rollup.store) {
            transaction.truncate(store.definition.id)?;
        }
    }
    Ok(())
}
