//! Texts in quotes: written as Go's `strconv.Quote` writes them, read with Go's escapes.

use std::{fmt, sync::LazyLock};

use regex::Regex;

/// What Go prints as it is, beside the space: letters, marks, numbers, punctuation and symbols.
static PRINTABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\p{L}\p{M}\p{N}\p{P}\p{S}]$").expect("a constant pattern compiles"));

/// Displays a text as Go's `%q` does.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            write_char(f, c, '"')?;
        }
        f.write_str("\"")
    }
}

/// Displays bytes that may not be UTF-8 as Go's `%q` does.
pub(crate) struct QuotedBytes<'a>(pub(crate) &'a [u8]);

impl fmt::Display for QuotedBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                write_char(f, c, '"')?;
            }
            for b in chunk.invalid() {
                write!(f, "\\x{b:02x}")?;
            }
        }
        f.write_str("\"")
    }
}

/// Displays a character as Go's `%q` does.
pub(crate) struct QuotedChar(pub(crate) char);

impl fmt::Display for QuotedChar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        write_char(f, self.0, '\'')?;
        f.write_str("'")
    }
}

fn write_char(f: &mut fmt::Formatter<'_>, c: char, quote: char) -> fmt::Result {
    match c {
        '\\' => f.write_str("\\\\"),
        c if c == quote => write!(f, "\\{c}"),
        ' '..='~' => write!(f, "{c}"),
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0c' => f.write_str("\\f"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x0b' => f.write_str("\\v"),
        c if c < ' ' || c == '\x7f' => write!(f, "\\x{:02x}", u32::from(c)),
        c if is_printable(c) => write!(f, "{c}"),
        c if u32::from(c) < 0x10000 => write!(f, "\\u{:04x}", u32::from(c)),
        c => write!(f, "\\U{:08x}", u32::from(c)),
    }
}

fn is_printable(c: char) -> bool {
    PRINTABLE.is_match(c.encode_utf8(&mut [0; 4]))
}

/// Why a quoted text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnquoteError {
    /// No closing quote, a line break inside, or an escape that Go does not know.
    #[error("invalid syntax")]
    Syntax,
    /// Escapes of single bytes make these bytes, which are not UTF-8.
    #[error("the escaped bytes are not valid UTF-8")]
    Utf8(Vec<u8>),
}

/// Reads a text in `"`, `'` or raw in backquotes.
pub(crate) fn unquote(quoted: &str) -> Result<String, UnquoteError> {
    let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')).ok_or(UnquoteError::Syntax)?;
    let inner = quoted.get(1..).and_then(|rest| rest.strip_suffix(quote)).ok_or(UnquoteError::Syntax)?;
    if quote == '`' {
        return if inner.contains('`') { Err(UnquoteError::Syntax) } else { Ok(inner.to_owned()) };
    }
    if inner.contains('\n') {
        return Err(UnquoteError::Syntax);
    }
    if !inner.contains(['\\', quote]) {
        return Ok(inner.to_owned());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == quote {
            return Err(UnquoteError::Syntax);
        }
        if c == '\\' {
            unescape(&mut chars, quote, &mut bytes)?;
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    String::from_utf8(bytes).map_err(|e| UnquoteError::Utf8(e.into_bytes()))
}

/// Reads what follows a backslash.
fn unescape(chars: &mut std::str::Chars<'_>, quote: char, bytes: &mut Vec<u8>) -> Result<(), UnquoteError> {
    let escape = chars.next().ok_or(UnquoteError::Syntax)?;
    let mut code = |first: Option<char>, count: usize, radix: u32| {
        let digits = first.into_iter().chain(chars.by_ref().take(count));
        let (mut n, mut seen) = (0u32, 0);
        for c in digits {
            n = n.checked_mul(radix)?.checked_add(c.to_digit(radix)?)?;
            seen += 1;
        }
        (seen == count + usize::from(first.is_some())).then_some(n)
    };
    let byte = match escape {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        c if c == quote => c as u8,
        'x' => code(None, 2, 16).and_then(|n| u8::try_from(n).ok()).ok_or(UnquoteError::Syntax)?,
        '0'..='7' => code(Some(escape), 2, 8).and_then(|n| u8::try_from(n).ok()).ok_or(UnquoteError::Syntax)?,
        'u' | 'U' => {
            let count = if escape == 'u' { 4 } else { 8 };
            let c = code(None, count, 16).and_then(char::from_u32).ok_or(UnquoteError::Syntax)?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        _ => return Err(UnquoteError::Syntax),
    };
    bytes.push(byte);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_goes_escapes() {
        let cases = [
            (r#""a\n\t\\\"b""#, "a\n\t\\\"b"),
            (r"'it\'s'", "it's"),
            (r#"'say "x"'"#, "say \"x\""),
            ("`raw \\n`", "raw \\n"),
            (r#""\x41\101\u00e9\U0001F600""#, "AA\u{e9}\u{1f600}"),
            (r#""\xc3\xa9""#, "\u{e9}"),
            (r#""\a\b\f\r\v""#, "\x07\x08\x0c\r\x0b"),
        ];
        for (quoted, text) in cases {
            assert_eq!(unquote(quoted), Ok(text.to_owned()), "{quoted}");
        }
        for quoted in
            [r#""\'""#, r"'\'", r#""\x4""#, r#""\400""#, r#""\ud800""#, r#""\q""#, "", "\"", "x", "'a", "\"a\nb\""]
        {
            assert_eq!(unquote(quoted), Err(UnquoteError::Syntax), "{quoted}");
        }
        assert_eq!(unquote(r#""\xff""#), Err(UnquoteError::Utf8(vec![0xff])));
        assert_eq!(QuotedBytes(b"a\xc5z\xff\"").to_string(), r#""a\xc5z\xff\"""#);
    }

    #[test]
    fn writes_goes_escapes() {
        let text = "a\"\\\n\t\x07\x01\x7f\u{e9}\u{2028}\u{e000}\u{10ffff}'";
        let want = r#""a\"\\\n\t\a\x01\x7f{e}\u2028\ue000\U0010ffff'""#.replace("{e}", "\u{e9}");
        assert_eq!(Quoted(text).to_string(), want);
        assert_eq!(QuotedChar('\'').to_string(), r"'\''");
        assert_eq!(QuotedChar('"').to_string(), "'\"'");
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(text in any::<String>()) {
            prop_assert_eq!(unquote(&Quoted(&text).to_string()), Ok(text));
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = unquote(&text);
        }
    }
}
