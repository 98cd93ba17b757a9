//! sessionize: numbers the sessions of a partition's events, a new one after each gap.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Int64Type, IntervalMonthDayNanoType, TimeUnit},
};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::{
        LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
        function::{PartitionEvaluatorArgs, WindowUDFFieldArgs},
    },
    physical_expr::PhysicalExpr,
};

use super::{
    interval,
    scalar::{Arg, coerce, exactly},
};

/// The window function.
pub(super) fn window() -> WindowUDF {
    WindowUDF::new_from_impl(Sessionize { signature: Signature::user_defined(Volatility::Immutable) })
}

/// `sessionize(time, gap) OVER (PARTITION BY ... ORDER BY time)`: sessions are numbered from 1; an event more than `gap`
/// after the one before it begins a new one. Events without a time have no session.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sessionize {
    signature: Signature,
}

impl WindowUDFImpl for Sessionize {
    fn name(&self) -> &str {
        "sessionize"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        const INTS: [Arg; 2] = [Arg::Int, Arg::Int];
        const SECONDS: [Arg; 2] = [Arg::Time, Arg::Int];
        const SPAN: [Arg; 2] = [Arg::Time, Arg::Interval];
        coerce("sessionize", &[exactly(&INTS), exactly(&SECONDS), exactly(&SPAN)], given)
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Int64, true)))
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Sessions))
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::None
    }
}

#[derive(Debug)]
struct Sessions;

/// The gaps of a column in nanoseconds, or as they are beside plain numbers.
fn gaps(gaps: &ArrayRef, plain: bool) -> Result<Vec<Option<i128>>> {
    let fixed = |span| match interval::fixed_nanos(span) {
        Some(nanos) => Ok(nanos),
        None => exec_err!("the gap of sessionize must be of fixed length, without months"),
    };
    if let Some(spans) = gaps.as_primitive_opt::<IntervalMonthDayNanoType>() {
        return spans.iter().map(|span| span.map(fixed).transpose()).collect();
    }
    if let Some(texts) = gaps.as_string_view_opt() {
        return texts.iter().map(|text| text.map(|t| interval::parse(t).and_then(fixed)).transpose()).collect();
    }
    let unit = if plain { 1 } else { 1_000_000_000 };
    match gaps.as_primitive_opt::<Int64Type>() {
        Some(numbers) => Ok(numbers.iter().map(|n| n.map(|n| i128::from(n) * unit)).collect()),
        None => exec_err!("the gap of sessionize is an interval or a number of seconds"),
    }
}

impl PartitionEvaluator for Sessions {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let [times, gap] = values else { return exec_err!("sessionize takes a time and a gap") };
        let plain = times.data_type() == &DataType::Int64;
        let unit = match times.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
            DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
            DataType::Timestamp(TimeUnit::Microsecond, _) => 1000,
            _ => 1_i128,
        };
        let gaps = gaps(gap, plain)?;
        let times = cast(times, &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>();
        let (mut session, mut last) = (0_i64, None);
        let mut number = |row: usize| {
            if times.is_null(row) {
                return None;
            }
            let time = i128::from(times.value(row)) * unit;
            let apart = last.zip(gaps[row]).is_some_and(|(last, gap): (i128, i128)| (time - last).abs() > gap);
            if last.is_none() || apart {
                session += 1;
            }
            last = Some(time);
            Some(session)
        };
        let sessions: Int64Array = (0..rows).map(&mut number).collect();
        Ok(Arc::new(sessions))
    }
}
