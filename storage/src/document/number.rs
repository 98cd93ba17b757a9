//! Numbers: what they are worth, and whether they print as they were written.

use super::{error::DocumentError, scanner::Scanner};

/// Any decimal of this many digits is the shortest text of the float that is nearest to it.
const SURE_DIGITS: usize = 15;
/// Digits that a signed integer of 64 bits surely has room for.
const SHORT_INTEGER: usize = 18;
/// Powers of ten up to 10^15 are floats, as are whole numbers up to 2^53, so one division rounds once.
const POWERS: [f64; SURE_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A number's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Written without point and exponent, and not too large. It prints as it was written.
    Integer(i64),
    /// Any other number.
    Float {
        /// The nearest float.
        value: f64,
        /// Whether it prints as it was written.
        prints: bool,
    },
}

/// Reads a number, and tells its text.
pub(super) fn read<'a>(s: &mut Scanner<'a>) -> Result<(Number, &'a str), DocumentError> {
    let from = s.at;
    let negative = s.peek() == Some(b'-');
    s.at += usize::from(negative);
    let mut digits = Digits::default();
    let wants_digit = |s: &Scanner<'_>| {
        if s.peek().is_none() { s.ended() } else { DocumentError::syntax(s.at, "a number lacks a digit here") }
    };
    if !digits.read(s) {
        return Err(wants_digit(s));
    }
    let whole = digits.count;
    if whole > 1 && digits.leading_zero {
        return Err(DocumentError::syntax(from, "a number must not begin with a zero"));
    }
    let mut point = false;
    if s.peek() == Some(b'.') {
        s.at += 1;
        point = true;
        if !digits.read(s) {
            return Err(wants_digit(s));
        }
    }
    let mut exponent = false;
    if let Some(b'e' | b'E') = s.peek() {
        s.at += 1;
        exponent = true;
        if let Some(b'+' | b'-') = s.peek() {
            s.at += 1;
        }
        if !Digits::default().read(s) {
            return Err(wants_digit(s));
        }
    }
    if s.peek().is_none() && s.is_cut() {
        return Err(s.ended());
    }
    let text = s.slice(from, s.at)?;
    let number = match (point, exponent) {
        (false, false) => integer(text, &digits, negative),
        (true, false) => decimal(text, &digits, whole, negative),
        _ => float(text),
    };
    Ok((number, text))
}

/// Digits that were stepped over.
#[derive(Debug, Default)]
struct Digits {
    count: usize,
    /// What they are worth together; wrong beyond 19 digits.
    value: u64,
    leading_zero: bool,
    last: u8,
}

impl Digits {
    /// Reads on; whether there was a digit.
    fn read(&mut self, s: &mut Scanner<'_>) -> bool {
        let before = self.count;
        while let Some(digit) = s.digit() {
            self.leading_zero |= self.count == 0 && digit == 0;
            self.value = self.value.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.count += 1;
            self.last = digit;
        }
        self.count > before
    }
}

fn integer(text: &str, digits: &Digits, negative: bool) -> Number {
    if negative && digits.value == 0 && digits.count == 1 {
        return Number::Float { value: -0.0, prints: false };
    }
    if digits.count <= SHORT_INTEGER {
        // At most 18 digits fit.
        let value = digits.value as i64;
        return Number::Integer(if negative { -value } else { value });
    }
    text.parse().map_or_else(|_| float(text), Number::Integer)
}

fn decimal(text: &str, digits: &Digits, whole: usize, negative: bool) -> Number {
    let fraction = digits.count - whole;
    let ends_well = digits.last != 0 || fraction == 1;
    if digits.count > SURE_DIGITS || !ends_well {
        return float(text);
    }
    let value = digits.value as f64 / POWERS[fraction];
    // Small numbers print with an exponent.
    if value != 0.0 && value < 1e-3 {
        return float(text);
    }
    Number::Float { value: if negative { -value } else { value }, prints: true }
}

/// Any number. What is beyond a float's range is infinite, and its text tells what it was.
fn float(text: &str) -> Number {
    let value: f64 = text.parse().unwrap_or(f64::NAN);
    Number::Float { value, prints: value.is_finite() && zmij::Buffer::new().format_finite(value) == text }
}

/// Appends a float as documents have it. What is no number in JSON is null.
pub(super) fn write_float(out: &mut String, value: f64) {
    if value.is_finite() {
        out.push_str(zmij::Buffer::new().format_finite(value));
    } else {
        out.push_str("null");
    }
}
