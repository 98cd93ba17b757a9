//! Times as documents write them, to nanoseconds since the Unix epoch: ISO 8601 and RFC 3339, and numbers.

const NANOS: i128 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Reads a time from a text: a date and a time of day as RFC 3339 and ISO 8601 write them (`T` or a space between them, a
/// zone or none, which is UTC), a date alone, or a number as [`from_number`] reads it.
#[must_use]
pub fn from_text(text: &str) -> Option<i64> {
    let text = text.trim();
    if !text.is_empty() && !text.bytes().skip(1).any(|b| matches!(b, b'-' | b':' | b'T' | b't')) {
        return from_number(text);
    }
    let mut p = Digits { rest: text.as_bytes() };
    let (year, month, day) = p.date()?;
    let mut nanos = i128::from(days(year, month, day)? * DAY_SECONDS) * NANOS;
    if !p.rest.is_empty() {
        let (b'T' | b't' | b' ') = p.next()? else { return None };
        nanos += p.time_of_day()?;
        nanos -= i128::from(p.zone()?) * NANOS;
    }
    if !p.rest.is_empty() {
        return None;
    }
    i64::try_from(nanos).ok()
}

/// Reads a time from a number since the Unix epoch: seconds, milliseconds, microseconds or nanoseconds by its size. Seconds
/// reach to the year 5138; what is larger is milliseconds, and so on.
#[must_use]
pub fn from_number(text: &str) -> Option<i64> {
    if let Ok(whole) = text.parse::<i64>() {
        return i64::try_from(i128::from(whole) * unit(i128::from(whole))).ok();
    }
    // The digits are taken as they are: a float would lose nanoseconds.
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |d| (true, d));
    if let Some((whole, fraction)) = digits.split_once('.')
        && whole.len() <= 19
        && [whole, fraction].iter().all(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    {
        let whole: i128 = whole.parse().ok()?;
        let unit = unit(whole);
        let part = fraction.bytes().take(9).fold((0, NANOS), |(sum, scale), b| {
            let scale = scale / 10;
            (sum + i128::from(b - b'0') * scale, scale)
        });
        let nanos = whole * unit + part.0 * unit / NANOS;
        return i64::try_from(if negative { -nanos } else { nanos }).ok();
    }
    // What is left are numbers with an exponent.
    let is_number = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
    if !text.bytes().all(is_number) || !text.contains(['e', 'E']) {
        return None;
    }
    let value: f64 = text.parse().ok().filter(|v: &f64| v.abs() < 1e19)?;
    i64::try_from((value * unit(value as i128) as f64) as i128).ok()
}

/// Nanoseconds of the unit that a number of this size is in.
fn unit(number: i128) -> i128 {
    match number.unsigned_abs() {
        0..100_000_000_000 => NANOS,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    }
}

/// Writes nanoseconds since the Unix epoch as RFC 3339 in UTC, with as many digits of the fraction as are needed in threes.
#[must_use]
pub fn to_text(nanos: i64) -> String {
    let (seconds, fraction) = (nanos.div_euclid(NANOS as i64), nanos.rem_euclid(NANOS as i64));
    let (day, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let date = date_text(day);
    let fraction = match fraction {
        0 => String::new(),
        f if f % 1_000_000 == 0 => format!(".{:03}", f / 1_000_000),
        f if f % 1_000 == 0 => format!(".{:06}", f / 1_000),
        f => format!(".{f:09}"),
    };
    format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Writes days since 1970-01-01 as a date.
#[must_use]
pub fn date_text(day: i64) -> String {
    // Howard Hinnant's algorithm: years begin in March, so that the leap day is a year's last.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Days from 1970-01-01 to a date. `None` when there is no such date.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Digits of fixed width, one group after another.
struct Digits<'a> {
    rest: &'a [u8],
}

impl Digits<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let mut number = 0;
        for _ in 0..digits {
            let digit = self.next()?;
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(digit - b'0');
        }
        Some(number)
    }

    fn date(&mut self) -> Option<(i64, i64, i64)> {
        let year = self.number(4)?;
        self.skip(b'-')?;
        let month = self.number(2)?;
        self.skip(b'-')?;
        Some((year, month, self.number(2)?))
    }

    /// Nanoseconds since midnight. Seconds may be left out; second 60 is a leap second, the first of the next minute.
    fn time_of_day(&mut self) -> Option<i128> {
        let hour = self.number(2)?;
        self.skip(b':')?;
        let minute = self.number(2)?;
        let mut second = 0;
        let mut fraction = 0;
        if self.rest.first() == Some(&b':') {
            self.skip(b':')?;
            second = self.number(2)?;
            if let Some(b'.' | b',') = self.rest.first() {
                self.next();
                fraction = self.fraction()?;
            }
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        Some(i128::from(hour * 3_600 + minute * 60 + second) * NANOS + fraction)
    }

    /// A fraction of a second in nanoseconds; digits behind the ninth do not count.
    fn fraction(&mut self) -> Option<i128> {
        let (mut sum, mut scale, mut any) = (0, NANOS, false);
        while let Some(digit) = self.rest.first().filter(|b| b.is_ascii_digit()) {
            scale /= 10;
            sum += i128::from(digit - b'0') * scale;
            any = true;
            self.next();
        }
        any.then_some(sum)
    }

    /// Seconds east of UTC: `Z`, `+01:00`, `+0100`, `+01`, with or without a space before it, or nothing.
    fn zone(&mut self) -> Option<i64> {
        if self.rest.first() == Some(&b' ') {
            self.next();
        }
        let sign = match self.next() {
            None | Some(b'Z' | b'z') => return Some(0),
            Some(b'U') if self.rest == b"TC" => {
                self.rest = &[];
                return Some(0);
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        let hours = self.number(2)?;
        if self.rest.first() == Some(&b':') {
            self.next();
        }
        let minutes = if self.rest.is_empty() { 0 } else { self.number(2)? };
        (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
    }
}
