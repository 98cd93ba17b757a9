//! What a handler answers: a reply, or an error in the envelope of Prometheus' API.

use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue, RETRY_AFTER},
};

use super::{body::Producer, json};

/// The content type of the API's answers.
pub(crate) const JSON: &str = "application/json";
/// The content type of plain answers.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
/// How long clients are asked to wait when the server has too much to do.
pub(crate) const RETRY_SECONDS: u16 = 1;
/// Most warnings, and most infos, that one answer carries.
const MAX_ANNOTATIONS: usize = 10;

/// The kinds of errors that Prometheus' API tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorType {
    /// The request makes no sense.
    BadData,
    /// The query cannot be computed.
    Execution,
    /// The client went away.
    Canceled,
    /// The query took too long.
    Timeout,
    /// The server failed.
    Internal,
    /// The server does not do this now.
    Unavailable,
    /// There is no such thing.
    NotFound,
}

impl ErrorType {
    const fn name(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::NotFound => "not_found",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            // nginx' code for a client that closed the connection; 499 is a valid code.
            Self::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal | Self::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }
}

/// An error as the API tells it.
#[derive(Debug)]
pub(crate) struct ApiError {
    kind: ErrorType,
    message: String,
    /// Set where the kind's own status would tell too little, such as 413.
    status: Option<StatusCode>,
    retry_after: Option<u16>,
}

impl ApiError {
    pub(crate) fn new(kind: ErrorType, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: None, retry_after: None }
    }

    pub(crate) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorType::BadData, message)
    }

    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        Self::new(ErrorType::Internal, error.to_string())
    }

    /// What is told.
    #[cfg(feature = "sql")]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// A parameter that cannot be used.
    pub(crate) fn invalid(parameter: &str, reason: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {parameter:?}: {reason}"))
    }

    /// The same error under another status.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Asks the client to come back.
    pub(crate) fn with_retry_after(mut self, seconds: u16) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The error as a reply: the envelope for the API's own paths, plain text elsewhere.
    pub(crate) fn into_reply(self, envelope: bool) -> Reply {
        let status = self.status.unwrap_or_else(|| self.kind.status());
        let mut reply = if envelope {
            let mut out = br#"{"status":"error","errorType":"#.to_vec();
            json::string(&mut out, self.kind.name());
            out.extend_from_slice(br#","error":"#);
            json::string(&mut out, &self.message);
            out.push(b'}');
            Reply::new(status, JSON, out)
        } else {
            Reply::text(status, self.message + "\n")
        };
        if let Some(seconds) = self.retry_after {
            reply = reply.with_header(RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply
    }
}

/// The body of a reply.
pub(crate) enum ReplyBody {
    /// All of it.
    Whole(Vec<u8>),
    /// Made while it is sent; never compressed.
    Streamed(Producer),
}

/// An answer that was not sent yet.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: ReplyBody,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: ReplyBody::Whole(body) }
    }

    pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::new(status, TEXT, text.into().into_bytes())
    }

    pub(crate) fn ok_text(text: impl Into<String>) -> Self {
        Self::text(StatusCode::OK, text)
    }

    pub(crate) fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT, "", Vec::new())
    }

    pub(crate) fn streamed(content_type: &'static str, producer: Producer) -> Self {
        Self { status: StatusCode::OK, content_type, headers: Vec::new(), body: ReplyBody::Streamed(producer) }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The envelope of a success, while its data is being written.
pub(crate) struct Success {
    out: Vec<u8>,
}

impl Success {
    /// Opens the envelope; what is appended to [`Success::data`] next is the data.
    pub(crate) fn new() -> Self {
        Self { out: br#"{"status":"success","data":"#.to_vec() }
    }

    pub(crate) fn data(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Closes the envelope.
    pub(crate) fn finish(self) -> Reply {
        self.finish_with(&[], &[])
    }

    /// Closes the envelope with the first warnings and infos.
    pub(crate) fn finish_with(mut self, warnings: &[String], infos: &[String]) -> Reply {
        for (name, texts) in [("warnings", warnings), ("infos", infos)] {
            if !texts.is_empty() {
                self.out.push(b',');
                json::key(&mut self.out, name);
                json::strings(&mut self.out, texts.iter().take(MAX_ANNOTATIONS));
            }
        }
        self.out.push(b'}');
        Reply::new(StatusCode::OK, JSON, self.out)
    }

    /// A whole answer whose data is written by `write`.
    pub(crate) fn of(write: impl FnOnce(&mut Vec<u8>)) -> Reply {
        let mut success = Self::new();
        write(&mut success.out);
        success.finish()
    }
}
