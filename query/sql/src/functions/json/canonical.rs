//! The form that a jsonb value has: keys by length and then by bytes, each once, and numbers as numerics print.

use std::{borrow::Cow, sync::Arc};

use arrow::{array::StringViewArray, datatypes::DataType};
use datafusion::common::{Result, exec_err};

use super::{
    super::scalar::{Arg, Scalar, Shape, exactly},
    scan::{self, Step},
    value::Json,
};

/// Digits before the point that a numeric has at most, as in PostgreSQL.
const WHOLE_MAX: usize = 131_072;
/// Digits behind it.
const FRACTION_MAX: usize = 16_383;

/// A JSON text as jsonb holds and prints it.
///
/// # Errors
/// When it is no JSON, or a number has more digits than a numeric.
pub(crate) fn jsonb(text: &str) -> Result<String> {
    let mut json = scan::parse(text)?;
    if !normalise(&mut json) {
        return exec_err!("value overflows numeric format");
    }
    Ok(json.to_string())
}

/// The text of a value that a function made, as jsonb.
pub(super) fn written(mut json: Json) -> String {
    normalise(&mut json);
    json.to_string()
}

/// A stored JSON text as jsonb prints it; numbers that are no numerics stay as they are written.
pub(crate) fn jsonb_of_stored(text: &str) -> Result<String> {
    let mut json = scan::parse(text)?;
    normalise(&mut json);
    Ok(json.to_string())
}

/// The text of the value that these keys lead to, from one that a text writes. None where there is no such object.
pub(crate) fn member<'a>(text: &'a str, keys: &[String]) -> Result<Option<&'a str>> {
    let mut at = scan::check(text)?;
    for key in keys {
        match scan::step(at, Step::Key(key))? {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// What `->>` makes of a value in the form of jsonb: of a string what it says, of null nothing.
pub(crate) fn text_of(raw: &str) -> Result<Option<Cow<'_, str>>> {
    scan::as_text(raw)
}

/// What comparisons compare of jsonb. It is text: nobody sees it as a value.
pub(in super::super) fn jsonb_comparable() -> Scalar {
    const ONE: &[Shape] = &[exactly(&[Arg::Text])];
    Scalar::new(
        "jsonb_comparable",
        ONE,
        |_| Ok(DataType::Utf8View),
        |call| {
            let texts = call.text(0)?;
            Ok(Arc::new(texts.iter().map(|text| text.map(comparable)).collect::<StringViewArray>()))
        },
    )
}

/// A text in the form of jsonb with which equal values are equal texts: numerics are equal whatever zeros are behind the
/// point.
fn comparable(form: &str) -> Cow<'_, str> {
    if !form.contains('.') {
        return Cow::Borrowed(form);
    }
    let mut out = String::with_capacity(form.len());
    let (mut rest, mut quoted) = (form, false);
    while let Some(at) = rest.find(['"', '\\', '.']) {
        let (before, special) = rest.split_at(at);
        out.push_str(before);
        match special.as_bytes().first() {
            Some(b'\\') => {
                // What is escaped is no end of a string.
                let end = special.char_indices().nth(2).map_or(special.len(), |(end, _)| end);
                out.push_str(&special[..end]);
                rest = &special[end..];
            }
            Some(b'.') if !quoted => {
                let digits = special[1..].find(|c: char| !c.is_ascii_digit()).map_or(special.len(), |end| end + 1);
                let (fraction, behind) = special.split_at(digits);
                // What has an exponent still is no numeric, and equal to nothing but itself.
                let is_numeric = !behind.starts_with(['e', 'E']);
                out.push_str(if is_numeric { fraction.trim_end_matches('0').trim_end_matches('.') } else { fraction });
                rest = behind;
            }
            other => {
                quoted ^= other == Some(&b'"');
                out.push_str(&special[..1]);
                rest = &special[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Whether every number is a numeric; those that are print as such then.
fn normalise(json: &mut Json) -> bool {
    match json {
        Json::Number(text) => match number(text) {
            Some(printed) if *printed == **text => true,
            Some(printed) => {
                *text = printed.into_owned().into();
                true
            }
            None => false,
        },
        Json::Array(values) => normalise_all(values.iter_mut()),
        Json::Object(fields) => {
            fields.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
            // Of a key that is there twice, as functions may make it, the last one counts.
            fields.reverse();
            fields.dedup_by(|(a, _), (b, _)| a == b);
            fields.reverse();
            normalise_all(fields.iter_mut().map(|(_, value)| value))
        }
        Json::Null | Json::Bool(_) | Json::String(_) => true,
    }
}

/// The same for many: all of them are done, whatever one is.
fn normalise_all<'j>(values: impl Iterator<Item = &'j mut Json>) -> bool {
    let mut all = true;
    for value in values {
        all &= normalise(value);
    }
    all
}

/// A number of JSON as a numeric prints it: without an exponent, with the digits behind the point that were written.
fn number(text: &str) -> Option<Cow<'_, str>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.contains(['e', 'E']) && digits.len() <= FRACTION_MAX;
    let is_zero = |digits: &str| digits.bytes().all(|b| matches!(b, b'0' | b'.'));
    if plain {
        // Zero has no sign.
        return Some(Cow::Borrowed(if is_zero(digits) { digits } else { text }));
    }
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent: i64 = exponent.parse().ok().filter(|e: &i64| e.unsigned_abs() < 1 << 30)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all: String = [whole, fraction].concat();
    // Where the point is, counted from the first digit.
    let point = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let scale = usize::try_from(i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?).unwrap_or(0);
    let zero = is_zero(&all);
    let leading = all.len() - all.trim_start_matches('0').len();
    let before = if zero { 0 } else { point.saturating_sub(i64::try_from(leading).ok()?) };
    if usize::try_from(before).unwrap_or(0) > WHOLE_MAX || scale > FRACTION_MAX {
        return None;
    }
    let mut out = String::new();
    if text.starts_with('-') && !zero {
        out.push('-');
    }
    let digit =
        |at: i64| usize::try_from(at).ok().and_then(|at| all.as_bytes().get(at)).map_or('0', |b| char::from(*b));
    if before <= 0 {
        out.push('0');
    } else {
        (point - before..point).for_each(|at| out.push(digit(at)));
    }
    if scale > 0 {
        out.push('.');
        (point..point + i64::try_from(scale).ok()?).for_each(|at| out.push(digit(at)));
    }
    Some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_numerics() {
        let cases = [
            ("1.50", "1.50"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("1e3", "1000"),
            ("1.5e1", "15"),
            ("1.50e1", "15.0"),
            ("-1E-3", "-0.001"),
            ("100e-2", "1.00"),
            ("0e5", "0"),
            ("0.000e1", "0.00"),
            ("0.001e2", "0.1"),
            ("0.001e5", "100"),
            ("12345678901234567890.5", "12345678901234567890.5"),
        ];
        for (written, printed) in cases {
            assert_eq!(number(written).as_deref(), Some(printed), "{written}");
        }
        assert_eq!(number("1e131072"), None);
        assert_eq!(number("1e999999999999"), None);
    }

    #[test]
    fn equal_values_are_equal_texts() {
        for (form, text) in [
            ("1.00", "1"),
            ("[1.50, -0.0, 10, 0.010]", "[1.5, -0, 10, 0.01]"),
            (r#"{"1.0": "a\".50", "b": 2.0}"#, r#"{"1.0": "a\".50", "b": 2}"#),
            ("1.0e999999999999", "1.0e999999999999"),
            ("true", "true"),
        ] {
            assert_eq!(comparable(form), text);
        }
    }

    #[test]
    fn values_have_one_form() {
        let cases = [
            (r#" {"bb":1,"a":[1 , 2],"b":{}} "#, r#"{"a": [1, 2], "b": {}, "bb": 1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a": 2}"#),
            (r#""\u0041\/""#, r#""A/""#),
            ("[-0, -0.0, 1e2]", "[0, 0.0, 100]"),
            ("[]", "[]"),
        ];
        for (written, form) in cases {
            assert_eq!(jsonb(written).expect("it is JSON"), form);
            assert_eq!(jsonb(form).expect("it is JSON"), form);
        }
        assert!(jsonb("{").is_err());
    }
}
