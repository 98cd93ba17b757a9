//! The calendar, and dates and times as PostgreSQL writes them.

use std::io::Write as _;

use super::{DAY_MICROS, Zone};

/// Years that a text may name: beyond them microseconds do not fit 64 bits.
const MAX_YEAR: i64 = 290_000;

/// Year, month and day of a number of days since 1970-01-01.
pub(super) fn civil(days: i64) -> (i64, i64, i64) {
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
pub(super) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
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
pub fn write_date(out: &mut Vec<u8>, days: i32) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        days => {
            let era = write_days(out, i64::from(days));
            out.extend_from_slice(era.as_bytes());
        }
    }
}

/// Writes a time of day, or another number of microseconds as hours, minutes and seconds.
pub fn write_time(out: &mut Vec<u8>, micros: i64) {
    let micros = micros.unsigned_abs();
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        let _ = write!(out, ".{fraction:06}");
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// Writes a moment, in microseconds since 1970: with a zone as that zone's clocks show it, and its offset.
pub fn write_timestamp(out: &mut Vec<u8>, micros: i64, zone: Option<&Zone>) {
    match micros {
        i64::MAX => return out.extend_from_slice(b"infinity"),
        i64::MIN => return out.extend_from_slice(b"-infinity"),
        _ => {}
    }
    let offset = zone.map(|zone| zone.offset_at(micros.div_euclid(1_000_000)));
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
