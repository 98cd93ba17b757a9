//! Rows in hand by their ids, as an upsert needs the old ones.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef},
    compute::interleave,
};
use chronolith_storage::table::{ColumnKey, Part, TableSnapshot};

use crate::error::{Result, SqlError};

/// These columns of the rows of these ids, in their order, as they are held.
///
/// # Errors
/// When a row is not there, or cannot be read.
pub(crate) fn rows_by_id(table: &TableSnapshot, ids: &[u64], keys: &[ColumnKey]) -> Result<Vec<ArrayRef>> {
    let mut wanted: HashMap<u64, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    // For each wanted row: which of the blocks that were read, and where in it.
    let mut found = vec![(0_usize, 0_usize); ids.len()];
    let mut blocks: Vec<(&Arc<dyn Part>, usize)> = Vec::new();
    // New rows are changed most.
    for part in table.parts.iter().rev() {
        if wanted.is_empty() {
            break;
        }
        let bounds = part.row_id_bounds();
        if !wanted.keys().any(|id| bounds.contains(id)) {
            continue;
        }
        for block in 0..part.blocks() {
            let row_ids = part.row_ids(block)?;
            let before = blocks.len();
            for (row, id) in row_ids.values().iter().enumerate() {
                if let Some(at) = wanted.remove(id) {
                    if blocks.len() == before {
                        blocks.push((part, block));
                    }
                    found[at] = (before, row);
                }
            }
        }
    }
    if let Some(id) = wanted.keys().next() {
        return Err(SqlError::new(b"XX000", format!("row {id} of table \"{}\" is not there", table.definition.name)));
    }
    keys.iter().map(|key| column(key, &blocks, &found)).collect()
}

fn column(key: &ColumnKey, blocks: &[(&Arc<dyn Part>, usize)], found: &[(usize, usize)]) -> Result<ArrayRef> {
    let arrays: Vec<ArrayRef> =
        blocks.iter().map(|(part, block)| Ok(part.read(key, *block)?)).collect::<Result<_>>()?;
    let arrays: Vec<&dyn Array> = arrays.iter().map(|a| &**a).collect();
    Ok(interleave(&arrays, found)?)
}
