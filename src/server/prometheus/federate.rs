//! `/federate`: the last sample of selected series in the text format, for another Prometheus to scrape.

use chronolith_promql::parse_selector;
use chronolith_storage::{
    Histogram, Labels, SampleBuffer, SeriesSource, TimeRange,
    model::{
        histogram::CUSTOM_BUCKETS_SCHEMA,
        is_stale,
        labels::{METRIC_NAME, is_legacy_label_name, is_legacy_metric_name},
    },
};
use hyper::{StatusCode, header::ACCEPT};

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
    if !takes_any_name(request) {
        samples.iter_mut().for_each(|(labels, ..)| plain_names(labels));
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

/// Whether the scraper says that it reads quoted names. One that does not would drop the whole scrape for one of them.
fn takes_any_name(request: &Request<'_>) -> bool {
    request.header(&ACCEPT).is_some_and(|accept| accept.replace(' ', "").contains("escaping=allow-utf-8"))
}

/// Gives `_` for every character that older scrapers do not take in a name, as Prometheus does. Of series or labels that
/// become the same one is left.
fn plain_names(labels: &mut Labels) {
    let is_plain = |(name, value): (&str, &str)| {
        if name == METRIC_NAME { is_legacy_metric_name(value) } else { is_legacy_label_name(name) }
    };
    if labels.iter().all(is_plain) {
        return;
    }
    *labels = Labels::from_pairs(labels.iter().map(|(name, value)| {
        if name == METRIC_NAME { (name.to_owned(), plain(value, ":_")) } else { (plain(name, "_"), value.to_owned()) }
    }));
}

fn plain(name: &str, besides: &str) -> String {
    let takes = |at: usize, c: char| c.is_ascii_alphabetic() || besides.contains(c) || (at > 0 && c.is_ascii_digit());
    name.char_indices().map(|(at, c)| if takes(at, c) { c } else { '_' }).collect()
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
    let histogram = histogram.to_float();
    let mut placed = histogram.positive_buckets().peekable();
    let mut below = 0.0;
    let buckets = histogram.custom_values.iter().zip(0i32..).map(|(bound, index)| {
        while let Some(bucket) = placed.next_if(|b| b.index <= index) {
            below += bucket.count;
        }
        let mut le = Vec::new();
        crate::server::json::number(&mut le, *bound);
        (String::from_utf8(le).unwrap_or_default(), below)
    });
    (histogram.count, buckets.collect())
}
