//! Numbers in the texts of queries and results: written as Go's `strconv` writes them, read as PromQL reads them.

/// Appends a number as Prometheus prints sample values: Go's `FormatFloat(v, 'f', -1, 64)`, the shortest decimal without
/// exponent that reads back as the same number; `NaN`, `+Inf`, `-Inf`.
pub fn write_float(out: &mut Vec<u8>, value: f64) {
    // Most counters and gauges are whole numbers. Up to 2^53 every one of them is its own shortest decimal.
    if value.abs() < 9_007_199_254_740_992.0 && value.trunc() == value {
        if value.is_sign_negative() {
            out.push(b'-');
        }
        return write_whole(out, value.abs() as u64);
    }
    if value.is_finite() {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        if !text.as_bytes().contains(&b'e') {
            return out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
        }
    }
    if let Some(decimal) = Decimal::shortest(out, value) {
        decimal.write_plain(out);
    }
}

/// [`write_float`] as a new text.
#[must_use]
pub fn float(value: f64) -> String {
    text(write_float, value)
}

/// Appends a number as Go's `%v` and `%g` print it: with an exponent when that is under -4 or over 5.
pub fn write_float_general(out: &mut Vec<u8>, value: f64) {
    let Some(decimal) = Decimal::shortest(out, value) else { return };
    let exponent = decimal.point - 1;
    if (-4..6).contains(&exponent) {
        return decimal.write_plain(out);
    }
    if let Some((first, rest)) = decimal.digits().split_first() {
        out.push(*first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    write_whole(out, u64::from(exponent.unsigned_abs()));
}

/// [`write_float_general`] as a new text.
#[must_use]
pub fn float_general(value: f64) -> String {
    text(write_float_general, value)
}

fn text(write: fn(&mut Vec<u8>, f64), value: f64) -> String {
    let mut out = Vec::with_capacity(24);
    write(&mut out, value);
    String::from_utf8(out).expect("numbers are written in ASCII")
}

/// Appends a whole number.
fn write_whole(out: &mut Vec<u8>, mut n: u64) {
    // 2^64 has 20 digits.
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (n % 10) as u8;
        n /= 10;
        at -= 1;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// The shortest decimal of a number: `0.d1d2d3... * 10^point`, without zeros at either end.
struct Decimal {
    digits: [u8; 24],
    len: usize,
    point: i32,
}

impl Decimal {
    fn digits(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }

    /// Writes the digits without an exponent.
    fn write_plain(&self, out: &mut Vec<u8>) {
        let digits = self.digits();
        let Ok(whole) = usize::try_from(self.point) else {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + self.point.unsigned_abs() as usize, b'0');
            return out.extend_from_slice(digits);
        };
        match digits.split_at_checked(whole) {
            Some((before, after)) => {
                out.extend_from_slice(if before.is_empty() { b"0" } else { before });
                if !after.is_empty() {
                    out.push(b'.');
                    out.extend_from_slice(after);
                }
            }
            None => {
                let end = out.len() + whole;
                out.extend_from_slice(digits);
                out.resize(end, b'0');
            }
        }
    }

    /// Writes the sign, or the whole of a number that has no digits; then `None`.
    fn shortest(out: &mut Vec<u8>, value: f64) -> Option<Self> {
        if !value.is_finite() || value == 0.0 {
            out.extend_from_slice(match value {
                v if v.is_nan() => b"NaN".as_slice(),
                f64::INFINITY => b"+Inf",
                f64::NEG_INFINITY => b"-Inf",
                v if v.is_sign_negative() => b"-0",
                _ => b"0",
            });
            return None;
        }
        if value < 0.0 {
            out.push(b'-');
        }
        let mut buffer = zmij::Buffer::new();
        let (mut digits, mut len, mut point, mut seen_point, mut exponent) = ([0u8; 24], 0, 0i32, false, 0i32);
        let mut bytes = buffer.format_finite(value.abs()).bytes();
        while let Some(b) = bytes.next() {
            match b {
                b'.' => seen_point = true,
                b'e' => {
                    let mut negative = false;
                    for b in bytes.by_ref() {
                        match b {
                            b'-' => negative = true,
                            b'0'..=b'9' => exponent = exponent * 10 + i32::from(b - b'0'),
                            _ => {}
                        }
                    }
                    if negative {
                        exponent = -exponent;
                    }
                }
                // Zeros before the first digit only move the point.
                b'0' if len == 0 => point -= i32::from(seen_point),
                _ => {
                    if let Some(slot) = digits.get_mut(len) {
                        *slot = b;
                        len += 1;
                    }
                    point += i32::from(!seen_point);
                }
            }
        }
        while len > 0 && digits.get(len - 1) == Some(&b'0') {
            len -= 1;
        }
        Some(Self { digits, len, point: point + exponent })
    }
}

/// Reads a number as Prometheus' parser does: first as a Go integer literal (`0x1f`, `017` is octal, `1_000`), then as a
/// Go float (`1e3`, `.5`, `Inf`, `nan`).
///
/// # Errors
/// What Prometheus says about the text.
pub fn parse_number(text: &str) -> Result<f64, String> {
    let refused = |reason| format!("error parsing number: strconv.ParseFloat: parsing {text:?}: {reason}");
    if let Some(n) = parse_integer(text) {
        return Ok(n as f64);
    }
    let digits = if text.contains('_') {
        if !underscores_stand_between_digits(text) {
            return Err(refused("invalid syntax"));
        }
        &text.replace('_', "")
    } else {
        text
    };
    let value: f64 = digits.parse().map_err(|_| refused("invalid syntax"))?;
    if value.is_infinite() && digits.contains(|c: char| c.is_ascii_digit()) {
        return Err(refused("value out of range"));
    }
    Ok(value)
}

/// Go's `ParseInt(text, 0, 64)` without a sign.
fn parse_integer(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)?),
        [b'0', b'b', ..] => (2, lower.get(2..)?),
        [b'0', b'o', ..] => (8, lower.get(2..)?),
        [b'0', _, ..] => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    if digits.contains('_') {
        if !underscores_stand_between_digits(&lower) {
            return None;
        }
        return i64::from_str_radix(&digits.replace('_', ""), radix).ok();
    }
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok()
}

/// Go's rule: an underscore stands between two digits, or between the prefix of a base and a digit.
fn underscores_stand_between_digits(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let (hex, rest) = match lower.as_bytes() {
        [b'0', b'x', rest @ ..] => (true, rest),
        [b'0', b'b' | b'o', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let is_digit = |b: u8| b.is_ascii_digit() || (hex && matches!(b, b'a'..=b'f'));
    let mut before_is_digit = rest.len() != lower.len();
    for (i, b) in rest.iter().enumerate() {
        if *b == b'_' && !(before_is_digit && rest.get(i + 1).is_some_and(|next| is_digit(*next))) {
            return false;
        }
        before_is_digit = is_digit(*b);
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prints_as_go_prints() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1234567.0, "-1234567"),
            (0.5, "0.5"),
            (-0.001, "-0.001"),
            (0.1 + 0.2, "0.30000000000000004"),
            (123.456, "123.456"),
            (1e21, "1000000000000000000000"),
            (1.5e300, &format!("15{}", "0".repeat(299))),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (1e-7, "0.0000001"),
            (-827_202_778_418_015.0 - 0.25, "-827202778418015.2"),
            (827_202_778_418_015.0 + 0.75, "827202778418015.8"),
            (5e-324, &format!("0.{}5", "0".repeat(323))),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, text) in cases {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn prints_the_general_form_as_go_prints() {
        let cases = [
            (5.0, "5"),
            (-23.0, "-23"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-0.000012345, "-1.2345e-05"),
            (123456.0, "123456"),
            (1e6, "1e+06"),
            (123456789.0, "1.23456789e+08"),
            (1e21, "1e+21"),
            (1.25e100, "1.25e+100"),
            (-0.0, "-0"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, text) in cases {
            assert_eq!(float_general(value), text);
        }
    }

    #[test]
    fn reads_what_prometheus_reads() {
        let cases = [
            ("1", 1.0),
            ("0xc", 12.0),
            ("0755", 493.0),
            ("089", 89.0),
            ("1_000", 1000.0),
            ("0x_1f", 31.0),
            ("1_2.5_0e1", 125.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("5e-3", 0.005),
            ("inf", f64::INFINITY),
            ("+Inf", f64::INFINITY),
            ("99999999999999999999", 1e20),
        ];
        for (text, value) in cases {
            assert_eq!(parse_number(text), Ok(value), "{text}");
        }
        assert!(parse_number("NaN").unwrap().is_nan());
        for text in ["", "1__0", "_1", "1_", "0xg", "1e400", "0x", "++1"] {
            assert!(parse_number(text).is_err(), "{text}");
        }
    }

    /// The shortest decimal by the standard library. Of two that are equally near it takes any, and Go the even one.
    fn shortest(value: f64) -> String {
        let digits = |scientific: String| -> Vec<u8> {
            let mantissa = scientific.split('e').next().unwrap().bytes().filter(u8::is_ascii_digit);
            let digits: Vec<u8> = mantissa.collect();
            digits[..digits.iter().rposition(|d| *d != b'0').map_or(0, |last| last + 1)].to_vec()
        };
        let text = format!("{value}");
        // No number has more than 767 digits.
        let (short, exact) = (digits(format!("{value:e}")), digits(format!("{value:.800e}")));
        if exact.len() != short.len() + 1 || !exact.ends_with(b"5") {
            return text;
        }
        let below = exact[short.len() - 1];
        let even = char::from(if below % 2 == 0 { below } else { below + 1 });
        let last = text.rfind(|c: char| ('1'..='9').contains(&c)).unwrap();
        let other = [&text[..last], even.encode_utf8(&mut [0; 4]), &text[last + 1..]].concat();
        // Below a power of two, the nearest numbers are nearer.
        if other.parse() == Ok(value) { other } else { text }
    }

    proptest! {
        #[test]
        fn equals_the_standard_library(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                prop_assert_eq!(float(value), shortest(value));
            }
        }

        #[test]
        fn ties_go_to_the_even_digit(n in 1i64 << 49..1 << 50, quarter in 0..4) {
            let value = n as f64 + f64::from(quarter) / 4.0;
            prop_assert_eq!(float(value), shortest(value));
        }

        #[test]
        fn equals_the_standard_library_for_short_decimals(n in -1_000_000_000i64..1_000_000_000, e in 0u32..9) {
            let value = n as f64 / 10f64.powi(e as i32);
            prop_assert_eq!(float(value), format!("{value}"));
        }

        #[test]
        fn the_general_form_reads_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                prop_assert_eq!(float_general(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
            }
        }

        #[test]
        fn reading_never_panics(text in ".*") {
            let _ = parse_number(&text);
        }
    }
}
