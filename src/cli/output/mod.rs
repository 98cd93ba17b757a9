//! Ways to show the answer to a query.

pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod table;

use std::{collections::BTreeSet, fmt::Write as _};

use super::answer::{AnswerSeries, HistogramPoint, PointValue};

/// A number as Prometheus writes it: the shortest decimal that reads back the same.
pub(crate) fn format_number(v: f64) -> String {
    if v.is_nan() {
        "NaN".to_owned()
    } else if v.is_infinite() {
        if v > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else if v != 0.0 && !(1e-6..1e21).contains(&v.abs()) {
        format!("{v:e}")
    } else {
        format!("{v}")
    }
}

/// A point's value as text. A histogram as Prometheus prints one: `{count:3, sum:1.5, (0.5,1]:3}`.
pub(crate) fn format_point(value: &PointValue) -> String {
    match value {
        PointValue::Float(v) => format_number(*v),
        PointValue::Histogram(h) => format_histogram(h),
    }
}

fn format_histogram(h: &HistogramPoint) -> String {
    let mut out = format!("{{count:{}, sum:{}", format_number(h.count), format_number(h.sum));
    for b in &h.buckets {
        let (open, close) = bracket(b.rule);
        let (lower, upper) = (format_number(b.lower), format_number(b.upper));
        // Writing to a String cannot fail.
        let _ = write!(out, ", {open}{lower},{upper}{close}:{}", format_number(b.count));
    }
    out.push('}');
    out
}

const fn bracket(rule: u8) -> (char, char) {
    match rule {
        0 => ('(', ']'),
        1 => ('[', ')'),
        2 => ('(', ')'),
        _ => ('[', ']'),
    }
}

/// The names of all labels of the series, in order; the metric's name, `__name__`, comes first by its underscores or is
/// moved there.
pub(crate) fn label_columns(series: &[AnswerSeries]) -> Vec<&str> {
    let names: BTreeSet<&str> = series.iter().flat_map(|s| s.labels.iter().map(|(n, _)| n)).collect();
    let (metric, others): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|n| *n == METRIC_NAME);
    metric.into_iter().chain(others).collect()
}

/// The label that holds a metric's name.
pub(crate) const METRIC_NAME: &str = chronolith_storage::model::labels::METRIC_NAME;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::answer::BucketPoint;

    #[test]
    fn numbers_and_histograms() {
        let shown = [0.1, 1e21, -2.5e-7, 0.0, f64::NAN, f64::NEG_INFINITY, 1e6].map(format_number);
        assert_eq!(shown, ["0.1", "1e21", "-2.5e-7", "0", "NaN", "-Inf", "1000000"]);
        let bucket = BucketPoint { rule: 0, lower: 0.5, upper: 1.0, count: 3.0 };
        let h = HistogramPoint { count: 3.0, sum: 1.5, buckets: vec![bucket] };
        assert_eq!(format_point(&PointValue::Histogram(Box::new(h))), "{count:3, sum:1.5, (0.5,1]:3}");
    }
}
