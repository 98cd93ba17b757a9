//! The SQL engine of a database: its threads, its memory, and the functions that all sessions share.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arrow::array::RecordBatch;
use chronolith_storage::engine::Engine;
use datafusion::{
    config::Dialect,
    execution::{
        SessionState, SessionStateDefaults,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{FairSpillPool, TrackConsumersPool},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
        session_state::SessionStateBuilder,
    },
    prelude::{SessionConfig, SessionContext},
};
use futures::StreamExt;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{
    error::{Result, SqlError},
    functions,
    give_way::GiveWay,
    metrics::PromqlFunction,
    outcome::Outcome,
    rollup,
    session::Session,
    types::{PgTypes, UTC},
    whole_order::WholeOrder,
};

/// Stack of each thread. Trees of expressions are walked by recursion; only what is used takes memory.
const STACK_BYTES: usize = 32 << 20;
/// Consumers of memory that an error names.
const NAMED_CONSUMERS: usize = 3;
/// Bytes that all spilled files together may take.
const MOST_SPILLED: u64 = 64 << 30;
/// How often rollups are looked at.
const ROLLUP_INTERVAL: Duration = Duration::from_secs(10);
/// A thread without work for so long ends.
const IDLE_THREAD: Duration = Duration::from_secs(10);

/// Limits of the SQL engine.
#[derive(Debug, Clone)]
pub struct SqlOptions {
    /// Memory that all queries together may take for sorting, grouping and joining, in bytes; beyond it they spill or fail.
    pub memory_bytes: usize,
    /// Where queries spill; `None`: they do not.
    pub spill_dir: Option<std::path::PathBuf>,
    /// How long a statement may run unless the session says otherwise.
    pub statement_timeout: Option<Duration>,
    /// Threads that one query uses.
    pub threads: usize,
    /// How often continuous rollups are looked at, to take new rows into their stores; `None`: only REFRESH does it. Their
    /// answers do not depend on it.
    pub rollup_interval: Option<Duration>,
}

impl Default for SqlOptions {
    /// 512 MiB, no spilling, no timeout, a thread for each core, rollups looked at every 10 seconds.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            memory_bytes: 512 << 20,
            spill_dir: None,
            statement_timeout: None,
            threads,
            rollup_interval: Some(ROLLUP_INTERVAL),
        }
    }
}

/// SQL over one database. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct SqlEngine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    engine: Engine,
    options: SqlOptions,
    started: SystemTime,
    next_pid: AtomicI32,
    /// The threads; made by the first statement.
    runtime: OnceLock<Runtime>,
    /// The state that sessions begin with; made by the first statement.
    base: OnceLock<SessionState>,
    /// Held while one of the two is made, so that it is made once.
    making: Mutex<()>,
    /// Whether the task runs that refreshes rollups.
    refreshing: AtomicBool,
    /// The number of the next mark of a deletion.
    next_mark: AtomicU64,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlEngine").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The last handle may go inside another runtime, where waiting for threads is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl SqlEngine {
    /// SQL over this engine. Threads are started by the first statement, or now when there are continuous rollups.
    ///
    /// # Errors
    /// When the spill directory cannot be made.
    pub fn new(engine: Engine, options: SqlOptions) -> Result<Self> {
        if let Some(dir) = &options.spill_dir {
            std::fs::create_dir_all(dir).map_err(|e| {
                SqlError::new(b"58030", format!("the spill directory {} cannot be made: {e}", dir.display()))
            })?;
        }
        let inner = Inner {
            engine,
            options,
            started: SystemTime::now(),
            next_pid: AtomicI32::new(1),
            runtime: OnceLock::new(),
            base: OnceLock::new(),
            making: Mutex::new(()),
            refreshing: AtomicBool::new(false),
            next_mark: AtomicU64::new(first_mark()),
        };
        let sql = Self { inner: Arc::new(inner) };
        if rollup::any_rollup(&sql.engine().tables()) {
            sql.keep_rollups_refreshed()?;
        }
        Ok(sql)
    }

    /// A session of this user, who asked for this database.
    #[must_use]
    pub fn session(&self, user: &str, database: &str) -> Session {
        Session::new(self, user, database, self.inner.next_pid.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs one statement and waits for all its rows. For callers without an async runtime; not to be called inside one.
    ///
    /// # Errors
    /// As [`Session::run`]; COPY is refused, since there is nothing to feed it.
    pub fn query(&self, statement: &str) -> Result<Vec<RecordBatch>> {
        let mut session = self.session("chronolith", "chronolith");
        let statement = statement.to_owned();
        self.handle()?.block_on(async move {
            match session.run(&statement).await? {
                Outcome::Rows { schema, mut rows, .. } => {
                    let mut batches = Vec::new();
                    while let Some(batch) = rows.next().await {
                        batches.push(batch?);
                    }
                    if batches.is_empty() {
                        batches.push(RecordBatch::new_empty(schema));
                    }
                    Ok(batches)
                }
                Outcome::Done { .. } | Outcome::Empty => Ok(Vec::new()),
                Outcome::CopyIn(_) | Outcome::CopyOut { .. } => {
                    Err(SqlError::unsupported("COPY in a query of the library")
                        .with_hint("use INSERT or SELECT, or a PostgreSQL client"))
                }
            }
        })
    }

    /// Starts the task that refreshes rollups, unless it runs or is not wanted.
    pub(crate) fn keep_rollups_refreshed(&self) -> Result<()> {
        let Some(every) = self.inner.options.rollup_interval else { return Ok(()) };
        if self.inner.engine.options().read_only || self.inner.refreshing.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.handle()?.spawn(rollup::keep_refreshed(Arc::downgrade(&self.inner), every));
        Ok(())
    }

    /// A number that no mark of a deletion has.
    pub(crate) fn next_mark(&self) -> u64 {
        self.inner.next_mark.fetch_add(1, Ordering::SeqCst)
    }

    /// Whether a function is an aggregate.
    pub(crate) fn is_aggregate(&self, name: &str) -> Result<bool> {
        let base = made_once(&self.inner.base, &self.inner.making, || self.make_base())?;
        Ok(base.aggregate_functions().contains_key(name))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn options(&self) -> &SqlOptions {
        &self.inner.options
    }

    pub(crate) fn started(&self) -> SystemTime {
        self.inner.started
    }

    /// The threads that queries run on.
    pub(crate) fn handle(&self) -> Result<Handle> {
        let runtime = made_once(&self.inner.runtime, &self.inner.making, || {
            Builder::new_multi_thread()
                .worker_threads(self.inner.options.threads.max(1))
                .thread_name("chronolith-sql")
                .thread_stack_size(STACK_BYTES)
                .thread_keep_alive(IDLE_THREAD)
                .enable_time()
                .build()
                .map_err(|e| SqlError::new(b"53000", format!("the threads of queries cannot be started: {e}")))
        })?;
        Ok(runtime.handle().clone())
    }

    /// The state that a session begins with.
    pub(crate) fn base_state(&self) -> Result<SessionState> {
        let base = made_once(&self.inner.base, &self.inner.making, || self.make_base())?;
        Ok(base.clone())
    }

    fn make_base(&self) -> Result<SessionState> {
        let mut config = SessionConfig::new().with_target_partitions(self.inner.options.threads.max(1));
        config = config.with_information_schema(false).with_create_default_catalog_and_schema(false);
        let options = config.options_mut();
        options.sql_parser.dialect = Dialect::PostgreSQL;
        options.sql_parser.parse_float_as_decimal = false;
        options.execution.time_zone = Some(UTC.to_owned());
        // Of `x IS NOT TRUE`, plans and what runs them disagree whether it may be null; it is only told, and never looked at.
        options.execution.skip_physical_aggregate_schema_check = true;
        options.explain.show_statistics = false;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(self.make_runtime_env()?)
            .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
            .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
            .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
            .with_window_functions(SessionStateDefaults::default_window_functions())
            .with_table_function_list(SessionStateDefaults::default_table_functions())
            .with_expr_planners(SessionStateDefaults::default_expr_planners())
            .with_type_planner(Arc::new(PgTypes))
            .with_physical_optimizer_rule(Arc::new(WholeOrder))
            .with_physical_optimizer_rule(Arc::new(GiveWay))
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_udtf("promql", Arc::new(PromqlFunction::new(self.inner.engine.clone())));
        functions::register(&context)?;
        Ok(context.state())
    }

    fn make_runtime_env(&self) -> Result<Arc<RuntimeEnv>> {
        let options = &self.inner.options;
        let pool = FairSpillPool::new(options.memory_bytes);
        let named = std::num::NonZeroUsize::new(NAMED_CONSUMERS).unwrap_or(std::num::NonZeroUsize::MIN);
        let mode = match &options.spill_dir {
            Some(dir) => DiskManagerMode::Directories(vec![dir.clone()]),
            None => DiskManagerMode::Disabled,
        };
        let disk = DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(MOST_SPILLED);
        let env = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, named)))
            .with_disk_manager_builder(disk);
        Ok(env.build_arc()?)
    }
}

impl From<Arc<Inner>> for SqlEngine {
    fn from(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

/// Marks count from the time in nanoseconds, so that those of an earlier run are not met again soon; whoever writes one
/// looks whether it is free.
fn first_mark() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX / 2)
}

/// What the cell holds, made by the first who asks.
fn made_once<'a, T>(cell: &'a OnceLock<T>, making: &Mutex<()>, make: impl FnOnce() -> Result<T>) -> Result<&'a T> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let _one_at_a_time = making.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}
