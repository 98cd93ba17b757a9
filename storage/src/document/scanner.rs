//! A place in JSON text, and the steps over its tokens.

use super::{
    error::{DocumentError, Refusal},
    text,
};

/// Reads JSON tokens. The text is UTF-8, so what lies between two ASCII bytes is as well.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// The next byte.
    pub(super) at: usize,
    /// Whether the text goes on behind `bytes`, which end where the longest document does.
    cut: bool,
}

/// A string as it stands in the text, without its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawString<'a> {
    /// The text between the quotes.
    pub(super) raw: &'a str,
    /// Whether it has escapes.
    pub(super) escaped: bool,
    /// Where it begins.
    pub(super) at: usize,
}

impl<'a> Scanner<'a> {
    /// Reads from byte `at`, and no more than `limit` bytes.
    pub(super) fn new(text: &'a str, at: usize, limit: usize) -> Self {
        let end = at.saturating_add(limit).min(text.len());
        let bytes = text.as_bytes().get(..end).unwrap_or_default();
        Self { text, bytes, at, cut: end < text.len() }
    }

    /// The next byte, if there is one.
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is no whitespace.
    pub(super) fn next_token(&mut self) -> Result<u8, DocumentError> {
        self.skip_whitespace();
        self.peek().ok_or_else(|| self.ended())
    }

    pub(super) fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// The text ended where more was expected.
    pub(super) fn ended(&self) -> DocumentError {
        let reason = if self.cut { Refusal::TooLong } else { Refusal::CutOff };
        DocumentError::new(self.bytes.len(), reason)
    }

    /// The text from one byte to another.
    pub(super) fn slice(&self, from: usize, to: usize) -> Result<&'a str, DocumentError> {
        self.text.get(from..to).ok_or(DocumentError::new(from, Refusal::NotUtf8))
    }

    /// Steps over this byte.
    pub(super) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), DocumentError> {
        if self.next_token()? != byte {
            return Err(DocumentError::syntax(self.at, what));
        }
        self.at += 1;
        Ok(())
    }

    /// Steps over a string; the next byte is its first quote.
    pub(super) fn string(&mut self) -> Result<RawString<'a>, DocumentError> {
        self.at += 1;
        let from = self.at;
        let mut escaped = false;
        loop {
            self.at += plain(self.bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    let raw = self.slice(from, self.at)?;
                    self.at += 1;
                    return Ok(RawString { raw, escaped, at: from });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => {
                    return Err(DocumentError::syntax(self.at, "a control character in a string must be escaped"));
                }
                None => return Err(self.ended()),
            }
        }
    }

    /// Steps over `true`, `false` or `null`.
    pub(super) fn literal(&mut self, word: &'static str) -> Result<(), DocumentError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            if word.as_bytes().starts_with(rest) {
                return Err(self.ended());
            }
            return Err(DocumentError::syntax(self.at, "a value was expected"));
        }
        self.at += word.len();
        Ok(())
    }

    /// The next byte when it is a digit, which is stepped over.
    pub(super) fn digit(&mut self) -> Option<u8> {
        let digit = self.peek()?.wrapping_sub(b'0');
        (digit <= 9).then(|| {
            self.at += 1;
            digit
        })
    }

    /// Whether the text goes on behind what may be read.
    pub(super) const fn is_cut(&self) -> bool {
        self.cut
    }
}

impl<'a> RawString<'a> {
    /// The string's value; `scratch` holds it when it has escapes.
    pub(super) fn value<'s>(self, scratch: &'s mut String) -> Result<&'s str, DocumentError>
    where
        'a: 's,
    {
        if !self.escaped {
            return Ok(self.raw);
        }
        scratch.clear();
        text::unescape(self.raw, self.at, scratch)?;
        Ok(scratch)
    }
}

/// How many bytes come before the first quote, backslash or control character; all of them when there is none.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let (quote, backslash) = (word ^ (ONES * 0x22), word ^ (ONES * 0x5c));
        // A byte's high bit is set where the byte is zero, or below 32. Above the first such byte a borrow may set
        // others; only the first is looked at.
        let found = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let found = found & HIGH;
        if found != 0 {
            return i * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let tail = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
    words.len() * 8 + tail
}
