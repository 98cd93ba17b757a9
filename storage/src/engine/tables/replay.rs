//! Replay of what the log says of tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Tables, seal::ids_of_chunk};
use crate::{
    Result, StorageError,
    catalog::CatalogState,
    encoding::malformed,
    table::{
        ColumnId, ColumnKey, Rows, TableId,
        batch::{RowBatch, compact},
        key::Keys,
        wire::{decode_rows, decode_table},
    },
    wal::record::TableRecord,
};

/// Tables as they come out of catalog and log.
#[derive(Debug, Default)]
pub(in crate::engine) struct TableReplay {
    pub(in crate::engine) tables: Tables,
    pub(in crate::engine) serials: BTreeMap<(TableId, ColumnId), i64>,
    pub(in crate::engine) last_table: u32,
    /// Tables with deletions from the log: a merge may have carried some of them out already.
    pub(in crate::engine) unsettled: BTreeSet<TableId>,
    /// Rows taken.
    pub(in crate::engine) taken: u64,
    /// Records whose table's definition was lost with a damaged part of the log.
    pub(in crate::engine) orphans: u64,
}

impl TableReplay {
    /// The tables as the catalog has them, without their segments.
    pub(in crate::engine) fn saved(saved: &CatalogState) -> Self {
        let mut replay = Self { last_table: saved.last_table, ..Self::default() };
        for state in &saved.tables {
            let id = state.definition.id;
            replay.last_table = replay.last_table.max(id.0);
            replay.tables.define(Arc::new(state.definition.clone()));
            replay.serials.extend(state.serials.iter().map(|(column, next)| ((id, *column), *next)));
            if let Some(table) = replay.tables.all.get_mut(&id) {
                table.next_row = state.next_row;
                table.saved = Some(state.clone());
            }
        }
        for chunk in &saved.deleted {
            if let Some(table) = replay.tables.all.get_mut(&chunk.table) {
                Arc::make_mut(&mut table.deleted).extend(ids_of_chunk(chunk));
            }
        }
        for table in replay.tables.all.values_mut() {
            table.saved_deleted = Arc::clone(&table.deleted);
        }
        let entries = saved.entries.iter().map(|(key, body)| (key.clone(), Arc::from(body.as_slice()))).collect();
        replay.tables.entries = Arc::new(entries);
        replay.tables.saved_entries = Arc::clone(&replay.tables.entries);
        replay
    }

    /// Takes one record.
    pub(in crate::engine) fn take(&mut self, record: TableRecord<'_>) -> Result<()> {
        self.tables.unsaved = true;
        match record {
            TableRecord::Table(body) => {
                let state = decode_table(body)?;
                self.last_table = self.last_table.max(state.definition.id.0);
                self.tables.define(Arc::new(state.definition));
            }
            TableRecord::Drop(table) => self.tables.drop_table(TableId(table)),
            TableRecord::Entry { space, name, body } => {
                self.tables.put_entry((space.to_owned(), name.to_owned()), body.map(Arc::from));
            }
            TableRecord::Rows { table, first, rows } => self.rows(TableId(table), first, decode_rows(rows)?)?,
            TableRecord::Deleted { table, ids } => match self.tables.all.get_mut(&TableId(table)) {
                Some(known) => {
                    known.delete(&ids);
                    self.unsettled.insert(TableId(table));
                }
                None => self.orphans += 1,
            },
            TableRecord::Serial { table, column, next } => {
                let known = self.serials.entry((TableId(table), ColumnId(column))).or_insert(next);
                *known = next.max(*known);
            }
        }
        Ok(())
    }

    /// Takes rows, but not those that segments have already: all below the table's next row are.
    fn rows(&mut self, id: TableId, first: u64, rows: Rows) -> Result<()> {
        let Some(table) = self.tables.all.get_mut(&id) else {
            self.orphans += rows.len() as u64;
            return Ok(());
        };
        let end = first.checked_add(rows.len() as u64).filter(|end| *end < super::staged::LOCAL);
        let end = end.ok_or_else(|| malformed("log record", "row ids are too high"))?;
        if end <= table.next_row {
            return Ok(());
        }
        let known = table.next_row.saturating_sub(first) as usize;
        let rows = if known == 0 { rows } else { compact(&rows.slice(known, rows.len() - known))? };
        let columns: Arc<[ColumnKey]> = table.definition.key_columns().into();
        let keys = if columns.is_empty() { None } else { Some(Keys::of(&columns, &rows).map_err(misfit)?) };
        self.taken += rows.len() as u64;
        let batch = RowBatch::new(rows, first + known as u64, columns);
        table.add(batch, keys.as_ref());
        Ok(())
    }
}

/// Rows that do not fit their table are damage that a checksum missed.
fn misfit(error: StorageError) -> StorageError {
    malformed("log record", error.to_string())
}
