//! Events in the formats they come in, to rows of documents' fields: JSON, lines of JSON, CSV, Arrow's stream.
//!
//! A reader gives [`Rows`] batch by batch, some thousand rows each; how they become rows of a table is not its business.

mod arrow;
mod csv;
mod json;
mod write;

#[cfg(test)]
mod tests;

use chronolith_storage::{
    document::{DocumentBuilder, DocumentError, DocumentOptions, Refusal},
    table::{ColumnKey, Rows},
};

pub use arrow::{ArrowReader, batch_rows, time_of};
pub use csv::{CsvReader, whole_records};
pub use json::JsonReader;
pub use write::{write_csv, write_csv_text, write_json, write_plain};

/// A format of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFormat {
    /// An object, an array of objects, or objects one after another.
    Json,
    /// An object a line.
    Ndjson,
    /// Values separated by commas (RFC 4180), the fields' paths in the first line. A value without quotes is read as JSON
    /// would read it: a number, `true`, `false`, else a text; nothing is no value. In quotes it is a text.
    Csv,
    /// Arrow's streaming format.
    ArrowStream,
}

/// How events are read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// The field of the time, the time of arrival, and fields kept as JSON text.
    pub document: DocumentOptions,
    /// The column for each event's time; without it the time is only a field as others.
    pub time: Option<ColumnKey>,
}

/// Why events cannot be read: nothing of them counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// A line is wrong.
    #[error("line {line}: {reason}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A row of Arrow's is wrong.
    #[error("row {row}: {reason}")]
    Row {
        /// The row, from 1.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes as a whole are wrong.
    #[error("{0}")]
    Malformed(String),
}

/// Reads one format, batch by batch.
#[derive(Debug)]
pub enum EventReader<'a> {
    /// JSON and lines of JSON.
    Json(JsonReader<'a>),
    /// CSV.
    Csv(CsvReader<'a>),
    /// Arrow's stream.
    Arrow(ArrowReader),
}

impl<'a> EventReader<'a> {
    /// A reader of these bytes.
    ///
    /// # Errors
    /// When the beginning is wrong already.
    pub fn new(format: EventFormat, bytes: &'a [u8], options: &ReadOptions) -> Result<Self, EventError> {
        Ok(match format {
            EventFormat::Json | EventFormat::Ndjson => {
                Self::Json(JsonReader::new(bytes, format == EventFormat::Json, options)?)
            }
            EventFormat::Csv => Self::Csv(CsvReader::new(bytes, options)?),
            EventFormat::ArrowStream => Self::Arrow(ArrowReader::new(bytes, options)),
        })
    }

    /// The next rows. `None` when there are no more.
    ///
    /// # Errors
    /// When what comes next is wrong.
    pub fn next_batch(&mut self) -> Result<Option<Rows>, EventError> {
        match self {
            Self::Json(reader) => reader.next_batch(),
            Self::Csv(reader) => reader.next_batch(),
            Self::Arrow(reader) => reader.next_batch(),
        }
    }
}

/// The bytes as text, without a byte order mark.
fn text(bytes: &[u8]) -> Result<&str, EventError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| of_document(&DocumentError { at: e.valid_up_to(), reason: Refusal::NotUtf8 }, bytes))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// An error at a byte of a text.
fn of_document(error: &DocumentError, text: &[u8]) -> EventError {
    EventError::Line { line: error.line(text), reason: error.reason.to_string() }
}

fn take(builder: &mut DocumentBuilder, time: Option<&ColumnKey>) -> Result<Option<Rows>, EventError> {
    if builder.is_empty() {
        return Ok(None);
    }
    builder.take_rows(time.cloned()).map(Some).map_err(|e| EventError::Malformed(e.to_string()))
}
