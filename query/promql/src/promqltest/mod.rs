//! Runs test files in Prometheus' promqltest format against a storage: loads series, evaluates expressions, compares
//! values, annotations and errors with what the file expects, and evaluates instant cases again in other ways.
//!
//! It is not: a test harness with filters. Every case of a file is run, and a case that is not as expected is a failure.

mod annotations;
mod error;
mod expect;
mod memory;
mod number;
mod report;
mod rerun;
mod run;
mod script;
mod values;

use chronolith_storage::SeriesSource;

pub use self::{
    error::{RunError, RunErrorReason, StoreError},
    memory::MemoryStore,
    number::almost_equal,
    report::{CaseReport, Evaluation, Failure, Report, When},
};
use crate::{engine::QueryOptions, series_notation::LoadedSeries};

/// The storage under test.
pub trait TestStore {
    /// Drops all series.
    ///
    /// # Errors
    /// What the storage says.
    fn clear(&mut self) -> Result<(), StoreError>;

    /// Appends samples to what is there, all of one `load` at once.
    ///
    /// # Errors
    /// What the storage says, when it refuses a sample.
    fn append(&mut self, series: &[LoadedSeries]) -> Result<(), StoreError>;

    /// What was appended since the last [`TestStore::clear`].
    ///
    /// # Errors
    /// What the storage says.
    fn source(&self) -> Result<Box<dyn SeriesSource + '_>, StoreError>;
}

/// The settings of the engine that Prometheus runs its own files with.
#[must_use]
pub fn options() -> QueryOptions {
    QueryOptions {
        max_samples: 10_000,
        delayed_name_removal: true,
        use_start_timestamps: true,
        ..QueryOptions::default()
    }
}

/// Runs a file: all its commands in order, on a store that is cleared first. `name` stands in the report and in errors.
///
/// # Errors
/// When the file cannot be read as a script, or the store refuses what the file loads: tells file and line. A case that
/// is not as expected is no error, it stands in the report.
pub fn run(name: &str, text: &str, store: &mut dyn TestStore, options: &QueryOptions) -> Result<Report, RunError> {
    let commands = script::commands(text).map_err(|e| {
        let indent = text.split('\n').nth(e.line.saturating_sub(1)).map_or(0, |l| l.len() - l.trim_start().len());
        RunError { file: name.to_owned(), line: e.line, column: e.reason.column(indent), reason: Box::new(e.reason) }
    })?;
    let failed = |line| {
        move |e| RunError { file: name.to_owned(), line, column: None, reason: Box::new(RunErrorReason::Store(e)) }
    };
    store.clear().map_err(failed(1))?;
    let mut report = Report { file: name.to_owned(), cases: Vec::new() };
    for (line, command) in commands {
        match command {
            script::Command::Clear => store.clear().map_err(failed(line))?,
            script::Command::Load(series) => store.append(&series).map_err(failed(line))?,
            script::Command::Eval(eval) => {
                let source = store.source().map_err(failed(line))?;
                report.cases.push(run::case(&eval, &*source, options));
            }
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
