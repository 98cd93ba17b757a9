//! The stages: ingest, queries, a million series, restart. Each runs its servers and gives rows for the report.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::compare;
use crate::http::escape;
use crate::load::{self, Fleet, Load};
use crate::queries::QUERIES;
use crate::report::{Good, QueryLine, Row, Values};
use crate::scrapes::Recording;
use crate::send::{Sent, send};
use crate::server::{Binary, Kind, Server, tree_size};

const MEGABYTE: f64 = 1024.0 * 1024.0;
const IDLE_LIMIT: Duration = Duration::from_secs(120);

/// What every stage needs.
pub(crate) struct Bench<'a> {
    /// The servers.
    pub(crate) binaries: &'a [Binary],
    /// What is played.
    pub(crate) recording: &'a Recording,
    /// Connections that write.
    pub(crate) connections: usize,
    /// Where the servers keep their data.
    pub(crate) directory: &'a Path,
}

/// Columns of figures, filled in server by server.
struct Columns<const N: usize>([Values; N]);

impl<const N: usize> Columns<N> {
    fn new() -> Self {
        Columns([[None; 3]; N])
    }

    fn set(&mut self, kind: Kind, figures: [f64; N]) {
        for (column, figure) in self.0.iter_mut().zip(figures) {
            column[kind as usize] = Some(figure);
        }
    }
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_millis() as i64)
}

impl Bench<'_> {
    /// Encodes a load that ends about now.
    pub(crate) fn load(&self, what: &str, fleet: Fleet) -> Result<Load, String> {
        let series = fleet.series.min(self.recording.series.len());
        eprintln!("{what}: encoding {} hosts x {series} series x {} scrapes", fleet.hosts, fleet.steps);
        let load = Load::build(self.recording, fleet, load::end_before(now_ms()))?;
        let (requests, megabytes) = (load.requests.len(), load.bytes() as f64 / MEGABYTE);
        eprintln!("{what}: {} samples in {requests} requests, {megabytes:.0} MiB", load.samples);
        Ok(load)
    }

    /// Ingest, then merging, then a clean stop; the directories stay for the queries.
    pub(crate) fn ingest(&self, load: &Load) -> Result<Vec<Row>, String> {
        let mut columns = Columns::<9>::new();
        for binary in self.binaries {
            let (kind, dir) = (binary.kind, self.directory.join("ingest").join(binary.kind.flag()));
            let server = binary.start(&dir)?;
            let cpu_before = server.cpu()?;
            let sent = send(&server, load, self.connections, 0..usize::MAX)?;
            let (memory, disk_then) = (server.memory()?, server.disk());
            tell(kind, "ingest", load.samples, &sent);
            merge(&server)?;
            let samples = load.samples as f64;
            let cpu_settled = server.cpu()? - cpu_before;
            let merged = server.disk() as f64 / samples;
            server.stop()?;
            // Prometheus has no merge to ask for: what a clean stop leaves, and its finished blocks by themselves.
            let (disk, bare) = match kind {
                Kind::Prometheus => (tree_size(&dir.join("data")) as f64 / samples, blocks(&dir.join("data"))),
                Kind::Victoria | Kind::Chronolith => (merged, merged),
            };
            columns.set(
                kind,
                [
                    samples / sent.cpu,
                    samples / cpu_settled,
                    sent.wall.as_secs_f64(),
                    memory.peak as f64 / MEGABYTE,
                    disk_then as f64 / samples,
                    disk,
                    bare,
                    sent.outcome.refused as f64,
                    sent.outcome.lost as f64,
                ],
            );
        }
        let [cpu, settled, wall, peak, disk_then, disk, bare, refused, lost] = columns.0;
        Ok(vec![
            Row::new("ingest: samples per CPU second until the last acknowledgement", Good::High, cpu)
                .goal(1.0, Some(3.0)),
            Row::new("ingest: samples per CPU second until merged and idle", Good::High, settled),
            Row::new("ingest: wall seconds", Good::Low, wall),
            Row::new("ingest: peak memory, MiB", Good::Low, peak),
            Row::new("ingest: replies other than 2xx", Good::Low, refused),
            Row::new("ingest: requests lost", Good::Low, lost),
            Row::new("disk: bytes a sample right after ingest", Good::Low, disk_then),
            Row::new("disk: bytes a sample after merging (Prometheus: after a clean stop)", Good::Low, disk)
                .goal(1.0, Some(1.0 / 3.0)),
            Row::new("disk: the same, of Prometheus its blocks alone, without log", Good::Low, bare),
        ])
    }

    /// Every query against every server, `runs` times, on the directories that ingest left.
    pub(crate) fn queries(&self, load: &Load, runs: usize) -> Result<(Vec<Row>, Vec<QueryLine>), String> {
        let mut servers = Vec::new();
        let mut disk = [None; 3];
        for binary in self.binaries {
            let server = binary.start(&self.directory.join("ingest").join(binary.kind.flag()))?;
            eprintln!("{}: started on the ingested data, settling", binary.kind.name());
            settle(&server)?;
            disk[binary.kind as usize] = Some(server.disk() as f64 / load.samples as f64);
            servers.push(server);
        }
        let mut rows = vec![Row::new("disk: bytes a sample once restarted and settled", Good::Low, disk)];
        let lines: Vec<QueryLine> =
            QUERIES.iter().map(|query| ask(&servers, query, load, runs)).collect::<Result<_, String>>()?;
        rows.extend(crate::report::query_rows(&lines));
        for server in servers {
            server.stop()?;
        }
        Ok((rows, lines))
    }

    /// Registers the series of `load`, three samples each, and restarts after kill -9.
    pub(crate) fn series(&self, load: &Load) -> Result<Vec<Row>, String> {
        let mut columns = Columns::<8>::new();
        for binary in self.binaries {
            let (kind, dir) = (binary.kind, self.directory.join("series").join(binary.kind.flag()));
            let server = binary.start(&dir)?;
            let first = send(&server, load, self.connections, 0..1)?;
            tell(kind, "new series", load.series, &first);
            let rest = send(&server, load, self.connections, 1..usize::MAX)?;
            tell(kind, "their further samples", load.samples - load.series, &rest);
            let peak = server.memory()?.peak;
            server.wait_idle(IDLE_LIMIT)?;
            let memory = server.memory()?;
            server.kill();
            let server = binary.start(&dir)?;
            let ready = server.ready_after.as_secs_f64();
            eprintln!("{}: ready {ready:.3} s after kill -9", kind.name());
            let found = instant(&server, r#"count({__name__=~".+"})"#, load.end_ms);
            columns.set(
                kind,
                [
                    load.series as f64 / first.cpu,
                    load.samples as f64 / (first.cpu + rest.cpu),
                    peak.max(memory.peak) as f64 / MEGABYTE,
                    memory.resident as f64 / MEGABYTE,
                    ready,
                    found / load.series as f64,
                    (first.outcome.refused + rest.outcome.refused) as f64,
                    (first.outcome.lost + rest.outcome.lost) as f64,
                ],
            );
            server.kill();
            remove(&dir)?;
        }
        let [first, all, peak, resident, ready, found, refused, lost] = columns.0;
        let name = |what: &str| format!("{} series: {what}", crate::report::figure3(load.series as f64));
        Ok(vec![
            Row::new(&name("samples of new series per CPU second"), Good::High, first).goal(2.0, None),
            Row::new(&name("samples per CPU second, 3 samples each"), Good::High, all).goal(2.0, None),
            Row::new(&name("memory afterwards, MiB"), Good::Low, resident).goal(0.5, Some(0.2)),
            Row::new(&name("peak memory, MiB"), Good::Low, peak).goal(0.5, Some(0.2)),
            Row::new(&name("seconds until ready after kill -9"), Good::Low, ready).absolute(1.0),
            Row::new(&name("share found after that"), Good::High, found),
            Row::new(&name("replies other than 2xx"), Good::Low, refused),
            Row::new(&name("requests lost"), Good::Low, lost),
        ])
    }

    /// Many samples in the log, kill -9 right after the last acknowledgement, restart.
    pub(crate) fn restart(&self, load: &Load) -> Result<Vec<Row>, String> {
        let mut columns = Columns::<4>::new();
        for binary in self.binaries {
            let (kind, dir) = (binary.kind, self.directory.join("restart").join(binary.kind.flag()));
            let server = binary.start(&dir)?;
            let sent = send(&server, load, self.connections, 0..usize::MAX)?;
            tell(kind, "restart", load.samples, &sent);
            server.kill();
            let server = binary.start(&dir)?;
            let ready = server.ready_after.as_secs_f64();
            eprintln!("{}: ready {ready:.3} s after kill -9", kind.name());
            let found = count_samples(&server, load);
            let memory = server.memory()?.peak as f64 / MEGABYTE;
            columns.set(kind, [ready, found / load.samples as f64, memory, sent.outcome.lost as f64]);
            server.kill();
            remove(&dir)?;
        }
        let [ready, found, memory, lost] = columns.0;
        let name = |what: &str| format!("{} samples, kill -9: {what}", crate::report::figure3(load.samples as f64));
        Ok(vec![
            Row::new(&name("seconds until ready"), Good::Low, ready).absolute(2.0),
            Row::new(&name("share found after that"), Good::High, found),
            Row::new(&name("peak memory after all is counted, MiB"), Good::Low, memory),
            Row::new(&name("requests lost before it"), Good::Low, lost),
        ])
    }
}

fn tell(kind: Kind, what: &str, samples: u64, sent: &Sent) {
    let (wall, cpu) = (sent.wall.as_secs_f64(), sent.cpu);
    let rate = crate::report::figure3(samples as f64 / cpu);
    eprintln!("{}: {what}: {wall:.1} s, {cpu:.1} CPU s, {rate} samples per CPU second", kind.name());
}

/// Bytes a sample of a Prometheus directory's blocks; NaN while there is none.
fn blocks(data: &Path) -> f64 {
    let (mut bytes, mut samples) = (0, 0);
    for entry in std::fs::read_dir(data).into_iter().flatten().flatten() {
        let meta = std::fs::read(entry.path().join("meta.json")).unwrap_or_default();
        let meta: serde_json::Value = serde_json::from_slice(&meta).unwrap_or_default();
        if let Some(count) = meta["stats"]["numSamples"].as_u64() {
            samples += count;
            bytes += tree_size(&entry.path());
        }
    }
    bytes as f64 / samples as f64
}

fn remove(dir: &Path) -> Result<(), String> {
    std::fs::remove_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))
}

/// Brings what was ingested into its final form on disk, as far as the server can be asked to.
fn merge(server: &Server) -> Result<(), String> {
    let mut client = server.client();
    let mut call = |path: &str, post: bool| {
        let reply = if post { client.post(path, "", b"") } else { client.get(path) };
        match reply {
            Ok(reply) if reply.is_success() => Ok(()),
            Ok(reply) => Err(format!("{}: {path}: {} {}", server.kind.name(), reply.status, reply.excerpt())),
            Err(error) => Err(format!("{}: {path}: {error}", server.kind.name())),
        }
    };
    match server.kind {
        Kind::Prometheus => {}
        Kind::Victoria => {
            call("/internal/force_flush", false)?;
            // It leaves out parts that are being merged already: asked again until nothing gets smaller.
            let mut before = u64::MAX;
            while server.disk() < before {
                server.wait_idle(IDLE_LIMIT)?;
                before = server.disk();
                call("/internal/force_merge", false)?;
                server.wait_idle(IDLE_LIMIT)?;
            }
            return Ok(());
        }
        Kind::Chronolith => call("/api/v1/admin/tsdb/compact", true)?,
    }
    server.wait_idle(IDLE_LIMIT)
}

/// Waits until the server is as it is in daily life: Prometheus keeps at most three hours in its head.
fn settle(server: &Server) -> Result<(), String> {
    if server.kind == Kind::Prometheus {
        let mut client = server.client();
        let end = Instant::now() + IDLE_LIMIT;
        loop {
            let metrics = client.get("/metrics").map_err(|e| format!("Prometheus: /metrics: {e}"))?.text();
            let gauge = |name: &str| {
                let line = metrics.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|v| v.trim().parse::<f64>().ok()).unwrap_or(0.0)
            };
            let head =
                gauge("prometheus_tsdb_head_max_time_seconds ") - gauge("prometheus_tsdb_head_min_time_seconds ");
            if head <= 3.0 * 3600.0 {
                break;
            }
            if Instant::now() > end {
                eprintln!("Prometheus: has not compacted its head, going on");
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    server.wait_idle(IDLE_LIMIT)
}

/// An instant query's only value; NaN, and a note on stderr, when it fails.
fn instant(server: &Server, expression: &str, at_ms: i64) -> f64 {
    let path = format!("/api/v1/query?query={}&time={}&nocache=1", escape(expression), at_ms / 1000);
    let reply = server.client().get(&path).map_err(|e| e.to_string());
    reply.and_then(|reply| compare::single_value(&reply.body)).unwrap_or_else(|error| {
        eprintln!("{}: {expression}: {error}", server.kind.name());
        f64::NAN
    })
}

/// All samples the server has of `load`. One question a name: a count over all names would lose them, and with them
/// what keeps series apart.
fn count_samples(server: &Server, load: &Load) -> f64 {
    let (start, end) = (load.start_ms / 1000, load.end_ms / 1000);
    let path = format!("/api/v1/label/__name__/values?start={start}&end={end}");
    let reply = server.client().get(&path).map_err(|e| e.to_string());
    let names = reply.and_then(|reply| compare::strings(&reply.body)).unwrap_or_else(|error| {
        eprintln!("{}: {path}: {error}", server.kind.name());
        Vec::new()
    });
    let window = end - start;
    names.iter().map(|name| instant(server, &format!("sum(count_over_time({name}[{window}s]))"), load.end_ms)).sum()
}

/// One query, `runs` times, the servers taking turns; a first turn warms up and is compared.
fn ask(servers: &[Server], query: &crate::queries::Query, load: &Load, runs: usize) -> Result<QueryLine, String> {
    let path = query.path(load.start_ms, load.end_ms);
    let mut clients: Vec<_> = servers.iter().map(Server::client).collect();
    let mut answers: [Option<Vec<u8>>; 3] = [None, None, None];
    let mut walls = vec![Vec::with_capacity(runs); servers.len()];
    let mut cpus = vec![0.0; servers.len()];
    for run in 0..=runs {
        for (n, server) in servers.iter().enumerate() {
            let (cpu, begin) = (server.cpu()?, Instant::now());
            let reply = clients[n].get(&path).map_err(|e| format!("{}: {}: {e}", server.kind.name(), query.name))?;
            let wall = begin.elapsed().as_secs_f64() * 1000.0;
            if run == 0 {
                answers[server.kind as usize] = Some(reply.body);
            } else {
                walls[n].push(wall);
                cpus[n] += (server.cpu()? - cpu) * 1000.0;
            }
        }
    }
    let mut line = QueryLine { name: query.name, latency: [None; 3], cpu: [None; 3], equal: None };
    let mut progress = Vec::new();
    for (n, server) in servers.iter().enumerate() {
        let (at, body) = (server.kind as usize, answers[server.kind as usize].as_deref().unwrap_or_default());
        match compare::size(body) {
            Ok(size) => {
                walls[n].sort_by(f64::total_cmp);
                line.latency[at] = Some(walls[n][runs / 2]);
                line.cpu[at] = Some(cpus[n] / runs as f64);
                progress.push(format!("{} {:.2} ms ({size} series)", server.kind.name(), walls[n][runs / 2]));
            }
            Err(error) => progress.push(format!("{} FAILED: {error}", server.kind.name())),
        }
    }
    eprintln!("{}: {}", query.name, progress.join(", "));
    if let (Some(ours), Some(theirs)) = (&answers[Kind::Chronolith as usize], &answers[Kind::Prometheus as usize]) {
        let difference = compare::difference(ours, theirs);
        if let Some(what) = &difference {
            eprintln!("{}: DIFFERS from Prometheus: {what}", query.name);
        }
        line.equal = Some(difference.is_none());
    }
    Ok(line)
}
