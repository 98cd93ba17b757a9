//! The binary as a process: started, asked over HTTP, killed.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// No request is waited for longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Ready after a kill within this, in the dev profile and on a loaded machine.
pub(crate) const READY: Duration = Duration::from_secs(5);

/// The binary, deaf to this environment.
pub(crate) fn chronolith() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronolith"));
    command.env_remove("CHRONOLITH_URL").env_remove("CHRONOLITH_LISTEN").stdin(Stdio::null());
    command
}

pub(crate) fn run(args: &[&str], dir: &Path) -> Output {
    chronolith().args(args).arg(dir).output().unwrap()
}

/// A server process.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) log: Option<JoinHandle<String>>,
}

impl Server {
    pub(crate) fn spawn(dir: &Path) -> Child {
        let mut command = chronolith();
        command.args(["serve", "--listen", "127.0.0.1:0", "--enable-admin-api", "--log-level", "warn"]);
        // So little memory that samples of new series alone make it flush.
        command.args(["--memory-budget", "10MB", "--data-dir"]).arg(dir);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts it, waits until it is ready, and gives the time that took.
    pub(crate) fn start(dir: &Path) -> (Self, Duration) {
        let began = Instant::now();
        let mut child = Self::spawn(dir);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let before = said.len();
            assert!(stderr.read_line(&mut said).unwrap() > 0, "ended before it listened: {said}");
            if let Some(address) = said[before..].trim_end().strip_prefix("listening on http://") {
                break address.to_owned();
            }
        };
        let log = thread::spawn(move || {
            // What a killed process said last may be no whole text.
            let mut rest = Vec::new();
            let _ = stderr.read_to_end(&mut rest);
            said + &String::from_utf8_lossy(&rest)
        });
        let server = Self { child, address, log: Some(log) };
        while get(&server.address, "/-/ready").unwrap().0 != 200 {
            assert!(began.elapsed() < READY, "not ready");
            thread::yield_now();
        }
        (server, began.elapsed())
    }

    /// Waits for its end and gives what it said.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.log.take().unwrap().join().unwrap())
    }

    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.ended().1
    }

    pub(crate) fn terminate(self) -> (ExitStatus, String) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        self.ended()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(log) = self.log.take() else { return };
        // Only a failed test comes here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        println!("the server said: {}", log.join().unwrap_or_default());
    }
}

/// Sends a request and reads the whole reply: its status and body. A reply that was cut off is an error.
pub(crate) fn exchange(address: &str, head: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // One reply a connection in HTTP/1.0: its end is the end of the stream.
    let head = format!("{head}\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let cut_off = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let end = reply.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(cut_off)?;
    let head = String::from_utf8_lossy(&reply[..end]).to_ascii_lowercase();
    let status: u16 = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(cut_off)?;
    let len: usize = match head.lines().find_map(|l| l.strip_prefix("content-length: ")) {
        Some(len) => len.parse().unwrap(),
        None if status == 204 => 0,
        None => panic!("no length: {head}"),
    };
    let body = reply.split_off(end + 4);
    if body.len() == len { Ok((status, body)) } else { Err(cut_off()) }
}

pub(crate) fn get(address: &str, target: &str) -> io::Result<(u16, Vec<u8>)> {
    exchange(address, &format!("GET {target} HTTP/1.0"), b"")
}

pub(crate) fn write(address: &str, body: &[u8], is_v2: bool) -> io::Result<(u16, Vec<u8>)> {
    let message = if is_v2 { "io.prometheus.write.v2.Request" } else { "prometheus.WriteRequest" };
    let kind = format!("content-type: application/x-protobuf;proto={message}\r\ncontent-encoding: snappy");
    exchange(address, &format!("POST /api/v1/write HTTP/1.0\r\n{kind}"), body)
}
