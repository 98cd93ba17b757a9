//! Finding committed rows by their primary keys.

use std::{collections::BTreeMap, sync::Arc};

use roaring::RoaringTreemap;

use super::{Table, events::LiveEvents};
use crate::{
    Result, StorageError,
    engine::Inner,
    memtable::read_lock,
    table::{
        BLOCK_ROWS, ColumnKey, Part, Rows, TableId,
        key::{Keys, key_hash},
    },
};

/// The segments of a table as they are looked into.
struct Segments {
    live: Vec<Arc<LiveEvents>>,
    deleted: Arc<RoaringTreemap>,
    columns: Vec<ColumnKey>,
}

impl Table {
    /// The row in memory that counts under a key.
    pub(super) fn find_in_memory(&self, key: &[u8]) -> Option<u64> {
        let counts = |id: &u64| !self.deleted.contains(*id);
        let sealed = || self.sealed.as_ref()?.find(key).filter(counts);
        self.active.find(key).filter(counts).or_else(sealed)
    }
}

impl Inner {
    /// For each key the committed row that counts under it. Empty keys have none.
    pub(in crate::engine) fn find_committed(&self, id: TableId, keys: &Keys) -> Result<Vec<Option<u64>>> {
        let (mut found, segments) = {
            let tables = read_lock(&self.tables);
            let Some(table) = tables.table(id) else { return Err(StorageError::UnknownTable(format!("number {id}"))) };
            let found: Vec<Option<u64>> = keys.iter().map(|key| table.find_in_memory(key)).collect();
            // Memory and segments of one moment: a row is in one of them.
            let (live, deleted) = (table.segments.clone(), Arc::clone(&table.deleted));
            (found, Segments { live, deleted, columns: table.definition.key_columns() })
        };
        for live in segments.live.iter().rev() {
            segments.find(live, keys, &mut found)?;
        }
        Ok(found)
    }
}

impl Segments {
    /// Looks in one segment for the keys that are not found yet.
    fn find(&self, live: &LiveEvents, keys: &Keys, found: &mut [Option<u64>]) -> Result<()> {
        // By block: the row in it, and the place of the key.
        let mut near: BTreeMap<usize, Vec<(u32, usize)>> = BTreeMap::new();
        for (at, key) in keys.iter().enumerate() {
            if found[at].is_some() || key.is_empty() {
                continue;
            }
            for ordinal in live.find_key_hash(key_hash(key))? {
                let ordinal = ordinal as usize;
                near.entry(ordinal / BLOCK_ROWS).or_default().push(((ordinal % BLOCK_ROWS) as u32, at));
            }
        }
        for (block, mut near) in near {
            near.sort_unstable();
            let mut places: Vec<u32> = near.iter().map(|(row, _)| *row).collect();
            places.dedup();
            let columns = self.columns.iter().map(|key| Ok((key.clone(), live.read_rows(key, block, &places)?)));
            let rows = Rows::new(places.len(), columns.collect::<Result<_>>()?)?;
            let ids = live.row_ids_at(block, &places)?;
            let held = Keys::of(&self.columns, &rows)?;
            let mut here = 0;
            for (row, at) in near {
                here += usize::from(places[here] != row);
                let id = ids.value(here);
                if held.get(here) == keys.get(at) && !self.deleted.contains(id) {
                    found[at] = Some(id);
                }
            }
        }
        Ok(())
    }
}
