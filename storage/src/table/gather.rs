//! Rows put together from several sources in a given order: how batches are sorted and segments merged.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_schema::ArrowError;
use arrow_select::{concat::concat, interleave::interleave};

use super::{kind::ColumnKey, rows::Rows};
use crate::{Result, StorageError};

/// Rows that follow each other in their source are copied together when runs of them are this long on average.
const RUN_MIN: usize = 32;

/// The rows at these places, each a source and a row in it, with the columns of `keys` (sorted) that some of the rows
/// have a value in. `read` gives a source's column; nothing when no row of the source has a value in it.
pub(crate) fn gather(
    keys: &[ColumnKey],
    places: &[(usize, usize)],
    mut read: impl FnMut(usize, &ColumnKey) -> Result<Option<ArrayRef>>,
) -> Result<Rows> {
    let mut sources: Vec<usize> = places.chunk_by(|a, b| a.0 == b.0).map(|run| run[0].0).collect();
    sources.sort_unstable();
    sources.dedup();
    let mut at = 0;
    let slots = places.iter().map(|(source, row)| {
        if sources.get(at) != Some(source) {
            at = sources.partition_point(|s| s < source);
        }
        (at, *row)
    });
    let slots: Vec<(usize, usize)> = slots.collect();
    let runs: Vec<&[(usize, usize)]> = slots.chunk_by(|a, b| a.0 == b.0 && a.1 + 1 == b.1).collect();
    let mut columns = Vec::new();
    for key in keys {
        let arrays = sources.iter().map(|source| read(*source, key)).collect::<Result<Vec<_>>>()?;
        if arrays.iter().all(Option::is_none) {
            continue;
        }
        let column =
            if runs.len() * RUN_MIN <= slots.len() { join(key, &arrays, &runs) } else { pick(key, &arrays, &slots) };
        let column = column.map_err(|e| StorageError::Invalid(format!("rows: {e}")))?;
        if column.null_count() < column.len() {
            columns.push((key.clone(), column));
        }
    }
    Rows::new(places.len(), columns)
}

/// A column of runs of rows.
fn join(key: &ColumnKey, arrays: &[Option<ArrayRef>], runs: &[&[(usize, usize)]]) -> Result<ArrayRef, ArrowError> {
    let part = |run: &[(usize, usize)]| match &arrays[run[0].0] {
        Some(array) => array.slice(run[0].1, run.len()),
        None => new_null_array(&key.kind.arrow(), run.len()),
    };
    let parts: Vec<ArrayRef> = runs.iter().map(|run| part(run)).collect();
    match parts.as_slice() {
        [only] => Ok(Arc::clone(only)),
        _ => concat(&parts.iter().map(|part| &**part).collect::<Vec<_>>()),
    }
}

/// A column of single rows.
fn pick(key: &ColumnKey, arrays: &[Option<ArrayRef>], slots: &[(usize, usize)]) -> Result<ArrayRef, ArrowError> {
    // A source without the column gives its one null for every row.
    let null = new_null_array(&key.kind.arrow(), 1);
    let picked: Vec<&dyn Array> = arrays.iter().map(|array| &**array.as_ref().unwrap_or(&null)).collect();
    if arrays.iter().all(Option::is_some) {
        return interleave(&picked, slots);
    }
    let slots = slots.iter().map(|(at, row)| (*at, if arrays[*at].is_some() { *row } else { 0 }));
    interleave(&picked, &slots.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringViewArray, cast::AsArray};

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

    proptest::proptest! {
        #[test]
        fn runs_are_joined_as_single_rows_are_picked(
            runs in proptest::collection::vec((0usize..3, 0usize..90, 1usize..200), 1..12),
            nulls in proptest::collection::vec(proptest::prelude::any::<bool>(), 300),
        ) {
            let places: Vec<(usize, usize)> =
                runs.iter().flat_map(|(source, start, len)| (0..*len).map(move |row| (*source, start + row))).collect();
            let value = |source: usize, row: usize| {
                (source != 1 && nulls[(row + source) % 300]).then(|| format!("{row} of the rows of source {source}"))
            };
            let read = |source: usize, _: &ColumnKey| {
                let texts = (0..300).map(|row| value(source, row)).collect::<StringViewArray>();
                Ok((source != 1).then(|| Arc::new(texts) as ArrayRef))
            };
            let key = ColumnKey::new("a", Kind::Text);
            let rows = gather(std::slice::from_ref(&key), &places, read).unwrap();
            let expected: Vec<Option<String>> = places.iter().map(|(source, row)| value(*source, *row)).collect();
            let found: Vec<Option<String>> = match rows.column(&key) {
                Some(column) => column.as_string_view().iter().map(|text| text.map(str::to_owned)).collect(),
                None => vec![None; places.len()],
            };
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
