//! Runs files in Prometheus' promqltest format against databases in memory: what an embedder tests queries with.
//!
//! ```
//! use chronolith::{Db, promqltest};
//!
//! let text = "
//! load 1m
//!   errors_total{job=\"api\"} 0+6x10
//!
//! eval instant at 10m rate(errors_total[5m])
//!   {job=\"api\"} 0.1
//! ";
//! let report = promqltest::run_file(&Db::builder(), "errors.test", text)?;
//! assert_eq!((report.passed(), report.cases.len()), (1, 1));
//! # Ok::<(), promqltest::RunError>(())
//! ```

use chronolith_promql::series_notation::LoadedSeries;
use chronolith_storage::SeriesSource;

pub use chronolith_promql::promqltest::{
    CaseReport, Evaluation, Failure, MemoryStore, Report, RunError, RunErrorReason, StoreError, TestStore, When,
    options, run,
};

use crate::{Builder, Db};

/// Runs a file against databases in memory that are opened as the builder says, a fresh one after each `clear`. The
/// queries run with the settings of Prometheus' own test engine ([`options`]).
///
/// # Errors
/// When the file is no script, or a database refuses what it loads: tells file and line. A case that is not as expected
/// stands in the report.
pub fn run_file(builder: &Builder, name: &str, text: &str) -> Result<Report, RunError> {
    run(name, text, &mut DbStore::new(builder.clone()), &options())
}

/// Databases in memory as a storage under test.
#[derive(Debug)]
pub struct DbStore {
    builder: Builder,
    /// Opened by the first `clear`.
    db: Option<Db>,
}

impl DbStore {
    /// A store whose databases are opened as the builder says.
    #[must_use]
    pub const fn new(builder: Builder) -> Self {
        Self { builder, db: None }
    }

    fn db(&self) -> Result<&Db, StoreError> {
        self.db.as_ref().ok_or_else(|| "the store was not cleared before its first use".into())
    }
}

impl TestStore for DbStore {
    fn clear(&mut self) -> Result<(), StoreError> {
        self.db = Some(self.builder.clone().in_memory()?);
        Ok(())
    }

    fn append(&mut self, series: &[LoadedSeries]) -> Result<(), StoreError> {
        Ok(self.db()?.append_loaded(series)?)
    }

    fn source(&self) -> Result<Box<dyn SeriesSource + '_>, StoreError> {
        Ok(Box::new(self.db()?.engine().snapshot()))
    }
}
