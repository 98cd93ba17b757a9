//! Event tables as they are committed: definitions, entries, rows in memory and in segments, deletions, keys.
//!
//! [`Tables`] stands behind one lock, so that a view of all tables is of one moment. Only the leader of the group
//! commit adds rows, deletions and definitions; flushes, merges, retention and quarantine change where rows are.

pub(super) mod commit;
pub(super) mod damage;
pub(super) mod events;
pub(super) mod flush;
pub(super) mod held;
pub(super) mod lookup;
pub(super) mod merge;
pub(super) mod merge_rows;
pub(super) mod rebuild;
pub(super) mod replay;
pub(super) mod retention;
pub(super) mod seal;
pub(super) mod serials;
pub(super) mod staged;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, OnceLock},
};

use roaring::RoaringTreemap;

use self::{events::LiveEvents, seal::SealedTables};
use crate::{
    catalog::SegmentRecord,
    table::{
        ColumnKey, Entries, Part, TableDefinition, TableId, TableSnapshot, TablesView,
        batch::{Batches, RowBatch},
        check::is_field,
        wire::TableState,
    },
};

/// All tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    all: BTreeMap<TableId, Table>,
    names: BTreeMap<String, TableId>,
    entries: Arc<Entries>,
    /// The entries as the catalog has them.
    saved_entries: Arc<Entries>,
    /// Tables that the catalog still has, and their segments.
    dropped: BTreeMap<TableId, Vec<SegmentRecord>>,
    /// What is being flushed.
    sealed: Option<Arc<SealedTables>>,
    /// Whether something was written since the last rotation.
    unsaved: bool,
    /// Rises with every change of where rows are.
    clock: u64,
}

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) definition: Arc<TableDefinition>,
    fields: Fields,
    /// Takes new rows.
    active: MemoryRows,
    /// Being written to a segment.
    sealed: Option<Arc<MemoryRows>>,
    /// In the order of their sequence.
    segments: Vec<Arc<LiveEvents>>,
    /// Deleted rows that are in some part. Invariant: every one is in some part.
    deleted: Arc<RoaringTreemap>,
    /// The deletions as the catalog has them.
    saved_deleted: Arc<RoaringTreemap>,
    /// The table as the catalog has it.
    saved: Option<TableState>,
    /// The id of the next row.
    next_row: u64,
    /// When rows last went from memory to a segment, by [`Tables::clock`].
    flushed_at: u64,
    /// When rows last went away in another way than by a deletion, by [`Tables::clock`].
    reshaped_at: u64,
    /// The parts as queries get them, until they change.
    parts: OnceLock<Arc<[Arc<dyn Part>]>>,
}

/// Rows in memory and where their keys are.
#[derive(Debug, Default)]
struct MemoryRows {
    batches: Batches,
    /// The newest row of each key. It may be deleted since.
    keys: HashMap<Box<[u8]>, u64>,
    key_bytes: usize,
}

/// The columns of fields that are not declared.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    columns: BTreeSet<ColumnKey>,
    /// How many fields these are.
    count: usize,
    listed: OnceLock<Arc<[ColumnKey]>>,
}

/// What a row takes of memory beside its key's bytes.
const KEY_OVERHEAD: usize = 48;

impl Tables {
    pub(super) fn table(&self, id: TableId) -> Option<&Table> {
        self.all.get(&id)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Table> {
        self.all.get(self.names.get(name)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&TableId, &Table)> {
        self.all.iter()
    }

    /// The live segments of all tables.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Arc<LiveEvents>> {
        self.all.values().flat_map(|table| &table.segments)
    }

    pub(super) const fn entries(&self) -> &Arc<Entries> {
        &self.entries
    }

    /// The moment by which [`Table::flushed_at`] and [`Table::reshaped_at`] are told.
    pub(super) const fn clock(&self) -> u64 {
        self.clock
    }

    pub(super) fn view(&self) -> TablesView {
        TablesView::new(self.all.values().map(Table::snapshot), Arc::clone(&self.entries))
    }

    /// Memory that rows and their keys take, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.all.values().map(|t| t.active.memory()).sum()
    }

    /// Puts a definition in the place of the one before, or makes a table.
    fn define(&mut self, definition: Arc<TableDefinition>) {
        let id = definition.id;
        self.names.retain(|_, known| *known != id);
        self.names.insert(definition.name.clone(), id);
        match self.all.get_mut(&id) {
            Some(table) => table.definition = definition,
            None => {
                self.all.insert(id, Table::new(definition));
            }
        }
    }

    fn drop_table(&mut self, id: TableId) {
        self.names.retain(|_, known| *known != id);
        if let Some(table) = self.all.remove(&id) {
            let segments = table.segments.iter().map(|live| live.record.clone());
            self.dropped.entry(id).or_default().extend(segments);
        }
    }

    fn put_entry(&mut self, key: (String, String), body: Option<Arc<[u8]>>) {
        let entries = Arc::make_mut(&mut self.entries);
        match body {
            Some(body) => entries.insert(key, body),
            None => entries.remove(&key),
        };
    }
}

impl Table {
    fn new(definition: Arc<TableDefinition>) -> Self {
        Self {
            definition,
            fields: Fields::default(),
            active: MemoryRows::default(),
            sealed: None,
            segments: Vec::new(),
            deleted: Arc::default(),
            saved_deleted: Arc::default(),
            saved: None,
            next_row: 1,
            flushed_at: 0,
            reshaped_at: 0,
            parts: OnceLock::new(),
        }
    }

    /// The id of the next row.
    pub(super) const fn next_row(&self) -> u64 {
        self.next_row
    }

    pub(super) const fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(super) fn snapshot(&self) -> TableSnapshot {
        TableSnapshot {
            definition: Arc::clone(&self.definition),
            fields: self.fields.list(),
            parts: self.parts(),
            deleted: Arc::clone(&self.deleted),
        }
    }

    /// How many rows count.
    pub(super) fn rows(&self) -> u64 {
        let held: u64 = self.parts().iter().map(|part| part.len() as u64).sum();
        held.saturating_sub(self.deleted.len())
    }

    pub(super) fn parts(&self) -> Arc<[Arc<dyn Part>]> {
        let build = || {
            let segments = self.segments.iter().map(|live| Arc::clone(live) as Arc<dyn Part>);
            let memory = self.sealed.iter().flat_map(|sealed| sealed.batches.iter()).chain(self.active.batches.iter());
            segments.chain(memory.map(|batch| Arc::clone(batch) as Arc<dyn Part>)).collect()
        };
        Arc::clone(self.parts.get_or_init(build))
    }

    /// The deletions, and all parts, of one moment.
    fn deletions(&self) -> (Arc<RoaringTreemap>, Arc<[Arc<dyn Part>]>) {
        (Arc::clone(&self.deleted), self.parts())
    }

    /// Adds rows whose ids count from the batch's first; `keys` are theirs when the table has a primary key.
    fn add(&mut self, batch: RowBatch, keys: Option<&crate::table::key::Keys>) {
        self.parts = OnceLock::new();
        self.fields.add(batch.rows().columns().iter().map(|(key, _)| key));
        self.next_row = self.next_row.max(batch.end());
        for (key, id) in keys.iter().flat_map(|keys| keys.iter()).zip(batch.first()..) {
            if self.active.keys.insert(Box::from(key), id).is_none() {
                self.active.key_bytes += key.len() + KEY_OVERHEAD;
            }
        }
        self.active.batches.push(batch);
    }

    /// Notes that rows count no longer. All of them are there.
    fn delete(&mut self, ids: &RoaringTreemap) {
        if !ids.is_empty() {
            *Arc::make_mut(&mut self.deleted) |= ids;
        }
    }
}

impl MemoryRows {
    /// Memory that it takes, in bytes.
    const fn memory(&self) -> usize {
        self.batches.bytes() + self.key_bytes
    }

    fn find(&self, key: &[u8]) -> Option<u64> {
        self.keys.get(key).copied()
    }
}

impl Fields {
    /// Takes the columns that are no declared ones.
    pub(super) fn add<'k>(&mut self, keys: impl IntoIterator<Item = &'k ColumnKey>) {
        for key in keys {
            if !is_field(key) || self.columns.contains(key) {
                continue;
            }
            self.count += usize::from(!self.has_field(&key.field));
            self.columns.insert(key.clone());
            self.listed = OnceLock::new();
        }
    }

    /// Whether there is a column of this field, of whatever kind.
    pub(super) fn has_field(&self, field: &Arc<str>) -> bool {
        // The lowest kind sorts first.
        let first = ColumnKey::new(Arc::clone(field), crate::table::Kind::Bool);
        self.columns.range(first..).next().is_some_and(|key| key.field == *field)
    }

    /// How many fields there are.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    pub(super) const fn columns(&self) -> &BTreeSet<ColumnKey> {
        &self.columns
    }

    pub(super) fn list(&self) -> Arc<[ColumnKey]> {
        Arc::clone(self.listed.get_or_init(|| self.columns.iter().cloned().collect()))
    }
}
