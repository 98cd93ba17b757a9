//! Flush of tables: the rows of each table in memory become one segment, sorted by time.

use std::{path::PathBuf, sync::Arc};

use arrow_array::UInt64Array;
use roaring::RoaringTreemap;

use super::{
    events::{LiveEvents, events_record},
    seal::{Flushed, SealedTable, SealedTables},
};
use crate::{
    Result,
    catalog::{CatalogEdit, SegmentRecord},
    engine::{Inner, flush::exclusive},
    memtable::{read_lock, write_lock},
    segment::Level,
    table::{
        BLOCK_ROWS, ColumnKey, Rows, TableDefinition,
        batch::RowBatch,
        gather::gather,
        key::{Keys, key_hash},
        segment::{EventSegmentIdentity, EventSegmentOptions, EventSegmentWriter},
        time::times,
        wire::{TableState, encode_table},
    },
    vfs::at_path,
};

/// Writes one segment of a table; the file is made with the first rows.
pub(super) struct EventsWriter<'e> {
    engine: &'e Inner,
    path: PathBuf,
    options: EventSegmentOptions,
    definition: &'e TableDefinition,
    key_columns: Vec<ColumnKey>,
    writer: Option<EventSegmentWriter>,
}

impl<'e> EventsWriter<'e> {
    /// The segment keeps `state`, from which a lost catalog is built anew.
    pub(super) fn new(engine: &'e Inner, state: &'e TableState, identity: EventSegmentIdentity, level: Level) -> Self {
        let definition = &state.definition;
        let mut encoded = Vec::new();
        encode_table(state, &mut encoded);
        let options = EventSegmentOptions { identity, level, time: definition.time_key(), state: encoded };
        let path = engine.layout.segment(identity.id);
        Self { engine, path, options, definition, key_columns: definition.key_columns(), writer: None }
    }

    /// Appends rows in their final order.
    pub(super) fn push(&mut self, rows: &Rows, row_ids: &UInt64Array) -> Result<()> {
        let hashes: Option<Vec<u64>> = match self.key_columns.is_empty() {
            true => None,
            false => Some(Keys::of(&self.key_columns, rows)?.iter().map(key_hash).collect()),
        };
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(EventSegmentWriter::create(
                &self.engine.options.vfs,
                &self.path,
                self.options.clone(),
            )?),
        };
        writer.push(rows, row_ids, hashes.as_deref())
    }

    /// Makes the file whole; there is none when there were no rows.
    pub(super) fn finish(self) -> Result<Option<SegmentRecord>> {
        let Some(writer) = self.writer else { return Ok(None) };
        Ok(Some(events_record(&writer.finish()?, self.definition)))
    }
}

impl Inner {
    /// Writes the sealed rows of all tables, and opens them: what cannot be read back does not become live.
    pub(in crate::engine) fn write_tables(self: &Arc<Self>, sealed: &SealedTables) -> Result<Vec<Flushed>> {
        let mut all = Vec::with_capacity(sealed.tables.len());
        for table in &sealed.tables {
            match self.write_table(table) {
                Ok(flushed) => all.push(flushed),
                Err(error) => {
                    self.discard_flushed(&all);
                    return Err(error);
                }
            }
        }
        Ok(all)
    }

    /// Removes files that did not become live.
    pub(in crate::engine) fn discard_flushed(&self, flushed: &[Flushed]) {
        let records: Vec<_> = flushed.iter().filter_map(|f| f.live.as_ref()).map(|live| live.record.clone()).collect();
        self.discard_files(&records);
    }

    fn write_table(self: &Arc<Self>, table: &SealedTable) -> Result<Flushed> {
        if table.rows.batches.is_empty() {
            return Ok(Flushed { live: None, removed: RoaringTreemap::new() });
        }
        let (id, sequence) = self.next_segment();
        let definition = &table.state.definition;
        let identity = EventSegmentIdentity { table: definition.id, id, sequence, merges: 0 };
        let live = self
            .write_sealed(table, EventsWriter::new(self, &table.state, identity, Level::Flush))
            .and_then(|record| record.map(|record| self.open_written_events(&record, definition)).transpose());
        if live.is_err() {
            // Best effort: what stays behind is removed at the next start, since the catalog does not name it.
            let _ = self.options.vfs.remove(&self.layout.segment(id));
        }
        let live = live?;
        let mut removed = RoaringTreemap::new();
        for batch in table.rows.batches.iter() {
            let mut gone = (*table.deleted).clone();
            gone.remove_range(..batch.first());
            gone.remove_range(batch.end()..);
            removed |= gone;
        }
        Ok(Flushed { live, removed })
    }

    fn write_sealed(&self, table: &SealedTable, mut writer: EventsWriter<'_>) -> Result<Option<SegmentRecord>> {
        let batches: Vec<&RowBatch> = table.rows.batches.iter().map(|b| &**b).collect();
        let places = sorted(table, &batches)?;
        let mut keys: Vec<ColumnKey> =
            batches.iter().flat_map(|b| b.rows().columns()).map(|(key, _)| key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        for places in places.chunks(BLOCK_ROWS) {
            let rows = gather(&keys, places, |source, key| Ok(batches[source].rows().column(key).cloned()))?;
            let ids = places.iter().map(|(source, row)| batches[*source].first() + *row as u64);
            writer.push(&rows, &UInt64Array::from_iter_values(ids))?;
        }
        writer.finish()
    }

    /// Makes the name of a new segment's file durable and opens it.
    pub(super) fn open_written_events(
        self: &Arc<Self>,
        record: &SegmentRecord,
        definition: &TableDefinition,
    ) -> Result<Arc<LiveEvents>> {
        let dir = self.layout.segments();
        self.options.vfs.sync_dir(&dir).map_err(at_path(&dir))?;
        self.open_events(record, definition)
    }

    /// Commits what a flush wrote: the tables' part goes into the same edit as the rest. `rest` makes the rest live.
    pub(in crate::engine) fn save_tables(
        &self,
        sealed: &SealedTables,
        flushed: Vec<Flushed>,
        mut edit: CatalogEdit,
        rest: impl FnOnce(),
    ) -> Result<()> {
        let _one_at_a_time = exclusive(&self.persisting);
        read_lock(&self.tables).save(sealed, &flushed, &mut edit);
        self.add_segments(edit)?;
        {
            let _nobody_commits = exclusive(&self.reshaping);
            write_lock(&self.tables).install(sealed, flushed);
        }
        rest();
        let dropped: Vec<SegmentRecord> = sealed.dropped.values().flatten().cloned().collect();
        // Queries that still read the old files have them open.
        self.discard_files(&dropped);
        Ok(())
    }
}

/// The rows that count, each a batch and a row in it, by time and then by row id.
fn sorted(table: &SealedTable, batches: &[&RowBatch]) -> Result<Vec<(usize, usize)>> {
    let counts = |batch: &RowBatch, row: usize| !table.deleted.contains(batch.first() + row as u64);
    let all = batches.iter().enumerate().flat_map(|(at, batch)| (0..batch.rows().len()).map(move |row| (at, row)));
    let mut places: Vec<(usize, usize)> = all.filter(|(at, row)| counts(batches[*at], *row)).collect();
    if let Some(key) = table.state.definition.time_key() {
        let times = batches.iter().map(|batch| match batch.rows().column(&key) {
            Some(array) => times(key.kind, array),
            None => Ok(vec![i64::MIN; batch.rows().len()]),
        });
        let times = times.collect::<Result<Vec<_>>>()?;
        // Batches are in the order of row ids, and the sort keeps the order of equals.
        places.sort_by_key(|(at, row)| times[*at][*row]);
    }
    Ok(places)
}
