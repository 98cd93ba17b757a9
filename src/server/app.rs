//! What every handler shares.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chronolith_storage::{
    clock::{Clock, SystemClock},
    engine::Engine,
};

#[cfg(feature = "sql")]
use super::postgres::PostgresCounters;
use super::{ServerConfig, ServerError, cors::Cors, counters::Counters, routes::ROUTES, work::Work};

/// The server's state: configuration, engine, pools and counters.
pub(crate) struct App {
    pub(crate) config: ServerConfig,
    pub(crate) engine: Engine,
    #[cfg(feature = "sql")]
    pub(crate) sql: chronolith_sql::SqlEngine,
    #[cfg(feature = "sql")]
    pub(crate) postgres: PostgresCounters,
    /// The machine's clock: deadlines are real time, even over an engine whose clock is virtual.
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) work: Work,
    pub(crate) counters: Counters,
    pub(crate) cors: Cors,
    pub(crate) started: jiff::Timestamp,
    #[cfg(feature = "kafka")]
    pub(crate) kafka: std::sync::OnceLock<crate::kafka::KafkaStatus>,
    stopping: AtomicBool,
}

impl App {
    pub(crate) fn new(config: ServerConfig, engine: Engine) -> Result<Self, ServerError> {
        Ok(Self {
            work: Work::new(&config),
            counters: Counters::new(ROUTES.len()),
            cors: Cors::new(&config.cors_origin)?,
            started: jiff::Timestamp::now(),
            #[cfg(feature = "kafka")]
            kafka: std::sync::OnceLock::new(),
            stopping: AtomicBool::new(false),
            #[cfg(feature = "sql")]
            sql: chronolith_sql::SqlEngine::new(engine.clone(), config.sql.clone())?,
            #[cfg(feature = "sql")]
            postgres: PostgresCounters::default(),
            engine,
            clock: Arc::new(SystemClock::default()),
            config,
        })
    }

    /// From now on the server is not ready.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the server was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
