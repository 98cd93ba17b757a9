//! What every handler shares.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use super::{ServerConfig, ServerError, cors::Cors, counters::Counters, routes::ROUTES, work::Work};

/// The server's state: configuration, engine, pools and counters.
pub(crate) struct App {
    pub(crate) config: ServerConfig,
    pub(crate) work: Work,
    pub(crate) counters: Counters,
    pub(crate) cors: Cors,
    pub(crate) started: jiff::Timestamp,
    pub(crate) started_at: Instant,
    stopping: AtomicBool,
}

impl App {
    pub(crate) fn new(config: ServerConfig) -> Result<Self, ServerError> {
        Ok(Self {
            work: Work::new(&config),
            counters: Counters::new(ROUTES.len()),
            cors: Cors::new(&config.cors_origin)?,
            started: jiff::Timestamp::now(),
            started_at: Instant::now(),
            stopping: AtomicBool::new(false),
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
