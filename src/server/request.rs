//! A request as a handler sees it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::{HeaderMap, header::HeaderName};

use super::{app::App, params::Params, respond::ApiError};

/// A request whose body arrived whole.
pub(crate) struct Request<'a> {
    pub(crate) app: &'a Arc<App>,
    pub(crate) headers: &'a HeaderMap,
    /// Whether it only asks: its method is GET or HEAD.
    #[cfg_attr(not(feature = "sql"), expect(dead_code, reason = "only SQL tells reading from writing by it"))]
    pub(crate) is_get: bool,
    pub(crate) params: &'a Params,
    /// The body of a route that reads a protocol's own bytes; empty for forms.
    pub(crate) body: &'a [u8],
    /// The text of the path's open segment.
    pub(crate) open_segment: &'a str,
    /// When its head had arrived: deadlines count from here.
    pub(crate) received: Instant,
    /// Set when its client went away.
    pub(crate) cancel: &'a Arc<AtomicBool>,
}

impl Request<'_> {
    /// A header's text, or nothing when it is missing or not ASCII.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// When the request has to be answered: the `timeout` parameter can only shorten the server's own limit.
    pub(crate) fn deadline(&self) -> Result<Instant, ApiError> {
        let limit = self.app.config.query_timeout;
        let timeout = match self.params.duration_if_any("timeout")? {
            None => limit,
            Some(nanos) => limit.min(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))),
        };
        Ok(self.received + timeout)
    }

    /// Whether the client went away.
    pub(crate) fn is_canceled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}
