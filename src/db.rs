//! `Db`: the database as an embedder holds it. Synchronous, without global state; the server is one user of it.

use std::{path::Path, sync::Arc, time::Duration};

use arrow_array::RecordBatch;
use chronolith_promql::{
    engine::{self as promql, Deadline, QueryOptions, QueryOutput, QueryValue, SampleValue},
    parse,
    series_notation::{LoadedSeries, SampleValue as LoadedValue, parse_load},
};
use chronolith_storage::{
    Histogram, Labels,
    clock::Clock,
    engine::{Durability, Engine, EngineOptions},
    vfs::Vfs,
};

use crate::{
    error::{Error, Result},
    events::{self, AppendSummary},
    ingest::events::{ArrowReader, EventFormat, EventReader},
};

/// An open database. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Db {
    engine: Engine,
    #[cfg(feature = "sql")]
    sql: chronolith_sql::SqlEngine,
    query: QueryOptions,
    query_timeout: Option<Duration>,
}

/// How a database is opened. Made by [`Db::builder`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    clock: Option<Arc<dyn Clock>>,
    vfs: Option<Arc<dyn Vfs>>,
    durability: Option<Durability>,
    memory_budget: Option<usize>,
    retention: Option<Duration>,
    retention_bytes: Option<u64>,
    query_timeout: Option<Duration>,
    query: QueryOptions,
}

impl Builder {
    /// The source of time, such as a [`VirtualClock`](chronolith_storage::clock::VirtualClock) in tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The file system, such as a simulated one in tests.
    #[must_use]
    pub fn vfs(mut self, vfs: Arc<dyn Vfs>) -> Self {
        self.vfs = Some(vfs);
        self
    }

    /// What a write that returned survives; loss of power unless told otherwise.
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Memory, in bytes, for recent series, their samples and cached blocks together; 1 GiB unless told otherwise.
    /// A tenth of it, at most 128 MiB, is what samples fill before they are flushed, and as much the cache's.
    #[must_use]
    pub const fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = Some(bytes);
        self
    }

    /// Samples older than this are refused, and dropped; without it they are kept for good.
    #[must_use]
    pub const fn retention(mut self, keep: Duration) -> Self {
        self.retention = Some(keep);
        self
    }

    /// When segments hold more bytes than this, the oldest are dropped.
    #[must_use]
    pub const fn retention_bytes(mut self, bytes: u64) -> Self {
        self.retention_bytes = Some(bytes);
        self
    }

    /// How long a query may run; two minutes unless told otherwise.
    #[must_use]
    pub const fn query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = Some(timeout);
        self
    }

    /// Limits and semantics of queries.
    #[must_use]
    pub fn query_options(mut self, options: QueryOptions) -> Self {
        self.query = options;
        self
    }

    /// Opens the database in this directory, which is made when it does not exist.
    ///
    /// # Errors
    /// When another process has it, a newer version wrote it, or the disk fails.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<Db> {
        self.finish(EngineOptions::at(dir.as_ref()))
    }

    /// Opens the database in this directory without changing a byte of it.
    ///
    /// # Errors
    /// When there is none, a newer version wrote it, or the disk fails.
    pub fn open_read_only(self, dir: impl AsRef<Path>) -> Result<Db> {
        self.finish(EngineOptions { read_only: true, ..EngineOptions::at(dir.as_ref()) })
    }

    /// Opens an empty database in memory.
    ///
    /// # Errors
    /// None that a user can cause.
    pub fn in_memory(self) -> Result<Db> {
        self.finish(EngineOptions::in_memory())
    }

    fn finish(self, mut options: EngineOptions) -> Result<Db> {
        if let Some(clock) = self.clock {
            options.clock = clock;
        }
        if let Some(vfs) = self.vfs {
            options.vfs = vfs;
        }
        if let Some(durability) = self.durability {
            options.durability = durability;
        }
        if let Some(budget) = self.memory_budget {
            options.memory_budget = budget;
            let part = (budget / 10).clamp(1 << 20, 128 << 20);
            (options.memtable_bytes, options.cache_bytes) = (part, part);
        }
        options.retention_ms = self.retention.map(|keep| i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        options.retention_bytes = self.retention_bytes;
        let timeout = self.query_timeout.unwrap_or(Duration::from_secs(120));
        let engine = Engine::open(options)?;
        Ok(Db {
            #[cfg(feature = "sql")]
            sql: chronolith_sql::SqlEngine::new(
                engine.clone(),
                chronolith_sql::SqlOptions {
                    statement_timeout: Some(timeout),
                    ..chronolith_sql::SqlOptions::default()
                },
            )?,
            engine,
            query: self.query,
            query_timeout: Some(timeout),
        })
    }
}

impl Db {
    /// An empty database in memory: the same engine as on disk, over a file system in memory.
    ///
    /// # Errors
    /// None that a user can cause.
    pub fn in_memory() -> Result<Self> {
        Self::builder().in_memory()
    }

    /// Opens the database in this directory, which is made when it does not exist.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(dir)
    }

    /// Opens the database in this directory without changing a byte of it.
    ///
    /// # Errors
    /// As [`Builder::open_read_only`].
    pub fn open_read_only(dir: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open_read_only(dir)
    }

    /// Chooses clock, durability, memory, retention before opening.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The storage engine: for batches, histograms, exemplars, flushes, backups.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Appends one sample; `labels` in any order, the metric's name as `__name__`. Returns when it is durable.
    ///
    /// # Errors
    /// When a label is empty or double, the timestamp is out of bounds, or the log fails.
    pub fn append(&self, labels: &[(&str, &str)], timestamp_ms: i64, value: f64) -> Result<()> {
        let mut sorted = labels.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.iter().find(|(n, v)| n.is_empty() || v.is_empty()) {
            return Err(Error::Invalid(format!("label {pair:?} has an empty name or value")));
        }
        if let Some(pair) = sorted.windows(2).find(|w| w[0].0 == w[1].0) {
            return Err(Error::Invalid(format!("label {:?} is there twice", pair[0].0)));
        }
        let rejected = self.engine.append(|appender| {
            let series = appender.series(&sorted, None)?;
            Ok(appender.float(series, timestamp_ms, value, 0).err())
        })?;
        rejected.map_or(Ok(()), |rejection| Err(Error::Invalid(rejection.to_string())))
    }

    /// Appends JSON documents to a table: an object, an array of objects, or objects one after another. A table that does not
    /// exist is made, with a time column and whatever fields come. All documents are durable when this returns, or none is.
    ///
    /// A document's time is its field `_time`, `@timestamp` or `timestamp`, else the time of arrival. In a table with
    /// declared columns, a field goes to the column of its name.
    ///
    /// # Errors
    /// When a document is broken, tells its line; when one does not fit the table, or the log fails.
    pub fn append_json(&self, table: &str, json: impl AsRef<[u8]>) -> Result<AppendSummary> {
        self.append_events(table, EventFormat::Json, json.as_ref(), None)
    }

    /// Appends events of a format to a table, as [`Db::append_json`] does; `time_field` is the path of the field that has
    /// the time, instead of the usual ones.
    ///
    /// # Errors
    /// As [`Db::append_json`].
    pub fn append_events(
        &self,
        table: &str,
        format: EventFormat,
        bytes: &[u8],
        time_field: Option<&str>,
    ) -> Result<AppendSummary> {
        events::append(&self.engine, table, time_field, &|options| EventReader::new(format, bytes, options))
    }

    /// Appends a record batch to a table, as [`Db::append_json`] does: a column is a field, a struct an object.
    ///
    /// # Errors
    /// When a column's type cannot be held, a value does not fit the table, or the log fails.
    pub fn append_arrow(&self, table: &str, batch: &RecordBatch) -> Result<AppendSummary> {
        events::append(&self.engine, table, None, &|options| {
            Ok(EventReader::Arrow(ArrowReader::of_batch(batch.clone(), options)))
        })
    }

    /// Loads series in promqltest's notation: a line `load <interval>`, then lines of a series and its values, sample
    /// number `i` at `i` intervals after the Unix epoch. For tests: neither retention nor the clock bounds the timestamps.
    ///
    /// # Errors
    /// When the notation is wrong; tells the line.
    pub fn load_series(&self, text: &str) -> Result<()> {
        let load = parse_load(text).map_err(|e| Error::Invalid(e.to_string()))?;
        self.append_loaded(&load.series)
    }

    /// Appends series of promqltest's notation, all at once.
    pub(crate) fn append_loaded(&self, series: &[LoadedSeries]) -> Result<()> {
        self.engine.append(|appender| {
            appender.accept_any_time();
            for series in series {
                let labels: Vec<_> = series.labels.iter().collect();
                let id = appender.series(&labels, None)?;
                for sample in &series.samples {
                    let (t, start) = (sample.timestamp, sample.start_timestamp);
                    let refused = match &sample.value {
                        LoadedValue::Float(value) => appender.float(id, t, *value, start),
                        LoadedValue::Histogram(histogram) => {
                            appender.histogram(id, t, Histogram::clone(histogram), start)
                        }
                    };
                    refused.map_err(|e| {
                        let labels = &series.labels;
                        chronolith_storage::StorageError::Invalid(format!("{labels} at {t} ms: {e}"))
                    })?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Evaluates a query at one moment, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When it is not PromQL, or fails while it runs.
    pub fn query(&self, query: &str, time_ms: i64) -> Result<QueryResult> {
        let expr = parse(query)?;
        let output = promql::instant(&self.engine.snapshot(), &expr, time_ms, &self.query_options())?;
        Ok(QueryResult(output))
    }

    /// Evaluates a query at each step from `start_ms` to `end_ms`, both in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When it is not PromQL, the step is zero, or the query fails while it runs.
    pub fn query_range(&self, query: &str, start_ms: i64, end_ms: i64, step: Duration) -> Result<QueryResult> {
        let expr = parse(query)?;
        let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        let options = self.query_options();
        let output = promql::range(&self.engine.snapshot(), &expr, start_ms, end_ms, step_ms, &options)?;
        Ok(QueryResult(output))
    }

    /// Runs one SQL statement and returns its rows; none for a statement without rows. What it writes is durable when it
    /// returns. Waits; threads for queries are started by the first statement.
    ///
    /// # Errors
    /// When the statement is wrong, refused, or fails; the error carries PostgreSQL's code.
    #[cfg(feature = "sql")]
    pub fn sql(&self, statement: &str) -> Result<Vec<RecordBatch>> {
        Ok(self.sql.query(statement)?)
    }

    /// SQL over this database, for sessions.
    #[cfg(all(feature = "sql", feature = "server"))]
    pub(crate) const fn sql_engine(&self) -> &chronolith_sql::SqlEngine {
        &self.sql
    }

    fn query_options(&self) -> QueryOptions {
        let clock = &self.engine.options().clock;
        let deadline = self.query_timeout.map(|timeout| Deadline::after(Arc::clone(clock), timeout));
        QueryOptions { deadline, ..self.query.clone() }
    }

    /// Flushes and closes; other handles refuse writes from here on. Dropping the last handle without closing loses
    /// nothing either: the log has all.
    ///
    /// # Errors
    /// When the disk fails; the log then still has everything.
    pub fn close(&self) -> Result<()> {
        Ok(self.engine.close()?)
    }
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryResult(QueryOutput);

impl QueryResult {
    /// All of it: value, warnings, statistics.
    #[must_use]
    pub const fn output(&self) -> &QueryOutput {
        &self.0
    }

    /// All of it, by value.
    #[must_use]
    pub fn into_output(self) -> QueryOutput {
        self.0
    }

    /// The number, when the answer is a scalar or a vector of one float sample.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        match &self.0.value {
            QueryValue::Scalar { value, .. } => Some(*value),
            QueryValue::Vector { samples, .. } => match samples.as_slice() {
                [only] => match only.value {
                    SampleValue::Float(value) => Some(value),
                    SampleValue::Histogram(_) => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// The float samples of a vector, or the last float of each series of a matrix, with their labels.
    #[must_use]
    pub fn values(&self) -> Vec<(Labels, f64)> {
        match &self.0.value {
            QueryValue::Vector { samples, .. } => samples
                .iter()
                .filter_map(|s| match s.value {
                    SampleValue::Float(value) => Some((s.labels.clone(), value)),
                    SampleValue::Histogram(_) => None,
                })
                .collect(),
            QueryValue::Matrix(series) => {
                series.iter().filter_map(|s| s.values.last().map(|v| (s.labels.clone(), *v))).collect()
            }
            _ => Vec::new(),
        }
    }
}
