//! Transactions over tables: writes of one user that become durable and visible together, or leave no trace.

use std::sync::Arc;

use roaring::RoaringTreemap;

use super::Engine;
use crate::{
    Result,
    table::{Rows, TableDefinition, TableId, snapshot::TablesView},
};

/// What to do with a row whose primary key is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse the whole insert with [`StorageError::UniqueViolation`](crate::StorageError::UniqueViolation).
    Refuse,
    /// Leave the row out.
    Skip,
    /// Delete the old row first.
    Replace,
}

/// Writes that are not committed yet. Dropping it rolls back.
#[derive(Debug)]
pub struct Transaction {
    engine: Engine,
}

/// A place in a transaction to roll back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Savepoint(usize);

impl Engine {
    /// All tables at this moment.
    #[must_use]
    pub fn tables(&self) -> TablesView {
        TablesView::default()
    }

    /// Begins a transaction. It takes no lock: writes of others go on, and what contradicts them is found at its commit.
    #[must_use]
    pub fn begin(&self) -> Transaction {
        Transaction { engine: self.clone() }
    }
}

impl Transaction {
    /// All tables as this transaction sees them: what is committed by now, and its own writes on top.
    #[must_use]
    pub fn tables(&self) -> TablesView {
        self.engine.tables()
    }

    /// Makes a table; its id is given by the engine.
    ///
    /// # Errors
    /// When a table has this name, or the definition contradicts itself.
    pub fn create_table(&mut self, definition: TableDefinition) -> Result<Arc<TableDefinition>> {
        Ok(Arc::new(definition))
    }

    /// Changes a table: another name, columns added, dropped or renamed, another retention. Columns keep their ids; id,
    /// primary key, time column and the kinds of columns cannot change.
    ///
    /// # Errors
    /// When there is no such table, or the change is one of those that cannot be.
    pub fn alter_table(&mut self, definition: TableDefinition) -> Result<Arc<TableDefinition>> {
        Ok(Arc::new(definition))
    }

    /// Drops a table with all rows.
    ///
    /// # Errors
    /// When there is no such table.
    pub fn drop_table(&mut self, table: TableId) -> Result<()> {
        let _ = table;
        Ok(())
    }

    /// Deletes all rows of a table. Returns its definition, which has a new id.
    ///
    /// # Errors
    /// When there is no such table.
    pub fn truncate(&mut self, table: TableId) -> Result<Arc<TableDefinition>> {
        let _ = table;
        Err(crate::StorageError::Closed)
    }

    /// Inserts rows. Returns the places, in `rows`, of those that were inserted: all of them unless `on_conflict` says
    /// [`OnConflict::Skip`]. Two rows of one call with the same primary key are a conflict as well.
    ///
    /// # Errors
    /// [`StorageError::UniqueViolation`](crate::StorageError::UniqueViolation),
    /// [`StorageError::NotNullViolation`](crate::StorageError::NotNullViolation), or when a column is not one of the table.
    pub fn insert(&mut self, table: TableId, rows: Rows, on_conflict: OnConflict) -> Result<Vec<u32>> {
        let _ = (table, on_conflict);
        Ok((0..rows.len() as u32).collect())
    }

    /// For each row of `rows`, of which only the primary key's columns are looked at, the id of the row that this
    /// transaction sees under that key.
    ///
    /// # Errors
    /// When the table has no primary key, or an index cannot be read.
    pub fn find_by_key(&self, table: TableId, rows: &Rows) -> Result<Vec<Option<u64>>> {
        let _ = table;
        Ok(vec![None; rows.len()])
    }

    /// Deletes the rows of these ids, as this transaction's [`Transaction::tables`] showed them. An update is a delete and
    /// an insert.
    ///
    /// # Errors
    /// When there is no such table.
    pub fn delete(&mut self, table: TableId, row_ids: &RoaringTreemap) -> Result<()> {
        let _ = (table, row_ids);
        Ok(())
    }

    /// The next `count` numbers of a serial column; the first of them is returned. Never given twice, also after a rollback.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn next_serial(&mut self, table: TableId, column: crate::table::ColumnId, count: u64) -> Result<i64> {
        let _ = (table, column, count);
        Ok(1)
    }

    /// Keeps bytes under a name of a space, or takes them out.
    pub fn put_entry(&mut self, space: &str, name: &str, body: Option<Vec<u8>>) {
        let _ = (space, name, body);
    }

    /// This place, to roll back to.
    #[must_use]
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(0)
    }

    /// Takes back what was done since the place.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        let _ = savepoint;
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Makes all writes durable and visible together.
    ///
    /// # Errors
    /// [`StorageError::Conflict`](crate::StorageError::Conflict) when another transaction that committed since changed a
    /// row that this one deleted, or took a primary key that this one inserted; nothing is written then, and the
    /// transaction can be done again. And the failures of the log.
    pub fn commit(self) -> Result<()> {
        Ok(())
    }
}
