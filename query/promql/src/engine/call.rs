//! Function calls.

use chronolith_storage::{FloatHistogram, Labels, model::labels::METRIC_NAME};

use super::{
    budget::Budget,
    error::{QueryError, Result},
    evaluate::{Evaluator, Samples},
    functions::{absent, date, histogram, info, labels as label_functions, math, native, sort},
    grid::{Grid, HistogramPoints, Series, is_absent},
    kernels::RangeFn,
    labels::merge_same_labels,
    plan::{Kind, Node},
    range_step::RangeStep,
    stream::{Leaf, Stage, Stream, Take},
};
use crate::{ast::PosRange, functions::Function};

fn arg<'a, 'q>(args: &'a [Node<'q>], number: usize) -> Result<&'a Node<'q>> {
    args.get(number).ok_or_else(|| QueryError::BadData("too few arguments".to_owned()))
}

impl<'q> Evaluator<'q> {
    /// A function that gives a scalar.
    pub(super) fn scalar_call(&self, name: &str, args: &'q [Node<'q>], grid: Grid) -> Result<Vec<f64>> {
        Ok(match name {
            "pi" => vec![std::f64::consts::PI; grid.count],
            "time" => grid.times().map(|t| t as f64 / 1000.0).collect(),
            "scalar" => only_values(&self.vector(arg(args, 0)?, grid)?, grid),
            "max_of" | "min_of" => {
                let of = if name == "max_of" { math::go_max } else { math::go_min };
                let mut a = self.scalar(arg(args, 0)?, grid)?;
                let b = self.scalar(arg(args, 1)?, grid)?;
                a.iter_mut().zip(b).for_each(|(a, b)| *a = of(*a, b));
                a
            }
            _ => return Err(QueryError::Unsupported(format!("function {name}"))),
        })
    }

    /// A function that gives a vector.
    pub(super) fn call(
        &self,
        func: &'static Function,
        args: &'q [Node<'q>],
        pos: PosRange,
        grid: Grid,
    ) -> Result<Stream<'q>> {
        let name = func.name;
        if let Some(function) = RangeFn::named(name) {
            let stream = self.range_call(function, name, args, grid)?;
            return match (name, args.iter().find(|a| is_range(a))) {
                ("absent_over_time", Some(range)) => {
                    Ok(self.ready(absent::absent(&stream, absent::labels_of(range), &self.budget)?, grid))
                }
                _ => Ok(stream),
            };
        }
        if let Some(f) = math::simple(name) {
            return self.each(arg(args, 0)?, grid, Box::new(move |column| math::map(column, f)));
        }
        if let Some(f) = native::simple(name) {
            return self.of_histograms(f, arg(args, 0)?, grid);
        }
        if let Some(f) = date::named(name) {
            return match args.first() {
                Some(node) => self.each(node, grid, Box::new(move |column| math::map(column, f))),
                None => {
                    // Whole seconds, cut toward zero as integers are divided.
                    let values = grid.times().map(|t| f((t / 1000) as f64)).collect();
                    Ok(self.ready(vec![Series::floats(Labels::empty(), values)], grid))
                }
            };
        }
        match name {
            "clamp" | "clamp_min" | "clamp_max" => self.clamp(name, args, grid),
            "round" => {
                let stream = self.stream(arg(args, 0)?, grid)?;
                let nearest = args.get(1).map(|n| self.scalar(n, grid)).transpose()?;
                let round = move |column: &mut [f64]| {
                    for (k, v) in column.iter_mut().enumerate().filter(|(_, v)| !is_absent(**v)) {
                        let nearest = nearest.as_ref().and_then(|n| n.get(k)).copied().unwrap_or(1.0);
                        *v = math::round(*v, nearest);
                    }
                };
                Ok(stream.then(true, Stage::Floats(Box::new(round))))
            }
            "timestamp" => self.timestamp(arg(args, 0)?, grid),
            "start_timestamp" => self.start_timestamp(arg(args, 0)?, grid),
            "vector" => {
                let values = self.scalar(arg(args, 0)?, grid)?;
                self.budget.hold(values.len(), values.len() * 8)?;
                Ok(self.ready(vec![Series::floats(Labels::empty(), values)], grid))
            }
            "absent" => {
                let node = arg(args, 0)?;
                let stream = self.stream(node, grid)?;
                Ok(self.ready(absent::absent(&stream, absent::labels_of(node), &self.budget)?, grid))
            }
            _ => Ok(self.ready(self.series_call(name, args, pos, grid)?, grid)),
        }
    }

    /// A function that needs all series of its argument at once.
    fn series_call(&self, name: &str, args: &'q [Node<'q>], pos: PosRange, grid: Grid) -> Result<Vec<Series>> {
        match name {
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => sort::sort(self, name, args, pos, grid),
            "label_replace" => label_functions::replace(self, args, grid),
            "label_join" => label_functions::join(self, args, grid),
            "histogram_quantile" => histogram::quantile(self, args, grid),
            "histogram_quantiles" => histogram::quantiles(self, args, grid),
            "histogram_fraction" => histogram::fraction(self, args, grid),
            "info" => info::info(self, args, grid),
            _ => Err(QueryError::Unsupported(format!("function {name}"))),
        }
    }

    /// A function of each float.
    fn each(&self, node: &'q Node<'q>, grid: Grid, apply: super::stream::FloatChange<'q>) -> Result<Stream<'q>> {
        Ok(self.stream(node, grid)?.then(true, Stage::Floats(apply)))
    }

    /// A number of each native histogram; floats are left out.
    fn of_histograms(&self, f: fn(&FloatHistogram) -> f64, node: &'q Node<'q>, grid: Grid) -> Result<Stream<'q>> {
        let change = move |column: &mut [f64], histograms: &mut HistogramPoints, budget: &Budget<'_>| {
            native::reduce(f, column, histograms, budget)
        };
        let stage = Stage::Both(Box::new(change));
        let stream = self.stream(node, grid)?;
        let typed = |l: &Labels| l.get("__type__").is_some() || l.get("__unit__").is_some();
        if self.options.delayed_name_removal || !(0..stream.len()).any(|i| typed(&stream.labels(i))) {
            return Ok(stream.then(true, stage));
        }
        // Where names go at once, these functions take the name alone, as they do in Prometheus.
        let mut series = stream.then(false, stage).collect(&self.budget)?;
        for s in &mut series {
            s.labels = s.labels.without(METRIC_NAME);
        }
        Ok(self.ready(merge_same_labels(series)?, grid))
    }

    fn clamp(&self, name: &str, args: &'q [Node<'q>], grid: Grid) -> Result<Stream<'q>> {
        let stream = self.stream(arg(args, 0)?, grid)?;
        let bound = |number: usize| self.scalar(arg(args, number)?, grid);
        let (low, high) = match name {
            "clamp" => (bound(1)?, bound(2)?),
            "clamp_min" => (bound(1)?, vec![f64::INFINITY; grid.count]),
            _ => (vec![f64::NEG_INFINITY; grid.count], bound(1)?),
        };
        let clamp = move |column: &mut [f64]| {
            for ((v, low), high) in column.iter_mut().zip(&low).zip(&high) {
                if high < low {
                    *v = super::grid::ABSENT;
                } else if !is_absent(*v) {
                    *v = math::go_max(*low, math::go_min(*high, *v));
                }
            }
        };
        Ok(stream.then(true, Stage::Floats(Box::new(clamp))))
    }

    /// The timestamps of samples; of what was computed, that is the step.
    fn timestamp(&self, node: &'q Node<'q>, grid: Grid) -> Result<Stream<'q>> {
        if let Kind::Instant(selector) = &node.kind {
            return self.selected(selector, grid, Take::Timestamp);
        }
        if let Kind::Invariant(inner) = &node.kind
            && grid.count == 1
        {
            return self.timestamp(inner, grid);
        }
        let mut series = self.vector(node, grid)?;
        for s in &mut series {
            for k in 0..grid.count {
                if s.has(k)
                    && let Some(v) = s.values.get_mut(k)
                {
                    *v = grid.at(k) as f64 / 1000.0;
                }
            }
            s.histograms.clear();
        }
        Ok(self.ready(series, grid).then(true, Stage::Floats(Box::new(|_| ()))))
    }

    /// The start timestamps of samples. What was computed has none, nor has anything when the query does not use them.
    fn start_timestamp(&self, node: &'q Node<'q>, grid: Grid) -> Result<Stream<'q>> {
        match &node.kind {
            Kind::Instant(selector) if self.options.use_start_timestamps => {
                self.selected(selector, grid, Take::StartTimestamp)
            }
            Kind::Invariant(inner) if grid.count == 1 => self.start_timestamp(inner, grid),
            _ => {
                self.vector(node, grid)?;
                Ok(self.ready(Vec::new(), grid))
            }
        }
    }

    /// A function of a range, series by series.
    fn range_call(
        &self,
        function: RangeFn,
        name: &'static str,
        args: &'q [Node<'q>],
        grid: Grid,
    ) -> Result<Stream<'q>> {
        let range_arg = args
            .iter()
            .find(|a| is_range(a))
            .ok_or_else(|| QueryError::BadData("expected a range vector".to_owned()))?;
        let params = args.iter().filter(|a| !is_range(a)).map(|a| self.scalar(a, grid)).collect::<Result<Vec<_>>>()?;
        let Samples { origin, times, range, extension } = self.samples(range_arg, function, name, grid)?;
        // Remarks are about the first argument. A subquery has no place there, for Prometheus puts a selector without
        // one in its stead.
        let pos =
            args.first().filter(|a| !matches!(a.kind, Kind::Subquery(_))).map_or_else(PosRange::default, |a| a.pos);
        Ok(Stream {
            origin,
            leaf: Leaf::Range(RangeStep {
                function,
                times,
                range,
                extension,
                lookback: self.options.lookback_ms,
                start_timestamps: self.options.use_start_timestamps,
                params,
                pos,
            }),
            stages: Vec::new(),
            grid,
            drop_name: !function.keeps_name(),
            delayed: self.options.delayed_name_removal,
        })
    }
}

fn is_range(node: &Node<'_>) -> bool {
    matches!(node.kind, Kind::Range(_) | Kind::Subquery(_))
}

/// At each step the value of the only float, or NaN.
fn only_values(series: &[Series], grid: Grid) -> Vec<f64> {
    let mut out = vec![super::grid::ABSENT; grid.count];
    let mut several = vec![false; grid.count];
    for s in series {
        for ((out, several), v) in out.iter_mut().zip(&mut several).zip(&s.values).filter(|(_, v)| !is_absent(**v)) {
            *several |= !is_absent(*out);
            *out = *v;
        }
    }
    for (out, several) in out.iter_mut().zip(several) {
        if several || is_absent(*out) {
            *out = f64::NAN;
        }
    }
    out
}
