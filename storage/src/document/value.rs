//! Any JSON value as text: checked, and without whitespace.

use super::{
    MAX_DEPTH,
    error::{DocumentError, Refusal},
    number,
    scanner::Scanner,
    text::write_string,
};

/// Steps over any value and appends its text without whitespace, its strings with canonical escapes. `depth` is how many
/// objects and arrays are around it.
pub(super) fn copy(
    s: &mut Scanner<'_>,
    depth: usize,
    scratch: &mut String,
    out: &mut String,
) -> Result<(), DocumentError> {
    let outer = depth;
    let mut open: Vec<u8> = Vec::new();
    loop {
        match s.next_token()? {
            begin @ (b'{' | b'[') => {
                if outer + open.len() >= MAX_DEPTH {
                    return Err(DocumentError::new(s.at, Refusal::TooDeep));
                }
                s.at += 1;
                out.push(char::from(begin));
                let end = if begin == b'{' { b'}' } else { b']' };
                open.push(end);
                if s.next_token()? != end {
                    if end == b'}' {
                        key(s, scratch, out)?;
                    }
                    continue;
                }
            }
            _ => scalar(s, scratch, out)?,
        }
        // A value has ended: so may the arrays and objects around it.
        loop {
            let Some(&end) = open.last() else { return Ok(()) };
            match s.next_token()? {
                b',' => {
                    s.at += 1;
                    out.push(',');
                    if end == b'}' {
                        key(s, scratch, out)?;
                    }
                    break;
                }
                byte if byte == end => {
                    s.at += 1;
                    out.push(char::from(end));
                    open.pop();
                }
                _ => return Err(DocumentError::syntax(s.at, "a comma or the end of the array or object was expected")),
            }
        }
    }
}

fn key(s: &mut Scanner<'_>, scratch: &mut String, out: &mut String) -> Result<(), DocumentError> {
    if s.next_token()? != b'"' {
        return Err(DocumentError::syntax(s.at, "a key in quotes was expected"));
    }
    write_string(out, s.string()?.value(scratch)?);
    s.expect(b':', "a colon was expected after the key")?;
    out.push(':');
    Ok(())
}

fn scalar(s: &mut Scanner<'_>, scratch: &mut String, out: &mut String) -> Result<(), DocumentError> {
    match s.next_token()? {
        b'"' => write_string(out, s.string()?.value(scratch)?),
        b't' => word(s, "true", out)?,
        b'f' => word(s, "false", out)?,
        b'n' => word(s, "null", out)?,
        b'-' | b'0'..=b'9' => out.push_str(number::read(s)?.1),
        _ => return Err(DocumentError::syntax(s.at, "a value was expected")),
    }
    Ok(())
}

fn word(s: &mut Scanner<'_>, word: &'static str, out: &mut String) -> Result<(), DocumentError> {
    s.literal(word)?;
    out.push_str(word);
    Ok(())
}

/// A JSON value without whitespace, its strings with canonical escapes.
///
/// # Errors
/// When the text is no JSON value, or one too deep.
pub fn compact(text: &str) -> Result<String, DocumentError> {
    let mut s = Scanner::new(text, 0, text.len());
    let mut out = String::with_capacity(text.len());
    copy(&mut s, 0, &mut String::new(), &mut out)?;
    s.skip_whitespace();
    if s.peek().is_some() {
        return Err(DocumentError::new(s.at, Refusal::Trailing));
    }
    Ok(out)
}
