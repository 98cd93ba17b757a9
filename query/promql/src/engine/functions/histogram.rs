//! Functions of classic histograms: `histogram_quantile`, `histogram_fraction`.

use chronolith_storage::{Labels, LabelsBuilder};

use crate::{
    ast::PosRange,
    engine::{
        annotations::{Annotation, ForcedMonotonicity, Level},
        budget::Budget,
        error::{QueryError, Result},
        evaluate::Evaluator,
        grid::{ABSENT, Grid, Series, is_absent},
        labels::{Numbering, drop_metadata, go_quoted, merge_same_labels},
        plan::Node,
        quantile::{Bucket, bucket_fraction, bucket_quantile},
    },
    format::float_general,
};

/// The label that holds a bucket's upper bound.
const BUCKET: &str = "le";

/// Warns of a quantile that is none.
pub(in crate::engine) fn check_quantile(q: f64, pos: PosRange, budget: &Budget<'_>) {
    if !(0.0..=1.0).contains(&q) {
        let text = format!("quantile value should be between 0 and 1, got {}", float_general(q));
        budget.annotate(|a| a.warn(text, pos));
    }
}

/// A number as Go's `strconv.ParseFloat` reads it, as far as bounds are written.
fn parse_bound(text: &str) -> Option<f64> {
    let bound: f64 = text.parse().ok()?;
    // What is too large for a float is an error there and infinite here.
    (!bound.is_infinite() || !text.bytes().any(|b| b.is_ascii_digit())).then_some(bound)
}

/// The buckets of one histogram over all steps.
struct Classic {
    /// Without the bound.
    labels: Labels,
    /// Bound and column, sorted by bound.
    buckets: Vec<(f64, usize)>,
}

/// Sorts the series of a vector into histograms.
fn classic(evaluator: &Evaluator<'_>, series: &[Series], pos: PosRange, what: &str) -> Result<Vec<Classic>> {
    let mut numbering = Numbering::default();
    let mut out: Vec<Classic> = Vec::new();
    for (i, s) in series.iter().enumerate() {
        if !s.histograms.is_empty() {
            return Err(QueryError::NativeHistogram(what.to_owned()));
        }
        let bound = s.labels.get(BUCKET).unwrap_or_default();
        let Some(upper) = parse_bound(bound) else {
            let mut text = format!("bucket label \"le\" is missing or has a malformed value of {}", go_quoted(bound));
            push_metric_name(evaluator, &mut text, &s.labels);
            evaluator.budget.annotate(|a| a.warn(text, pos));
            continue;
        };
        let labels = s.labels.without(BUCKET);
        let (number, new) = numbering.number(labels.as_bytes());
        if new {
            out.push(Classic { labels, buckets: Vec::new() });
        }
        if let Some(histogram) = out.get_mut(number as usize) {
            histogram.buckets.push((upper, i));
        }
    }
    for histogram in &mut out {
        histogram.buckets.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
    }
    Ok(out)
}

/// Prometheus names the metric only where its name is still there for sure.
fn push_metric_name(evaluator: &Evaluator<'_>, text: &mut String, labels: &Labels) {
    if evaluator.options.delayed_name_removal && !labels.metric_name().is_empty() {
        text.push_str(" for metric name ");
        text.push_str(&go_quoted(labels.metric_name()));
    }
}

/// Calls `f` with the buckets that are there at each step and makes a series of the results.
fn each_step(
    evaluator: &Evaluator<'_>,
    series: &[Series],
    histogram: &Classic,
    labels: Labels,
    grid: Grid,
    mut f: impl FnMut(usize, &mut Vec<Bucket>) -> f64,
) -> Result<Series> {
    evaluator.budget.check()?;
    let mut buckets = Vec::with_capacity(histogram.buckets.len());
    let mut values = vec![ABSENT; grid.count];
    for (k, out) in values.iter_mut().enumerate() {
        buckets.clear();
        for (upper, column) in &histogram.buckets {
            // The columns were numbered from these series and have a value for each step.
            let count = series[*column].values[k];
            if !is_absent(count) {
                buckets.push(Bucket { upper: *upper, count });
            }
        }
        if !buckets.is_empty() {
            *out = f(k, &mut buckets);
        }
    }
    let delayed = evaluator.options.delayed_name_removal;
    let labels = if delayed { labels } else { drop_metadata(&labels) };
    Ok(Series { drop_name: true, ..Series::floats(labels, values) })
}

fn too_few() -> QueryError {
    QueryError::BadData("too few arguments".to_owned())
}

/// `histogram_quantile(q, v)`
pub(in crate::engine) fn quantile<'q>(
    evaluator: &Evaluator<'q>,
    args: &'q [Node<'q>],
    grid: Grid,
) -> Result<Vec<Series>> {
    let [q_arg, vector] = args else { return Err(too_few()) };
    let q = evaluator.scalar(q_arg, grid)?;
    let series = evaluator.vector(vector, grid)?;
    q.iter().for_each(|q| check_quantile(*q, q_arg.pos, &evaluator.budget));
    let mut out = Vec::new();
    for histogram in classic(evaluator, &series, vector.pos, "histogram_quantile")? {
        let labels = histogram.labels.clone();
        out.push(quantile_of(evaluator, &series, &histogram, labels, &q, vector.pos, grid)?);
    }
    merge_same_labels(out)
}

/// `histogram_quantiles(v, label, q...)`
pub(in crate::engine) fn quantiles<'q>(
    evaluator: &Evaluator<'q>,
    args: &'q [Node<'q>],
    grid: Grid,
) -> Result<Vec<Series>> {
    let [vector, label, q_args @ ..] = args else { return Err(too_few()) };
    let label = evaluator.text(label)?;
    let series = evaluator.vector(vector, grid)?;
    let histograms = classic(evaluator, &series, vector.pos, "histogram_quantiles")?;
    let mut out = Vec::new();
    for q_arg in q_args {
        let q = evaluator.scalar(q_arg, grid)?;
        q.iter().for_each(|q| check_quantile(*q, q_arg.pos, &evaluator.budget));
        let text = q.first().map_or_else(String::new, |q| open_metrics_float(*q));
        for histogram in &histograms {
            let mut labels = LabelsBuilder::from_labels(&histogram.labels);
            labels.set(label, &text);
            out.push(quantile_of(evaluator, &series, histogram, labels.build(), &q, vector.pos, grid)?);
        }
    }
    merge_same_labels(out)
}

/// A number as OpenMetrics writes it: always seen to be a float.
fn open_metrics_float(v: f64) -> String {
    let text = float_general(v);
    if v.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

fn quantile_of(
    evaluator: &Evaluator<'_>,
    series: &[Series],
    histogram: &Classic,
    labels: Labels,
    q: &[f64],
    pos: PosRange,
    grid: Grid,
) -> Result<Series> {
    each_step(evaluator, series, histogram, labels, grid, |k, buckets| {
        let q = q.get(k).copied().unwrap_or(f64::NAN);
        let (value, forced) = bucket_quantile(q, buckets);
        if let Some(forced) = forced {
            let mut message = "input to histogram_quantile needed to be fixed for monotonicity (see \
                               https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
                .to_owned();
            push_metric_name(evaluator, &mut message, &histogram.labels);
            let facts = ForcedMonotonicity {
                time: (grid.at(k), grid.at(k)),
                buckets: (forced.min_bucket, forced.max_bucket),
                max_diff: forced.max_diff,
                count: 1,
            };
            evaluator.budget.annotate(|a| {
                a.add(Annotation {
                    level: Level::Info,
                    message,
                    pos,
                    forced_monotonicity: Some(facts),
                    occurrences: None,
                });
            });
        }
        value
    })
}

/// `histogram_fraction(lower, upper, v)`
pub(in crate::engine) fn fraction<'q>(
    evaluator: &Evaluator<'q>,
    args: &'q [Node<'q>],
    grid: Grid,
) -> Result<Vec<Series>> {
    let [lower, upper, vector] = args else { return Err(too_few()) };
    let (lower, upper) = (evaluator.scalar(lower, grid)?, evaluator.scalar(upper, grid)?);
    let series = evaluator.vector(vector, grid)?;
    let mut out = Vec::new();
    for histogram in classic(evaluator, &series, vector.pos, "histogram_fraction")? {
        let labels = histogram.labels.clone();
        out.push(each_step(evaluator, &series, &histogram, labels, grid, |k, buckets| {
            let at = |column: &[f64]| column.get(k).copied().unwrap_or(f64::NAN);
            bucket_fraction(at(&lower), at(&upper), buckets)
        })?);
    }
    merge_same_labels(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_as_go_reads_them() {
        assert_eq!(parse_bound("+Inf"), Some(f64::INFINITY));
        assert_eq!(parse_bound("1e-3"), Some(0.001));
        assert_eq!(parse_bound("1e999"), None);
        assert_eq!(parse_bound(""), None);
        assert_eq!(parse_bound("abc"), None);
        assert_eq!([1.0, 0.5, 1e9].map(open_metrics_float), ["1.0", "0.5", "1e+09"]);
    }
}
