//! A server over an engine in memory, and a client that shows every byte.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use chronolith::{
    ingest::{
        remote_write::{Sample, SeriesData, V1Encoder, V2Encoder},
        snappy,
    },
    server::{Listen, Server, ServerConfig},
};
use chronolith_storage::{
    Labels,
    clock::VirtualClock,
    engine::{Engine, EngineOptions},
};
use serde_json::Value;
use tokio::sync::oneshot;

/// What the engine's clock shows, in milliseconds.
pub(crate) const NOW: i64 = 1_700_000_000_000;

/// A running server; it is stopped when it is dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::with(|_| {}, |_| {})
    }

    pub(crate) fn configured(configure: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::with(configure, |_| {})
    }

    pub(crate) fn with(configure: impl FnOnce(&mut ServerConfig), options: impl FnOnce(&mut EngineOptions)) -> Self {
        let clock = Arc::new(VirtualClock::at(NOW));
        let mut engine_options = EngineOptions { clock, ..EngineOptions::in_memory() };
        options(&mut engine_options);
        let engine = Engine::open(engine_options).unwrap();
        let mut config = ServerConfig { listen: vec![Listen::asked("127.0.0.1:0")], ..ServerConfig::default() };
        configure(&mut config);
        let server = Server::bind(config, engine.clone()).unwrap();
        let address = server.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            server
                .run_blocking(async {
                    let _ = stopped.await;
                })
                .unwrap();
        });
        Self { address, engine, stop: Some(stop), thread: Some(thread) }
    }

    /// A connection that gives up after a while, so that no test hangs.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends a request with these headers and reads the whole answer.
    pub(crate) fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut stream = self.connect();
        stream.write_all(head.as_bytes()).unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(body);
        read_reply(&mut stream, method == "HEAD")
    }

    pub(crate) fn get(&self, target: &str) -> Reply {
        self.send("GET", target, &[], b"")
    }

    pub(crate) fn post_form(&self, target: &str, fields: &[(&str, &str)]) -> Reply {
        let form = form(fields);
        self.send("POST", target, &[("content-type", "application/x-www-form-urlencoded")], form.as_bytes())
    }

    /// The data of a success.
    pub(crate) fn data(&self, target: &str) -> Value {
        let reply = self.get(target);
        let json = reply.json();
        assert_eq!((reply.status, &json["status"]), (200, &"success".into()), "{target}: {json}");
        json["data"].clone()
    }

    /// The status, `errorType` and `error` of a failure.
    pub(crate) fn error(&self, target: &str) -> (u16, String, String) {
        self.get(target).error()
    }

    /// Writes a body by remote write 1.0.
    pub(crate) fn write_v1(&self, body: &[u8]) -> Reply {
        let headers = [
            ("content-type", "application/x-protobuf"),
            ("content-encoding", "snappy"),
            ("x-prometheus-remote-write-version", "0.1.0"),
        ];
        self.send("POST", "/api/v1/write", &headers, &snappy::encode(body).unwrap())
    }

    /// Writes a body by remote write 2.0.
    pub(crate) fn write_v2(&self, body: &[u8]) -> Reply {
        let headers = [
            ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
            ("content-encoding", "snappy"),
            ("x-prometheus-remote-write-version", "2.0.0"),
        ];
        self.send("POST", "/api/v1/write", &headers, &snappy::encode(body).unwrap())
    }

    /// Writes float samples: (labels, [(milliseconds from [`NOW`], value)]).
    pub(crate) fn load(&self, series: &[(&str, &[(i64, f64)])]) {
        let mut encoder = V1Encoder::new();
        for (text, samples) in series {
            let samples: Vec<_> = samples.iter().map(|(t, v)| Sample::new(NOW + t, *v)).collect();
            encoder.push(&SeriesData::floats(&labels(text), &samples));
        }
        let reply = self.write_v1(encoder.as_bytes());
        assert_eq!(reply.status, 204, "{}", reply.text());
    }

    /// A good sample can be written and read: the server did not suffer.
    pub(crate) fn still_works(&self) {
        self.load(&[("alive{}", &[(0, 1.0)])]);
        let found = self.data(&format!("/api/v1/query?query=alive&time={}", NOW / 1000));
        assert_eq!(found["result"][0]["value"][1], "1");
    }
}

impl Drop for TestServer {
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

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether a chunked body came to its end.
    pub(crate) complete: bool,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn error(&self) -> (u16, String, String) {
        let json = self.json();
        assert_eq!(json["status"], "error", "{json}");
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        (self.status, text("errorType"), text("error"))
    }
}

/// Reads an answer up to its end.
pub(crate) fn read_reply(stream: &mut TcpStream, is_head: bool) -> Reply {
    let mut bytes = Vec::new();
    let mut part = [0; 64 << 10];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&part[..n]),
            // A reset after the answer is no loss of it.
            Err(error) if !bytes.is_empty() => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                break;
            }
            Err(error) => panic!("no answer: {error}"),
        }
    }
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<_> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        })
        .collect();
    let mut reply = Reply { status, headers, body: bytes.split_off(end + 4), complete: true };
    if reply.header("transfer-encoding") == Some("chunked") {
        (reply.body, reply.complete) = unchunk(&reply.body);
    } else if let Some(length) = reply.header("content-length").filter(|_| !is_head) {
        assert_eq!(reply.body.len(), length.parse::<usize>().unwrap());
    }
    reply
}

fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return (body, true);
        }
        let Some(chunk) = bytes.get(end + 2..end + 2 + length) else { break };
        body.extend_from_slice(chunk);
        bytes = bytes.get(end + 4 + length..).unwrap_or_default();
    }
    (body, false)
}

/// Labels from `name{a="b",c="d"}`.
pub(crate) fn labels(text: &str) -> Labels {
    let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
    let pairs = rest.trim_end_matches('}').split(',').filter(|p| !p.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap();
        (name, value.trim_matches('"'))
    });
    Labels::from_pairs([("__name__", name)].into_iter().chain(pairs))
}

/// A remote write 2.0 body.
pub(crate) fn v2(series: &[SeriesData<'_>]) -> Vec<u8> {
    let mut encoder = V2Encoder::new();
    for series in series {
        encoder.push(series);
    }
    encoder.finish()
}

/// A form, encoded.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A target with a query.
pub(crate) fn target(path: &str, fields: &[(&str, &str)]) -> String {
    format!("{path}?{}", form(fields))
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
