//! Cutting a text into statements at its semicolons.

use crate::error::{Result, SqlError};

/// The statements of a text, without empty ones. Semicolons inside quotes, comments and parentheses cut nothing.
///
/// # Errors
/// `42601` when a quote or a comment is not closed.
pub(crate) fn split(text: &str) -> Result<Vec<String>> {
    let bytes = text.as_bytes();
    let mut statements = Vec::new();
    let mut start = 0;
    let mut at = 0;
    // Whether something else than blanks and comments came since the start.
    let mut any = false;
    while at < bytes.len() {
        match bytes[at] {
            b';' => {
                if any {
                    statements.push(text[start..at].trim().to_owned());
                }
                start = at + 1;
                any = false;
                at += 1;
            }
            b'-' if bytes[at..].starts_with(b"--") => at = end_of_line(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => at = end_of_comment(bytes, at)?,
            b'\'' => {
                any = true;
                let escapes = at > 0 && matches!(bytes[at - 1], b'e' | b'E') && !(at > 1 && is_word(bytes[at - 2]));
                at = end_of_quote(bytes, at, b'\'', escapes)?;
            }
            b'"' => {
                any = true;
                at = end_of_quote(bytes, at, b'"', false)?;
            }
            b'$' if at == 0 || !is_word(bytes[at - 1]) => {
                any = true;
                at = end_of_dollar_quote(text, at)?;
            }
            byte => {
                any |= !byte.is_ascii_whitespace();
                at += 1;
            }
        }
    }
    if any {
        statements.push(text[start..].trim().to_owned());
    }
    Ok(statements)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |end| at + end)
}

fn unclosed(what: &str) -> SqlError {
    SqlError::new(b"42601", format!("syntax error: a {what} is not closed"))
}

fn end_of_comment(bytes: &[u8], start: usize) -> Result<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Ok(at);
            }
        } else {
            at += 1;
        }
    }
    Err(unclosed("comment"))
}

fn end_of_quote(bytes: &[u8], start: usize, quote: u8, escapes: bool) -> Result<usize> {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote => {
                if bytes.get(at + 1) != Some(&quote) {
                    return Ok(at + 1);
                }
                at += 2;
            }
            _ => at += 1,
        }
    }
    Err(unclosed("quote"))
}

/// `$$ ... $$` or `$tag$ ... $tag$`; a parameter such as `$1` is none.
fn end_of_dollar_quote(text: &str, start: usize) -> Result<usize> {
    let rest = &text[start + 1..];
    let Some(length) = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')) else { return Ok(text.len()) };
    let is_tag = rest[length..].starts_with('$') && !rest.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return Ok(start + 1);
    }
    let tag = &text[start..start + length + 2];
    let body = start + tag.len();
    text[body..].find(tag).map(|end| body + end + tag.len()).ok_or_else(|| unclosed("dollar quote"))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn semicolons_cut_only_outside_quotes_and_comments() {
        let text = "SELECT ';' AS a; -- x;\n SELECT \";\" /* ; /* ; */ */ FROM t;; SELECT $$;$$, $a$ ; $$ $a$, $1; SELECT E'\\';'";
        let statements = split(text).expect("it can be split");
        assert_eq!(
            statements,
            [
                "SELECT ';' AS a",
                "-- x;\n SELECT \";\" /* ; /* ; */ */ FROM t",
                "SELECT $$;$$, $a$ ; $$ $a$, $1",
                "SELECT E'\\';'"
            ]
        );
        assert!(split("  ;; -- nothing\n /* at all */").expect("it can be split").is_empty());
        for open in ["SELECT 'a", "SELECT \"a", "/* a", "$x$ a $y$"] {
            assert_eq!(split(open).expect_err(open).state.as_str(), "42601");
        }
    }
}
