//! Writes samples to a data directory through an engine of this process.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use chronolith_storage::{
    StorageError,
    engine::{Appender, SampleRejection},
};

use super::{Batch, BatchSeries, Written};
use crate::{
    Db,
    cli::{error::CliError, open},
};

/// How long to wait while the engine flushes.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// A data directory that is open for writing.
pub(crate) struct Directory {
    path: PathBuf,
    db: Db,
}

impl Directory {
    /// Opens the directory, which is made when it does not exist.
    pub(super) fn open(path: PathBuf, keep: Option<Duration>) -> Result<Self, CliError> {
        let mut builder = Db::builder();
        if let Some(keep) = keep {
            builder = builder.retention(keep);
        }
        Ok(Self { db: open::writable(builder, &path)?, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a batch; waits while flushes do not keep up.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<Written, CliError> {
        loop {
            match self.db.engine().append(|appender| fill(appender, batch)) {
                Err(StorageError::Busy { .. }) => thread::sleep(BUSY_PAUSE),
                other => return Ok(other?),
            }
        }
    }

    pub(super) fn close(self) -> Result<(), CliError> {
        Ok(self.db.close()?)
    }
}

/// Writes, and again while flushes do not keep up.
pub(crate) fn while_busy<T>(mut write: impl FnMut() -> Result<T, crate::Error>) -> Result<T, crate::Error> {
    loop {
        match write() {
            Err(crate::Error::Storage(StorageError::Busy { .. })) => thread::sleep(BUSY_PAUSE),
            other => return other,
        }
    }
}

fn fill(appender: &mut Appender<'_>, batch: &Batch) -> Result<Written, StorageError> {
    let mut written = Written::default();
    for series in &batch.series {
        append_series(appender, series, &mut written)?;
    }
    for (family, metadata) in &batch.metadata {
        appender.metadata(family, metadata.clone());
    }
    Ok(written)
}

fn append_series(appender: &mut Appender<'_>, series: &BatchSeries, written: &mut Written) -> Result<(), StorageError> {
    let labels: Vec<(&str, &str)> = series.labels.iter().collect();
    let id = match appender.series(&labels, None) {
        Ok(id) => id,
        // The series breaks a rule; the others are good.
        Err(StorageError::Invalid(reason)) => {
            written.refused += (series.samples.len() + series.histograms.len()) as u64;
            written.reason.get_or_insert_with(|| format!("{}: {reason}", series.labels.metric_name()));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for s in &series.samples {
        written.note(series, appender.float(id, s.timestamp, s.value, s.start_timestamp));
    }
    for h in &series.histograms {
        written.note(series, appender.histogram(id, h.timestamp, (*h.histogram).clone(), h.start_timestamp));
    }
    Ok(())
}

impl Written {
    fn note(&mut self, series: &BatchSeries, result: Result<(), SampleRejection>) {
        match result {
            Ok(()) => self.samples += 1,
            Err(rejection) => {
                match rejection {
                    SampleRejection::TooOld { .. } => self.too_old += 1,
                    _ => self.refused += 1,
                }
                self.reason.get_or_insert_with(|| format!("{}: {rejection}", series.labels));
            }
        }
    }
}
