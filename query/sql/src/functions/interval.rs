//! Intervals: added to points in time, multiplied and divided by numbers.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Decimal128Array, IntervalMonthDayNanoArray},
    datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit},
};
use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeDelta};
use datafusion::{
    common::{Result, exec_datafusion_err, exec_err},
    logical_expr::ScalarUDF,
};

use super::scalar::{Arg, Call, Scalar, Shape, exactly};
use crate::{clock, error::SqlError};

pub(super) const DAY: i128 = 86_400_000_000_000;
const DAYS_PER_MONTH: f64 = 30.0;
const SECONDS_PER_DAY: f64 = 86_400.0;

const BY_NUMBER: &[Shape] = &[exactly(&[Arg::Interval, Arg::Float])];
pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// The functions that operators are planned as.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    vec![times().udf(), divided().udf(), length().udf()]
}

/// An interval by a number.
pub(super) const fn times() -> Scalar {
    Scalar::new("interval_times", BY_NUMBER, |_| Ok(INTERVAL), |call| by_number(call, |of, by| of * by))
}

/// An interval divided by a number.
pub(super) const fn divided() -> Scalar {
    let eval = |call: &Call<'_>| {
        if call.float(1)?.iter().any(|by| by == Some(0.0)) {
            return exec_err!("division by zero");
        }
        by_number(call, |of, by| of / by)
    };
    Scalar::new("interval_divided", BY_NUMBER, |_| Ok(INTERVAL), eval)
}

/// What intervals are compared by: their nanoseconds, a month having 30 days.
pub(super) const fn length() -> Scalar {
    let eval = |call: &Call<'_>| {
        let spans = clock::spans(&call.array(0)?)?;
        let length = |span: IntervalMonthDayNano| {
            (i128::from(span.months) * 30 + i128::from(span.days)) * DAY + i128::from(span.nanoseconds)
        };
        let lengths: Decimal128Array = spans.iter().map(|span| span.map(length)).collect();
        Ok(Arc::new(lengths.with_precision_and_scale(38, 0)?) as ArrayRef)
    };
    Scalar::new("interval_length", const { &[exactly(&[Arg::Any])] }, |_| Ok(DataType::Decimal128(38, 0)), eval)
}

fn by_number(call: &Call<'_>, apply: fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let (spans, numbers) = (call.array(0)?, call.float(1)?);
    let Some(spans) = spans.as_primitive_opt::<IntervalMonthDayNanoType>() else { return call.wrong(0) };
    let row = |(span, by): (Option<IntervalMonthDayNano>, Option<f64>)| {
        let Some((span, by)) = span.zip(by) else { return Ok(None) };
        let scaled = scaled(span, |of| apply(of, by));
        scaled.ok_or_else(|| exec_datafusion_err!("interval out of range")).map(Some)
    };
    Ok(Arc::new(spans.iter().zip(&numbers).map(row).collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// As PostgreSQL has it: what is left of months becomes days, what is left of days becomes time, none the other way.
fn scaled(span: IntervalMonthDayNano, by: impl Fn(f64) -> f64) -> Option<IntervalMonthDayNano> {
    let micro = |seconds: f64| (seconds * 1e6).round_ties_even() / 1e6;
    let whole = |of: f64| (of.abs() < f64::from(i32::MAX)).then(|| of.trunc());
    let (months, days) = (by(f64::from(span.months)), by(f64::from(span.days)));
    let days_left = micro((months - whole(months)?) * DAYS_PER_MONTH);
    let seconds_left = micro((days - whole(days)? + days_left - days_left.trunc()) * SECONDS_PER_DAY);
    let more_days = (seconds_left / SECONDS_PER_DAY).trunc();
    let seconds_left = seconds_left - more_days * SECONDS_PER_DAY;
    let days = whole(days.trunc() + more_days + days_left.trunc())?;
    // Microseconds, as PostgreSQL counts, are exact for longer than nanoseconds.
    let nanos = if span.nanoseconds % 1000 == 0 {
        let micros = (by((span.nanoseconds / 1000) as f64) + seconds_left * 1e6).round_ties_even();
        if micros.abs() >= i64::MAX as f64 { None } else { (micros as i64).checked_mul(1000) }
    } else {
        let nanos = (by(span.nanoseconds as f64) + seconds_left * 1e9).round_ties_even();
        (nanos.abs() < i64::MAX as f64).then_some(nanos as i64)
    };
    Some(IntervalMonthDayNano::new(months.trunc() as i32, days as i32, nanos?))
}

/// Parses an interval, also in the ways dashboards write it: `60.000s`, `5m`, `1h`, `1d`, `30 seconds`.
pub(super) fn parse(text: &str) -> Result<IntervalMonthDayNano> {
    clock::parse_interval(text).ok_or_else(|| {
        let short: String = text.chars().take(100).collect();
        SqlError::new(b"22007", format!("invalid input syntax for type interval: \"{short}\"")).into()
    })
}

/// An interval's length in nanoseconds, when it has no months; days are of 24 hours.
pub(super) fn fixed_nanos(span: IntervalMonthDayNano) -> Option<i128> {
    (span.months == 0).then(|| i128::from(span.days) * DAY + i128::from(span.nanoseconds))
}

/// A point in time plus an interval: months first, then days, then the rest, as PostgreSQL adds.
pub(super) fn add(to: NaiveDateTime, span: IntervalMonthDayNano) -> Option<NaiveDateTime> {
    let months = Months::new(span.months.unsigned_abs());
    let to = if span.months < 0 { to.checked_sub_months(months) } else { to.checked_add_months(months) }?;
    let days = Days::new(u64::from(span.days.unsigned_abs()));
    let to = if span.days < 0 { to.checked_sub_days(days) } else { to.checked_add_days(days) }?;
    to.checked_add_signed(TimeDelta::nanoseconds(span.nanoseconds))
}

/// An interval back.
pub(super) fn negated(span: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    let (months, days) = (span.months.checked_neg()?, span.days.checked_neg()?);
    Some(IntervalMonthDayNano::new(months, days, span.nanoseconds.checked_neg()?))
}

/// Months since year 0 of a date.
pub(super) fn month_number(date: NaiveDate) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month0())
}

/// The first day of a month counted by [`month_number`].
pub(super) fn month_start(number: i64) -> Option<NaiveDate> {
    let year = i32::try_from(number.div_euclid(12)).ok()?;
    NaiveDate::from_ymd_opt(year, number.rem_euclid(12) as u32 + 1, 1)
}
