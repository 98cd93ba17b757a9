//! A real Prometheus agent scrapes real targets and remote-writes each scrape to Chronolith and to a real Prometheus:
//! 50 queries must then give equal answers.
//!
//! Needs the Debian packages `prometheus` and `prometheus-node-exporter` (or PROMETHEUS and NODE_EXPORTER, naming the
//! binaries). Without them the test says so and passes, except where CI=true.
#![cfg(feature = "server")]

mod answers;
mod http;
mod processes;
mod queries;
mod spawn;

use std::io::Write;
use std::time::{Duration, Instant};

use answers::{Answer, Sample};
use processes::Workspace;
use queries::{INSTANT, RANGE};
use spawn::find;

/// How long anything may take to come about before the test gives up.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(200);
/// Scrapes, a second apart, that both servers must hold.
const SCRAPES: usize = 45;
/// The range queries' span and the longest look back of any query, in seconds; `SCRAPES` covers them with room.
const SPAN: i64 = 15;
const DEPTH: i64 = 20;
/// Evaluation stays so many seconds behind the newest sample: shards of a remote write do not arrive together.
const BEHIND: i64 = 4;

#[test]
fn a_real_agent_gets_the_answers_of_a_real_prometheus() {
    let (prometheus, exporter) =
        match (find("PROMETHEUS", "prometheus"), find("NODE_EXPORTER", "prometheus-node-exporter")) {
            (Ok(prometheus), Ok(exporter)) => (prometheus, exporter),
            (prometheus, exporter) => {
                let missing: Vec<String> = [prometheus.err(), exporter.err()].into_iter().flatten().collect();
                let note = format!("real_prometheus: NOT RUN: {}\n", missing.join("; "));
                assert!(std::env::var("CI").as_deref() != Ok("true"), "{note}");
                // Straight to stderr: the harness hides what a passing test prints.
                std::io::stderr().write_all(note.as_bytes()).unwrap();
                return;
            }
        };
    let workspace = Workspace::create().unwrap();
    let ours = workspace.start_chronolith().unwrap();
    let theirs = workspace.start_prometheus(&prometheus).unwrap();
    let node = workspace.start_node_exporter(&exporter).unwrap();
    let _agent = workspace.start_agent(&prometheus, &[&node, &theirs], &[&ours, &theirs]).unwrap();
    let (ours, theirs) = (ours.address.as_str(), theirs.address.as_str());

    let moment = wait_for_scrapes([ours, theirs]).unwrap();
    wait_for_equal_samples(ours, theirs, moment).unwrap();

    let failures: Vec<String> = INSTANT
        .iter()
        .map(|query| (query, moment.instant(query)))
        .chain(RANGE.iter().map(|(query, step)| (query, moment.range(query, *step))))
        .filter_map(|(query, path)| compare(ours, theirs, &path).err().map(|what| format!("{query}\n    {what}")))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} differ:\n{}",
        failures.len(),
        INSTANT.len() + RANGE.len(),
        failures.join("\n")
    );
}

/// When queries are evaluated.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// The end of every query, in milliseconds. Its phase in the second is far from all scrapes': whole-second windows
    /// then have no sample on their edge, where Prometheus 2 (closed windows) and 3 (left-open) differ.
    end_ms: i64,
}

impl Moment {
    /// Subqueries are evaluated at full seconds; this offset brings the windows inside them to the safe phase as well.
    fn expand(self, query: &str) -> String {
        http::escape(&query.replace("$phase", &format!("{}ms", 1000 - self.end_ms.rem_euclid(1000))))
    }

    fn instant(self, query: &str) -> String {
        format!("/api/v1/query?query={}&time={}", self.expand(query), seconds(self.end_ms))
    }

    fn range(self, query: &str, step: i64) -> String {
        let start = seconds(self.end_ms - SPAN * 1000);
        let (query, end) = (self.expand(query), seconds(self.end_ms));
        format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={step}")
    }
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

fn ask(address: &str, path: &str) -> Result<Answer, String> {
    let body = http::get(address, path)?;
    answers::parse(&body).map_err(|e| format!("{address}: {e}"))
}

/// Equal and not empty, or what is wrong.
fn compare(ours: &str, theirs: &str, path: &str) -> Result<(), String> {
    let (ours, theirs) = (ask(ours, path)?, ask(theirs, path)?);
    if theirs.is_empty() {
        return Err("Prometheus answers with nothing: the query shows nothing".to_owned());
    }
    answers::difference(&ours, &theirs).map_or(Ok(()), Err)
}

/// Waits until both servers hold enough scrapes of both targets, and finds when to ask.
fn wait_for_scrapes(servers: [&str; 2]) -> Result<Moment, String> {
    let begin = Instant::now();
    loop {
        let found: Result<Vec<Answer>, String> =
            servers.iter().map(|server| ask(server, "/api/v1/query?query=up[10m]")).collect();
        let series: Vec<Vec<Sample>> = found.iter().flatten().flat_map(|answer| answer.values().cloned()).collect();
        // Two servers, two targets each.
        if series.len() == 4 && series.iter().all(|samples| samples.len() >= SCRAPES) {
            return Ok(moment(&series));
        }
        if begin.elapsed() > PATIENCE {
            let lengths: Vec<usize> = series.iter().map(Vec::len).collect();
            return Err(format!(
                "not {SCRAPES} scrapes of two targets on both servers: {lengths:?}, {:?}",
                found.err()
            ));
        }
        std::thread::sleep(POLL);
    }
}

fn moment(series: &[Vec<Sample>]) -> Moment {
    let newest = series.iter().filter_map(|samples| samples.last()).map(|s| s.ms).min().unwrap_or(0);
    let oldest = series.iter().filter_map(|samples| samples.first()).map(|s| s.ms).max().unwrap_or(0);
    // Full seconds count as taken: subqueries are evaluated there.
    let taken: Vec<i64> = series.iter().flatten().map(|s| s.ms.rem_euclid(1000)).chain([0]).collect();
    let distance =
        |phase: i64| taken.iter().map(|t| (t - phase).rem_euclid(1000).min((phase - t).rem_euclid(1000))).min();
    let phase = (0..1000).max_by_key(|phase| distance(*phase)).unwrap_or(0);
    let end_ms = (newest / 1000 - BEHIND) * 1000 + phase;
    assert!(
        end_ms - (SPAN + DEPTH) * 1000 > oldest,
        "{SCRAPES} scrapes do not cover the queries: {oldest} to {newest}"
    );
    Moment { end_ms }
}

/// Waits until every raw sample of the queried time is the same on both servers.
fn wait_for_equal_samples(ours: &str, theirs: &str, moment: Moment) -> Result<(), String> {
    let path = moment.instant(&format!(r#"{{job=~".+"}}[{}s]"#, SPAN + DEPTH));
    let begin = Instant::now();
    while let Err(what) = compare(ours, theirs, &path) {
        if begin.elapsed() > PATIENCE {
            return Err(format!("the stored samples are not the same: {what}"));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
