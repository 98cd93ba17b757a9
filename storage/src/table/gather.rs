//! Rows put together from several sources in a given order: how batches are sorted and segments merged.

use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_select::interleave::interleave;

use super::{kind::ColumnKey, rows::Rows};
use crate::{Result, StorageError};

/// The rows at these places, each a source and a row in it, with the columns of `keys` (sorted) that some of the rows
/// have a value in. `read` gives a source's column; nothing when no row of the source has a value in it.
pub(crate) fn gather(
    keys: &[ColumnKey],
    places: &[(usize, usize)],
    mut read: impl FnMut(usize, &ColumnKey) -> Result<Option<ArrayRef>>,
) -> Result<Rows> {
    let mut sources: Vec<usize> = places.iter().map(|(source, _)| *source).collect();
    sources.sort_unstable();
    sources.dedup();
    let mut columns = Vec::new();
    for key in keys {
        let arrays = sources.iter().map(|source| read(*source, key)).collect::<Result<Vec<_>>>()?;
        if arrays.iter().any(Option::is_some) {
            let column = pick(key, &sources, &arrays, places)?;
            if column.null_count() < column.len() {
                columns.push((key.clone(), column));
            }
        }
    }
    Rows::new(places.len(), columns)
}

fn pick(
    key: &ColumnKey,
    sources: &[usize],
    arrays: &[Option<ArrayRef>],
    places: &[(usize, usize)],
) -> Result<ArrayRef> {
    if let ([Some(only)], Some((_, first))) = (arrays, places.first())
        && places.iter().zip(*first..).all(|((_, row), next)| *row == next)
        && first + places.len() <= only.len()
    {
        return Ok(only.slice(*first, places.len()));
    }
    // A source without the column gives its one null for every row.
    let null = new_null_array(&key.kind.arrow(), 1);
    let picked: Vec<&dyn Array> = arrays.iter().map(|array| &**array.as_ref().unwrap_or(&null)).collect();
    let mut at = 0;
    let slots = places.iter().map(|(source, row)| {
        if sources[at] != *source {
            at = sources.partition_point(|s| s < source);
        }
        (at, if arrays[at].is_some() { *row } else { 0 })
    });
    interleave(&picked, &slots.collect::<Vec<_>>()).map_err(|e| StorageError::Invalid(format!("rows: {e}")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;

    use super::*;
    use crate::table::Kind;

    #[test]
    fn rows_come_in_the_order_of_their_places() {
        let (a, b) = (ColumnKey::new("a", Kind::Int64), ColumnKey::new("b", Kind::Int64));
        let array = |values: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
        let read = |source: usize, key: &ColumnKey| {
            Ok(match (source, &*key.field) {
                (0, "a") => Some(array(&[1, 2, 3])),
                (3, "a") => Some(array(&[10, 20])),
                (3, "b") => Some(array(&[7, 8])),
                _ => None,
            })
        };
        let keys = [a.clone(), b.clone()];
        let rows = gather(&keys, &[(3, 1), (0, 2), (3, 0), (0, 0)], read).unwrap();
        let values = |rows: &Rows, key: &ColumnKey| {
            let array = rows.column(key).unwrap();
            array.as_any().downcast_ref::<Int64Array>().unwrap().iter().collect::<Vec<_>>()
        };
        assert_eq!(values(&rows, &a), [Some(20), Some(3), Some(10), Some(1)]);
        assert_eq!(values(&rows, &b), [Some(8), None, Some(7), None]);
        let rows = gather(&keys, &[(0, 1), (0, 2)], read).unwrap();
        assert_eq!(values(&rows, &a), [Some(2), Some(3)]);
        assert!(rows.column(&b).is_none());
    }
}
