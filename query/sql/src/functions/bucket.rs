//! time_bucket: the start of the bucket that a time lies in, as TimescaleDB defines buckets.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array},
    compute::cast,
    datatypes::{DataType, Int64Type, IntervalMonthDayNano, TimeUnit},
};
use chrono::NaiveDateTime;
use datafusion::{
    common::{Result, ScalarValue, exec_err},
    logical_expr::ScalarUDF,
};

use super::{
    interval,
    scalar::{Arg, Call, Scalar, Shape, exactly, with},
};
use crate::clock::{Zone, from_naive, out_of_range, to_naive, unit_nanos};

const SHAPES: &[Shape] = &[
    with(&[Arg::Int, Arg::Int], &[Arg::Int]),
    with(&[Arg::Interval, Arg::Date], &[Arg::Interval]),
    with(&[Arg::Interval, Arg::Time], &[Arg::Interval]),
    exactly(&[Arg::Interval, Arg::Time, Arg::Time]),
    exactly(&[Arg::Interval, Arg::Time, Arg::Text, Arg::Time]),
];

const GAPFILL: &[Shape] =
    &[with(&[Arg::Int, Arg::Int], &[Arg::Int, Arg::Int]), with(&[Arg::Interval, Arg::Time], &[Arg::Time, Arg::Time])];

/// The name of the function that [`super::gapfill`] looks for in GROUP BY.
pub(super) const GAPFILL_NAME: &str = "time_bucket_gapfill";

/// The functions of this family.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    let gapfill = Scalar::new(
        GAPFILL_NAME,
        GAPFILL,
        |args| Ok(args[1].clone()),
        |call| exec_err!("{} has to be an expression of GROUP BY, and there only once", call.name),
    );
    vec![time_bucket(), gapfill.udf()]
}

/// `time_bucket(width, time [, offset | origin | time zone [, origin]])`.
pub(super) fn time_bucket() -> ScalarUDF {
    Scalar::new("time_bucket", SHAPES, |args| Ok(args[1].clone()), eval).udf()
}

/// Buckets of one width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Buckets {
    /// A fixed number of units, from an origin.
    Fixed { width: i64, origin: i64 },
    /// A number of months, from a month counted from year 0.
    Months { width: i64, origin: i64, unit: TimeUnit },
}

/// 2000-01-03, a Monday, in seconds: weeks begin on Mondays.
const ORIGIN_SECONDS: i64 = 946_857_600;
/// January 2000.
const ORIGIN_MONTH: i64 = 2000 * 12;

impl Buckets {
    /// Buckets of a width of plain numbers.
    pub(super) fn plain(width: i64) -> Result<Self> {
        if width <= 0 {
            return exec_err!("the width of a bucket must be greater than 0, not {width}");
        }
        Ok(Self::Fixed { width, origin: 0 })
    }

    /// Buckets of a width of time, over times of a unit.
    pub(super) fn of(span: IntervalMonthDayNano, unit: TimeUnit) -> Result<Self> {
        let Some(nanos) = interval::fixed_nanos(span) else {
            if span.days != 0 || span.nanoseconds != 0 || span.months < 0 {
                return exec_err!("the width of a bucket is months or days and time, not both, and greater than 0");
            }
            return Ok(Self::Months { width: i64::from(span.months), origin: ORIGIN_MONTH, unit });
        };
        let unit_nanos = i128::from(unit_nanos(unit));
        match i64::try_from(nanos / unit_nanos) {
            Ok(width) if width > 0 && nanos % unit_nanos == 0 => {
                Ok(Self::Fixed { width, origin: ORIGIN_SECONDS.saturating_mul(1_000_000_000 / unit_nanos as i64) })
            }
            _ => exec_err!("the width of a bucket must be greater than 0, and no finer than the times are"),
        }
    }

    /// The same buckets counted from another time.
    fn from(self, origin: i64) -> Result<Self> {
        match self {
            Self::Fixed { width, .. } => Ok(Self::Fixed { width, origin }),
            Self::Months { width, unit, .. } => {
                let time = to_naive(origin, unit).ok_or_else(out_of_range)?;
                let start = interval::month_start(interval::month_number(time.date()));
                if start.is_none_or(|start| NaiveDateTime::from(start) != time) {
                    return exec_err!("the origin of buckets of months must be the start of a month");
                }
                Ok(Self::Months { width, origin: interval::month_number(time.date()), unit })
            }
        }
    }

    /// The start of the bucket that a time lies in.
    pub(super) fn start(self, time: i64) -> Option<i64> {
        match self {
            Self::Fixed { width, origin } => {
                let past = (i128::from(time) - i128::from(origin)).rem_euclid(i128::from(width));
                i64::try_from(i128::from(time) - past).ok()
            }
            Self::Months { width, origin, unit } => {
                let month = interval::month_number(to_naive(time, unit)?.date());
                from_naive(interval::month_start(month - (month - origin).rem_euclid(width))?.into(), unit)
            }
        }
    }

    /// The starts of the buckets that times lie in. Neighbours are often in one bucket: it is not computed again.
    pub(super) fn starts(self, times: &Int64Array) -> Result<Int64Array> {
        let mut starts = Vec::with_capacity(times.len());
        let mut known = 0..0;
        for (row, time) in times.values().iter().enumerate() {
            if !known.contains(time) && times.is_valid(row) {
                let start = self.start(*time).ok_or_else(out_of_range)?;
                known = start..self.next(start).unwrap_or(start);
                // A last bucket without an end is computed for each row.
                starts.push(start);
            } else {
                starts.push(known.start);
            }
        }
        Ok(Int64Array::new(starts.into(), times.nulls().cloned()))
    }

    /// The start of the bucket after the one that starts at a time.
    pub(super) fn next(self, start: i64) -> Option<i64> {
        match self {
            Self::Fixed { width, .. } => start.checked_add(width),
            Self::Months { width, unit, .. } => {
                let month = interval::month_number(to_naive(start, unit)?.date());
                from_naive(interval::month_start(month.checked_add(width)?)?.into(), unit)
            }
        }
    }
}

/// An interval, or the text of one; none of null.
pub(super) fn span(value: &ScalarValue) -> Result<Option<IntervalMonthDayNano>> {
    match value {
        ScalarValue::IntervalMonthDayNano(span) => Ok(*span),
        ScalarValue::Utf8View(text) | ScalarValue::Utf8(text) => text.as_deref().map(interval::parse).transpose(),
        other => exec_err!("{other} is no interval"),
    }
}

/// What a call says of the buckets.
struct Wanted {
    buckets: Buckets,
    offset: Option<IntervalMonthDayNano>,
    zone: Option<Zone>,
}

fn eval(call: &Call<'_>) -> Result<ArrayRef> {
    let times = call.array(1)?;
    let unit = match times.data_type() {
        DataType::Timestamp(unit, _) => Some(*unit),
        DataType::Date32 => Some(TimeUnit::Second),
        _ => None,
    };
    let seconds = match times.data_type() {
        DataType::Date32 => cast(&times, &DataType::Timestamp(TimeUnit::Second, None))?,
        _ => Arc::clone(&times),
    };
    let plain = cast(&seconds, &DataType::Int64)?;
    let plain = plain.as_primitive::<Int64Type>();
    let constant = (0..call.len()).filter(|&at| at != 1).all(|at| call.constant(at).is_some());
    let fixed = if constant && call.rows > 0 { Some(wanted(call, unit, 0)?) } else { None };
    if let Some(Some(Wanted { buckets, offset: None, zone: None })) = &fixed {
        return of_type(&buckets.starts(plain)?, times.data_type(), call.returns);
    }
    let row = |(row, time): (usize, Option<i64>)| {
        let made;
        let wanted = match &fixed {
            Some(fixed) => fixed,
            None => {
                made = wanted(call, unit, row)?;
                &made
            }
        };
        match (time, wanted) {
            (Some(time), Some(wanted)) => bucket(wanted, time, unit).ok_or_else(out_of_range).map(Some),
            _ => Ok(None),
        }
    };
    let starts: Int64Array = plain.iter().enumerate().map(row).collect::<Result<_>>()?;
    of_type(&starts, times.data_type(), call.returns)
}

/// Starts of buckets as the type that the call returns; those of dates are in seconds.
fn of_type(starts: &Int64Array, times: &DataType, returns: &DataType) -> Result<ArrayRef> {
    Ok(match times {
        DataType::Date32 => cast(&cast(starts, &DataType::Timestamp(TimeUnit::Second, None))?, returns)?,
        _ => cast(starts, returns)?,
    })
}

fn bucket(wanted: &Wanted, time: i64, unit: Option<TimeUnit>) -> Option<i64> {
    let Some(unit) = unit else { return wanted.buckets.start(time) };
    if wanted.zone.is_none() && wanted.offset.is_none() {
        return wanted.buckets.start(time);
    }
    let mut at = to_naive(time, unit)?;
    if let Some(zone) = wanted.zone {
        at = zone.local(at)?;
    }
    if let Some(offset) = wanted.offset {
        let back = IntervalMonthDayNano::new(
            offset.months.checked_neg()?,
            offset.days.checked_neg()?,
            offset.nanoseconds.checked_neg()?,
        );
        at = interval::add(at, back)?;
    }
    let mut start = to_naive(wanted.buckets.start(from_naive(at, unit)?)?, unit)?;
    if let Some(offset) = wanted.offset {
        start = interval::add(start, offset)?;
    }
    if let Some(zone) = wanted.zone {
        start = zone.utc(start)?;
    }
    from_naive(start, unit)
}

fn wanted(call: &Call<'_>, unit: Option<TimeUnit>, row: usize) -> Result<Option<Wanted>> {
    let value = |at: usize| ScalarValue::try_from_array(&call.array(at)?, row);
    let Some(unit) = unit else {
        let ScalarValue::Int64(Some(width)) = value(0)? else { return Ok(None) };
        let mut buckets = Buckets::plain(width)?;
        if call.len() > 2 {
            let ScalarValue::Int64(Some(offset)) = value(2)? else { return Ok(None) };
            buckets = buckets.from(offset)?;
        }
        return Ok(Some(Wanted { buckets, offset: None, zone: None }));
    };
    let Some(width) = span(&value(0)?)? else { return Ok(None) };
    let mut wanted = Wanted { buckets: Buckets::of(width, unit)?, offset: None, zone: None };
    for at in 2..call.len() {
        let extra = value(at)?;
        match &extra {
            extra if extra.is_null() => return Ok(None),
            ScalarValue::Utf8View(Some(text)) => match Zone::named(text) {
                Some(zone) => wanted.zone = Some(zone),
                None => wanted.offset = Some(interval::parse(text)?),
            },
            ScalarValue::IntervalMonthDayNano(offset) => wanted.offset = *offset,
            _ => {
                let origin = extra.cast_to(&DataType::Timestamp(unit, None))?.cast_to(&DataType::Int64)?;
                let ScalarValue::Int64(Some(origin)) = origin else { return Ok(None) };
                wanted.buckets = wanted.buckets.from(origin)?;
            }
        }
    }
    Ok(Some(wanted))
}
