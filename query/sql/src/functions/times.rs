//! Points in time as numbers of a unit, as dates and clocks, and in time zones.

use arrow::datatypes::TimeUnit;
use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{OffsetName, Tz};
use datafusion::common::{Result, exec_datafusion_err};

/// Nanoseconds of a unit.
pub(super) const fn unit_nanos(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1,
    }
}

/// The date and clock of a number of units since 1970.
pub(super) fn to_naive(value: i64, unit: TimeUnit) -> Option<NaiveDateTime> {
    let a_second = 1_000_000_000 / unit_nanos(unit);
    let nanos = value.rem_euclid(a_second) * unit_nanos(unit);
    Some(DateTime::from_timestamp(value.div_euclid(a_second), u32::try_from(nanos).ok()?)?.naive_utc())
}

/// The number of units since 1970 of a date and clock.
pub(super) fn from_naive(time: NaiveDateTime, unit: TimeUnit) -> Option<i64> {
    let a_second = 1_000_000_000 / unit_nanos(unit);
    let part = i64::from(time.and_utc().timestamp_subsec_nanos()) / unit_nanos(unit);
    time.and_utc().timestamp().checked_mul(a_second)?.checked_add(part)
}

/// The error that a time is beyond what its type holds.
pub(super) fn out_of_range() -> datafusion::common::DataFusionError {
    exec_datafusion_err!("timestamp out of range")
}

/// A time zone: of a place, or an offset.
#[derive(Debug, Clone, Copy)]
pub(super) enum Zone {
    Place(Tz),
    Offset(FixedOffset),
}

impl Zone {
    /// The zone of a name such as `Europe/Paris`, `UTC` or `+02:00`.
    pub(super) fn parse(name: &str) -> Result<Self> {
        Self::known(name).ok_or_else(|| exec_datafusion_err!("time zone \"{name}\" not recognized"))
    }

    /// The zone of a name, if it is the name of one.
    pub(super) fn known(name: &str) -> Option<Self> {
        let name = name.trim();
        if let Ok(zone) = name.parse().or_else(|_| name.to_ascii_uppercase().parse()) {
            return Some(Self::Place(zone));
        }
        let (sign, rest) = match name.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, name.strip_prefix('+').unwrap_or(name)),
        };
        if name.eq_ignore_ascii_case("z") {
            return FixedOffset::east_opt(0).map(Self::Offset);
        }
        let (hours, minutes) = match rest.split_once(':') {
            Some(parts) => parts,
            None if rest.len() == 4 => rest.split_at_checked(2)?,
            None => (rest, "0"),
        };
        let digits = |t: &str| (!t.is_empty() && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<i32>().ok());
        let (hours, minutes) = (digits(hours)??, digits(minutes)??);
        if hours > 15 || minutes > 59 {
            return None;
        }
        FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60)).map(Self::Offset)
    }

    /// The date and clock in the zone of a moment given in UTC.
    pub(super) fn local(self, utc: NaiveDateTime) -> Option<NaiveDateTime> {
        let offset = match self {
            Self::Place(zone) => zone.offset_from_utc_datetime(&utc).fix(),
            Self::Offset(offset) => offset,
        };
        utc.checked_add_offset(offset)
    }

    /// The zone's short name at a moment given in UTC, and its seconds before UTC.
    pub(super) fn offset(self, utc: NaiveDateTime) -> (String, i32) {
        match self {
            Self::Place(zone) => {
                let offset = zone.offset_from_utc_datetime(&utc);
                let name = offset.abbreviation().map_or_else(|| offset.fix().to_string(), str::to_owned);
                (name, offset.fix().local_minus_utc())
            }
            Self::Offset(offset) => (offset.to_string(), offset.local_minus_utc()),
        }
    }

    /// The moment in UTC of a date and clock in the zone. Of two moments the later is taken, as PostgreSQL takes standard
    /// time; a clock that is skipped is read by the offset from before the skip.
    pub(super) fn utc(self, local: NaiveDateTime) -> Option<NaiveDateTime> {
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
