//! What the server counts about itself, beside what the engine knows.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::exposition::Exposition;

/// Upper bounds of request durations in seconds, as Prometheus has them.
const DURATION_BOUNDS: [f64; 9] = [0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0];

/// Requests to one route.
#[derive(Debug, Default)]
struct RouteCounters {
    by_code: Mutex<BTreeMap<u16, u64>>,
    /// One more than there are bounds: the last is without an upper bound.
    buckets: [AtomicU64; DURATION_BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Counters {
    /// By the place of the route in the router's table; the last is for paths that do not exist.
    routes: Vec<RouteCounters>,
    pub(crate) connections: AtomicU64,
    pub(crate) connections_closed_by_server: AtomicU64,
    pub(crate) samples_appended: AtomicU64,
    pub(crate) histograms_appended: AtomicU64,
    pub(crate) exemplars_appended: AtomicU64,
    pub(crate) samples_refused: AtomicU64,
    pub(crate) samples_with_invalid_labels: AtomicU64,
    pub(crate) events_appended: AtomicU64,
}

impl Counters {
    pub(crate) fn new(routes: usize) -> Self {
        Self {
            routes: (0..=routes).map(|_| RouteCounters::default()).collect(),
            connections: AtomicU64::new(0),
            connections_closed_by_server: AtomicU64::new(0),
            samples_appended: AtomicU64::new(0),
            histograms_appended: AtomicU64::new(0),
            exemplars_appended: AtomicU64::new(0),
            samples_refused: AtomicU64::new(0),
            samples_with_invalid_labels: AtomicU64::new(0),
            events_appended: AtomicU64::new(0),
        }
    }

    /// Counts a request; `route` is its place in the router's table, `None` for a path that does not exist.
    pub(crate) fn request(&self, route: Option<usize>, code: u16, took: Duration) {
        let Some(counters) = route.map_or(self.routes.last(), |i| self.routes.get(i)) else { return };
        let seconds = took.as_secs_f64();
        let bucket = DURATION_BOUNDS.iter().position(|&bound| seconds <= bound).unwrap_or(DURATION_BOUNDS.len());
        counters.buckets[bucket].fetch_add(1, Relaxed);
        counters.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        *counters.by_code.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }

    /// Writes the requests; `path` tells a route's path by its place.
    pub(crate) fn expose_requests(&self, text: &mut Exposition, path: impl Fn(usize) -> &'static str) {
        const TOTAL: &str = "prometheus_http_requests_total";
        text.family(TOTAL, "counter", "Counter of HTTP requests.");
        for (i, route) in self.routes.iter().enumerate() {
            for (code, count) in route.by_code.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                text.sample(TOTAL, [("code", code.to_string().as_str()), ("handler", path(i))], *count as f64, None);
            }
        }
        text.family(
            "prometheus_http_request_duration_seconds",
            "histogram",
            "Histogram of latencies for HTTP requests.",
        );
        for (i, route) in self.routes.iter().enumerate() {
            let counts = route.buckets.each_ref().map(|b| b.load(Relaxed));
            let total: u64 = counts.iter().sum();
            if total == 0 {
                continue;
            }
            let handler = path(i);
            let mut sum = 0;
            for (j, count) in counts.iter().enumerate() {
                sum += count;
                let le = DURATION_BOUNDS.get(j).map_or_else(|| "+Inf".to_owned(), f64::to_string);
                let labels = [("handler", handler), ("le", le.as_str())];
                text.sample("prometheus_http_request_duration_seconds_bucket", labels, sum as f64, None);
            }
            let seconds = route.nanos.load(Relaxed) as f64 / 1e9;
            text.sample("prometheus_http_request_duration_seconds_sum", [("handler", handler)], seconds, None);
            text.sample("prometheus_http_request_duration_seconds_count", [("handler", handler)], total as f64, None);
        }
    }
}
