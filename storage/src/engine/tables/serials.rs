//! Serial columns: numbers that are given once.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    Result, StorageError,
    engine::Inner,
    table::{ColumnId, TableId},
};

/// The next number of each serial column that gave some, and of tables. They are given at once and not taken back, so
/// that nobody has to wait for a transaction's end; the log takes them with the transactions that used them.
#[derive(Debug, Default)]
pub(in crate::engine) struct Serials(Mutex<SerialState>);

#[derive(Debug, Default)]
pub(in crate::engine) struct SerialState {
    pub(in crate::engine) next: BTreeMap<(TableId, ColumnId), i64>,
    /// The highest number that a table ever had.
    pub(in crate::engine) last_table: u32,
}

impl SerialState {
    /// The next numbers of a table's columns.
    pub(in crate::engine) fn of(&self, table: TableId) -> impl Iterator<Item = (ColumnId, i64)> + '_ {
        let columns = self.next.range((table, ColumnId(0))..=(table, ColumnId(u32::MAX)));
        columns.map(|((_, column), next)| (*column, *next))
    }
}

impl Serials {
    pub(in crate::engine) fn new(next: BTreeMap<(TableId, ColumnId), i64>, last_table: u32) -> Self {
        Self(Mutex::new(SerialState { next, last_table }))
    }

    pub(in crate::engine) fn lock(&self) -> MutexGuard<'_, SerialState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A number that no table had.
    pub(in crate::engine) fn next_table_id(&self) -> Result<TableId> {
        let mut serials = self.serials.lock();
        let next = serials.last_table.checked_add(1);
        serials.last_table = next.ok_or_else(|| StorageError::Invalid("no table numbers are left".to_owned()))?;
        Ok(TableId(serials.last_table))
    }

    /// The next `count` numbers of a column, up to the highest; `None` when there are not as many.
    pub(in crate::engine) fn take_serials(
        &self,
        table: TableId,
        column: ColumnId,
        count: u64,
        highest: i64,
    ) -> Option<i64> {
        let mut serials = self.serials.lock();
        let next = serials.next.entry((table, column)).or_insert(1);
        let first = *next;
        let after = first.checked_add(i64::try_from(count).ok()?)?;
        if after - 1 > highest {
            return None;
        }
        *next = after;
        Some(first)
    }

    /// Lets the columns of a new table count on from those of another.
    pub(in crate::engine) fn copy_serials(&self, from: TableId, to: TableId) {
        let mut serials = self.serials.lock();
        let copied: Vec<_> = serials.of(from).map(|(column, next)| ((to, column), next)).collect();
        serials.next.extend(copied);
    }
}
