//! Texts of one shape: hexadecimal digits, UUIDs, moments, numbers as text, templates with numbers. They are held as what
//! they mean, where every one of a chunk can be rebuilt to the byte.

use arrow_array::{Array, ArrayRef};

use super::{
    fill::decode_templates,
    hex::{decode_hex, decode_mixed_hex, decode_uuids, encode_hex, encode_mixed_hex, encode_uuids, is_uuid},
    pick::Pick,
    templates::encode_templates,
    text::Texts,
};
use crate::{
    Result,
    encoding::{Reader, encode_integers, malformed, put_uvarint},
    table::{Kind, time::times},
};

const HEX: u8 = 0;
const UUID: u8 = 1;
const TIME: u8 = 2;
const NUMBER: u8 = 3;
const TEMPLATES: u8 = 4;
const MIXED_HEX: u8 = 5;
const ROW_TIME: u8 = 6;

/// Longest text around a number or behind a time that all texts share.
const AFFIX_MAX: usize = 64;
/// A number with more digits may not fit.
pub(super) const DIGITS_MAX: usize = 18;
/// Length of a date and of a date with its time.
const DATE_LEN: usize = 10;
const SECOND_LEN: usize = 19;

/// Whether texts of this form are moments.
pub(super) fn is_time(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&TIME | &ROW_TIME))
}

/// The texts by their shape, if they have one. Templates are not looked for among texts that `repeat`: a dictionary does
/// as well, and is read faster.
pub(super) fn encode_shape(values: &[&[u8]], repeat: bool) -> Option<Vec<u8>> {
    let shaped = |shape: u8, encode: fn(&[&[u8]], &mut Vec<u8>) -> Option<()>| {
        let mut out = vec![shape];
        encode(values, &mut out).map(|()| out)
    };
    if is_uuid(values.first()?) {
        return shaped(UUID, encode_uuids);
    }
    shaped(TIME, encode_times).or_else(|| shaped(NUMBER, encode_numbers)).or_else(|| {
        let hex = shaped(HEX, encode_hex).or_else(|| shaped(MIXED_HEX, encode_mixed_hex));
        let templates = if repeat { None } else { shaped(TEMPLATES, encode_templates) };
        // Digits alone are both.
        hex.into_iter().chain(templates).min_by_key(Vec::len)
    })
}

/// The values of the time column, in the order of rows.
#[derive(Debug, Clone)]
pub(super) struct RowTimes {
    pub(super) times: Vec<i64>,
    /// Digits behind the point of a second that the unit has.
    pub(super) digits: usize,
}

impl RowTimes {
    /// Those of a column of this kind, if all rows have one that a text could be of.
    pub(super) fn of(kind: Kind, array: &ArrayRef) -> Option<Self> {
        let digits = match kind {
            Kind::Nanos => 9,
            Kind::Micros => 6,
            _ => return None,
        };
        let times = if array.null_count() == 0 { times(kind, array).ok()? } else { return None };
        Some(Self { times, digits })
    }

    /// The time of a row in units of so few digits.
    fn cut(&self, row: usize, digits: usize) -> Option<i64> {
        Some(self.times.get(row)?.div_euclid(10_i64.pow(self.digits.checked_sub(digits)? as u32)))
    }
}

/// The texts as the times of their rows, if that is what they are.
pub(super) fn encode_row_times(values: &[&[u8]], rows: &dyn Fn(usize) -> u32, times: &RowTimes) -> Option<Vec<u8>> {
    let form = TimeForm::of(values.first()?).filter(|form| form.between != 0)?;
    let (mut last, mut text) = (LastDate::new(), Vec::with_capacity(form.len()));
    for (at, value) in values.iter().enumerate() {
        text.clear();
        form.put(times.cut(rows(at) as usize, form.digits)?, &mut last, &mut text)?;
        if text != *value {
            return None;
        }
    }
    let mut out = vec![ROW_TIME];
    form.put_head(&mut out);
    Some(out)
}

/// Takes those of `count` texts that are picked; `times` are those of the rows of all, in the texts' order.
pub(super) fn decode_shape(
    reader: &mut Reader<'_>,
    count: usize,
    pick: Pick<'_>,
    times: &dyn Fn() -> Result<RowTimes>,
) -> Result<Texts> {
    match reader.u8()? {
        HEX => decode_hex(reader, count, pick),
        UUID => decode_uuids(reader, count, pick),
        TIME => decode_times(reader, count, pick),
        NUMBER => decode_numbers(reader, count, pick),
        TEMPLATES => decode_templates(reader, count, pick),
        MIXED_HEX => Ok(decode_mixed_hex(reader, count)?.picked(pick)),
        ROW_TIME => {
            let form = TimeForm::take(reader)?;
            let times = times()?;
            let cut = pick.of((0..count).collect()).into_iter().map(|row| times.cut(row, form.digits));
            let moments = cut.collect::<Option<Vec<_>>>().filter(|_| form.between != 0);
            form.texts(moments.ok_or_else(|| malformed("texts", "times that rows do not have"))?)
        }
        form => Err(malformed("texts", format!("unknown shape {form}"))),
    }
}

/// The form that all moments of a chunk share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TimeForm<'a> {
    /// Between date and time; 0 when there is only a date.
    between: u8,
    /// Digits behind the point; none without a point.
    digits: usize,
    /// What follows: `Z`, an offset.
    suffix: &'a [u8],
}

impl<'a> TimeForm<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        if text.len() < DATE_LEN || text[4] != b'-' || text[7] != b'-' {
            return None;
        }
        if text.len() == DATE_LEN {
            return Some(Self { between: 0, digits: 0, suffix: &[] });
        }
        if text.len() < SECOND_LEN || !matches!(text[DATE_LEN], b'T' | b' ') {
            return None;
        }
        let rest = &text[SECOND_LEN..];
        let digits = match rest {
            [b'.', digits @ ..] => digits.iter().take_while(|b| b.is_ascii_digit()).count(),
            _ => 0,
        };
        let suffix = if digits > 0 { &rest[1 + digits..] } else { rest };
        (digits <= 9 && suffix.len() <= AFFIX_MAX).then_some(Self { between: text[DATE_LEN], digits, suffix })
    }

    fn put_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.between, self.digits as u8]);
        put_uvarint(out, self.suffix.len() as u64);
        out.extend_from_slice(self.suffix);
    }

    fn take(reader: &mut Reader<'a>) -> Result<Self> {
        let (between, digits) = (reader.u8()?, usize::from(reader.u8()?));
        let len = reader.length(AFFIX_MAX)?;
        let form = TimeForm { between, digits, suffix: reader.bytes(len)? };
        if digits > 9 || !matches!(between, 0 | b'T' | b' ') {
            return Err(malformed("texts", "a form of moments that is not known"));
        }
        Ok(form)
    }

    /// The texts of moments.
    fn texts(&self, moments: Vec<i64>) -> Result<Texts> {
        let count = moments.len();
        let mut text = Vec::with_capacity(count * self.len());
        let mut last = LastDate::new();
        for moment in moments {
            self.put(moment, &mut last, &mut text).ok_or_else(|| malformed("texts", "a year without four digits"))?;
        }
        Ok(Texts::equal(self.len(), count, text))
    }

    const fn len(&self) -> usize {
        let point = if self.digits > 0 { 1 + self.digits } else { 0 };
        if self.between == 0 { DATE_LEN } else { SECOND_LEN + point + self.suffix.len() }
    }

    /// The moment in the smallest unit that is written, of a text that [`TimeForm::put`] gives for it; `None` for any
    /// other. `last` is the date that was met before.
    fn parse(&self, text: &[u8], last: &mut LastDate) -> Option<i64> {
        if text.len() != self.len() {
            return None;
        }
        let days = last.days(text.first_chunk()?)?;
        if self.between == 0 {
            return Some(days);
        }
        let [_, h, hh, _, m, mm, _, s, ss] = *text[DATE_LEN..].first_chunk()?;
        let marks = [text[DATE_LEN], text[13], text[16]] == [self.between, b':', b':'];
        let (hours, minutes, seconds) = (number([h, hh])?, number([m, mm])?, number([s, ss])?);
        if !marks || hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        let seconds = days * 86_400 + hours * 3_600 + minutes * 60 + seconds;
        let rest = &text[SECOND_LEN..];
        if self.digits == 0 {
            return (rest == self.suffix).then_some(seconds);
        }
        let (point, rest) = rest.split_first()?;
        let (fraction, suffix) = rest.split_at_checked(self.digits)?;
        if *point != b'.' || suffix != self.suffix {
            return None;
        }
        let fraction = number(fraction.iter().copied())?;
        seconds.checked_mul(10i64.pow(u32::try_from(self.digits).ok()?))?.checked_add(fraction)
    }

    /// Appends the text of a moment; `None` when its year has not four digits.
    fn put(&self, moment: i64, last: &mut LastDate, out: &mut Vec<u8>) -> Option<()> {
        let unit = 10i64.pow(self.digits as u32);
        let (days, rest) = match self.between {
            0 => (moment, 0),
            _ => (moment.div_euclid(86_400 * unit), moment.rem_euclid(86_400 * unit)),
        };
        out.extend_from_slice(last.text(days)?);
        if self.between != 0 {
            let (seconds, fraction) = (rest / unit, rest % unit);
            let [hour, minute, second] = [seconds / 3_600, seconds / 60 % 60, seconds % 60].map(two_digits);
            out.extend_from_slice(&[
                self.between,
                hour[0],
                hour[1],
                b':',
                minute[0],
                minute[1],
                b':',
                second[0],
                second[1],
            ]);
            if self.digits > 0 {
                out.push(b'.');
                put_digits(fraction, self.digits, out);
            }
            out.extend_from_slice(self.suffix);
        }
        Some(())
    }
}

/// A date and its text, kept because neighbours mostly have the same.
struct LastDate {
    days: i64,
    text: [u8; DATE_LEN],
}

impl LastDate {
    const fn new() -> Self {
        Self { days: 0, text: *b"1970-01-01" }
    }

    /// The days of a date; `None` for a text that is not one of the calendar.
    fn days(&mut self, text: &[u8; DATE_LEN]) -> Option<i64> {
        if *text != self.text {
            let [y, yy, yyy, yyyy, dash, m, mm, second_dash, d, dd] = *text;
            let date = (number([y, yy, yyy, yyyy])?, number([m, mm])?, number([d, dd])?);
            let days = days_of(date.0, date.1, date.2);
            if [dash, second_dash] != *b"--" || date_of(days) != date {
                return None;
            }
            (self.days, self.text) = (days, *text);
        }
        Some(self.days)
    }

    /// The text of a date; `None` when its year has not four digits.
    fn text(&mut self, days: i64) -> Option<&[u8]> {
        if days != self.days {
            let (year, month, day) = date_of(days);
            if !(0..=9999).contains(&year) {
                return None;
            }
            let [century, year, month, day] = [year / 100, year % 100, month, day].map(two_digits);
            self.text = [century[0], century[1], year[0], year[1], b'-', month[0], month[1], b'-', day[0], day[1]];
            self.days = days;
        }
        Some(&self.text)
    }
}

/// The number of some digits; `None` when one is none.
fn number(digits: impl IntoIterator<Item = u8>) -> Option<i64> {
    digits.into_iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

/// The digits of a number below 100.
pub(super) const fn two_digits(number: i64) -> [u8; 2] {
    let number = number as u8;
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

/// Appends a number that has so many digits, with zeros before it.
fn put_digits(mut number: i64, digits: usize, out: &mut Vec<u8>) {
    let mut room = [b'0'; 20];
    let digits = digits.min(room.len());
    for pair in room.as_chunks_mut::<2>().0.iter_mut().rev() {
        *pair = two_digits(number % 100);
        number /= 100;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&room[20 - digits..]);
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms").
const fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_of`], for days that are not so far away that no year of four digits has them.
const fn date_of(days: i64) -> (i64, i64, i64) {
    let days = if days > 10_000_000 || days < -10_000_000 { 10_000_000 } else { days } + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

fn encode_times(values: &[&[u8]], out: &mut Vec<u8>) -> Option<()> {
    let form = TimeForm::of(values.first()?)?;
    let mut last = LastDate::new();
    let moments = values.iter().map(|value| form.parse(value, &mut last)).collect::<Option<Vec<_>>>()?;
    form.put_head(out);
    encode_integers(&moments, out);
    Some(())
}

fn decode_times(reader: &mut Reader<'_>, count: usize, pick: Pick<'_>) -> Result<Texts> {
    let form = TimeForm::take(reader)?;
    form.texts(pick.integers(reader, count)?)
}

/// The number in a text of digits without zeros before it.
fn number_of(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > DIGITS_MAX || (text.len() > 1 && text[0] == b'0') {
        return None;
    }
    number(text.iter().copied())
}

fn encode_numbers(values: &[&[u8]], out: &mut Vec<u8>) -> Option<()> {
    let first = values.first()?;
    let digits = first.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let prefix = &first[..first.len() - digits];
    if digits == 0 || prefix.len() > AFFIX_MAX {
        return None;
    }
    let numbers = values.iter().map(|value| number_of(value.strip_prefix(prefix)?)).collect::<Option<Vec<_>>>()?;
    put_uvarint(out, prefix.len() as u64);
    out.extend_from_slice(prefix);
    encode_integers(&numbers, out);
    Some(())
}

fn decode_numbers(reader: &mut Reader<'_>, count: usize, pick: Pick<'_>) -> Result<Texts> {
    let len = reader.length(AFFIX_MAX)?;
    let prefix = reader.bytes(len)?;
    let numbers = pick.integers(reader, count)?;
    let mut text = Vec::with_capacity(numbers.len() * (prefix.len() + 8));
    let mut lengths = Vec::with_capacity(numbers.len());
    for number in numbers {
        if number < 0 {
            return Err(malformed("texts", "a number below 0"));
        }
        let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
        text.extend_from_slice(prefix);
        put_digits(number, digits, &mut text);
        lengths.push((prefix.len() + digits) as u32);
    }
    Ok(Texts::Bytes { lengths, bytes: text.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_times() -> Result<RowTimes> {
        Err(malformed("texts", "no times"))
    }

    #[test]
    fn times_of_rows_take_no_bytes() {
        let times = RowTimes { times: vec![-1, 0, 1_767_225_600_327_000_000, 5_000_999], digits: 9 };
        let rows = |at: usize| [1, 2, 3][at];
        let check = |values: [&str; 3]| {
            let texts = values.map(str::as_bytes);
            let bytes = encode_row_times(&texts, &rows, &times)?;
            let picked = || Ok(RowTimes { times: times.times[1..].to_vec(), digits: 9 });
            let Ok(Texts::Bytes { bytes: text, .. }) = decode_shape(&mut Reader::new(&bytes), 3, Pick::All, &picked)
            else {
                panic!()
            };
            assert_eq!(text.as_slice(), values.concat().as_bytes());
            assert!(decode_shape(&mut Reader::new(&bytes), 4, Pick::All, &picked).is_err(), "a row more");
            Some(bytes.len())
        };
        let len = check(["1970-01-01T00:00:00.000Z", "2026-01-01T00:00:00.327Z", "1970-01-01T00:00:00.005Z"]);
        assert_eq!(len, Some(5));
        assert_eq!(check(["1970-01-01T00:00:00.000Z", "2026-01-01T00:00:00.327Z", "1970-01-01T00:00:00.006Z"]), None);
        assert_eq!(check(["1970-01-01", "2026-01-01", "1970-01-01"]), None);
    }

    fn shape(values: &[&str]) -> Option<u8> {
        let texts: Vec<&[u8]> = values.iter().map(|v| v.as_bytes()).collect();
        let bytes = encode_shape(&texts, false)?;
        let mut reader = Reader::new(&bytes);
        let Texts::Bytes { lengths, bytes: text } =
            decode_shape(&mut reader, values.len(), Pick::All, &no_times).unwrap()
        else {
            panic!()
        };
        assert!(reader.is_empty());
        assert_eq!(text.as_slice(), values.concat().as_bytes());
        assert!(lengths.iter().zip(values).all(|(len, v)| *len as usize == v.len()));
        Some(bytes[0])
    }

    #[test]
    fn shapes_are_seen_and_rebuilt() {
        assert_eq!(shape(&["550e8400-e29b-41d4-a716-446655440000"]), Some(UUID));
        assert_eq!(shape(&["550e8400-e29b-41d4-a716-44665544000G"]), None);
        assert_eq!(shape(&["00ff", "beef"]), Some(HEX));
        assert_eq!(shape(&["00ff", "beeF"]), None);
        assert_eq!(shape(&["00ff", "bee", "", "a"]), Some(MIXED_HEX));
        // Nine bits each are fewer than three digits of four.
        let padded: Vec<String> = (0..300).map(|n| format!("{:03}", n * 7 % 512)).collect();
        assert_eq!(shape(&padded.iter().map(String::as_str).collect::<Vec<_>>()), Some(TEMPLATES));
        assert_eq!(shape(&["2026-01-31T23:59:59.123Z", "1969-12-31T00:00:00.000Z"]), Some(TIME));
        assert_eq!(shape(&["2024-02-29 00:00:00+02:00", "0000-01-01 00:00:00+02:00"]), Some(TIME));
        assert_eq!(shape(&["9999-12-31", "1970-01-01"]), Some(TIME));
        assert_eq!(shape(&["2023-02-29", "1970-01-01"]), None);
        assert_eq!(shape(&["2026-01-31T23:59:60Z"]), None);
        assert_eq!(shape(&["2026-01-31T23:59:59.123Z", "2026-01-31T23:59:59.1Z"]), None);
        assert_eq!(shape(&["9999-12-31T23:59:59.999999999Z"]), None);
        assert_eq!(shape(&["user_12", "user_0", "user_999999999999999999"]), Some(NUMBER));
        assert_eq!(shape(&["7", "-7"]), None);
        assert_eq!(shape(&["", "g"]), None);
    }

    proptest::proptest! {
        #[test]
        fn dates_round_trip(days in -700_000i64..2_900_000) {
            let (year, month, day) = date_of(days);
            proptest::prop_assert_eq!(days_of(year, month, day), days);
        }

        #[test]
        fn a_moment_is_what_gives_its_text(
            digits in "[0-9-]{4}-[0-3][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9][:.][0-6][0-9]",
            fraction in "([.][0-9]{1,9})?",
            suffix in "(Z|[+]01:00)?",
        ) {
            let text = format!("{digits}{fraction}{suffix}");
            let Some(form) = TimeForm::of(text.as_bytes()) else { return Ok(()) };
            if let Some(moment) = form.parse(text.as_bytes(), &mut LastDate::new()) {
                let mut back = Vec::new();
                form.put(moment, &mut LastDate::new(), &mut back).unwrap();
                proptest::prop_assert_eq!(back, text.as_bytes());
            }
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80), count in 0usize..40) {
            let _ = decode_shape(&mut Reader::new(&bytes), count, Pick::All, &no_times);
            let places: Vec<u32> = (0..count as u32).step_by(3).collect();
            let _ = decode_shape(&mut Reader::new(&bytes), count, Pick::At(&places), &no_times);
        }
    }
}
