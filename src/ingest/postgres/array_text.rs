//! Arrays in text: `{1,2,NULL}`.

use std::borrow::Cow;

/// What may stand around an element and is no part of it; other blanks of Unicode are.
const BLANKS: [char; 6] = [' ', '\t', '\n', '\r', '\u{b}', '\u{c}'];

/// Writes an array of these elements; `None` is null.
pub fn write<'a>(out: &mut Vec<u8>, elements: impl Iterator<Item = Option<Cow<'a, [u8]>>>) {
    out.push(b'{');
    for (place, element) in elements.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        match element {
            None => out.extend_from_slice(b"NULL"),
            Some(text) if needs_quotes(&text) => {
                out.push(b'"');
                for byte in text.iter() {
                    if matches!(byte, b'"' | b'\\') {
                        out.push(b'\\');
                    }
                    out.push(*byte);
                }
                out.push(b'"');
            }
            Some(text) => out.extend_from_slice(&text),
        }
    }
    out.push(b'}');
}

fn needs_quotes(text: &[u8]) -> bool {
    text.is_empty()
        || text.eq_ignore_ascii_case(b"null")
        || text.iter().any(|b| matches!(b, b'{' | b'}' | b',' | b'"' | b'\\') || b.is_ascii_whitespace() || *b == 0x0b)
}

/// Why a text is no array of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrayError {
    /// It is malformed.
    Syntax,
    /// It has more than one dimension, or bounds of its own.
    Shape,
}

/// Reads an array of one dimension; `None` is null.
///
/// # Errors
/// When it is malformed, or not of one dimension.
pub fn read(text: &str) -> Result<Vec<Option<String>>, ArrayError> {
    let text = text.trim_matches(BLANKS);
    if text.starts_with('[') {
        return Err(ArrayError::Shape);
    }
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or(ArrayError::Syntax)?;
    if inner.trim_matches(BLANKS).is_empty() {
        return Ok(Vec::new());
    }
    let mut elements = Vec::new();
    let mut rest = inner.trim_start_matches(BLANKS);
    loop {
        let (element, after) = match rest.as_bytes().first() {
            Some(b'{') => return Err(ArrayError::Shape),
            Some(b'"') => quoted(&rest[1..])?,
            _ => plain(rest)?,
        };
        elements.push(element);
        match after.trim_start_matches(BLANKS).strip_prefix(',') {
            Some(next) => rest = next.trim_start_matches(BLANKS),
            None if after.trim_matches(BLANKS).is_empty() => return Ok(elements),
            None => return Err(ArrayError::Syntax),
        }
    }
}

/// The element after an opening quote, and what follows it.
fn quoted(text: &str) -> Result<(Option<String>, &str), ArrayError> {
    let mut element = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((Some(element), &text[at + 1..])),
            '\\' => element.push(characters.next().ok_or(ArrayError::Syntax)?.1),
            other => element.push(other),
        }
    }
    Err(ArrayError::Syntax)
}

/// The element up to the next comma, and what follows it.
fn plain(text: &str) -> Result<(Option<String>, &str), ArrayError> {
    let mut element = String::new();
    let mut escaped = false;
    // Blanks behind this are no part of it; those that are escaped are.
    let mut kept = 0;
    let mut end = text.len();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            ',' => {
                end = at;
                break;
            }
            '{' | '}' | '"' => return Err(ArrayError::Syntax),
            '\\' => {
                escaped = true;
                element.push(characters.next().ok_or(ArrayError::Syntax)?.1);
                kept = element.len();
            }
            other => {
                element.push(other);
                kept = if BLANKS.contains(&other) { kept } else { element.len() };
            }
        }
    }
    element.truncate(kept);
    if element.is_empty() {
        return Err(ArrayError::Syntax);
    }
    let is_null = !escaped && element.eq_ignore_ascii_case("null");
    Ok(((!is_null).then_some(element), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_read_as_they_are_written() {
        let elements = ["a", "", "null", "a b", "{\"x\\", "c,d", "\u{e4}"];
        let mut out = Vec::new();
        let texts = elements.iter().map(|e| Some(Cow::Borrowed(e.as_bytes()))).chain([None]);
        write(&mut out, texts);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "{a,\"\",\"null\",\"a b\",\"{\\\"x\\\\\",\"c,d\",\u{e4},NULL}");
        let read_back = read(&text).unwrap();
        let expected: Vec<_> = elements.iter().map(|e| Some((*e).to_owned())).chain([None]).collect();
        assert_eq!(read_back, expected);
        assert_eq!(read(" { 1 , 2 } ").unwrap(), [Some("1".to_owned()), Some("2".to_owned())]);
        assert_eq!(read("{}").unwrap(), []);
        // No-break spaces are no blanks, nor are those that are escaped.
        let kept = ["\u{a0}x\u{a0}", "a ", " "].map(|text| Some(text.to_owned()));
        assert_eq!(read("{\u{a0}x\u{a0},a\\  , \\ }").unwrap(), kept);
    }

    #[test]
    fn malformed_arrays_are_refused() {
        for wrong in ["", "1", "{", "{1", "{1,}", "{,1}", "{\"a}", "{\"a\"b}", "{a\\", "{a}b}"] {
            assert_eq!(read(wrong), Err(ArrayError::Syntax), "{wrong}");
        }
        for shape in ["{{1},{2}}", "[2:3]={1,2}"] {
            assert_eq!(read(shape), Err(ArrayError::Shape), "{shape}");
        }
    }
}
