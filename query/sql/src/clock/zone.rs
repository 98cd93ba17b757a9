//! Time zones, and points in time as numbers of a unit and as dates and clocks.

use arrow::datatypes::TimeUnit;
use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{OffsetName, Tz};
use datafusion::common::{Result, exec_datafusion_err};

/// Nanoseconds of a unit.
pub(crate) const fn unit_nanos(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1,
    }
}

/// The date and clock of a number of units since 1970.
pub(crate) fn to_naive(value: i64, unit: TimeUnit) -> Option<NaiveDateTime> {
    let a_second = 1_000_000_000 / unit_nanos(unit);
    let nanos = value.rem_euclid(a_second) * unit_nanos(unit);
    Some(DateTime::from_timestamp(value.div_euclid(a_second), u32::try_from(nanos).ok()?)?.naive_utc())
}

/// The number of units since 1970 of a date and clock.
pub(crate) fn from_naive(time: NaiveDateTime, unit: TimeUnit) -> Option<i64> {
    let a_second = 1_000_000_000 / unit_nanos(unit);
    let part = i64::from(time.and_utc().timestamp_subsec_nanos()) / unit_nanos(unit);
    time.and_utc().timestamp().checked_mul(a_second)?.checked_add(part)
}

/// The error that a time is beyond what its type holds.
pub(crate) fn out_of_range() -> datafusion::common::DataFusionError {
    exec_datafusion_err!("timestamp out of range")
}

/// A time zone: of a place, or an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// A place of the IANA database.
    Place(Tz),
    /// The same all year round.
    Offset(FixedOffset),
}

/// Abbreviations that are no names of zones, with their hours and minutes east of Greenwich: those of PostgreSQL's default
/// set that are told from each other everywhere.
const ABBREVIATIONS: [(&str, i32, i32); 41] = [
    ("acdt", 10, 30),
    ("acst", 9, 30),
    ("adt", -3, 0),
    ("aedt", 11, 0),
    ("aest", 10, 0),
    ("akdt", -8, 0),
    ("akst", -9, 0),
    ("ast", -4, 0),
    ("awst", 8, 0),
    ("brst", -2, 0),
    ("brt", -3, 0),
    ("bst", 1, 0),
    ("cdt", -5, 0),
    ("cest", 2, 0),
    ("cet", 1, 0),
    ("cst", -6, 0),
    ("eat", 3, 0),
    ("edt", -4, 0),
    ("eest", 3, 0),
    ("eet", 2, 0),
    ("est", -5, 0),
    ("hkt", 8, 0),
    ("hst", -10, 0),
    ("idt", 3, 0),
    ("ist", 2, 0),
    ("jst", 9, 0),
    ("kst", 9, 0),
    ("mdt", -6, 0),
    ("msk", 3, 0),
    ("mst", -7, 0),
    ("ndt", -2, -30),
    ("nst", -3, -30),
    ("nzdt", 13, 0),
    ("nzst", 12, 0),
    ("pdt", -7, 0),
    ("pst", -8, 0),
    ("sast", 2, 0),
    ("sgt", 8, 0),
    ("wat", 1, 0),
    ("west", 1, 0),
    ("wet", 0, 0),
];

/// An offset from Greenwich as ISO 8601 writes it, east being plus: `+02`, `-05:30`, `+0530`, `+05:30:15`.
pub(super) fn parse_offset(text: &str) -> Option<Zone> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let number = |text: &str| {
        let fits = matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
        if fits { text.parse::<i32>().ok() } else { None }
    };
    let (hours, minutes, seconds) = match digits.split_once(':') {
        Some((hours, rest)) => {
            let (minutes, seconds) = rest.split_once(':').unwrap_or((rest, "0"));
            (number(hours)?, number(minutes)?, number(seconds)?)
        }
        None if digits.len() > 2 && digits.is_ascii() => {
            let (hours, rest) = digits.split_at(2 - digits.len() % 2);
            let (minutes, seconds) = if rest.len() > 2 { rest.split_at(2) } else { (rest, "0") };
            (number(hours)?, number(minutes)?, number(seconds)?)
        }
        None => (number(digits)?, 0, 0),
    };
    if hours > 15 || minutes > 59 || seconds > 59 {
        return None;
    }
    FixedOffset::east_opt(sign * ((hours * 60 + minutes) * 60 + seconds)).map(Zone::Offset)
}

/// The zone of a name as POSIX has them, where an offset counts to the west: `GMT-2`, `+05:30`, `<abc>3`. It is told as an
/// offset to the east, such as `+02:00`.
pub(crate) fn posix_name(value: &str) -> Option<String> {
    let letters = value.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(value.len());
    let (name, offset) = value.split_at(letters);
    let is_name = name.is_empty() || name.len() >= 3;
    let (sign, digits) = match offset.strip_prefix('-') {
        Some(digits) => ('+', digits),
        None => ('-', offset.strip_prefix('+').unwrap_or(offset)),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let number = |text: &str, most: u32| {
        let is_short = matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|n| is_short && *n <= most)
    };
    let (hours, minutes) = (number(hours, 15)?, number(minutes, 59)?);
    is_name.then(|| format!("{}{hours:02}:{minutes:02}", if hours == 0 && minutes == 0 { '+' } else { sign }))
}

impl Zone {
    /// Greenwich's time.
    pub const UTC: Self = Self::Place(Tz::UTC);

    /// The zone of a name that a session keeps: `Europe/Paris`, `UTC` or, east of Greenwich, `+02:00`.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn parse(name: &str) -> Result<Self> {
        let zone = Self::place(name).or_else(|| parse_offset(name));
        zone.ok_or_else(|| exec_datafusion_err!("time zone \"{name}\" not recognized"))
    }

    /// The zone of a name as statements write it: of a place, an abbreviation such as `PST`, or as POSIX has them.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim();
        let short = || {
            let lower = name.to_ascii_lowercase();
            let (_, hours, minutes) = ABBREVIATIONS.iter().find(|(short, ..)| *short == lower)?;
            FixedOffset::east_opt(hours * 3600 + minutes * 60).map(Self::Offset)
        };
        let utc = || matches!(name, "Z" | "z" | "zulu" | "Zulu" | "ZULU").then_some(Self::UTC);
        short().or_else(|| Self::place(name)).or_else(utc).or_else(|| parse_offset(&posix_name(name)?))
    }

    /// Seconds before Greenwich of an offset such as `+02` or `-05:30`.
    pub(crate) fn offset_of(text: &str) -> Option<i64> {
        parse_offset(text).map(|zone| zone.offset_at(0))
    }

    /// The zone of a place, whose name's case does not count.
    fn place(name: &str) -> Option<Self> {
        let exactly = name.parse().ok();
        let any_case = || chrono_tz::TZ_VARIANTS.iter().find(|place| place.name().eq_ignore_ascii_case(name)).copied();
        exactly.or_else(any_case).map(Self::Place)
    }

    /// Seconds before Greenwich at a moment, given in seconds since 1970.
    pub(super) fn offset_at(&self, seconds: i64) -> i64 {
        match self {
            Self::Offset(offset) => offset.local_minus_utc().into(),
            Self::Place(Tz::UTC) => 0,
            // Beyond the years that there are offsets for, there are none.
            Self::Place(zone) => DateTime::from_timestamp(seconds, 0)
                .map_or(0, |moment| zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc().into()),
        }
    }

    /// Seconds before Greenwich when the zone's clock shows so many seconds since 1970-01-01 00:00.
    pub(super) fn offset_of_local(&self, seconds: i64) -> i64 {
        let local = DateTime::from_timestamp(seconds, 0).map(|local| local.naive_utc());
        let utc = local.and_then(|local| self.utc(local).map(|utc| local.signed_duration_since(utc).num_seconds()));
        utc.unwrap_or_else(|| self.offset_at(seconds))
    }

    /// The date and clock in the zone of a moment given in UTC.
    pub(crate) fn local(self, utc: NaiveDateTime) -> Option<NaiveDateTime> {
        let offset = match self {
            Self::Place(zone) => zone.offset_from_utc_datetime(&utc).fix(),
            Self::Offset(offset) => offset,
        };
        utc.checked_add_offset(offset)
    }

    /// The zone's short name at a moment given in UTC, and its seconds before UTC.
    pub(crate) fn offset(self, utc: NaiveDateTime) -> (String, i32) {
        match self {
            Self::Place(zone) => {
                let offset = zone.offset_from_utc_datetime(&utc);
                let name = offset.abbreviation().map_or_else(|| short_offset(offset.fix()), str::to_owned);
                (name, offset.fix().local_minus_utc())
            }
            Self::Offset(offset) => (short_offset(offset), offset.local_minus_utc()),
        }
    }

    /// The moment in UTC of a date and clock in the zone. Of two moments the later is taken, as PostgreSQL takes standard
    /// time; a clock that is skipped is read by the offset from before the skip.
    pub(crate) fn utc(self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let offset = match self {
            Self::Offset(offset) => offset,
            Self::Place(zone) => match zone.offset_from_local_datetime(&local) {
                MappedLocalTime::Single(offset) => offset.fix(),
                MappedLocalTime::Ambiguous(_, later) => later.fix(),
                MappedLocalTime::None => {
                    zone.offset_from_utc_datetime(&local.checked_sub_signed(TimeDelta::days(1))?).fix()
                }
            },
        };
        local.checked_sub_offset(offset)
    }
}

/// An offset in the form of the abbreviations of zones that have no other: `+11`, `+0545`.
fn short_offset(offset: FixedOffset) -> String {
    let text = offset.to_string().replace(':', "");
    text.strip_suffix("00").map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_many_names() {
        let seconds = |zone: Option<Zone>| zone.map(|zone| zone.offset_at(1_782_864_000));
        for (name, hours) in [
            ("UTC", 0.0),
            ("europe/berlin", 2.0),
            ("PST", -8.0),
            ("PST8PDT", -7.0),
            ("EST", -5.0),
            ("CEST", 2.0),
            ("GMT-3", 3.0),
            ("UTC+3", -3.0),
            ("Etc/GMT+3", -3.0),
            // Without letters, too, the offset counts to the west.
            ("+05:30", -5.5),
            ("-5", 5.0),
            ("5", -5.0),
        ] {
            assert_eq!(seconds(Zone::named(name)), Some((hours * 3600.0) as i64), "{name}");
        }
        for wrong in ["", "0530", "Mars/Base", "XX3", "+16:00", "+1:60", "+", "-"] {
            assert_eq!(Zone::named(wrong), None, "{wrong}");
        }
        for (text, offset) in
            [("+02", 7200), ("-05:30", -19_800), ("+0530", 19_800), ("+053015", 19_815), ("+530", 19_800)]
        {
            assert_eq!(parse_offset(text).map(|zone| zone.offset_at(0)), Some(offset), "{text}");
        }
        for wrong in ["", "+", "02", "+123:00", "+1:2:3:4", "+00:60", "-16"] {
            assert_eq!(parse_offset(wrong), None, "{wrong}");
        }
    }
}
