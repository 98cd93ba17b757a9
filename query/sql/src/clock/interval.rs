//! Intervals as PostgreSQL writes and reads them.

use std::io::Write as _;

use arrow::{
    array::{ArrayRef, AsArray, IntervalMonthDayNanoArray},
    compute::cast,
    datatypes::{DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit},
    error::ArrowError,
};

use super::{DAY_MICROS, calendar::write_time, fields::parse_fraction, unit_nanos};

const DAY_NANOS: i128 = DAY_MICROS as i128 * 1000;

/// Writes an interval in the style `postgres`, such as `1 year 2 mons 3 days 04:05:06`.
pub fn write_interval(out: &mut Vec<u8>, interval: IntervalMonthDayNano) {
    let micros = interval.nanoseconds / 1000;
    let start = out.len();
    // After a negative part PostgreSQL gives a positive one its sign.
    let mut negative = false;
    let parts = [(interval.months / 12, "year"), (interval.months % 12, "mon"), (interval.days, "day")];
    for (number, unit) in parts.into_iter().filter(|(n, _)| *n != 0) {
        let space = if out.len() > start { " " } else { "" };
        let sign = if negative && number > 0 { "+" } else { "" };
        let plural = if number == 1 { "" } else { "s" };
        // Writing to a vector cannot fail.
        let _ = write!(out, "{space}{sign}{number} {unit}{plural}");
        negative = number < 0;
    }
    if micros != 0 || out.len() == start {
        if out.len() > start {
            out.push(b' ');
        }
        if micros < 0 {
            out.push(b'-');
        } else if negative {
            out.push(b'+');
        }
        write_time(out, micros);
    }
}

/// An interval as it is summed up.
#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    nanos: i64,
}

const SECOND: i64 = 1_000_000_000;

impl Sum {
    /// Adds a whole number and a fraction (in millionths, with the number's sign) of a unit.
    fn add(&mut self, whole: i64, millionths: i64, unit: &str) -> Option<()> {
        // Of a year or longer, what is no whole number of months is rounded; of a month, it becomes days and time.
        let mut years = |each: i64| {
            let fraction = (millionths * each + 500_000 * millionths.signum()) / 1_000_000;
            self.months = self.months.checked_add(whole.checked_mul(each)?.checked_add(fraction)?)?;
            Some(())
        };
        let unit = unit.to_ascii_lowercase();
        let nanos = match unit.as_str() {
            "year" | "years" | "y" | "yr" | "yrs" => return years(12),
            "month" | "months" | "mon" | "mons" => {
                self.months = self.months.checked_add(whole)?;
                return self.add_days(0, millionths, 30);
            }
            "millennium" | "millennia" | "millenniums" => return years(12_000),
            "decade" | "decades" | "dec" | "decs" => return years(120),
            "century" | "centuries" | "cent" | "c" => return years(1200),
            "week" | "weeks" | "w" => return self.add_days(whole, millionths, 7),
            "day" | "days" | "d" => return self.add_days(whole, millionths, 1),
            "hour" | "hours" | "h" | "hr" | "hrs" => 3600 * SECOND,
            "minute" | "minutes" | "m" | "min" | "mins" => 60 * SECOND,
            "second" | "seconds" | "s" | "sec" | "secs" | "" => SECOND,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => SECOND / 1000,
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" => SECOND / 1_000_000,
            // PostgreSQL has none; moments here may have them.
            "nanosecond" | "nanoseconds" | "ns" => 1,
            _ => return None,
        };
        self.add_nanos(whole.checked_mul(nanos)?)?;
        self.add_nanos(i64::try_from(i128::from(millionths) * i128::from(nanos) / 1_000_000).ok()?)
    }

    fn add_days(&mut self, whole: i64, millionths: i64, each: i64) -> Option<()> {
        let (more, rest) = (millionths * each / 1_000_000, millionths * each % 1_000_000);
        self.days = self.days.checked_add(whole.checked_mul(each)?)?.checked_add(more)?;
        self.add_nanos(rest * 86_400 * (SECOND / 1_000_000))
    }

    fn add_nanos(&mut self, nanos: i64) -> Option<()> {
        self.nanos = self.nanos.checked_add(nanos)?;
        Some(())
    }

    fn finish(self, backwards: bool) -> Option<IntervalMonthDayNano> {
        let sign = if backwards { -1 } else { 1 };
        Some(IntervalMonthDayNano {
            months: i32::try_from(self.months.checked_mul(sign)?).ok()?,
            days: i32::try_from(self.days.checked_mul(sign)?).ok()?,
            nanoseconds: self.nanos.checked_mul(sign)?,
        })
    }
}

/// Reads an interval: `1 year 2 mons 3 days 04:05:06`, `90 minutes`, `1.5 hours ago`, `P1DT2H`.
pub fn parse_interval(text: &str) -> Option<IntervalMonthDayNano> {
    let text = text.trim();
    let text = text.strip_prefix('@').unwrap_or(text).trim();
    if let Some(iso) = text.strip_prefix(['P', 'p']) {
        return parse_iso(iso);
    }
    let (text, backwards) = match text.len().checked_sub(3).and_then(|at| text.split_at_checked(at)) {
        Some((before, ago)) if ago.eq_ignore_ascii_case("ago") => (before.trim_end(), true),
        _ => (text, false),
    };
    if text.is_empty() {
        return None;
    }
    let mut sum = Sum::default();
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if word.contains(':') {
            sum.add_nanos(parse_clock(word)?)?;
            continue;
        }
        if let Some(months) = parse_years_and_months(word) {
            sum.months = sum.months.checked_add(months)?;
            continue;
        }
        let split = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (number, attached) = word.split_at(split);
        let (whole, millionths) = parse_number(number)?;
        let next = words.peek().copied().unwrap_or_default();
        let unit = match attached {
            "" if next.starts_with(|c: char| c.is_ascii_alphabetic()) => words.next().unwrap_or_default(),
            // A number before a clock counts days.
            "" if next.contains(':') => "day",
            attached => attached,
        };
        sum.add(whole, millionths, unit)?;
    }
    sum.finish(backwards)
}

/// The months of `[-]years-months`.
fn parse_years_and_months(word: &str) -> Option<i64> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let (years, months) = digits.split_once('-')?;
    let (years, months) = (parse_number(years)?, parse_number(months)?);
    let is_whole = years.1 == 0 && months.1 == 0 && (0..12).contains(&months.0) && years.0 >= 0;
    if is_whole { Some(sign * (years.0.checked_mul(12)?.checked_add(months.0)?)) } else { None }
}

/// `[-]hours:minutes[:seconds]` in nanoseconds.
fn parse_clock(word: &str) -> Option<i64> {
    let (sign, digits) = match word.as_bytes().first()? {
        b'-' => (-1, &word[1..]),
        b'+' => (1, &word[1..]),
        _ => (1, word),
    };
    let mut parts = digits.split(':');
    let hours = parts.next()?;
    if hours.is_empty() || hours.len() > 9 || !hours.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let minutes = parse_number(parts.next()?)?;
    let seconds = parts.next().map_or(Some((0, 0)), parse_number)?;
    let sixty = 0..60;
    if parts.next().is_some() || minutes.1 != 0 || !sixty.contains(&minutes.0) || !sixty.contains(&seconds.0) {
        return None;
    }
    let whole = hours.parse::<i64>().ok()? * 3600 + minutes.0 * 60 + seconds.0;
    Some(sign * (whole.checked_mul(SECOND)?.checked_add(seconds.1 * 1000)?))
}

/// A number in whole ones and millionths, both with its sign.
fn parse_number(text: &str) -> Option<(i64, i64)> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if digits.is_empty() || whole.len() > 18 || !whole.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some((sign * whole, sign * (parse_fraction(fraction)? + 500) / 1000))
}

/// What follows the P of ISO 8601's form.
fn parse_iso(text: &str) -> Option<IntervalMonthDayNano> {
    let text = &text.to_ascii_uppercase();
    let mut sum = Sum::default();
    let mut rest = text.as_str();
    let mut in_time = false;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            (rest, in_time) = (time, true);
            continue;
        }
        let split = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (whole, millionths) = parse_number(&rest[..split])?;
        let unit = match (&rest[split..=split], in_time) {
            ("Y", false) => "year",
            ("M", false) => "month",
            ("W", false) => "week",
            ("D", false) => "day",
            ("H", true) => "hour",
            ("M", true) => "minute",
            ("S", true) => "second",
            _ => return None,
        };
        sum.add(whole, millionths, unit)?;
        rest = &rest[split + 1..];
    }
    sum.finish(false)
}

/// A column of intervals or durations as intervals. The time between two times has days of 24 hours, as PostgreSQL has it.
///
/// # Errors
/// When the column is of another type, or a duration has more than 2^31 days.
pub fn spans(array: &ArrayRef) -> Result<IntervalMonthDayNanoArray, ArrowError> {
    let DataType::Duration(unit) = array.data_type() else {
        return Ok(cast(array, &DataType::Interval(IntervalUnit::MonthDayNano))?
            .as_primitive::<IntervalMonthDayNanoType>()
            .clone());
    };
    let nanos = i128::from(unit_nanos(*unit));
    let row = |length: Option<i64>| {
        let Some(length) = length.map(|length| i128::from(length) * nanos) else { return Ok(None) };
        let (days, rest) = (i32::try_from(length / DAY_NANOS), (length % DAY_NANOS) as i64);
        let days = days.map_err(|_| ArrowError::ArithmeticOverflow("interval out of range".to_owned()))?;
        Ok(Some(IntervalMonthDayNano::new(0, days, rest)))
    };
    cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[0-9PTYMDHS:. +-]{0,30}|-?[0-9]{1,12} (day|year|hour|us)s?|.{0,20}") {
            if let Some(interval) = parse_interval(&text) {
                let mut out = Vec::new();
                write_interval(&mut out, interval);
                let whole = IntervalMonthDayNano { nanoseconds: interval.nanoseconds / 1000 * 1000, ..interval };
                proptest::prop_assert_eq!(parse_interval(&String::from_utf8(out).unwrap()), Some(whole));
            }
        }
    }

    #[test]
    fn intervals_are_written_and_read() {
        for (text, months, days, micros) in [
            ("00:00:00", 0, 0, 0),
            ("1 year 2 mons 3 days 04:05:06", 14, 3, 14_706_000_000_i64),
            ("1 mon", 1, 0, 0),
            ("-1 days +00:00:01.5", 0, -1, 1_500_000),
            ("-00:00:00.000001", 0, 0, -1),
            ("100:00:00", 0, 0, 360_000_000_000),
        ] {
            let interval = IntervalMonthDayNano { months, days, nanoseconds: micros * 1000 };
            let mut out = Vec::new();
            write_interval(&mut out, interval);
            assert_eq!(String::from_utf8(out).unwrap(), text);
            assert_eq!(parse_interval(text), Some(interval), "{text}");
        }
        for (text, months, days, seconds) in [
            ("1.5 hours ago", 0, 0, -5400),
            ("5m", 0, 0, 300),
            ("P1Y2DT3H", 12, 2, 10_800),
            ("1 week 90 min", 0, 7, 5400),
            ("1.5 years", 18, 0, 0),
            ("0.33 years", 4, 0, 0),
            ("1.5 months", 1, 15, 0),
            ("1.25 days", 0, 1, 21_600),
            ("1 day 02:00:00", 0, 1, 7200),
            ("-1 day +02:03", 0, -1, 7380),
            ("1-2", 14, 0, 0),
            ("1 2:03", 0, 1, 7380),
            ("1 Hour AGO", 0, 0, -3600),
            ("@ 1 minute", 0, 0, 60),
            ("1 days 7200.000000 seconds", 0, 1, 7200),
            ("30", 0, 0, 30),
        ] {
            let interval = IntervalMonthDayNano { months, days, nanoseconds: seconds * SECOND };
            assert_eq!(parse_interval(text), Some(interval), "{text}");
        }
        for wrong in ["", "1 fortnight", "P", "a", "1:2:3:4", "PT1D", "P1", "99999999999 years", "1::2"] {
            assert_eq!(parse_interval(wrong), None, "{wrong}");
        }
    }
}
