//! Both servers with the same series: ours in this process, a real Prometheus beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use chronolith::Features;
use chronolith::ingest::snappy;
use chronolith::server::{Listen, Server, ServerConfig};
use chronolith_storage::clock::VirtualClock;
use chronolith_storage::engine::{Engine, EngineOptions};
use tokio::sync::oneshot;

use crate::answers::{self, Answer};
use crate::data::Data;
use crate::http;
use crate::messages::{self, Message};
use crate::rules::{Peer, Rule};
use crate::spawn::{Process, start};

/// Everything that Prometheus 3 hides behind a switch; a version that does not know one of them warns.
const FEATURES: &str = "promql-experimental-functions,promql-duration-expr,promql-extended-range-selectors,\
    promql-binop-fill-modifiers,native-histograms,st-storage,xor2-encoding,histograms-st-encoding,use-start-timestamps";
const V1: &str = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
    X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
const V2: &str = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n\
    X-Prometheus-Remote-Write-Version: 2.0.0\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
/// Names that come by OTLP stay as they are.
const CONFIG: &str = "global: {}\n";
const CONFIG_TODAY: &str = "global: {}\notlp: {translation_strategy: NoTranslation}\n";
/// The series stand in the first hours of 1970; so do both servers' clocks.
const NOW_MS: i64 = 86_400_000;

/// The real Prometheus: where it is and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Real {
    pub(crate) binary: PathBuf,
    pub(crate) peer: Peer,
    /// As it says.
    pub(crate) version: String,
}

/// Both servers.
pub(crate) struct Pair {
    ours: Ours,
    theirs: Process,
    directory: Directory,
}

struct Directory(PathBuf);

struct Ours {
    address: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Real {
    /// Asks the binary what it is.
    pub(crate) fn find(binary: PathBuf) -> Result<Real, String> {
        let told = std::process::Command::new(&binary).arg("--version").output().map_err(|e| e.to_string())?;
        let told = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
        let version = told.split("version ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let peer = if version.starts_with("2.") { Peer::Old } else { Peer::Today };
        Ok(Real { binary, peer, version: version.to_owned() })
    }
}

impl Pair {
    pub(crate) fn start(real: &Real, data: &Data, delayed_name_removal: bool) -> Result<Pair, String> {
        let directory = Directory::create()?;
        let theirs = prometheus(real, &directory.0, delayed_name_removal)?;
        let pair = Pair { ours: Ours::start(delayed_name_removal)?, theirs, directory };
        send(&pair.ours.address, messages::for_ours(data)?)?;
        let theirs = if real.peer.has(Rule::FloatsOnly) { messages::for_old(data) } else { messages::for_today(data) };
        send(&pair.theirs.address, theirs?)?;
        Ok(pair)
    }

    /// Both answers: ours, theirs.
    pub(crate) fn ask(&self, path: &str) -> Result<(Answer, Answer), String> {
        let ask = |address: &str| {
            let (_, body) =
                http::send(address, &format!("GET {path}"), "", &[]).map_err(|e| format!("{address}{path}: {e}"))?;
            answers::parse(&body).map_err(|e| format!("{address}{path}: {e}"))
        };
        Ok((ask(&self.ours.address)?, ask(&self.theirs.address)?))
    }

    /// What the real one logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.0.join("prometheus.log")).unwrap_or_default()
    }
}

fn send(address: &str, messages: Vec<Message>) -> Result<(), String> {
    for message in messages {
        let compressed = |body: &[u8]| snappy::encode(body).map_err(|e| e.to_string());
        let (path, headers, body) = match message {
            Message::RemoteWrite1(body) => ("/api/v1/write", V1, compressed(&body)?),
            Message::RemoteWrite2(body) => ("/api/v1/write", V2, compressed(&body)?),
            Message::Otlp(body) => ("/api/v1/otlp/v1/metrics", JSON, body.into_bytes()),
        };
        let (status, reply) =
            http::send(address, &format!("POST {path}"), headers, &body).map_err(|e| format!("{address}: {e}"))?;
        if !(200..300).contains(&status) {
            return Err(format!("writing to {address}{path}: {status} {}", String::from_utf8_lossy(&reply)));
        }
    }
    Ok(())
}

fn prometheus(real: &Real, dir: &Path, delayed_name_removal: bool) -> Result<Process, String> {
    let config = dir.join("prometheus.yml");
    let text = if real.peer == Peer::Today { CONFIG_TODAY } else { CONFIG };
    std::fs::write(&config, text).map_err(|e| e.to_string())?;
    start(dir, "prometheus", &real.binary, "/-/ready", |address| {
        let mut arguments = vec![
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", dir.join("data").display()),
            "--storage.tsdb.retention.time=100y".to_owned(),
            format!("--web.listen-address={address}"),
            "--web.enable-remote-write-receiver".to_owned(),
        ];
        if real.peer == Peer::Today {
            let delayed = if delayed_name_removal { ",promql-delayed-name-removal" } else { "" };
            arguments.push(format!("--enable-feature={FEATURES}{delayed}"));
            arguments.push("--web.enable-otlp-receiver".to_owned());
            let accepted = "--web.remote-write-receiver.accepted-protobuf-messages";
            arguments.push(format!("{accepted}=io.prometheus.write.v2.Request"));
        }
        arguments
    })
}

impl Ours {
    fn start(delayed_name_removal: bool) -> Result<Ours, String> {
        let clock = Arc::new(VirtualClock::at(NOW_MS));
        let engine = Engine::open(EngineOptions { clock, ..EngineOptions::in_memory() }).map_err(|e| e.to_string())?;
        let config = ServerConfig {
            listen: vec![Listen::asked("127.0.0.1:0")],
            features: Features { delayed_name_removal, use_start_timestamps: true, ..Features::default() },
            ..ServerConfig::default()
        };
        let server = Server::bind(config, engine).map_err(|e| e.to_string())?;
        let address = server.local_addr().map_err(|e| e.to_string())?.to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            server
                .run_blocking(async {
                    let _ = stopped.await;
                })
                .unwrap();
        });
        Ok(Ours { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

impl Directory {
    fn create() -> Result<Directory, String> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("chronolith-random-queries-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left in the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
