//! `POST /api/v1/write`: Prometheus remote write 1.0 and 2.0.
//!
//! Every good sample of a request is kept; the answer names the bad ones. An answer of 2xx means that all is durable.

use std::{cell::RefCell, collections::HashSet, sync::atomic::Ordering::Relaxed};

use chronolith_storage::{
    Exemplar, Labels, StorageError,
    engine::{Appender, Engine, SeriesRef},
    model::{
        labels::METRIC_NAME,
        metadata::{MetricKind, MetricMetadata},
    },
    read::HistogramSample,
};
use hyper::{
    StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};

use super::refusals::Refusals;
use crate::{
    ingest::{
        DecodeError,
        label_rules::{LabelLimits, LabelsError, validate_labels},
        remote_write::{Sample, v1, v2},
        snappy::{self, SnappyError},
    },
    server::{
        request::Request,
        respond::{ApiError, Reply},
        storage_status::{RETRY_AFTER_TROUBLE, refused_write},
    },
};

const SAMPLES_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

const PROTOBUF: &str = "application/x-protobuf";
const V1_MESSAGE: &str = "prometheus.WriteRequest";
const V2_MESSAGE: &str = "io.prometheus.write.v2.Request";

/// A decoding buffer larger than this is not kept for the next request.
const KEEP_BUFFER: usize = 4 << 20;

/// The versions of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// What was taken from a request.
#[derive(Debug, Default, Clone, Copy)]
struct Written {
    samples: u64,
    histograms: u64,
    exemplars: u64,
}

/// Why nothing of a request was taken.
enum Failure {
    Decode(DecodeError),
    Storage(StorageError),
}

/// Takes the samples of a request.
pub(crate) fn write(request: &Request<'_>) -> Result<Reply, ApiError> {
    let version = match version(request) {
        Ok(version) => version,
        Err(text) => return Ok(Reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)),
    };
    thread_local! {
        // Blocking threads serve one write after another; each keeps its buffer.
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let mut buffer = BUFFER.take();
    let reply = match snappy::decode(request.body, request.app.config.limits.max_decoded_bytes, &mut buffer) {
        Ok(decoded) => store(request, version, decoded),
        Err(error) => {
            let status = match &error {
                SnappyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            };
            with_counts(Reply::text(status, format!("{error}\n")), version, Written::default())
        }
    };
    if buffer.capacity() <= KEEP_BUFFER {
        BUFFER.set(buffer);
    }
    Ok(reply)
}

/// What the request's headers say that its body is; 415 tells a sender to try another version.
fn version(request: &Request<'_>) -> Result<Version, String> {
    let encoding = request.header(&CONTENT_ENCODING).unwrap_or("").trim();
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("snappy") {
        return Err(format!("Content-Encoding {encoding:?} is not spoken here: send snappy's block format\n"));
    }
    let Some(content_type) = request.header(&CONTENT_TYPE) else { return Ok(Version::V1) };
    let mut parts = content_type.split(';').map(str::trim);
    let unknown = || {
        format!(
            "Content-Type {content_type:?} is not spoken here: send {PROTOBUF};proto={V1_MESSAGE} or \
             {PROTOBUF};proto={V2_MESSAGE}\n"
        )
    };
    if !parts.next().is_some_and(|t| t.is_empty() || t.eq_ignore_ascii_case(PROTOBUF)) {
        return Err(unknown());
    }
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("proto") {
            return match value.trim().trim_matches('"') {
                V1_MESSAGE => Ok(Version::V1),
                V2_MESSAGE => Ok(Version::V2),
                _ => Err(unknown()),
            };
        }
    }
    Ok(Version::V1)
}

fn store(request: &Request<'_>, version: Version, decoded: &[u8]) -> Reply {
    let engine = &request.app.engine;
    let stored = match version {
        Version::V1 => append(engine, |batch| batch.v1(v1::WriteRequest::new(decoded))),
        Version::V2 => {
            let typed = request.app.config.features.type_and_unit_labels;
            append(engine, |batch| batch.v2(&v2::Request::new(decoded)?, typed))
        }
    };
    let (written, refusals) = match stored {
        Ok(stored) => stored,
        Err(failure) => return with_counts(failed(failure), version, Written::default()),
    };
    let counters = &request.app.counters;
    counters.samples_appended.fetch_add(written.samples, Relaxed);
    counters.histograms_appended.fetch_add(written.histograms, Relaxed);
    counters.exemplars_appended.fetch_add(written.exemplars, Relaxed);
    counters.samples_refused.fetch_add(refusals.samples(), Relaxed);
    counters.samples_with_invalid_labels.fetch_add(refusals.samples_with_invalid_labels(), Relaxed);
    let reply = if refusals.is_empty() {
        Reply::no_content()
    } else {
        let reply = |status| Reply::text(status, refusals.text(written.samples + written.histograms));
        // Samples of new series are worth another try once there is room; everything else is bad for good.
        if refusals.for_want_of_memory() {
            reply(StatusCode::TOO_MANY_REQUESTS).with_header(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_TROUBLE))
        } else {
            reply(StatusCode::BAD_REQUEST)
        }
    };
    with_counts(reply, version, written)
}

/// Version 2.0 wants to be told what was written, whatever the status.
fn with_counts(reply: Reply, version: Version, written: Written) -> Reply {
    match version {
        Version::V1 => reply,
        Version::V2 => reply
            .with_header(SAMPLES_WRITTEN, HeaderValue::from(written.samples))
            .with_header(HISTOGRAMS_WRITTEN, HeaderValue::from(written.histograms))
            .with_header(EXEMPLARS_WRITTEN, HeaderValue::from(written.exemplars)),
    }
}

fn failed(failure: Failure) -> Reply {
    let error = match failure {
        Failure::Decode(error) => {
            let text = format!("the request is refused as a whole: {error}\n");
            return Reply::text(StatusCode::BAD_REQUEST, text);
        }
        Failure::Storage(error) => error,
    };
    let (status, retry) = refused_write(&error);
    // Pressure passes by itself and comes with many requests.
    if matches!(error, StorageError::Busy { .. }) {
        tracing::debug!(%error, "a write has to wait");
    } else {
        tracing::warn!(%error, "a write failed");
    }
    let reply = Reply::text(status, format!("{error}\n"));
    match retry {
        Some(seconds) => reply.with_header(RETRY_AFTER, HeaderValue::from(seconds)),
        None => reply,
    }
}

/// Fills one append of the engine. A message that cannot be decoded aborts it: nothing of it is written.
fn append(
    engine: &Engine,
    fill: impl FnOnce(&mut Batch<'_, '_>) -> Result<(), Failure>,
) -> Result<(Written, Refusals), Failure> {
    let mut broken = None;
    let appended = engine.append(|appender| {
        let mut batch = Batch::new(engine, appender);
        match fill(&mut batch) {
            Ok(()) => Ok((batch.written, batch.refusals)),
            Err(Failure::Storage(error)) => Err(error),
            Err(Failure::Decode(error)) => {
                // The engine only has to know that there is nothing to write; the sender is told the decoder's error.
                broken = Some(error);
                Err(StorageError::Invalid("the request cannot be decoded".to_owned()))
            }
        }
    });
    match (appended, broken) {
        (_, Some(error)) => Err(Failure::Decode(error)),
        (Ok(done), None) => Ok(done),
        (Err(error), None) => Err(Failure::Storage(error)),
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

/// One request on its way into the engine.
struct Batch<'b, 'e> {
    engine: &'b Engine,
    appender: &'b mut Appender<'e>,
    limits: LabelLimits,
    written: Written,
    refusals: Refusals,
}

impl<'b, 'e> Batch<'b, 'e> {
    fn new(engine: &'b Engine, appender: &'b mut Appender<'e>) -> Self {
        let (written, refusals) = (Written::default(), Refusals::default());
        Self { engine, appender, limits: LabelLimits::default(), written, refusals }
    }

    fn v1(&mut self, request: v1::WriteRequest<'_>) -> Result<(), Failure> {
        let mut pairs = Vec::new();
        for series in request.series() {
            let series = series?;
            let samples = series.sample_count() + series.histogram_count();
            let key = series.label_bytes();
            let labels = || series.labels();
            let Some(known) = self.series(key, labels, &mut pairs, samples)? else { continue };
            self.samples(known, series.samples(), labels)?;
            self.histograms(known, series.histograms(), labels)?;
            self.exemplars(known, series.exemplars())?;
        }
        for metadata in request.metadata() {
            let metadata = match metadata {
                Ok(metadata) => metadata,
                Err(error) if error.is_text() => continue,
                Err(error) => return Err(error.into()),
            };
            if !metadata.family.is_empty() {
                self.appender.metadata(metadata.family, metadata.to_metadata());
            }
        }
        Ok(())
    }

    /// With `typed`, a series has its type and unit as labels.
    fn v2(&mut self, request: &v2::Request<'_>, typed: bool) -> Result<(), Failure> {
        let mut pairs = Vec::new();
        let mut key = Vec::new();
        // Every series of a family brings the same metadata along.
        let mut families = HashSet::new();
        for series in request.series() {
            let series = series?;
            let samples = series.sample_count() + series.histogram_count();
            let labels = || series.labels().map(Ok);
            if samples == 0 {
                self.refusals.series(|| name(labels()), 0, "the series has neither samples nor histograms");
                continue;
            }
            if let Some(error) = series.broken_label() {
                self.refusals.labels(|| name(labels()), samples, error);
                continue;
            }
            key.clear();
            series.write_label_bytes(&mut key);
            let metadata = series.metadata();
            let typed = typed.then(|| metadata.as_ref().map(|m| m.to_metadata())).flatten();
            let known = match typed.as_ref().filter(|m| m.kind != MetricKind::Unknown || !m.unit.is_empty()) {
                Some(metadata) => {
                    let labels = typed_labels(series.labels(), metadata);
                    let labels = || labels.iter().copied().map(Ok);
                    key.extend([metadata.kind.as_str(), &metadata.unit].iter().flat_map(|t| t.bytes().chain([0])));
                    self.series(Some(&key), labels, &mut Vec::new(), samples)?
                }
                None => self.series(Some(&key), labels, &mut pairs, samples)?,
            };
            let Some(known) = known else { continue };
            self.samples(known, series.samples(), labels)?;
            self.histograms(known, series.histograms(), labels)?;
            self.exemplars(known, series.exemplars())?;
            if let Some(metadata) = metadata
                && let Some((_, family)) = series.labels().find(|(n, _)| *n == METRIC_NAME)
                && families.insert(family)
            {
                self.appender.metadata(family, metadata.to_metadata());
            }
        }
        Ok(())
    }

    /// The series of these labels; `None` when it was refused, with all of its samples.
    fn series<'a, I>(
        &mut self,
        key: Option<&[u8]>,
        labels: impl Fn() -> I,
        pairs: &mut Vec<(&'a str, &'a str)>,
        samples: usize,
    ) -> Result<Option<SeriesRef>, Failure>
    where
        I: Iterator<Item = Result<(&'a str, &'a str), DecodeError>>,
    {
        let key = key.map(|bytes| self.engine.wire_key(bytes));
        if let Some(known) = key.and_then(|key| self.appender.lookup(key)) {
            return Ok(Some(known));
        }
        match checked(labels(), &self.limits, pairs) {
            Ok(()) => {}
            // One series with a text in another encoding is no reason to lose the others of its request.
            Err(LabelsError::Decode(error)) if error.is_text() => {
                self.refusals.labels(|| name(labels()), samples, error);
                return Ok(None);
            }
            Err(LabelsError::Decode(error)) => return Err(error.into()),
            Err(LabelsError::Rule(rule)) => {
                self.refusals.labels(|| name(labels()), samples, &rule);
                return Ok(None);
            }
        }
        match self.appender.series(pairs, key) {
            Ok(new) => Ok(Some(new)),
            Err(error @ StorageError::OverBudget { .. }) => {
                self.refusals.want_of_memory(|| name(labels()), samples, &error);
                Ok(None)
            }
            Err(error) => Err(Failure::Storage(error)),
        }
    }

    fn samples<'a, I>(
        &mut self,
        series: SeriesRef,
        samples: impl Iterator<Item = Result<Sample, DecodeError>>,
        labels: impl Fn() -> I,
    ) -> Result<(), Failure>
    where
        I: Iterator<Item = Result<(&'a str, &'a str), DecodeError>>,
    {
        for sample in samples {
            let Sample { timestamp, value, start_timestamp } = sample?;
            match self.appender.float(series, timestamp, value, start_timestamp) {
                Ok(()) => self.written.samples += 1,
                Err(rejection) => self.refusals.series(|| name(labels()), 1, &rejection),
            }
        }
        Ok(())
    }

    fn histograms<'a, I>(
        &mut self,
        series: SeriesRef,
        histograms: impl Iterator<Item = Result<HistogramSample, DecodeError>>,
        labels: impl Fn() -> I,
    ) -> Result<(), Failure>
    where
        I: Iterator<Item = Result<(&'a str, &'a str), DecodeError>>,
    {
        for sample in histograms {
            let HistogramSample { timestamp, start_timestamp, histogram } = sample?;
            let histogram = std::sync::Arc::unwrap_or_clone(histogram);
            match self.appender.histogram(series, timestamp, histogram, start_timestamp) {
                Ok(()) => self.written.histograms += 1,
                Err(rejection) => self.refusals.series(|| name(labels()), 1, &rejection),
            }
        }
        Ok(())
    }

    /// A bad exemplar is left out without a word: it is no sample, and Prometheus fails no request for one.
    fn exemplars(
        &mut self,
        series: SeriesRef,
        exemplars: impl Iterator<Item = Result<Exemplar, LabelsError>>,
    ) -> Result<(), Failure> {
        for exemplar in exemplars {
            let exemplar = match exemplar {
                Ok(exemplar) => exemplar,
                Err(LabelsError::Decode(error)) if !error.is_text() => return Err(error.into()),
                Err(_) => continue,
            };
            if self.appender.exemplar(series, exemplar).is_ok() {
                self.written.exemplars += 1;
            }
        }
        Ok(())
    }
}

/// The labels of a series with those of its metadata among them; what the sender says of `__type__` and `__unit__`
/// itself does not count then. Source: Prometheus' proposal PROM-39.
fn typed_labels<'a>(
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    metadata: &'a MetricMetadata,
) -> Vec<(&'a str, &'a str)> {
    let kind = if metadata.kind == MetricKind::Unknown { "" } else { metadata.kind.as_str() };
    let own = [("__type__", kind), ("__unit__", metadata.unit.as_str())];
    let own = own.into_iter().filter(|(_, value)| !value.is_empty());
    let overridden = |name: &str| own.clone().any(|(n, _)| n == name);
    let mut all: Vec<_> = labels.filter(|(name, _)| !overridden(name)).collect();
    all.extend(own.clone());
    // A stable sort: labels that the sender gave twice are still found.
    all.sort_by_key(|(name, _)| *name);
    all
}

/// Collects the labels of a series that is not known yet, checked; labels with an empty value are left out.
fn checked<'a>(
    labels: impl Iterator<Item = Result<(&'a str, &'a str), DecodeError>>,
    limits: &LabelLimits,
    pairs: &mut Vec<(&'a str, &'a str)>,
) -> Result<(), LabelsError> {
    pairs.clear();
    // One more than the limit is enough to be refused; a million are never collected.
    for label in labels.take(limits.max_labels + 1) {
        pairs.push(label?);
    }
    validate_labels(pairs.iter().copied(), limits)?;
    pairs.retain(|(_, value)| !value.is_empty());
    Ok(())
}

/// A series as an error names it: what can be read of its first labels.
fn name<'a>(labels: impl Iterator<Item = Result<(&'a str, &'a str), DecodeError>>) -> String {
    const MAX_LABELS: usize = 32;
    const MAX_CHARS: usize = 200;
    let mut text = Labels::from_pairs(labels.take(MAX_LABELS).map_while(Result::ok)).to_string();
    if let Some((at, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(at);
        text.push_str("...");
    }
    text
}
