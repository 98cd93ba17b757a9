//! Sealing: at a rotation of the log, what is to be flushed of tables is taken as it is at that moment.
//!
//! What the log's generations below the new one did to tables is in the sealed state, no more and no less. So when the
//! catalog has it, and the log's floor is raised, replay goes on from there.

use std::{collections::BTreeMap, sync::Arc};

use roaring::{RoaringBitmap, RoaringTreemap};

use super::{MemoryRows, Table, Tables, events::LiveEvents};
use crate::{
    catalog::{CatalogEdit, DeletedChunk, SegmentRecord},
    table::{ColumnId, Entries, TableId, wire::TableState},
};

/// All tables at a rotation.
#[derive(Debug, Default)]
pub(in crate::engine) struct SealedTables {
    pub(super) tables: Vec<SealedTable>,
    pub(super) dropped: BTreeMap<TableId, Vec<SegmentRecord>>,
    entries: Arc<Entries>,
    last_table: u32,
}

/// A table at a rotation.
#[derive(Debug)]
pub(super) struct SealedTable {
    pub(super) state: TableState,
    pub(super) rows: Arc<MemoryRows>,
    pub(super) deleted: Arc<RoaringTreemap>,
}

/// What a flush wrote of one table.
#[derive(Debug)]
pub(in crate::engine) struct Flushed {
    /// `None` when no row was left.
    pub(super) live: Option<Arc<LiveEvents>>,
    /// Rows that were in memory and are not in the segment, since they were deleted.
    pub(super) removed: RoaringTreemap,
}

impl Tables {
    /// Whether there is something that a flush would save.
    pub(in crate::engine) const fn is_unsaved(&self) -> bool {
        self.unsaved
    }

    pub(in crate::engine) const fn sealed(&self) -> Option<&Arc<SealedTables>> {
        self.sealed.as_ref()
    }

    /// Seals all tables. Nothing is sealed already, and nobody writes.
    pub(in crate::engine) fn seal(&mut self, serials: &BTreeMap<(TableId, ColumnId), i64>, last_table: u32) {
        let mut sealed = Vec::with_capacity(self.all.len());
        for (id, table) in &mut self.all {
            let rows = Arc::new(std::mem::take(&mut table.active));
            // Without rows there is nothing to look into while the flush runs.
            table.sealed = (!rows.batches.is_empty()).then(|| Arc::clone(&rows));
            let next = serials.range((*id, ColumnId(0))..=(*id, ColumnId(u32::MAX)));
            let state = TableState {
                definition: (*table.definition).clone(),
                next_row: table.next_row,
                serials: next.map(|((_, column), next)| (*column, *next)).collect(),
            };
            sealed.push(SealedTable { state, rows, deleted: Arc::clone(&table.deleted) });
        }
        self.unsaved = false;
        self.sealed = Some(Arc::new(SealedTables {
            tables: sealed,
            dropped: std::mem::take(&mut self.dropped),
            entries: Arc::clone(&self.entries),
            last_table,
        }));
    }

    /// Adds to an edit what makes the catalog the sealed state.
    pub(super) fn save(&self, sealed: &SealedTables, flushed: &[Flushed], edit: &mut CatalogEdit) {
        for (id, segments) in &sealed.dropped {
            edit.remove_tables.push(*id);
            edit.remove_segments.extend(segments.iter().map(|record| record.id));
        }
        for (table, flushed) in sealed.tables.iter().zip(flushed) {
            let id = table.state.definition.id;
            let known = self.all.get(&id);
            if known.is_none_or(|known| known.saved.as_ref() != Some(&table.state)) {
                edit.tables.push(table.state.clone());
            }
            edit.add_segments.extend(flushed.live.iter().map(|live| live.record.clone()));
            if let Some(known) = known {
                let after = known.deletions_to_save(table, flushed);
                edit.deleted.extend(changed_chunks(id, &known.saved_deleted, &after));
            }
        }
        let gone = self.saved_entries.keys().filter(|key| !sealed.entries.contains_key(*key));
        edit.entries.extend(gone.map(|key| (key.clone(), None)));
        let changed = sealed.entries.iter().filter(|(key, body)| self.saved_entries.get(*key) != Some(*body));
        edit.entries.extend(changed.map(|(key, body)| (key.clone(), Some(body.to_vec()))));
        edit.last_table = Some(sealed.last_table);
    }

    /// Puts segments into the place of what was sealed; nobody commits meanwhile. The catalog has what [`Tables::save`] added to the edit.
    pub(super) fn install(&mut self, sealed: &SealedTables, flushed: Vec<Flushed>) {
        self.clock += 1;
        for (sealed_table, flushed) in sealed.tables.iter().zip(flushed) {
            let id = sealed_table.state.definition.id;
            let Some(table) = self.all.get_mut(&id) else {
                // Dropped meanwhile: the next flush takes the new segment out of the catalog with the others.
                self.dropped.entry(id).or_default().extend(flushed.live.map(|live| live.record.clone()));
                continue;
            };
            table.saved_deleted = Arc::new(table.deletions_to_save(sealed_table, &flushed));
            table.saved = Some(sealed_table.state.clone());
            if !flushed.removed.is_empty() {
                // Their deletions are forgotten: a transaction that deletes one of them as well must look again.
                table.forget(&flushed.removed);
                table.reshaped_at = self.clock;
            }
            if table.sealed.take().is_some() {
                table.flushed_at = self.clock;
            }
            table.replace_segments(&[], flushed.live.into_iter().collect());
        }
        self.saved_entries = Arc::clone(&sealed.entries);
        self.sealed = None;
    }
}

impl Table {
    /// What the catalog is to have of the deletions: those of the sealed state whose rows are still in some part. A merge
    /// may have taken rows out since.
    fn deletions_to_save(&self, sealed: &SealedTable, flushed: &Flushed) -> RoaringTreemap {
        let mut deleted = &*sealed.deleted & &*self.deleted;
        deleted -= &flushed.removed;
        deleted
    }

    /// Forgets deletions whose rows are in no part any more.
    pub(super) fn forget(&mut self, gone: &RoaringTreemap) {
        if !gone.is_empty() {
            *Arc::make_mut(&mut self.deleted) -= gone;
        }
    }

    /// Takes segments out and puts others in, in the order of their sequence.
    pub(super) fn replace_segments(&mut self, remove: &[u64], add: Vec<Arc<LiveEvents>>) {
        self.segments.retain(|live| !remove.contains(&live.record.id));
        self.segments.extend(add);
        self.segments.sort_by_key(|live| (live.record.sequence, live.record.id));
        self.parts.take();
    }
}

/// The chunks in which two sets of row ids differ, as they are in the second.
pub(super) fn changed_chunks(table: TableId, before: &RoaringTreemap, after: &RoaringTreemap) -> Vec<DeletedChunk> {
    let differing = before ^ after;
    let mut chunks: BTreeMap<u64, RoaringBitmap> =
        differing.iter().map(|id| (id >> DeletedChunk::CHUNK_BITS, RoaringBitmap::new())).collect();
    for (chunk, ids) in &mut chunks {
        let (first, last) = (*chunk << DeletedChunk::CHUNK_BITS, (*chunk << DeletedChunk::CHUNK_BITS) | LOW_BITS);
        let mut those = after.iter();
        those.advance_to(first);
        ids.extend(those.take_while(|id| *id <= last).map(|id| (id & LOW_BITS) as u32));
    }
    chunks.into_iter().map(|(chunk, ids)| DeletedChunk { table, chunk, ids }).collect()
}

/// The bits of a row id that are its place in a chunk.
const LOW_BITS: u64 = (1 << DeletedChunk::CHUNK_BITS) - 1;

/// The row ids of a chunk.
pub(in crate::engine) fn ids_of_chunk(chunk: &DeletedChunk) -> impl Iterator<Item = u64> + '_ {
    let high = chunk.chunk << DeletedChunk::CHUNK_BITS;
    chunk.ids.iter().map(move |low| high | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chunks_that_changed_are_saved() {
        let before = RoaringTreemap::from_iter([1, 2, 5 << 20, (9 << 20) + 3]);
        let after = RoaringTreemap::from_iter([1, 2, 7, (9 << 20) + 3, (1 << 40) + 1]);
        let changed = changed_chunks(TableId(3), &before, &after);
        let numbers: Vec<_> = changed.iter().map(|c| (c.chunk, c.ids.len())).collect();
        assert_eq!(numbers, [(0, 3), (5, 0), (1 << 20, 1)]);
        let ids: Vec<u64> = changed.iter().flat_map(ids_of_chunk).collect();
        assert_eq!(ids, [1, 2, 7, (1 << 40) + 1]);
    }
}
