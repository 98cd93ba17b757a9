//! Rows into a Parquet file, row group by row group.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};

use crate::cli::error::CliError;

/// Rows that are encoded together at most.
const GROUP_ROWS: usize = 1 << 20;
/// Bytes that a row group takes in memory before it is written.
const GROUP_BYTES: usize = 64 << 20;
/// Texts of a batch that are copied at once: their offsets have 32 bits.
const PIECE_BYTES: usize = 256 << 20;

/// Makes a Parquet file. What is written into it is handed on as soon as a row group is whole.
pub(crate) struct ParquetRows {
    writer: ArrowWriter<Vec<u8>>,
    schema: SchemaRef,
}

impl ParquetRows {
    /// A file of these columns.
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self, CliError> {
        let fields: Vec<Field> = schema.fields().iter().map(|f| portable_field(f)).collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by(concat!("chronolith ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options);
        Ok(Self { writer: writer.map_err(|e| failed(&e))?, schema })
    }

    /// Adds rows; gives the bytes that are ready.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, CliError> {
        let mut waiting = vec![batch.clone()];
        while let Some(piece) = waiting.pop() {
            let rows = piece.num_rows();
            if rows > 1 && piece.get_array_memory_size() > PIECE_BYTES && text_bytes(&piece) > PIECE_BYTES {
                waiting.push(piece.slice(rows / 2, rows - rows / 2));
                waiting.push(piece.slice(0, rows / 2));
                continue;
            }
            let piece = portable(&piece, &self.schema).map_err(|e| failed(&e))?;
            self.writer.write(&piece).map_err(|e| failed(&e))?;
            if self.writer.in_progress_size() > GROUP_BYTES {
                self.writer.flush().map_err(|e| failed(&e))?;
            }
        }
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    /// Ends the file; gives the bytes that are left.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, CliError> {
        self.writer.finish().map_err(|e| failed(&e))?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }
}

fn failed(error: &dyn std::fmt::Display) -> CliError {
    CliError::Failed(format!("these rows cannot be written as Parquet: {error}"))
}

impl From<ParquetError> for CliError {
    fn from(error: ParquetError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn portable_field(field: &Field) -> Field {
    field.clone().with_data_type(portable_type(field.data_type()))
}

/// The type that every reader of Parquet knows. Calls itself for the types inside; SQL's types are not deep.
fn portable_type(of: &DataType) -> DataType {
    match of {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        // Parquet has none with nanoseconds.
        DataType::Interval(_) | DataType::Duration(_) => DataType::Utf8,
        DataType::List(item) | DataType::ListView(item) => DataType::List(Arc::new(portable_field(item))),
        DataType::LargeList(item) | DataType::LargeListView(item) => {
            DataType::LargeList(Arc::new(portable_field(item)))
        }
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(Arc::new(portable_field(item)), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|f| portable_field(f)).collect()),
        other => other.clone(),
    }
}

fn portable(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |(array, field): (&ArrayRef, &Arc<Field>)| {
        if array.data_type() == field.data_type() {
            return Ok(Arc::clone(array));
        }
        cast_with_options(array, field.data_type(), &options)
    };
    let columns: Vec<ArrayRef> = batch.columns().iter().zip(schema.fields()).map(cast).collect::<Result<_, _>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)
}

/// The bytes that the texts of a batch take by themselves.
fn text_bytes(batch: &RecordBatch) -> usize {
    use arrow_array::cast::AsArray as _;
    let of = |array: &ArrayRef| match array.data_type() {
        DataType::Utf8View => array.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => array.as_binary_view().total_buffer_bytes_used(),
        _ => array.get_array_memory_size(),
    };
    batch.columns().iter().map(of).sum()
}
