//! Parts of a table as queries read them: a batch in memory or a segment, in blocks of rows.

use std::{fmt::Debug, ops::RangeInclusive, sync::Arc};

use arrow_array::{ArrayRef, UInt32Array, UInt64Array, cast::AsArray, new_null_array, types::UInt64Type};
use arrow_select::take::take;
use roaring::RoaringBitmap;

use super::kind::{ColumnKey, Kind};
use crate::{Result, StorageError};

/// Rows of a block; the last block of a part may have fewer.
pub const BLOCK_ROWS: usize = 8_192;

/// Rows that are read together. A row's ordinal is its place in the part; block `b` holds the ordinals from
/// `b * BLOCK_ROWS`.
pub trait Part: Send + Sync + Debug {
    /// How many rows there are, deleted ones included.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many blocks there are.
    fn blocks(&self) -> usize {
        self.len().div_ceil(BLOCK_ROWS)
    }

    /// The columns that some row has a value of, sorted.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn columns(&self) -> Result<Arc<[ColumnKey]>>;

    /// What is known of a column's values in every block without reading them. In a block that no row has a value in,
    /// it has only nulls.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn zones(&self, key: &ColumnKey) -> Result<Arc<ColumnZones>>;

    /// A column's values in one block: an array of the kind's Arrow type, as long as the block; nulls where a row has
    /// none, all nulls when the part does not have the column.
    ///
    /// # Errors
    /// When a block cannot be read or its checksum does not fit.
    fn read(&self, key: &ColumnKey, block: usize) -> Result<ArrayRef>;

    /// A column's values in some rows of a block, whose places in it rise; in the places' order. Few rows take far less than
    /// the whole block.
    ///
    /// # Errors
    /// As [`Part::read`]; when a place is behind the last row.
    fn read_rows(&self, key: &ColumnKey, block: usize, rows: &[u32]) -> Result<ArrayRef> {
        take_places(&self.read(key, block)?, rows)
    }

    /// The row ids of one block.
    ///
    /// # Errors
    /// When a block cannot be read or its checksum does not fit.
    fn row_ids(&self, block: usize) -> Result<UInt64Array>;

    /// The ids of some rows of a block, whose places in it rise; in the places' order.
    ///
    /// # Errors
    /// As [`Part::row_ids`]; when a place is behind the last row.
    fn row_ids_at(&self, block: usize, rows: &[u32]) -> Result<UInt64Array> {
        let all: ArrayRef = Arc::new(self.row_ids(block)?);
        Ok(take_places(&all, rows)?.as_primitive::<UInt64Type>().clone())
    }

    /// Bounds of the row ids of one block, which may be wider than they are.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn block_row_ids(&self, block: usize) -> Result<RangeInclusive<u64>>;

    /// The lowest and the highest row id.
    fn row_id_bounds(&self) -> RangeInclusive<u64>;

    /// The ordinals of all rows that may fulfil the needle: a superset. `None` when no index can tell.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn find(&self, key: &ColumnKey, needle: &Needle<'_>) -> Result<Option<RoaringBitmap>>;

    /// The ordinals of all rows that may have the primary key of this hash, as [`key_hashes`](super::key_hashes) gives it: a
    /// superset. `None` when no index can tell.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn find_key(&self, hash: u64) -> Result<Option<RoaringBitmap>>;
}

/// The values at some places of a block.
pub(crate) fn take_places(values: &ArrayRef, rows: &[u32]) -> Result<ArrayRef> {
    check_places(rows, values.len())?;
    take(values, &UInt32Array::from(rows.to_vec()), None).map_err(|e| StorageError::Invalid(format!("rows: {e}")))
}

/// Refuses places of rows that do not rise, or are not among so many.
pub(crate) fn check_places(rows: &[u32], len: usize) -> Result<()> {
    if rows.is_sorted_by(|a, b| a < b) && rows.last().is_none_or(|last| (*last as usize) < len) {
        return Ok(());
    }
    Err(StorageError::Invalid(format!("places of rows that do not rise, or are not among {len}")))
}

/// What an index is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needle<'a> {
    /// Rows whose text is this, or whose list has this text as an element.
    Value(&'a str),
    /// Rows whose text has this word: a maximal run of letters and digits, compared in lower case.
    Token(&'a str),
}

/// What is known of a column's values in each block of a part. Bounds may be wider than the values.
#[derive(Debug, Clone)]
pub struct ColumnZones {
    /// Rows without a value.
    pub nulls: UInt64Array,
    /// What no value is below, of the column's Arrow type; null where not known. Floats: NaNs are ignored.
    pub min: ArrayRef,
    /// What no value is above, of the column's Arrow type; null where not known. Floats: NaNs are ignored.
    pub max: ArrayRef,
    /// Whether the bounds are values that occur, so that they answer min and max.
    pub exact: Vec<bool>,
}

impl ColumnZones {
    /// Of a column of which only the nulls of each block are known.
    #[must_use]
    pub fn unbounded(kind: Kind, nulls: UInt64Array) -> Self {
        let none = new_null_array(&kind.arrow(), nulls.len());
        Self { min: Arc::clone(&none), max: none, exact: vec![false; nulls.len()], nulls }
    }
}
