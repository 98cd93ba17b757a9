//! Rows of documents' fields to rows of a table: a field that has the name of a declared column goes there.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_select::interleave::interleave;
use chronolith_storage::{
    engine::Transaction,
    table::{ColumnDefinition, ColumnKey, Kind, Rows, TableDefinition},
};

use super::{
    convert::{Refused, convert},
    defaults::{self, Default},
    field_of,
};
use crate::{
    error::{Error, Result},
    ingest::events::EventError,
};

/// The declared columns of a table by the field that fills them.
#[derive(Debug)]
pub(crate) struct Fit<'d> {
    definition: &'d TableDefinition,
    by_field: HashMap<String, &'d ColumnDefinition>,
    arrival: i64,
}

/// A declared column's values as they came: a column of fields for each kind.
type Sources = Vec<(Kind, ArrayRef)>;

impl<'d> Fit<'d> {
    pub(crate) fn new(definition: &'d TableDefinition, arrival: i64) -> Self {
        // A dynamic table's times are read from documents already.
        let is_time = |c: &&ColumnDefinition| definition.dynamic && definition.time == Some(c.id);
        let declared = definition.columns.iter().filter(|c| !is_time(c));
        Self { definition, by_field: declared.map(|c| (field_of(&c.name), c)).collect(), arrival }
    }

    /// The rows of the table; `before` rows came before them.
    pub(crate) fn rows(&self, rows: Rows, before: usize, transaction: &mut Transaction) -> Result<Rows> {
        if self.by_field.is_empty() {
            return Ok(rows);
        }
        let mut columns = Vec::with_capacity(rows.columns().len());
        let mut sources: HashMap<&str, Sources> = HashMap::new();
        for (key, array) in rows.columns() {
            match self.by_field.get(&*key.field) {
                Some(column) => sources.entry(&column.name).or_default().push((key.kind, Arc::clone(array))),
                None if self.definition.dynamic => columns.push((key.clone(), Arc::clone(array))),
                None => return Err(self.unknown(&key.field)),
            }
        }
        for column in self.by_field.values() {
            let values = sources.remove(column.name.as_str()).unwrap_or_default();
            if let Some(filled) = self.fill(column, &values, rows.len(), before, transaction)? {
                columns.push(filled);
            }
        }
        Ok(Rows::new(rows.len(), columns)?)
    }

    fn unknown(&self, field: &str) -> Error {
        let columns: Vec<&str> = self.definition.columns.iter().map(|c| c.name.as_str()).take(20).collect();
        Error::Invalid(format!(
            "table {:?} has no column for the field {field:?}; its columns are {}. Leave the field out, or add a column",
            self.definition.name,
            columns.join(", ")
        ))
    }

    /// A declared column's values for so many rows. `None` when there are none.
    fn fill(
        &self,
        column: &ColumnDefinition,
        sources: &Sources,
        rows: usize,
        before: usize,
        transaction: &mut Transaction,
    ) -> Result<Option<(ColumnKey, ArrayRef)>> {
        let Some(key) = column.key() else { return Ok(None) };
        let mut values = Vec::new();
        for (kind, array) in sources.iter().filter(|(kind, _)| !kind.is_mark()) {
            let number_texts = sources.iter().find(|(kind, _)| *kind == Kind::NumberText).map(|(_, array)| array);
            let converted = convert(&column.column_type, *kind, array, number_texts)
                .map_err(|refused| self.refused(column, &refused, before))?;
            values.push(converted);
        }
        if let Some((_, objects)) = sources.iter().find(|(kind, _)| *kind == Kind::EmptyObject)
            && let Some(row) = (0..rows).find(|row| objects.is_valid(*row))
        {
            let refused = Refused { row, reason: "an object is no value of this type".to_owned() };
            return Err(self.refused(column, &refused, before));
        }
        let unnamed: Vec<usize> =
            (0..rows).filter(|row| sources.iter().all(|(_, array)| array.is_null(*row))).collect();
        if !unnamed.is_empty() {
            match self.default(column, unnamed.len(), transaction)? {
                Default::Null => {}
                Default::Same(value) => values.push(spread(&value, &unnamed, rows, |_| 0)?),
                Default::Each(numbers) => values.push(spread(&numbers, &unnamed, rows, |i| i)?),
            }
        }
        Ok(merge(&values, &key, rows)?.map(|array| (key, array)))
    }

    fn default(&self, column: &ColumnDefinition, count: usize, transaction: &mut Transaction) -> Result<Default> {
        if column.serial {
            let first = transaction.next_serial(self.definition.id, column.id, count as u64)?;
            return defaults::serial(&column.column_type, first, count).map_err(Error::Invalid);
        }
        match &column.default {
            None => Ok(Default::Null),
            Some(expression) => defaults::evaluate(&column.column_type, expression, self.arrival).map_err(|reason| {
                Error::Invalid(format!("column {:?} of table {:?}: {reason}", column.name, self.definition.name))
            }),
        }
    }

    fn refused(&self, column: &ColumnDefinition, refused: &Refused, before: usize) -> Error {
        let reason = format!("column {:?} of table {:?}: {}", column.name, self.definition.name, refused.reason);
        Error::Events(EventError::Row { row: before + refused.row + 1, reason })
    }
}

/// Values at some of the rows; `which` tells which value is for the nth of them.
fn spread(values: &ArrayRef, at: &[usize], rows: usize, which: impl Fn(usize) -> usize) -> Result<ArrayRef> {
    let nulls = new_null_array(values.data_type(), 1);
    let mut places = vec![(0, 0); rows];
    for (i, row) in at.iter().enumerate() {
        if let Some(place) = places.get_mut(*row) {
            *place = (1, which(i));
        }
    }
    interleave(&[&nulls, values], &places).map_err(|e| Error::Invalid(e.to_string()))
}

/// For each row the value of the first array that has one. `None` when no row has a value.
fn merge(values: &[ArrayRef], key: &ColumnKey, rows: usize) -> Result<Option<ArrayRef>> {
    match values {
        [] => return Ok(None),
        [only] => return Ok(Some(Arc::clone(only))),
        _ => {}
    }
    let nulls = new_null_array(&key.kind.arrow(), 1);
    let mut arrays: Vec<&dyn Array> = vec![&nulls];
    arrays.extend(values.iter().map(|a| a as &dyn Array));
    let place = |row: usize| match values.iter().position(|a| a.is_valid(row)) {
        Some(at) => (at + 1, row),
        None => (0, 0),
    };
    let places: Vec<(usize, usize)> = (0..rows).map(place).collect();
    interleave(&arrays, &places).map(Some).map_err(|e| Error::Invalid(e.to_string()))
}
