//! Runs the binary: to its end, or until it is told to stop.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Longer than anything here takes, also on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The binary, with nothing of this environment that it would listen to.
pub(crate) fn chronolith() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronolith"));
    command.env_remove("CHRONOLITH_URL").env_remove("CHRONOLITH_LISTEN").env("COLUMNS", "100");
    // PostgreSQL's port may be taken, by a test beside this one for instance.
    command.env("CHRONOLITH_POSTGRES_LISTEN", "none");
    command
}

/// Runs the binary to its end.
pub(crate) fn run(dir: &Path, args: &[&str]) -> Output {
    chronolith().args(args).current_dir(dir).stdin(Stdio::null()).output().unwrap()
}

/// Runs the binary, which must succeed, and gives what it printed.
pub(crate) fn succeed(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A process that serves.
pub(crate) struct Serving {
    child: Child,
    pub(crate) url: String,
    /// What it said before it listened.
    pub(crate) preface: String,
    stdout: Receiver<String>,
    rest: Option<JoinHandle<String>>,
}

impl Serving {
    /// Starts a command and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut preface = String::new();
        let url = loop {
            let before = preface.len();
            assert!(stderr.read_line(&mut preface).unwrap() > 0, "ended before it listened: {preface}");
            if let Some(url) = preface[before..].trim_end().strip_prefix("listening on ") {
                break url.to_owned();
            }
        };
        // Both streams are read on, so that the process never waits for a reader.
        let rest = thread::spawn(move || {
            let mut rest = String::new();
            stderr.read_to_string(&mut rest).unwrap();
            rest
        });
        let (tell, stdout) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, url, preface, stdout, rest: Some(rest) }
    }

    /// `serve` in this directory, on a free port.
    pub(crate) fn serve(dir: &Path, args: &[&str]) -> Self {
        Self::start(chronolith().arg("serve").args(["--listen", "127.0.0.1:0"]).args(args).current_dir(dir))
    }

    /// What was printed up to a line that holds `word`.
    pub(crate) fn printed_up_to(&self, word: &str) -> String {
        let mut all = String::new();
        while !all.contains(word) {
            let line = self.stdout.recv_timeout(PATIENCE);
            all.push_str(&line.unwrap_or_else(|e| panic!("no line with {word:?} ({e}): {all}")));
            all.push('\n');
        }
        all
    }

    /// Sends SIGTERM and waits; gives the exit status and what was said on standard error.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let rest = self.rest.take().unwrap().join().unwrap();
        (status, self.preface.clone() + &rest)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Fails when it has ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
