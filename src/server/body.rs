//! Bodies: a request's is read under its limits, a reply's is sent whole or while it is made.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::{
    StatusCode,
    body::{Frame, Incoming, SizeHint},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    activity::RequestGuard,
    respond::{ApiError, ErrorType, RETRY_SECONDS},
};

/// Frames that may wait for a slow client before their producer waits.
const FRAMES_AHEAD: usize = 4;

/// A request's body and its part of the memory that all bodies share; the part is given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct ReceivedBody {
    pub(crate) bytes: Bytes,
    _budget: Vec<OwnedSemaphorePermit>,
}

/// Reads a body of at most `limit` bytes within `timeout`; `budget` holds one permit a byte for all bodies together.
pub(crate) async fn receive(
    mut body: Incoming,
    limit: usize,
    timeout: Duration,
    budget: &Arc<Semaphore>,
) -> Result<ReceivedBody, ApiError> {
    use hyper::body::Body as _;
    let too_large = || {
        ApiError::bad_data(format!("the request's body is over the limit of {limit} bytes; send smaller requests"))
            .with_status(StatusCode::PAYLOAD_TOO_LARGE)
    };
    let read = async {
        if body.size_hint().lower() > limit as u64 {
            drain(&mut body, limit).await;
            return Err(too_large());
        }
        let mut held = Vec::new();
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|e| ApiError::bad_data(format!("the request's body cannot be read: {}", with_cause(&e))))?;
            let Ok(data) = frame.into_data() else { continue };
            if all.len() + data.len() > limit {
                held.clear();
                drain(&mut body, limit).await;
                return Err(too_large());
            }
            // A frame is at most as long as the limit, so far from u32's end.
            let part = u32::try_from(data.len()).map_err(|_| too_large())?;
            held.push(Arc::clone(budget).try_acquire_many_owned(part).map_err(|_| {
                ApiError::new(ErrorType::Unavailable, "too many request bodies are held in memory; try again later")
                    .with_status(StatusCode::SERVICE_UNAVAILABLE)
                    .with_retry_after(RETRY_SECONDS)
            })?);
            all.extend_from_slice(&data);
        }
        Ok(ReceivedBody { bytes: all.freeze(), _budget: held })
    };
    tokio::time::timeout(timeout, read).await.unwrap_or_else(|_| {
        Err(ApiError::bad_data(format!("the request's body did not arrive within {} s", timeout.as_secs_f64()))
            .with_status(StatusCode::REQUEST_TIMEOUT))
    })
}

/// Throws away a body that is too large, up to `limit` bytes more: a client that is still sending when the connection
/// is closed would see a reset instead of the answer.
async fn drain(body: &mut Incoming, limit: usize) {
    let mut left = limit;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Sends the parts of a streamed reply from a blocking thread.
pub(crate) struct FrameSender(mpsc::Sender<io::Result<Bytes>>);

impl FrameSender {
    /// Sends a part, waiting while the client is slower than the producer.
    ///
    /// # Errors
    /// When the client went away: the producer should stop.
    pub(crate) fn send(&self, part: Vec<u8>) -> io::Result<()> {
        self.0.blocking_send(Ok(part.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Whether the client went away.
    #[cfg(feature = "sql")]
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Ends the reply in a way that the client can see: the connection breaks instead of ending well.
    pub(crate) fn fail(self, error: impl std::error::Error + Send + Sync + 'static) {
        // Nobody is left to tell when the client is gone already.
        let _ = self.0.blocking_send(Err(io::Error::other(error)));
    }
}

/// Makes a streamed reply's parts on a blocking thread.
pub(crate) type Producer = Box<dyn FnOnce(FrameSender) + Send>;

/// A reply's body as hyper sends it.
pub(crate) struct Body {
    content: Content,
    // Counts the request as under way until all of its answer was handed over.
    _under_way: Option<RequestGuard>,
}

enum Content {
    Whole(Option<Bytes>),
    Streamed(mpsc::Receiver<io::Result<Bytes>>),
}

impl Body {
    pub(crate) fn whole(bytes: Vec<u8>) -> Self {
        let bytes = (!bytes.is_empty()).then(|| bytes.into());
        Self { content: Content::Whole(bytes), _under_way: None }
    }

    /// A body and the sender of its parts.
    pub(crate) fn streamed() -> (FrameSender, Self) {
        let (sender, receiver) = mpsc::channel(FRAMES_AHEAD);
        (FrameSender(sender), Self { content: Content::Streamed(receiver), _under_way: None })
    }

    pub(crate) fn keep(mut self, guard: RequestGuard) -> Self {
        self._under_way = Some(guard);
        self
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.content {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Content::Streamed(parts) => parts.poll_recv(cx).map(|part| part.map(|p| p.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Content::Streamed(_) => SizeHint::default(),
        }
    }
}
