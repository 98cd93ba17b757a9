//! The demo's fleet: services whose load follows the time of day, with a slow spell, errors and a restart.
//!
//! Equal seeds and equal times give equal samples.

use std::f64::consts::TAU;

use chronolith_storage::{
    Labels, MetricKind, MetricMetadata,
    model::{labels::METRIC_NAME, stale_nan},
    rng::Rng,
};

/// Upper bounds of the latency buckets in seconds, as client libraries choose them; `+Inf` follows.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The spread of latencies: the standard deviation of their logarithm.
const SIGMA: f64 = 0.55;
/// The slow spell comes back this often.
const SPELL_EVERY_MS: i64 = 47 * 60_000;
/// Its middle, after the start.
const SPELL_AT_MS: i64 = 31 * 60_000;
/// How long it takes to come and to go.
const SPELL_WIDTH_MS: f64 = 150_000.0;
/// One instance restarts this long after the start ...
const RESTART_AT_MS: i64 = 44 * 60_000;
/// ... and is down for this long.
const DOWN_MS: i64 = 45_000;

/// What a service is like.
struct Service {
    job: &'static str,
    instances: u32,
    /// Requests a second and instance at mean load.
    rate: f64,
    /// Median latency in seconds at mean load.
    median: f64,
    /// How much of the slow spell it feels.
    feels: f64,
    /// Resident memory in bytes at rest.
    memory: f64,
    handlers: [(&'static str, &'static str); 2],
}

const SERVICES: [Service; 4] = [
    Service {
        job: "api",
        instances: 3,
        rate: 120.0,
        median: 0.045,
        feels: 0.5,
        memory: 310e6,
        handlers: [("GET", "/users"), ("GET", "/orders")],
    },
    Service {
        job: "checkout",
        instances: 2,
        rate: 25.0,
        median: 0.12,
        feels: 1.0,
        memory: 520e6,
        handlers: [("POST", "/cart"), ("POST", "/pay")],
    },
    Service {
        job: "search",
        instances: 3,
        rate: 60.0,
        median: 0.08,
        feels: 0.2,
        memory: 1_400e6,
        handlers: [("GET", "/search"), ("GET", "/suggest")],
    },
    Service {
        job: "auth",
        instances: 2,
        rate: 90.0,
        median: 0.012,
        feels: 0.1,
        memory: 180e6,
        handlers: [("POST", "/login"), ("POST", "/token")],
    },
];

/// The metric families that the fleet has, for whoever asks for metadata.
pub(crate) fn metadata() -> Vec<(&'static str, MetricMetadata)> {
    let of = |kind, help: &str, unit: &str| MetricMetadata { kind, help: help.into(), unit: unit.into() };
    vec![
        ("http_requests_total", of(MetricKind::Counter, "Requests that were answered.", "")),
        ("http_request_duration_seconds", of(MetricKind::Histogram, "How long answers took.", "seconds")),
        ("http_requests_in_flight", of(MetricKind::Gauge, "Requests that are worked on.", "")),
        ("process_cpu_seconds_total", of(MetricKind::Counter, "CPU time in user and system mode.", "seconds")),
        ("process_resident_memory_bytes", of(MetricKind::Gauge, "Resident memory.", "bytes")),
        ("up", of(MetricKind::Gauge, "Whether the instance was scraped.", "")),
    ]
}

/// Every instance of every service.
pub(crate) struct Fleet {
    start_ms: i64,
    last_ms: i64,
    rng: Rng,
    series: Vec<Labels>,
    instances: Vec<Instance>,
}

struct Instance {
    service: &'static Service,
    number: u32,
    /// Only one of them restarts.
    restarts: bool,
    /// In its own place of garbage collection and noise.
    phase: f64,
    down: bool,
    handlers: Vec<Handler>,
    cpu_seconds: f64,
}

/// Counters of one handler of one instance.
#[derive(Default, Clone)]
struct Handler {
    /// By code: 200, 404, 500.
    codes: [u64; 3],
    /// Cumulative, by bound; the last is `+Inf`.
    buckets: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Fleet {
    /// A fleet whose counters start at `start_ms`.
    pub(crate) fn new(seed: u64, start_ms: i64) -> Self {
        let mut rng = Rng::new(seed);
        let mut instances = Vec::new();
        for service in &SERVICES {
            for number in 1..=service.instances {
                let restarts = service.job == "search" && number == 2;
                let handlers = vec![Handler::default(); service.handlers.len()];
                let phase = uniform(&mut rng);
                instances.push(Instance { service, number, restarts, phase, down: false, handlers, cpu_seconds: 0.0 });
            }
        }
        let series = instances.iter().flat_map(Instance::series).collect();
        Self { start_ms, last_ms: start_ms, rng, series, instances }
    }

    /// The series, in the order in which [`Fleet::scrape`] gives their values.
    pub(crate) fn series(&self) -> &[Labels] {
        &self.series
    }

    /// Lets time go on to `at_ms` and reads every series; a series without a sample now is `None`.
    pub(crate) fn scrape(&mut self, at_ms: i64) -> Vec<Option<f64>> {
        let seconds = (at_ms - self.last_ms).max(0) as f64 / 1_000.0;
        self.last_ms = at_ms;
        let mut values = Vec::with_capacity(self.series.len());
        for instance in &mut self.instances {
            instance.advance(self.start_ms, at_ms, seconds, &mut self.rng, &mut values);
        }
        values
    }
}

/// How the load at this moment compares to its mean: a day's wave and a shorter one.
fn load(at_ms: i64) -> f64 {
    let day = at_ms.rem_euclid(86_400_000) as f64 / 86_400_000.0;
    let wave = at_ms.rem_euclid(1_020_000) as f64 / 1_020_000.0;
    1.0 + 0.35 * (TAU * (day - 0.3)).sin() + 0.08 * (TAU * wave).sin()
}

/// How bad the slow spell is: 0 to 1.
fn spell(start_ms: i64, at_ms: i64) -> f64 {
    let since = (at_ms - start_ms).rem_euclid(SPELL_EVERY_MS);
    let off = (since - SPELL_AT_MS) as f64 / SPELL_WIDTH_MS;
    (-off * off).exp()
}

impl Instance {
    fn advance(&mut self, start_ms: i64, at_ms: i64, seconds: f64, rng: &mut Rng, out: &mut Vec<Option<f64>>) {
        let since = at_ms - start_ms - RESTART_AT_MS;
        if self.restarts && (0..DOWN_MS).contains(&since) {
            return self.be_down(out);
        }
        self.down = false;
        let load = load(at_ms) * (0.95 + 0.1 * uniform(rng));
        let spell = spell(start_ms, at_ms) * self.service.feels;
        let median = self.service.median * (0.7 + 0.3 * load) * (1.0 + 5.0 * spell);
        let mut rate = 0.0;
        for (i, handler) in self.handlers.iter_mut().enumerate() {
            // The first handler has more of the load.
            let share = if i == 0 { 0.65 } else { 0.35 };
            rate += self.service.rate * load * share;
            handler.answer(self.service.rate * load * share * seconds, median, spell, rng);
        }
        self.cpu_seconds += seconds * (0.04 + 0.45 * load + 0.2 * spell);
        self.read(rate * mean_of(median) * (0.8 + 0.4 * uniform(rng)), at_ms, load, out);
    }

    /// A scrape that fails: `up` is 0, the other series end, and their counters start again from nothing.
    fn be_down(&mut self, out: &mut Vec<Option<f64>>) {
        let others = self.series().len() - 1;
        let ended = (!self.down).then(stale_nan);
        out.push(Some(0.0));
        out.extend(std::iter::repeat_n(ended, others));
        self.down = true;
        self.cpu_seconds = 0.0;
        self.handlers.fill(Handler::default());
    }

    /// The values in the order of [`Instance::series`].
    fn read(&self, in_flight: f64, at_ms: i64, load: f64, out: &mut Vec<Option<f64>>) {
        // Memory grows until the next collection.
        let garbage = (at_ms as f64 / 420_000.0 + self.phase).fract();
        let memory = self.service.memory * (1.0 + 0.1 * load + 0.12 * garbage);
        out.extend([Some(1.0), Some(in_flight.round()), Some(self.cpu_seconds), Some(memory.round())]);
        for handler in &self.handlers {
            out.extend(handler.codes.iter().map(|n| Some(*n as f64)));
            out.extend(handler.buckets.iter().map(|n| Some(*n as f64)));
            let count: u64 = handler.codes.iter().sum();
            out.extend([Some(handler.sum), Some(count as f64)]);
        }
    }

    fn series(&self) -> Vec<Labels> {
        let instance = format!("{}-{}:8080", self.service.job, self.number);
        let base = [("job", self.service.job), ("instance", instance.as_str())];
        let labels = |name: &str, more: &[(&str, &str)]| {
            Labels::from_pairs(base.iter().chain(more).copied().chain([(METRIC_NAME, name)]))
        };
        let gauges = ["up", "http_requests_in_flight", "process_cpu_seconds_total", "process_resident_memory_bytes"];
        let mut all: Vec<Labels> = gauges.iter().map(|name| labels(name, &[])).collect();
        for &(method, handler) in &self.service.handlers {
            let about = [("method", method), ("handler", handler)];
            for code in ["200", "404", "500"] {
                let [method, handler] = about;
                all.push(labels("http_requests_total", &[method, handler, ("code", code)]));
            }
            for bound in BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]) {
                let [method, handler] = about;
                all.push(labels("http_request_duration_seconds_bucket", &[method, handler, ("le", &bound)]));
            }
            all.push(labels("http_request_duration_seconds_sum", &about));
            all.push(labels("http_request_duration_seconds_count", &about));
        }
        all
    }
}

impl Handler {
    /// Counts the answers of one interval.
    fn answer(&mut self, expected: f64, median: f64, spell: f64, rng: &mut Rng) {
        let n = dithered(expected * (0.93 + 0.14 * uniform(rng)), uniform(rng));
        let failed = dithered(n as f64 * (0.002 + 0.06 * spell), uniform(rng)).min(n);
        let missing = dithered((n - failed) as f64 * 0.011, uniform(rng)).min(n - failed);
        for (counter, more) in self.codes.iter_mut().zip([n - failed - missing, missing, failed]) {
            *counter += more;
        }
        // One offset for all bounds keeps the buckets cumulative, and right on average.
        let offset = uniform(rng);
        for (i, bucket) in self.buckets.iter_mut().enumerate() {
            let below = BOUNDS.get(i).map_or(1.0, |bound| share_below(*bound, median));
            *bucket += dithered(n as f64 * below, offset).min(n);
        }
        self.sum += n as f64 * mean_of(median) * (0.97 + 0.06 * uniform(rng));
    }
}

/// A number rounded up with the probability of its fraction.
fn dithered(expected: f64, offset: f64) -> u64 {
    (expected + offset).floor().max(0.0) as u64
}

/// A number from 0 to below 1.
fn uniform(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// The mean of latencies with this median.
fn mean_of(median: f64) -> f64 {
    median * (SIGMA * SIGMA / 2.0).exp()
}

/// The share of latencies below a bound: the log-normal distribution.
fn share_below(bound: f64, median: f64) -> f64 {
    0.5 * (1.0 + erf((bound / median).ln() / (SIGMA * std::f64::consts::SQRT_2)))
}

/// The error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26).
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let poly =
        ((((1.061_405_429 * t - 1.453_152_027) * t + 1.421_413_741) * t - 0.284_496_736) * t + 0.254_829_592) * t;
    (1.0 - poly * (-x * x).exp()).copysign(x)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hour() -> (Fleet, Vec<Vec<Option<f64>>>) {
        let mut fleet = Fleet::new(1, 1_000_000);
        let scrapes = (1..=240).map(|i| fleet.scrape(1_000_000 + i * 15_000)).collect();
        (fleet, scrapes)
    }

    #[test]
    fn series_are_distinct_and_every_scrape_covers_them() {
        let (fleet, scrapes) = hour();
        assert_eq!(fleet.series().iter().collect::<HashSet<_>>().len(), fleet.series().len());
        assert!(fleet.series().len() > 300);
        assert!(scrapes.iter().all(|s| s.len() == fleet.series().len()));
        let bits = |all: &[Vec<Option<f64>>]| all.iter().flatten().map(|v| v.map(f64::to_bits)).collect::<Vec<_>>();
        assert_eq!(bits(&scrapes), bits(&hour().1), "equal seeds give equal samples");
    }

    #[test]
    fn buckets_are_cumulative_and_end_at_the_count() {
        let (fleet, scrapes) = hour();
        let names: Vec<&str> = fleet.series().iter().map(Labels::metric_name).collect();
        for scrape in &scrapes {
            for (i, window) in scrape.windows(3).enumerate() {
                let at = |j: usize| names.get(i + j).copied().unwrap_or("");
                if at(0).ends_with("_bucket") && at(1).ends_with("_bucket") {
                    assert!(window[0] <= window[1] || window[0].is_some_and(f64::is_nan));
                }
                if at(0).ends_with("_bucket") && at(2).ends_with("_count") {
                    assert!(window[0] == window[2] || window[0].is_some_and(f64::is_nan));
                }
            }
        }
    }

    #[test]
    fn one_instance_restarts_and_the_slow_spell_is_seen() {
        let (fleet, scrapes) = hour();
        let column = |name: &str, job: &str, label: (&str, &str)| {
            let found = fleet
                .series()
                .iter()
                .position(|l| l.metric_name() == name && l.get("job") == Some(job) && l.get(label.0) == Some(label.1));
            let at = found.unwrap();
            scrapes.iter().map(|s| s[at]).collect::<Vec<_>>()
        };
        let up = column("up", "search", ("instance", "search-2:8080"));
        assert_eq!(up.iter().filter(|v| **v == Some(0.0)).count(), 3);
        let cpu = column("process_cpu_seconds_total", "search", ("instance", "search-2:8080"));
        assert!(cpu.windows(2).any(|w| w[0].is_none() && w[1].is_some_and(|v| v < 60.0)), "counters start again");
        let errors = column("http_requests_total", "checkout", ("code", "500"));
        let grown = |from: usize, to: usize| errors[to].unwrap() - errors[from].unwrap();
        assert!(grown(112, 136) > 5.0 * grown(40, 64).max(1.0), "{} {}", grown(112, 136), grown(40, 64));
    }
}
