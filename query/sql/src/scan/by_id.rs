//! Rows in hand by their ids or their keys, as statements that change them need the old ones.

use std::collections::HashMap;

use arrow::{
    array::{Array, ArrayRef},
    compute::interleave,
};
use chronolith_storage::table::{BLOCK_ROWS, ColumnKey, TableSnapshot};

use crate::error::{Result, SqlError};

/// The ids of the rows that may have the primary key of this hash, and are not deleted. `None` when a part has no index of
/// keys.
///
/// # Errors
/// When an index or row ids cannot be read.
pub(crate) fn ids_by_key(table: &TableSnapshot, hash: u64) -> Result<Option<Vec<u64>>> {
    let mut all = Vec::new();
    for part in &*table.parts {
        let Some(found) = part.find_key(hash)? else { return Ok(None) };
        let found: Vec<u32> = found.into_iter().collect();
        for near in found.chunk_by(|a, b| *a as usize / BLOCK_ROWS == *b as usize / BLOCK_ROWS) {
            let block = near[0] as usize / BLOCK_ROWS;
            let rows: Vec<u32> = near.iter().map(|ordinal| (*ordinal as usize % BLOCK_ROWS) as u32).collect();
            let ids = part.row_ids_at(block, &rows)?;
            all.extend(ids.values().iter().copied().filter(|id| !table.deleted.contains(*id)));
        }
    }
    Ok(Some(all))
}

/// These columns of the rows of these ids, in their order, as they are held.
///
/// # Errors
/// When a row is not there, or cannot be read.
pub(crate) fn rows_by_id(table: &TableSnapshot, ids: &[u64], keys: &[ColumnKey]) -> Result<Vec<ArrayRef>> {
    // For each row: which of the blocks that are read, and where in it.
    let mut found = Vec::with_capacity(ids.len());
    // Of each block, the rows that are read of it.
    let mut blocks: Vec<(usize, usize, Vec<u32>)> = Vec::new();
    let mut known: HashMap<(usize, usize), usize> = HashMap::new();
    for (id, place) in ids.iter().zip(table.find_rows(ids)?) {
        let Some(place) = place else {
            let message = format!("row {id} of table \"{}\" is not there", table.definition.name);
            return Err(SqlError::new(b"XX000", message));
        };
        let at = *known.entry((place.part, place.block)).or_insert_with(|| {
            blocks.push((place.part, place.block, Vec::new()));
            blocks.len() - 1
        });
        // A block has fewer rows than 32 bits count.
        let row = place.row as u32;
        blocks[at].2.push(row);
        found.push((at, row));
    }
    for (_, _, rows) in &mut blocks {
        rows.sort_unstable();
        rows.dedup();
    }
    let found: Vec<(usize, usize)> =
        found.into_iter().map(|(at, row)| (at, blocks[at].2.partition_point(|before| *before < row))).collect();
    let column = |key: &ColumnKey| -> Result<ArrayRef> {
        let read = blocks.iter().map(|(part, block, rows)| Ok(table.parts[*part].read_rows(key, *block, rows)?));
        let arrays: Vec<ArrayRef> = read.collect::<Result<_>>()?;
        if arrays.is_empty() {
            return Ok(arrow::array::new_empty_array(&key.kind.arrow()));
        }
        let arrays: Vec<&dyn Array> = arrays.iter().map(|a| &**a).collect();
        Ok(interleave(&arrays, &found)?)
    };
    keys.iter().map(column).collect()
}
