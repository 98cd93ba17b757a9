//! Events into tables: a table that is missing is made, fields find their columns, all rows are durable or none is.

mod convert;
mod defaults;
#[cfg(feature = "server")]
mod export;
mod fit;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use chronolith_storage::{
    StorageError,
    document::{DocumentOptions, encode_path},
    engine::{Engine, OnConflict, Transaction},
    table::{ColumnType, TableDefinition},
};

use crate::{
    error::{Error, Result},
    ingest::events::{EventError, EventReader, ReadOptions},
};
#[cfg(feature = "server")]
pub(crate) use export::{Export, ExportFormat};
pub(crate) use fit::Fit;

/// How often rows are appended anew when another transaction changes the table meanwhile.
const TRIES: usize = 10;
const NANOS_PER_MS: i64 = 1_000_000;

/// What was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppendSummary {
    /// How many rows there are more.
    pub rows: u64,
    /// Whether the table was made for them.
    pub created: bool,
}

/// Appends what a reader gives. It is opened anew when another transaction contradicts.
pub(crate) fn append<'a>(
    engine: &Engine,
    table: &str,
    time_field: Option<&str>,
    open: &dyn Fn(&ReadOptions) -> Result<EventReader<'a>, EventError>,
) -> Result<AppendSummary> {
    let mut tries = 1;
    loop {
        match append_once(engine, table, time_field, open) {
            Err(Error::Storage(StorageError::Conflict { .. } | StorageError::TableExists(_))) if tries < TRIES => {
                tries += 1;
            }
            done => return done,
        }
    }
}

fn append_once<'a>(
    engine: &Engine,
    table: &str,
    time_field: Option<&str>,
    open: &dyn Fn(&ReadOptions) -> Result<EventReader<'a>, EventError>,
) -> Result<AppendSummary> {
    let mut transaction = engine.begin();
    let arrival = engine.options().clock.now_ms().saturating_mul(NANOS_PER_MS);
    let summary = insert(&mut transaction, table, time_field, arrival, open)?;
    if summary.rows == 0 {
        // A table is not made for nothing.
        return Ok(AppendSummary::default());
    }
    transaction.commit()?;
    Ok(summary)
}

/// Inserts what a reader gives in a transaction, which is left to commit. `arrival` is the time of rows that have none, in
/// nanoseconds since the Unix epoch.
pub(crate) fn insert<'a>(
    transaction: &mut Transaction,
    table: &str,
    time_field: Option<&str>,
    arrival: i64,
    open: &dyn Fn(&ReadOptions) -> Result<EventReader<'a>, EventError>,
) -> Result<AppendSummary> {
    let existing = transaction.tables().table(table).map(|t| Arc::clone(&t.definition));
    let created = existing.is_none();
    let definition = match existing {
        Some(definition) => definition,
        None => transaction.create_table(TableDefinition::dynamic(table))?,
    };
    let options = read_options(&definition, time_field, arrival)?;
    let mut reader = open(&options)?;
    let fit = Fit::new(&definition, arrival);
    let mut rows = 0;
    while let Some(batch) = reader.next_batch()? {
        let batch = fit.rows(batch, rows, transaction)?;
        rows += batch.len();
        transaction.insert(definition.id, batch, OnConflict::Refuse)?;
    }
    Ok(AppendSummary { rows: rows as u64, created })
}

/// How events for a table are read.
pub(crate) fn read_options(
    definition: &TableDefinition,
    time_field: Option<&str>,
    arrival: i64,
) -> Result<ReadOptions> {
    let is_json = |t: &ColumnType| matches!(t, ColumnType::Json | ColumnType::Jsonb);
    let json = definition.columns.iter().filter(|c| is_json(&c.column_type)).map(|c| c.name.clone());
    let mut document = DocumentOptions { arrival, json_fields: json.collect(), ..DocumentOptions::default() };
    if !definition.dynamic {
        if let Some(field) = time_field {
            return Err(Error::Invalid(format!(
                "the field {field:?} cannot be named as the time: table {:?} has declared columns, which are filled by name",
                definition.name
            )));
        }
        document.time_fields.clear();
        return Ok(ReadOptions { document, time: None });
    }
    if let Some(field) = time_field {
        document.time_fields = vec![field.to_owned()];
    }
    Ok(ReadOptions { document, time: definition.time_key() })
}

/// The field of documents that a declared column is filled from.
fn field_of(column: &str) -> String {
    encode_path(&[column])
}
