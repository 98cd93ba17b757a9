//! Rows in memory as a part that queries read. Neighbours are joined while they are small, so that many small commits
//! leave few parts.

use std::{
    ops::RangeInclusive,
    sync::{Arc, OnceLock},
};

use arrow_array::{Array, ArrayRef, BinaryViewArray, StringViewArray, UInt32Array, UInt64Array, new_null_array};
use roaring::RoaringBitmap;

use super::{
    key::Keys,
    key_index::KeyIndex,
    kind::ColumnKey,
    part::{BLOCK_ROWS, ColumnZones, Needle, Part, check_places},
    rows::Rows,
};
use crate::{Result, StorageError};

/// Cells, those without a value included, that a batch made by joining has at most: wide tables keep smaller batches.
const JOINED_CELLS: usize = 1 << 20;

/// Rows with consecutive row ids.
#[derive(Debug)]
pub(crate) struct RowBatch {
    rows: Rows,
    first: u64,
    columns: Arc<[ColumnKey]>,
    /// The columns of the table's primary key.
    key: Arc<[ColumnKey]>,
    by_key: OnceLock<KeyIndex>,
    bytes: usize,
}

impl RowBatch {
    /// Rows whose ids count from `first`; `key` are the columns of their table's primary key.
    pub(crate) fn new(rows: Rows, first: u64, key: Arc<[ColumnKey]>) -> Self {
        let columns = rows.columns().iter().map(|(key, _)| key.clone()).collect();
        // Sooner or later a key is looked for.
        let index = if key.is_empty() { 0 } else { rows.len() * KeyIndex::ROW_BYTES };
        let bytes = rows.memory_size() + index;
        Self { rows, first, columns, key, by_key: OnceLock::new(), bytes }
    }

    pub(crate) const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The id of the first row.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// The id behind the last row's.
    pub(crate) const fn end(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    /// Memory that it takes, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the other, which comes behind this one, should be joined to it. As in a binary counter, a row is joined
    /// about as often as the batch's length has bits.
    fn takes(&self, next: &Self) -> bool {
        let rows = self.rows.len() + next.rows.len();
        let columns = self.columns.len() + next.columns.len();
        self.end() == next.first
            && self.rows.len() < 2 * next.rows.len()
            && rows <= BLOCK_ROWS
            && rows.saturating_mul(columns) <= JOINED_CELLS
    }

    fn join(&self, next: &Self) -> Result<Self> {
        let rows = compact(&Rows::concat(&[self.rows.clone(), next.rows.clone()])?)?;
        Ok(Self::new(rows, self.first, Arc::clone(&self.key)))
    }
}

/// Batches in the order of their row ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batches {
    all: Vec<Arc<RowBatch>>,
    bytes: usize,
}

impl Batches {
    /// Adds a batch behind the others.
    pub(crate) fn push(&mut self, batch: RowBatch) {
        let mut batch = Arc::new(batch);
        self.bytes += batch.bytes();
        while let Some(last) = self.all.last()
            && last.takes(&batch)
            // Rows too long to be joined stay apart.
            && let Ok(joined) = last.join(&batch)
        {
            self.bytes = self.bytes - last.bytes() - batch.bytes() + joined.bytes();
            batch = Arc::new(joined);
            self.all.pop();
        }
        self.all.push(batch);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<RowBatch>> {
        self.all.iter()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Memory that they take, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The same rows without memory that they do not use: columns that have no value go, and texts that share the memory
/// of others get their own.
pub(crate) fn compact(rows: &Rows) -> Result<Rows> {
    let columns = rows.columns().iter().filter(|(_, array)| array.null_count() < array.len());
    let columns = columns.map(|(key, array)| Ok((key.clone(), compact_array(array)?)));
    Rows::new(rows.len(), columns.collect::<Result<_>>()?)
}

fn compact_array(array: &ArrayRef) -> Result<ArrayRef> {
    if let Some(texts) = array.as_any().downcast_ref::<StringViewArray>() {
        return Ok(if is_loose(array, texts.total_buffer_bytes_used()) {
            Arc::new(texts.gc())
        } else {
            Arc::clone(array)
        });
    }
    if let Some(bytes) = array.as_any().downcast_ref::<BinaryViewArray>() {
        return Ok(if is_loose(array, bytes.total_buffer_bytes_used()) {
            Arc::new(bytes.gc())
        } else {
            Arc::clone(array)
        });
    }
    let used = array.to_data().get_slice_memory_size().unwrap_or(usize::MAX);
    if array.get_buffer_memory_size() / 2 <= used.saturating_add(LOOSE_MIN) {
        return Ok(Arc::clone(array));
    }
    // Copies what the slice shows.
    let all = UInt32Array::from_iter_values(0..array.len() as u32);
    arrow_select::take::take(array, &all, None).map_err(|e| StorageError::Invalid(format!("rows: {e}")))
}

/// Memory that is not worth a copy.
const LOOSE_MIN: usize = 1 << 10;

/// Whether views hold much more memory than they show, or point into many buffers.
fn is_loose(array: &ArrayRef, used: usize) -> bool {
    let views = array.len() * size_of::<u128>();
    array.get_buffer_memory_size() / 2 > used + views + LOOSE_MIN
        || array.as_any().downcast_ref::<StringViewArray>().is_some_and(|a| a.data_buffers().len() > 1)
        || array.as_any().downcast_ref::<BinaryViewArray>().is_some_and(|a| a.data_buffers().len() > 1)
}

impl Part for RowBatch {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn columns(&self) -> Result<Arc<[ColumnKey]>> {
        Ok(Arc::clone(&self.columns))
    }

    fn zones(&self, key: &ColumnKey) -> Result<Arc<ColumnZones>> {
        let nulls = (0..self.blocks()).map(|block| Ok(self.read(key, block)?.null_count() as u64));
        Ok(Arc::new(ColumnZones::unbounded(key.kind, nulls.collect::<Result<Vec<u64>>>()?.into())))
    }

    fn read(&self, key: &ColumnKey, block: usize) -> Result<ArrayRef> {
        let (start, len) = span(self.rows.len(), block)?;
        Ok(match self.rows.column(key) {
            Some(array) if start == 0 && len == array.len() => Arc::clone(array),
            Some(array) => array.slice(start, len),
            None => new_null_array(&key.kind.arrow(), len),
        })
    }

    fn row_ids(&self, block: usize) -> Result<UInt64Array> {
        let (start, len) = span(self.rows.len(), block)?;
        let first = self.first + start as u64;
        Ok(UInt64Array::from_iter_values(first..first + len as u64))
    }

    fn row_ids_at(&self, block: usize, rows: &[u32]) -> Result<UInt64Array> {
        let (start, len) = span(self.rows.len(), block)?;
        check_places(rows, len)?;
        let first = self.first + start as u64;
        Ok(UInt64Array::from_iter_values(rows.iter().map(|row| first + u64::from(*row))))
    }

    fn block_row_ids(&self, block: usize) -> Result<RangeInclusive<u64>> {
        let (start, len) = span(self.rows.len(), block)?;
        let first = self.first + start as u64;
        Ok(first..=first + (len as u64).saturating_sub(1))
    }

    fn row_id_bounds(&self) -> RangeInclusive<u64> {
        self.first..=self.end().saturating_sub(1)
    }

    fn find(&self, _: &ColumnKey, _: &Needle<'_>) -> Result<Option<RoaringBitmap>> {
        Ok(None)
    }

    fn find_key(&self, hash: u64) -> Result<Option<RoaringBitmap>> {
        if self.key.is_empty() {
            return Ok(None);
        }
        let index = match self.by_key.get() {
            Some(index) => index,
            None => {
                let index = KeyIndex::of(&Keys::of(&self.key, &self.rows)?);
                self.by_key.get_or_init(|| index)
            }
        };
        Ok(Some(index.find(hash)))
    }
}

/// Start and length of a block.
fn span(rows: usize, block: usize) -> Result<(usize, usize)> {
    let start = block.saturating_mul(BLOCK_ROWS);
    if start >= rows {
        return Err(StorageError::Invalid(format!("a part of {rows} rows has no block {block}")));
    }
    Ok((start, BLOCK_ROWS.min(rows - start)))
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;

    use super::*;
    use crate::table::Kind;

    fn row(n: i64) -> Rows {
        let text = format!("the text of row number {n}");
        let columns: Vec<(ColumnKey, ArrayRef)> = vec![
            (ColumnKey::new("a", Kind::Int64), Arc::new(Int64Array::from(vec![n]))),
            (ColumnKey::new("b", Kind::Text), Arc::new(StringViewArray::from(vec![text.as_str()]))),
        ];
        Rows::new(1, columns).unwrap()
    }

    #[test]
    fn one_row_batches_become_few() {
        let mut batches = Batches::default();
        let rows = 20_000;
        for n in 0..rows {
            batches.push(RowBatch::new(row(n), n as u64, Arc::default()));
            assert!(batches.all.len() <= 20 + n as usize / (BLOCK_ROWS / 2), "{} batches at {n}", batches.all.len());
        }
        assert_eq!(batches.bytes, batches.iter().map(|b| b.bytes()).sum::<usize>());
        let mut next = 0;
        for batch in batches.iter() {
            let texts = batch.read(&ColumnKey::new("b", Kind::Text), 0).unwrap();
            let texts = texts.as_any().downcast_ref::<StringViewArray>().unwrap();
            assert!(texts.data_buffers().len() <= 1);
            for (i, id) in batch.row_ids(0).unwrap().values().iter().enumerate() {
                assert_eq!(*id, next);
                assert_eq!(texts.value(i), format!("the text of row number {next}"));
                next += 1;
            }
        }
        assert_eq!(next, rows as u64);
        assert!(batches.bytes < 200 * rows as usize, "{} bytes", batches.bytes);
    }

    #[test]
    fn gaps_and_wide_rows_stay_apart() {
        let mut batches = Batches::default();
        batches.push(RowBatch::new(row(0), 0, Arc::default()));
        batches.push(RowBatch::new(row(2), 2, Arc::default()));
        assert_eq!(batches.all.len(), 2);
        let wide = |n: i64| {
            let columns = (0..5_000).map(|c| {
                let values: ArrayRef = Arc::new(Int64Array::from(vec![n; 100]));
                (ColumnKey::new(format!("{n}.{c}"), Kind::Int64), values)
            });
            Rows::new(100, columns.collect()).unwrap()
        };
        let mut batches = Batches::default();
        batches.push(RowBatch::new(wide(0), 0, Arc::default()));
        batches.push(RowBatch::new(wide(1), 100, Arc::default()));
        assert_eq!(batches.all.len(), 2, "joined they would have two million cells");
    }

    #[test]
    fn a_slice_does_not_keep_the_whole() {
        let long: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
        let rows = Rows::new(100_000, vec![(ColumnKey::new("a", Kind::Int64), long)]).unwrap();
        let kept = compact(&rows.slice(5, 10)).unwrap();
        assert!(kept.memory_size() < 2_000, "{}", kept.memory_size());
        assert_eq!(kept.len(), 10);
    }
}
