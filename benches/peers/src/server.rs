//! The servers under test: found, started on free ports, watched through /proc, stopped; none outlives the bench.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::http::Client;

/// How long a server may take to be ready or to stop.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(2);

/// The servers compared, in the order of the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// github.com/prometheus/prometheus.
    Prometheus,
    /// github.com/VictoriaMetrics/VictoriaMetrics, single node.
    Victoria,
    /// Ours.
    Chronolith,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Kind; 3] = [Kind::Prometheus, Kind::Victoria, Kind::Chronolith];

    /// The name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Prometheus => "Prometheus",
            Kind::Victoria => "VictoriaMetrics",
            Kind::Chronolith => "Chronolith",
        }
    }

    /// The name in `--servers`.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Kind::Prometheus => "prometheus",
            Kind::Victoria => "victoria",
            Kind::Chronolith => "chronolith",
        }
    }

    /// The path that answers 200 once the server is ready.
    fn ready_path(self) -> &'static str {
        match self {
            Kind::Victoria => "/health",
            Kind::Prometheus | Kind::Chronolith => "/-/ready",
        }
    }

    fn find(self) -> Result<PathBuf, String> {
        match self {
            Kind::Prometheus => find("PROMETHEUS", &["prometheus"], "apt-get install prometheus"),
            Kind::Victoria => find("VICTORIA", &["victoria-metrics"], "apt-get install victoria-metrics"),
            Kind::Chronolith => {
                let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/chronolith");
                let built = repository.to_string_lossy();
                find("CHRONOLITH", &[&built, "chronolith"], "cargo build --release in the repository's root")
            }
        }
    }
}

/// The binary that `variable` names, or the first of `candidates` (paths, or names looked up in PATH) that exists.
fn find(variable: &str, candidates: &[&str], remedy: &str) -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(variable) {
        let named = PathBuf::from(named);
        return if named.is_file() { Ok(named) } else { Err(format!("{variable}={}: no such file", named.display())) };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for candidate in candidates {
        let mut places: Vec<PathBuf> = std::env::split_paths(&path).map(|dir| dir.join(candidate)).collect();
        if candidate.contains('/') {
            places = vec![PathBuf::from(candidate)];
        }
        if let Some(found) = places.into_iter().find(|place| place.is_file()) {
            return Ok(found);
        }
    }
    Err(format!("no binary {}: {remedy}, or name it in {variable}", candidates.join(" or ")))
}

/// The Debian package a binary is from: VictoriaMetrics as Debian builds it does not know its own version.
fn packaged_version(path: &Path) -> String {
    let ask = |arguments: &[&str]| {
        let output = Command::new("dpkg-query").args(arguments).output();
        output.map_or(String::new(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
    };
    let owner = ask(&["--search", &path.to_string_lossy()]);
    let Some((package, _)) = owner.split_once(':') else { return "unknown version".to_owned() };
    ask(&["--show", "--showformat=${Package} ${Version} (Debian)", package])
}

/// A server's binary and version.
pub(crate) struct Binary {
    /// Which server.
    pub(crate) kind: Kind,
    path: PathBuf,
    /// What `--version` says, first line.
    pub(crate) version: String,
}

impl Binary {
    /// Finds the binary and asks for its version.
    pub(crate) fn find(kind: Kind) -> Result<Binary, String> {
        let path = kind.find().map_err(|e| format!("{}: {e}", kind.name()))?;
        let output = Command::new(&path).arg("--version").output();
        let output = output.map_err(|e| format!("{} --version: {e}", path.display()))?;
        let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        let said = String::from_utf8_lossy(&said).lines().next().unwrap_or("").to_owned();
        let version = if said.is_empty() { packaged_version(&path) } else { said };
        Ok(Binary { kind, path, version })
    }

    /// Starts the server on `dir` and waits until it is ready.
    pub(crate) fn start(&self, dir: &Path) -> Result<Server, String> {
        std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let port = free_port()?;
        let (data, listen) = (dir.join("data"), format!("127.0.0.1:{port}"));
        let shown = data.display();
        let arguments = match self.kind {
            Kind::Prometheus => {
                let config = dir.join("prometheus.yml");
                std::fs::write(&config, "global: {}\n").map_err(|e| format!("{}: {e}", config.display()))?;
                vec![
                    format!("--config.file={}", config.display()),
                    format!("--storage.tsdb.path={shown}"),
                    "--storage.tsdb.retention.time=100y".to_owned(),
                    format!("--web.listen-address={listen}"),
                    "--web.enable-remote-write-receiver".to_owned(),
                    "--log.level=warn".to_owned(),
                ]
            }
            Kind::Victoria => vec![
                format!("-storageDataPath={shown}"),
                format!("-httpListenAddr={listen}"),
                "-retentionPeriod=100y".to_owned(),
                // Only lift refusals: the series stage counts a million series, on a machine that may be busy.
                "-search.maxUniqueTimeseries=10000000".to_owned(),
                "-search.maxQueryDuration=5m".to_owned(),
                "-loggerLevel=WARN".to_owned(),
            ],
            Kind::Chronolith => vec![
                "serve".to_owned(),
                format!("--data-dir={shown}"),
                format!("--listen={listen}"),
                "--enable-admin-api".to_owned(),
            ],
        };
        let begin = Instant::now();
        let process = Process::spawn(&self.path, &arguments, &dir.join("log"), listen)?;
        let mut server = Server { kind: self.kind, process, data, ready_after: Duration::ZERO };
        server.process.wait_ready(self.kind.ready_path())?;
        server.ready_after = begin.elapsed();
        Ok(server)
    }
}

/// A running server.
pub(crate) struct Server {
    /// Which server.
    pub(crate) kind: Kind,
    process: Process,
    data: PathBuf,
    /// From start until it said that it is ready.
    pub(crate) ready_after: Duration,
}

/// Memory of a process in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) resident: u64,
    /// The most that ever was.
    pub(crate) peak: u64,
}

impl Server {
    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        self.process.address()
    }

    /// A new connection.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address())
    }

    /// CPU seconds used so far, user and system, children included.
    pub(crate) fn cpu(&self) -> Result<f64, String> {
        let stat = self.process.proc_file("stat")?;
        // Fields after the command name, which may hold anything but ends at the last parenthesis.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks: Option<u64> = (11..15).map(|n| fields.get(n).and_then(|f| f.parse::<u64>().ok())).sum();
        // User space always sees 100 ticks a second.
        ticks.map(|t| t as f64 / 100.0).ok_or_else(|| format!("/proc stat is not as expected: {stat}"))
    }

    /// Memory now and at its peak.
    pub(crate) fn memory(&self) -> Result<Memory, String> {
        let status = self.process.proc_file("status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
            kilobytes.map(|k| k * 1024).ok_or_else(|| format!("/proc status without {name}"))
        };
        Ok(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
    }

    /// Bytes of all files in the data directory.
    pub(crate) fn disk(&self) -> u64 {
        tree_size(&self.data)
    }

    /// Waits, `limit` at most, until the server used less than 5% of a core over two seconds and left its files
    /// alone, but for ten seconds at least: what is flushed now and then shall have been.
    pub(crate) fn wait_idle(&self, limit: Duration) -> Result<(), String> {
        let (soonest, end) = (Instant::now() + Duration::from_secs(10), Instant::now() + limit);
        let mut before = (self.cpu()?, self.disk());
        loop {
            std::thread::sleep(Duration::from_secs(2));
            let after = (self.cpu()?, self.disk());
            if after.0 - before.0 < 0.1 && after.1 == before.1 && Instant::now() > soonest {
                return Ok(());
            }
            if Instant::now() > end {
                eprintln!("{}: still busy after {} s, going on", self.kind.name(), limit.as_secs());
                return Ok(());
            }
            before = after;
        }
    }

    /// Stops it as an operator does and waits for the end.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let begin = Instant::now();
        let pid = self.process.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        sent.map_err(|e| format!("kill: {e}"))?;
        while self.process.child.try_wait().map_err(|e| format!("waiting for a server: {e}"))?.is_none() {
            if begin.elapsed() > PATIENCE {
                return Err(format!("{} does not stop on SIGTERM", self.kind.name()));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// kill -9.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

/// Starts node_exporter and waits until it answers.
pub(crate) fn start_node_exporter() -> Result<Process, String> {
    let candidates = ["prometheus-node-exporter", "node_exporter"];
    let path = find("NODE_EXPORTER", &candidates, "apt-get install prometheus-node-exporter")?;
    let listen = format!("127.0.0.1:{}", free_port()?);
    let log = std::env::temp_dir().join(format!("chronolith-peers-node-exporter-{}.log", std::process::id()));
    let mut process = Process::spawn(&path, &[format!("--web.listen-address={listen}")], &log, listen)?;
    process.wait_ready("/")?;
    Ok(process)
}

/// A child process that listens; killed when dropped.
pub(crate) struct Process {
    child: Child,
    listen: String,
    log: PathBuf,
}

impl Process {
    /// Under setpriv (util-linux, on every Debian) the kernel kills the child even if the bench itself is killed.
    fn spawn(path: &Path, arguments: &[String], log: &Path, listen: String) -> Result<Process, String> {
        let open =
            || File::options().create(true).append(true).open(log).map_err(|e| format!("{}: {e}", log.display()));
        let build = |mut command: Command| -> Result<Command, String> {
            command.args(arguments).stdin(Stdio::null()).stdout(open()?).stderr(open()?);
            Ok(command)
        };
        let mut guarded = Command::new("setpriv");
        guarded.args(["--pdeathsig", "KILL", "--"]).arg(path);
        let child = build(guarded)?.spawn().or_else(|_| build(Command::new(path))?.spawn().map_err(|e| e.to_string()));
        let child = child.map_err(|e| format!("starting {}: {e}", path.display()))?;
        Ok(Process { child, listen, log: log.to_owned() })
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        self.listen.clone()
    }

    fn wait_ready(&mut self, path: &str) -> Result<(), String> {
        let begin = Instant::now();
        let mut client = Client::new(self.address());
        while !client.get(path).is_ok_and(|reply| reply.status == 200) {
            let ended = self.child.try_wait().map_err(|e| format!("waiting for a server: {e}"))?;
            if ended.is_some() || begin.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(10).collect();
                let tail = tail.into_iter().rev().collect::<Vec<&str>>().join("\n");
                return Err(format!("server at {} is not ready ({ended:?}); its log ends:\n{tail}", self.listen));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn proc_file(&self, name: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{name}", self.child.id());
        std::fs::read_to_string(&path)
            .map_err(|e| format!("{path}: {e}: the server has died, see {}", self.log.display()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    listener.map(|address| address.port()).map_err(|e| format!("no free port: {e}"))
}

/// Apparent bytes of all files below `dir`. Files that vanish meanwhile (merges) count nothing.
pub(crate) fn tree_size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => tree_size(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}
