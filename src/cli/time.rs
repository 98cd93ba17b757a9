//! Moments and durations as people type them, and how they are shown.

use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::Deserialize;

/// The units of a duration in milliseconds, the longest first.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A duration: `15d`, `1h30m`, `500ms`, or a bare number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HumanDuration(pub(crate) Duration);

impl HumanDuration {
    /// The duration in milliseconds.
    pub(crate) fn as_millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(seconds) = text.parse::<f64>()
            && let Ok(duration) = Duration::try_from_secs_f64(seconds)
        {
            return Ok(Self(duration));
        }
        let ms = parse_units(text)
            .ok_or_else(|| format!("{text:?} is no duration: write it as 15d, 1h30m, 500ms, or a number of seconds"))?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, ms) in UNITS {
            // Years and weeks are shown only when nothing else is left, as Prometheus does.
            if rest >= ms && (!matches!(unit, "y" | "w") || rest % ms == 0) {
                write!(f, "{}{unit}", rest / ms)?;
                rest %= ms;
            }
        }
        Ok(())
    }
}

/// Reads numbers with units, each unit at most once and the longest first.
fn parse_units(text: &str) -> Option<u64> {
    let (mut rest, mut units, mut total) = (text, UNITS.as_slice(), 0u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit_len = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = rest.get(..unit_len)?;
        rest = rest.get(unit_len..)?;
        let at = units.iter().position(|(name, _)| *name == unit)?;
        let (_, ms) = units.get(at)?;
        units = units.get(at + 1..)?;
        total = total.checked_add(number.checked_mul(*ms)?)?;
    }
    (!text.is_empty()).then_some(total)
}

/// A moment as it is typed: RFC 3339, unix seconds, `now`, or relative to now such as `-1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeSpec {
    /// Milliseconds since the Unix epoch.
    At(i64),
    /// Milliseconds after now; negative for before.
    FromNow(i64),
}

impl TimeSpec {
    /// The moment, in milliseconds since the Unix epoch.
    pub(crate) const fn resolve(self, now_ms: i64) -> i64 {
        match self {
            Self::At(ms) => ms,
            Self::FromNow(ms) => now_ms.saturating_add(ms),
        }
    }
}

impl FromStr for TimeSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let relative = text.strip_prefix("now").unwrap_or(text);
        if relative.is_empty() && !text.is_empty() {
            return Ok(Self::FromNow(0));
        }
        let bad = || {
            format!(
                "{text:?} is no time: write it as 2026-01-31T23:59:59Z, unix seconds such as 1769903999, now, or -1h"
            )
        };
        for (sign, factor) in [('-', -1), ('+', 1)] {
            if let Some(duration) = relative.strip_prefix(sign) {
                let ms = parse_units(duration).and_then(|ms| i64::try_from(ms).ok());
                return ms.map(|ms| Self::FromNow(factor * ms)).ok_or_else(bad);
            }
        }
        if let Ok(seconds) = text.parse::<f64>() {
            let ms = (seconds * 1_000.0).round();
            // Everything below is exact enough and inside i64.
            return if ms.abs() < 9e18 { Ok(Self::At(ms as i64)) } else { Err(bad()) };
        }
        text.parse::<Timestamp>().map(|t| Self::At(t.as_millisecond())).map_err(|_| bad())
    }
}

/// The wall clock in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// A moment in RFC 3339, in UTC; the bare number when no calendar has it.
pub(crate) fn format_time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms}ms"), |t| t.to_string())
}

/// A moment as clock time for an axis: as much as tells the ticks of a span apart.
pub(crate) fn format_tick(ms: i64, span_ms: i64) -> String {
    let pattern = match span_ms {
        ..120_000 => "%H:%M:%S",
        120_000..86_400_000 => "%H:%M",
        86_400_000..864_000_000 => "%m-%d %H:%M",
        _ => "%Y-%m-%d",
    };
    Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms}ms"), |t| t.strftime(pattern).to_string())
}

/// Milliseconds as Prometheus' API takes a time: seconds with three decimals.
pub(crate) fn api_time(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{:03}", ms / 1_000, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_what_they_print() {
        for text in ["15d", "1h30m", "500ms", "1d2h3m4s5ms", "2w", "1y", "0s"] {
            assert_eq!(text.parse::<HumanDuration>().unwrap().to_string(), text);
        }
        assert_eq!("90".parse::<HumanDuration>().unwrap().to_string(), "1m30s");
        assert_eq!("0.25".parse::<HumanDuration>().unwrap().to_string(), "250ms");
        assert_eq!("8d".parse::<HumanDuration>().unwrap().to_string(), "8d");
        for text in ["", "h", "1x", "1m1h", "1m1m", "-1h", "99999999999999999999s", "NaN"] {
            assert!(text.parse::<HumanDuration>().unwrap_err().contains("is no duration"), "{text}");
        }
    }

    #[test]
    fn times_are_absolute_or_relative() {
        let now = 1_000_000;
        let at = |text: &str| text.parse::<TimeSpec>().map(|t| t.resolve(now));
        assert_eq!(at("now"), Ok(now));
        assert_eq!(at("-5m"), Ok(now - 300_000));
        assert_eq!(at("now-5m"), Ok(now - 300_000));
        assert_eq!(at("+1s"), Ok(now + 1_000));
        assert_eq!(at("1769903999.5"), Ok(1_769_903_999_500));
        assert_eq!(at("1970-01-01T00:01:00Z"), Ok(60_000));
        assert_eq!(at("1970-01-01T01:00:00.25+01:00"), Ok(250));
        for text in ["", "yesterday", "-", "-1", "1e300", "NaN", "2026-13-01T00:00:00Z"] {
            assert!(at(text).unwrap_err().contains("is no time"), "{text}");
        }
    }

    #[test]
    fn shows_moments() {
        assert_eq!(format_time(1_769_903_999_500), "2026-01-31T23:59:59.5Z");
        assert_eq!(format_time(i64::MAX), "9223372036854775807ms");
        assert_eq!(format_tick(60_000, 3_600_000), "00:01");
        assert_eq!(api_time(-1_500), "-1.500");
        assert_eq!(api_time(1_769_903_999_050), "1769903999.050");
    }
}
