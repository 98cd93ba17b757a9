//! `promql('expr', start, end, step)`: a PromQL query as a table, with the labels of its result as columns.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use arrow::{
    array::{AsArray, RecordBatch, RecordBatchOptions},
    compute::cast,
    datatypes::{DataType, IntervalMonthDayNanoType, Schema, TimeUnit, TimestampMillisecondType},
};
use chronolith_promql::engine::{Deadline, QueryError, QueryOptions, QueryValue, SampleValue, instant, range};
use chronolith_storage::{Labels, clock::SystemClock, engine::Engine};
use datafusion::{
    catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider},
    common::{DFSchema, ScalarValue},
    datasource::MemTable,
    error::Result as PlanResult,
    logical_expr::Expr,
};

use super::columns::{SampleRows, schema};
use crate::error::{Result, SqlError};

/// How long a PromQL query inside a statement may take: it is evaluated while the statement is planned.
const MOST_TIME: Duration = Duration::from_secs(120);
/// Bytes that it may take.
const MOST_BYTES: usize = 256 << 20;
/// Steps of one query, as Prometheus limits them.
const MOST_STEPS: i64 = 11_000;

/// The table function.
pub(crate) struct PromqlFunction {
    engine: Engine,
}

impl fmt::Debug for PromqlFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromqlFunction").finish_non_exhaustive()
    }
}

impl PromqlFunction {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    fn evaluate(&self, args: &[Expr], session: &dyn Session) -> Result<Arc<dyn TableProvider>> {
        let values = args.iter().map(|arg| constant(arg, session)).collect::<Result<Vec<_>>>()?;
        let query = match values.first().and_then(ScalarValue::try_as_str) {
            Some(Some(query)) => query,
            _ => return Err(usage()),
        };
        let expr = chronolith_promql::parse(query).map_err(|e| SqlError::new(b"22023", format!("promql: {e}")))?;
        let snapshot = self.engine.snapshot();
        let options = QueryOptions {
            deadline: Some(Deadline::after(Arc::new(SystemClock::default()), MOST_TIME)),
            max_memory_bytes: Some(MOST_BYTES),
            threads: 1,
            ..QueryOptions::default()
        };
        let output = match values.as_slice() {
            [_] => instant(&snapshot, &expr, now_millis(session)?, &options),
            [_, time] => instant(&snapshot, &expr, moment(time)?, &options),
            [_, start, end, step] => {
                let (start, end, step) = (moment(start)?, moment(end)?, step_millis(step)?);
                if step > 0 && end.saturating_sub(start) / step > MOST_STEPS {
                    return Err(SqlError::new(b"22023", format!("promql: more than {MOST_STEPS} steps"))
                        .with_hint("use a longer step or a shorter time"));
                }
                range(&snapshot, &expr, start, end, step, &options)
            }
            _ => return Err(usage()),
        };
        table(output.map_err(|e| told(&e))?.value)
    }
}

impl TableFunctionImpl for PromqlFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> PlanResult<Arc<dyn TableProvider>> {
        Ok(self.evaluate(args.exprs(), args.session())?)
    }
}

fn usage() -> SqlError {
    SqlError::new(b"42883", "promql takes a query, and nothing, a time, or a start, an end and a step").with_hint(
        "such as promql('rate(http_requests_total[5m])', now() - interval '1 hour', now(), interval '1 minute')",
    )
}

fn told(error: &QueryError) -> SqlError {
    let state = match error {
        QueryError::BadData(_) => b"22023",
        _ => b"22000",
    };
    SqlError::new(state, format!("promql: {error}"))
}

/// The value of an argument, which has no columns in it.
fn constant(expr: &Expr, session: &dyn Session) -> Result<ScalarValue> {
    if let Expr::Literal(value, _) = expr {
        return Ok(value.clone());
    }
    let one = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        Vec::new(),
        &RecordBatchOptions::new().with_row_count(Some(1)),
    )?;
    let physical = session.create_physical_expr(expr.clone(), &DFSchema::empty())?;
    let values = physical.evaluate(&one)?.into_array(1)?;
    Ok(ScalarValue::try_from_array(&values, 0)?)
}

fn now_millis(session: &dyn Session) -> Result<i64> {
    let started = session.execution_props().query_execution_start_time;
    started.map(|time| time.timestamp_millis()).ok_or_else(|| SqlError::new(b"XX000", "the statement has no time"))
}

/// Milliseconds of a moment: a timestamp, its text, or seconds since the epoch.
fn moment(value: &ScalarValue) -> Result<i64> {
    let wrong =
        || SqlError::new(b"22007", format!("promql: {value} is no time")).with_hint("use a timestamp or epoch seconds");
    if let Some(millis) = seconds(value) {
        return Ok(millis);
    }
    let target = DataType::Timestamp(TimeUnit::Millisecond, None);
    let array = value.to_array_of_size(1)?;
    let cast = cast(&array, &target).map_err(|_| wrong())?;
    let times = cast.as_primitive::<TimestampMillisecondType>();
    times.iter().next().flatten().ok_or_else(wrong)
}

/// Milliseconds of a number of seconds.
fn seconds(value: &ScalarValue) -> Option<i64> {
    let number = value.cast_to(&DataType::Float64).ok().filter(|_| value.data_type().is_numeric())?;
    match number {
        ScalarValue::Float64(Some(seconds)) if seconds.is_finite() => Some((seconds * 1_000.0).round() as i64),
        _ => None,
    }
}

/// Milliseconds of a step: an interval, seconds, or a text such as `1m`.
fn step_millis(value: &ScalarValue) -> Result<i64> {
    let wrong =
        || SqlError::new(b"22023", format!("promql: {value} is no step")).with_hint("use an interval or seconds");
    if let Some(millis) = seconds(value) {
        return Ok(millis);
    }
    if let Some(Some(text)) = value.try_as_str() {
        return chronolith_promql::duration::parse(text).map_err(|_| wrong());
    }
    let array = value.to_array_of_size(1)?;
    match array.as_primitive_opt::<IntervalMonthDayNanoType>().and_then(|a| a.iter().next().flatten()) {
        Some(step) if step.months == 0 => Ok(i64::from(step.days) * 86_400_000 + step.nanoseconds / 1_000_000),
        _ => Err(wrong()),
    }
}

/// A query's result as a table.
fn table(value: QueryValue) -> Result<Arc<dyn TableProvider>> {
    let series: Vec<(Labels, Vec<i64>, Vec<f64>)> = match value {
        QueryValue::Scalar { timestamp, value } => vec![(Labels::empty(), vec![timestamp], vec![value])],
        QueryValue::String { .. } => return Err(SqlError::unsupported("a PromQL query that gives a text")),
        QueryValue::Vector { timestamp, samples } => samples
            .into_iter()
            .filter_map(|sample| match sample.value {
                SampleValue::Float(value) => Some((sample.labels, vec![timestamp], vec![value])),
                SampleValue::Histogram(_) => None,
            })
            .collect(),
        QueryValue::Matrix(series) => series.into_iter().map(|s| (s.labels, s.timestamps, s.values)).collect(),
    };
    let names: BTreeSet<&str> = series.iter().flat_map(|(labels, ..)| labels.iter().map(|(name, _)| name)).collect();
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let schema = schema(&names);
    let mut rows = SampleRows::new(&names, Arc::clone(&schema), (0..schema.fields().len()).collect());
    for (labels, times, values) in &series {
        rows.push(labels, times, values);
    }
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![rows.finish()?]])?))
}
