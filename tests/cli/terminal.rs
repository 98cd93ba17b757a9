//! The shell as it is typed in, on a pseudo-terminal that util-linux' `script` makes.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use crate::harness::succeed;

/// Longer than anything here takes, also on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);
const READY: &str = "chronolith=> ";
const GOES_ON: &str = "chronolith-> ";

/// A shell, and what it has shown that nobody waited for yet.
struct Shell {
    child: Child,
    keys: ChildStdin,
    shown: Receiver<Vec<u8>>,
    screen: String,
}

impl Shell {
    fn start(dir: &Path) -> Self {
        let command = format!("'{}' sql --data-dir data", env!("CARGO_BIN_EXE_chronolith"));
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &command, "/dev/null"]).current_dir(dir);
        script.env("XDG_STATE_HOME", dir.join("state")).env("TERM", "xterm").env("SHELL", "/bin/sh");
        script.env_remove("CHRONOLITH_URL").env_remove("NO_COLOR");
        let mut child = script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("`script` of util-linux is needed: {e}"));
        let (keys, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (tell, shown) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut bytes) {
                if tell.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut shell = Self { child, keys, shown, screen: String::new() };
        shell.wait_for(READY);
        shell
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until this is shown, and forgets what was shown up to it.
    fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.screen.find(text) {
                self.screen.drain(..at + text.len());
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.screen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{text:?} was not shown, but {:?}", self.screen),
            }
        }
    }

    /// Leaves by Ctrl-D.
    fn leave(mut self) {
        self.press("\x04");
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn statements_are_typed_completed_dropped_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("clicks.ndjson"), "{\"a\":1}\n{\"a\":2}\n{\"a\":4}\n").unwrap();
    succeed(dir.path(), &["import", "--data-dir", "data", "--table", "clicks", "clicks.ndjson"]);

    let mut shell = Shell::start(dir.path());
    // Over two lines, the table's name by Tab.
    shell.press("SELECT 'sum ' || sum(a) AS s\r");
    shell.wait_for(GOES_ON);
    shell.press("FROM cli\t");
    shell.wait_for("FROM clicks");
    shell.press(";\r");
    shell.wait_for("sum 7");
    shell.wait_for(READY);
    // Ctrl-C drops a line, and the lines before it.
    shell.press("SELECT 'nobody sees'");
    shell.wait_for("sees'");
    shell.press("\x03");
    shell.wait_for(READY);
    shell.press("SELECT 'dropped'\r");
    shell.wait_for(GOES_ON);
    shell.press("\x03");
    shell.wait_for(READY);
    shell.press("SELECT 40 + 2;\r");
    shell.wait_for("42");
    shell.wait_for(READY);
    assert!(!shell.screen.contains("dropped"), "{}", shell.screen);
    shell.leave();

    // The next one knows what was typed: the newest line is the first above.
    let mut shell = Shell::start(dir.path());
    shell.press("\x1b[A");
    shell.wait_for("SELECT 40 + 2;");
    shell.press("\r");
    shell.wait_for("42");
    shell.wait_for(READY);
    shell.leave();
}
