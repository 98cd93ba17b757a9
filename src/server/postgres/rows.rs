//! A result on its way to the client: record batches become rows, as many at once as are wanted.

use arrow::{array::RecordBatch, datatypes::Schema};
use chronolith_sql::{RowStream, SqlError};
use futures::StreamExt as _;

use super::{
    backend::{Column, Output},
    cells::{Cells, Style},
    channel::{Channel, SEND_BYTES},
    failure::Result,
    types::PgType,
};
use crate::ingest::postgres::frontend::{Format, Formats};

/// Columns of a result: their number is a signed integer of 16 bits.
const MAX_COLUMNS: usize = 32_767;

/// The columns of a result in the formats that are wanted.
pub(crate) fn columns(schema: &Schema, formats: &Formats) -> Result<Vec<Column>, SqlError> {
    let column = |(place, field): (usize, &std::sync::Arc<arrow::datatypes::Field>)| {
        let (pg, modifier) = (PgType::of_field(field)?, PgType::modifier(field));
        Ok(Column { name: field.name().clone(), pg, modifier, format: formats.of(place) })
    };
    let count = schema.fields().len();
    if count > MAX_COLUMNS {
        let message =
            format!("a result of {count} columns: the protocol carries at most {MAX_COLUMNS}; name those you need");
        return Err(super::failure::sql_error(b"54011", message));
    }
    schema.fields().iter().enumerate().map(column).collect()
}

/// A record batch that is being sent.
pub(crate) struct Batch {
    cells: Vec<Cells>,
    rows: usize,
    next: usize,
}

impl Batch {
    pub(crate) fn new(batch: &RecordBatch, columns: &[Column]) -> Result<Self, SqlError> {
        if batch.num_columns() != columns.len() {
            let message = "cached plan must not change result type (it has another number of columns now)";
            return Err(super::failure::sql_error(b"0A000", message));
        }
        let cells = batch.columns().iter().zip(columns).map(|(array, column)| Cells::new(array, column.pg));
        Ok(Self { cells: cells.collect::<Result<_, _>>()?, rows: batch.num_rows(), next: 0 })
    }

    fn is_done(&self) -> bool {
        self.next >= self.rows
    }

    /// Writes rows, at most this many, until the output is worth sending. Returns how many.
    fn write(&mut self, columns: &[Column], most: usize, style: &Style, out: &mut Output) -> usize {
        let before = self.next;
        while !self.is_done() && self.next - before < most && out.bytes.len() < SEND_BYTES {
            let row = self.next;
            out.message(b'D', |body| {
                body.extend_from_slice(&u16::try_from(columns.len()).unwrap_or(u16::MAX).to_be_bytes());
                for (cells, column) in self.cells.iter().zip(columns) {
                    cells.write(row, column.format, style, body);
                }
            });
            self.next += 1;
        }
        self.next - before
    }

    /// The texts of the next row's cells, for COPY.
    pub(crate) fn next_texts(&mut self, style: &Style, mut each: impl FnMut(usize, Option<&[u8]>)) -> bool {
        if self.is_done() {
            return false;
        }
        for (place, cells) in self.cells.iter().enumerate() {
            each(place, cells.text(self.next, style).as_deref());
        }
        self.next += 1;
        true
    }
}

impl Batch {
    /// Writes the next row as a tuple of COPY's binary format.
    pub(crate) fn next_tuple(&mut self, style: &Style, out: &mut Vec<u8>) -> bool {
        if self.is_done() {
            return false;
        }
        out.extend_from_slice(&u16::try_from(self.cells.len()).unwrap_or(u16::MAX).to_be_bytes());
        for cells in &self.cells {
            cells.write(self.next, Format::Binary, style, out);
        }
        self.next += 1;
        true
    }
}

/// A result of which some rows may have been sent.
pub(crate) struct Rows {
    pub(crate) columns: Vec<Column>,
    stream: RowStream,
    batch: Option<Batch>,
    pub(crate) tag: &'static str,
}

/// What was sent of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) rows: usize,
    /// Whether the end of the result was seen.
    pub(crate) is_all: bool,
}

impl Rows {
    pub(crate) fn new(columns: Vec<Column>, stream: RowStream, tag: &'static str) -> Self {
        Self { columns, stream, batch: None, tag }
    }

    /// Sends at most this many rows; 0 means all.
    pub(crate) async fn send(&mut self, channel: &mut Channel, style: &Style, most: usize) -> Result<Sent> {
        let most = if most == 0 { usize::MAX } else { most };
        let mut rows = 0;
        while rows < most {
            if self.batch.as_ref().is_none_or(Batch::is_done) {
                self.batch = None;
                match channel.watch(self.stream.next()).await? {
                    Some(batch) => self.batch = Some(Batch::new(&batch?, &self.columns)?),
                    None => return Ok(Sent { rows, is_all: true }),
                }
            }
            if let Some(batch) = &mut self.batch {
                rows += batch.write(&self.columns, most - rows, style, &mut channel.out);
            }
            channel.flush_if_full().await?;
        }
        Ok(Sent { rows, is_all: false })
    }
}

/// All in text, as the simple protocol and COPY have it.
pub(crate) fn text_columns(schema: &Schema) -> Result<Vec<Column>, SqlError> {
    let columns = columns(schema, &Formats::default())?;
    debug_assert!(columns.iter().all(|column| column.format == Format::Text));
    Ok(columns)
}
