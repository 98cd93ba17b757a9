//! Tables of a catalog that is built anew: each segment keeps its table's definition.
//!
//! Deletions that no merge had carried out are lost. In a table with a primary key the newest row of each key is taken
//! for the one that counts, so that keys stay unique.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use roaring::RoaringTreemap;

use super::{events::events_record, seal::changed_chunks};
use crate::{
    Result, StorageError,
    catalog::{CatalogEdit, SegmentRecord},
    segment::BlockCache,
    table::{
        Part, Rows, TableId,
        key::Keys,
        segment::EventSegment,
        wire::{TableState, decode_table},
    },
    vfs::Vfs,
};

/// The tables that segments tell of.
#[derive(Debug, Default)]
pub(in crate::engine) struct TableSurvey {
    tables: BTreeMap<TableId, Surveyed>,
}

#[derive(Debug)]
struct Surveyed {
    /// The state that the newest segment keeps, and that segment's sequence.
    state: TableState,
    sequence: u64,
    segments: Vec<EventSegment>,
}

impl TableSurvey {
    /// Opens a segment of a table and takes what it tells; returns its record.
    pub(in crate::engine) fn take(&mut self, vfs: &Arc<dyn Vfs>, path: &Path, id: u64) -> Result<SegmentRecord> {
        let segment = EventSegment::open(vfs, path, BlockCache::new(0))?;
        let corrupt = |reason: String| StorageError::Corrupt { path: path.to_owned(), offset: 0, reason };
        let summary = segment.summary().clone();
        let identity = summary.identity;
        if identity.id != id {
            return Err(corrupt(format!("the file is that of segment {}", identity.id)));
        }
        let mut state = decode_table(segment.state()).map_err(|e| corrupt(e.to_string()))?;
        if state.definition.id != identity.table {
            return Err(corrupt("the segment keeps the definition of another table".to_owned()));
        }
        // Rows of the log up to here are in segments, or were dropped from them.
        state.next_row = state.next_row.max(summary.row_ids.end().saturating_add(1));
        let record = events_record(&summary, &state.definition);
        let known = self.tables.entry(identity.table).or_insert_with(|| Surveyed {
            state: state.clone(),
            sequence: identity.sequence,
            segments: Vec::new(),
        });
        let next_row = known.state.next_row.max(state.next_row);
        if identity.sequence > known.sequence {
            (known.state, known.sequence) = (state, identity.sequence);
        }
        known.state.next_row = next_row;
        known.segments.push(segment);
        Ok(record)
    }

    /// Adds the tables to the contents of the new catalog.
    pub(in crate::engine) fn finish(self, contents: &mut CatalogEdit) -> Result<()> {
        contents.last_table = Some(self.tables.keys().map(|id| id.0).max().unwrap_or(0));
        let mut names: BTreeMap<String, TableId> = BTreeMap::new();
        // The newer of two tables with one name keeps it: the older was dropped, and its segments were left behind.
        for (id, table) in &self.tables {
            names.insert(table.state.definition.name.clone(), *id);
        }
        for (id, mut table) in self.tables {
            let name = &mut table.state.definition.name;
            if names.get(name) != Some(&id) {
                *name = format!("{name} (table {id})");
            }
            contents.deleted.extend(changed_chunks(id, &RoaringTreemap::new(), &replaced_rows(&table)?));
            contents.tables.push(table.state);
        }
        Ok(())
    }
}

/// The rows whose primary key a newer row has.
fn replaced_rows(table: &Surveyed) -> Result<RoaringTreemap> {
    let columns = table.state.definition.key_columns();
    let mut replaced = RoaringTreemap::new();
    if columns.is_empty() {
        return Ok(replaced);
    }
    let mut newest: HashMap<Box<[u8]>, u64> = HashMap::new();
    for segment in &table.segments {
        for block in 0..segment.blocks() {
            // A block that cannot be read is set aside when the database is open.
            let read = || {
                let cells = columns.iter().map(|key| Ok((key.clone(), segment.read(key, block)?)));
                let cells = cells.collect::<Result<Vec<_>>>()?;
                let ids = segment.row_ids(block)?;
                Ok((Keys::of(&columns, &Rows::new(ids.len(), cells)?)?, ids))
            };
            let (keys, ids) = match read() {
                Err(StorageError::Corrupt { .. }) => continue,
                read => read?,
            };
            for (key, id) in keys.iter().zip(ids.values()) {
                match newest.get_mut(key) {
                    None => drop(newest.insert(Box::from(key), *id)),
                    Some(known) => {
                        replaced.insert(*id.min(known));
                        *known = *id.max(known);
                    }
                }
            }
        }
    }
    Ok(replaced)
}
