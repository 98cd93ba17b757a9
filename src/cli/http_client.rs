//! A small blocking HTTP client: hyper's client on a runtime of one thread.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri, body::Incoming, header::HOST};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::runtime::Runtime;

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 1 << 30;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take: longer than any query that a server lets run by default.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// How much of an answer an error message shows.
const SHOWN_BYTES: usize = 500;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The URL cannot be used.
    #[error("{url:?} is no URL of a server: {reason}. Write it as http://127.0.0.1:9090")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer came.
    #[error(
        "no answer from {url}: {reason}. Is a server running there? `chronolith serve` starts one, --url names another"
    )]
    NoAnswer {
        /// The server.
        url: String,
        /// What failed, with its causes.
        reason: String,
    },
    /// An answer came, but not the one that was hoped for.
    #[error("{url} answered {status}: {body}")]
    Status {
        /// The address asked.
        url: String,
        /// The status.
        status: StatusCode,
        /// The start of the body.
        body: String,
    },
    /// The answer is not what the API answers.
    #[error("{url} answered something else than the Prometheus API does: {reason}. Is --url the address of a server?")]
    NotTheApi {
        /// The address asked.
        url: String,
        /// What does not fit.
        reason: String,
    },
    /// The client cannot start.
    #[error("the HTTP client cannot be started: {0}")]
    Runtime(std::io::Error),
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The answer itself when it is a success, else an error that shows the start of it.
    pub(crate) fn success(self) -> Result<Self, HttpError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let shown = self.body.get(..SHOWN_BYTES).unwrap_or(&self.body);
        let body = String::from_utf8_lossy(shown).trim().escape_debug().to_string();
        Err(HttpError::Status { url: self.url, status: self.status, body })
    }
}

/// A client of one server.
pub(crate) struct HttpClient {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Arc<Runtime>,
}

impl HttpClient {
    /// A client of the server at `base`, such as `http://127.0.0.1:9090` or `http://host/prometheus`.
    pub(crate) fn new(base: &str) -> Result<Self, HttpError> {
        let bad = |reason: &str| HttpError::Url { url: base.to_owned(), reason: reason.to_owned() };
        let uri: Uri = base.parse().map_err(|e| bad(&format!("{e}")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(bad("https is not spoken by this version; ask a plain http address")),
            _ => return Err(bad("it does not start with http://")),
        }
        if uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(bad("a host, maybe a port and a path, are expected"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(HttpError::Runtime)?;
        let runtime = Arc::new(runtime);
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { base: base.trim_end_matches('/').to_owned(), client, runtime })
    }

    /// The server's address as it was given.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a form by POST and waits for the whole answer.
    pub(crate) fn post_form(&self, path: &str, pairs: &[(&str, &str)]) -> Result<Answer, HttpError> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send(Method::POST, path, &headers, Bytes::from(form))
    }

    /// Asks by GET and waits for the whole answer.
    pub(crate) fn get(&self, path: &str, pairs: &[(&str, &str)]) -> Result<Answer, HttpError> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        self.send(Method::GET, &target, &[], Bytes::new())
    }

    /// Sends a request and waits for the whole answer.
    pub(crate) fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        self.runtime.block_on(async {
            // Timers belong to the runtime, so the deadline is made inside it.
            tokio::time::timeout(ANSWER_TIMEOUT, async {
                let (url, response) = self.request(method, target, headers, body).await?;
                let (parts, body) = response.into_parts();
                let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
                let body = body.map_err(|e| self.no_answer(causes(&*e)))?.to_bytes();
                Ok(Answer { url, status: parts.status, headers: parts.headers, body })
            })
            .await
            .unwrap_or_else(|_| Err(self.no_answer(format!("nothing for {} seconds", ANSWER_TIMEOUT.as_secs()))))
        })
    }

    /// What waits for answers: for those who read them part by part.
    #[cfg(feature = "sql")]
    pub(crate) fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime)
    }

    /// Sends a request and waits for the head of the answer, without a limit of time. Gives the address with it.
    pub(crate) async fn request(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<(String, Response<Incoming>), HttpError> {
        let url = format!("{}{target}", self.base);
        let bad = |reason: String| HttpError::Url { url: url.clone(), reason };
        let uri: Uri = url.parse().map_err(|e| bad(format!("{e}")))?;
        let host = uri.authority().map_or_else(String::new, ToString::to_string);
        let mut request = Request::builder().method(method).uri(uri).header(HOST, host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|e| bad(e.to_string()))?;
        let response = self.client.request(request).await.map_err(|e| self.no_answer(causes(&e)))?;
        Ok((url, response))
    }

    fn no_answer(&self, reason: String) -> HttpError {
        HttpError::NoAnswer { url: self.base.clone(), reason }
    }
}

/// An error with what caused it: hyper's own text says only "client error (Connect)".
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_it_cannot_ask() {
        for (url, word) in
            [("localhost:9090", "http://"), ("https://x", "https"), ("http://", "URL"), ("http://h/?a=b", "host")]
        {
            let error = HttpClient::new(url).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(word), "{url}: {error}");
        }
    }

    #[test]
    fn says_who_does_not_answer() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let client = HttpClient::new(&format!("http://{address}/")).unwrap();
        let error = client.get("/-/ready", &[]).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("refused"), "{error}");
    }
}
