//! The tokens of a line: names, quoted texts, numbers, blanks.

use std::borrow::Cow;

use super::parser::ParseProblem;

/// What is left of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(rest: &'a str) -> Self {
        Self { rest }
    }

    pub(super) const fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    pub(super) fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Goes on behind `byte` (an ASCII character) if it comes next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        if is {
            self.rest = self.rest.get(1..).unwrap_or("");
        }
        is
    }

    /// A name without quotes; empty when none is there.
    pub(super) fn plain_name(&mut self, colons: bool) -> &'a str {
        let is_first = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (colons && b == b':');
        let len = self.rest.bytes().position(|b| !is_first(b) && !b.is_ascii_digit()).unwrap_or(self.rest.len());
        if !self.peek().is_some_and(is_first) {
            return "";
        }
        self.split_at(len)
    }

    /// Everything up to the next blank.
    pub(super) fn word(&mut self) -> &'a str {
        let len = self.rest.bytes().position(|b| b == b' ' || b == b'\t').unwrap_or(self.rest.len());
        self.split_at(len)
    }

    /// A text in double quotes, without them; its escapes are as they were written.
    pub(super) fn quoted(&mut self) -> Result<&'a str, ParseProblem> {
        let start = self.rest;
        if !self.take(b'"') {
            return Err(ParseProblem::expected("a text in double quotes", start));
        }
        let mut at = 0;
        let bytes = self.rest.as_bytes();
        while let Some(found) = bytes.get(at..).and_then(|b| memchr::memchr2(b'"', b'\\', b)) {
            at += found;
            if bytes[at] == b'"' {
                let text = self.split_at(at);
                self.take(b'"');
                return Ok(text);
            }
            at += 2;
        }
        Err(ParseProblem::OpenQuote)
    }

    /// `len` must be at the end of a character: it is found by looking for ASCII.
    fn split_at(&mut self, len: usize) -> &'a str {
        let (head, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        head
    }
}

/// A text with its escapes undone: `\\`, `\"` and `\n`; any other backslash stands for itself.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.clone().next() {
            Some('n') => out.push('\n'),
            Some(escaped @ ('\\' | '"')) => out.push(escaped),
            _ => {
                out.push('\\');
                continue;
            }
        }
        chars.next();
    }
    Cow::Owned(out)
}

/// A sample's value as Go's `ParseFloat` reads it.
pub(super) fn value(word: &str) -> Result<f64, ParseProblem> {
    let bad = || ParseProblem::Value(super::parser::cut(word));
    let value: f64 = word.parse().map_err(|_| bad())?;
    if value.is_nan() {
        // The NaN that Prometheus stores for a NaN that was scraped.
        return Ok(f64::from_bits(0x7ff8_0000_0000_0001));
    }
    if value.is_infinite() && !word.trim_start_matches(['+', '-']).starts_with(['i', 'I']) {
        return Err(bad());
    }
    Ok(value)
}
