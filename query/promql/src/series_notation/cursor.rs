//! Reads the points of a series from left to right.

use crate::{ast::PosRange, duration, error::ParseError, format, quote::QuotedChar};

/// A place in a line.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(line: &'a str, at: usize) -> Self {
        Self { line, at }
    }

    fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn is_at(&self, c: char) -> bool {
        self.rest().starts_with(c)
    }

    pub(super) fn is_at_sign(&self) -> bool {
        self.rest().starts_with(['+', '-'])
    }

    /// Whether there was a space.
    pub(super) fn skip_spaces(&mut self) -> bool {
        !self.take_while(char::is_whitespace).is_empty()
    }

    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    /// Takes a word when it is this one.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let mut ahead = self.clone();
        let found = ahead.take_while(|c| c.is_ascii_alphanumeric() || c == '_') == word;
        if found {
            *self = ahead;
        }
        found
    }

    /// A word of letters and underscores; may be empty.
    pub(super) fn word(&mut self) -> &'a str {
        self.take_while(|c| c.is_ascii_alphabetic() || c == '_')
    }

    /// A number with or without a sign; `Inf` and `NaN` too. Hexadecimal is not known here: `0x5` is six zeros.
    pub(super) fn signed_number(&mut self) -> Result<f64, ParseError> {
        let negative = self.is_at('-');
        if negative || self.is_at('+') {
            self.at += 1;
        }
        let value = self.number()?;
        Ok(if negative { -value } else { value })
    }

    pub(super) fn number(&mut self) -> Result<f64, ParseError> {
        let start = self.clone();
        let mut text = self.word();
        if !text.is_empty() {
            if text.eq_ignore_ascii_case("inf") || text.eq_ignore_ascii_case("nan") {
                return format::parse_number(text).map_err(|message| start.error(message));
            }
            return Err(start.unexpected("series values", "number or \"stale\""));
        }
        loop {
            self.take_while(|c| c.is_ascii_digit() || matches!(c, '.' | '_' | 'e' | 'E'));
            text = self.line.get(start.at..self.at).unwrap_or_default();
            if !(text.ends_with(['e', 'E']) && self.is_at_sign()) {
                break;
            }
            self.at += 1;
        }
        if text.is_empty() {
            return Err(start.unexpected("series values", "number or \"stale\""));
        }
        format::parse_number(text).map_err(|message| start.error(message))
    }

    /// A whole number without a sign.
    pub(super) fn count(&mut self) -> Result<u64, ParseError> {
        let start = self.clone();
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(start.unexpected("series values", "a count"));
        }
        digits.parse().map_err(|_| start.error(format!("invalid repetition in series values: {digits} is too large")))
    }

    /// A whole number with or without a minus.
    pub(super) fn integer(&mut self) -> Result<i32, ParseError> {
        let start = self.clone();
        self.take("-");
        self.take_while(|c| c.is_ascii_digit());
        let text = self.line.get(start.at..self.at).unwrap_or_default();
        text.parse().map_err(|_| start.unexpected("histogram description", "a whole number of 32 bits"))
    }

    /// A duration of one unit with or without a sign, in milliseconds.
    pub(super) fn signed_duration(&mut self) -> Result<i64, ParseError> {
        let start = self.clone();
        let negative = self.is_at('-');
        if negative || self.is_at('+') {
            self.at += 1;
        }
        let first = self.at;
        self.take_while(|c| c.is_ascii_digit());
        // An `x` begins the count of repetitions and is in no unit.
        self.take_while(|c| c.is_ascii_alphabetic() && c != 'x');
        let text = self.line.get(first..self.at).unwrap_or_default();
        let ms = duration::parse(text).map_err(|e| start.error(e.to_string()))?;
        Ok(if negative { -ms } else { ms })
    }

    pub(super) fn error(&self, message: impl Into<String>) -> ParseError {
        let pos = PosRange { start: self.at as u32, end: self.line.len() as u32 };
        ParseError::new(self.line, pos, message)
    }

    /// What stands here cannot.
    pub(super) fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        match self.rest().chars().next() {
            Some(c) => self.error(format!("unexpected {} in {context}, expected {expected}", QuotedChar(c))),
            None => self.error(format!("unexpected end of input in {context}, expected {expected}")),
        }
    }
}
