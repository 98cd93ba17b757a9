//! Intervals: from PostgreSQL's text, and added to points in time.

use arrow::{compute::kernels::cast_utils::parse_interval_month_day_nano, datatypes::IntervalMonthDayNano};
use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeDelta};
use datafusion::common::{Result, exec_err};

const DAY: i128 = 86_400_000_000_000;

/// Parses an interval, also in the ways dashboards write it: `60.000s`, `5m`, `1h`, `1d`, `30 seconds`.
pub(super) fn parse(text: &str) -> Result<IntervalMonthDayNano> {
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    // A lone `m` is minutes to dashboards and to PostgreSQL; months are `mon`.
    let unit = match unit.trim() {
        "ns" => Some("nanosecond"),
        "us" => Some("microsecond"),
        "ms" => Some("millisecond"),
        "s" => Some("second"),
        "m" => Some("minute"),
        "h" => Some("hour"),
        "d" => Some("day"),
        "w" => Some("week"),
        "y" => Some("year"),
        _ => None,
    };
    let parsed = match unit {
        Some(unit) if !number.is_empty() => parse_interval_month_day_nano(&format!("{number} {unit}")),
        _ => parse_interval_month_day_nano(trimmed),
    };
    match parsed {
        Ok(parsed) => Ok(parsed),
        Err(_) => exec_err!("invalid input syntax for type interval: \"{text}\""),
    }
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

/// Months since year 0 of a date.
pub(super) fn month_number(date: NaiveDate) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month0())
}

/// The first day of a month counted by [`month_number`].
pub(super) fn month_start(number: i64) -> Option<NaiveDate> {
    let year = i32::try_from(number.div_euclid(12)).ok()?;
    NaiveDate::from_ymd_opt(year, number.rem_euclid(12) as u32 + 1, 1)
}
