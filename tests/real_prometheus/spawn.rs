//! Programs that are started for a test: found, on a free port, killed at the end.

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

/// A process that listens on `address`; killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// `127.0.0.1:port`.
    pub(crate) address: String,
}

/// Starts a program with its log in `dir` and waits until it answers at the path `ready`.
pub(crate) fn start(
    dir: &Path,
    name: &str,
    binary: &Path,
    ready: &str,
    arguments: impl Fn(&str) -> Vec<String>,
) -> Result<Process, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let address = listener.map_err(|e| format!("no free port: {e}"))?.to_string();
    let log = dir.join(format!("{name}.log"));
    let output = || File::options().create(true).append(true).open(&log).map_err(|e| format!("{}: {e}", log.display()));
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

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
