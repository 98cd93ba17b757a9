//! Floats in text: the fewest digits that read back as the same number, laid out as PostgreSQL does.

use std::io::Write as _;

/// Writes a `float8`.
pub fn write_f64(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        // Numbers with a larger exponent than this are written with it, as C's `%g` with 15 digits.
        lay_out(out, &format!("{number:e}"), 15);
    } else {
        special(out, number);
    }
}

/// Writes a `float4`.
pub fn write_f32(out: &mut Vec<u8>, number: f32) {
    if number.is_finite() {
        lay_out(out, &format!("{number:e}"), 6);
    } else {
        special(out, f64::from(number));
    }
}

fn special(out: &mut Vec<u8>, number: f64) {
    out.extend_from_slice(match number {
        f64::INFINITY => b"Infinity",
        f64::NEG_INFINITY => b"-Infinity",
        _ => b"NaN",
    });
}

/// Lays out what Rust writes as digits and an exponent, such as `-1.25e-7`.
fn lay_out(out: &mut Vec<u8>, shortest: &str, precision: i32) {
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    out.extend_from_slice(sign.as_bytes());
    if exponent < -4 || exponent >= precision {
        let mark = if exponent < 0 { '-' } else { '+' };
        // Writing to a vector cannot fail.
        let _ = write!(out, "{mantissa}e{mark}{:02}", exponent.unsigned_abs());
        return;
    }
    let digits = mantissa.bytes().filter(|b| *b != b'.');
    let Ok(whole) = usize::try_from(exponent) else {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', usize::try_from(-exponent - 1).unwrap_or(0)));
        out.extend(digits);
        return;
    };
    let mut written = 0;
    for digit in digits {
        if written == whole + 1 {
            out.push(b'.');
        }
        out.push(digit);
        written += 1;
    }
    out.extend(std::iter::repeat_n(b'0', (whole + 1).saturating_sub(written)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_look_as_in_postgresql() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (100.0, "100"),
            (1234.5, "1234.5"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (1e-300, "1e-300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            let mut out = Vec::new();
            write_f64(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        let mut out = Vec::new();
        write_f32(&mut out, 1.0e6);
        out.push(b' ');
        write_f32(&mut out, 0.1);
        assert_eq!(String::from_utf8(out).unwrap(), "1e+06 0.1");
    }
}
