//! Accepts PostgreSQL connections, and ends them when the server stops.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::{Postgres, connection, counters::count};

/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections beyond the limit that are told so, or that cancel a statement; further ones are closed at once.
const MAX_BEYOND: usize = 64;
/// A connection on which nothing comes for this long is asked for a sign of life, so that clients that vanished are found.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Accepts until `stop` says true, then lets running statements end within the shutdown timeout.
pub(crate) async fn accept(
    server: Arc<Postgres>,
    listener: TcpListener,
    places: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let beyond = Arc::new(Semaphore::new(MAX_BEYOND));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|&stop| stop) => break,
            accepted = listener.accept() => accepted,
            // Ended connections leave the set.
            Some(_) = connections.join_next() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a PostgreSQL connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        count(&server.app.postgres.connections);
        prepare(&stream);
        let (place, is_full) = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => (place, false),
            Err(_) => match Arc::clone(&beyond).try_acquire_owned() {
                Ok(place) => (place, true),
                Err(_) => {
                    count(&server.app.postgres.refused);
                    continue;
                }
            },
        };
        let (server, stop) = (Arc::clone(&server), stop.clone());
        connections.spawn(async move {
            let open = Open::count(Arc::clone(&server));
            Box::pin(connection::serve(server, stream, stop, is_full)).await;
            drop((open, place));
        });
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(server.app.config.limits.shutdown_timeout, drained).await.is_err() {
        tracing::warn!("statements that were still running are cut off");
        connections.shutdown().await;
    }
}

/// Sets up a socket; one that refuses works as well.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

/// Counts a connection as open until it is dropped, however it ends.
struct Open(Arc<Postgres>);

impl Open {
    fn count(server: Arc<Postgres>) -> Self {
        server.app.postgres.open.fetch_add(1, Relaxed);
        Self(server)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.app.postgres.open.fetch_sub(1, Relaxed);
    }
}
