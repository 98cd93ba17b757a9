//! Durations as Prometheus writes them: `1h30m`, `90s`, `0s`; never negative, in milliseconds.

use std::fmt;

const MILLI: u64 = 1;
const SECOND: u64 = 1000 * MILLI;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
const YEAR: u64 = 365 * DAY;

/// The units from large to small: their name, their length, and whether they are printed only when nothing remains
/// (90d is easier to read than 12w6d).
const UNITS: [(&str, u64, bool); 7] = [
    ("y", YEAR, true),
    ("w", WEEK, true),
    ("d", DAY, false),
    ("h", HOUR, false),
    ("m", MINUTE, false),
    ("s", SECOND, false),
    ("ms", MILLI, false),
];

/// The longest duration in milliseconds: what Prometheus counts in 64 bits of nanoseconds, about 292 years.
const MAX_MS: u64 = (i64::MAX / 1_000_000) as u64;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is empty.
    #[error("empty duration string")]
    Empty,
    /// It is not a row of numbers with units, from the largest unit to the smallest.
    #[error("not a valid duration string: {0:?}")]
    Syntax(String),
    /// A unit is none of `y w d h m s ms`.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    Unit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// It is longer than about 292 years.
    #[error("duration out of range")]
    Range,
}

/// Reads a duration such as `5m`, `1h30m` or `0`, in milliseconds.
///
/// # Errors
/// When the text is not a duration or too long a one.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    match text {
        "0" => return Ok(0),
        "" => return Err(DurationError::Empty),
        _ => {}
    }
    let syntax = || DurationError::Syntax(text.to_owned());
    let (mut rest, mut total, mut units) = (text, 0u64, UNITS.iter());
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| syntax())?;
        let unit_len = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        if unit.is_empty() {
            return Err(syntax());
        }
        if !UNITS.iter().any(|(name, ..)| *name == unit) {
            return Err(DurationError::Unit { unit: unit.to_owned(), text: text.to_owned() });
        }
        // The iterator goes on where the unit before stopped: a unit that is not smaller is not found any more.
        let Some((_, length, _)) = units.find(|(name, ..)| *name == unit) else { return Err(syntax()) };
        total = number
            .checked_mul(*length)
            .and_then(|ms| ms.checked_add(total))
            .filter(|ms| *ms <= MAX_MS)
            .ok_or(DurationError::Range)?;
        rest = tail;
    }
    Ok(total.cast_signed())
}

/// A number of milliseconds that displays as Prometheus prints a duration, with a minus before a negative one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millis(pub i64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.0.unsigned_abs();
        for (name, length, exact) in UNITS {
            if rest >= length && (!exact || rest.is_multiple_of(length)) {
                write!(f, "{}{name}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        let good = [
            ("0", 0),
            ("0s", 0),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("324ms", 324),
            ("3s", 3000),
            ("1y1w1d1h1m1s1ms", 32_230_861_001),
            ("292y", 292 * YEAR as i64),
        ];
        for (text, ms) in good {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn refuses_what_prometheus_refuses() {
        assert_eq!(parse(""), Err(DurationError::Empty));
        for text in ["1", "1m1h", "1s1s", "-5m", "m", "5m3", "1.5h", "99999999999999999999s", "5 m"] {
            assert!(
                matches!(parse(text), Err(DurationError::Syntax(_) | DurationError::Unit { .. })),
                "{text}: {:?}",
                parse(text)
            );
        }
        assert_eq!(parse("5q").map_err(|e| e.to_string()), Err(r#"unknown unit "q" in duration "5q""#.to_owned()));
        assert_eq!(parse("300y"), Err(DurationError::Range));
        assert_eq!(parse("18446744073709551615y"), Err(DurationError::Range));
    }

    #[test]
    fn prints_as_prometheus_prints() {
        let texts = [(0, "0s"), (1, "1ms"), (-300_000, "-5m"), (90 * DAY as i64, "90d"), (14 * DAY as i64, "2w")];
        for (ms, text) in texts {
            assert_eq!(Millis(ms).to_string(), text);
        }
        assert_eq!(Millis(YEAR as i64).to_string(), "1y");
        assert_eq!(Millis(YEAR as i64 + 1).to_string(), "365d1ms");
    }

    proptest! {
        #[test]
        fn prints_and_reads_the_same(ms in 0..=MAX_MS as i64) {
            prop_assert_eq!(parse(&Millis(ms).to_string()), Ok(ms));
        }

        #[test]
        fn never_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
