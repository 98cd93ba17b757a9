//! What a transaction sees of others, and what others must not change.

use roaring::RoaringTreemap;

use super::{LOCAL, Transaction, Write};
use crate::{
    Result,
    memtable::read_lock,
    table::{TableId, snapshot::TablesView},
};

impl Transaction {
    /// All tables as this transaction sees them: what is committed by now, or was when it was pinned, and its own writes
    /// on top.
    #[must_use]
    pub fn tables(&self) -> TablesView {
        match self.pinned.get() {
            Some(pinned) => self.staged.over(pinned.tables().cloned(), pinned.all_entries()),
            None => self.staged.view(&read_lock(&self.engine.inner().tables)),
        }
    }

    /// Lets the transaction see, from now to its end, what is committed now and nothing that others commit later. Its
    /// writes of rows that others changed later are conflicts. Once pinned it stays so.
    pub fn pin(&self) {
        self.pinned.get_or_init(|| self.engine.tables());
    }

    /// Whether the transaction is pinned to a moment.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pinned.get().is_some()
    }

    /// Lets the commit be a conflict when another transaction changes or deletes one of these rows before, as
    /// [`Transaction::tables`] showed them. A transaction that writes nothing has nothing to contradict.
    ///
    /// # Errors
    /// When there is no such table.
    pub fn lock(&mut self, table: TableId, row_ids: &RoaringTreemap) -> Result<()> {
        self.begin_write(table)?;
        let mut committed = row_ids.clone();
        committed.remove_range(LOCAL..);
        if !committed.is_empty() {
            self.write(Write::Lock(table, committed));
        }
        Ok(())
    }
}
