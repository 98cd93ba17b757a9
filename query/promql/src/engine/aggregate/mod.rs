//! Aggregations: series are folded into their groups as they are produced.

mod accumulators;
mod count_values;
mod fold;
mod heap;
mod histograms;
mod pick;

use super::{
    error::Result,
    evaluate::Evaluator,
    functions::histogram::check_quantile,
    grid::{Grid, Series, weigh},
    labels::Grouping,
    plan::Aggregate,
};
use crate::ast::{AggregateOp, PosRange};

/// The groups of an aggregation over a grid.
pub(super) fn evaluate<'q>(
    evaluator: &Evaluator<'q>,
    aggregate: &'q Aggregate<'q>,
    pos: PosRange,
    grid: Grid,
) -> Result<Vec<Series>> {
    let mark = evaluator.budget.mark();
    let series = groups(evaluator, aggregate, pos, grid)?;
    let (samples, bytes) = weigh(&series);
    evaluator.budget.settle(mark, samples, bytes)?;
    Ok(series)
}

fn groups<'q>(
    evaluator: &Evaluator<'q>,
    aggregate: &'q Aggregate<'q>,
    pos: PosRange,
    grid: Grid,
) -> Result<Vec<Series>> {
    if aggregate.op == AggregateOp::CountValues {
        return count_values::evaluate(evaluator, aggregate, grid);
    }
    let param = match &aggregate.param {
        Some(node) => evaluator.scalar(node, grid)?,
        None => Vec::new(),
    };
    let stream = evaluator.stream(&aggregate.expr, grid)?;
    let grouping = Grouping { names: &aggregate.grouping, without: aggregate.without, nameless: stream.nameless() };
    match aggregate.op {
        AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK | AggregateOp::LimitRatio => {
            let param_pos = aggregate.param.as_ref().map_or(pos, |p| p.pos);
            match pick::Choice::new(aggregate.op, &param, param_pos, &evaluator.budget) {
                Ok(Some(choice)) => pick::evaluate(evaluator, &stream, &grouping, &choice, pos),
                // Nothing is picked, but what is there to pick from may have remarks, or fail, and does so first.
                Ok(None) => pick::evaluate_all(evaluator, &stream).map(|()| Vec::new()),
                Err(why) => pick::evaluate_all(evaluator, &stream).and(Err(why)),
            }
        }
        op => {
            if op == AggregateOp::Quantile {
                let param_pos = aggregate.param.as_ref().map_or(pos, |p| p.pos);
                warn_of_quantiles(evaluator, &param, param_pos);
            }
            fold::evaluate(evaluator, &stream, &grouping, op, &param, aggregate.expr.pos)
        }
    }
}

/// As Prometheus: one warning each for NaN, for the largest parameter above 1 and for the smallest below 0.
fn warn_of_quantiles(evaluator: &Evaluator<'_>, param: &[f64], pos: PosRange) {
    let bounds = param.iter().filter(|q| !q.is_nan()).fold(None, |bounds: Option<(f64, f64)>, q| {
        let (low, high) = bounds.unwrap_or((*q, *q));
        Some((low.min(*q), high.max(*q)))
    });
    if param.iter().any(|q| q.is_nan()) {
        check_quantile(f64::NAN, pos, &evaluator.budget);
    }
    if let Some((low, high)) = bounds {
        if high > 1.0 {
            check_quantile(high, pos, &evaluator.budget);
        }
        if low < 0.0 {
            check_quantile(low, pos, &evaluator.budget);
        }
    }
}
