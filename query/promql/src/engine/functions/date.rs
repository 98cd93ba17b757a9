//! Parts of a date in UTC, from seconds since the Unix epoch.

use chronolith_storage::model::time::civil_day;

/// A civil date and time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Civil {
    year: i64,
    /// 1 to 12.
    month: i64,
    /// 1 to 31.
    day: i64,
    /// 0 is Sunday.
    weekday: i64,
    /// 1 to 366.
    yearday: i64,
    /// Second of the day.
    second: i64,
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Seconds from the first that Go can tell (1 March of the year -292277022400) up to the Unix epoch.
const FIRST_SECOND: i64 = 9_223_372_028_741_760_000;

const DAYS_IN_MONTH: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap_day = i64::from(month == 2 && is_leap(year));
    DAYS_IN_MONTH.get(usize::try_from(month - 1).unwrap_or(0)).copied().unwrap_or(31) + leap_day
}

/// The date of a second. Go counts seconds since a year long before all others and lets the sum overflow.
fn civil(seconds: i64) -> Civil {
    let since_first = i128::from(seconds.wrapping_add(FIRST_SECOND) as u64);
    let seconds = since_first - i128::from(FIRST_SECOND);
    // 2^64 seconds are not 2^48 days.
    let (days, second) = (seconds.div_euclid(86_400) as i64, seconds.rem_euclid(86_400) as i64);
    let (year, month, day) = civil_day(days);
    let yearday = (1..month).map(|m| days_in_month(year, m)).sum::<i64>() + day;
    Civil { year, month, day, weekday: (days + 4).rem_euclid(7), yearday, second }
}

/// The function of a time with that name, if there is one. Its argument is in seconds, fractions are cut off.
pub(in crate::engine) fn named(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "days_in_month" => |t| part(t, |c| days_in_month(c.year, c.month)),
        "day_of_month" => |t| part(t, |c| c.day),
        "day_of_week" => |t| part(t, |c| c.weekday),
        "day_of_year" => |t| part(t, |c| c.yearday),
        "hour" => |t| part(t, |c| c.second / 3600),
        "minute" => |t| part(t, |c| c.second / 60 % 60),
        "month" => |t| part(t, |c| c.month),
        "year" => |t| part(t, |c| c.year),
        _ => return None,
    })
}

fn part(seconds: f64, f: impl Fn(Civil) -> i64) -> f64 {
    // What fits no integer (NaN too) is the least one: so does the processor that Prometheus mostly runs on, and Go
    // leaves it to that.
    let fits = seconds >= i64::MIN as f64 && seconds < -(i64::MIN as f64);
    f(civil(if fits { seconds as i64 } else { i64::MIN })) as f64
}

/// A time in milliseconds as RFC 3339 writes it, in whole seconds.
pub(in crate::engine) fn rfc3339(ms: i64) -> String {
    let c = civil(ms.div_euclid(1000));
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        c.year,
        c.month,
        c.day,
        c.second / 3600,
        c.second / 60 % 60,
        c.second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(name: &str, t: f64) -> f64 {
        named(name).unwrap()(t)
    }

    #[test]
    fn dates_by_example() {
        // 2016-02-29T23:59:59Z
        let t = 1_456_790_399.0;
        assert_eq!(
            ["year", "month", "day_of_month", "hour", "minute", "day_of_week", "day_of_year", "days_in_month"]
                .map(|n| get(n, t)),
            [2016.0, 2.0, 29.0, 23.0, 59.0, 1.0, 60.0, 29.0]
        );
        assert_eq!(rfc3339(1_456_790_399_999), "2016-02-29T23:59:59Z");
        assert_eq!(get("year", -1.0), 1969.0);
        assert_eq!(get("day_of_week", 0.0), 4.0);
        assert_eq!(get("days_in_month", 951_782_400.0), 29.0, "February 2000");
        assert_eq!(get("days_in_month", -2_203_977_600.0), 28.0, "February 1900");
        for t in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert_eq!(["year", "minute"].map(|n| get(n, t)), [292_277_026_596.0, 30.0], "{t}");
        }
    }
}
