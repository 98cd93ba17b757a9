//! A connection's bytes: whole messages in, messages out, with limits of size and time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::{
    backend::Output,
    failure::{Failure, Result},
};
use crate::ingest::postgres::frontend::{Malformed, message_frame, startup_frame};

/// Bytes that are read at once.
const READ_BYTES: usize = 16 << 10;
/// Messages longer than this share the memory for request bodies.
const SMALL_MESSAGE: usize = 1 << 20;
/// Bytes that a client may send ahead while its statement runs; the rest waits in the system's buffers.
const AHEAD_BYTES: usize = 64 << 10;
/// How long a connection that is closed is read on.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes of memory that a connection keeps for its next answer.
const REST_BYTES: usize = 4 << 10;
/// From here on messages that wait are sent before more are made.
pub(crate) const SEND_BYTES: usize = 64 << 10;

/// What bytes come and go through: a plain connection, or TLS over one.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// How long and how much a client may.
#[derive(Debug, Clone)]
pub(crate) struct ChannelLimits {
    pub(crate) message_bytes: usize,
    /// For a message that began.
    pub(crate) message_timeout: Duration,
    pub(crate) send_timeout: Duration,
    /// Between messages.
    pub(crate) idle_timeout: Duration,
}

/// A message as it came; memory for a long one is given back when it is dropped.
pub(crate) struct RawMessage {
    pub(crate) kind: u8,
    pub(crate) body: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

/// One connection's bytes.
pub(crate) struct Channel {
    socket: Box<dyn Socket>,
    input: BytesMut,
    pub(crate) out: Output,
    limits: ChannelLimits,
    memory: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
    encrypted: bool,
}

impl Channel {
    pub(crate) fn new(
        socket: Box<dyn Socket>,
        limits: ChannelLimits,
        memory: Arc<Semaphore>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self { socket, input: BytesMut::new(), out: Output::default(), limits, memory, stop, encrypted: false }
    }

    /// Whether bytes came that no message was made of yet.
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Whether a Sync is there already, and nothing before it that runs or prepares a statement.
    pub(crate) fn is_sync_next(&self) -> bool {
        let mut rest: &[u8] = &self.input;
        while let Ok(Some((kind, length))) = message_frame(rest, self.limits.message_bytes) {
            match kind {
                b'S' => return true,
                b'C' | b'D' | b'H' => rest = rest.get(length + 5..).unwrap_or_default(),
                _ => return false,
            }
        }
        false
    }

    /// Whether the bytes go through TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// From here on the bytes go through TLS.
    pub(crate) async fn start_tls(&mut self, config: Arc<ServerConfig>) -> Result<()> {
        let plain = std::mem::replace(&mut self.socket, Box::new(tokio::io::empty()));
        self.socket = Box::new(TlsAcceptor::from(config).accept(plain).await?);
        self.encrypted = true;
        Ok(())
    }

    async fn fill(&mut self) -> Result<()> {
        self.input.reserve(READ_BYTES);
        match self.socket.read_buf(&mut self.input).await? {
            0 => Err(Failure::Ended),
            _ => Ok(()),
        }
    }

    /// The next packet before the login. The caller sees to it that it does not take for ever.
    pub(crate) async fn startup_packet(&mut self) -> Result<Bytes> {
        loop {
            let frame = startup_frame(&self.input).map_err(|m| Failure::fatal(b"08P01", m.to_string()))?;
            if let Some(length) = frame.filter(|length| self.input.len() >= length + 4) {
                return Ok(self.input.split_to(length + 4).freeze().slice(4..));
            }
            self.fill().await?;
        }
    }

    /// The next message.
    pub(crate) async fn message(&mut self) -> Result<RawMessage> {
        let mut began: Option<Instant> = None;
        let mut memory = None;
        loop {
            match message_frame(&self.input, self.limits.message_bytes).map_err(too_bad)? {
                Some((kind, length)) if self.input.len() >= length + 5 => {
                    let body = self.input.split_to(length + 5).freeze().slice(5..);
                    return Ok(RawMessage { kind, body, _memory: memory });
                }
                Some((_, length)) if length > SMALL_MESSAGE && memory.is_none() => {
                    memory = Some(self.memory_for(length)?);
                }
                _ => {}
            }
            let stalls = match began {
                Some(began) => self.limits.message_timeout.saturating_sub(began.elapsed()),
                None if self.input.is_empty() => self.limits.idle_timeout,
                None => self.limits.message_timeout,
            };
            let mut stop = self.stop.clone();
            let filled = tokio::select! {
                _ = stop.wait_for(|&stop| stop) => return Err(stopping()),
                filled = timeout(stalls, self.fill()) => filled,
            };
            match filled {
                Ok(filled) => filled?,
                Err(_) if self.input.is_empty() => {
                    return Err(Failure::fatal(b"57P05", "terminating connection due to idle-session timeout"));
                }
                Err(_) => return Err(Failure::stalled()),
            }
            began.get_or_insert_with(Instant::now);
        }
    }

    fn memory_for(&self, length: usize) -> Result<OwnedSemaphorePermit> {
        let permits = u32::try_from(length).unwrap_or(u32::MAX);
        Arc::clone(&self.memory).try_acquire_many_owned(permits).map_err(|_| {
            let message = format!("out of memory: no room for a message of {length} bytes beside those of others");
            Failure::fatal(b"53200", message)
        })
    }

    /// Sends what waits.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        let send = async {
            self.socket.write_all(&self.out.bytes).await?;
            self.socket.flush().await
        };
        match timeout(self.limits.send_timeout, send).await {
            Ok(sent) => sent?,
            Err(_) => return Err(Failure::stalled()),
        }
        self.out.bytes.clear();
        self.out.bytes.shrink_to(2 * SEND_BYTES);
        Ok(())
    }

    /// Sends what waits, and keeps little memory: the client may be silent for long.
    pub(crate) async fn flush_and_rest(&mut self) -> Result<()> {
        self.flush().await?;
        self.out.bytes.shrink_to(REST_BYTES);
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Ok(())
    }

    /// Sends what waits when it is much.
    pub(crate) async fn flush_if_full(&mut self) -> Result<()> {
        if self.out.bytes.len() < SEND_BYTES { Ok(()) } else { self.flush().await }
    }

    /// Waits for `work`, and gives up on it when the client goes away meanwhile.
    pub(crate) async fn watch<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let room = self.input.len() < AHEAD_BYTES;
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                filled = self.fill(), if room => filled?,
            }
        }
    }

    /// Ends the connection in order. What the client still sends is read for a moment and thrown away: closing over bytes
    /// that were not read resets the connection, and the client would lose the error that it was just told.
    pub(crate) async fn close(mut self) {
        if timeout(self.limits.send_timeout, self.socket.shutdown()).await.is_err() {
            tracing::debug!("a connection could not be closed in order");
            return;
        }
        let mut nowhere = tokio::io::sink();
        // Neither the end nor a failure changes anything.
        let _ = timeout(LINGER, tokio::io::copy(&mut self.socket, &mut nowhere)).await;
    }
}

/// After a frame that makes no sense nothing else can be found in the bytes.
fn too_bad(malformed: Malformed) -> Failure {
    let state = if matches!(malformed, Malformed::TooLong { .. }) { b"54000" } else { b"08P01" };
    Failure::fatal(state, malformed.to_string())
}

fn stopping() -> Failure {
    Failure::fatal(b"57P01", "terminating connection due to administrator command")
}
