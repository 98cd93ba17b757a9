//! What the server is told at start, and the check that keeps an open server off the network.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::ServerError;
#[cfg(feature = "sql")]
use super::postgres::PostgresConfig;
use crate::Features;

/// The address that is listened on when none was asked for: Prometheus' port, on loopback.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:9090";

/// Where the server listens, what it allows, and what it tells about itself.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The addresses to listen on.
    pub listen: Vec<Listen>,
    /// What a client may ask of the server.
    pub limits: Limits,
    /// How PostgreSQL's protocol is served.
    #[cfg(feature = "sql")]
    pub postgres: PostgresConfig,
    /// Limits of SQL.
    #[cfg(feature = "sql")]
    pub sql: chronolith_sql::SqlOptions,
    /// How many queries run at once; further ones wait until their timeout.
    pub query_concurrency: usize,
    /// How long a query may take, waiting included; a request can only ask for less.
    pub query_timeout: Duration,
    /// How far back an instant selector looks for a sample.
    pub lookback: Duration,
    /// How many samples one query may hold in memory.
    pub max_samples: usize,
    /// What Prometheus' `--enable-feature` switches on.
    pub features: Features,
    /// Whether `/api/v1/admin` may be used: it deletes data.
    pub enable_admin_api: bool,
    /// Whether addresses that others can reach may be served although there is no login.
    pub insecure_no_auth: bool,
    /// A regular expression, anchored at both ends: the origins whose scripts may read answers.
    pub cors_origin: String,
    /// What `/api/v1/status/flags` shows.
    pub flags: BTreeMap<String, String>,
    /// What `/api/v1/status/config` shows.
    pub config_text: String,
    /// What `/api/v1/status/runtimeinfo` shows as retention, such as `15d`.
    pub retention_text: String,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: vec![Listen::default_port(DEFAULT_LISTEN)],
            limits: Limits::default(),
            #[cfg(feature = "sql")]
            postgres: PostgresConfig::default(),
            #[cfg(feature = "sql")]
            sql: default_sql(),
            query_concurrency: 20,
            query_timeout: Duration::from_secs(120),
            lookback: Duration::from_secs(300),
            max_samples: 50_000_000,
            features: Features::default(),
            enable_admin_api: false,
            insecure_no_auth: false,
            cors_origin: ".*".to_owned(),
            flags: BTreeMap::new(),
            config_text: String::new(),
            retention_text: String::new(),
        }
    }
}

/// Limits of SQL when nobody says otherwise.
#[cfg(feature = "sql")]
fn default_sql() -> chronolith_sql::SqlOptions {
    chronolith_sql::SqlOptions {
        memory_bytes: 512 << 20,
        spill_dir: None,
        statement_timeout: None,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// `host:port`; an empty host means every interface, port 0 any free port.
    pub address: String,
    /// Whether somebody asked for it. An address that is only a default is skipped when it is taken.
    pub asked: bool,
}

impl Listen {
    /// An address that was asked for: it is an error when it cannot be had.
    #[must_use]
    pub fn asked(address: impl Into<String>) -> Self {
        Self { address: address.into(), asked: true }
    }

    /// An address that is listened on because none was asked for: skipped with a warning when it is taken.
    #[must_use]
    pub fn default_port(address: impl Into<String>) -> Self {
        Self { address: address.into(), asked: false }
    }
}

/// What a client may ask of the server. Each limit has an HTTP status that names it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections; further ones wait to be accepted.
    pub max_connections: usize,
    /// Bytes of a request's line and headers together (431).
    pub max_head_bytes: usize,
    /// Bytes of a request's target, its query included (414).
    pub max_target_bytes: usize,
    /// Headers of a request (431).
    pub max_headers: usize,
    /// Bytes of a request's body as it is sent (413).
    pub max_body_bytes: usize,
    /// Bytes of a remote-write or remote-read body after decompression (413).
    pub max_decoded_bytes: usize,
    /// Bytes of a form sent as a body (413).
    pub max_form_bytes: usize,
    /// Bytes of all request bodies that are held at once (503).
    pub max_bodies_bytes: usize,
    /// Streams of one HTTP/2 connection.
    pub max_streams: u32,
    /// How long a request's head may take to arrive.
    pub head_timeout: Duration,
    /// How long a request's body may take to arrive (408).
    pub body_timeout: Duration,
    /// How long a client may refuse to read what is sent to it.
    pub send_timeout: Duration,
    /// How long a connection without a request stays open.
    pub idle_timeout: Duration,
    /// How long requests may go on after the server was told to stop.
    pub shutdown_timeout: Duration,
    /// Writes that are worked on at once.
    pub write_concurrency: usize,
    /// Writes that wait for their turn; further ones are refused (503).
    pub write_queue: usize,
    /// How long a write waits for its turn (503).
    pub write_queue_timeout: Duration,
    /// Samples of one remote-read answer that is not streamed (400).
    pub max_read_samples: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 512,
            max_head_bytes: 64 << 10,
            max_target_bytes: 56 << 10,
            max_headers: 100,
            max_body_bytes: 32 << 20,
            max_decoded_bytes: 32 << 20,
            max_form_bytes: 1 << 20,
            max_bodies_bytes: 256 << 20,
            max_streams: 64,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(300),
            shutdown_timeout: Duration::from_secs(30),
            write_concurrency: 64,
            write_queue: 256,
            write_queue_timeout: Duration::from_secs(10),
            max_read_samples: 10_000_000,
        }
    }
}

/// Refuses an address that others can reach while there is no login, unless that was asked for by name.
///
/// # Errors
/// Says which address it is and what to do instead.
pub fn check_exposure(address: SocketAddr, insecure_no_auth: bool) -> Result<(), ServerError> {
    if address.ip().is_loopback() || insecure_no_auth {
        return Ok(());
    }
    Err(ServerError::Exposed { address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_served_without_a_login() {
        for open in ["127.0.0.1:9090", "127.8.9.1:1", "[::1]:9090"] {
            check_exposure(open.parse().unwrap(), false).unwrap();
        }
        for reachable in ["0.0.0.0:9090", "[::]:9090", "192.168.1.5:9090", "[2001:db8::1]:80"] {
            let error = check_exposure(reachable.parse().unwrap(), false).unwrap_err().to_string();
            assert!(error.contains(reachable) && error.contains("--insecure-no-auth"), "{error}");
            check_exposure(reachable.parse().unwrap(), true).unwrap();
        }
    }
}
