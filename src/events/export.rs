//! A table's rows as text that imports read back: documents, a line each, or CSV.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use arrow_array::{Array as _, ArrayRef, TimestampNanosecondArray, cast::AsArray as _, types::TimestampNanosecondType};
use chronolith_storage::{
    StorageError,
    document::{Rebuilder, TIME_FIELDS, decode_path, encode_path},
    engine::Engine,
    table::{ColumnDefinition, ColumnKey, ColumnType, Kind, Part, TableDefinition, TableSnapshot},
};

use super::field_of;
use crate::{
    error::{Error, Result},
    ingest::events::{time_of, write_csv_text},
};

/// The text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    /// A JSON object a line.
    Ndjson,
    /// CSV with the fields' paths in the first line. What it cannot tell apart, such as null and nothing, comes out alike.
    Csv,
}

/// A table at one moment, about to be written.
#[derive(Debug)]
pub(crate) struct Export {
    table: TableSnapshot,
    format: ExportFormat,
    /// Times in nanoseconds; `None`: all rows.
    range: Option<RangeInclusive<i64>>,
    /// The fields of CSV, in the order of its columns.
    fields: Vec<String>,
}

/// The rows of a block that are asked for.
struct Block {
    columns: Vec<(ColumnKey, ArrayRef)>,
    rows: Vec<usize>,
}

impl Export {
    /// The table of this name as it is now.
    ///
    /// # Errors
    /// When there is none, or a range is asked of a table without times.
    pub(crate) fn new(
        engine: &Engine,
        table: &str,
        format: ExportFormat,
        range: Option<RangeInclusive<i64>>,
    ) -> Result<Self> {
        let tables = engine.tables();
        let table = tables.table(table).ok_or_else(|| StorageError::UnknownTable(table.to_owned()))?.clone();
        if range.is_some() && table.definition.time.is_none() {
            let name = &table.definition.name;
            return Err(Error::Invalid(format!("table {name:?} has no time column, so no range of it can be taken")));
        }
        let declared = table.definition.columns.iter().map(|c| field_of(&c.name));
        let mut fields: Vec<String> = declared.collect();
        let others: BTreeSet<&str> = table.fields.iter().map(|key| &*key.field).collect();
        let others: Vec<String> =
            others.into_iter().filter(|f| !fields.iter().any(|d| d == f)).map(str::to_owned).collect();
        fields.extend(others);
        Ok(Self { table, format, range, fields })
    }

    /// Writes all rows, and hands the text on after each block of rows with their number.
    ///
    /// # Errors
    /// When a block cannot be read, or what `hand_on` says.
    pub(crate) fn write<E: From<Error>>(
        &self,
        mut hand_on: impl FnMut(&mut String, u64) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut out = String::new();
        if self.format == ExportFormat::Csv {
            for (i, field) in self.fields.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_csv_text(&mut out, &head(field), false);
            }
            out.push('\n');
        }
        for part in self.table.parts.iter() {
            for block in 0..part.blocks() {
                let block = self.block(&**part, block)?;
                match self.format {
                    ExportFormat::Ndjson => documents(&block, &mut out)?,
                    ExportFormat::Csv => self.records(&block, &mut out),
                }
                hand_on(&mut out, block.rows.len() as u64)?;
            }
        }
        hand_on(&mut out, 0)
    }

    fn block(&self, part: &dyn Part, block: usize) -> Result<Block> {
        let definition = &self.table.definition;
        let ids = part.row_ids(block)?;
        let times = match definition.time_key() {
            Some(key) => Some((part.read(&key, block)?, key.kind)),
            None => None,
        };
        let in_range = |row: usize| match (&self.range, &times) {
            (Some(range), Some((times, kind))) => {
                times.is_valid(row) && time_of(*kind, times, row).is_some_and(|t| range.contains(&t))
            }
            _ => true,
        };
        let counts = |row: &usize| !self.table.deleted.contains(ids.value(*row)) && in_range(*row);
        let rows: Vec<usize> = (0..ids.len()).filter(counts).collect();
        let mut columns = Vec::new();
        if rows.is_empty() {
            return Ok(Block { columns, rows });
        }
        for key in part.columns()?.iter() {
            if let Some(named) = named(definition, key) {
                columns.push((named, part.read(key, block)?));
            }
        }
        if definition.dynamic {
            leave_out_told_times(definition, &mut columns);
        }
        Ok(Block { columns, rows })
    }

    fn records(&self, block: &Block, out: &mut String) {
        let mut by_field: BTreeMap<&str, Vec<&(ColumnKey, ArrayRef)>> = BTreeMap::new();
        for column in &block.columns {
            by_field.entry(&column.0.field).or_default().push(column);
        }
        // The text of a number stands for its value.
        by_field.values_mut().for_each(|columns| columns.sort_by_key(|(key, _)| key.kind != Kind::NumberText));
        let mut cell = String::new();
        for &row in &block.rows {
            for (i, field) in self.fields.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                let columns = by_field.get(field.as_str()).map_or(&[][..], Vec::as_slice);
                let Some((key, array)) = columns.iter().find(|(_, array)| array.is_valid(row)) else { continue };
                match key.kind {
                    Kind::Null => {}
                    Kind::Text => write_csv_text(out, array.as_string_view().value(row), true),
                    kind => {
                        cell.clear();
                        Rebuilder::write_value(&mut cell, kind, array, row);
                        // Times are texts in JSON, and need no quotes here.
                        let text = cell.strip_prefix('"').and_then(|c| c.strip_suffix('"')).unwrap_or(&cell);
                        write_csv_text(out, text, false);
                    }
                }
            }
            out.push('\n');
        }
    }
}

/// A field's name in the first line of CSV: as plain as it can be read back.
fn head(field: &str) -> String {
    let is_plain = |key: &str| !key.is_empty() && !key.chars().any(|c| matches!(c, '.' | '"' | '\\') || c.is_control());
    match decode_path(field).as_deref() {
        Some([key]) if is_plain(key) => key.clone(),
        _ => field.to_owned(),
    }
}

/// The column under the name that documents have for it. `None` for a column that was dropped.
fn named(definition: &TableDefinition, key: &ColumnKey) -> Option<ColumnKey> {
    if !key.field.starts_with('#') {
        return Some(key.clone());
    }
    let is_it = |c: &&ColumnDefinition| c.key().as_ref() == Some(key);
    let column = definition.columns.iter().find(is_it)?;
    let is_json = matches!(column.column_type, ColumnType::Json | ColumnType::Jsonb);
    Some(ColumnKey::new(field_of(&column.name), if is_json { Kind::Json } else { key.kind }))
}

/// Takes the times out that the documents tell themselves.
fn leave_out_told_times(definition: &TableDefinition, columns: &mut [(ColumnKey, ArrayRef)]) {
    let Some(time) = definition.time.and_then(|id| definition.column(id)) else { return };
    let field = field_of(&time.name);
    let Some(at) = columns.iter().position(|(key, _)| *key.field == *field && key.kind == Kind::Nanos) else { return };
    let Some((_, times)) = columns.get(at) else { return };
    let Some(times) = times.as_primitive_opt::<TimestampNanosecondType>().cloned() else { return };
    let tellers = TIME_FIELDS.map(|name| encode_path(&[name]));
    let told = |row: usize| {
        tellers.iter().find_map(|teller| {
            let mut of_field = columns.iter().enumerate().filter(|(i, (key, _))| *i != at && *key.field == **teller);
            let (_, (key, array)) = of_field.find(|(_, (key, a))| !key.kind.is_mark() && a.is_valid(row))?;
            time_of(key.kind, array, row)
        })
    };
    let left = times.iter().enumerate().map(|(row, time)| time.filter(|time| told(row) != Some(*time)));
    let left: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter(left));
    if let Some(column) = columns.get_mut(at) {
        column.1 = left;
    }
}

fn documents(block: &Block, out: &mut String) -> Result<()> {
    let rebuilder = Rebuilder::new(block.columns.iter().map(|(key, _)| key))?;
    let columns: Vec<ArrayRef> = block.columns.iter().map(|(_, array)| Arc::clone(array)).collect();
    for &row in &block.rows {
        rebuilder.write(&columns, row, out);
        out.push('\n');
    }
    Ok(())
}
