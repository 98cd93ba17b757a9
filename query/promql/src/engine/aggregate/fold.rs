//! Folds a stream of series into groups, in parallel and in a fixed order.

use chronolith_storage::Labels;

use super::{
    accumulators::{Accumulate, Avg, Count, Extreme, Group, Quantile, Sum, Variance},
    histograms::{Goal, HistogramGroup},
};
use crate::{
    ast::{AggregateOp, PosRange},
    engine::{
        error::{QueryError, Result},
        evaluate::Evaluator,
        grid::{Series, last_step},
        labels::{Grouping, Numbering},
        stream::{Produced, Stream},
    },
};

/// Which group each series belongs to.
pub(super) struct Assignment {
    pub(super) group_of: Vec<u32>,
    /// The labels of the groups.
    pub(super) labels: Vec<Labels>,
}

/// Sorts series into groups by their labels.
pub(super) fn assign(stream: &Stream<'_>, grouping: &Grouping<'_>) -> Assignment {
    let mut numbering = Numbering::default();
    let mut assignment = Assignment { group_of: Vec::with_capacity(stream.len()), labels: Vec::new() };
    let mut key = Vec::new();
    for i in 0..stream.len() {
        let labels = stream.raw_labels(i);
        grouping.key(labels, &mut key);
        let (number, new) = numbering.number(&key);
        if new {
            assignment.labels.push(grouping.labels(labels));
        }
        assignment.group_of.push(number);
    }
    assignment
}

/// Evaluates an aggregation that makes one series of each group.
pub(super) fn evaluate(
    evaluator: &Evaluator<'_>,
    stream: &Stream<'_>,
    grouping: &Grouping<'_>,
    op: AggregateOp,
    param: &[f64],
    pos: PosRange,
) -> Result<Vec<Series>> {
    let fold = Fold { evaluator, stream, grouping, op, param, pos };
    match op {
        AggregateOp::Sum => fold.run::<Sum>(),
        AggregateOp::Avg => fold.run::<Avg>(),
        AggregateOp::Count => fold.run::<Count>(),
        AggregateOp::Group => fold.run::<Group>(),
        AggregateOp::Min => fold.run::<Extreme<false>>(),
        AggregateOp::Max => fold.run::<Extreme<true>>(),
        AggregateOp::Stdvar => fold.run::<Variance<false>>(),
        AggregateOp::Stddev => fold.run::<Variance<true>>(),
        AggregateOp::Quantile => fold.run::<Quantile>(),
        AggregateOp::TopK
        | AggregateOp::BottomK
        | AggregateOp::CountValues
        | AggregateOp::LimitK
        | AggregateOp::LimitRatio => Err(QueryError::BadData("not an aggregation of values".to_owned())),
    }
}

struct Fold<'a, 'q> {
    evaluator: &'a Evaluator<'q>,
    stream: &'a Stream<'q>,
    grouping: &'a Grouping<'a>,
    op: AggregateOp,
    param: &'a [f64],
    pos: PosRange,
}

/// One group, as far as one chunk of series has filled it.
struct Part<A> {
    group: u32,
    accumulator: A,
    histograms: HistogramGroup,
    /// The last step of those series whose name goes at the end of the query.
    last_nameless: Option<usize>,
}

impl<A: Accumulate> Part<A> {
    fn new(group: u32, steps: usize) -> Self {
        Self { group, accumulator: A::new(steps), histograms: HistogramGroup::default(), last_nameless: None }
    }

    /// Takes in what was made of later series.
    fn merge(&mut self, later: Self, goal: Option<Goal>) {
        self.last_nameless = self.last_nameless.max(later.last_nameless);
        // Before the floats, so that it is known which of them came before the later histograms.
        if let Some(goal) = goal
            && !later.histograms.is_empty()
        {
            self.histograms.merge(later.histograms, goal, |k| self.accumulator.has(k));
        }
        self.accumulator.merge(later.accumulator);
    }
}

impl Fold<'_, '_> {
    /// What becomes of histograms, if they are aggregated.
    const fn goal(&self) -> Option<Goal> {
        match self.op {
            AggregateOp::Sum => Some(Goal::Sum),
            AggregateOp::Avg => Some(Goal::Mean),
            _ => None,
        }
    }

    fn run<A: Accumulate>(&self) -> Result<Vec<Series>> {
        let assignment = assign(self.stream, self.grouping);
        let steps = self.stream.grid.count;
        let budget = &self.evaluator.budget;
        let mut groups: Vec<Option<Part<A>>> = assignment.labels.iter().map(|_| None).collect();
        self.stream.in_chunks(
            budget,
            |scratch, chunk| {
                let mut parts: Vec<Part<A>> = Vec::new();
                let mut mixed = Vec::new();
                for i in chunk {
                    let Some(p) = self.stream.produce(i, scratch, budget)? else { continue };
                    let group = assignment.group_of[i];
                    let at = parts.iter().rposition(|p| p.group == group).unwrap_or_else(|| {
                        parts.push(Part::new(group, steps));
                        parts.len() - 1
                    });
                    // A chunk has few groups, so the search is short, and `at` is a place in `parts`.
                    let part = &mut parts[at];
                    if self.stream.drops_name(i) {
                        part.last_nameless = part.last_nameless.max(last_step(p.values, p.histograms));
                    }
                    if let Some(goal) = self.goal()
                        && !p.histograms.is_empty()
                    {
                        let Part { histograms, accumulator, .. } = part;
                        for some in p.histograms.chunks(256) {
                            budget.check()?;
                            histograms.add(i as u32, some, goal, steps, |k| accumulator.has(k));
                        }
                    }
                    part.accumulator.add(self.floats(&p, &mut mixed));
                }
                Ok(parts)
            },
            |parts: Vec<Part<A>>| {
                for part in parts {
                    let Some(place) = groups.get_mut(part.group as usize) else { continue };
                    match place {
                        None => {
                            // Samples are counted as the result has them; bytes as they are.
                            let (samples, bytes) = part.histograms.weight();
                            budget.hold(steps + samples, part.accumulator.bytes() + bytes)?;
                            *place = Some(part);
                        }
                        Some(group) => {
                            let before = group.histograms.weight();
                            group.merge(part, self.goal());
                            let after = group.histograms.weight();
                            budget.hold(after.0.saturating_sub(before.0), after.1.saturating_sub(before.1))?;
                        }
                    }
                }
                Ok(())
            },
        )?;
        let mut out = Vec::with_capacity(groups.len());
        for (labels, part) in assignment.labels.into_iter().zip(groups) {
            let Some(part) = part else { continue };
            let series = self.finish(labels, part);
            if !series.is_empty() {
                out.push(series);
            }
        }
        Ok(out)
    }

    fn finish<A: Accumulate>(&self, labels: Labels, part: Part<A>) -> Series {
        let values = part.accumulator.finish(self.param);
        let mut series = Series::floats(labels, values);
        if let Some(goal) = self.goal()
            && !part.histograms.is_empty()
        {
            let metric = |i: u32| self.stream.labels(i as usize).metric_name().to_owned();
            self.evaluator.budget.annotate(|a| {
                series.histograms = part.histograms.finish(&mut series.values, goal, self.pos, a, metric);
            });
        }
        // As in Prometheus the last step with a result decides.
        let last = last_step(&series.values, &series.histograms);
        series.drop_name = part.last_nameless.is_some() && part.last_nameless >= last;
        series
    }

    /// The floats of a column, or, for what only counts, something at each step that has a histogram too.
    fn floats<'b>(&self, p: &Produced<'b>, mixed: &'b mut Vec<f64>) -> &'b [f64] {
        if p.histograms.is_empty() {
            return p.values;
        }
        match self.op {
            AggregateOp::Count | AggregateOp::Group => {
                p.values.clone_into(mixed);
                for (k, _) in p.histograms {
                    if let Some(v) = mixed.get_mut(*k as usize) {
                        *v = 1.0;
                    }
                }
                mixed
            }
            AggregateOp::Sum | AggregateOp::Avg => p.values,
            op => {
                let name = match op {
                    AggregateOp::Min => "min",
                    AggregateOp::Max => "max",
                    AggregateOp::Stdvar => "stdvar",
                    AggregateOp::Stddev => "stddev",
                    _ => "quantile",
                };
                let text = format!("ignored histogram in {name} aggregation");
                self.evaluator.budget.annotate(|a| a.info(text, self.pos));
                p.values
            }
        }
    }
}
