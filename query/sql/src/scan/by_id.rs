//! Rows in hand by their ids, as an upsert needs the old ones.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, new_empty_array},
    compute::interleave,
};
use chronolith_storage::table::{ColumnKey, Part, TableSnapshot};

use crate::error::{Result, SqlError};

/// Where rows are: the blocks that have one, and for each row which of them and where in it.
struct Places<'a> {
    blocks: Vec<(&'a Arc<dyn Part>, usize)>,
    found: Vec<(usize, usize)>,
}

/// The declared columns of the rows of these ids, in their order, as they are held.
///
/// # Errors
/// When a row is not there, or cannot be read.
pub(crate) fn rows_by_id(table: &TableSnapshot, ids: &[u64]) -> Result<Vec<ArrayRef>> {
    let places = Places::of(table, ids)?;
    table.definition.columns.iter().filter_map(|column| column.key()).map(|key| places.column(&key)).collect()
}

/// One column of the rows of these ids, in their order, as it is held.
///
/// # Errors
/// When a row is not there, or cannot be read.
pub(crate) fn column_by_id(table: &TableSnapshot, key: &ColumnKey, ids: &[u64]) -> Result<ArrayRef> {
    if ids.is_empty() {
        return Ok(new_empty_array(&key.kind.arrow()));
    }
    Places::of(table, ids)?.column(key)
}

impl<'a> Places<'a> {
    fn of(table: &'a TableSnapshot, ids: &[u64]) -> Result<Self> {
        let mut wanted: HashMap<u64, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
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
        match wanted.keys().next() {
            None => Ok(Self { blocks, found }),
            Some(id) => {
                let name = &table.definition.name;
                Err(SqlError::new(b"XX000", format!("row {id} of table \"{name}\" is not there")))
            }
        }
    }

    fn column(&self, key: &ColumnKey) -> Result<ArrayRef> {
        let arrays: Vec<ArrayRef> =
            self.blocks.iter().map(|(part, block)| Ok(part.read(key, *block)?)).collect::<Result<_>>()?;
        let arrays: Vec<&dyn Array> = arrays.iter().map(|a| &**a).collect();
        Ok(interleave(&arrays, &self.found)?)
    }
}
