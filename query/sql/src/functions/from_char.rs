//! to_timestamp and to_date: times from texts by PostgreSQL's patterns.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Date32Array, StringViewArray},
    compute::cast,
    datatypes::{DataType, TimeUnit},
};
use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use datafusion::{
    common::{Result, not_impl_err},
    logical_expr::ScalarUDF,
};

use super::{
    datetime::column,
    scalar::{Arg, Call, Scalar, Shape, exactly, with},
    time_texts::Zones,
    to_char::{MONTHS, PATTERNS},
};
use crate::{
    clock::{Zone, out_of_range},
    error::SqlError,
    types::UTC,
};

const TIMESTAMP: &[Shape] = &[with(&[Arg::Text, Arg::Text], &[Arg::Text])];
const DATE: &[Shape] = &[exactly(&[Arg::Text, Arg::Text])];

/// What a call of `to_timestamp` or `to_date` with a pattern is planned as.
pub(super) fn renamed(function: &str, args: usize) -> Option<&'static str> {
    match (function, args) {
        ("to_timestamp", 2) => Some(TO_TIMESTAMP),
        ("to_date", 2) => Some("date_of_pattern"),
        _ => None,
    }
}

pub(super) const TO_TIMESTAMP: &str = "timestamp_of_pattern";

/// The functions, which no statement calls by these names.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    vec![to_timestamp().udf(), Scalar::new("date_of_pattern", DATE, |_| Ok(DataType::Date32), to_date).udf()]
}

/// A moment by a pattern, in the zone of a third argument.
pub(super) const fn to_timestamp() -> Scalar {
    let returns = |_: &[DataType]| Ok(DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())));
    Scalar::new(TO_TIMESTAMP, TIMESTAMP, returns, moments)
}

fn moments(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, patterns) = (call.text(0)?, call.text(1)?);
    let zones = if call.len() > 2 { call.text(2)? } else { StringViewArray::from_iter_values(vec![UTC; call.rows]) };
    let mut zones = Zones::new(&zones);
    let row = |(row, (text, pattern)): (usize, (Option<&str>, Option<&str>))| {
        let Some(((text, pattern), zone)) = text.zip(pattern).zip(zones.of(row)?) else { return Ok(None) };
        let read = Reading::of(text, pattern)?;
        let local = read.time(text)?;
        let utc = match read.offset {
            Some(seconds) => local.checked_sub_signed(TimeDelta::seconds(seconds)),
            None => read.zone.unwrap_or(zone).utc(local),
        };
        utc.ok_or_else(out_of_range).map(Some)
    };
    column(texts.iter().zip(&patterns).enumerate().map(row), call.returns)
}

fn to_date(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, patterns) = (call.text(0)?, call.text(1)?);
    let row = |(text, pattern): (Option<&str>, Option<&str>)| {
        let Some((text, pattern)) = text.zip(pattern) else { return Ok(None) };
        let day = Reading::of(text, pattern)?.time(text)?.date().signed_duration_since(NaiveDate::default()).num_days();
        i32::try_from(day).map(Some).map_err(|_| out_of_range())
    };
    let days = texts.iter().zip(&patterns).map(row).collect::<Result<Date32Array>>()?;
    Ok(cast(&(Arc::new(days) as ArrayRef), call.returns)?)
}

/// What was read of a text.
#[derive(Debug, Default)]
struct Reading {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    julian: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    day_seconds: Option<i64>,
    afternoon: Option<bool>,
    /// Hours of a clock of twelve.
    hour12: Option<i64>,
    offset: Option<i64>,
    zone: Option<Zone>,
}

fn invalid(text: &str, name: &str) -> datafusion::common::DataFusionError {
    let short: String = text.chars().take(20).collect();
    SqlError::new(b"22007", format!("invalid value \"{short}\" for \"{name}\"")).into()
}

impl Reading {
    /// Reads a text by a pattern.
    fn of(text: &str, pattern: &str) -> Result<Self> {
        let mut reading = Self::default();
        let (mut text, mut rest) = (text, pattern);
        let upper = pattern.to_ascii_uppercase();
        while let Some(first) = rest.chars().next() {
            let at = pattern.len() - rest.len();
            if let Some(quoted) = rest.strip_prefix('"') {
                let (literal, after) = quoted.split_once('"').unwrap_or((quoted, ""));
                // Characters in quotes are skipped, whatever they are.
                text = literal.chars().fold(text, |text, _| skip_one(text));
                rest = after;
            } else if upper[at..].starts_with("FM") || upper[at..].starts_with("FX") {
                rest = &rest[2..];
            } else if let Some(name) =
                PATTERNS.into_iter().find(|name| upper[at..].starts_with(&name.to_ascii_uppercase()))
            {
                rest = &rest[name.len()..];
                for suffix in ["TH", "th"] {
                    rest = rest.strip_prefix(suffix).unwrap_or(rest);
                }
                text = text.trim_start();
                let goes_on = rest.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
                text = reading.field(&name.to_ascii_uppercase(), text, goes_on)?;
            } else if first.is_ascii_alphanumeric() {
                text = skip_one(text);
                rest = &rest[first.len_utf8()..];
            } else {
                // A separator stands for any, or none; a sign before digits may belong to them.
                rest = &rest[first.len_utf8()..];
                text = match text.chars().next() {
                    Some(c) if c.is_whitespace() => text.trim_start(),
                    Some('+' | '-') if rest.starts_with("TZ") || rest.starts_with("OF") => text,
                    Some(c) if !c.is_alphanumeric() => &text[c.len_utf8()..],
                    _ => text,
                };
            }
        }
        Ok(reading)
    }

    /// Reads one field, before another one that follows at once if `goes_on`; returns what is left of the text.
    fn field<'t>(&mut self, name: &str, text: &'t str, goes_on: bool) -> Result<&'t str> {
        let mut rest = text;
        let mut number = |most: usize| {
            let width = if goes_on { most } else { 18 };
            let len = rest.bytes().take(width).take_while(u8::is_ascii_digit).count();
            let value = rest[..len].parse::<i64>().map_err(|_| invalid(text, name));
            rest = &rest[len..];
            value.map(|value| (value, len))
        };
        match name {
            "YYYY" => self.year = Some(number(4)?.0),
            "YYY" | "YY" => {
                let (value, len) = number(name.len())?;
                self.year = Some(match value {
                    value if len > 2 => value + if value < 520 { 2000 } else { 1000 },
                    value if value < 70 => value + 2000,
                    value => value + 1900,
                });
            }
            "MM" => self.month = Some(number(2)?.0),
            "DD" => self.day = Some(number(2)?.0),
            "DDD" => self.day_of_year = Some(number(3)?.0),
            "J" => self.julian = Some(number(18)?.0),
            "HH24" => self.hour = number(2)?.0,
            "HH12" | "HH" => self.hour12 = Some(number(2)?.0),
            "MI" => self.minute = number(2)?.0,
            "SS" => self.second = number(2)?.0,
            "SSSS" | "SSSSS" => self.day_seconds = Some(number(5)?.0),
            "MS" | "FF3" | "US" | "FF6" => {
                let digits = if matches!(name, "MS" | "FF3") { 3 } else { 6 };
                let len = rest.bytes().take(if goes_on { digits } else { 18 }).take_while(u8::is_ascii_digit).count();
                let taken = &rest[..len.min(6)];
                let value: i64 = taken.parse().map_err(|_| invalid(text, name))?;
                self.micros = value * 10_i64.pow(6 - taken.len() as u32);
                rest = &rest[len..];
            }
            "MON" | "MONTH" => {
                let lower = rest.to_ascii_lowercase();
                let is_named = |month: &&str| {
                    let whole = lower.starts_with(&month.to_ascii_lowercase());
                    if name == "MON" { lower.starts_with(&month[..3].to_ascii_lowercase()) } else { whole }
                };
                let at = MONTHS.iter().position(is_named).ok_or_else(|| invalid(text, name))?;
                self.month = Some(at as i64 + 1);
                rest = &rest[if name == "MON" { 3 } else { MONTHS[at].len() }..];
            }
            "DAY" | "DY" => rest = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()),
            "AM" | "PM" | "A.M." | "P.M." => rest = self.half(name, rest)?,
            "OF" | "TZH" => {
                let len =
                    1 + rest.get(1..).map_or(0, |t| t.bytes().take_while(|b| b.is_ascii_digit() || *b == b':').count());
                let offset = rest.get(..len).and_then(Zone::offset_of).ok_or_else(|| invalid(text, name))?;
                self.offset = Some(offset);
                rest = &rest[len..];
            }
            "TZ" => {
                let len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"/_+-:".contains(b)).count();
                self.zone = Some(Zone::named(&rest[..len]).ok_or_else(|| invalid(text, name))?);
                rest = &rest[len..];
            }
            "D" | "ID" | "W" | "WW" | "Q" | "CC" => {
                number(2)?;
            }
            other => return not_impl_err!("the pattern {other} in to_timestamp and to_date"),
        }
        Ok(rest)
    }

    /// Reads the half of a day.
    fn half<'t>(&mut self, name: &str, text: &'t str) -> Result<&'t str> {
        let half = text.get(..name.len()).unwrap_or_default().to_ascii_uppercase().replace('.', "");
        self.afternoon = Some(match half.as_str() {
            "AM" => false,
            "PM" => true,
            _ => return Err(invalid(text, name)),
        });
        Ok(&text[name.len()..])
    }

    /// The date and clock that were read.
    fn time(&self, text: &str) -> Result<NaiveDateTime> {
        self.checked_time().ok_or_else(|| {
            let short: String = text.chars().take(100).collect();
            SqlError::new(b"22008", format!("date/time field value out of range: \"{short}\"")).into()
        })
    }

    fn checked_time(&self) -> Option<NaiveDateTime> {
        let small = |value: i64| u32::try_from(value).ok();
        let year = i32::try_from(self.year.unwrap_or(1)).ok()?;
        let date = match (self.julian, self.day_of_year) {
            (Some(julian), _) => NaiveDate::from_num_days_from_ce_opt(i32::try_from(julian - 1_721_425).ok()?)?,
            (None, Some(day)) => NaiveDate::from_yo_opt(year, small(day)?)?,
            (None, None) => {
                NaiveDate::from_ymd_opt(year, small(self.month.unwrap_or(1))?, small(self.day.unwrap_or(1))?)?
            }
        };
        if let Some(seconds) = self.day_seconds {
            return date.and_hms_opt(0, 0, 0)?.checked_add_signed(TimeDelta::try_seconds(seconds)?);
        }
        let hour = match (self.hour12, self.afternoon) {
            (Some(hour), _) if !(1..=12).contains(&hour) => return None,
            (Some(hour), Some(afternoon)) => hour % 12 + if afternoon { 12 } else { 0 },
            (Some(hour), None) => hour,
            (None, _) => self.hour,
        };
        // 24:00 and a second of 60 are the next ones.
        if hour > 24 || self.minute > 59 || self.second > 60 {
            return None;
        }
        let seconds = (hour * 60 + self.minute) * 60 + self.second;
        let time = date.and_hms_opt(0, 0, 0)?.checked_add_signed(TimeDelta::seconds(seconds))?;
        time.checked_add_signed(TimeDelta::microseconds(self.micros))
    }
}

fn skip_one(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}
