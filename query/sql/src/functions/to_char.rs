//! to_char with PostgreSQL's patterns for times, and the common ones for numbers.

use std::{fmt::Write, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, StringViewArray},
    datatypes::{DataType, IntervalMonthDayNano},
};
use chrono::{Datelike, NaiveDateTime, Timelike};
use datafusion::{
    common::{Result, ScalarValue, not_impl_err},
    logical_expr::ScalarUDF,
};

use super::{
    datetime::naive,
    scalar::{Arg, Call, Scalar, Shape, exactly},
    time_texts,
};
use crate::clock::{self, out_of_range};

const SHAPES: &[Shape] =
    &[exactly(&[Arg::Float, Arg::Text]), exactly(&[Arg::Span, Arg::Text]), exactly(&[Arg::Time, Arg::Text])];
const ZONED: &[Shape] = &[exactly(&[Arg::Time, Arg::Text, Arg::Text])];

/// The function.
pub(super) fn scalar() -> ScalarUDF {
    Scalar::new("to_char", SHAPES, |_| Ok(DataType::Utf8View), eval).udf()
}

/// The function in the zone of a third argument, which no statement calls by this name.
pub(super) const fn zoned() -> Scalar {
    Scalar::new("to_char_in_zone", ZONED, |_| Ok(DataType::Utf8View), eval)
}

fn eval(call: &Call<'_>) -> Result<ArrayRef> {
    let (values, patterns) = (call.array(0)?, call.text(1)?);
    if values.data_type() == &DataType::Float64 {
        let numbers = call.float(0)?;
        let row = |(number, pattern): (Option<f64>, Option<&str>)| {
            number.zip(pattern).map(|(number, pattern)| of_number(number, pattern)).transpose()
        };
        return Ok(Arc::new(numbers.iter().zip(&patterns).map(row).collect::<Result<StringViewArray>>()?));
    }
    if matches!(values.data_type(), DataType::Interval(_) | DataType::Duration(_)) {
        let spans = clock::spans(&values)?;
        let row = |(span, pattern): (Option<IntervalMonthDayNano>, Option<&str>)| {
            let Some((span, pattern)) = span.zip(pattern) else { return Ok(None) };
            by_pattern(pattern, |name, fill, out| field_of_span(span, name, fill, out)).map(Some)
        };
        return Ok(Arc::new(spans.iter().zip(&patterns).map(row).collect::<Result<StringViewArray>>()?));
    }
    let zone = match call.constant(2) {
        Some(ScalarValue::Utf8View(Some(zone))) => Some(time_texts::known(zone)?),
        _ => None,
    };
    let row = |(time, pattern): (Option<NaiveDateTime>, Option<&str>)| {
        let Some((time, pattern)) = time.zip(pattern) else { return Ok(None) };
        let clock = match zone {
            Some(zone) => {
                let (name, seconds) = zone.offset(time);
                Clock { time: zone.local(time).ok_or_else(out_of_range)?, zone: name, offset: seconds }
            }
            None => Clock { time, zone: "UTC".to_owned(), offset: 0 },
        };
        by_pattern(pattern, |name, fill, out| field(&clock, name, fill, out)).map(Some)
    };
    Ok(Arc::new(naive(&values)?.into_iter().zip(&patterns).map(row).collect::<Result<StringViewArray>>()?))
}

/// What is to be written: a date and clock, and the zone that they are of.
struct Clock {
    time: NaiveDateTime,
    /// The zone's short name.
    zone: String,
    /// Seconds before UTC.
    offset: i32,
}

impl Clock {
    /// The offset as `+02` or, with minutes where there are some, `+05:30`.
    fn offset(&self, minutes: bool) -> String {
        let (sign, minute) = (if self.offset < 0 { '-' } else { '+' }, self.offset.unsigned_abs() / 60);
        match minute % 60 {
            part if minutes && part > 0 => format!("{sign}{:02}:{part:02}", minute / 60),
            _ => format!("{sign}{:02}", minute / 60),
        }
    }
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// The patterns, the longer ones before those that they begin with.
pub(super) const PATTERNS: [&str; 52] = [
    "YYYY", "IYYY", "Y,YYY", "YYY", "IYY", "YY", "IY", "MONTH", "Month", "month", "MON", "Mon", "mon", "MM", "MI",
    "MS", "HH24", "HH12", "HH", "DDD", "IDDD", "DD", "DAY", "Day", "day", "DY", "Dy", "dy", "ID", "D", "SSSSS", "SSSS",
    "SS", "US", "FF3", "FF6", "AM", "PM", "am", "pm", "A.M.", "P.M.", "IW", "WW", "W", "Q", "CC", "J", "RM", "TZH",
    "TZ", "OF",
];

/// What a pattern makes of fields, which are written by their names, filled up to their widths or not.
fn by_pattern(pattern: &str, field: impl Fn(&str, bool, &mut String) -> Result<()>) -> Result<String> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut fill = true;
    while let Some(c) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            out.push_str(text);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("FM") {
            fill = false;
            rest = after;
        } else if let Some(name) = PATTERNS.into_iter().find(|name| rest.starts_with(name)) {
            rest = &rest[name.len()..];
            let mut ordinal = None;
            for suffix in ["TH", "th"] {
                if let Some(after) = rest.strip_prefix(suffix) {
                    (ordinal, rest) = (Some(suffix), after);
                    break;
                }
            }
            let start = out.len();
            field(name, fill, &mut out)?;
            if let Some(suffix) = ordinal {
                let ending = ordinal_of(&out[start..]);
                out.push_str(&if suffix == "TH" { ending.to_uppercase() } else { ending.to_owned() });
            }
            fill = true;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    Ok(out)
}

fn ordinal_of(digits: &str) -> &'static str {
    let teen = digits.len() > 1 && digits[..digits.len() - 1].ends_with('1');
    match digits.chars().last() {
        Some('1') if !teen => "st",
        Some('2') if !teen => "nd",
        Some('3') if !teen => "rd",
        _ => "th",
    }
}

/// A field of a time that is a word of one width.
fn word(clock: &Clock, name: &str, cased: impl Fn(&str) -> String) -> Option<String> {
    let time = clock.time;
    let half = |before: &str, after: &str| if time.hour() < 12 { before.to_owned() } else { after.to_owned() };
    Some(match name {
        "MON" | "Mon" | "mon" => cased(&MONTHS[time.month0() as usize][..3]),
        "DY" | "Dy" | "dy" => cased(&DAYS[time.weekday().num_days_from_sunday() as usize][..3]),
        "AM" | "PM" => half("AM", "PM"),
        "am" | "pm" => half("am", "pm"),
        "A.M." | "P.M." => half("A.M.", "P.M."),
        "TZ" => clock.zone.clone(),
        "TZH" => clock.offset(false),
        "OF" => clock.offset(true),
        _ => return None,
    })
}

/// Writes one field of an interval, whose hours are not of a day.
fn field_of_span(span: IntervalMonthDayNano, name: &str, fill: bool, out: &mut String) -> Result<()> {
    let seconds = span.nanoseconds / 1_000_000_000;
    let micros = span.nanoseconds / 1000 % 1_000_000;
    let (value, width) = match name {
        "YYYY" => (i64::from(span.months / 12), 4),
        "YYY" => (i64::from(span.months / 12), 3),
        "YY" => (i64::from(span.months / 12), 2),
        "MM" => (i64::from(span.months % 12), 2),
        "DD" => (i64::from(span.days), 2),
        "HH24" => (seconds / 3600, 2),
        "HH12" | "HH" => (seconds / 3600 % 12, 2),
        "MI" => (seconds / 60 % 60, 2),
        "SS" => (seconds % 60, 2),
        "MS" | "FF3" => (micros / 1000, 3),
        "US" | "FF6" => (micros, 6),
        "SSSS" | "SSSSS" => (seconds, 1),
        other => return not_impl_err!("the pattern {other} in to_char of an interval"),
    };
    // The sign stands before the digits that are asked for.
    let width = if value < 0 { width + 1 } else { width };
    let _ = if fill { write!(out, "{value:0width$}") } else { write!(out, "{value}") };
    Ok(())
}

/// Writes one field of a time.
fn field(clock: &Clock, name: &str, fill: bool, out: &mut String) -> Result<()> {
    let time = clock.time;
    let (date, week) = (time.date(), time.date().iso_week());
    let month = MONTHS[date.month0() as usize];
    let day = DAYS[date.weekday().num_days_from_sunday() as usize];
    let cased = |text: &str| match name.chars().nth(1) {
        Some(second) if second.is_uppercase() => text.to_uppercase(),
        _ if name.starts_with(char::is_lowercase) => text.to_lowercase(),
        _ => text.to_owned(),
    };
    if let Some(word) = word(clock, name, cased) {
        out.push_str(&word);
        return Ok(());
    }
    let hour12 = (time.hour() + 11) % 12 + 1;
    let (year, isoyear) = (i64::from(date.year()), i64::from(week.year()));
    let (value, width) = match name {
        "YYYY" => (year, 4),
        "IYYY" => (isoyear, 4),
        "Y,YYY" => {
            let _ = write!(out, "{},{:03}", year / 1000, year % 1000);
            return Ok(());
        }
        "YYY" => (year % 1000, 3),
        "IYY" => (isoyear % 1000, 3),
        "YY" => (year % 100, 2),
        "IY" => (isoyear % 100, 2),
        "MONTH" | "Month" | "month" | "DAY" | "Day" | "day" => {
            let text = cased(if name.len() == 5 { month } else { day });
            let _ = if fill { write!(out, "{text:9}") } else { write!(out, "{text}") };
            return Ok(());
        }
        "RM" => {
            let roman = ROMAN[date.month0() as usize];
            let _ = if fill { write!(out, "{roman:4}") } else { write!(out, "{roman}") };
            return Ok(());
        }
        "MM" => (i64::from(date.month()), 2),
        "MI" => (i64::from(time.minute()), 2),
        "MS" | "FF3" => (i64::from(time.nanosecond() / 1_000_000), 3),
        "US" | "FF6" => (i64::from(time.nanosecond() / 1000), 6),
        "HH24" => (i64::from(time.hour()), 2),
        "HH12" | "HH" => (i64::from(hour12), 2),
        "DDD" => (i64::from(date.ordinal()), 3),
        "IDDD" => (i64::from(week.week0()) * 7 + i64::from(date.weekday().number_from_monday()), 3),
        "DD" => (i64::from(date.day()), 2),
        "ID" => (i64::from(date.weekday().number_from_monday()), 1),
        "D" => (i64::from(date.weekday().number_from_sunday()), 1),
        "SSSS" | "SSSSS" => (i64::from(time.num_seconds_from_midnight()), 1),
        "SS" => (i64::from(time.second()), 2),
        "IW" => (i64::from(week.week()), 2),
        "WW" => (i64::from(date.ordinal0() / 7 + 1), 2),
        "W" => (i64::from(date.day0() / 7 + 1), 1),
        "Q" => (i64::from(date.month0() / 3 + 1), 1),
        "CC" => ((year - 1).div_euclid(100) + 1, 2),
        "J" => (i64::from(date.num_days_from_ce()) + 1_721_425, 1),
        other => return not_impl_err!("the pattern {other} in to_char"),
    };
    let _ = if fill { write!(out, "{value:0width$}") } else { write!(out, "{value}") };
    Ok(())
}

/// Numbers by `9`, `0`, `.`, `,`, `FM` and plain text around them.
fn of_number(number: f64, pattern: &str) -> Result<String> {
    let (fill, body) = match pattern.strip_prefix("FM") {
        Some(body) => (false, body),
        None => (true, pattern),
    };
    if let Some(other) = body.chars().find(|c| !matches!(c, '9' | '0' | '.' | ',' | 'D' | 'G' | ' ' | '%' | '$')) {
        return not_impl_err!("{other} in a number pattern of to_char; it has 9 0 . , D G and FM");
    }
    let body = body.replace('D', ".").replace('G', ",");
    let (whole, part) = body.split_once('.').unwrap_or((&body, ""));
    let decimals = part.chars().filter(|c| matches!(c, '9' | '0')).count();
    let written = format!("{:.decimals$}", number.abs());
    let (digits, fraction) = written.split_once('.').unwrap_or((&written, ""));
    let places = whole.chars().filter(|c| matches!(c, '9' | '0')).count();
    let digits = if digits == "0" && places > 0 && !whole.contains('0') && decimals > 0 { "" } else { digits };
    let overflow = !number.is_finite() || digits.len() > places;
    // From the right, so that commas fall where they belong.
    let mut left = digits.chars().rev();
    let mut reversed = String::new();
    let zeros = whole.find('0').map_or(0, |at| whole[at..].chars().filter(|c| matches!(c, '9' | '0')).count());
    let mut placed = 0;
    for c in whole.chars().rev() {
        match c {
            '9' | '0' => {
                placed += 1;
                reversed.push(if overflow {
                    '#'
                } else {
                    left.next().unwrap_or(if placed <= zeros { '0' } else { ' ' })
                });
            }
            ',' => reversed.push(if overflow || left.clone().next().is_some() || placed < zeros { ',' } else { ' ' }),
            other => reversed.push(other),
        }
    }
    let mut text: String = reversed.chars().rev().collect();
    if decimals > 0 {
        let kept = if fill { fraction } else { trimmed(fraction, part) };
        text = format!("{text}.{}", if overflow { "#".repeat(decimals) } else { kept.to_owned() });
    }
    let sign = if number < 0.0 && written.chars().any(|c| matches!(c, '1'..='9')) {
        "-"
    } else if fill {
        " "
    } else {
        ""
    };
    let blank = text.len() - text.trim_start().len();
    let (blanks, rest) = text.split_at(blank);
    Ok(if fill { format!("{blanks}{sign}{rest}") } else { format!("{sign}{}", rest.trim_start()) })
}

/// A fraction without the zeros at its end that the pattern does not ask for.
fn trimmed<'a>(fraction: &'a str, pattern: &str) -> &'a str {
    let asked = pattern.rfind('0').map_or(0, |at| at + 1);
    let used = fraction.trim_end_matches('0').len();
    &fraction[..used.max(asked).min(fraction.len())]
}
