//! The texts of JSON strings: escapes undone and written.

use super::error::{DocumentError, Refusal};

/// Appends the value of a string's text, which stands at byte `at`.
pub(super) fn unescape(raw: &str, at: usize, out: &mut String) -> Result<(), DocumentError> {
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let place = at + raw.len() - escape.len() - 1;
        let bad = || DocumentError::syntax(place, "there is no such escape in a string");
        let (letter, after) = escape.split_at_checked(1).ok_or_else(bad)?;
        rest = after;
        out.push(match letter {
            "\"" => '"',
            "\\" => '\\',
            "/" => '/',
            "b" => '\u{8}',
            "f" => '\u{c}',
            "n" => '\n',
            "r" => '\r',
            "t" => '\t',
            "u" => {
                let (first, after) = unit(rest).ok_or_else(bad)?;
                rest = after;
                if let Some(c) = char::from_u32(first) {
                    c
                } else {
                    let lone = || DocumentError::new(place, Refusal::LoneSurrogate);
                    let second = rest.strip_prefix("\\u").and_then(unit);
                    let (second, after) =
                        second.filter(|(low, _)| (0xdc00..0xe000).contains(low) && first < 0xdc00).ok_or_else(lone)?;
                    rest = after;
                    char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or_else(lone)?
                }
            }
            _ => return Err(bad()),
        });
    }
    out.push_str(rest);
    Ok(())
}

/// Four hexadecimal digits, and what follows them.
fn unit(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

/// Appends a JSON string with this value: quotes, backslashes and control characters are escaped, nothing else is.
pub fn write_string(out: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    let mut rest = value;
    while let Some(at) = rest.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\') {
        // What is found is one byte of ASCII, so the text can be split on both sides of it.
        let (plain, tail) = rest.split_at(at);
        let (found, tail) = tail.split_at(1);
        out.push_str(plain);
        match found.as_bytes().first() {
            Some(b'"') => out.push_str("\\\""),
            Some(b'\\') => out.push_str("\\\\"),
            Some(b'\n') => out.push_str("\\n"),
            Some(b'\r') => out.push_str("\\r"),
            Some(b'\t') => out.push_str("\\t"),
            Some(control) => {
                out.push_str("\\u00");
                out.push(char::from(HEX[usize::from(control >> 4)]));
                out.push(char::from(HEX[usize::from(control & 15)]));
            }
            None => {}
        }
        rest = tail;
    }
    out.push_str(rest);
    out.push('"');
}
