//! The parts of a text that names a date, a time or both: a date, a clock, a zone, and words that stand for them.
//!
//! What PostgreSQL reads with the DateStyle `ISO, MDY`: <https://www.postgresql.org/docs/current/datetime-input-rules.html>.

use super::{Zone, calendar, read::Wrong, zone};

/// What a text says.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) word: Option<Word>,
    /// Days since 1970.
    pub(super) date: Option<i64>,
    /// Nanoseconds since midnight.
    pub(super) clock: Option<i64>,
    pub(super) zone: Option<Zone>,
}

/// A word that stands for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Now,
    /// Midnight, so many days after today's.
    Day(i64),
    Epoch,
    Infinity,
    MinusInfinity,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const LONG_MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
/// Longest text that is looked at.
const LEN_MAX: usize = 128;
const HOUR_NANOS: i64 = 3_600_000_000_000;

/// The number of a month, 1 to 12.
fn month(word: &str) -> Option<i64> {
    let at = MONTHS.iter().position(|m| *m == word).or_else(|| LONG_MONTHS.iter().position(|m| *m == word));
    at.or((word == "sept").then_some(8)).map(|at| at as i64 + 1)
}

fn is_weekday(word: &str) -> bool {
    word.len() >= 3 && WEEKDAYS.iter().any(|day| day.starts_with(word))
}

/// Digits after the point of a second, as nanoseconds; further ones round.
pub(super) fn parse_fraction(digits: &str) -> Option<i64> {
    if digits.len() > 30 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut nanos = 0;
    for place in 0..9 {
        nanos = nanos * 10 + i64::from(digits.as_bytes().get(place).map_or(0, |d| d - b'0'));
    }
    Some(nanos + i64::from(digits.as_bytes().get(9).is_some_and(|d| *d >= b'5')))
}

/// What is gathered of a date whose parts stand apart, as in `July 1, 2026`.
#[derive(Default)]
struct Reading<'a> {
    fields: Fields,
    month: Option<i64>,
    numbers: Vec<&'a str>,
    afternoon: Option<bool>,
    before_our_era: bool,
}

impl Fields {
    /// Reads a text.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        if text.is_empty() || text.len() > LEN_MAX || !text.is_ascii() {
            return Err(Wrong::Syntax);
        }
        let mut reading = Reading::default();
        let mut rest = text;
        while let Some(first) = rest.bytes().next() {
            rest = match first {
                b' ' | b',' | b'\t' | b'\n' | b'\r' => &rest[1..],
                b'0'..=b'9' => reading.digits(rest)?,
                b'+' | b'-' => reading.signed(rest)?,
                _ if first.is_ascii_alphabetic() => reading.word(rest)?,
                _ => return Err(Wrong::Syntax),
            };
        }
        reading.finish()
    }
}

/// The length of what a text begins with.
fn run(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|b| !belongs(b)).unwrap_or(text.len())
}

impl<'a> Reading<'a> {
    /// A clock, a date, or a number that is a part of one.
    fn digits(&mut self, text: &'a str) -> Result<&'a str, Wrong> {
        let len = run(text, |b| b.is_ascii_digit());
        match text.as_bytes().get(len) {
            Some(b':') => {
                let end = run(text, |b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
                self.clock(&text[..end])?;
                Ok(&text[end..])
            }
            Some(b'-' | b'/' | b'.') if self.fields.date.is_none() => {
                let end = run(text, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'/' | b'.'));
                // A T stands between a date and a clock.
                let end =
                    text[..end].find(['T', 't']).filter(|at| text.as_bytes()[at - 1].is_ascii_digit()).unwrap_or(end);
                self.date(&text[..end])?;
                Ok(&text[end..])
            }
            _ if len == 8 && self.fields.date.is_none() && self.month.is_none() => {
                self.set_date(&text[..4], &text[4..6], &text[6..8], false)?;
                Ok(&text[len..])
            }
            _ if matches!(len, 4 | 6) && self.fields.date.is_some() && self.fields.clock.is_none() => {
                let end = run(text, |b| b.is_ascii_digit() || b == b'.');
                let (whole, fraction) = text[..end].split_once('.').unwrap_or((&text[..end], ""));
                let second = whole.get(4..6).unwrap_or("0");
                self.set_clock(&whole[..2], &whole[2..4], second, fraction)?;
                Ok(&text[end..])
            }
            _ => {
                self.numbers.push(&text[..len]);
                Ok(&text[len..])
            }
        }
    }

    /// `hours:minutes[:seconds[.fraction]]`.
    fn clock(&mut self, text: &str) -> Result<(), Wrong> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let mut parts = whole.split(':');
        let (hour, minute) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let second = parts.next().unwrap_or("0");
        if parts.next().is_some() || self.fields.clock.is_some() {
            return Err(Wrong::Syntax);
        }
        self.set_clock(hour, minute, second, fraction)
    }

    fn set_clock(&mut self, hour: &str, minute: &str, second: &str, fraction: &str) -> Result<(), Wrong> {
        let part = |text: &str| {
            let fits = matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
            if fits { text.parse::<i64>().map_err(|_| Wrong::Syntax) } else { Err(Wrong::Syntax) }
        };
        let (hour, minute, second) = (part(hour)?, part(minute)?, part(second)?);
        let nanos = parse_fraction(fraction).ok_or(Wrong::Syntax)?;
        let clock = hour * HOUR_NANOS + (minute * 60 + second) * 1_000_000_000 + nanos;
        if minute > 59 || second > 60 || clock > 24 * HOUR_NANOS {
            return Err(Wrong::Range);
        }
        self.fields.clock = Some(clock);
        Ok(())
    }

    /// Three parts with one mark between them: year, month and day; month, day and year; or with the month's name.
    fn date(&mut self, text: &str) -> Result<(), Wrong> {
        let mark = text.bytes().find(|b| !b.is_ascii_alphanumeric()).map_or('-', char::from);
        let mut parts = text.split(mark);
        let (Some(one), Some(two), Some(three), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Wrong::Syntax);
        };
        let number;
        let two_as_number = match month(&two.to_ascii_lowercase()) {
            Some(month) => {
                number = month.to_string();
                number.as_str()
            }
            None => two,
        };
        if one.len() > 2 {
            self.set_date(one, two_as_number, three, false)
        } else if two_as_number == two {
            self.set_date(three, one, two, three.len() < 3)
        } else {
            self.set_date(three, two_as_number, one, three.len() < 3)
        }
    }

    fn set_date(&mut self, year: &str, month: &str, day: &str, is_short: bool) -> Result<(), Wrong> {
        let number = |text: &str, most: usize| {
            let fits = !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
            if fits { text.parse::<i64>().map_err(|_| Wrong::Syntax) } else { Err(Wrong::Syntax) }
        };
        let (year, month, day) = (number(year, 9)?, number(month, 2)?, number(day, 2)?);
        if self.fields.date.is_some() {
            return Err(Wrong::Syntax);
        }
        // Two digits are of the years 1970 to 2069.
        let year = match year {
            year if !is_short => year,
            year if year < 70 => year + 2000,
            year => year + 1900,
        };
        if year == 0 {
            return Err(Wrong::Range);
        }
        self.fields.date = Some(calendar::days(year, month, day).ok_or(Wrong::Range)?);
        Ok(())
    }

    /// An offset behind a clock or a date, or `-infinity`.
    fn signed(&mut self, text: &'a str) -> Result<&'a str, Wrong> {
        let is_minus = text.starts_with('-');
        let len = 1 + run(&text[1..], |b| b.is_ascii_alphanumeric() || b == b':');
        let word = &text[..len];
        if is_minus && word.len() > 1 && word[1..].eq_ignore_ascii_case("infinity") {
            self.set_word(Word::MinusInfinity)?;
        } else if self.fields.clock.is_none() && self.fields.date.is_none() {
            return Err(Wrong::Syntax);
        } else {
            self.set_zone(zone::parse_offset(word).ok_or(Wrong::Syntax)?)?;
        }
        Ok(&text[len..])
    }

    fn set_zone(&mut self, zone: Zone) -> Result<(), Wrong> {
        if self.fields.zone.replace(zone).is_some() { Err(Wrong::Syntax) } else { Ok(()) }
    }

    fn set_word(&mut self, word: Word) -> Result<(), Wrong> {
        if self.fields.word.replace(word).is_some() { Err(Wrong::Syntax) } else { Ok(()) }
    }

    /// A month, a half of the day, a zone, or a word that stands for a time.
    fn word(&mut self, text: &'a str) -> Result<&'a str, Wrong> {
        let letters = run(text, |b| b.is_ascii_alphabetic());
        let word = text[..letters].to_ascii_lowercase();
        let rest = &text[letters..];
        // Before a number, a name that goes on is a zone such as `GMT+2` or `Etc/GMT+2`.
        match word.as_str() {
            "t" if self.fields.date.is_some() => return Ok(rest),
            "z" | "utc" | "gmt" | "zulu" if !rest.starts_with(['+', '-', '/']) => {
                self.set_zone(Zone::UTC)?;
                return Ok(rest);
            }
            "am" | "pm" => self.afternoon = Some(word == "pm"),
            "bc" => self.before_our_era = true,
            "ad" => {}
            "now" => self.set_word(Word::Now)?,
            "today" => self.set_word(Word::Day(0))?,
            "tomorrow" => self.set_word(Word::Day(1))?,
            "yesterday" => self.set_word(Word::Day(-1))?,
            "epoch" => self.set_word(Word::Epoch)?,
            "infinity" => self.set_word(Word::Infinity)?,
            "allballs" => self.fields.clock = Some(0),
            word if is_weekday(word) => {}
            word => {
                if let Some(month) = month(word) {
                    if self.month.replace(month).is_some() {
                        return Err(Wrong::Syntax);
                    }
                } else {
                    // Before a date and a clock it is more likely no time at all.
                    let is_behind = self.fields.date.is_some() || self.fields.clock.is_some();
                    let unknown = if is_behind { Wrong::Zone } else { Wrong::Syntax };
                    let len = run(text, |b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'+' | b'-'));
                    self.set_zone(Zone::named(&text[..len]).ok_or(unknown)?)?;
                    return Ok(&text[len..]);
                }
            }
        }
        Ok(rest)
    }

    fn finish(mut self) -> Result<Fields, Wrong> {
        match (self.month, self.numbers.as_slice()) {
            (None, []) => {}
            // The day, unless a number is too long for one, and the year.
            (Some(month), [one, two]) => {
                let (day, year) = if one.len() > 2 { (two, one) } else { (one, two) };
                self.set_date(year, &month.to_string(), day, year.len() < 3)?;
            }
            _ => return Err(Wrong::Syntax),
        }
        if let Some(afternoon) = self.afternoon {
            let clock = self.fields.clock.ok_or(Wrong::Syntax)?;
            let hour = clock / HOUR_NANOS;
            if !(1..=12).contains(&hour) {
                return Err(Wrong::Range);
            }
            let twelve = if hour == 12 { -12 } else { 0 };
            self.fields.clock = Some(clock + (twelve + if afternoon { 12 } else { 0 }) * HOUR_NANOS);
        }
        if self.before_our_era {
            let (year, month, day) = calendar::civil(self.fields.date.ok_or(Wrong::Syntax)?);
            self.fields.date = Some(calendar::days(1 - year, month, day).ok_or(Wrong::Range)?);
        }
        Ok(self.fields)
    }
}
