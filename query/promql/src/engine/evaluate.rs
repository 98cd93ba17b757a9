//! Walks the plan once: scalars to columns, vectors to streams or series.

use chronolith_storage::{Labels, Matcher, SeriesSet, SeriesSource, TimeRange};

use super::{
    QueryOptions,
    budget::Budget,
    error::{QueryError, Result},
    functions::math::{is_comparison, operate, operator_text},
    grid::{ABSENT, Grid, Series, count_present, is_absent, weigh},
    kernels::RangeFn,
    labels::{drop_metadata, merge_same_labels},
    plan::{Kind, Node, Selector, Subquery},
    smoothed::Smoothed,
    stream::{Leaf, Origin, Stream, Take},
    value::{InstantSample, QueryValue, RangeSeries, SampleValue},
    window::{Reach, Times},
};
use crate::{
    ast::{BinaryOp, Extension, PosRange, StringLiteral, ValueType},
    quote::{Quoted, QuotedBytes},
};

/// Grids with more steps than the limit of samples and than this are refused: one series would fill the limit.
const MANY_STEPS: usize = 1 << 22;

/// The samples of a range.
pub(super) struct Samples<'q> {
    pub(super) origin: Origin<'q>,
    /// Which samples each step sees,
    pub(super) times: Times,
    /// and how far back, in milliseconds.
    pub(super) range: i64,
    pub(super) extension: Extension,
}

/// Evaluates one query.
pub(super) struct Evaluator<'q> {
    source: &'q dyn SeriesSource,
    pub(super) options: &'q QueryOptions,
    pub(super) budget: Budget<'q>,
}

impl<'q> Evaluator<'q> {
    pub(super) fn new(source: &'q dyn SeriesSource, options: &'q QueryOptions) -> Self {
        Self { source, options, budget: Budget::new(options) }
    }

    /// The value of the whole expression at one moment.
    pub(super) fn instant(&self, node: &'q Node<'q>, at: i64) -> Result<QueryValue> {
        let grid = Grid::instant(at);
        Ok(match node.returns {
            ValueType::Scalar => {
                let value = self.scalar(node, grid)?.first().copied().unwrap_or(f64::NAN);
                QueryValue::Scalar { timestamp: at, value }
            }
            ValueType::String => QueryValue::String { timestamp: at, value: self.text(node)?.to_owned() },
            ValueType::Vector => {
                let series = self.finish(self.vector(node, grid)?)?;
                QueryValue::Vector { timestamp: at, samples: series.into_iter().filter_map(instant_sample).collect() }
            }
            ValueType::Matrix => {
                let mut series = self.matrix(node, grid)?;
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                QueryValue::Matrix(series)
            }
        })
    }

    /// The series of the whole expression over a grid, sorted by labels.
    pub(super) fn range(&self, node: &'q Node<'q>, grid: Grid) -> Result<Vec<RangeSeries>> {
        self.check_grid(grid)?;
        let series = if node.returns == ValueType::Scalar {
            let values = self.scalar(node, grid)?;
            self.budget.hold(values.len(), values.len() * 8)?;
            if values.is_empty() { Vec::new() } else { vec![Series::floats(Labels::empty(), values)] }
        } else {
            self.finish(self.vector(node, grid)?)?
        };
        let mut out: Vec<RangeSeries> = series.into_iter().filter_map(|s| range_series(s, grid)).collect();
        out.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(out)
    }

    /// Drops the names that operators left for the end.
    fn finish(&self, mut series: Vec<Series>) -> Result<Vec<Series>> {
        if !self.options.delayed_name_removal {
            return Ok(series);
        }
        for s in series.iter_mut().filter(|s| s.drop_name) {
            s.labels = drop_metadata(&s.labels);
        }
        merge_same_labels(series)
    }

    /// Makes one series of those with the same labels. Where Prometheus evaluates a single moment and names go at the end
    /// of the query, it lets equal labels pass until then.
    pub(super) fn unite(&self, series: Vec<Series>, grid: Grid) -> Result<Vec<Series>> {
        if self.options.delayed_name_removal && grid.start == grid.end {
            return Ok(series);
        }
        merge_same_labels(series)
    }

    fn check_grid(&self, grid: Grid) -> Result<()> {
        if grid.count > self.options.max_samples.max(MANY_STEPS) {
            return Err(QueryError::TooManySamples);
        }
        Ok(())
    }

    /// The text of a string literal, which is all that can be a string.
    pub(super) fn text(&self, node: &Node<'q>) -> Result<&'q str> {
        match &node.kind {
            Kind::Text(literal) => Ok(&literal.value),
            Kind::Invariant(inner) => self.text(inner),
            _ => Err(QueryError::BadData("expected a string literal".to_owned())),
        }
    }

    /// The text of a string literal that names a label; `refusal` stands before a name that cannot be one.
    pub(super) fn label_name(&self, node: &Node<'q>, refusal: &str) -> Result<&'q str> {
        let name = self.text(node)?;
        match &node.kind {
            Kind::Text(StringLiteral { invalid_utf8: Some(bytes), .. }) => {
                Err(QueryError::Execution(format!("{refusal} {}", QuotedBytes(bytes))))
            }
            _ if name.is_empty() => Err(QueryError::Execution(format!("{refusal} {}", Quoted(name)))),
            _ => Ok(name),
        }
    }

    /// A scalar at every step.
    pub(super) fn scalar(&self, node: &'q Node<'q>, grid: Grid) -> Result<Vec<f64>> {
        self.budget.check()?;
        Ok(match &node.kind {
            Kind::Number(v) => vec![*v; grid.count],
            Kind::Invariant(inner) if grid.count > 1 => {
                let once = self.scalar(inner, Grid::instant(grid.start))?;
                vec![once.first().copied().unwrap_or(f64::NAN); grid.count]
            }
            Kind::Invariant(inner) => self.scalar(inner, grid)?,
            Kind::Plus(inner) => self.scalar(inner, grid)?,
            Kind::Negate(inner) => {
                let mut values = self.scalar(inner, grid)?;
                values.iter_mut().for_each(|v| *v = -*v);
                values
            }
            Kind::Binary(b) => {
                let mut left = self.scalar(&b.lhs, grid)?;
                let right = self.scalar(&b.rhs, grid)?;
                if matches!(b.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) && grid.count > 0 {
                    let op = operator_text(b.op);
                    return Err(QueryError::Execution(format!("operator \"{op}\" not allowed for Scalar operations")));
                }
                for (l, r) in left.iter_mut().zip(right) {
                    let v = operate(b.op, *l, r);
                    *l = if is_comparison(b.op) { f64::from(u8::from(!is_absent(v))) } else { v };
                }
                left
            }
            Kind::Call { func, args } => self.scalar_call(func.name, args, grid)?,
            _ => return Err(QueryError::BadData("expected a scalar".to_owned())),
        })
    }

    /// A vector with all its series.
    pub(super) fn vector(&self, node: &'q Node<'q>, grid: Grid) -> Result<Vec<Series>> {
        let mark = self.budget.mark();
        let series = self.stream(node, grid)?.collect(&self.budget)?;
        let (samples, bytes) = weigh(&series);
        self.budget.settle(mark, samples, bytes)?;
        Ok(series)
    }

    /// A vector whose series are still to be produced. No two of them have the same labels at the same step, but for what
    /// `unite` lets pass.
    pub(super) fn stream(&self, node: &'q Node<'q>, grid: Grid) -> Result<Stream<'q>> {
        self.budget.check()?;
        let stream = match &node.kind {
            _ if grid.count == 0 => self.ready(Vec::new(), grid),
            Kind::Instant(selector) if selector.extension == Extension::Smoothed => {
                self.smoothed(selector, node.pos, grid)?
            }
            Kind::Instant(selector) => self.selected(selector, grid, Take::Value)?,
            Kind::Invariant(inner) if grid.count > 1 => {
                let once = self.vector(inner, Grid::instant(grid.start))?;
                let series: Vec<Series> = once.into_iter().map(|s| broadcast(s, grid.count)).collect();
                let (samples, bytes) = weigh(&series);
                self.budget.hold(samples, bytes)?;
                self.ready(series, grid)
            }
            Kind::Invariant(inner) | Kind::Plus(inner) => self.stream(inner, grid)?,
            Kind::Negate(inner) => self.negate(inner, grid)?,
            Kind::Call { func, args } => self.call(func, args, node.pos, grid)?,
            Kind::Aggregate(a) => self.ready(super::aggregate::evaluate(self, a, node.pos, grid)?, grid),
            Kind::Binary(b) if b.lhs.returns == ValueType::Vector && b.rhs.returns == ValueType::Vector => {
                self.ready(self.vector_binary(b, node.pos, grid)?, grid)
            }
            Kind::Binary(b) => self.scalar_binary(b, node.pos, grid)?,
            Kind::Number(_) | Kind::Text(_) | Kind::Range(_) | Kind::Subquery(_) => {
                return Err(QueryError::BadData("expected an instant vector".to_owned()));
            }
        };
        if stream.may_collide() {
            let series = stream.collect(&self.budget)?;
            return Ok(self.ready(series, grid));
        }
        Ok(stream)
    }

    /// Series that are there already.
    pub(super) const fn ready(&self, series: Vec<Series>, grid: Grid) -> Stream<'q> {
        Stream::ready(series, grid, self.options.delayed_name_removal)
    }

    pub(super) fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Box<dyn SeriesSet + 'q>> {
        let set = self.source.select(matchers, range)?;
        self.budget.count_selected(set.len());
        Ok(set)
    }

    /// The last samples that a selector finds, or what is asked of them.
    pub(super) fn selected(&self, selector: &Selector<'q>, grid: Grid, take: Take) -> Result<Stream<'q>> {
        let times = Times { grid, shift: selector.shift };
        let lookback = self.options.lookback_ms;
        let leaf = Leaf::Instant { times, lookback, take };
        self.stored(selector, Reach { before: lookback, after: 0 }.range(&times), leaf, grid, take != Take::Value)
    }

    /// Values between the samples that a selector finds.
    fn smoothed(&self, selector: &Selector<'q>, pos: PosRange, grid: Grid) -> Result<Stream<'q>> {
        let smoothed =
            Smoothed { times: Times { grid, shift: selector.shift }, lookback: self.options.lookback_ms, pos };
        self.stored(selector, smoothed.reach().range(&smoothed.times), Leaf::Smoothed(smoothed), grid, false)
    }

    fn stored(
        &self,
        selector: &Selector<'q>,
        range: TimeRange,
        leaf: Leaf,
        grid: Grid,
        drop_name: bool,
    ) -> Result<Stream<'q>> {
        let set = self.select(selector.matchers, range)?;
        let origin = Origin::Stored { set, range, stats_only: selector.stats_only };
        Ok(Stream { origin, leaf, stages: Vec::new(), grid, drop_name, delayed: self.options.delayed_name_removal })
    }

    /// The samples of a range that a function is applied to.
    pub(super) fn samples(&self, node: &'q Node<'q>, function: RangeFn, name: &str, grid: Grid) -> Result<Samples<'q>> {
        match &node.kind {
            Kind::Range(r) => {
                let extension = r.selector.extension;
                function.check_extension(name, extension)?;
                let times = Times { grid, shift: r.selector.shift };
                let range = Reach::of(r.range, extension, self.options.lookback_ms).range(&times);
                let set = self.select(r.selector.matchers, range)?;
                let origin = Origin::Stored { set, range, stats_only: r.selector.stats_only };
                Ok(Samples { origin, times, range: r.range, extension })
            }
            Kind::Subquery(s) => {
                let inner = subquery_grid(s, grid);
                self.check_grid(inner)?;
                let series = self.vector_or_scalar(&s.expr, inner)?;
                let times = Times { grid, shift: s.shift };
                let origin = Origin::Computed { series, grid: inner };
                Ok(Samples { origin, times, range: s.range, extension: Extension::None })
            }
            _ => Err(QueryError::BadData("expected a range vector".to_owned())),
        }
    }

    /// A subquery may stand over a scalar, which then is a series without labels.
    fn vector_or_scalar(&self, node: &'q Node<'q>, grid: Grid) -> Result<Vec<Series>> {
        if node.returns == ValueType::Scalar {
            let values = self.scalar(node, grid)?;
            self.budget.hold(values.len(), values.len() * 8)?;
            return Ok(vec![Series::floats(Labels::empty(), values)]);
        }
        self.vector(node, grid)
    }

    /// A range or a subquery as the whole answer.
    fn matrix(&self, node: &'q Node<'q>, grid: Grid) -> Result<Vec<RangeSeries>> {
        match &node.kind {
            Kind::Invariant(inner) => self.matrix(inner, grid),
            Kind::Subquery(s) => {
                let inner = subquery_grid(s, grid);
                self.check_grid(inner)?;
                let series = self.finish(self.vector_or_scalar(&s.expr, inner)?)?;
                Ok(series.into_iter().filter_map(|s| range_series(s, inner)).collect())
            }
            Kind::Range(r) => self.raw(r, &Times { grid, shift: r.selector.shift }),
            _ => Err(QueryError::BadData("expected a range vector".to_owned())),
        }
    }
}

/// The steps of a subquery: multiples of its own step.
fn subquery_grid(s: &Subquery<'_>, grid: Grid) -> Grid {
    let before = s.shift.apply(grid.start).saturating_sub(s.range);
    let end = s.shift.apply(grid.last());
    let mut start = s.step.saturating_mul(before / s.step);
    if start <= before {
        start = start.saturating_add(s.step);
    }
    Grid::new(start, end, s.step)
}

/// A series of one step at many.
fn broadcast(s: Series, count: usize) -> Series {
    let value = s.values.first().copied().unwrap_or(ABSENT);
    let histograms = match s.histograms.into_iter().next() {
        Some((_, h)) => (0..count).map(|k| (k as u32, std::sync::Arc::clone(&h))).collect(),
        None => Vec::new(),
    };
    Series { values: vec![value; count], histograms, labels: s.labels, drop_name: s.drop_name }
}

fn instant_sample(s: Series) -> Option<InstantSample> {
    let value = match s.histograms.into_iter().next() {
        Some((_, h)) => SampleValue::Histogram(h),
        None => SampleValue::Float(s.values.first().copied().filter(|v| !is_absent(*v))?),
    };
    Some(InstantSample { labels: s.labels, value })
}

fn range_series(s: Series, grid: Grid) -> Option<RangeSeries> {
    let mut out = RangeSeries { labels: s.labels, ..RangeSeries::default() };
    let present = count_present(&s.values);
    if present == s.values.len() {
        out.timestamps = grid.times().collect();
        out.values = s.values;
    } else {
        out.timestamps.reserve_exact(present);
        out.values.reserve_exact(present);
        for (k, v) in s.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
            out.timestamps.push(grid.at(k));
            out.values.push(*v);
        }
    }
    out.histograms = s.histograms.into_iter().map(|(k, h)| (grid.at(k as usize), h)).collect();
    (!out.values.is_empty() || !out.histograms.is_empty()).then_some(out)
}
