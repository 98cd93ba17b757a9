//! Chronolith beside the real Prometheus and the real VictoriaMetrics: the same requests to each, one table at the end.

mod compare;
mod http;
mod load;
mod queries;
mod report;
mod scrapes;
mod send;
mod server;
mod stages;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use load::Fleet;
use scrapes::Recording;
use server::{Binary, Kind};
use stages::Bench;

const USAGE: &str = "\
Usage: chronolith-peers [OPTIONS]

  --quick               a small run (4 hosts, 2 hours, 50,000 series, 500,000 samples, 3 runs a query)
  --only LIST           of ingest,queries,series,restart (default all)
  --servers LIST        of prometheus,victoria,chronolith (default all)
  --hosts N             hosts of the ingest stage (default 20)
  --hours N             hours they are played for, at 15 s (default 8)
  --series-hosts N      hosts of 500 series in the series stage (default 2000)
  --restart-steps N     scrapes of 10,000 series in the restart stage (default 1000)
  --runs N              times each query is asked (default 7)
  --connections N       connections that write (default 3)
  --data FILE           recorded scrapes (zstd; default: CHRONOLITH_DATA, a file or a
                        directory, ../shared/data, else captured on the spot)
  --dir DIR             where the servers keep their data (default: the temporary directory)
  --out FILE            also write the report there

The environment names other binaries: PROMETHEUS, VICTORIA, CHRONOLITH, NODE_EXPORTER.
The report goes to stdout, progress to stderr. Exit status 2 when a goal was measured and missed.";

struct Options {
    only: Vec<String>,
    servers: Vec<Kind>,
    fleet: Fleet,
    series_hosts: usize,
    restart: Fleet,
    runs: usize,
    connections: usize,
    data: Option<PathBuf>,
    directory: PathBuf,
    out: Option<PathBuf>,
}

const STAGES: [&str; 4] = ["ingest", "queries", "series", "restart"];
const SERIES: usize = 500;
const SCRAPES_AN_HOUR: usize = 240;

impl Options {
    fn parse(arguments: &[String]) -> Result<Options, String> {
        let quick = arguments.iter().any(|a| a == "--quick");
        let (hosts, hours, runs) = if quick { (4, 2, 3) } else { (20, 8, 7) };
        let mut options = Options {
            only: STAGES.map(str::to_owned).to_vec(),
            servers: Kind::ALL.to_vec(),
            fleet: Fleet { hosts, series: usize::MAX, steps: hours * SCRAPES_AN_HOUR },
            series_hosts: if quick { 100 } else { 2000 },
            restart: Fleet { hosts: 20, series: SERIES, steps: if quick { 50 } else { 1000 } },
            runs,
            connections: 3,
            data: None,
            directory: std::env::temp_dir(),
            out: None,
        };
        let mut rest = arguments.iter().filter(|a| *a != "--quick");
        while let Some(flag) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{flag} needs a value, or is not known\n\n{USAGE}"))?;
            let number = || match value.parse::<usize>() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(format!("{flag} {value}: not a number above zero")),
            };
            match flag.as_str() {
                "--only" => options.only = list(flag, value, &STAGES)?,
                "--servers" => {
                    let names = list(flag, value, &Kind::ALL.map(Kind::flag))?;
                    options.servers.retain(|kind| names.iter().any(|name| name == kind.flag()));
                }
                "--hosts" => options.fleet.hosts = number()?,
                "--hours" => options.fleet.steps = number()? * SCRAPES_AN_HOUR,
                "--series-hosts" => options.series_hosts = number()?,
                "--restart-steps" => options.restart.steps = number()?,
                "--runs" => options.runs = number()?,
                "--connections" => options.connections = number()?,
                "--data" => options.data = Some(PathBuf::from(value)),
                "--dir" => options.directory = PathBuf::from(value),
                "--out" => options.out = Some(PathBuf::from(value)),
                _ => return Err(format!("{flag}: no such option\n\n{USAGE}")),
            }
        }
        Ok(options)
    }

    fn has(&self, stage: &str) -> bool {
        self.only.iter().any(|only| only == stage)
    }
}

fn list(flag: &str, value: &str, known: &[&str]) -> Result<Vec<String>, String> {
    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!("{flag}: {unknown:?} is none of {}", known.join(", "))),
        None => Ok(names),
    }
}

/// The recorded scrapes inside a directory of real samples.
const RECORDING: &str = "node_exporter-900-scrapes.txt.zst";

fn recording(named: Option<&Path>) -> Result<Recording, String> {
    if let Some(path) = named {
        return scrapes::read(path);
    }
    if let Some(named) = std::env::var_os("CHRONOLITH_DATA") {
        let path = PathBuf::from(named);
        return scrapes::read(&if path.is_dir() { path.join(RECORDING) } else { path });
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(RECORDING);
    if beside.is_file() {
        return scrapes::read(&beside);
    }
    scrapes::capture(120)
}

/// The directory of this run; removed when dropped.
struct Workspace(PathBuf);

impl Workspace {
    fn create(parent: &Path) -> Result<Workspace, String> {
        let path = parent.join(format!("chronolith-peers-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Workspace(path))
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{}: cannot be removed: {error}", self.0.display());
        }
    }
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or("unknown".to_owned(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}

fn header(binaries: &[Binary], recording: &Recording, directory: &Path) -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let date = output_of("date", &["-u", "+%Y-%m-%d %H:%M UTC"]);
    let filesystem = output_of("stat", &["-f", "-c", "%T", &directory.to_string_lossy()]);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    let mut out = format!(
        "Date: {date}  \nMachine: {model}, {cores} cores, data on {filesystem}, load average at start {load}  \n\
         Samples: {} ({} series, {} scrapes)  \nCommand: `cargo run --release -- {}`  \n",
        recording.origin,
        recording.series.len(),
        recording.scrapes,
        arguments.join(" ")
    );
    for binary in binaries {
        out.push_str(&format!("{}: {}  \n", binary.kind.name(), binary.version));
    }
    out
}

/// Runs the stages; true when no goal was missed.
fn run(options: &Options) -> Result<bool, String> {
    let binaries: Vec<Binary> = options.servers.iter().map(|&kind| Binary::find(kind)).collect::<Result<_, _>>()?;
    let recording = recording(options.data.as_deref())?;
    let workspace = Workspace::create(&options.directory)?;
    let mut report = header(&binaries, &recording, &workspace.0);
    let bench =
        Bench { binaries: &binaries, recording: &recording, connections: options.connections, directory: &workspace.0 };
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    if options.has("ingest") || options.has("queries") {
        let load = bench.load("ingest", options.fleet)?;
        rows.extend(bench.ingest(&load)?);
        if options.has("queries") {
            let (more, asked) = bench.queries(&load, options.runs)?;
            rows.extend(more);
            lines = asked;
        }
    }
    if options.has("series") {
        let fleet = Fleet { hosts: options.series_hosts, series: SERIES, steps: 3 };
        rows.extend(bench.series(&bench.load("series", fleet)?)?);
    }
    if options.has("restart") {
        rows.extend(bench.restart(&bench.load("restart", options.restart)?)?);
    }
    report.push('\n');
    report.push_str(&report::table(&rows));
    if !lines.is_empty() {
        report.push('\n');
        report.push_str(&report::query_table(&lines));
    }
    println!("{report}");
    if let Some(path) = &options.out {
        std::fs::write(path, &report).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(rows.iter().all(report::Row::met))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Options::parse(&arguments).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("chronolith-peers: {error}");
            ExitCode::FAILURE
        }
    }
}
