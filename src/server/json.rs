//! Writes JSON straight into a buffer: texts, numbers and timestamps as Prometheus' API writes them.

use chronolith_storage::Labels;

/// Appends a quoted JSON text.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\' || b == 0x7f) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&byte, tail)) = tail.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x7f => out.push(0x7f),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends `"name":`.
pub(crate) fn key(out: &mut Vec<u8>, name: &str) {
    string(out, name);
    out.push(b':');
}

/// Appends a whole number.
pub(crate) fn unsigned(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // A u64 has at most 20 digits, so `at` stays inside the array.
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a whole number with its sign.
pub(crate) fn signed(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    unsigned(out, n.unsigned_abs());
}

/// Appends milliseconds as seconds, with as many decimals as are needed: `1435781451.781`, `1435781451.7`... as
/// Prometheus, three decimals or none.
pub(crate) fn timestamp(out: &mut Vec<u8>, ms: i64) {
    if ms < 0 {
        out.push(b'-');
    }
    let ms = ms.unsigned_abs();
    unsigned(out, ms / 1000);
    let fraction = (ms % 1000) as u16;
    if fraction != 0 {
        out.push(b'.');
        for unit in [100, 10, 1] {
            out.push(b'0' + (fraction / unit % 10) as u8);
        }
    }
}

/// Appends a quoted sample value: the shortest decimal that reads back the same, an exponent below 1e-6 and from 1e21 on.
pub(crate) fn value(out: &mut Vec<u8>, v: f64) {
    out.push(b'"');
    number(out, v);
    out.push(b'"');
}

/// As [`value`], without the quotes.
pub(crate) fn number(out: &mut Vec<u8>, v: f64) {
    /// Up to here every whole number is a float.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    let size = v.abs();
    if v.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if v.is_infinite() {
        out.extend_from_slice(if v > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if size < WHOLE && v.trunc() == v {
        if v.is_sign_negative() {
            out.push(b'-');
        }
        unsigned(out, size as u64);
    } else if !(1e-6..1e21).contains(&size) {
        exponent(out, v);
    } else {
        chronolith_promql::format::write_float(out, v);
    }
}

/// Go writes at least two digits of the exponent and always its sign.
fn exponent(out: &mut Vec<u8>, v: f64) {
    let text = format!("{v:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    out.extend_from_slice(mantissa.as_bytes());
    let (sign, digits) = exponent.strip_prefix('-').map_or((b'+', exponent), |d| (b'-', d));
    out.extend_from_slice(&[b'e', sign]);
    if digits.len() < 2 {
        out.push(b'0');
    }
    out.extend_from_slice(digits.as_bytes());
}

/// Appends a label set as an object.
pub(crate) fn labels(out: &mut Vec<u8>, labels: &Labels) {
    object(out, labels.iter(), string);
}

/// Appends an object whose values are written by `write`.
pub(crate) fn object<K: AsRef<str>, V>(
    out: &mut Vec<u8>,
    pairs: impl IntoIterator<Item = (K, V)>,
    mut write: impl FnMut(&mut Vec<u8>, V),
) {
    out.push(b'{');
    for (i, (name, v)) in pairs.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        key(out, name.as_ref());
        write(out, v);
    }
    out.push(b'}');
}

/// Appends an array whose elements are written by `write`.
pub(crate) fn array<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Appends an array of texts.
pub(crate) fn strings<S: AsRef<str>>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = S>) {
    array(out, texts, |out, text| string(out, text.as_ref()));
}

/// Appends `true` or `false`.
pub(crate) fn boolean(out: &mut Vec<u8>, b: bool) {
    out.extend_from_slice(if b { b"true" } else { b"false" });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn timestamps_have_three_decimals_or_none() {
        for (ms, text) in [
            (1_435_781_451_781, "1435781451.781"),
            (1_000, "1"),
            (7, "0.007"),
            (70, "0.070"),
            (-1_500, "-1.500"),
            (0, "0"),
        ] {
            assert_eq!(written(|out| timestamp(out, ms)), text);
        }
        assert_eq!(written(|out| timestamp(out, i64::MIN)), "-9223372036854775.808");
    }

    #[test]
    fn values_are_written_as_go_writes_them() {
        for (v, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-12_345.0, "-12345"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (9.9e-7, "9.9e-07"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e-300, "-1.5e-300"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (9_007_199_254_740_993.0, "9007199254740992"),
        ] {
            assert_eq!(written(|out| number(out, v)), text);
        }
    }

    proptest! {
        #[test]
        fn every_text_reads_back(text in ".*") {
            let json = written(|out| string(out, &text));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn every_value_reads_back(bits in any::<u64>()) {
            let v = f64::from_bits(bits);
            prop_assume!(v.is_finite());
            let text = written(|out| number(out, v));
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), v.to_bits());
        }

        #[test]
        fn every_integer_reads_back(n in any::<i64>()) {
            prop_assert_eq!(written(|out| signed(out, n)).parse::<i64>().unwrap(), n);
        }
    }
}
