//! Dates and times as PostgreSQL has them: date_trunc in a zone, date_part of all fields, age, timezone.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, IntervalMonthDayNanoArray, StringViewArray},
    compute::cast,
    datatypes::{DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit},
};
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::{ScalarUDF, Volatility},
};

use super::{
    interval,
    scalar::{Arg, Call, Scalar, Shape, exactly, with},
    time_texts::Zones,
};
use crate::clock::{self, from_naive, out_of_range, to_naive};

const TRUNC: &[Shape] = &[with(&[Arg::Text, Arg::Time], &[Arg::Text])];
const PART: &[Shape] = &[exactly(&[Arg::Text, Arg::Time]), exactly(&[Arg::Text, Arg::Interval])];
const AGE: &[Shape] = &[with(&[Arg::Time], &[Arg::Time])];
const ZONED: &[Shape] = &[exactly(&[Arg::Text, Arg::Time]), exactly(&[Arg::Interval, Arg::Time])];
const SPAN: &[Shape] = &[exactly(&[Arg::Interval])];

/// `date_trunc` as DataFusion has it not: in a zone, of decades and longer.
pub(super) const TRUNC_NAME: &str = "date_trunc_field";
/// `date_part` as DataFusion has it not: seconds with fractions, decades and longer.
pub(super) const PART_NAME: &str = "date_part_field";

/// The function that a call of `date_trunc` or `date_part` with a constant field is for, when not DataFusion's.
pub(super) fn renamed(function: &str, field: Option<&str>, args: usize) -> Option<&'static str> {
    let field = field.map(str::to_ascii_lowercase);
    let long =
        |field: &str| matches!(field.get(..6), Some("decade" | "centur" | "millen")) && !field.starts_with("milli");
    let second = |field: &str| {
        ["second", "millisecond", "microsecond", "julian", "timezone"].iter().any(|f| field.starts_with(f))
    };
    match function {
        "date_trunc" => (args > 2 || field.is_some_and(|f| long(&f))).then_some(TRUNC_NAME),
        "date_part" => field.is_none_or(|f| long(&f) || second(&f)).then_some(PART_NAME),
        _ => None,
    }
}

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// The functions of this family.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    vec![
        trunc_scalar().udf(),
        Scalar::new("age", AGE, |_| Ok(INTERVAL), age).volatile(Volatility::Stable).udf(),
        timezone_scalar().udf(),
        Scalar::new("justify_hours", SPAN, |_| Ok(INTERVAL), |call| justified(call, true, false)).udf(),
        Scalar::new("justify_days", SPAN, |_| Ok(INTERVAL), |call| justified(call, false, true)).udf(),
        Scalar::new("justify_interval", SPAN, |_| Ok(INTERVAL), |call| justified(call, true, true)).udf(),
        Scalar::new(
            "isfinite",
            const { &[exactly(&[Arg::Date]), exactly(&[Arg::Time]), exactly(&[Arg::Interval])] },
            |_| Ok(DataType::Boolean),
            |call| {
                let times = call.array(0)?;
                let is_moment = matches!(times.data_type(), DataType::Timestamp(..));
                let plain = if is_moment { cast(&times, &DataType::Int64)? } else { Arc::clone(&times) };
                let plain = plain.as_primitive_opt::<Int64Type>();
                // The ends of the range stand for infinity.
                let is_finite = |row| plain.is_none_or(|times| !matches!(times.value(row), i64::MIN | i64::MAX));
                let finite = (0..times.len()).map(|row| times.is_valid(row).then(|| is_finite(row)));
                Ok(Arc::new(finite.collect::<arrow::array::BooleanArray>()))
            },
        )
        .udf(),
        part_scalar().udf(),
    ]
}

pub(super) const fn trunc_scalar() -> Scalar {
    Scalar::new(TRUNC_NAME, TRUNC, |args| Ok(args[1].clone()), date_trunc)
}

pub(super) const fn part_scalar() -> Scalar {
    Scalar::new(PART_NAME, PART, |_| Ok(DataType::Float64), date_part)
}

pub(super) const fn timezone_scalar() -> Scalar {
    Scalar::new("timezone", ZONED, zoned_type, timezone)
}

/// The date and clock of each row of a column of times.
pub(super) fn naive(times: &ArrayRef) -> Result<Vec<Option<NaiveDateTime>>> {
    let DataType::Timestamp(unit, _) = times.data_type() else { return exec_err!("not a timestamp") };
    let plain = cast(times, &DataType::Int64)?;
    let row = |value: Option<i64>| value.map(|v| to_naive(v, *unit).ok_or_else(out_of_range)).transpose();
    plain.as_primitive::<Int64Type>().iter().map(row).collect()
}

/// A column of times of the type `of`.
pub(super) fn column(times: impl Iterator<Item = Result<Option<NaiveDateTime>>>, of: &DataType) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, _) = of else { return exec_err!("not a timestamp") };
    let plain = times.map(|time| time?.map(|t| from_naive(t, *unit).ok_or_else(out_of_range)).transpose());
    Ok(cast(&plain.collect::<Result<Int64Array>>()?, of)?)
}

fn date_trunc(call: &Call<'_>) -> Result<ArrayRef> {
    let (fields, times) = (call.text(0)?, naive(&call.array(1)?)?);
    let zones = if call.len() > 2 { Some(call.text(2)?) } else { None };
    let mut zones = zones.as_ref().map(Zones::new);
    let row = |(row, time): (usize, Option<NaiveDateTime>)| {
        let zone = match &mut zones {
            None => None,
            Some(zones) => match zones.of(row)? {
                None => return Ok(None),
                zone => zone,
            },
        };
        let (Some(time), true) = (time, fields.is_valid(row)) else { return Ok(None) };
        let field = fields.value(row).to_ascii_lowercase();
        let Some(zone) = zone else { return truncate(&field, time).map(Some) };
        let start = truncate(&field, zone.local(time).ok_or_else(out_of_range)?)?;
        zone.utc(start).ok_or_else(out_of_range).map(Some)
    };
    column(times.into_iter().enumerate().map(row), call.returns)
}

fn truncate(field: &str, time: NaiveDateTime) -> Result<NaiveDateTime> {
    let (date, clock) = (time.date(), time.time());
    let nanos = |unit: u32| clock.with_nanosecond(clock.nanosecond() / unit * unit);
    let clocked = |clock: Option<NaiveTime>| clock.map(|clock| date.and_time(clock));
    let day = |date: Option<NaiveDate>| date.map(|date| date.and_time(NaiveTime::MIN));
    let year = |year: i32| day(NaiveDate::from_ymd_opt(year, 1, 1));
    let truncated = match field {
        "nanosecond" | "nanoseconds" => Some(time),
        "microsecond" | "microseconds" => clocked(nanos(1000)),
        "millisecond" | "milliseconds" => clocked(nanos(1_000_000)),
        "second" | "seconds" => clocked(clock.with_nanosecond(0)),
        "minute" | "minutes" => clocked(NaiveTime::from_hms_opt(clock.hour(), clock.minute(), 0)),
        "hour" | "hours" => clocked(NaiveTime::from_hms_opt(clock.hour(), 0, 0)),
        "day" | "days" => day(Some(date)),
        "week" | "weeks" => {
            day(date.checked_sub_signed(TimeDelta::days(i64::from(date.weekday().num_days_from_monday()))))
        }
        "month" | "months" => day(date.with_day(1)),
        "quarter" | "quarters" => day(NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1)),
        "year" | "years" => year(date.year()),
        "decade" | "decades" => year(date.year().div_euclid(10) * 10),
        // Centuries and millennia begin with years that end in 1.
        "century" | "centuries" => year((date.year() - 1).div_euclid(100) * 100 + 1),
        "millennium" | "millenniums" | "millennia" => year((date.year() - 1).div_euclid(1000) * 1000 + 1),
        other => return exec_err!("unit \"{other}\" not recognized for type timestamp"),
    };
    truncated.ok_or_else(out_of_range)
}

/// A field of a time as a number; the fields that DataFusion's `date_part` lacks among them.
fn date_part(call: &Call<'_>) -> Result<ArrayRef> {
    let (fields, array) = (call.text(0)?, call.array(1)?);
    if matches!(array.data_type(), DataType::Interval(_) | DataType::Duration(_)) {
        let spans = clock::spans(&array)?;
        let row = |(field, span): (Option<&str>, Option<IntervalMonthDayNano>)| {
            field.zip(span).map(|(field, span)| part_of_span(&field.to_ascii_lowercase(), span)).transpose()
        };
        return Ok(Arc::new(fields.iter().zip(&spans).map(row).collect::<Result<Float64Array>>()?));
    }
    let times = naive(&array)?;
    let row = |(field, time): (Option<&str>, Option<NaiveDateTime>)| {
        field.zip(time).map(|(field, time)| part(&field.to_ascii_lowercase(), time)).transpose()
    };
    Ok(Arc::new(fields.iter().zip(times).map(row).collect::<Result<Float64Array>>()?))
}

fn part(field: &str, time: NaiveDateTime) -> Result<f64> {
    let date = time.date();
    let seconds = f64::from(time.second()) + f64::from(time.nanosecond()) / 1e9;
    Ok(match field {
        "year" | "years" => f64::from(date.year()),
        "isoyear" => f64::from(date.iso_week().year()),
        "quarter" => f64::from(date.month0() / 3 + 1),
        "month" | "months" => f64::from(date.month()),
        "week" | "weeks" => f64::from(date.iso_week().week()),
        "day" | "days" => f64::from(date.day()),
        "dow" => f64::from(date.weekday().num_days_from_sunday()),
        "isodow" => f64::from(date.weekday().number_from_monday()),
        "doy" => f64::from(date.ordinal()),
        "hour" | "hours" => f64::from(time.hour()),
        "minute" | "minutes" => f64::from(time.minute()),
        "second" | "seconds" => seconds,
        "millisecond" | "milliseconds" => seconds * 1e3,
        "microsecond" | "microseconds" => (seconds * 1e6).round(),
        "epoch" => {
            let (whole, part) = (time.and_utc().timestamp(), time.and_utc().timestamp_subsec_nanos());
            whole as f64 + f64::from(part) / 1e9
        }
        "decade" => f64::from(date.year().div_euclid(10)),
        "century" => f64::from((date.year() - 1).div_euclid(100) + 1),
        "millennium" => f64::from((date.year() - 1).div_euclid(1000) + 1),
        "julian" => {
            let day = date.signed_duration_since(NaiveDate::default()).num_days() + 2_440_588;
            day as f64 + time.num_seconds_from_midnight() as f64 / 86_400.0
        }
        "timezone" | "timezone_hour" | "timezone_minute" => 0.0,
        other => return exec_err!("unit \"{other}\" not recognized for type timestamp"),
    })
}

/// A field of an interval: what it is beside the greater fields.
fn part_of_span(field: &str, span: IntervalMonthDayNano) -> Result<f64> {
    let seconds = (span.nanoseconds % 60_000_000_000) as f64 / 1e9;
    let minutes = span.nanoseconds / 60_000_000_000;
    let years = span.months / 12;
    Ok(match field {
        "year" | "years" => f64::from(years),
        "quarter" => f64::from(span.months % 12 / 3 + 1),
        "month" | "months" => f64::from(span.months % 12),
        "day" | "days" => f64::from(span.days),
        "hour" | "hours" => (minutes / 60) as f64,
        "minute" | "minutes" => (minutes % 60) as f64,
        // A year has 365.25 days, and a month that is left 30.
        "epoch" => {
            let days = f64::from(years) * 365.25 + f64::from(span.months % 12 * 30) + f64::from(span.days);
            days * 86_400.0 + span.nanoseconds as f64 / 1e9
        }
        "second" | "seconds" => seconds,
        "millisecond" | "milliseconds" => seconds * 1e3,
        "microsecond" | "microseconds" => seconds * 1e6,
        "decade" => f64::from(years / 10),
        "century" => f64::from(years / 100),
        "millennium" => f64::from(years / 1000),
        other => return exec_err!("unit \"{other}\" not supported for type interval"),
    })
}

/// The time between two times in years, months and days, or from a time to the midnight that began today.
fn age(call: &Call<'_>) -> Result<ArrayRef> {
    let first = naive(&call.array(0)?)?;
    let (to, from) = if call.len() > 1 {
        (first, naive(&call.array(1)?)?)
    } else {
        let midnight = Utc::now().date_naive().and_time(NaiveTime::MIN);
        (vec![Some(midnight); first.len()], first)
    };
    let rows = to.into_iter().zip(from).map(|(to, from)| to.zip(from).map(|(to, from)| between(to, from)));
    Ok(Arc::new(rows.collect::<IntervalMonthDayNanoArray>()))
}

fn between(to: NaiveDateTime, from: NaiveDateTime) -> IntervalMonthDayNano {
    if to < from {
        let back = between(from, to);
        return IntervalMonthDayNano::new(-back.months, -back.days, -back.nanoseconds);
    }
    let nanos =
        |time: NaiveTime| i64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + i64::from(time.nanosecond());
    let mut clock = nanos(to.time()) - nanos(from.time());
    let mut days = to.day() as i32 - from.day() as i32;
    let mut months = interval::month_number(to.date()) - interval::month_number(from.date());
    if clock < 0 {
        clock += 86_400_000_000_000;
        days -= 1;
    }
    if days < 0 {
        // As long as the month was that the earlier time lies in.
        let first = from.date().with_day(1);
        let next = first.and_then(|first| first.checked_add_months(chrono::Months::new(1)));
        let length = next.zip(first).map_or(30, |(next, first)| next.signed_duration_since(first).num_days());
        days += length as i32;
        months -= 1;
    }
    IntervalMonthDayNano::new(months as i32, days, clock)
}

fn zoned_type(args: &[DataType]) -> Result<DataType> {
    match &args[1] {
        DataType::Timestamp(unit, Some(_)) => Ok(DataType::Timestamp(*unit, None)),
        DataType::Timestamp(unit, None) => Ok(DataType::Timestamp(*unit, Some("UTC".into()))),
        other => Ok(other.clone()),
    }
}

/// `time AT TIME ZONE zone`: a moment's clock in a zone, or the moment at which a zone's clock shows a time.
fn timezone(call: &Call<'_>) -> Result<ArrayRef> {
    let (zones, array) = (call.array(0)?, call.array(1)?);
    let zones = match zones.as_string_view_opt() {
        Some(zones) => zones.clone(),
        None => offsets(&zones)?,
    };
    let moment = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
    let mut zones = Zones::new(&zones);
    let row = |(row, time): (usize, Option<NaiveDateTime>)| {
        let Some((zone, time)) = zones.of(row)?.zip(time) else { return Ok(None) };
        let shifted = if moment { zone.local(time) } else { zone.utc(time) };
        shifted.ok_or_else(out_of_range).map(Some)
    };
    column(naive(&array)?.into_iter().enumerate().map(row), call.returns)
}

/// The zones that are these intervals before Greenwich, as statements write them: with the offset to the west.
fn offsets(spans: &ArrayRef) -> Result<StringViewArray> {
    let row = |span: Option<IntervalMonthDayNano>| {
        let Some(span) = span else { return Ok(None) };
        let minutes = span.nanoseconds / 60_000_000_000;
        if span.months != 0 || span.days != 0 || minutes.abs() >= 16 * 60 {
            return exec_err!("interval time zone must be hours and minutes");
        }
        let sign = if minutes > 0 { '-' } else { '+' };
        Ok(Some(format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)))
    };
    clock::spans(spans)?.iter().map(row).collect()
}

fn justified(call: &Call<'_>, hours: bool, days: bool) -> Result<ArrayRef> {
    const DAY: i64 = 86_400_000_000_000;
    let array = cast(&call.array(0)?, &INTERVAL)?;
    let row = |span: Option<IntervalMonthDayNano>| {
        span.map(|span| {
            let (mut months, mut in_days, mut nanos) = (span.months, span.days, span.nanoseconds);
            if hours {
                in_days = in_days.saturating_add((nanos / DAY) as i32);
                nanos %= DAY;
            }
            if days {
                months = months.saturating_add(in_days / 30);
                in_days %= 30;
            }
            IntervalMonthDayNano::new(months, in_days, nanos)
        })
    };
    Ok(Arc::new(
        array.as_primitive::<IntervalMonthDayNanoType>().iter().map(row).collect::<IntervalMonthDayNanoArray>(),
    ))
}
