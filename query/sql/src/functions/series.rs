//! generate_series of times, and of numbers of columns, as a function that returns a list.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, ListArray},
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{DataType, Field, IntervalMonthDayNanoType, TimeUnit},
};
use chrono::NaiveDateTime;
use datafusion::{
    common::{Result, exec_err, plan_err},
    logical_expr::ScalarUDF,
    sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Value},
};

use super::{
    datetime::{column, naive},
    interval,
    rewrite::expression,
    scalar::{Arg, Call, Scalar, Shape, exactly, with},
};
use crate::error::{SqlError, to_plan};

/// Rows that one call may return.
const MOST: usize = 10_000_000;

const SHAPES: &[Shape] =
    &[with(&[Arg::Int, Arg::Int], &[Arg::Int]), exactly(&[Arg::Time, Arg::Time, Arg::Interval])];

/// The functions of this family.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    vec![Scalar::new("series_list", SHAPES, list_type, series).udf()]
}

fn list_of(of: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(of, true)))
}

fn list_type(args: &[DataType]) -> Result<DataType> {
    match args.first() {
        Some(DataType::Int64) => Ok(list_of(DataType::Int64)),
        Some(DataType::Timestamp(_, zone)) => Ok(list_of(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))),
        _ => plan_err!("function generate_series takes numbers, or times and an interval"),
    }
}

/// Whether all arguments are numbers, of which DataFusion makes the rows one by one.
pub(super) fn is_of_numbers(args: &[FunctionArg]) -> bool {
    args.iter().all(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => is_number(expr),
        _ => false,
    })
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(value.value, Value::Number(..) | Value::Placeholder(_)),
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => is_number(expr),
        Expr::BinaryOp { left, right, .. } => is_number(left) && is_number(right),
        _ => false,
    }
}

/// The call that returns the list, its step an interval where it is a text.
pub(super) fn call(args: &[FunctionArg]) -> String {
    let mut texts: Vec<String> = args.iter().map(ToString::to_string).collect();
    if let [_, _, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(step)))] = args
        && let Value::SingleQuotedString(text) = &step.value
        && let Ok(step) = expression(&format!("CAST('{}' AS INTERVAL)", text.replace('\'', "''")))
    {
        texts[2] = step.to_string();
    }
    format!("series_list({})", texts.join(", "))
}

fn series(call: &Call<'_>) -> Result<ArrayRef> {
    let times = !matches!(call.returns, DataType::List(of) if of.data_type() == &DataType::Int64);
    let (mut values, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    let numbers = if times { None } else { Some(numbers(call)?) };
    let moments = if times { Some(moments(call)?) } else { None };
    let mut all = Vec::new();
    for row in 0..call.rows {
        let before = values.len().max(all.len());
        let is_there = match (&numbers, &moments) {
            (Some([start, stop, step]), _) => {
                let there = start.is_valid(row) && stop.is_valid(row) && step.is_valid(row);
                if there {
                    count(start.value(row), stop.value(row), step.value(row), &mut values)?;
                }
                there
            }
            (_, Some((starts, stops, steps))) => match (starts[row], stops[row], steps.is_valid(row)) {
                (Some(start), Some(stop), true) => {
                    walk(start, stop, steps.as_primitive::<IntervalMonthDayNanoType>().value(row), &mut all)?;
                    true
                }
                _ => false,
            },
            _ => false,
        };
        lengths.push(values.len().max(all.len()) - before);
        valid.push(is_there);
    }
    let DataType::List(field) = call.returns else { return call.wrong(0) };
    let elements: ArrayRef = if times {
        column(all.into_iter().map(|time| Ok(Some(time))), field.data_type())?
    } else {
        Arc::new(Int64Array::from(values))
    };
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, elements, Some(NullBuffer::from(valid)))?))
}

fn numbers(call: &Call<'_>) -> Result<[Int64Array; 3]> {
    let step = if call.len() > 2 { call.int(2)? } else { Int64Array::from_value(1, call.rows) };
    Ok([call.int(0)?, call.int(1)?, step])
}

type Moments = (Vec<Option<NaiveDateTime>>, Vec<Option<NaiveDateTime>>, ArrayRef);

fn moments(call: &Call<'_>) -> Result<Moments> {
    let spans = call.array(2)?;
    let spans = match spans.data_type() {
        DataType::Interval(_) => spans,
        _ => {
            let texts = call.text(2)?;
            let read = texts.iter().map(|text| text.map(interval::parse).transpose());
            Arc::new(read.collect::<Result<arrow::array::IntervalMonthDayNanoArray>>()?)
        }
    };
    Ok((naive(&call.array(0)?)?, naive(&call.array(1)?)?, spans))
}

fn too_many() -> datafusion::common::DataFusionError {
    let error = SqlError::new(b"54000", format!("generate_series returns more than {MOST} rows"));
    to_plan(error.with_hint("Use a longer step, or a series of integers that are constants."))
}

fn zero<T>() -> Result<T> {
    Err(to_plan(SqlError::new(b"22023", "step size cannot equal zero")))
}

fn count(start: i64, stop: i64, step: i64, out: &mut Vec<i64>) -> Result<()> {
    if step == 0 {
        return zero();
    }
    let mut at = start;
    while (step > 0 && at <= stop) || (step < 0 && at >= stop) {
        if out.len() >= MOST {
            return Err(too_many());
        }
        out.push(at);
        let Some(next) = at.checked_add(step) else { break };
        at = next;
    }
    Ok(())
}

fn walk(
    start: NaiveDateTime,
    stop: NaiveDateTime,
    step: arrow::datatypes::IntervalMonthDayNano,
    out: &mut Vec<NaiveDateTime>,
) -> Result<()> {
    let next = |at| interval::add(at, step);
    let Some(second) = next(start) else { return exec_err!("timestamp out of range") };
    if second == start {
        return zero();
    }
    let (forward, mut at) = (second > start, start);
    while if forward { at <= stop } else { at >= stop } {
        if out.len() >= MOST {
            return Err(too_many());
        }
        out.push(at);
        let Some(later) = next(at) else { break };
        at = later;
    }
    Ok(())
}
