//! Dates and times from text, as PostgreSQL reads them.

use chrono::Utc;

use super::{
    DAY_MICROS, Zone,
    fields::{Fields, Word},
};
use crate::error::SqlError;

const DAY_NANOS: i64 = DAY_MICROS * 1000;

/// Why a text is no date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is none. PostgreSQL's code is 22007.
    Syntax,
    /// It has the form of one that there is not, or that is too far. 22008.
    Range,
    /// It names a zone that there is not. 22023.
    Zone,
}

impl Wrong {
    /// The error that a text is no value of a type.
    #[must_use]
    pub fn error(self, text: &str, type_name: &str) -> SqlError {
        let short: String = text.chars().take(100).collect();
        match self {
            Self::Syntax => SqlError::new(b"22007", format!("invalid input syntax for type {type_name}: \"{short}\"")),
            Self::Range => SqlError::new(b"22008", format!("date/time field value out of range: \"{short}\"")),
            Self::Zone => SqlError::new(b"22023", format!("time zone not recognized: \"{short}\"")),
        }
    }
}

/// Days since 1970 and nanoseconds since midnight that a text says without a zone, or one of the ends of time.
enum Said {
    Local(i64, i64),
    Ever,
    Never,
}

fn said(fields: &Fields, zone: &Zone) -> Result<Said, Wrong> {
    let now = || {
        let now = Utc::now();
        let local = now.timestamp_micros() + zone.offset_at(now.timestamp()) * 1_000_000;
        (local.div_euclid(DAY_MICROS), local.rem_euclid(DAY_MICROS) * 1000)
    };
    let alone = fields.date.is_none() && fields.clock.is_none();
    match fields.word {
        Some(Word::Infinity) if alone => Ok(Said::Ever),
        Some(Word::MinusInfinity) if alone => Ok(Said::Never),
        Some(Word::Now) if alone => {
            let (day, clock) = now();
            Ok(Said::Local(day, clock))
        }
        Some(Word::Day(days)) if fields.date.is_none() => Ok(Said::Local(now().0 + days, fields.clock.unwrap_or(0))),
        Some(_) => Err(Wrong::Syntax),
        None => Ok(Said::Local(fields.date.ok_or(Wrong::Syntax)?, fields.clock.unwrap_or(0))),
    }
}

fn micros(nanos: i64) -> i64 {
    (nanos + 500).div_euclid(1000)
}

/// Reads a moment in nanoseconds since 1970, as wide as needed. A text without an offset means the clocks of `zone`.
fn moment(text: &str, zone: &Zone) -> Result<Option<i128>, Wrong> {
    let fields = Fields::parse(text)?;
    if fields.word == Some(Word::Epoch) && fields.date.is_none() && fields.clock.is_none() {
        return Ok(Some(0));
    }
    let (day, clock) = match said(&fields, zone)? {
        Said::Local(day, clock) => (day, clock),
        Said::Ever => return Ok(None),
        Said::Never => return Ok(Some(i128::MIN)),
    };
    let local = i128::from(day) * i128::from(DAY_NANOS) + i128::from(clock);
    let seconds = i64::try_from(local.div_euclid(1_000_000_000)).map_err(|_| Wrong::Range)?;
    let offset = fields.zone.as_ref().unwrap_or(zone).offset_of_local(seconds);
    Ok(Some(local - i128::from(offset) * 1_000_000_000))
}

/// Reads a moment in microseconds since 1970; infinity is the ends of the range. A text without an offset means the clocks
/// of `zone`.
///
/// # Errors
/// When the text is no moment.
pub fn parse_moment(text: &str, zone: &Zone) -> Result<i64, Wrong> {
    match moment(text, zone)? {
        None => Ok(i64::MAX),
        Some(i128::MIN) => Ok(i64::MIN),
        Some(nanos) => i64::try_from((nanos + 500).div_euclid(1000)).map_err(|_| Wrong::Range),
    }
}

/// Reads a moment in nanoseconds since 1970.
pub(crate) fn parse_moment_nanos(text: &str, zone: &Zone) -> Result<i64, Wrong> {
    let nanos = moment(text, zone)?.ok_or(Wrong::Range)?;
    i64::try_from(nanos).map_err(|_| Wrong::Range)
}

/// Reads what a clock shows, in microseconds since 1970-01-01 00:00 on it; infinity is the ends of the range. An offset does
/// not count. `zone` is that of `now` and `today`.
///
/// # Errors
/// When the text is no time.
pub fn parse_timestamp(text: &str, zone: &Zone) -> Result<i64, Wrong> {
    let fields = Fields::parse(text)?;
    if fields.word == Some(Word::Epoch) && fields.date.is_none() && fields.clock.is_none() {
        return Ok(0);
    }
    match said(&fields, zone)? {
        Said::Ever => Ok(i64::MAX),
        Said::Never => Ok(i64::MIN),
        Said::Local(day, clock) => {
            let day = day.checked_mul(DAY_MICROS).ok_or(Wrong::Range)?;
            day.checked_add(micros(clock)).ok_or(Wrong::Range)
        }
    }
}

/// Reads a date: days since 1970; infinity is the ends of the range.
///
/// # Errors
/// When the text is no date.
pub fn parse_date(text: &str, zone: &Zone) -> Result<i32, Wrong> {
    match parse_timestamp(text, zone)? {
        i64::MAX => Ok(i32::MAX),
        i64::MIN => Ok(i32::MIN),
        micros => i32::try_from(micros.div_euclid(DAY_MICROS)).map_err(|_| Wrong::Range),
    }
}

/// Reads a time of day in microseconds; 24:00:00 is one.
///
/// # Errors
/// When the text is none.
pub fn parse_time(text: &str) -> Result<i64, Wrong> {
    let fields = Fields::parse(text)?;
    if fields.word.is_some() {
        return Err(Wrong::Syntax);
    }
    Ok(micros(fields.clock.ok_or(Wrong::Syntax)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{write_date, write_timestamp};

    fn shown(micros: i64, zone: Option<&Zone>) -> String {
        let mut out = Vec::new();
        write_timestamp(&mut out, micros, zone);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn moments_are_written_and_read_as_postgresql_does() {
        let utc = Zone::UTC;
        let half = Zone::parse("-03:30").unwrap();
        for (text, micros) in [
            ("1970-01-01 00:00:00+00", 0),
            ("2026-02-28 23:59:59.999999+00", 1_772_323_199_999_999),
            ("1969-12-31 23:59:59.5+00", -500_000),
            ("0044-03-15 00:00:00+00 BC", -63_517_824_000_000_000),
            ("infinity", i64::MAX),
            ("-infinity", i64::MIN),
        ] {
            assert_eq!(shown(micros, Some(&utc)), text);
            assert_eq!(parse_moment(text, &utc), Ok(micros), "{text}");
        }
        assert_eq!(shown(0, Some(&half)), "1969-12-31 20:30:00-03:30");
        assert_eq!(shown(1_500_000, None), "1970-01-01 00:00:01.5");
        assert_eq!(parse_moment("1970-01-01", &half), Ok(12_600_000_000));
        for same in [
            "1970-01-01T02:00:00+02:00",
            "1970-01-01 02:00+0200",
            "1969-12-31 19:00:00-05",
            "1970-01-01T00:00Z",
            "1970-01-01 00:00 UTC",
            "1970-01-01 01:00 CET",
            "1970-01-01 01:00 Europe/Paris",
            "1970-01-01 02:00 GMT-2",
            "1970-01-01 12:00 AM",
            "Thu Jan 1 00:00:00 1970",
            "January 1, 1970",
            "1 Jan 1970 00:00",
            "01-Jan-1970",
            "1/1/1970",
            "1/1/70 00:00",
            "19700101T000000",
            "19700101 0000Z",
            "1970.01.01",
            "1969-12-31 24:00:00",
            "1969-12-31 23:59:60",
            "epoch",
        ] {
            assert_eq!(parse_moment(same, &utc), Ok(0), "{same}");
        }
        // Without a zone the offset does not count.
        assert_eq!(parse_timestamp("1970-01-01 00:00:00+05", &utc), Ok(0));
        assert_eq!(parse_moment_nanos("1970-01-01 00:00:00.123456789", &utc), Ok(123_456_789));
        assert_eq!(parse_moment("1970-01-01 00:00:00.123456789", &utc), Ok(123_457));
        assert_eq!(parse_moment("2026-07-01 02:00 PM", &utc), Ok(1_782_914_400_000_000));
        assert_eq!(parse_date("today", &utc).map(|day| day + 1), parse_date("tomorrow", &utc));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for (wrong, why) in [
            ("", Wrong::Syntax),
            ("2026", Wrong::Syntax),
            ("2026-01", Wrong::Syntax),
            ("12:00", Wrong::Syntax),
            ("2026-01-01 1", Wrong::Syntax),
            ("2026-01-01 2026-01-02", Wrong::Syntax),
            ("2026-01-01 12:00 13:00", Wrong::Syntax),
            ("2026-01-01 12:00+01+02", Wrong::Syntax),
            ("now now", Wrong::Syntax),
            ("2026-02-30", Wrong::Range),
            ("2026-13-01", Wrong::Range),
            ("2026-01-01 25:00", Wrong::Range),
            ("2026-01-01 13:00 PM", Wrong::Range),
            ("0000-01-01", Wrong::Range),
            ("999999999-01-01", Wrong::Range),
            ("2026-01-01 00:00 PST8X", Wrong::Zone),
            ("2026-01-01 00:00 Mars/Base", Wrong::Zone),
        ] {
            assert_eq!(parse_moment(wrong, &Zone::UTC), Err(why), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[0-9TZ:./ +-]{0,30}( BC| AM| PM)?|.{0,20}|([0-9]{1,4}[ ,/-]?|Jan |sun |utc|[+:-]){0,9}") {
            let zone = Zone::parse("+05:30").unwrap();
            if let Ok(micros) = parse_moment(&text, &zone) {
                proptest::prop_assert_eq!(parse_moment(&shown(micros, Some(&zone)), &zone), Ok(micros));
            }
            let _ = (parse_date(&text, &zone), parse_time(&text));
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_read_as_it_is_written() {
        for days in (-719_162..720_000).step_by(17) {
            let mut out = Vec::new();
            write_date(&mut out, days);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(parse_date(&text, &Zone::UTC), Ok(days), "{text}");
        }
        assert_eq!(parse_time("24:00:00"), Ok(DAY_MICROS));
        assert_eq!(parse_time("12:34:56.7891234"), Ok(45_296_789_123));
        assert_eq!(parse_time("04:05 PM"), Ok(57_900_000_000));
        for wrong in ["24:00:01", "1", "1:60", "a:b", "1:2:3:4", "-1:00"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
