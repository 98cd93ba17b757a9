//! Where rows go to, and in which format.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write},
    path::PathBuf,
};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use clap::ValueEnum;

use super::grid::{Grid, Layout};
use crate::{
    cli::{error::CliError, parquet::ParquetRows},
    server::{RowFormat, RowWriter},
};

/// How rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns for people
    Table,
    /// Comma-separated values with a head line
    Csv,
    /// The API's object: columns and rows
    Json,
    /// A JSON object a line
    Ndjson,
    /// A Parquet file
    Parquet,
}

/// A file or standard output.
pub(super) struct Output {
    pub(super) format: Format,
    pub(super) layout: Layout,
    out: Box<dyn Write + Send>,
    name: String,
    /// Whether a terminal shows what is written.
    pub(super) shown: bool,
    /// Whether rows of a statement were written before.
    used: bool,
}

/// The rows of one statement on their way.
pub(super) enum Writing {
    Table(Grid),
    Text(Box<RowWriter>),
    Parquet(Box<ParquetRows>),
}

impl Output {
    /// Opens the file, or takes standard output.
    pub(super) fn open(format: Format, file: Option<&PathBuf>) -> Result<Self, CliError> {
        let (out, name, shown): (Box<dyn Write + Send>, String, bool) = match file {
            Some(path) => {
                let name = path.display().to_string();
                let file = File::create(path).map_err(|e| CliError::io(name.clone(), e))?;
                (Box::new(BufWriter::new(file)), name, false)
            }
            None => (Box::new(io::stdout()), "standard output".to_owned(), io::stdout().is_terminal()),
        };
        if shown && format == Format::Parquet {
            let reason = "Parquet is not for terminals: name a file by --output-file FILE";
            return Err(CliError::Usage(reason.to_owned()));
        }
        Ok(Self { format, layout: Layout::Columns, out, name, shown, used: false })
    }

    /// Begins the rows of a statement.
    pub(super) fn begin(&mut self, schema: &SchemaRef) -> Result<Writing, CliError> {
        let again = std::mem::replace(&mut self.used, true);
        let format = match self.format {
            Format::Table => return Ok(Writing::Table(Grid::new(schema, self.layout))),
            Format::Parquet if again => {
                let reason = "a Parquet file holds the rows of one statement, and this is another one";
                return Err(CliError::Failed(reason.to_owned()));
            }
            Format::Parquet => return Ok(Writing::Parquet(Box::new(ParquetRows::new(schema)?))),
            Format::Csv => RowFormat::Csv,
            Format::Json => RowFormat::Json,
            Format::Ndjson => RowFormat::Ndjson,
        };
        Ok(Writing::Text(Box::new(RowWriter::new(format, schema).map_err(failed)?)))
    }

    /// Writes rows.
    pub(super) fn write(&mut self, writing: &mut Writing, batch: &RecordBatch) -> Result<(), CliError> {
        let bytes = match writing {
            Writing::Table(grid) => grid.write(batch).into_bytes(),
            Writing::Text(writer) => {
                writer.write(batch).map_err(failed)?;
                writer.take()
            }
            Writing::Parquet(rows) => rows.write(batch)?,
        };
        self.put(&bytes)
    }

    /// Ends the rows of a statement.
    pub(super) fn end(&mut self, writing: Writing) -> Result<(), CliError> {
        let bytes = match writing {
            Writing::Table(grid) => grid.finish().into_bytes(),
            Writing::Text(writer) => {
                let mut bytes = writer.finish().map_err(failed)?;
                if self.format == Format::Json {
                    bytes.push(b'\n');
                }
                bytes
            }
            Writing::Parquet(rows) => rows.finish()?,
        };
        self.put(&bytes)?;
        self.out.flush().map_err(|e| self.unwritten(e))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.out.write_all(bytes).map_err(|e| self.unwritten(e))
    }

    fn unwritten(&self, error: io::Error) -> CliError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::ReaderGone,
            _ => CliError::io(self.name.clone(), error),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(error.to_string())
}
