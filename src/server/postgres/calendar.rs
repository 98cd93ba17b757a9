//! Dates and times as PostgreSQL writes and reads them in text.

use std::io::Write as _;

use chronolith_sql::types::interval_text::parse_fraction;
pub(crate) use chronolith_sql::types::interval_text::write_time;
use jiff::{Timestamp, tz::TimeZone};

/// Microseconds of a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;
/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(crate) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * DAY_MICROS;
/// Years that a text may name: beyond them microseconds do not fit 64 bits.
const MAX_YEAR: i64 = 290_000;

/// The session's time zone, and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    pub(crate) name: String,
    zone: Option<TimeZone>,
}

impl Zone {
    /// The zone of this name. Times of one that the machine does not know are shown in UTC, and say so by their `+00`.
    pub(crate) fn named(name: &str) -> Self {
        let zone = match name {
            "UTC" | "Etc/UTC" | "GMT" | "Z" | "+00:00" | "" => None,
            name => parse_offset(name)
                .and_then(|seconds| jiff::tz::Offset::from_seconds(i32::try_from(seconds).ok()?).ok())
                .map(TimeZone::fixed)
                .or_else(|| TimeZone::get(name).ok()),
        };
        Self { name: name.to_owned(), zone }
    }

    /// Seconds to add to UTC at this moment.
    fn offset_at(&self, micros: i64) -> i64 {
        let Some(zone) = &self.zone else { return 0 };
        Timestamp::from_microsecond(micros).map_or(0, |moment| i64::from(zone.to_offset(moment).seconds()))
    }

    /// Seconds to add to UTC when the zone's clocks show this.
    fn offset_of_local(&self, local: i64) -> i64 {
        let guess = self.offset_at(local);
        self.offset_at(local.saturating_sub(guess * 1_000_000))
    }
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The number of days since 1970-01-01 of a date that exists.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year.abs() > MAX_YEAR {
        return None;
    }
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let month_index = (month + 9) % 12;
    let day_of_year = (153 * month_index + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let found = era * 146_097 + day_of_era - 719_468;
    (civil(found) == (year, month, day)).then_some(found)
}

/// What is appended after a date before our era.
fn write_days(out: &mut Vec<u8>, days: i64) -> &'static str {
    let (year, month, day) = civil(days);
    let (shown, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    // Writing to a vector cannot fail.
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
    era
}

/// Writes a date.
pub(crate) fn write_date(out: &mut Vec<u8>, days: i32) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        days => {
            let era = write_days(out, i64::from(days));
            out.extend_from_slice(era.as_bytes());
        }
    }
}

/// Writes a moment: with a zone as that zone's clocks show it, and its offset.
pub(crate) fn write_timestamp(out: &mut Vec<u8>, micros: i64, zone: Option<&Zone>) {
    match micros {
        i64::MAX => return out.extend_from_slice(b"infinity"),
        i64::MIN => return out.extend_from_slice(b"-infinity"),
        _ => {}
    }
    let offset = zone.map(|zone| zone.offset_at(micros));
    let local = micros.saturating_add(offset.unwrap_or(0) * 1_000_000);
    let era = write_days(out, local.div_euclid(DAY_MICROS));
    out.push(b' ');
    write_time(out, local.rem_euclid(DAY_MICROS));
    if let Some(offset) = offset {
        out.push(if offset < 0 { b'-' } else { b'+' });
        let seconds = offset.unsigned_abs();
        let _ = write!(out, "{:02}", seconds / 3600);
        if !seconds.is_multiple_of(3600) {
            let _ = write!(out, ":{:02}", seconds / 60 % 60);
        }
        if !seconds.is_multiple_of(60) {
            let _ = write!(out, ":{:02}", seconds % 60);
        }
    }
    out.extend_from_slice(era.as_bytes());
}

/// Reads a date: days since 1970-01-01.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    match text.trim() {
        "infinity" => Some(i32::MAX),
        "-infinity" => Some(i32::MIN),
        "epoch" => Some(0),
        text => {
            let micros = parse_timestamp(text, None)?;
            i32::try_from(micros.div_euclid(DAY_MICROS)).ok()
        }
    }
}

/// Reads a time of day in microseconds; 24:00:00 is one.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let mut parts = whole.split(':');
    let mut part = |most: i64| match parts.next() {
        Some(digits) if (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|n| *n <= most)
        }
        Some(_) => None,
        None => Some(-1),
    };
    let (hours, minutes, seconds) = (part(24)?, part(59)?, part(60)?);
    if hours < 0 || minutes < 0 || parts.next().is_some() {
        return None;
    }
    let micros = ((hours * 60 + minutes) * 60 + seconds.max(0)) * 1_000_000 + parse_fraction(fraction)?;
    (micros <= DAY_MICROS).then_some(micros)
}

/// Reads a moment in microseconds since 1970. With a zone, a text without an offset means that zone's clocks and an
/// offset counts; without one, an offset is taken off and ignored, as PostgreSQL does for `timestamp`.
pub(crate) fn parse_timestamp(text: &str, zone: Option<&Zone>) -> Option<i64> {
    let text = text.trim();
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        "epoch" => return Some(0),
        _ => {}
    }
    let (text, before_our_era) = text.strip_suffix(" BC").map_or((text, false), |text| (text, true));
    let (date, rest) = match text.find([' ', 'T', 't']) {
        Some(at) => (&text[..at], text[at + 1..].trim_start()),
        None => (text, ""),
    };
    let mut parts = date.split('-').map(|p| if p.bytes().all(|b| b.is_ascii_digit()) { p.parse().ok() } else { None });
    let (year, month, day): (i64, i64, i64) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || year == 0 {
        return None;
    }
    let days = days(if before_our_era { 1 - year } else { year }, month, day)?;
    let split = rest.find(['+', '-', 'Z', 'z', ' ', 'U']).unwrap_or(rest.len());
    let (clock, offset) = (&rest[..split], rest[split..].trim());
    let time = if clock.is_empty() { 0 } else { parse_time(clock)? };
    let offset = if offset.is_empty() { None } else { Some(parse_offset(offset)?) };
    let local = days.checked_mul(DAY_MICROS)?.checked_add(time)?;
    match zone {
        None => Some(local),
        Some(zone) => local.checked_sub(offset.unwrap_or_else(|| zone.offset_of_local(local)) * 1_000_000),
    }
}

/// Reads an offset from UTC, such as `+02`, `-05:30`, `+0530` or `Z`, in seconds.
fn parse_offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z" | "UTC") {
        return Some(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let compact: String = digits.chars().filter(|c| *c != ':').collect();
    if !matches!(compact.len(), 1 | 2 | 4 | 6) || !compact.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let two = |at: usize| compact.get(at..at + 2).map_or(Some(0), |p| p.parse::<i64>().ok());
    let (hours, minutes, seconds) =
        if compact.len() < 3 { (compact.parse().ok()?, 0, 0) } else { (two(0)?, two(2)?, two(4)?) };
    (hours <= 15 && minutes < 60 && seconds < 60).then_some(sign * ((hours * 60 + minutes) * 60 + seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(micros: i64, zone: Option<&Zone>) -> String {
        let mut out = Vec::new();
        write_timestamp(&mut out, micros, zone);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn moments_are_written_and_read_as_postgresql_does() {
        let utc = Zone::named("UTC");
        let half = Zone::named("-03:30");
        for (text, micros) in [
            ("1970-01-01 00:00:00+00", 0),
            ("2026-02-28 23:59:59.999999+00", 1_772_323_199_999_999),
            ("1969-12-31 23:59:59.5+00", -500_000),
            ("0044-03-15 00:00:00+00 BC", -63_517_824_000_000_000),
            ("infinity", i64::MAX),
        ] {
            assert_eq!(shown(micros, Some(&utc)), text);
            assert_eq!(parse_timestamp(text, Some(&utc)), Some(micros), "{text}");
        }
        assert_eq!(shown(0, Some(&half)), "1969-12-31 20:30:00-03:30");
        assert_eq!(shown(1_500_000, None), "1970-01-01 00:00:01.5");
        assert_eq!(parse_timestamp("1970-01-01", Some(&half)), Some(12_600_000_000));
        for same in
            ["1970-01-01T02:00:00+02:00", "1970-01-01 02:00+0200", "1969-12-31 19:00:00-05", "1970-01-01T00:00Z"]
        {
            assert_eq!(parse_timestamp(same, Some(&utc)), Some(0), "{same}");
        }
        // Without a zone the offset does not count.
        assert_eq!(parse_timestamp("1970-01-01 00:00:00+05", None), Some(0));
        for wrong in [
            "",
            "2026",
            "2026-02-30",
            "2026-13-01",
            "2026-01-01 25:00",
            "2026-01-01 1",
            "2026-01-01 00:00 PST8",
            "0000-01-01",
            "999999999-01-01",
        ] {
            assert_eq!(parse_timestamp(wrong, Some(&utc)), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[0-9TZ:. +-]{0,30}( BC)?|.{0,20}") {
            let zone = Zone::named("+05:30");
            if let Some(micros) = parse_timestamp(&text, Some(&zone)) {
                proptest::prop_assert_eq!(parse_timestamp(&shown(micros, Some(&zone)), Some(&zone)), Some(micros));
            }
            let _ = (parse_date(&text), parse_time(&text));
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_read_as_it_is_written() {
        for days in (-719_162..720_000).step_by(17) {
            let mut out = Vec::new();
            write_date(&mut out, days);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(parse_date(&text), Some(days), "{text}");
        }
        assert_eq!(parse_time("24:00:00"), Some(DAY_MICROS));
        assert_eq!(parse_time("12:34:56.7891234"), Some(45_296_789_123));
        for wrong in ["24:00:01", "1", "1:60", "a:b", "1:2:3:4", "-1:00"] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }
}
