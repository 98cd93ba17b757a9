//! Compares values with the expected ones.

use std::{collections::BTreeMap, fmt::Write as _};

use chronolith_storage::{FloatHistogram, Labels, Span, model::histogram::CUSTOM_BUCKETS_SCHEMA};

use super::{
    expect::{Series, Value},
    number::{TOLERANCE, almost_equal},
    run::Mismatch,
    script::Eval,
};
use crate::{
    engine::{InstantSample, QueryValue, RangeSeries, SampleValue},
    format::float_general,
    quote::Quoted,
    series_notation::Point,
};

/// Compares a value with what the case expects.
pub(super) fn check(eval: &Eval, found: &QueryValue) -> Result<(), Mismatch> {
    let differs = |reason: &str| Mismatch {
        reason: reason.to_owned(),
        wanted: wanted_text(&eval.expected.value),
        got: text(found),
    };
    match (&eval.expected.value, found) {
        (Value::Scalar(want), QueryValue::Scalar { value, .. }) => {
            if equal(*want, *value) {
                Ok(())
            } else {
                Err(differs("wrong scalar"))
            }
        }
        (Value::String(want), QueryValue::String { value, .. }) => {
            if want == value {
                Ok(())
            } else {
                Err(differs("wrong string"))
            }
        }
        (Value::Series(want), QueryValue::Vector { samples, .. }) => vector(want, eval.expected.ordered, samples),
        (Value::Series(_), QueryValue::Matrix(_)) if eval.expected.ordered => {
            Err(differs("expected ordered result, but query returned a matrix"))
        }
        (Value::Series(want), QueryValue::Matrix(series)) => matrix(want, eval.times, series),
        _ => Err(differs("another kind of value")),
    }
}

fn vector(want: &[Series], ordered: bool, found: &[InstantSample]) -> Result<(), Mismatch> {
    let by_labels: BTreeMap<&Labels, &Series> = want.iter().map(|s| (&s.labels, s)).collect();
    for (place, sample) in found.iter().enumerate() {
        let Some(series) = by_labels.get(&sample.labels) else {
            let got = format!("{} {}", sample.labels, value_text(&sample.value));
            return Err(mismatch("unexpected series", "no such series".to_owned(), got));
        };
        if ordered && series.place != place + 1 {
            let reason = format!("wrong order of {}", sample.labels);
            return Err(mismatch(&reason, format!("place {}", series.place), format!("place {}", place + 1)));
        }
        let wanted = series.points.first().unwrap_or(&Point::Gap);
        if !fits(wanted, &sample.value) {
            let reason = format!("wrong value of {}", sample.labels);
            return Err(mismatch(&reason, point_text(wanted), value_text(&sample.value)));
        }
    }
    missing(want, found.iter().map(|s| &s.labels))
}

fn matrix(want: &[Series], times: (i64, i64, i64), found: &[RangeSeries]) -> Result<(), Mismatch> {
    check_sorted(found)?;
    let by_labels: BTreeMap<&Labels, &Series> = want.iter().map(|s| (&s.labels, s)).collect();
    for series in found {
        let Some(expected) = by_labels.get(&series.labels) else {
            let got = format!("{} {}", series.labels, points_text(&values_by_time(series)));
            return Err(mismatch("unexpected series", "no such series".to_owned(), got));
        };
        points(expected, times, series)?;
    }
    missing(want, found.iter().map(|s| &s.labels))
}

fn points(want: &Series, (start, end, step): (i64, i64, i64), found: &RangeSeries) -> Result<(), Mismatch> {
    let mut wanted = BTreeMap::new();
    for (i, point) in want.points.iter().enumerate() {
        let at = start.saturating_add(step.saturating_mul(i as i64));
        if at > end {
            let reason = format!("the query's time range cannot give that many points of {}", want.labels);
            let got = "at most as many as the range has steps".to_owned();
            return Err(mismatch(&reason, format!("{} points", want.points.len()), got));
        }
        if !matches!(point, Point::Gap) {
            wanted.insert(at, point);
        }
    }
    let got = values_by_time(found);
    let same_times = wanted.len() == got.len() && wanted.keys().zip(got.keys()).all(|(a, b)| a == b);
    let reason = if !same_times {
        format!("points of {} at other times", want.labels)
    } else if let Some((at, _)) = wanted.iter().zip(got.values()).map(|((at, w), g)| (at, fits(w, g))).find(|(_, f)| !f)
    {
        format!("wrong value of {} at {at} ms", want.labels)
    } else {
        return Ok(());
    };
    let wanted: Vec<String> = wanted.iter().map(|(at, p)| format!("{} @[{at}]", point_text(p))).collect();
    Err(mismatch(&reason, wanted.join(" "), points_text(&got)))
}

fn values_by_time(series: &RangeSeries) -> BTreeMap<i64, SampleValue> {
    let floats = series.timestamps.iter().zip(&series.values).map(|(t, v)| (*t, SampleValue::Float(*v)));
    let histograms = series.histograms.iter().map(|(t, h)| (*t, SampleValue::Histogram(h.clone())));
    floats.chain(histograms).collect()
}

fn missing<'a>(want: &[Series], found: impl Iterator<Item = &'a Labels>) -> Result<(), Mismatch> {
    let found: std::collections::BTreeSet<&Labels> = found.collect();
    match want.iter().find(|s| !found.contains(&s.labels)) {
        None => Ok(()),
        Some(series) => Err(mismatch("missing series", series_text(series), "no such series".to_owned())),
    }
}

/// A matrix has to be sorted by labels.
pub(super) fn check_sorted(found: &[RangeSeries]) -> Result<(), Mismatch> {
    match found.windows(2).find(|pair| pair[0].labels > pair[1].labels) {
        None => Ok(()),
        Some(pair) => {
            let got = format!("{} before {}", pair[0].labels, pair[1].labels);
            Err(mismatch("the matrix is not sorted by labels", "labels in rising order".to_owned(), got))
        }
    }
}

fn fits(want: &Point, found: &SampleValue) -> bool {
    match (want, found) {
        (Point::Float(want), SampleValue::Float(found)) => equal(*want, *found),
        (Point::Histogram { histogram, hint_is_written }, SampleValue::Histogram(found)) => {
            same_histogram(histogram, found, *hint_is_written)
        }
        _ => false,
    }
}

fn equal(a: f64, b: f64) -> bool {
    almost_equal(a, b, TOLERANCE)
}

/// Whether a histogram is the wanted one: layout exactly, once empty buckets are left out, and counts approximately.
/// The hint counts when the file writes it.
fn same_histogram(want: &FloatHistogram, found: &FloatHistogram, with_hint: bool) -> bool {
    want.schema == found.schema
        && equal(want.count, found.count)
        && equal(want.sum, found.sum)
        && want.zero_threshold == found.zero_threshold
        && equal(want.zero_count, found.zero_count)
        && (want.schema != CUSTOM_BUCKETS_SCHEMA || want.custom_values == found.custom_values)
        && same_buckets(
            (&want.positive_spans, &want.positive_buckets),
            (&found.positive_spans, &found.positive_buckets),
        )
        && same_buckets(
            (&want.negative_spans, &want.negative_buckets),
            (&found.negative_spans, &found.negative_buckets),
        )
        && (!with_hint || want.reset_hint == found.reset_hint)
}

fn same_buckets(want: (&[Span], &[f64]), found: (&[Span], &[f64])) -> bool {
    let (mut want, mut found) = (filled(want.0, want.1), filled(found.0, found.1));
    loop {
        match (want.next(), found.next()) {
            (None, None) => return true,
            (Some((i, a)), Some((k, b))) if i == k && equal(a, b) => {}
            _ => return false,
        }
    }
}

/// The buckets that are not empty, with their numbers.
fn filled<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i64, f64)> + 'a {
    let mut next = 0i64;
    let numbers = spans.iter().flat_map(move |span| {
        let start = next.saturating_add(i64::from(span.offset));
        next = start.saturating_add(i64::from(span.length));
        start..next
    });
    numbers.zip(counts.iter().copied()).filter(|(_, count)| *count != 0.0)
}

fn mismatch(reason: &str, wanted: String, got: String) -> Mismatch {
    Mismatch { reason: reason.to_owned(), wanted, got }
}

/// A value in the notation of the files.
pub(super) fn text(value: &QueryValue) -> String {
    match value {
        QueryValue::Scalar { value, .. } => format!("scalar {}", float_general(*value)),
        QueryValue::String { value, .. } => format!("string {}", Quoted(value)),
        QueryValue::Vector { samples, .. } => {
            let lines: Vec<String> = samples.iter().map(|s| format!("{} {}", s.labels, value_text(&s.value))).collect();
            format!("vector [{}]", lines.join(", "))
        }
        QueryValue::Matrix(series) => {
            let line = |s: &RangeSeries| format!("{} {}", s.labels, points_text(&values_by_time(s)));
            format!("matrix [{}]", series.iter().map(line).collect::<Vec<_>>().join(", "))
        }
    }
}

fn wanted_text(value: &Value) -> String {
    match value {
        Value::Scalar(v) => format!("scalar {}", float_general(*v)),
        Value::String(s) => format!("string {}", Quoted(s)),
        Value::Series(series) => format!("series [{}]", series.iter().map(series_text).collect::<Vec<_>>().join(", ")),
    }
}

fn series_text(series: &Series) -> String {
    let mut text = series.labels.to_string();
    for point in &series.points {
        // Writing to a String cannot fail.
        let _ = write!(text, " {}", point_text(point));
    }
    text
}

fn point_text(point: &Point) -> String {
    match point {
        Point::Gap => "_".to_owned(),
        Point::Float(v) => float_general(*v),
        Point::Histogram { histogram, .. } => histogram.test_expression(),
    }
}

fn value_text(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(v) => float_general(*v),
        SampleValue::Histogram(h) => h.test_expression(),
    }
}

fn points_text(points: &BTreeMap<i64, SampleValue>) -> String {
    let points: Vec<String> = points.iter().map(|(at, v)| format!("{} @[{at}]", value_text(v))).collect();
    points.join(" ")
}
