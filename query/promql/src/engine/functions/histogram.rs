//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction` over classic and native histograms.

use std::collections::HashSet;

use chronolith_storage::{FloatHistogram, Labels, LabelsBuilder};

use super::{
    math::present,
    native::{self, NanObservations},
};

use crate::{
    ast::PosRange,
    engine::{
        annotations::{Annotation, ForcedMonotonicity, Level},
        budget::Budget,
        error::{QueryError, Result},
        evaluate::Evaluator,
        grid::{ABSENT, Grid, Series, count_present, is_absent},
        labels::{Numbering, drop_metadata, go_quoted},
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

/// Warns of the quantiles among a column's that are none. A parameter that stays the same is looked at once.
pub(in crate::engine) fn check_quantiles<'v>(
    quantiles: impl IntoIterator<Item = &'v f64>,
    pos: PosRange,
    budget: &Budget<'_>,
) -> Result<()> {
    let mut last = None;
    for (i, q) in quantiles.into_iter().enumerate() {
        if i % 1024 == 0 {
            budget.check()?;
        }
        if last.replace(q.to_bits()) != Some(q.to_bits()) {
            check_quantile(*q, pos, budget);
        }
    }
    Ok(())
}

/// A number as Go's `strconv.ParseFloat` reads it, as far as bounds are written.
fn parse_bound(text: &str) -> Option<f64> {
    let bound: f64 = text.parse().ok()?;
    // What is too large for a float is an error there and infinite here.
    (!bound.is_infinite() || !text.bytes().any(|b| b.is_ascii_digit())).then_some(bound)
}

/// The buckets of one classic histogram over all steps.
struct Classic {
    /// Without the bound.
    labels: Labels,
    /// Bound and column, sorted by bound.
    buckets: Vec<(f64, usize)>,
    /// The steps at which there is a native histogram with the same labels, rising.
    blocked: Vec<u32>,
}

impl Classic {
    fn has(&self, series: &[Series], k: u32) -> bool {
        let value = |column: usize| series.get(column).and_then(|s| s.values.get(k as usize));
        self.buckets.iter().any(|(_, column)| value(*column).is_some_and(|v| !is_absent(*v)))
    }
}

/// The native histograms of one series.
struct Native {
    series: usize,
    /// The steps at which there is a classic histogram with the same labels, rising.
    blocked: Vec<u32>,
}

/// The histograms of a vector, of both kinds.
struct Histograms<'e, 'q> {
    evaluator: &'e Evaluator<'q>,
    series: Vec<Series>,
    classic: Vec<Classic>,
    native: Vec<Native>,
    /// Where the vector stands in the query.
    pos: PosRange,
    grid: Grid,
}

impl<'e, 'q> Histograms<'e, 'q> {
    /// Sorts the series of a vector, which stands at `pos`, into histograms.
    fn of(evaluator: &'e Evaluator<'q>, series: Vec<Series>, pos: PosRange, grid: Grid) -> Self {
        let mut numbering = Numbering::default();
        let mut new = Self { evaluator, series, classic: Vec::new(), native: Vec::new(), pos, grid };
        for (i, s) in new.series.iter().enumerate() {
            if !s.histograms.is_empty() {
                new.native.push(Native { series: i, blocked: Vec::new() });
            }
            if count_present(&s.values) == 0 {
                continue;
            }
            let bound = s.labels.get(BUCKET).unwrap_or_default();
            let Some(upper) = parse_bound(bound) else {
                let text = format!("bucket label \"le\" is missing or has a malformed value of {}", go_quoted(bound));
                new.annotate(Level::Warning, text, &s.labels);
                continue;
            };
            let labels = s.labels.without(BUCKET);
            let (number, is_new) = numbering.number(labels.as_bytes());
            if is_new {
                new.classic.push(Classic { labels, buckets: Vec::new(), blocked: Vec::new() });
            }
            if let Some(histogram) = new.classic.get_mut(number as usize) {
                histogram.buckets.push((upper, i));
            }
        }
        for histogram in &mut new.classic {
            histogram.buckets.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
        }
        new.block(&mut numbering);
        new
    }

    /// Where a native and a classic histogram have the same labels at a step, neither counts.
    fn block(&mut self, numbering: &mut Numbering) {
        let mut native = std::mem::take(&mut self.native);
        for n in &mut native {
            let Some(s) = self.series.get(n.series) else { continue };
            let (number, _) = numbering.number(s.labels.as_bytes());
            let Some(classic) = self.classic.get(number as usize) else { continue };
            n.blocked.extend(s.histograms.iter().map(|(k, _)| *k).filter(|k| classic.has(&self.series, *k)));
            if !n.blocked.is_empty() {
                let text = "vector contains a mix of classic and native histograms".to_owned();
                self.annotate(Level::Warning, text, &s.labels);
            }
            if let Some(classic) = self.classic.get_mut(number as usize) {
                classic.blocked.clone_from(&n.blocked);
            }
        }
        self.native = native;
    }

    /// Remarks on the histograms of a metric. Prometheus names it only where its name is still there for sure.
    fn annotate(&self, level: Level, text: String, labels: &Labels) {
        let message = self.named(text, labels);
        let annotation = Annotation { level, message, pos: self.pos, forced_monotonicity: None, occurrences: None };
        self.evaluator.budget.annotate(|a| a.add(annotation));
    }

    fn named(&self, mut text: String, labels: &Labels) -> String {
        if self.evaluator.options.delayed_name_removal && !labels.metric_name().is_empty() {
            text.push_str(" for metric name ");
            text.push_str(&go_quoted(labels.metric_name()));
        }
        text
    }

    /// The labels of a result: those of the histogram and one more.
    fn labels(&self, labels: &Labels, added: Option<(&str, &str)>) -> Labels {
        let labels = if self.evaluator.options.delayed_name_removal { labels.clone() } else { drop_metadata(labels) };
        match added {
            None => labels,
            Some((name, value)) => {
                let mut labels = LabelsBuilder::from_labels(&labels);
                labels.set(name, value);
                labels.build()
            }
        }
    }

    /// Makes a series of the numbers that `number` gives for each histogram at each of the steps.
    fn reduce(&self, steps: impl Fn(usize) -> bool, number: &impl Number, out: &mut Vec<Series>) -> Result<()> {
        let mut push = |labels: &Labels, values: Vec<f64>| -> Result<()> {
            let labels = self.labels(labels, number.added_label());
            let s = Series { drop_name: true, ..Series::floats(labels, values) };
            if !s.is_empty() {
                self.evaluator.budget.hold(s.samples(), s.bytes())?;
                out.push(s);
            }
            self.evaluator.budget.check()
        };
        for native in &self.native {
            let Some(s) = self.series.get(native.series) else { continue };
            let mut values = vec![ABSENT; self.grid.count];
            for (k, h) in s.histograms.iter().filter(|(k, _)| steps(*k as usize)) {
                if k % 256 == 0 {
                    self.evaluator.budget.check()?;
                }
                if let (Some(place), Err(_)) = (values.get_mut(*k as usize), native.blocked.binary_search(k)) {
                    *place = present(number.of_native(self, *k as usize, h, &s.labels));
                }
            }
            push(&s.labels, values)?;
        }
        let mut buckets = Vec::new();
        for classic in &self.classic {
            let mut values = vec![ABSENT; self.grid.count];
            for (k, place) in values.iter_mut().enumerate().filter(|(k, _)| steps(*k)) {
                if k % 256 == 0 {
                    self.evaluator.budget.check()?;
                }
                if classic.blocked.binary_search(&(k as u32)).is_ok() {
                    continue;
                }
                buckets.clear();
                for (upper, column) in &classic.buckets {
                    // The columns were numbered from these series and have a value for each step.
                    let count = self.series[*column].values[k];
                    if !is_absent(count) {
                        buckets.push(Bucket { upper: *upper, count });
                    }
                }
                if !buckets.is_empty() {
                    *place = present(number.of_classic(self, k, &mut buckets, &classic.labels));
                }
            }
            push(&classic.labels, values)?;
        }
        Ok(())
    }
}

/// What is told of each histogram.
trait Number {
    fn of_native(&self, all: &Histograms<'_, '_>, k: usize, h: &FloatHistogram, labels: &Labels) -> f64;
    fn of_classic(&self, all: &Histograms<'_, '_>, k: usize, buckets: &mut Vec<Bucket>, labels: &Labels) -> f64;
    /// A label that the results get.
    fn added_label(&self) -> Option<(&str, &str)> {
        None
    }
}

struct Quantile<'a> {
    /// For each step.
    q: &'a [f64],
    label: Option<(&'a str, &'a str)>,
    /// At which steps an earlier quantile has made the buckets monotonic, and told.
    told: &'a [bool],
}

impl Number for Quantile<'_> {
    fn of_native(&self, all: &Histograms<'_, '_>, k: usize, h: &FloatHistogram, labels: &Labels) -> f64 {
        let (value, remark) = native::quantile(at(self.q, k), h);
        let result = match remark {
            None => return value,
            Some(NanObservations::Result) => "result is NaN",
            Some(NanObservations::Skew) => "result is skewed higher",
        };
        all.annotate(Level::Info, format!("input to histogram_quantile has NaN observations, {result}"), labels);
        value
    }

    fn of_classic(&self, all: &Histograms<'_, '_>, k: usize, buckets: &mut Vec<Bucket>, labels: &Labels) -> f64 {
        let (value, forced) = bucket_quantile(at(self.q, k), buckets);
        if let Some(forced) = forced
            && !self.told.get(k).is_some_and(|told| *told)
        {
            let text = "input to histogram_quantile needed to be fixed for monotonicity (see \
                        https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
            let facts = ForcedMonotonicity {
                time: (all.grid.at(k), all.grid.at(k)),
                buckets: (forced.min_bucket, forced.max_bucket),
                max_diff: forced.max_diff,
                count: 1,
            };
            let message = all.named(text.to_owned(), labels);
            let annotation = Annotation {
                level: Level::Info,
                message,
                pos: all.pos,
                forced_monotonicity: Some(facts),
                occurrences: None,
            };
            all.evaluator.budget.annotate(|a| a.add(annotation));
        }
        value
    }

    fn added_label(&self) -> Option<(&str, &str)> {
        self.label
    }
}

struct Fraction {
    /// For each step.
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Number for Fraction {
    fn of_native(&self, all: &Histograms<'_, '_>, k: usize, h: &FloatHistogram, labels: &Labels) -> f64 {
        let (value, nan_observations) = native::fraction(at(&self.lower, k), at(&self.upper, k), h);
        if nan_observations {
            let text = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
            all.annotate(Level::Info, text.to_owned(), labels);
        }
        value
    }

    fn of_classic(&self, _: &Histograms<'_, '_>, k: usize, buckets: &mut Vec<Bucket>, _: &Labels) -> f64 {
        bucket_fraction(at(&self.lower, k), at(&self.upper, k), buckets)
    }
}

fn at(column: &[f64], k: usize) -> f64 {
    column.get(k).copied().unwrap_or(f64::NAN)
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
    check_quantiles(&q, q_arg.pos, &evaluator.budget)?;
    let histograms = Histograms::of(evaluator, series, vector.pos, grid);
    let mut out = Vec::new();
    histograms.reduce(|_| true, &Quantile { q: &q, label: None, told: &[] }, &mut out)?;
    evaluator.unite(out, grid)
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
    let columns = q_args.iter().map(|q| evaluator.scalar(q, grid)).collect::<Result<Vec<_>>>()?;
    for (q, q_arg) in columns.iter().zip(q_args) {
        check_quantiles(q, q_arg.pos, &evaluator.budget)?;
    }
    let histograms = Histograms::of(evaluator, series, vector.pos, grid);
    let mut out = Vec::new();
    let mut told = vec![false; grid.count];
    for q in columns {
        // The quantile may be another at each step, and then its label is too.
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        // Adding zero makes one zero of both.
        let bits = |v: f64| if v.is_nan() { f64::NAN.to_bits() } else { (v + 0.0).to_bits() };
        let mut seen = HashSet::new();
        let distinct: Vec<f64> = q.iter().copied().filter(|v| seen.insert(bits(*v))).collect();
        for value in distinct {
            let text = open_metrics_float(value);
            let number = Quantile { q: &q, label: Some((label, &text)), told: &told };
            histograms.reduce(|k| same(at(&q, k), value), &number, &mut out)?;
        }
        // Other quantiles are known without a look at the buckets.
        told.iter_mut().zip(&q).for_each(|(told, q)| *told |= (0.0..=1.0).contains(q));
    }
    evaluator.unite(out, grid)
}

/// A number as OpenMetrics writes it: always seen to be a float.
fn open_metrics_float(v: f64) -> String {
    if v == 0.0 {
        // The zero below zero as well.
        return "0.0".to_owned();
    }
    let text = float_general(v);
    if v.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

/// `histogram_fraction(lower, upper, v)`
pub(in crate::engine) fn fraction<'q>(
    evaluator: &Evaluator<'q>,
    args: &'q [Node<'q>],
    grid: Grid,
) -> Result<Vec<Series>> {
    let [lower, upper, vector] = args else { return Err(too_few()) };
    let number = Fraction { lower: evaluator.scalar(lower, grid)?, upper: evaluator.scalar(upper, grid)? };
    let series = evaluator.vector(vector, grid)?;
    let mut out = Vec::new();
    Histograms::of(evaluator, series, vector.pos, grid).reduce(|_| true, &number, &mut out)?;
    evaluator.unite(out, grid)
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
