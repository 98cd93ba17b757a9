//! The commit of a transaction: what it contradicts is found by the leader of the group commit, in memory only; then
//! its rows get their ids, and all of it becomes visible together.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use roaring::RoaringTreemap;

use super::{Table, Tables, held::held};
use crate::{
    Result, StorageError,
    engine::{
        Inner,
        commit::{Batch, CommitFailure},
    },
    memtable::{read_lock, write_lock},
    table::{
        ColumnKey, REPLACED, Rows, TableDefinition, TableId,
        batch::RowBatch,
        check::{FIELDS_MAX, is_field},
        key::Keys,
    },
    wal::{
        FRAME_LIMIT,
        record::{RecordEncoder, TableRecord},
    },
};

/// Longest head of a record of rows: tag, table, first row, length.
const ROWS_HEAD_MAX: usize = 1 + 5 + 10 + 10;

/// A transaction on its way into the log.
#[derive(Debug, Default)]
pub(in crate::engine) struct TableWrites {
    pub(in crate::engine) tables: Vec<TableWrite>,
    pub(in crate::engine) entries: Vec<EntryWrite>,
    /// The moment, by [`Tables::clock`], since which keys and deleted rows have to be looked at again.
    pub(in crate::engine) seen_at: AtomicU64,
    /// All records of the log but those of rows, which need the rows' ids.
    pub(in crate::engine) records: Vec<u8>,
}

/// What is written to one table.
#[derive(Debug)]
pub(in crate::engine) struct TableWrite {
    pub(in crate::engine) id: TableId,
    /// The committed definition that the transaction went by; `None` when it made the table.
    pub(in crate::engine) base: Option<Arc<TableDefinition>>,
    /// The definition from now on; `None` when the table is dropped.
    pub(in crate::engine) definition: Option<Arc<TableDefinition>>,
    pub(in crate::engine) rows: Rows,
    /// The rows as the log has them.
    pub(in crate::engine) encoded: Vec<u8>,
    pub(in crate::engine) keys: Option<Keys>,
    pub(in crate::engine) deleted: RoaringTreemap,
    /// Rows that must count still.
    pub(in crate::engine) locked: RoaringTreemap,
}

/// An entry put or taken out.
#[derive(Debug)]
pub(in crate::engine) struct EntryWrite {
    pub(in crate::engine) key: (String, String),
    pub(in crate::engine) base: Option<Arc<[u8]>>,
    pub(in crate::engine) body: Option<Arc<[u8]>>,
}

/// A transaction that the leader let pass: the id of the first row of each of its tables.
pub(in crate::engine) type FirstRows = Vec<u64>;

/// What the transactions before in the same group will change.
#[derive(Debug, Default)]
pub(in crate::engine) struct Pending<'w> {
    tables: BTreeMap<TableId, PendingTable<'w>>,
    /// Tables whose definition changes.
    defined: BTreeSet<TableId>,
    names: BTreeSet<&'w str>,
    entries: BTreeMap<&'w (String, String), Option<&'w Arc<[u8]>>>,
}

#[derive(Debug, Default)]
struct PendingTable<'w> {
    next_row: Option<u64>,
    deleted: RoaringTreemap,
    keys: HashSet<&'w [u8]>,
    fields: BTreeSet<Arc<str>>,
}

fn conflict(reason: String) -> CommitFailure {
    CommitFailure::Conflict(reason)
}

impl EntryWrite {
    /// Whether it puts the mark that another has put meanwhile: whoever replaces rows first marks the table, and two that
    /// do so do not contradict each other.
    fn repeats(&self, now: Option<&Arc<[u8]>>) -> bool {
        self.key.0 == REPLACED && self.body.is_some() && self.body.as_ref() == now
    }
}

impl TableWrite {
    /// Whether a table is made, changed or dropped.
    pub(in crate::engine) fn defines(&self) -> bool {
        self.base != self.definition
    }
}

impl TableWrites {
    /// Lets the transaction pass, or tells why it cannot.
    pub(in crate::engine) fn admit<'w>(
        &'w self,
        tables: &Tables,
        pending: &mut Pending<'w>,
    ) -> Result<FirstRows, CommitFailure> {
        for write in &self.tables {
            write.check(tables, pending, self.seen_at.load(Ordering::SeqCst))?;
        }
        let leaves: BTreeSet<TableId> = self.tables.iter().filter(|w| w.defines()).map(|w| w.id).collect();
        for definition in self.tables.iter().filter(|w| w.defines()).filter_map(|w| w.definition.as_ref()) {
            let taken = tables.names.get(&definition.name).is_some_and(|id| !leaves.contains(id));
            if taken || pending.names.contains(definition.name.as_str()) {
                return Err(conflict(format!("a table {:?} was made", definition.name)));
            }
        }
        for entry in &self.entries {
            let changed = pending.entries.get(&entry.key).copied();
            let now = changed.unwrap_or_else(|| tables.entries.get(&entry.key));
            if (changed.is_some() || now != entry.base.as_ref()) && !entry.repeats(now) {
                return Err(conflict(format!("{} {:?} was changed", entry.key.0, entry.key.1)));
            }
        }
        Ok(self.note(tables, pending))
    }

    /// Notes what will change, for the transactions behind.
    fn note<'w>(&'w self, tables: &Tables, pending: &mut Pending<'w>) -> FirstRows {
        pending.entries.extend(self.entries.iter().map(|e| (&e.key, e.body.as_ref())));
        let mut firsts = Vec::with_capacity(self.tables.len());
        for write in &self.tables {
            if write.defines() {
                pending.defined.insert(write.id);
                pending.names.extend(write.definition.as_ref().map(|d| d.name.as_str()));
            }
            let table = pending.tables.entry(write.id).or_default();
            let first = table.next_row.unwrap_or_else(|| tables.table(write.id).map_or(1, |t| t.next_row));
            table.next_row = Some(first + write.rows.len() as u64);
            firsts.push(first);
            table.deleted |= &write.deleted;
            table.keys.extend(write.keys.iter().flat_map(Keys::iter));
            let known = |key: &ColumnKey| tables.table(write.id).is_some_and(|t| t.fields.has_field(&key.field));
            let new = write.rows.columns().iter().map(|(key, _)| key).filter(|key| is_field(key) && !known(key));
            table.fields.extend(new.map(|key| Arc::clone(&key.field)));
        }
        firsts
    }

    /// Bytes that it takes in the log, or some more.
    pub(in crate::engine) fn encoded_len(&self) -> usize {
        self.records.len() + self.tables.iter().map(|w| w.encoded.len() + ROWS_HEAD_MAX).sum::<usize>()
    }

    /// Appends its records to a frame.
    pub(in crate::engine) fn encode(&self, firsts: &[u64], payload: &mut Vec<u8>) {
        payload.extend_from_slice(&self.records);
        let mut records = RecordEncoder::new(payload);
        for (write, first) in self.tables.iter().zip(firsts) {
            if !write.rows.is_empty() {
                records.table(&TableRecord::Rows { table: write.id.0, first: *first, rows: &write.encoded });
            }
        }
    }

    /// Makes the transaction visible.
    pub(in crate::engine) fn apply(&self, tables: &mut Tables, firsts: &[u64]) {
        tables.unsaved = true;
        for (write, first) in self.tables.iter().zip(firsts) {
            match (&write.definition, write.defines()) {
                (None, _) => tables.drop_table(write.id),
                (Some(definition), true) => tables.define(Arc::clone(definition)),
                (Some(_), false) => {}
            }
            if let Some(table) = tables.all.get_mut(&write.id) {
                table.delete(&write.deleted);
                if !write.rows.is_empty() {
                    let batch = RowBatch::new(write.rows.clone(), *first, table.definition.key_columns().into());
                    table.add(batch, write.keys.as_ref());
                }
            }
        }
        for entry in &self.entries {
            tables.put_entry(entry.key.clone(), entry.body.clone());
        }
    }
}

impl TableWrite {
    fn check(&self, tables: &Tables, pending: &Pending<'_>, seen_at: u64) -> Result<(), CommitFailure> {
        let Some(base) = &self.base else { return Ok(()) };
        let changed = || conflict(format!("table {:?} was changed", base.name));
        let table = tables.table(self.id).ok_or_else(changed)?;
        if table.definition != *base || pending.defined.contains(&self.id) {
            return Err(changed());
        }
        let pending = pending.tables.get(&self.id);
        let before = |ids: &RoaringTreemap| !ids.is_disjoint(&self.deleted) || !ids.is_disjoint(&self.locked);
        if before(&table.deleted) || pending.is_some_and(|p| before(&p.deleted)) {
            return Err(conflict(format!("a row of table {:?} was changed or deleted", base.name)));
        }
        let looked_at = !self.deleted.is_empty() || !self.locked.is_empty();
        let is_stale =
            (table.reshaped_at > seen_at && looked_at) || (table.flushed_at > seen_at && self.keys.is_some());
        if is_stale {
            return Err(CommitFailure::Stale);
        }
        for key in self.keys.iter().flat_map(Keys::iter) {
            let found = table.find_in_memory(key).is_some_and(|id| !self.deleted.contains(id));
            if found || pending.is_some_and(|p| p.keys.contains(key)) {
                return Err(conflict(format!("a primary key of table {:?} was taken", base.name)));
            }
        }
        self.check_fields(base, table, pending)
    }

    /// Sees to it that the fields of this and of what was committed meanwhile are not too many.
    fn check_fields(
        &self,
        base: &TableDefinition,
        table: &Table,
        pending: Option<&PendingTable<'_>>,
    ) -> Result<(), CommitFailure> {
        let used = base.columns.len() + table.fields.count() + pending.map_or(0, |p| p.fields.len());
        let mut new: BTreeSet<&str> = BTreeSet::new();
        for (key, _) in self.rows.columns() {
            if is_field(key) && !table.fields.has_field(&key.field) {
                new.insert(&key.field);
            }
            if used + new.len() > FIELDS_MAX && !new.is_empty() {
                return Err(CommitFailure::TooManyFields(base.name.clone(), key.field.to_string()));
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Makes a transaction durable and visible.
    pub(in crate::engine) fn commit_tables(&self, writes: TableWrites) -> Result<()> {
        self.check_writable()?;
        self.check_pressure()?;
        let len = writes.encoded_len();
        if len > FRAME_LIMIT {
            return Err(StorageError::Invalid(format!(
                "the transaction takes {len} bytes in the log, and one may take {FRAME_LIMIT}; commit in smaller ones"
            )));
        }
        let writes = Arc::new(writes);
        loop {
            let committed = {
                let _no_rotation = read_lock(&self.rotation);
                let memtable = Arc::clone(&read_lock(&self.state).active);
                self.commit(Batch::of_tables(Arc::clone(&writes)), &memtable)
            };
            match committed {
                Err(CommitFailure::Stale) => self.look_again(&writes)?,
                done => return done.map_err(CommitFailure::into_error),
            }
        }
    }

    /// Looks in all parts, with no lock held, for keys that were taken and for deleted rows that are gone.
    fn look_again(&self, writes: &TableWrites) -> Result<()> {
        let seen_at = read_lock(&self.tables).clock();
        for write in &writes.tables {
            let Some(base) = &write.base else { continue };
            let conflict = |what: &str| StorageError::Conflict { reason: format!("{what} of table {:?}", base.name) };
            if let Some(keys) = &write.keys {
                let found = self.find_committed(write.id, keys)?;
                if found.into_iter().flatten().any(|id| !write.deleted.contains(id)) {
                    return Err(conflict("a primary key was taken"));
                }
            }
            let looked_at = &write.deleted | &write.locked;
            if !looked_at.is_empty() {
                let parts = read_lock(&self.tables).table(write.id).map(Table::parts);
                if held(&looked_at, &parts.unwrap_or_default())? != looked_at {
                    return Err(conflict("a row was changed or deleted"));
                }
            }
        }
        writes.seen_at.store(seen_at, Ordering::SeqCst);
        Ok(())
    }

    /// Makes transactions visible that are in the log; returns what all rows in memory take, in bytes.
    pub(in crate::engine) fn apply_tables<'w>(
        &self,
        writes: impl Iterator<Item = (&'w Arc<TableWrites>, &'w FirstRows)>,
    ) -> usize {
        let mut writes = writes.peekable();
        if writes.peek().is_none() {
            return read_lock(&self.tables).memory();
        }
        let mut tables = write_lock(&self.tables);
        writes.for_each(|(writes, firsts)| writes.apply(&mut tables, firsts));
        tables.memory()
    }
}
