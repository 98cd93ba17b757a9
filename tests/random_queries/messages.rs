//! The requests that store series: for both servers in the same order, as that decides between equal values.
//!
//! Prometheus takes start timestamps by OTLP only; those of remote write 2.0 it throws away.

use chronolith::ingest::remote_write::{Sample, SeriesData, V1Encoder, V2Encoder};
use chronolith_promql::series_notation::{LoadedSample, LoadedSeries, SampleValue, parse_load};
use chronolith_storage::model::{is_stale, labels::METRIC_NAME};
use chronolith_storage::{Buckets, Histogram, read::HistogramSample};
use serde_json::{Value, json};

use crate::data::Data;

/// The body of a request.
pub(crate) enum Message {
    /// Not yet compressed.
    RemoteWrite1(Vec<u8>),
    /// Not yet compressed.
    RemoteWrite2(Vec<u8>),
    /// JSON.
    Otlp(String),
}

/// What our server gets.
pub(crate) fn for_ours(data: &Data) -> Result<Vec<Message>, String> {
    let series = load(data)?;
    Ok(vec![Message::RemoteWrite2(second(&series, data))])
}

/// What an old Prometheus gets.
pub(crate) fn for_old(data: &Data) -> Result<Vec<Message>, String> {
    let mut encoder = V1Encoder::new();
    each_run(&load(data)?, data, |message| encoder.push(message));
    Ok(vec![Message::RemoteWrite1(encoder.as_bytes().to_vec())])
}

/// What today's Prometheus gets.
pub(crate) fn for_today(data: &Data) -> Result<Vec<Message>, String> {
    let series = load(data)?;
    let has_starts = |series: &LoadedSeries| series.samples.iter().any(|s| s.start_timestamp != 0);
    Ok(series
        .chunk_by(|a, b| !has_starts(a) && !has_starts(b))
        .map(|some| match some {
            [one] if has_starts(one) => Message::Otlp(otlp(one)),
            some => Message::RemoteWrite2(second(some, data)),
        })
        .collect())
}

fn load(data: &Data) -> Result<Vec<LoadedSeries>, String> {
    Ok(parse_load(&data.load()).map_err(|e| e.to_string())?.series)
}

fn second(series: &[LoadedSeries], data: &Data) -> Vec<u8> {
    let mut encoder = V2Encoder::new();
    each_run(series, data, |message| encoder.push(message));
    encoder.finish()
}

/// A message of remote write holds samples or histograms, so each run of one kind becomes one.
fn each_run(series: &[LoadedSeries], data: &Data, mut push: impl FnMut(&SeriesData<'_>)) {
    for one in series {
        for run in one.samples.chunk_by(|a, b| is_float(a) == is_float(b)) {
            let (floats, histograms) = split(run, data.integers);
            push(&SeriesData { histograms: &histograms, ..SeriesData::floats(&one.labels, &floats) });
        }
    }
}

fn split(run: &[LoadedSample], as_integers: bool) -> (Vec<Sample>, Vec<HistogramSample>) {
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    for LoadedSample { timestamp, start_timestamp, value } in run.iter().cloned() {
        match value {
            SampleValue::Float(value) => floats.push(Sample { timestamp, value, start_timestamp }),
            SampleValue::Histogram(histogram) => {
                let histogram = match as_integers.then(|| integers(&histogram)).flatten() {
                    Some(integers) => integers.into(),
                    None => histogram,
                };
                histograms.push(HistogramSample { timestamp, start_timestamp, histogram });
            }
        }
    }
    (floats, histograms)
}

const fn is_float(sample: &LoadedSample) -> bool {
    matches!(sample.value, SampleValue::Float(_))
}

/// The histogram with whole counts, when they are.
fn integers(histogram: &Histogram) -> Option<Histogram> {
    let Buckets::Float { count, zero_count, positive, negative } = &histogram.buckets else { return None };
    let whole = |value: f64| (value.fract() == 0.0 && value >= 0.0).then_some(value as i64);
    let deltas = |counts: &[f64]| -> Option<Vec<i64>> {
        let mut before = 0;
        counts
            .iter()
            .map(|count| {
                let delta = whole(*count)? - before;
                before += delta;
                Some(delta)
            })
            .collect()
    };
    let buckets = Buckets::Integer {
        count: whole(*count)? as u64,
        zero_count: whole(*zero_count)? as u64,
        positive: deltas(positive)?,
        negative: deltas(negative)?,
    };
    Some(Histogram { buckets, ..histogram.clone() })
}

/// A series of floats as an OTLP sum.
fn otlp(series: &LoadedSeries) -> String {
    let attributes: Vec<Value> = series
        .labels
        .iter()
        .filter(|(name, _)| *name != METRIC_NAME)
        .map(|(name, value)| json!({"key": name, "value": {"stringValue": value}}))
        .collect();
    let nanos = |ms: i64| (ms * 1_000_000).to_string();
    let points: Vec<Value> = series
        .samples
        .iter()
        .filter_map(|sample| {
            let SampleValue::Float(value) = sample.value else { return None };
            let mut point = json!({
                "attributes": attributes,
                "timeUnixNano": nanos(sample.timestamp),
                "startTimeUnixNano": nanos(sample.start_timestamp),
            });
            if is_stale(value) {
                point["flags"] = 1.into();
            } else if value.is_finite() {
                point["asDouble"] = value.into();
            } else {
                point["asDouble"] = if value.is_nan() {
                    "NaN"
                } else if value > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                }
                .into();
            }
            Some(point)
        })
        .collect();
    let sum = json!({"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": points});
    let metric = json!({"name": series.labels.metric_name(), "sum": sum});
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).to_string()
}
