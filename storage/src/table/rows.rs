//! Rows on their way: columns of equal length, each of one field and kind.

use std::{collections::BTreeSet, sync::Arc};

use arrow_array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow_select::{concat::concat, take::take};

use super::kind::ColumnKey;
use crate::{Result, StorageError};

/// Rows as columns, sorted by key, each key once. A row without a value in a column is null there.
#[derive(Debug, Clone)]
pub struct Rows {
    len: usize,
    columns: Vec<(ColumnKey, ArrayRef)>,
}

impl Rows {
    /// Rows of these columns, in any order.
    ///
    /// # Errors
    /// When a column has another length or Arrow type than it should, or comes twice.
    pub fn new(len: usize, mut columns: Vec<(ColumnKey, ArrayRef)>) -> Result<Self> {
        columns.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, array) in &columns {
            if array.len() != len {
                return Err(invalid(format!("column {key} has {} values for {len} rows", array.len())));
            }
            let (is, wanted) = (array.data_type(), key.kind.arrow());
            if *is != wanted {
                return Err(invalid(format!("column {key} has the Arrow type {is} instead of {wanted}")));
            }
        }
        if let Some(double) = columns.windows(2).find(|w| w[0].0 == w[1].0) {
            return Err(invalid(format!("column {} is there twice", double[0].0)));
        }
        Ok(Self { len, columns })
    }

    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The columns, sorted by key.
    #[must_use]
    pub fn columns(&self) -> &[(ColumnKey, ArrayRef)] {
        &self.columns
    }

    /// The values of a column.
    #[must_use]
    pub fn column(&self, key: &ColumnKey) -> Option<&ArrayRef> {
        self.columns.binary_search_by(|(k, _)| k.cmp(key)).ok().map(|at| &self.columns[at].1)
    }

    /// A part of the rows; shares their memory.
    #[must_use]
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        let columns = self.columns.iter().map(|(key, array)| (key.clone(), array.slice(offset, len)));
        Self { len, columns: columns.collect() }
    }

    /// The rows at these places, in this order.
    ///
    /// # Errors
    /// When a place is behind the last row.
    pub fn take(&self, places: &UInt32Array) -> Result<Self> {
        let columns = self.columns.iter().map(|(key, array)| {
            let taken = take(array, places, None).map_err(|e| invalid(e.to_string()))?;
            Ok((key.clone(), taken))
        });
        Ok(Self { len: places.len(), columns: columns.collect::<Result<_>>()? })
    }

    /// All rows, one after another, with the columns that any of them has.
    ///
    /// # Errors
    /// When the result is too long for Arrow's offsets.
    pub fn concat(all: &[Self]) -> Result<Self> {
        let keys: BTreeSet<&ColumnKey> = all.iter().flat_map(|r| r.columns.iter().map(|(key, _)| key)).collect();
        let columns = keys.into_iter().map(|key| {
            let arrays: Vec<ArrayRef> = all
                .iter()
                .map(|r| r.column(key).map_or_else(|| new_null_array(&key.kind.arrow(), r.len), Arc::clone))
                .collect();
            let arrays: Vec<&dyn Array> = arrays.iter().map(|a| &**a).collect();
            Ok((key.clone(), concat(&arrays).map_err(|e| invalid(e.to_string()))?))
        });
        Ok(Self { len: all.iter().map(|r| r.len).sum(), columns: columns.collect::<Result<_>>()? })
    }

    /// Memory that the columns take, in bytes; buffers that are shared count in full.
    #[must_use]
    pub fn memory_size(&self) -> usize {
        self.columns.iter().map(|(key, array)| array.get_array_memory_size() + key.field.len()).sum()
    }
}

fn invalid(reason: String) -> StorageError {
    StorageError::Invalid(format!("rows: {reason}"))
}
