//! What the PostgreSQL side counts about itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::server::exposition::Exposition;

/// Everything that is counted.
#[derive(Debug, Default)]
pub(crate) struct PostgresCounters {
    pub(crate) connections: AtomicU64,
    /// How many of them are open now.
    pub(crate) open: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) logins_failed: AtomicU64,
    pub(crate) statements: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) rows_sent: AtomicU64,
    pub(crate) cancel_requests: AtomicU64,
}

impl PostgresCounters {
    /// Writes what was counted.
    pub(crate) fn expose(&self, text: &mut Exposition) {
        let read = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        text.gauge("chronolith_postgres_connections", "PostgreSQL connections that are open.", read(&self.open));
        for (name, help, counter) in [
            ("connections_total", "PostgreSQL connections that were accepted.", &self.connections),
            (
                "connections_refused_total",
                "PostgreSQL connections that were refused because too many were open.",
                &self.refused,
            ),
            ("logins_failed_total", "PostgreSQL logins with a wrong name or password.", &self.logins_failed),
            ("statements_total", "Statements run over PostgreSQL connections.", &self.statements),
            ("errors_total", "Errors told to PostgreSQL clients.", &self.errors),
            ("rows_sent_total", "Rows sent to PostgreSQL clients.", &self.rows_sent),
            ("cancel_requests_total", "Requests to cancel a statement.", &self.cancel_requests),
        ] {
            text.counter(&format!("chronolith_postgres_{name}"), help, read(counter));
        }
    }
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
