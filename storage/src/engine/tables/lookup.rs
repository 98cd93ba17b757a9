//! Finding committed rows by their primary keys.

use crate::{
    Result, StorageError,
    engine::Inner,
    memtable::read_lock,
    table::{TableId, key::Keys},
};

use super::Table;

impl Table {
    /// The row in memory that counts under a key.
    pub(super) fn find_in_memory(&self, key: &[u8]) -> Option<u64> {
        self.active.keys.get(key).copied().filter(|id| !self.deleted.contains(*id))
    }
}

impl Inner {
    /// For each key the committed row that counts under it. Empty keys have none.
    pub(in crate::engine) fn find_committed(&self, id: TableId, keys: &Keys) -> Result<Vec<Option<u64>>> {
        let tables = read_lock(&self.tables);
        let Some(table) = tables.table(id) else { return Err(StorageError::UnknownTable(format!("number {id}"))) };
        Ok(keys.iter().map(|key| table.find_in_memory(key)).collect())
    }
}
