//! `/federate`: the last sample of selected series in the text format, for another Prometheus to scrape.

use chronolith_promql::parse_selector;
use chronolith_storage::{
    Buckets, Histogram, Labels, SampleBuffer, SeriesSource, TimeRange,
    model::{histogram::CUSTOM_BUCKETS_SCHEMA, is_stale, labels::METRIC_NAME},
};
use hyper::StatusCode;

use super::selectors;
use crate::server::{
    exposition::Exposition,
    request::Request,
    respond::{ApiError, ErrorType, Reply},
};

/// The label that is added empty when a series has none, so that the scraper does not add its own.
const INSTANCE: &str = "instance";

/// The last sample of a series.
enum Last {
    Float(f64),
    /// Only with custom buckets: the text format has no other native histograms.
    Histogram(std::sync::Arc<Histogram>),
}

/// Answers a scrape.
pub(crate) fn federate(request: &Request<'_>) -> Result<Reply, ApiError> {
    let sets = match request.params.all(selectors::FIELD).map(parse_selector).collect::<Result<Vec<_>, _>>() {
        Ok(sets) => sets,
        Err(error) => return Ok(Reply::text(StatusCode::BAD_REQUEST, format!("{error}\n"))),
    };
    let engine = &request.app.engine;
    let now = engine.options().clock.now_ms();
    let lookback = i64::try_from(request.app.config.lookback.as_millis()).unwrap_or(i64::MAX);
    let range = TimeRange::new(now.saturating_sub(lookback), now);
    let snapshot = engine.snapshot();
    let mut samples: Vec<(Labels, i64, Last)> = Vec::new();
    let mut buffer = SampleBuffer::default();
    for set in &sets {
        let selected = snapshot.select(set, range).map_err(super::storage_error)?;
        for index in 0..selected.len() {
            if request.is_canceled() {
                return Err(ApiError::new(ErrorType::Canceled, "the client went away"));
            }
            buffer.clear();
            selected.read(index, range, &mut buffer).map_err(super::storage_error)?;
            if let Some((timestamp, last)) = last_sample(&buffer) {
                samples.push((selected.labels(index).clone(), timestamp, last));
            }
        }
    }
    samples.sort_by(|a, b| a.0.metric_name().cmp(b.0.metric_name()).then_with(|| a.0.cmp(&b.0)));
    samples.dedup_by(|a, b| a.0 == b.0);
    let mut text = Exposition::default();
    let mut family = None;
    for (labels, timestamp, last) in &samples {
        let name = labels.metric_name();
        if name.is_empty() {
            continue;
        }
        let kind = if matches!(last, Last::Float(_)) { "untyped" } else { "histogram" };
        if family != Some((name, kind)) {
            text.kind(name, kind);
            family = Some((name, kind));
        }
        write(&mut text, labels, *timestamp, last);
    }
    Ok(Reply::new(StatusCode::OK, Exposition::CONTENT_TYPE, text.finish()))
}

/// The last sample, unless it is a stale marker or has no place in the text format.
fn last_sample(buffer: &SampleBuffer) -> Option<(i64, Last)> {
    let float = buffer.timestamps.last().zip(buffer.values.last());
    let histogram = buffer.histograms.last();
    match (float, histogram) {
        (Some((t, v)), h) if h.is_none_or(|h| h.timestamp < *t) => (!is_stale(*v)).then_some((*t, Last::Float(*v))),
        (_, Some(h)) if !h.histogram.is_stale() && h.histogram.schema == CUSTOM_BUCKETS_SCHEMA => {
            Some((h.timestamp, Last::Histogram(std::sync::Arc::clone(&h.histogram))))
        }
        _ => None,
    }
}

fn write(text: &mut Exposition, labels: &Labels, timestamp: i64, last: &Last) {
    let name = labels.metric_name();
    let mut own: Vec<(&str, &str)> = labels.iter().filter(|(n, _)| *n != METRIC_NAME).collect();
    if labels.get(INSTANCE).is_none() {
        own.push((INSTANCE, ""));
    }
    let own = || own.iter().copied();
    match last {
        Last::Float(value) => text.sample(name, own(), *value, Some(timestamp)),
        Last::Histogram(histogram) => {
            let (count, buckets) = cumulative(histogram);
            let bucket = format!("{name}_bucket");
            for (bound, below) in &buckets {
                text.sample(&bucket, own().chain([("le", bound.as_str())]), *below, Some(timestamp));
            }
            text.sample(&bucket, own().chain([("le", "+Inf")]), count, Some(timestamp));
            text.sample(&format!("{name}_sum"), own(), histogram.sum, Some(timestamp));
            text.sample(&format!("{name}_count"), own(), count, Some(timestamp));
        }
    }
}

/// The count of a histogram with custom buckets, and its bounds with the observations up to each.
fn cumulative(histogram: &Histogram) -> (f64, Vec<(String, f64)>) {
    let count = match &histogram.buckets {
        Buckets::Integer { count, .. } => *count as f64,
        Buckets::Float { count, .. } => *count,
    };
    let mut placed = super::histogram_json::buckets_of(histogram, true).into_iter().peekable();
    let mut below = 0.0;
    let buckets = histogram.custom_values.iter().zip(0i32..).map(|(bound, index)| {
        while let Some((_, n)) = placed.next_if(|(at, _)| *at <= index) {
            below += n;
        }
        let mut le = Vec::new();
        crate::server::json::number(&mut le, *bound);
        (String::from_utf8(le).unwrap_or_default(), below)
    });
    (count, buckets.collect())
}
