//! Reads JSON text: checks it, finds values in it, and makes trees of it.
//!
//! Finding a value builds nothing: it gives the part of the text that the value is written in.

use std::borrow::Cow;

use datafusion::common::{DataFusionError, Result, exec_datafusion_err};

use super::value::Json;

/// Arrays and objects within each other at most.
const MAX_DEPTH: usize = 512;

/// A step from a value to one within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// A field of an object.
    Key(&'a str),
    /// An element of an array; negative ones count from its end.
    Index(i64),
    /// Either, as the value is an object or an array.
    Any(&'a str),
}

/// The text of the value one step from the value that `text` writes.
pub(super) fn step<'a>(text: &'a str, to: Step<'_>) -> Result<Option<&'a str>> {
    let mut scan = Scanner::new(text);
    let found = match (scan.peek(), to) {
        (Some(b'{'), Step::Key(key) | Step::Any(key)) => {
            let mut found = None;
            // Of a key that is written twice the last one counts.
            scan.object(0, &mut |name, scan| {
                let value = scan.skip(1)?;
                if unescape(name)? == key {
                    found = Some(value);
                }
                Ok(())
            })?;
            found
        }
        (Some(b'['), Step::Index(index)) => element(&mut scan, index)?,
        (Some(b'['), Step::Any(index)) => match index.parse() {
            Ok(index) => element(&mut scan, index)?,
            Err(_) => return scan.skip(0).and_then(|_| scan.end()).map(|()| None),
        },
        _ => {
            scan.skip(0)?;
            None
        }
    };
    scan.end()?;
    Ok(found)
}

fn element<'a>(scan: &mut Scanner<'a>, index: i64) -> Result<Option<&'a str>> {
    let mut values = Vec::new();
    let wanted = usize::try_from(index).ok();
    let mut found = None;
    let mut count = 0;
    scan.array(0, &mut |scan| {
        let value = scan.skip(1)?;
        match wanted {
            Some(wanted) if wanted == count => found = Some(value),
            None => values.push(value),
            _ => {}
        }
        count += 1;
        Ok(())
    })?;
    if wanted.is_none() {
        let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
        found = values.len().checked_sub(back).map(|at| values[at]);
    }
    Ok(found)
}

/// The elements of an array, or none when the value is no array.
pub(super) fn elements(text: &str) -> Result<Option<Vec<&str>>> {
    let mut scan = Scanner::new(text);
    let mut values = Vec::new();
    let array = scan.peek() == Some(b'[');
    if array {
        scan.array(0, &mut |scan| {
            values.push(scan.skip(1)?);
            Ok(())
        })?;
    } else {
        scan.skip(0)?;
    }
    scan.end()?;
    Ok(array.then_some(values))
}

/// A field of an object: its name and the text of its value.
type Field<'a> = (Cow<'a, str>, &'a str);

/// The fields of an object, or none when the value is no object. Of a key that is written twice the last one counts.
pub(super) fn fields(text: &str) -> Result<Option<Vec<Field<'_>>>> {
    let mut scan = Scanner::new(text);
    let mut fields: Vec<Field<'_>> = Vec::new();
    let object = scan.peek() == Some(b'{');
    if object {
        let mut at = std::collections::HashMap::new();
        scan.object(0, &mut |name, scan| {
            let (name, value) = (unescape(name)?, scan.skip(1)?);
            let place = *at.entry(name.clone()).or_insert(fields.len());
            match fields.get_mut(place) {
                Some(field) => field.1 = value,
                None => fields.push((name, value)),
            }
            Ok(())
        })?;
    } else {
        scan.skip(0)?;
    }
    scan.end()?;
    Ok(object.then_some(fields))
}

/// The text that a JSON value is to SQL: of a string what it says, of null nothing, of the others how they are written.
pub(super) fn as_text(raw: &str) -> Result<Option<Cow<'_, str>>> {
    if raw == "null" {
        return Ok(None);
    }
    match raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')) {
        Some(inner) => unescape(inner).map(Some),
        None => Ok(Some(Cow::Borrowed(raw))),
    }
}

/// The tree of a text.
pub(super) fn parse(text: &str) -> Result<Json> {
    let mut scan = Scanner::new(text);
    let value = scan.parse(0)?;
    scan.end()?;
    Ok(value)
}

/// Checks a text. Returns it without the space around it.
pub(super) fn check(text: &str) -> Result<&str> {
    let mut scan = Scanner::new(text);
    let value = scan.skip(0)?;
    scan.end()?;
    Ok(value)
}

/// What a string says whose text between the quotes is `inner`.
fn unescape(inner: &str) -> Result<Cow<'_, str>> {
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let wrong = || exec_datafusion_err!("invalid escape in a JSON string");
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1).ok_or_else(wrong)?;
        let mut used = at + 2;
        match escape {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let unit = |from: usize| {
                    let digits = rest.get(from..from + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                    digits.and_then(|d| u16::from_str_radix(d, 16).ok())
                };
                let first = unit(used).ok_or_else(wrong)?;
                used += 4;
                let mut units = vec![first];
                if (0xD800..0xDC00).contains(&first) && rest.get(used..used + 2) == Some("\\u") {
                    units.extend(unit(used + 2));
                    used += 6;
                }
                let text = String::from_utf16(&units).map_err(|_| wrong())?;
                if text == "\0" {
                    return Err(exec_datafusion_err!("unsupported Unicode escape sequence: \\u0000 cannot be text"));
                }
                out.push_str(&text);
            }
            other => out.push(char::from(other)),
        }
        rest = rest.get(used..).ok_or_else(wrong)?;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

type OnField<'a, 'f> = &'f mut dyn FnMut(&'a str, &mut Scanner<'a>) -> Result<()>;
type OnElement<'a, 'f> = &'f mut dyn FnMut(&mut Scanner<'a>) -> Result<()>;

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn wrong(&self) -> DataFusionError {
        let near: String = self.text.get(self.at..).unwrap_or_default().chars().take(20).collect();
        if near.is_empty() {
            return exec_datafusion_err!("invalid input syntax for type json: the text ends too early");
        }
        exec_datafusion_err!("invalid input syntax for type json, at byte {} near \"{near}\"", self.at)
    }

    /// The next byte after space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek() != Some(byte) {
            return Err(self.wrong());
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if self.peek().is_some() { Err(self.wrong()) } else { Ok(()) }
    }

    /// A string's text between its quotes.
    fn string(&mut self) -> Result<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\')
                    if matches!(
                        bytes.get(self.at + 1),
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u')
                    ) =>
                {
                    self.at += 2;
                }
                Some(0x20..) if bytes[self.at] != b'\\' => self.at += 1,
                _ => return Err(self.wrong()),
            }
        }
        self.at += 1;
        Ok(&self.text[start..self.at - 1])
    }

    fn digits(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn number(&mut self) -> Result<()> {
        let byte = |scan: &Self| scan.text.as_bytes().get(scan.at).copied();
        if byte(self) == Some(b'-') {
            self.at += 1;
        }
        let zero = byte(self) == Some(b'0');
        let digits = self.digits();
        if digits == 0 || (zero && digits > 1) {
            return Err(self.wrong());
        }
        if byte(self) == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.wrong());
            }
        }
        if let Some(b'e' | b'E') = byte(self) {
            self.at += 1;
            if let Some(b'+' | b'-') = byte(self) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.wrong());
            }
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<()> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong());
        }
        self.at += word.len();
        Ok(())
    }

    fn object(&mut self, depth: usize, on: OnField<'a, '_>) -> Result<()> {
        self.enter(depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.peek();
            let name = self.string()?;
            self.expect(b':')?;
            on(name, self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break self.at += 1,
                _ => return Err(self.wrong()),
            }
        }
        Ok(())
    }

    fn array(&mut self, depth: usize, on: OnElement<'a, '_>) -> Result<()> {
        self.enter(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            on(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break self.at += 1,
                _ => return Err(self.wrong()),
            }
        }
        Ok(())
    }

    fn enter(&mut self, depth: usize) -> Result<()> {
        if depth >= MAX_DEPTH {
            return Err(exec_datafusion_err!("a JSON value is more than {MAX_DEPTH} arrays and objects deep"));
        }
        self.at += 1;
        Ok(())
    }

    /// Goes over a value. Returns its text.
    fn skip(&mut self, depth: usize) -> Result<&'a str> {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'{') => self.object(depth, &mut |_, scan| scan.skip(depth + 1).map(drop))?,
            Some(b'[') => self.array(depth, &mut |scan| scan.skip(depth + 1).map(drop))?,
            Some(b'"') => drop(self.string()?),
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            _ => self.number()?,
        }
        Ok(&self.text[start..self.at])
    }

    fn parse(&mut self, depth: usize) -> Result<Json> {
        Ok(match self.peek() {
            Some(b'{') => {
                let mut fields: Vec<(Box<str>, Json)> = Vec::new();
                let mut at = std::collections::HashMap::new();
                self.object(depth, &mut |name, scan| {
                    let (name, value) = (unescape(name)?, scan.parse(depth + 1)?);
                    let place = *at.entry(name.clone()).or_insert(fields.len());
                    match fields.get_mut(place) {
                        Some(field) => field.1 = value,
                        None => fields.push((name.into(), value)),
                    }
                    Ok(())
                })?;
                Json::Object(fields)
            }
            Some(b'[') => {
                let mut values = Vec::new();
                self.array(depth, &mut |scan| {
                    values.push(scan.parse(depth + 1)?);
                    Ok(())
                })?;
                Json::Array(values)
            }
            Some(b'"') => Json::String(unescape(self.string()?)?.into()),
            Some(b't') => self.word("true").map(|()| Json::Bool(true))?,
            Some(b'f') => self.word("false").map(|()| Json::Bool(false))?,
            Some(b'n') => self.word("null").map(|()| Json::Null)?,
            _ => Json::Number(self.skip(depth)?.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_json_or_an_error(text in r#"[{}\[\]:,"\\ua-f0-9.+ \x00\u{e9}-]{0,40}"#, key in "[a-f]?", index: i64) {
            let is_json = check(&text).is_ok();
            prop_assert_eq!(parse(&text).is_ok(), is_json);
            for to in [Step::Key(&key), Step::Index(index), Step::Any(&key), Step::Any("1")] {
                let found = step(&text, to);
                prop_assert_eq!(found.is_ok(), is_json, "{:?}", to);
                if let Ok(Some(part)) = found {
                    prop_assert!(check(part).is_ok());
                }
            }
            prop_assert_eq!(elements(&text).is_ok(), is_json);
            prop_assert_eq!(fields(&text).is_ok(), is_json);
        }
    }
}
