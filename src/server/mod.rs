//! The server: one port for every HTTP protocol, another for PostgreSQL's, over an engine that blocks and knows no
//! network.
//!
//! [`Server::bind`] takes the addresses, [`Server::run`] serves until it is told to stop. Requests are read by tokio and
//! hyper, and worked on by bounded pools of blocking threads.

mod accept;
mod activity;
mod app;
mod body;
mod compress;
pub mod config;
mod cors;
mod counters;
mod events;
pub(crate) mod exposition;
mod json;
mod listen;
mod params;
#[cfg(feature = "sql")]
pub mod postgres;
mod prometheus;
mod request;
mod request_line;
mod respond;
mod router;
mod routes;
mod serve;
#[cfg(feature = "sql")]
mod sql;
mod storage_status;
mod work;

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use chronolith_storage::{MatcherError, engine::Engine};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use app::App;
pub use config::{Limits, Listen, ServerConfig, check_exposure};
/// The command line shows answers of a data directory as the API writes them.
pub(crate) use prometheus::result_json;
#[cfg(feature = "sql")]
pub(crate) use sql::{Format as RowFormat, Writer as RowWriter};

/// The stack of each thread that [`Server::run_blocking`] makes. A query may be nested up to the parser's limit, and
/// parsing, printing and evaluating it walk down its tree: 4 MiB in a build without optimisation. Pages that are never
/// touched cost nothing.
pub const THREAD_STACK_BYTES: usize = 16 << 20;

/// Why a server does not start, or stops by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Others could reach the server although there is no login.
    #[error(
        "refusing to listen on {address}: others can reach it and the server has no login. Listen on a loopback address \
         such as 127.0.0.1:{port}, or say --insecure-no-auth if the network itself keeps strangers out (for PostgreSQL's \
         protocol there is --postgres-users as well)", port = address.port()
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// An address cannot be had.
    #[error("cannot listen on {address}: {source}. Choose another address, or stop the program that has it")]
    Bind {
        /// The address as it was asked for.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// Every default address is taken.
    #[error("no address is left to listen on: {addresses} taken by other programs. Choose one with --listen")]
    NoAddress {
        /// The addresses that were tried.
        addresses: String,
    },
    /// The pattern for origins does not compile.
    #[error("the CORS origin {pattern:?} is no regular expression: {source}")]
    CorsOrigin {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: MatcherError,
    },
    /// The SQL engine does not start.
    #[cfg(feature = "sql")]
    #[error("SQL cannot be served: {0}")]
    Sql(#[from] chronolith_sql::SqlError),
    /// The runtime cannot start.
    #[error("the server's threads cannot be started: {0}")]
    Runtime(io::Error),
}

/// A server that has its addresses and waits to be run.
pub struct Server {
    app: Arc<App>,
    listeners: Vec<std::net::TcpListener>,
    #[cfg(feature = "sql")]
    postgres: Vec<std::net::TcpListener>,
}

impl Server {
    /// Takes the configured addresses. Connections wait in the system's queue until the server is run.
    ///
    /// # Errors
    /// When an address cannot be had or must not be served without a login.
    pub fn bind(config: ServerConfig, engine: Engine) -> Result<Self, ServerError> {
        let listeners = listen::bind(&config.listen, config.insecure_no_auth)?;
        #[cfg(feature = "sql")]
        let postgres =
            listen::bind_free(&config.postgres.listen, config.insecure_no_auth || config.postgres.users.is_some())?;
        Ok(Self {
            app: Arc::new(App::new(config, engine)?),
            listeners,
            #[cfg(feature = "sql")]
            postgres,
        })
    }

    /// Every address on which PostgreSQL's protocol is spoken.
    ///
    /// # Errors
    /// When the system does not tell.
    #[cfg(feature = "sql")]
    pub fn postgres_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.postgres.iter().map(std::net::TcpListener::local_addr).collect()
    }

    /// Shows what consumers of Kafka count among the server's metrics.
    #[cfg(feature = "kafka")]
    #[must_use]
    pub fn with_kafka(self, status: crate::kafka::KafkaStatus) -> Self {
        // Only a server that runs shares its state, so there is nobody else who could set it.
        let _ = self.app.kafka.set(status);
        self
    }

    /// The first address that is listened on.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listeners.first().map_or_else(|| Err(io::ErrorKind::AddrNotAvailable.into()), |l| l.local_addr())
    }

    /// Every address that is listened on.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(std::net::TcpListener::local_addr).collect()
    }

    /// Serves until `shutdown` is ready, then lets running requests end. The runtime that polls this must have been built
    /// with threads of [`THREAD_STACK_BYTES`]; [`Server::run_blocking`] builds such a one.
    ///
    /// # Errors
    /// When the runtime does not take the sockets.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let (stop, stopped) = watch::channel(false);
        let places = Arc::new(Semaphore::new(self.app.config.limits.max_connections.max(1)));
        let mut loops = JoinSet::new();
        for listener in self.listeners {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(ServerError::Runtime)?;
            loops.spawn(accept::accept(Arc::clone(&self.app), listener, Arc::clone(&places), stopped.clone()));
        }
        #[cfg(feature = "sql")]
        {
            let no_random = |e| ServerError::Runtime(io::Error::other(e));
            let postgres = Arc::new(postgres::Postgres::new(Arc::clone(&self.app)).map_err(no_random)?);
            let places = Arc::new(Semaphore::new(self.app.config.limits.max_connections.max(1)));
            for listener in self.postgres {
                let listener = tokio::net::TcpListener::from_std(listener).map_err(ServerError::Runtime)?;
                loops.spawn(postgres::accept(Arc::clone(&postgres), listener, Arc::clone(&places), stopped.clone()));
            }
        }
        shutdown.await;
        self.app.stop();
        // The loops hold receivers, so this cannot fail while one of them runs.
        let _ = stop.send(true);
        while loops.join_next().await.is_some() {}
        Ok(())
    }

    /// Makes a runtime and serves on it until `shutdown` is ready: for programs without a runtime of their own.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn run_blocking(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("chronolith-http")
            .thread_stack_size(THREAD_STACK_BYTES)
            .build()
            .map_err(ServerError::Runtime)?;
        runtime.block_on(self.run(shutdown))
    }
}
