//! Transactions over tables: writes of one user that become durable and visible together, or leave no trace.

mod sight;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, OnceLock, atomic::AtomicU64},
};

use arrow_array::UInt32Array;
use roaring::RoaringTreemap;

use super::{
    Engine,
    tables::{
        commit::{EntryWrite, TableWrite, TableWrites},
        staged::{LOCAL, Staged, StagedTable, Write},
    },
};
use crate::{
    Result, StorageError,
    memtable::read_lock,
    table::{
        ColumnId, FIELDS_MAX, Kind, Rows, TableDefinition, TableId,
        batch::compact,
        check::{check_change, check_definition, check_rows, is_field},
        hold::{REPLACED, is_held, replaced_name},
        key::{Keys, describe},
        snapshot::TablesView,
        wire::{ROWS_MAX, TableState, encode_rows, encode_table},
    },
    wal::record::{RecordEncoder, TableRecord},
};

/// What to do with a row whose primary key is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse the whole insert with [`StorageError::UniqueViolation`].
    Refuse,
    /// Leave the row out.
    Skip,
    /// Delete the old row first. Of two rows of one call with the same key the later one counts. From a table that was
    /// written to in this way nothing can be derived, since nobody is told of the deletions.
    Replace,
}

/// Writes that are not committed yet. Dropping it rolls back.
#[derive(Debug)]
pub struct Transaction {
    engine: Engine,
    writes: Vec<Write>,
    staged: Staged,
    /// The committed definitions of tables that were written to, as they were at the first write.
    bases: BTreeMap<TableId, Arc<TableDefinition>>,
    /// The entries that were put, as they were at the first put.
    entry_bases: BTreeMap<(String, String), Option<Arc<[u8]>>>,
    seen_at: u64,
    /// What was committed when the transaction was told to see nothing that came later.
    pinned: OnceLock<TablesView>,
}

/// A place in a transaction to roll back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Savepoint(usize);

impl Engine {
    /// All tables at this moment.
    #[must_use]
    pub fn tables(&self) -> TablesView {
        read_lock(&self.inner().tables).view()
    }

    /// Begins a transaction. It takes no lock: writes of others go on, and what contradicts them is found at its commit.
    #[must_use]
    pub fn begin(&self) -> Transaction {
        Transaction {
            engine: self.clone(),
            writes: Vec::new(),
            staged: Staged::default(),
            bases: BTreeMap::new(),
            entry_bases: BTreeMap::new(),
            seen_at: read_lock(&self.inner().tables).clock(),
            pinned: OnceLock::new(),
        }
    }
}

impl Transaction {
    /// Makes a table; its id is given by the engine.
    ///
    /// # Errors
    /// When a table has this name, or the definition contradicts itself.
    pub fn create_table(&mut self, mut definition: TableDefinition) -> Result<Arc<TableDefinition>> {
        check_definition(&definition)?;
        self.check_name_is_free(&definition.name)?;
        definition.id = self.engine.inner().next_table_id()?;
        let definition = Arc::new(definition);
        self.write(Write::Define(Arc::clone(&definition)));
        Ok(definition)
    }

    /// Changes a table: another name, columns added, dropped or renamed, another retention. Columns keep their ids; id,
    /// primary key, time column and the kinds of columns cannot change.
    ///
    /// # Errors
    /// When there is no such table, or the change is one of those that cannot be.
    pub fn alter_table(&mut self, definition: TableDefinition) -> Result<Arc<TableDefinition>> {
        let current = self.begin_write(definition.id)?;
        check_change(&current, &definition)?;
        if current.name != definition.name {
            self.check_name_is_free(&definition.name)?;
        }
        let definition = Arc::new(definition);
        self.write(Write::Define(Arc::clone(&definition)));
        Ok(definition)
    }

    /// Drops a table with all rows.
    ///
    /// # Errors
    /// When there is no such table.
    pub fn drop_table(&mut self, table: TableId) -> Result<()> {
        self.begin_write(table)?;
        self.move_mark(table, None);
        self.write(Write::Drop(table));
        Ok(())
    }

    /// Deletes all rows of a table. Returns its definition, which has a new id. Serial columns count on.
    ///
    /// # Errors
    /// When there is no such table.
    pub fn truncate(&mut self, table: TableId) -> Result<Arc<TableDefinition>> {
        let mut definition = TableDefinition::clone(&*self.begin_write(table)?);
        definition.id = self.engine.inner().next_table_id()?;
        self.engine.inner().copy_serials(table, definition.id);
        self.move_mark(table, Some(definition.id));
        let definition = Arc::new(definition);
        self.write(Write::Drop(table));
        self.write(Write::Define(Arc::clone(&definition)));
        Ok(definition)
    }

    /// Inserts rows. Returns the places, in `rows`, of those that were inserted: all of them unless `on_conflict` says
    /// otherwise. Two rows of one call with the same primary key are a conflict as well.
    ///
    /// # Errors
    /// [`StorageError::UniqueViolation`], [`StorageError::NotNullViolation`], [`StorageError::TooManyFields`], when a
    /// column is not one of the table, or when rows are replaced of which something is derived.
    pub fn insert(&mut self, table: TableId, rows: Rows, on_conflict: OnConflict) -> Result<Vec<u32>> {
        let definition = self.begin_write(table)?;
        check_rows(&definition, &rows)?;
        let len = u32::try_from(rows.len())
            .map_err(|_| StorageError::Invalid("more than 4 thousand million rows in one insert".to_owned()))?;
        let rows = compact(&rows)?;
        self.check_fields(&definition, &rows)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        if definition.primary_key.is_empty() {
            self.write(Write::Insert(table, rows, None));
            return Ok((0..len).collect());
        }
        let columns = definition.key_columns();
        let keys = Keys::of(&columns, &rows)?;
        let taken = self.find_keys(table, &keys)?;
        let (places, replaced) = choose(&keys, &taken, on_conflict).map_err(|row| StorageError::UniqueViolation {
            table: definition.name.clone(),
            key: describe(&columns, &rows, row),
        })?;
        if on_conflict == OnConflict::Replace {
            self.mark_replaced(&definition)?;
        }
        if !replaced.is_empty() {
            self.write(Write::Delete(table, replaced));
        }
        if places.len() == rows.len() {
            self.write(Write::Insert(table, rows, Some(Arc::new(keys))));
        } else if !places.is_empty() {
            let chosen = compact(&rows.take(&UInt32Array::from(places.clone()))?)?;
            self.write(Write::Insert(table, chosen, Some(Arc::new(keys.take(&places)))));
        }
        Ok(places)
    }

    /// For each row of `rows`, of which only the primary key's columns are looked at, the id of the row that this
    /// transaction sees under that key.
    ///
    /// # Errors
    /// When the table has no primary key, or an index cannot be read.
    pub fn find_by_key(&self, table: TableId, rows: &Rows) -> Result<Vec<Option<u64>>> {
        let definition = self.definition(table)?;
        if definition.primary_key.is_empty() {
            return Err(StorageError::Invalid(format!("table {:?} has no primary key", definition.name)));
        }
        self.find_keys(table, &Keys::of(&definition.key_columns(), rows)?)
    }

    /// Deletes the rows of these ids, as this transaction's [`Transaction::tables`] showed them. An update is a delete and
    /// an insert.
    ///
    /// # Errors
    /// When there is no such table, or an id was never given.
    pub fn delete(&mut self, table: TableId, row_ids: &RoaringTreemap) -> Result<()> {
        let definition = self.begin_write(table)?;
        let own_end = self.staged.tables.get(&table).map_or(LOCAL, |staged| staged.next_local);
        let end = read_lock(&self.engine.inner().tables).table(table).map_or(1, |t| t.next_row());
        let known = row_ids.range_cardinality(1..end) + row_ids.range_cardinality(LOCAL..own_end);
        if known != row_ids.len() {
            return Err(StorageError::Invalid(format!("table {:?} never had one of these row ids", definition.name)));
        }
        if !row_ids.is_empty() {
            self.write(Write::Delete(table, row_ids.clone()));
        }
        Ok(())
    }

    /// The next `count` numbers of a serial column; the first of them is returned. Never given twice, also after a rollback.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn next_serial(&mut self, table: TableId, column: ColumnId, count: u64) -> Result<i64> {
        let definition = self.definition(table)?;
        let Some(found) = definition.column(column).filter(|c| c.serial) else {
            return Err(StorageError::Invalid(format!("table {:?} has no such serial column", definition.name)));
        };
        let highest = match found.column_type.kind() {
            Some(Kind::Int16) => i64::from(i16::MAX),
            Some(Kind::Int32) => i64::from(i32::MAX),
            _ => i64::MAX,
        };
        self.engine.inner().take_serials(table, column, count, highest).ok_or_else(|| {
            StorageError::Invalid(format!("column {:?} of table {:?} has no numbers left", found.name, definition.name))
        })
    }

    /// Keeps bytes under a name of a space, or takes them out.
    pub fn put_entry(&mut self, space: &str, name: &str, body: Option<Vec<u8>>) {
        let key = (space.to_owned(), name.to_owned());
        if !self.entry_bases.contains_key(&key) {
            let base = read_lock(&self.engine.inner().tables).entries().get(&key).cloned();
            self.entry_bases.insert(key.clone(), base);
        }
        self.write(Write::Entry(key, body.map(Arc::from)));
    }

    /// This place, to roll back to.
    #[must_use]
    pub const fn savepoint(&self) -> Savepoint {
        Savepoint(self.writes.len())
    }

    /// Takes back what was done since the place.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        if savepoint.0 >= self.writes.len() {
            return;
        }
        self.writes.truncate(savepoint.0);
        self.staged = Staged::default();
        for write in &self.writes {
            self.staged.take(write, &self.bases);
        }
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.iter().all(|write| matches!(write, Write::Lock(..)))
    }

    /// Makes all writes durable and visible together.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when another transaction that committed since changed a row that this one deleted, or
    /// took a primary key that this one inserted; nothing is written then, and the transaction can be done again. And the
    /// failures of the log.
    pub fn commit(self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let writes = self.gather()?;
        self.engine.inner().commit_tables(writes)
    }

    fn write(&mut self, write: Write) {
        self.staged.take(&write, &self.bases);
        self.writes.push(write);
    }

    /// The definition as this transaction sees it, before a write that goes by it. The commit will see to it that a
    /// committed one is still the same.
    fn begin_write(&mut self, id: TableId) -> Result<Arc<TableDefinition>> {
        let definition = self.definition(id)?;
        let is_committed = !self.staged.tables.contains_key(&id);
        if is_committed {
            self.bases.entry(id).or_insert_with(|| Arc::clone(&definition));
        }
        Ok(definition)
    }

    /// The definition as this transaction sees it.
    fn definition(&self, id: TableId) -> Result<Arc<TableDefinition>> {
        let unknown = || StorageError::UnknownTable(format!("number {id}"));
        if let Some(staged) = self.staged.tables.get(&id) {
            return staged.definition.clone().ok_or_else(unknown);
        }
        if let Some(base) = self.bases.get(&id) {
            return Ok(Arc::clone(base)); // written to, and rolled back
        }
        if let Some(pinned) = self.pinned.get() {
            // Its columns are those that were seen; the commit finds out whether they still are.
            let seen = pinned.tables().find(|table| table.definition.id == id);
            return seen.map(|table| Arc::clone(&table.definition)).ok_or_else(unknown);
        }
        read_lock(&self.engine.inner().tables).table(id).map(|t| Arc::clone(&t.definition)).ok_or_else(unknown)
    }

    /// Marks a table as one whose rows are replaced. Who derives something from it would not be told.
    fn mark_replaced(&mut self, definition: &TableDefinition) -> Result<()> {
        let name = replaced_name(definition.id);
        let entries = self.staged.entries_over(read_lock(&self.engine.inner().tables).entries());
        if entries.contains_key(&(REPLACED.to_owned(), name.clone())) {
            return Ok(());
        }
        if is_held(&entries, definition.id) {
            return Err(StorageError::Invalid(format!(
                "rows of table {:?} cannot be replaced while a materialized view is of it: drop the view",
                definition.name
            )));
        }
        self.put_entry(REPLACED, &name, Some(Vec::new()));
        Ok(())
    }

    /// Takes the mark of [`Transaction::mark_replaced`] from a table that goes, and gives it to the one in its place. A mark
    /// which is not there is taken out as well: whoever puts it before this is committed contradicts it.
    fn move_mark(&mut self, from: TableId, to: Option<TableId>) {
        let name = replaced_name(from);
        let entries = self.staged.entries_over(read_lock(&self.engine.inner().tables).entries());
        let is_marked = entries.contains_key(&(REPLACED.to_owned(), name.clone()));
        self.put_entry(REPLACED, &name, None);
        if let Some(to) = to.filter(|_| is_marked) {
            self.put_entry(REPLACED, &replaced_name(to), Some(Vec::new()));
        }
    }

    fn check_name_is_free(&self, name: &str) -> Result<()> {
        let mine = self.staged.tables.values().filter_map(|t| t.definition.as_ref());
        let tables = read_lock(&self.engine.inner().tables);
        let theirs = tables.named(name).is_some_and(|t| !self.staged.tables.contains_key(&t.definition.id));
        if theirs || mine.into_iter().any(|d| d.name == name) {
            return Err(StorageError::TableExists(name.to_owned()));
        }
        Ok(())
    }

    fn check_fields(&self, definition: &TableDefinition, rows: &Rows) -> Result<()> {
        if !definition.dynamic {
            return Ok(());
        }
        let staged = self.staged.tables.get(&definition.id);
        let tables = read_lock(&self.engine.inner().tables);
        let committed = tables.table(definition.id).map(super::tables::Table::fields);
        let mut new: BTreeSet<&Arc<str>> = staged
            .iter()
            .flat_map(|s| s.fields.columns())
            .chain(rows.columns().iter().map(|(key, _)| key))
            .filter(|key| is_field(key) && !committed.is_some_and(|fields| fields.has_field(&key.field)))
            .map(|key| &key.field)
            .collect();
        let used = definition.columns.len() + committed.map_or(0, super::tables::Fields::count);
        if used + new.len() <= FIELDS_MAX {
            return Ok(());
        }
        let field = new.pop_last().map_or(String::new(), |f| f.to_string());
        Err(StorageError::TooManyFields { table: definition.name.clone(), field, limit: FIELDS_MAX })
    }

    /// The rows that this transaction sees under the keys.
    fn find_keys(&self, table: TableId, keys: &Keys) -> Result<Vec<Option<u64>>> {
        let staged = self.staged.tables.get(&table);
        let found = if staged.is_some() && !self.bases.contains_key(&table) {
            vec![None; keys.len()] // the table is made by this transaction
        } else {
            self.engine.inner().find_committed(table, keys)?
        };
        let seen = |(key, committed): (&[u8], Option<u64>)| match staged {
            Some(staged) => staged.find(key).or(committed.filter(|id| !staged.deleted.contains(*id))),
            None => committed,
        };
        Ok(keys.iter().zip(found).map(seen).collect())
    }

    /// All writes as the commit takes them.
    fn gather(&self) -> Result<TableWrites> {
        let mut writes = TableWrites { seen_at: AtomicU64::new(self.seen_at), ..TableWrites::default() };
        for (id, staged) in &self.staged.tables {
            let base = self.bases.get(id).cloned();
            if base.is_none() && staged.definition.is_none() {
                continue; // made and dropped again
            }
            let write = gather_table(*id, base, staged)?;
            self.encode(&write, &mut writes.records);
            writes.tables.push(write);
        }
        for (key, body) in &self.staged.entries {
            let (space, name) = (key.0.as_str(), key.1.as_str());
            let record = TableRecord::Entry { space, name, body: body.as_deref() };
            RecordEncoder::new(&mut writes.records).table(&record);
            let base = self.entry_bases.get(key).cloned().flatten();
            writes.entries.push(EntryWrite { key: key.clone(), base, body: body.clone() });
        }
        Ok(writes)
    }

    /// Appends the records of a table's definition, deletions and serial numbers.
    fn encode(&self, write: &TableWrite, out: &mut Vec<u8>) {
        let table = write.id.0;
        let mut body = Vec::new();
        match &write.definition {
            Some(definition) if write.defines() => {
                let definition = TableDefinition::clone(definition);
                encode_table(&TableState { definition, next_row: 1, serials: Vec::new() }, &mut body);
                RecordEncoder::new(out).table(&TableRecord::Table(&body));
            }
            Some(_) => {}
            None => RecordEncoder::new(out).table(&TableRecord::Drop(table)),
        }
        let mut records = RecordEncoder::new(out);
        if !write.deleted.is_empty() {
            records.table(&TableRecord::Deleted { table, ids: write.deleted.clone() });
        }
        if write.definition.as_ref().is_some_and(|d| d.columns.iter().any(|c| c.serial)) {
            for (column, next) in self.engine.inner().serials.lock().of(write.id) {
                records.table(&TableRecord::Serial { table, column: column.0, next });
            }
        }
    }
}

fn gather_table(id: TableId, base: Option<Arc<TableDefinition>>, staged: &StagedTable) -> Result<TableWrite> {
    let definition = staged.definition.clone();
    let rows = staged.rows_that_count()?;
    let keys = match &definition {
        Some(definition) if !definition.primary_key.is_empty() && !rows.is_empty() => {
            Some(Keys::of(&definition.key_columns(), &rows)?)
        }
        _ => None,
    };
    if rows.len() > ROWS_MAX {
        return Err(StorageError::Invalid(format!(
            "the transaction inserts {} rows into one table, and may insert {ROWS_MAX}; commit in smaller ones",
            rows.len()
        )));
    }
    let mut encoded = Vec::new();
    if !rows.is_empty() {
        encode_rows(&rows, &mut encoded)?;
    }
    let (deleted, locked) = (staged.deleted.clone(), staged.locked.clone());
    Ok(TableWrite { id, base, definition, rows, encoded, keys, deleted, locked })
}

/// The places of the rows to insert, and the rows that they replace; or the place of a row that is refused.
fn choose(
    keys: &Keys,
    taken: &[Option<u64>],
    on_conflict: OnConflict,
) -> std::result::Result<(Vec<u32>, RoaringTreemap), usize> {
    let mut replaced = RoaringTreemap::new();
    let mut first_of: HashMap<&[u8], usize> = HashMap::with_capacity(keys.len());
    let mut chosen: Vec<bool> = Vec::with_capacity(keys.len());
    for (row, key) in keys.iter().enumerate() {
        let twin = first_of.get(key).copied();
        match on_conflict {
            _ if twin.is_none() && taken[row].is_none() => chosen.push(true),
            OnConflict::Refuse => return Err(row),
            OnConflict::Skip => {
                chosen.push(false);
                continue;
            }
            OnConflict::Replace => {
                replaced.extend(taken[row]);
                if let Some(twin) = twin {
                    chosen[twin] = false;
                }
                chosen.push(true);
            }
        }
        first_of.insert(key, row);
    }
    Ok(((0u32..).zip(chosen).filter_map(|(row, is)| is.then_some(row)).collect(), replaced))
}
