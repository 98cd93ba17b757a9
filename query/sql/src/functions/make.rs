//! Times that are made of numbers, and those of now.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, Int64Array, IntervalMonthDayNanoArray, StringViewArray, Time64MicrosecondArray,
        TimestampMicrosecondArray,
    },
    datatypes::{DataType, IntervalMonthDayNano, TimeUnit},
};
use chrono::{NaiveDate, NaiveDateTime, TimeDelta, Utc};
use datafusion::{
    common::{Result, exec_datafusion_err, plan_err},
    logical_expr::{ScalarUDF, Volatility},
    sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArgumentList, Value},
};

use super::{
    datetime::column,
    interval::INTERVAL,
    scalar::{Arg, Call, Scalar, Shape, exactly, with},
    time_texts::Zones,
};
use crate::{clock::out_of_range, error::SqlError, types::UTC};

const FIELDS: &[Arg] = &[Arg::Int, Arg::Int, Arg::Int, Arg::Int, Arg::Int, Arg::Float];
const TIMESTAMP: &[Shape] = &[exactly(FIELDS)];
const MOMENT: &[Shape] = &[with(FIELDS, &[Arg::Text])];
const TIME: &[Shape] = &[exactly(&[Arg::Int, Arg::Int, Arg::Float])];
const INTERVALS: &[Shape] = &[with(&[], &[Arg::Int, Arg::Int, Arg::Int, Arg::Int, Arg::Int, Arg::Int, Arg::Float])];
const NONE: &[Shape] = &[exactly(&[])];
/// The names of the arguments of make_interval.
const INTERVAL_ARGS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];

const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn zoned() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

/// The functions of this family.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    let now = |call: &Call<'_>| {
        let now = TimestampMicrosecondArray::from_value(Utc::now().timestamp_micros(), call.rows);
        Ok(Arc::new(now.with_timezone(UTC)) as ArrayRef)
    };
    let told = |call: &Call<'_>| {
        let now = Utc::now().format("%a %b %d %H:%M:%S%.6f %Y UTC").to_string();
        Ok(Arc::new(StringViewArray::from_iter_values(vec![now; call.rows])) as ArrayRef)
    };
    vec![
        Scalar::new("make_timestamp", TIMESTAMP, |_| Ok(MICROS), make_timestamp).udf(),
        make_moment().udf(),
        Scalar::new("make_time", TIME, |_| Ok(DataType::Time64(TimeUnit::Microsecond)), make_time).udf(),
        Scalar::new("make_interval", INTERVALS, |_| Ok(INTERVAL), make_interval).udf(),
        Scalar::new("clock_timestamp", NONE, |_| Ok(zoned()), now).volatile(Volatility::Volatile).udf(),
        Scalar::new("timeofday", NONE, |_| Ok(DataType::Utf8View), told).volatile(Volatility::Volatile).udf(),
    ]
}

/// A moment of what a clock shows in the zone of a seventh argument.
pub(super) const fn make_moment() -> Scalar {
    Scalar::new(
        "make_timestamptz",
        MOMENT,
        |_| Ok(zoned()),
        |call| {
            let zones =
                if call.len() > 6 { call.text(6)? } else { StringViewArray::from_iter_values(vec![UTC; call.rows]) };
            let mut zones = Zones::new(&zones);
            let row = |(row, local): (usize, Result<Option<NaiveDateTime>>)| {
                let Some((local, zone)) = local?.zip(zones.of(row)?) else { return Ok(None) };
                zone.utc(local).ok_or_else(out_of_range).map(Some)
            };
            column(local_times(call)?.enumerate().map(row), &zoned())
        },
    )
}

fn make_timestamp(call: &Call<'_>) -> Result<ArrayRef> {
    column(local_times(call)?, &MICROS)
}

fn wrong_fields(fields: &[i64], seconds: f64) -> datafusion::common::DataFusionError {
    SqlError::new(b"22008", format!("date/time field value out of range: {fields:?} {seconds}")).into()
}

/// Year, month, day, hours, minutes and seconds of each row.
fn local_times(call: &Call<'_>) -> Result<impl Iterator<Item = Result<Option<NaiveDateTime>>>> {
    let fields: Vec<Int64Array> = (0..5).map(|at| call.int(at)).collect::<Result<_>>()?;
    let seconds = call.float(5)?;
    Ok((0..call.rows).map(move |row| {
        let values: Option<Vec<i64>> = fields.iter().map(|f| f.is_valid(row).then(|| f.value(row))).collect();
        let Some((values, true)) = values.map(|values| (values, seconds.is_valid(row))) else { return Ok(None) };
        let seconds = seconds.value(row);
        let small = |at: usize| u32::try_from(values[at]).unwrap_or(u32::MAX);
        let date = i32::try_from(values[0]).ok().and_then(|year| NaiveDate::from_ymd_opt(year, small(1), small(2)));
        let time = date.and_then(|date| date.and_hms_opt(small(3), small(4), 0));
        match time {
            Some(time) if (0.0..=60.0).contains(&seconds) => {
                Ok(time.checked_add_signed(TimeDelta::microseconds((seconds * 1e6).round() as i64)))
            }
            _ => Err(wrong_fields(&values, seconds)),
        }
    }))
}

fn make_time(call: &Call<'_>) -> Result<ArrayRef> {
    let (hours, minutes, seconds) = (call.int(0)?, call.int(1)?, call.float(2)?);
    let row = |row: usize| {
        if hours.is_null(row) || minutes.is_null(row) || seconds.is_null(row) {
            return Ok(None);
        }
        let (hour, minute, second) = (hours.value(row), minutes.value(row), seconds.value(row));
        let in_range = (0..24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
        let micros = || (hour * 60 + minute) * 60_000_000 + (second * 1e6).round() as i64;
        if in_range { Ok(Some(micros())) } else { Err(wrong_fields(&[hour, minute], second)) }
    };
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<Time64MicrosecondArray>>()?))
}

/// Makes arguments that are named those in their places.
pub(super) fn place_arguments(list: &mut FunctionArgumentList) -> Result<()> {
    let is_named = |arg: &FunctionArg| !matches!(arg, FunctionArg::Unnamed(_));
    if !list.args.iter().any(is_named) {
        return Ok(());
    }
    let zero = || FunctionArgExpr::Expr(Expr::Value(Value::Number("0".to_owned(), false).into()));
    let mut placed: Vec<FunctionArgExpr> = INTERVAL_ARGS.iter().map(|_| zero()).collect();
    for (at, arg) in std::mem::take(&mut list.args).into_iter().enumerate() {
        let (place, arg) = match arg {
            FunctionArg::Unnamed(arg) => (Some(at), arg),
            FunctionArg::Named { name, arg, .. } => {
                (INTERVAL_ARGS.iter().position(|own| name.value.eq_ignore_ascii_case(own)), arg)
            }
            FunctionArg::ExprNamed { name, arg, .. } => {
                (INTERVAL_ARGS.iter().position(|own| name.to_string().eq_ignore_ascii_case(own)), arg)
            }
        };
        match place.and_then(|place| placed.get_mut(place)) {
            Some(place) => *place = arg,
            None => return plan_err!("the arguments of make_interval are {}", INTERVAL_ARGS.join(", ")),
        }
    }
    list.args = placed.into_iter().map(FunctionArg::Unnamed).collect();
    Ok(())
}

fn make_interval(call: &Call<'_>) -> Result<ArrayRef> {
    let fields: Vec<Int64Array> = (0..call.len().min(6)).map(|at| call.int(at)).collect::<Result<_>>()?;
    let seconds = if call.len() > 6 { Some(call.float(6)?) } else { None };
    let row = |row: usize| {
        if fields.iter().any(|f| f.is_null(row)) || seconds.as_ref().is_some_and(|s| s.is_null(row)) {
            return Ok(None);
        }
        let field = |at: usize| fields.get(at).map_or(0, |f| i128::from(f.value(row)));
        let seconds = seconds.as_ref().map_or(0.0, |s| s.value(row));
        let micros = (field(4) * 60 + field(5)) * 60_000_000 + (seconds * 1e6).round() as i128;
        let months = i32::try_from(field(0) * 12 + field(1)).ok();
        let days = i32::try_from(field(2) * 7 + field(3)).ok();
        let nanos = i64::try_from(micros * 1000).ok();
        let made = months.zip(days).zip(nanos);
        let made = made.map(|((months, days), nanos)| IntervalMonthDayNano::new(months, days, nanos));
        made.ok_or_else(|| exec_datafusion_err!("interval out of range")).map(Some)
    };
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<IntervalMonthDayNanoArray>>()?))
}
