//! Accepts connections and serves them over HTTP/1 and HTTP/2, with deadlines for clients that stall.

use std::{convert::Infallible, io, pin::pin, sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use hyper::{
    Request, Version,
    body::{Body as _, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::{
    activity::{Activity, Stall, Watched},
    app::App,
    config::Limits,
    serve,
};

/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The frames of HTTP/2 are at least this long by its rules, and hyper's buffer no shorter.
const MIN_BUFFER: usize = 8 << 10;
/// Streams that a peer may reset before they were served, per connection (HTTP/2 rapid reset).
const MAX_PENDING_RESETS: usize = 20;

/// Accepts until `stop` says true, then lets running requests end within the shutdown timeout.
pub(crate) async fn accept(
    app: Arc<App>,
    listener: TcpListener,
    places: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let builder = Arc::new(builder(&app.config.limits));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|&stop| stop) => break,
            accepted = next(&listener, &places) => accepted,
            // Ended connections leave the set.
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, place)) => {
                let (app, builder, stop) = (Arc::clone(&app), Arc::clone(&builder), stop.clone());
                connections.spawn(async move {
                    app.counters.connections.fetch_add(1, Relaxed);
                    serve_connection(app, &builder, stream, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(app.config.limits.shutdown_timeout, drained).await.is_err() {
        tracing::warn!("requests that were still running are cut off");
        connections.shutdown().await;
    }
}

/// The next connection, once there is a place for it.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // hyper's timer runs between requests too, so it can only stand for the longer of the two limits; slow heads
        // are seen by `Activity`.
        .header_read_timeout(limits.idle_timeout.max(limits.head_timeout))
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_head_bytes.max(MIN_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_header_list_size(u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX));
    builder
}

async fn serve_connection(
    app: Arc<App>,
    builder: &Builder<TokioExecutor>,
    stream: TcpStream,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are written whole, so waiting to fill packets only costs time; a socket that refuses works as well.
    let _ = stream.set_nodelay(true);
    let activity = Activity::new();
    let io = TokioIo::new(Watched { stream, activity: Arc::clone(&activity) });
    let service = {
        let (app, activity) = (Arc::clone(&app), Arc::clone(&activity));
        service_fn(move |request: Request<Incoming>| {
            let line_follows = request.version() <= Version::HTTP_11 && request.body().is_end_stream();
            let (app, under_way) = (Arc::clone(&app), activity.request(line_follows));
            async move { Ok::<_, Infallible>(serve::answer(app, request).await.map(|body| body.keep(under_way))) }
        })
    };
    let limits = &app.config.limits;
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut ticks = tokio::time::interval(tick(limits));
    let mut stopping = false;
    let mut closing = false;
    loop {
        tokio::select! {
            served = connection.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            _ = stop.wait_for(|&stop| stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = ticks.tick() => match activity.stall(limits) {
                None => {}
                Some(Stall::Idle) if !closing => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                Some(stall) => {
                    app.counters.connections_closed_by_server.fetch_add(1, Relaxed);
                    tracing::debug!(?stall, "a connection that stalls is closed");
                    return;
                }
            }
        }
    }
}

/// How often a connection is looked at: a quarter of the shortest limit.
fn tick(limits: &Limits) -> Duration {
    let shortest = limits.head_timeout.min(limits.send_timeout).min(limits.idle_timeout);
    (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(5))
}
