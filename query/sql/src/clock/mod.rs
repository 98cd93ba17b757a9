//! Dates, times and intervals as PostgreSQL reads and writes them in text, and time zones. One place for all ways in and
//! out: literals, casts, COPY, parameters and results of the wire.

mod calendar;
mod fields;
mod interval;
mod read;
mod zone;

pub use calendar::{write_date, write_time, write_timestamp};
pub use interval::{parse_interval, spans, write_interval};
pub(crate) use read::parse_moment_nanos;
pub use read::{Wrong, parse_date, parse_moment, parse_time, parse_timestamp};
pub use zone::Zone;
pub(crate) use zone::{from_naive, out_of_range, posix_name, to_naive, unit_nanos};

/// Microseconds of a day.
pub const DAY_MICROS: i64 = 86_400_000_000;
