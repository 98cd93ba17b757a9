//! Rows as bytes, batch by batch: JSON, lines of JSON, CSV, Arrow's stream.

use arrow_array::{Array, RecordBatch};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, SchemaRef};
use chronolith_sql::catalog::type_name;
use chronolith_storage::document::write_string;

use super::failure::Failure;
use crate::{
    ingest::events::{write_csv, write_csv_text, write_json},
    server::respond::{ApiError, JSON},
};

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv; charset=utf-8";
const ARROW: &str = "application/vnd.apache.arrow.stream";

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Ndjson,
    Csv,
    Arrow,
}

impl Format {
    /// The format of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "ndjson" => Self::Ndjson,
            "csv" => Self::Csv,
            "arrow" => Self::Arrow,
            _ => return None,
        })
    }

    /// The first format that an `Accept` header names; JSON when it names none.
    pub(super) fn accepted(accept: &str) -> Self {
        let names = accept.split(',').map(|item| item.split(';').next().unwrap_or("").trim());
        names
            .filter_map(|name| match name {
                "application/json" => Some(Self::Json),
                NDJSON | "application/ndjson" | "application/jsonl" => Some(Self::Ndjson),
                "text/csv" => Some(Self::Csv),
                ARROW => Some(Self::Arrow),
                _ => None,
            })
            .next()
            .unwrap_or(Self::Json)
    }
}

/// Writes rows of one schema.
pub(crate) struct Writer {
    format: Format,
    schema: SchemaRef,
    out: String,
    arrow: Option<StreamWriter<Vec<u8>>>,
    rows: usize,
}

impl Writer {
    pub(crate) fn new(format: Format, schema: &SchemaRef) -> Result<Self, Failure> {
        let mut writer = Self { format, schema: SchemaRef::clone(schema), out: String::new(), arrow: None, rows: 0 };
        match format {
            Format::Json => writer.head(),
            Format::Ndjson => {}
            Format::Csv => {
                for (i, field) in schema.fields().iter().enumerate() {
                    writer.out.push_str(if i > 0 { "," } else { "" });
                    write_csv_text(&mut writer.out, field.name(), false);
                }
                writer.out.push('\n');
            }
            Format::Arrow => writer.arrow = Some(StreamWriter::try_new(Vec::new(), schema).map_err(|e| failed(&e))?),
        }
        Ok(writer)
    }

    pub(super) const fn content_type(&self) -> &'static str {
        match self.format {
            Format::Json => JSON,
            Format::Ndjson => NDJSON,
            Format::Csv => CSV,
            Format::Arrow => ARROW,
        }
    }

    /// Bytes that wait to be taken.
    pub(super) fn len(&self) -> usize {
        self.out.len() + self.arrow.as_ref().map_or(0, |writer| writer.get_ref().len())
    }

    /// Takes the bytes that were written since.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        match &mut self.arrow {
            Some(writer) => std::mem::take(writer.get_mut()),
            None => std::mem::take(&mut self.out).into_bytes(),
        }
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        if let Some(writer) = &mut self.arrow {
            return writer.write(batch).map_err(|e| failed(&e));
        }
        for row in 0..batch.num_rows() {
            match self.format {
                Format::Json => {
                    self.out.push_str(if self.rows > 0 { ",[" } else { "[" });
                    self.values(batch, row, |_, _| {});
                    self.out.push(']');
                }
                Format::Ndjson => {
                    self.out.push('{');
                    self.values(batch, row, |out, field| {
                        write_string(out, field.name());
                        out.push(':');
                    });
                    self.out.push_str("}\n");
                }
                Format::Csv | Format::Arrow => {
                    for (i, array) in batch.columns().iter().enumerate() {
                        self.out.push_str(if i > 0 { "," } else { "" });
                        write_csv(&mut self.out, array, row);
                    }
                    self.out.push('\n');
                }
            }
            self.rows += 1;
        }
        Ok(())
    }

    /// Ends the rows; gives the bytes that were not taken.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Failure> {
        if let Some(writer) = self.arrow {
            return writer.into_inner().map_err(|e| failed(&e));
        }
        if self.format == Format::Json {
            self.out.push_str("]}");
        }
        Ok(self.out.into_bytes())
    }

    fn head(&mut self) {
        self.out.push_str("{\"columns\":[");
        for (i, field) in self.schema.fields().iter().enumerate() {
            self.out.push_str(if i > 0 { ",{\"name\":" } else { "{\"name\":" });
            write_string(&mut self.out, field.name());
            self.out.push_str(",\"type\":");
            write_string(&mut self.out, &type_name(field));
            self.out.push('}');
        }
        self.out.push_str("],\"rows\":[");
    }

    fn values(&mut self, batch: &RecordBatch, row: usize, before: impl Fn(&mut String, &Field)) {
        for (i, (field, array)) in self.schema.fields().iter().zip(batch.columns()).enumerate() {
            self.out.push_str(if i > 0 { "," } else { "" });
            before(&mut self.out, field);
            match json_text(field, array, row) {
                // It is JSON already, and was checked when it was stored or made.
                Some(text) => self.out.push_str(&text),
                None => write_json(&mut self.out, array, row),
            }
        }
    }
}

/// The text of a value that is JSON itself. What does not read as JSON after all is a text as others.
fn json_text(field: &Field, array: &dyn Array, row: usize) -> Option<String> {
    if !matches!(pg_type(field)?, "json" | "jsonb") || array.is_null(row) {
        return None;
    }
    let text = arrow_array::cast::AsArray::as_string_view_opt(array)?.value(row);
    chronolith_storage::document::compact(text).ok()
}

fn pg_type(field: &Field) -> Option<&str> {
    field.metadata().get("pg_type").map(String::as_str)
}

fn failed(error: &ArrowError) -> Failure {
    ApiError::internal(error).into()
}
