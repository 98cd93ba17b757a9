//! What a connection is doing, so that a client that stalls can be told from one that works.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{config::Limits, request_line};

/// Bytes that are read at once while a request line is awaited.
const LINE_PART: usize = 4 << 10;

/// Why a connection is closed by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stall {
    /// A request's head began and did not end in time, or none began on a new connection.
    Head,
    /// The client does not read what it is sent.
    Send,
    /// There was no request for long.
    Idle,
}

/// Moments are milliseconds since the connection was accepted, plus one; 0 means never.
#[derive(Debug)]
pub(crate) struct Activity {
    accepted: Instant,
    requests: AtomicUsize,
    /// When the first byte after the last request arrived.
    head_since: AtomicU64,
    /// Since when writing is blocked by the client.
    blocked_since: AtomicU64,
    /// When the last request ended.
    idle_since: AtomicU64,
    /// Whether the next bytes are certainly those of a request line of HTTP/1. After a request with a body they may be
    /// the body's, which must not be touched.
    line_awaited: AtomicBool,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            accepted: Instant::now(),
            requests: AtomicUsize::new(0),
            // A new connection owes a request at once.
            head_since: AtomicU64::new(1),
            blocked_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(1),
            line_awaited: AtomicBool::new(true),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Counts a request as under way until the guard is dropped. `line_follows` says that the next bytes of the
    /// connection, if any, are a request line.
    pub(crate) fn request(self: &Arc<Self>, line_follows: bool) -> RequestGuard {
        self.line_awaited.store(line_follows, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.head_since.store(0, Relaxed);
        RequestGuard(Arc::clone(self))
    }

    fn received(&self) {
        if self.requests.load(Relaxed) == 0 && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    fn sent(&self) {
        self.blocked_since.store(0, Relaxed);
    }

    fn send_blocked(&self) {
        if self.blocked_since.load(Relaxed) == 0 {
            self.blocked_since.store(self.now(), Relaxed);
        }
    }

    /// Whether the client stalled for longer than it may.
    pub(crate) fn stall(&self, limits: &Limits) -> Option<Stall> {
        let now = self.now();
        let over = |since: u64, limit: Duration| since != 0 && u128::from(now - since.min(now)) >= limit.as_millis();
        if over(self.blocked_since.load(Relaxed), limits.send_timeout) {
            return Some(Stall::Send);
        }
        if self.requests.load(Relaxed) > 0 {
            return None;
        }
        if over(self.head_since.load(Relaxed), limits.head_timeout) {
            return Some(Stall::Head);
        }
        over(self.idle_since.load(Relaxed), limits.idle_timeout).then_some(Stall::Idle)
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Relaxed);
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

/// A connection that tells its [`Activity`] what passes through it.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) stream: TcpStream,
    pub(crate) activity: Arc<Activity>,
}

impl Watched {
    fn note<T>(&self, sent: &Poll<io::Result<T>>) {
        match sent {
            Poll::Ready(_) => self.activity.sent(),
            Poll::Pending => self.activity.send_blocked(),
        }
    }
}

impl Watched {
    /// Reads a part of a request line, and what came with it.
    fn poll_read_line(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, room: usize) -> Poll<io::Result<()>> {
        let mut space = [0; LINE_PART];
        let mut part = ReadBuf::new(space.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        if request_line::mend(part.filled(), buf) {
            self.activity.line_awaited.store(false, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = (buf.remaining() / request_line::GROWTH).min(LINE_PART);
        let read = if room > 0 && self.activity.line_awaited.load(Relaxed) {
            self.poll_read_line(cx, buf, room)
        } else {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        };
        if buf.filled().len() > before {
            self.activity.received();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(&sent);
        sent
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(&sent);
        sent
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
