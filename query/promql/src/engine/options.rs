//! What a caller may set for one query.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use chronolith_storage::clock::Clock;

/// A moment on a monotonic clock.
#[derive(Debug, Clone)]
pub struct Deadline {
    /// The clock that is asked.
    pub clock: Arc<dyn Clock>,
    /// The value of [`Clock::monotonic`] from which on the query is too late.
    pub at: Duration,
}

impl Deadline {
    /// The moment `timeout` from now.
    #[must_use]
    pub fn after(clock: Arc<dyn Clock>, timeout: Duration) -> Self {
        let at = clock.monotonic().saturating_add(timeout);
        Self { clock, at }
    }
}

/// Settings of one query. The defaults are those of Prometheus.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// How far an instant selector looks back for a sample, in milliseconds.
    pub lookback_ms: i64,
    /// How many samples may be held at once, counted as Prometheus counts them.
    pub max_samples: usize,
    /// How many bytes the columns of the query may take, if that is bounded.
    pub max_memory_bytes: Option<usize>,
    /// When the query is given up.
    pub deadline: Option<Deadline>,
    /// Set by another thread to give the query up.
    pub cancel: Option<Arc<AtomicBool>>,
    /// How many threads may work on the query; 0 for as many as the machine runs at once.
    pub threads: usize,
    /// The step of subqueries that name none, in milliseconds.
    pub default_subquery_step_ms: i64,
    /// Whether rates and resets take the start timestamps of samples into account (Prometheus' feature
    /// `use-start-timestamps`).
    pub use_start_timestamps: bool,
    /// Whether `__name__` is dropped at the end of the query instead of by each operator (Prometheus' feature
    /// `promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
    /// Whether series have their type and unit in the labels `__type__` and `__unit__`, so that these tell what a
    /// counter is (Prometheus' feature `type-and-unit-labels`).
    pub type_and_unit_labels: bool,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            lookback_ms: 300_000,
            max_samples: 50_000_000,
            max_memory_bytes: None,
            deadline: None,
            cancel: None,
            threads: 0,
            default_subquery_step_ms: 60_000,
            use_start_timestamps: false,
            delayed_name_removal: false,
            type_and_unit_labels: false,
        }
    }
}
