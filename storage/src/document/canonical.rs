//! JSON text in the canonical form that JSONB columns hold.

use super::{
    MAX_DEPTH,
    error::{DocumentError, Refusal},
    scanner::Scanner,
    text::write_string,
    value,
};

/// A JSON value as PostgreSQL's JSONB prints it: shorter keys first, of a key that is there twice the last value, a space
/// behind each colon and comma. Numbers stay as they are written.
///
/// # Errors
/// When the text is no JSON value, or one too deep.
pub fn canonical(text: &str) -> Result<String, DocumentError> {
    let mut s = Scanner::new(text, 0, text.len());
    let mut out = String::with_capacity(text.len());
    write(&mut s, 0, &mut out)?;
    s.skip_whitespace();
    if s.peek().is_some() {
        return Err(DocumentError::new(s.at, Refusal::Trailing));
    }
    Ok(out)
}

/// Calls itself at most [`MAX_DEPTH`] deep.
fn write(s: &mut Scanner<'_>, depth: usize, out: &mut String) -> Result<(), DocumentError> {
    let begin = s.next_token()?;
    if !matches!(begin, b'{' | b'[') {
        return value::copy(s, depth, &mut String::new(), out);
    }
    if depth >= MAX_DEPTH {
        return Err(DocumentError::new(s.at, Refusal::TooDeep));
    }
    s.at += 1;
    let end = if begin == b'{' { b'}' } else { b']' };
    // An array's items have no keys.
    let mut items: Vec<(String, String)> = Vec::new();
    if s.next_token()? == end {
        s.at += 1;
    } else {
        loop {
            let mut key = String::new();
            if begin == b'{' {
                if s.next_token()? != b'"' {
                    return Err(DocumentError::syntax(s.at, "a key in quotes was expected"));
                }
                let mut scratch = String::new();
                key.push_str(s.string()?.value(&mut scratch)?);
                s.expect(b':', "a colon was expected after the key")?;
            }
            let mut item = String::new();
            write(s, depth + 1, &mut item)?;
            items.push((key, item));
            let token = s.next_token()?;
            s.at += 1;
            match token {
                b',' => {}
                token if token == end => break,
                _ => {
                    return Err(DocumentError::syntax(
                        s.at - 1,
                        "a comma or the end of the array or object was expected",
                    ));
                }
            }
        }
    }
    out.push(char::from(begin));
    if begin == b'{' {
        items.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        // The sort is stable: of equal keys the last one stays last, and takes the first one's place.
        items.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(&mut later.1, &mut earlier.1);
            }
            same
        });
    }
    for (i, (key, item)) in items.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        if begin == b'{' {
            write_string(out, key);
            out.push_str(": ");
        }
        out.push_str(item);
    }
    out.push(char::from(end));
    Ok(())
}
