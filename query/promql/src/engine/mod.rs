//! Evaluates expressions over whole series and all steps at once: decodes a series, rolls the window of each step
//! forward, and hands a column of step values up. Aggregations fold columns as they come.
//!
//! It is not: a step-by-step interpreter of the tree, a cache, a server.

mod aggregate;
mod annotations;
mod budget;
mod call;
mod deep_stack;
mod duration;
mod error;
mod evaluate;
mod functions;
mod grid;
mod histogram_binary;
mod histogram_column;
mod kernels;
mod labels;
mod matching;
mod options;
mod parallel;
mod plan;
mod quantile;
mod range_params;
mod range_step;
mod raw_range;
mod scalar_binary;
mod sets;
mod smoothed;
mod stream;
mod value;
mod window;

use chronolith_storage::SeriesSource;

pub use self::{
    annotations::{Annotation, Annotations, ForcedMonotonicity, Level},
    error::{ErrorKind, QueryError},
    options::{Deadline, QueryOptions},
    value::{InstantSample, QueryOutput, QueryStatistics, QueryValue, RangeSeries, SampleValue},
};
use self::{duration::QueryTimes, error::Result, evaluate::Evaluator, grid::Grid};
use crate::ast::{Expr, ValueType};

/// Times further than this from the epoch, in milliseconds, are refused: sums with offsets and ranges stay far from
/// the ends of `i64`.
const MAX_TIME_MS: i64 = 1 << 60;

/// Evaluates an expression at one moment.
///
/// # Errors
/// When the expression cannot be evaluated on this data, or a limit of the options is met.
pub fn instant(
    source: &dyn SeriesSource,
    expr: &Expr,
    time_ms: i64,
    options: &QueryOptions,
) -> Result<QueryOutput, QueryError> {
    check_time(time_ms)?;
    deep_stack::with_room_for(expr, || {
        let times = QueryTimes { start: time_ms, end: time_ms, step: 0 };
        let plan = plan::build(expr, times, options)?;
        let evaluator = Evaluator::new(source, options);
        let value = evaluator.instant(&plan, time_ms)?;
        let (annotations, statistics) = evaluator.budget.finish();
        Ok(QueryOutput { value, annotations, statistics })
    })
}

/// Evaluates an expression at `start_ms`, and every `step_ms` after it up to `end_ms`.
///
/// # Errors
/// When the expression is neither a scalar nor an instant vector, cannot be evaluated on this data, or a limit of the
/// options is met.
pub fn range(
    source: &dyn SeriesSource,
    expr: &Expr,
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
    options: &QueryOptions,
) -> Result<QueryOutput, QueryError> {
    check_time(start_ms)?;
    check_time(end_ms)?;
    if step_ms <= 0 {
        return Err(QueryError::BadData(
            "zero or negative query resolution step widths are not accepted. Try a positive integer".to_owned(),
        ));
    }
    let returns = expr.value_type();
    if !matches!(returns, ValueType::Scalar | ValueType::Vector) {
        return Err(QueryError::BadData(format!(
            "invalid expression type {:?} for range query, must be Scalar or instant Vector",
            returns.documented()
        )));
    }
    deep_stack::with_room_for(expr, || {
        let plan = plan::build(expr, QueryTimes { start: start_ms, end: end_ms, step: step_ms }, options)?;
        let evaluator = Evaluator::new(source, options);
        let series = evaluator.range(&plan, Grid::new(start_ms, end_ms, step_ms))?;
        let (annotations, statistics) = evaluator.budget.finish();
        Ok(QueryOutput { value: QueryValue::Matrix(series), annotations, statistics })
    })
}

fn check_time(t: i64) -> Result<()> {
    if (-MAX_TIME_MS..=MAX_TIME_MS).contains(&t) {
        Ok(())
    } else {
        Err(QueryError::BadData(format!("timestamp {t} ms is out of range")))
    }
}
