//! A server over an engine in memory that speaks PostgreSQL's protocol.

use std::{net::SocketAddr, thread::JoinHandle, time::Instant};

use chronolith::server::{Listen, Server, ServerConfig};
use chronolith_storage::engine::{Engine, EngineOptions};
use tokio::sync::oneshot;

use crate::client::{Client, PATIENCE};

/// A running server; it is stopped when it is dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) http: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::configured(|_| {})
    }

    pub(crate) fn configured(configure: impl FnOnce(&mut ServerConfig)) -> Self {
        let engine = Engine::open(EngineOptions::in_memory()).unwrap();
        let mut config = ServerConfig { listen: vec![Listen::asked("127.0.0.1:0")], ..ServerConfig::default() };
        config.postgres.listen = vec![Listen::asked("127.0.0.1:0")];
        configure(&mut config);
        let server = Server::bind(config, engine).unwrap();
        let address = server.postgres_addrs().unwrap()[0];
        let http = server.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            server
                .run_blocking(async {
                    let _ = stopped.await;
                })
                .unwrap();
        });
        Self { address, http, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Tells the server to stop, and does not wait for it.
    pub(crate) fn tell_to_stop(&mut self) {
        drop(self.stop.take());
    }

    /// One of the server's own metrics.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(self.http).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    /// Asks for a metric until it has this value.
    pub(crate) fn wait_for(&self, name: &str, value: f64) {
        let began = Instant::now();
        while self.metric(name) != value {
            assert!(began.elapsed() < PATIENCE, "{name} did not become {value}");
            std::thread::yield_now();
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.tell_to_stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}
