//! Serial columns: numbers that are given once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    Result, StorageError,
    engine::Inner,
    table::{ColumnId, TableId},
};

/// The next number of each serial column that gave some. They are given at once and not taken back, so that nobody has
/// to wait for a transaction's end; the log takes them with the transaction that used them.
#[derive(Debug, Default)]
pub(in crate::engine) struct Serials(Mutex<SerialState>);

#[derive(Debug, Default)]
struct SerialState {
    next: HashMap<(TableId, ColumnId), i64>,
    next_table: u32,
}

impl Serials {
    fn lock(&self) -> MutexGuard<'_, SerialState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A number that no table had.
    pub(in crate::engine) fn next_table_id(&self) -> Result<TableId> {
        let mut serials = self.serials.lock();
        serials.next_table = serials
            .next_table
            .checked_add(1)
            .ok_or_else(|| StorageError::Invalid("no table numbers are left".to_owned()))?;
        Ok(TableId(serials.next_table))
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
        let copied: Vec<_> =
            serials.next.iter().filter(|((t, _), _)| *t == from).map(|((_, c), next)| ((to, *c), *next)).collect();
        serials.next.extend(copied);
    }
}
