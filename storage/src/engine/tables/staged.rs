//! What a transaction has written so far, table by table.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow_array::UInt32Array;
use roaring::RoaringTreemap;

use super::{Fields, Tables};
use crate::{
    Result,
    table::{
        Entries, Part, Rows, TableDefinition, TableId, TableSnapshot, TablesView,
        batch::{Batches, RowBatch},
        key::Keys,
    },
};

/// Ids that a transaction's own rows have until they are committed count from here.
pub(in crate::engine) const LOCAL: u64 = 1 << 63;

/// One write. All of a transaction's writes, in order, give its [`Staged`] again after a rollback to a savepoint.
#[derive(Debug, Clone)]
pub(in crate::engine) enum Write {
    Define(Arc<TableDefinition>),
    Drop(TableId),
    /// Checked rows that conflict with none that the transaction sees, and their keys if the table has a primary key.
    Insert(TableId, Rows, Option<Arc<Keys>>),
    Delete(TableId, RoaringTreemap),
    /// Committed rows that must be as they are when the transaction commits.
    Lock(TableId, RoaringTreemap),
    Entry((String, String), Option<Arc<[u8]>>),
}

/// All that a transaction has written.
#[derive(Debug, Default)]
pub(in crate::engine) struct Staged {
    pub(in crate::engine) tables: BTreeMap<TableId, StagedTable>,
    pub(in crate::engine) entries: BTreeMap<(String, String), Option<Arc<[u8]>>>,
}

/// What a transaction has written to one table.
#[derive(Debug)]
pub(in crate::engine) struct StagedTable {
    /// As the transaction made it; `None` when it dropped the table.
    pub(in crate::engine) definition: Option<Arc<TableDefinition>>,
    /// Own rows, deleted ones included, with local ids.
    pub(in crate::engine) rows: Batches,
    /// Fields of own rows.
    pub(in crate::engine) fields: Fields,
    /// Deleted rows that are committed.
    pub(in crate::engine) deleted: RoaringTreemap,
    /// Deleted rows of its own.
    pub(in crate::engine) own_deleted: RoaringTreemap,
    /// Committed rows that nobody else may change.
    pub(in crate::engine) locked: RoaringTreemap,
    /// The newest own row of each key. It may be deleted since.
    keys: HashMap<Box<[u8]>, u64>,
    pub(in crate::engine) next_local: u64,
    /// Whether the transaction made the table.
    is_new: bool,
}

impl Staged {
    /// The state of a table, begun from its committed definition when this is the first write to it.
    fn table(&mut self, id: TableId, committed: &BTreeMap<TableId, Arc<TableDefinition>>) -> &mut StagedTable {
        let base = committed.get(&id);
        self.tables.entry(id).or_insert_with(|| StagedTable::new(base.cloned(), base.is_none()))
    }

    /// Adds a write. `committed` has the definitions, as they were at the first write, of tables made by others.
    pub(in crate::engine) fn take(&mut self, write: &Write, committed: &BTreeMap<TableId, Arc<TableDefinition>>) {
        match write {
            Write::Define(definition) => {
                self.table(definition.id, committed).definition = Some(Arc::clone(definition));
            }
            Write::Drop(id) => {
                let table = self.table(*id, committed);
                *table = StagedTable::new(None, table.is_new);
            }
            Write::Insert(id, rows, keys) => self.table(*id, committed).insert(rows.clone(), keys.as_deref()),
            Write::Delete(id, ids) => self.table(*id, committed).delete(ids),
            Write::Lock(id, ids) => self.table(*id, committed).locked |= ids,
            Write::Entry(key, body) => {
                self.entries.insert(key.clone(), body.clone());
            }
        }
    }

    /// All tables with these writes on top.
    pub(in crate::engine) fn view(&self, tables: &Tables) -> TablesView {
        self.over(tables.iter().map(|(_, table)| table.snapshot()), tables.entries())
    }

    /// These tables and entries with these writes on top.
    pub(in crate::engine) fn over(
        &self,
        committed: impl Iterator<Item = TableSnapshot>,
        entries: &Arc<Entries>,
    ) -> TablesView {
        let committed = committed.filter_map(|snapshot| match self.tables.get(&snapshot.definition.id) {
            Some(staged) => staged.over(&snapshot),
            None => Some(snapshot),
        });
        // One that another transaction dropped meanwhile is not shown: the commit will be a conflict.
        let made = self.tables.values().filter(|staged| staged.is_new);
        let made = made.filter_map(|staged| staged.over(&staged.nothing()?));
        TablesView::new(committed.chain(made), self.entries_over(entries))
    }

    /// All entries with these writes on top.
    pub(in crate::engine) fn entries_over(&self, committed: &Arc<Entries>) -> Arc<Entries> {
        if self.entries.is_empty() {
            return Arc::clone(committed);
        }
        let mut entries = Entries::clone(committed);
        for (key, body) in &self.entries {
            match body {
                Some(body) => entries.insert(key.clone(), Arc::clone(body)),
                None => entries.remove(key),
            };
        }
        Arc::new(entries)
    }
}

impl StagedTable {
    fn new(definition: Option<Arc<TableDefinition>>, is_new: bool) -> Self {
        Self {
            definition,
            rows: Batches::default(),
            fields: Fields::default(),
            deleted: RoaringTreemap::new(),
            own_deleted: RoaringTreemap::new(),
            locked: RoaringTreemap::new(),
            keys: HashMap::new(),
            next_local: LOCAL,
            is_new,
        }
    }

    fn insert(&mut self, rows: Rows, keys: Option<&Keys>) {
        for (key, id) in keys.into_iter().flat_map(Keys::iter).zip(self.next_local..) {
            self.keys.insert(Box::from(key), id);
        }
        self.fields.add(rows.columns().iter().map(|(key, _)| key));
        let key = self.definition.as_ref().map(|definition| definition.key_columns());
        let batch = RowBatch::new(rows, self.next_local, key.unwrap_or_default().into());
        self.next_local = batch.end();
        self.rows.push(batch);
    }

    fn delete(&mut self, ids: &RoaringTreemap) {
        let mut own = ids.clone();
        own.remove_range(..LOCAL);
        let mut others = ids.clone();
        others.remove_range(LOCAL..);
        self.own_deleted |= own;
        self.deleted |= others;
    }

    /// The own row that counts under a key.
    pub(in crate::engine) fn find(&self, key: &[u8]) -> Option<u64> {
        self.keys.get(key).copied().filter(|id| !self.own_deleted.contains(*id))
    }

    /// A table made by the transaction, without its rows.
    fn nothing(&self) -> Option<TableSnapshot> {
        let definition = Arc::clone(self.definition.as_ref()?);
        Some(TableSnapshot { definition, fields: Arc::new([]), parts: Arc::new([]), deleted: Arc::default() })
    }

    /// The table with these writes on top; `None` when they dropped it.
    fn over(&self, committed: &TableSnapshot) -> Option<TableSnapshot> {
        let definition = Arc::clone(self.definition.as_ref()?);
        let mut snapshot = TableSnapshot { definition, ..committed.clone() };
        if !self.rows.is_empty() {
            let own = self.rows.iter().map(|batch| Arc::clone(batch) as Arc<dyn Part>);
            snapshot.parts = committed.parts.iter().cloned().chain(own).collect();
            let mut fields = self.fields.clone();
            fields.add(committed.fields.iter());
            snapshot.fields = fields.list();
        }
        if !self.deleted.is_empty() || !self.own_deleted.is_empty() {
            let mut deleted = RoaringTreemap::clone(&committed.deleted);
            deleted |= &self.deleted;
            deleted |= &self.own_deleted;
            snapshot.deleted = Arc::new(deleted);
        }
        Some(snapshot)
    }

    /// The own rows that still count, one after another, and their keys' places among all own rows.
    pub(in crate::engine) fn rows_that_count(&self) -> Result<Rows> {
        let mut kept = Vec::new();
        for batch in self.rows.iter() {
            let gone = self.own_deleted.range_cardinality(batch.first()..batch.end());
            if gone == 0 {
                kept.push(batch.rows().clone());
            } else if gone < batch.rows().len() as u64 {
                let places = (batch.first()..batch.end()).zip(0u32..).filter(|(id, _)| !self.own_deleted.contains(*id));
                kept.push(batch.rows().take(&UInt32Array::from_iter_values(places.map(|(_, place)| place)))?);
            }
        }
        match kept.len() {
            1 => Ok(kept.swap_remove(0)),
            _ => Rows::concat(&kept),
        }
    }
}
