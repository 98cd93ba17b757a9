//! The processes of the test: each on a free port, in one directory, killed at the end.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::http;

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// The binary that the environment names, or the one in PATH.
pub(crate) fn find(variable: &str, name: &str) -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(variable) {
        let named = PathBuf::from(named);
        return if named.is_file() { Ok(named) } else { Err(format!("{variable}={}: no such file", named.display())) };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|place| place.is_file());
    found.ok_or_else(|| format!("no {name} in PATH (apt-get install {name}, or name it in {variable})"))
}

/// The directory of the test; removed when dropped.
pub(crate) struct Workspace(PathBuf);

/// A process that listens on `address`; killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// `127.0.0.1:port`.
    pub(crate) address: String,
}

impl Workspace {
    pub(crate) fn create() -> Result<Workspace, String> {
        let path = std::env::temp_dir().join(format!("chronolith-real-prometheus-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Workspace(path))
    }

    pub(crate) fn start_chronolith(&self) -> Result<Process, String> {
        let binary = Path::new(env!("CARGO_BIN_EXE_chronolith"));
        let data = self.0.join("chronolith");
        let arguments = |address: &str| {
            vec!["serve".to_owned(), format!("--data-dir={}", data.display()), format!("--listen={address}")]
        };
        self.start("chronolith", binary, "/-/ready", arguments)
    }

    /// A Prometheus server that scrapes nothing and receives remote writes.
    pub(crate) fn start_prometheus(&self, binary: &Path) -> Result<Process, String> {
        let (config, data) = (self.write("server.yml", "global: {}\n")?, self.0.join("prometheus"));
        let arguments = |address: &str| {
            vec![
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", data.display()),
                format!("--web.listen-address={address}"),
                "--web.enable-remote-write-receiver".to_owned(),
            ]
        };
        self.start("prometheus", binary, "/-/ready", arguments)
    }

    pub(crate) fn start_node_exporter(&self, binary: &Path) -> Result<Process, String> {
        self.start("node_exporter", binary, "/", |address| vec![format!("--web.listen-address={address}")])
    }

    /// A Prometheus agent that scrapes a node_exporter and a Prometheus every second and writes to all `receivers`.
    pub(crate) fn start_agent(
        &self,
        binary: &Path,
        targets: &[&Process; 2],
        receivers: &[&Process],
    ) -> Result<Process, String> {
        let mut text = "global: {scrape_interval: 1s}\nscrape_configs:\n".to_owned();
        for (job, target) in ["node", "prometheus"].iter().zip(targets) {
            let address = &target.address;
            text.push_str(&format!("- {{job_name: {job}, static_configs: [{{targets: ['{address}']}}]}}\n"));
        }
        text.push_str("remote_write:\n");
        for receiver in receivers {
            let url = format!("http://{}/api/v1/write", receiver.address);
            text.push_str(&format!("- {{url: '{url}', queue_config: {{batch_send_deadline: 500ms}}}}\n"));
        }
        let (config, data) = (self.write("agent.yml", &text)?, self.0.join("agent"));
        let arguments = |address: &str| {
            vec![
                "--enable-feature=agent".to_owned(),
                format!("--config.file={}", config.display()),
                format!("--storage.agent.path={}", data.display()),
                format!("--web.listen-address={address}"),
            ]
        };
        self.start("agent", binary, "/-/ready", arguments)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.0.join(name);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }

    fn start(
        &self,
        name: &str,
        binary: &Path,
        ready: &str,
        arguments: impl Fn(&str) -> Vec<String>,
    ) -> Result<Process, String> {
        let listener = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let address = listener.map_err(|e| format!("no free port: {e}"))?.to_string();
        let log = self.0.join(format!("{name}.log"));
        let output =
            || File::options().create(true).append(true).open(&log).map_err(|e| format!("{}: {e}", log.display()));
        // Under setpriv (util-linux) the kernel ends the child even when the test itself is killed.
        let mut guarded = Command::new("setpriv");
        guarded.args(["--pdeathsig", "KILL", "--"]).arg(binary);
        let spawn = |mut command: Command| -> Result<Child, String> {
            command.args(arguments(&address)).stdin(Stdio::null()).stdout(output()?).stderr(output()?);
            command.spawn().map_err(|e| format!("starting {}: {e}", binary.display()))
        };
        let child = spawn(guarded).or_else(|_| spawn(Command::new(binary)))?;
        let mut process = Process { child, address };
        let begin = Instant::now();
        while let Err(error) = http::get(&process.address, ready) {
            let ended = process.child.try_wait().map_err(|e| format!("waiting for {name}: {e}"))?;
            if ended.is_some() || begin.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("{name} is not ready ({ended:?}): {error}; its log:\n{log}"));
            }
            std::thread::sleep(POLL);
        }
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What a failed run leaves in the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
