//! Paths of fields: keys joined by dots, as [`ColumnKey`](crate::table::ColumnKey) describes them.

use super::text::{unescape, write_string};

/// The field's name for a path of keys.
#[must_use]
pub fn encode<S: AsRef<str>>(keys: &[S]) -> String {
    let mut out = String::new();
    for (i, key) in keys.iter().enumerate() {
        if i > 0 {
            out.push('.');
        }
        push_key(&mut out, key.as_ref());
    }
    out
}

/// Appends a key; as a JSON string where it could be taken for something else.
pub(super) fn push_key(out: &mut String, key: &str) {
    let plain = !key.is_empty()
        && !key.starts_with('#')
        && !key.starts_with("_time")
        && !key.chars().any(|c| matches!(c, '.' | '"' | '\\') || c.is_control());
    if plain { out.push_str(key) } else { write_string(out, key) }
}

/// The keys of a field's path. `None` when the text is no path.
#[must_use]
pub fn decode(field: &str) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    let mut rest = field;
    loop {
        let (key, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = string_end(quoted)?;
                let mut key = String::new();
                unescape(quoted.get(..end)?, 0, &mut key).ok()?;
                (key, quoted.get(end + 1..)?)
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest.get(..end).filter(|k| !k.is_empty())?.to_owned(), rest.get(end..)?)
            }
        };
        keys.push(key);
        if after.is_empty() {
            return Some(keys);
        }
        rest = after.strip_prefix('.')?;
    }
}

/// Where the quote is that ends a string.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    })
}
