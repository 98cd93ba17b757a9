//! Numerics: integers divided by a power of ten, in text and in PostgreSQL's binary form (digits of base 10,000).

use std::io::Write as _;

/// Digits of a numeric that can be held.
pub const NUMERIC_DIGITS: u8 = 38;

/// The sign word of a negative number.
const NEGATIVE: u16 = 0x4000;
/// The largest number of places after the point that is read.
const MAX_SCALE: usize = 38;

/// A number: `digits` divided by ten to the power of `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numeric {
    /// The digits as one integer.
    pub digits: i128,
    /// How many of them are after the point.
    pub scale: u8,
}

/// Why a numeric cannot be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumericError {
    /// It is no number.
    Syntax,
    /// It has more digits than can be held, or is infinite or not a number.
    Range,
}

/// Writes the number in text.
pub fn write_text(out: &mut Vec<u8>, digits: i128, scale: i8) {
    if digits < 0 {
        out.push(b'-');
    }
    let start = out.len();
    // Writing to a vector cannot fail.
    let _ = write!(out, "{}", digits.unsigned_abs());
    match usize::try_from(scale) {
        Ok(0) => {}
        Ok(places) => {
            let written = out.len() - start;
            if written <= places {
                out.splice(start..start, std::iter::repeat_n(b'0', places + 1 - written));
            }
            let point = out.len() - places;
            out.insert(point, b'.');
        }
        Err(_) if digits == 0 => {}
        Err(_) => out.extend(std::iter::repeat_n(b'0', usize::from(scale.unsigned_abs()))),
    }
}

/// Writes the number in binary: count of groups, weight of the first, sign, places after the point, groups.
pub fn write_binary(out: &mut Vec<u8>, digits: i128, scale: i8) {
    let mut text = Vec::new();
    write_text(&mut text, digits.checked_abs().unwrap_or(i128::MAX), scale);
    let point = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or_default());
    let places = fraction.len();
    let mut groups: Vec<u16> = Vec::new();
    let lead = whole.len() % 4;
    let group = |part: &[u8], width: usize| {
        let number = part.iter().fold(0_u16, |n, d| n * 10 + u16::from(d - b'0'));
        (part.len()..width).fold(number, |n, _| n * 10)
    };
    if lead > 0 {
        groups.push(group(&whole[..lead], lead));
    }
    groups.extend(whole[lead..].chunks(4).map(|part| group(part, 4)));
    let mut weight = i16::try_from(groups.len()).unwrap_or(0) - 1;
    groups.extend(fraction.chunks(4).map(|part| group(part, 4)));
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let zeros = groups.iter().take_while(|g| **g == 0).count();
    groups.drain(..zeros);
    weight = if groups.is_empty() { 0 } else { weight - i16::try_from(zeros).unwrap_or(0) };
    let sign = if digits < 0 { NEGATIVE } else { 0 };
    let count = u16::try_from(groups.len()).unwrap_or(0);
    for word in [count, weight.cast_unsigned(), sign, u16::try_from(places).unwrap_or(0)].into_iter().chain(groups) {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// Reads the binary form.
///
/// # Errors
/// When it is malformed, or the number cannot be held.
pub fn read_binary(bytes: &[u8]) -> Result<Numeric, NumericError> {
    let (head, rest) = bytes.split_first_chunk::<8>().ok_or(NumericError::Syntax)?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (count, weight, sign) = (usize::from(word(0)), i32::from(word(2).cast_signed()), word(4));
    let places = usize::from(word(6));
    if rest.len() != count * 2 {
        return Err(NumericError::Syntax);
    }
    if !matches!(sign, 0 | NEGATIVE) || places > MAX_SCALE {
        return Err(NumericError::Range);
    }
    let mut digits: i128 = 0;
    for (group, place) in rest.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).zip(0_i32..) {
        match group {
            0 => {}
            1..=9999 => {
                // The group counts `10,000^(weight - place)`, wanted are units of `1 / 10^places`.
                let power = (weight - place) * 4 + i32::try_from(places).unwrap_or(0);
                let part = shifted(i128::from(group), power)?;
                digits = digits.checked_add(part).ok_or(NumericError::Range)?;
            }
            _ => return Err(NumericError::Syntax),
        }
    }
    checked(if sign == NEGATIVE { -digits } else { digits }, places)
}

/// The number times ten to this power; places that are cut off are beyond those that the sender counts.
fn shifted(number: i128, power: i32) -> Result<i128, NumericError> {
    let factor = 10_i128.checked_pow(power.unsigned_abs());
    match factor {
        Some(factor) if power < 0 => Ok(number / factor),
        None if power < 0 => Ok(0),
        factor => factor.and_then(|factor| number.checked_mul(factor)).ok_or(NumericError::Range),
    }
}

fn checked(digits: i128, places: usize) -> Result<Numeric, NumericError> {
    let most = 10_u128.pow(u32::from(NUMERIC_DIGITS));
    match u8::try_from(places) {
        Ok(scale) if digits.unsigned_abs() < most && scale <= NUMERIC_DIGITS => Ok(Numeric { digits, scale }),
        _ => Err(NumericError::Range),
    }
}

/// Reads a number in text, with an exponent or without.
///
/// # Errors
/// When it is malformed, or the number cannot be held.
pub fn read_text(text: &str) -> Result<Numeric, NumericError> {
    let text = text.trim();
    if ["nan", "infinity", "-infinity", "inf", "-inf"].contains(&text.to_ascii_lowercase().as_str()) {
        return Err(NumericError::Range);
    }
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().map_err(|_| NumericError::Syntax)?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.as_bytes().first() {
        Some(b'-') => (true, &mantissa[1..]),
        Some(b'+') => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(NumericError::Syntax);
    }
    let mut digits: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        digits =
            digits.checked_mul(10).and_then(|n| n.checked_add(i128::from(digit - b'0'))).ok_or(NumericError::Range)?;
    }
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX).saturating_sub(i64::from(exponent));
    let digits = if negative { -digits } else { digits };
    match usize::try_from(places) {
        Ok(places) => checked(digits, places),
        Err(_) => checked(shifted(digits, i32::try_from(-places).map_err(|_| NumericError::Range)?)?, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_pass_through_both_forms() {
        let most = 10_i128.pow(38) - 1;
        for digits in [0, 1, -1, 9, 10, 9999, 10_000, 10_001, 123_456_789, -100_000_000, most, -most] {
            for scale in [0_u8, 1, 2, 4, 5, 10, 37, 38] {
                let number = Numeric { digits, scale };
                let mut binary = Vec::new();
                write_binary(&mut binary, digits, scale.cast_signed());
                assert_eq!(read_binary(&binary), Ok(number), "{number:?} {binary:?}");
                let mut text = Vec::new();
                write_text(&mut text, digits, scale.cast_signed());
                let text = String::from_utf8(text).unwrap();
                assert_eq!(read_text(&text), Ok(number), "{text}");
            }
        }
        // What PostgreSQL 15 sends for 12345.678.
        let mut binary = Vec::new();
        write_binary(&mut binary, 12_345_678, 3);
        assert_eq!(binary, [0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1a, 0x7c]);
    }

    #[test]
    fn what_cannot_be_held_is_refused() {
        for text in ["", "-", ".", "1.2.3", "1e", "abc", "1 2", "--1"] {
            assert_eq!(read_text(text), Err(NumericError::Syntax), "{text}");
        }
        for text in ["NaN", "Infinity", "1e40", "1e-40", "1e999999999", "123456789012345678901234567890123456789"] {
            assert_eq!(read_text(text), Err(NumericError::Range), "{text}");
        }
        assert_eq!(read_text("1.5e3"), Ok(Numeric { digits: 1500, scale: 0 }));
        assert_eq!(read_binary(&[0, 0, 0, 0, 0xc0, 0, 0, 0]), Err(NumericError::Range));
        assert_eq!(read_binary(&[0, 1, 0, 0, 0, 0, 0, 0]), Err(NumericError::Syntax));
        assert_eq!(read_binary(&[0, 1, 0x7f, 0xff, 0, 0, 0, 0, 0, 1]), Err(NumericError::Range));
    }
}
