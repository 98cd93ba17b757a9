//! Imports the rows of Parquet files into a table, batch by batch.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use bytes::Bytes;

use super::events::{Place, send_events};
use crate::{
    Db, Error,
    cli::{
        error::CliError, parquet::ParquetFile, progress::Progress, size::thousands, target::while_busy, terminal::note,
    },
    events,
    ingest::events::{ArrowReader, EventError, EventReader},
};

/// What a server gets at once: well below what it takes.
const REQUEST_BYTES: usize = 8 << 20;
const ARROW: &str = "application/vnd.apache.arrow.stream";

/// A file on its way into a table.
pub(super) struct Import<'a> {
    pub(super) place: &'a Place,
    pub(super) table: &'a str,
    pub(super) time_field: Option<&'a str>,
}

impl Import<'_> {
    /// Imports the whole file.
    pub(super) fn file(&self, path: &Path, progress: &mut Progress) -> Result<(), CliError> {
        let bytes = std::fs::metadata(path).map_or(0, |m| m.len());
        let mut file = ParquetFile::open(path)?;
        let all = file.rows();
        let (mut done, mut told) = (0_u64, 0);
        let mut next = || -> Result<bool, CliError> {
            let Some(batch) = file.next_batch()? else { return Ok(false) };
            let rows = self.write(&batch, done, path)?;
            done += rows;
            // Its share of the file: where the reader stands is not known.
            let reached = (bytes as f64 * done as f64 / all.max(done).max(1) as f64) as u64;
            progress.advance(reached.saturating_sub(told), rows);
            told = told.max(reached);
            Ok(true)
        };
        loop {
            match next() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    let name = path.display();
                    note(&match done {
                        0 => format!("{name}: nothing of it was imported"),
                        rows => {
                            let rows = thousands(rows);
                            format!("{name}: its first {rows} rows were imported; nothing behind them was")
                        }
                    });
                    return Err(error);
                }
            }
        }
    }

    /// Writes a batch; tells how many rows it had.
    fn write(&self, batch: &RecordBatch, before: u64, path: &Path) -> Result<u64, CliError> {
        match self.place {
            Place::Directory(db) => {
                let append = || self.append(db, batch);
                while_busy(append).map_err(|error| at_row(error, before, path))
            }
            Place::Server(client) => {
                let mut waiting = vec![batch.clone()];
                let mut sent = 0;
                while let Some(piece) = waiting.pop() {
                    let rows = piece.num_rows();
                    let body = stream(&piece)?;
                    if body.len() > REQUEST_BYTES && rows > 1 {
                        waiting.push(piece.slice(rows / 2, rows - rows / 2));
                        waiting.push(piece.slice(0, rows / 2));
                        continue;
                    }
                    sent += send_events(client, self.table, self.time_field, ARROW, &Bytes::from(body))?;
                }
                Ok(sent)
            }
        }
    }

    fn append(&self, db: &Db, batch: &RecordBatch) -> Result<u64, Error> {
        let summary = events::append(db.engine(), self.table, self.time_field, &|options| {
            Ok(EventReader::Arrow(ArrowReader::of_batch(batch.clone(), options)))
        })?;
        Ok(summary.rows)
    }
}

fn stream(batch: &RecordBatch) -> Result<Vec<u8>, CliError> {
    let failed = |e: arrow_schema::ArrowError| CliError::Failed(format!("rows cannot be sent: {e}"));
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(failed)?;
    writer.write(batch).map_err(failed)?;
    writer.into_inner().map_err(failed)
}

/// The error with its row among all of the file.
fn at_row(error: Error, before: u64, path: &Path) -> CliError {
    match error {
        Error::Events(EventError::Row { row, reason }) => {
            CliError::Failed(format!("{}: row {}: {reason}", path.display(), before + row as u64))
        }
        Error::Events(error) => CliError::Failed(format!("{}: {error}", path.display())),
        error => error.into(),
    }
}
