//! Writes samples to a server by Prometheus remote write: 2.0, and 1.0 where 2.0 is not spoken.

use std::{thread, time::Duration};

use bytes::Bytes;
use hyper::{Method, StatusCode, header::RETRY_AFTER};

use super::{Batch, Written};
use crate::{
    cli::{
        error::CliError,
        http_client::{Answer, HttpClient},
    },
    ingest::{
        remote_write::{SeriesData, V1Encoder, V2Encoder},
        snappy,
    },
};

const PATH: &str = "/api/v1/write";
const V1_TYPE: &str = "application/x-protobuf";
const V2_TYPE: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
/// How often a request is sent again that the server has no room for now.
const MAX_TRIES: u32 = 10;
/// How long to wait between tries when the server does not say.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// The longest wait that a server may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// A server that takes remote write.
pub(crate) struct Remote {
    client: HttpClient,
    /// Whether the server refused 2.0.
    only_v1: bool,
}

impl Remote {
    /// A writer to the client's server.
    pub(crate) const fn new(client: HttpClient) -> Self {
        Self { client, only_v1: false }
    }

    /// The client, to ask the same server.
    pub(crate) const fn client(&self) -> &HttpClient {
        &self.client
    }

    /// Sends a batch.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<Written, CliError> {
        // 1.0 names metric families, 2.0 only series: so metadata goes by 1.0.
        if !batch.metadata.is_empty() {
            let mut encoder = V1Encoder::new();
            for (family, metadata) in &batch.metadata {
                encoder.push_metadata(family, metadata);
            }
            outcome(&self.send(encoder.as_bytes(), V1_TYPE, "0.1.0")?, 0)?;
        }
        if batch.series.is_empty() {
            return Ok(Written::default());
        }
        let samples = batch.len();
        if !self.only_v1 {
            let mut encoder = V2Encoder::new();
            each(batch, |series| encoder.push(series));
            let answer = self.send(&encoder.finish(), V2_TYPE, "2.0.0")?;
            if answer.status != StatusCode::UNSUPPORTED_MEDIA_TYPE {
                return outcome(&answer, samples);
            }
            self.only_v1 = true;
        }
        let mut encoder = V1Encoder::new();
        each(batch, |series| encoder.push(series));
        outcome(&self.send(encoder.as_bytes(), V1_TYPE, "0.1.0")?, samples)
    }

    /// Sends a request, and again while the server has no room for it.
    fn send(&self, request: &[u8], content_type: &str, version: &str) -> Result<Answer, CliError> {
        let body = snappy::encode(request).map_err(|e| CliError::Failed(format!("a batch cannot be sent: {e}")))?;
        let body = Bytes::from(body);
        let headers = [
            ("content-type", content_type),
            ("content-encoding", "snappy"),
            ("x-prometheus-remote-write-version", version),
            ("user-agent", concat!("chronolith/", env!("CARGO_PKG_VERSION"))),
        ];
        send_patiently(&self.client, PATH, &headers, &body)
    }
}

/// Sends a request by POST, and again while the server has no room for it.
pub(crate) fn send_patiently(
    client: &HttpClient,
    path: &str,
    headers: &[(&str, &str)],
    body: &Bytes,
) -> Result<Answer, CliError> {
    let mut tries = 1;
    loop {
        let answer = client.send(Method::POST, path, headers, body.clone())?;
        let busy = matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if !busy || tries == MAX_TRIES {
            return Ok(answer);
        }
        tries += 1;
        thread::sleep(pause(&answer));
    }
}

fn each(batch: &Batch, mut push: impl FnMut(&SeriesData<'_>)) {
    for s in &batch.series {
        push(&SeriesData { histograms: &s.histograms, ..SeriesData::floats(&s.labels, &s.samples) });
    }
}

/// What the server asks to wait.
fn pause(answer: &Answer) -> Duration {
    let asked = answer.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    asked.map_or(DEFAULT_PAUSE, Duration::from_secs).min(MAX_PAUSE)
}

/// What became of the samples. 400 says that some were refused for good; 2.0 tells how many were not.
fn outcome(answer: &Answer, samples: u64) -> Result<Written, CliError> {
    if answer.status.is_success() {
        return Ok(Written { samples, ..Written::default() });
    }
    let body = String::from_utf8_lossy(&answer.body).trim().to_owned();
    let told = |kind: &str| {
        let name = format!("x-prometheus-remote-write-{kind}-written");
        answer.headers.get(name).and_then(|v| v.to_str().ok()?.parse::<u64>().ok())
    };
    let stored = told("samples").map(|n| n + told("histograms").unwrap_or(0));
    match stored {
        Some(stored) if answer.status == StatusCode::BAD_REQUEST && stored <= samples => {
            let refused = samples - stored;
            Ok(Written { samples: stored, too_old: 0, refused, reason: Some(body) })
        }
        _ => Err(CliError::Failed(format!("{} answered {}: {body}", answer.url, answer.status))),
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, header::HeaderValue};

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Answer {
        let headers = headers.iter().map(|(n, v)| ((*n).parse().unwrap(), HeaderValue::from_static(v)));
        Answer {
            url: "http://x/api/v1/write".into(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter(headers),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn counts_what_a_server_refused() {
        assert_eq!(outcome(&answer(204, &[], ""), 5).unwrap().samples, 5);
        let headers =
            [("x-prometheus-remote-write-samples-written", "2"), ("x-prometheus-remote-write-histograms-written", "1")];
        let partial = outcome(&answer(400, &headers, "up: too old\n"), 5).unwrap();
        let want = Written { samples: 3, too_old: 0, refused: 2, reason: Some("up: too old".into()) };
        assert_eq!(partial, want);
        for (status, body) in [(400, "not snappy"), (500, "disk"), (404, "nothing here")] {
            let error = outcome(&answer(status, &[], body), 5).unwrap_err().to_string();
            assert!(error.contains(body) && error.contains(&status.to_string()), "{error}");
        }
    }

    #[test]
    fn waits_as_long_as_asked_but_not_for_ever() {
        let asked = |seconds| pause(&answer(503, &[("retry-after", seconds)], ""));
        assert_eq!(asked("7"), Duration::from_secs(7));
        assert_eq!(asked("100000"), MAX_PAUSE);
        assert_eq!(asked("soon"), DEFAULT_PAUSE);
    }
}
