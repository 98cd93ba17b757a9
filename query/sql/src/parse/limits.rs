//! What a statement's text may be at most, told before a tree is made of it: trees are dropped and walked by recursion.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Result, SqlError};

/// Bytes of a statement.
const MOST_BYTES: usize = 4 << 20;
/// Tokens of an expression, counted along the path from its root: every level of a tree takes at least one of them. Commas
/// begin anew, so that lists may be long.
const MOST_TOKENS_DEEP: usize = 6_000;
/// Open parentheses.
const MOST_OPEN: usize = 150;

/// Refuses a text that is too long.
///
/// # Errors
/// `54000`.
pub(super) fn check_length(text: &str) -> Result<()> {
    if text.len() > MOST_BYTES {
        let message = format!("the statement has {} bytes, the most is {MOST_BYTES}", text.len());
        return Err(SqlError::new(b"54000", message).with_hint("send rows by COPY, or in several statements"));
    }
    Ok(())
}

/// What is told of a statement that is too deep.
pub(crate) fn too_deep() -> SqlError {
    SqlError::new(b"54001", "the statement is nested too deeply, or has too long a chain of operators")
        .with_hint("use IN (...) or = ANY(...) instead of long chains of OR, and fewer parentheses")
}

/// Refuses a statement whose tree could be too deep.
///
/// # Errors
/// `54001`.
pub(super) fn check_depth(tokens: &[TokenWithSpan]) -> Result<()> {
    // The tokens since the last comma, for each open parenthesis.
    let mut open = vec![0_usize];
    let mut deep = 0_usize;
    for token in tokens {
        match &token.token {
            Token::Whitespace(_) => {}
            Token::LParen | Token::LBracket => {
                open.push(0);
                if open.len() > MOST_OPEN {
                    return Err(too_deep());
                }
            }
            Token::RParen | Token::RBracket => {
                if open.len() > 1 {
                    deep -= open.pop().unwrap_or(0);
                }
                count(&mut open, &mut deep)?;
            }
            Token::Comma | Token::SemiColon => {
                if let Some(last) = open.last_mut() {
                    deep -= *last;
                    *last = 0;
                }
            }
            _ => count(&mut open, &mut deep)?,
        }
    }
    Ok(())
}

fn count(open: &mut [usize], deep: &mut usize) -> Result<()> {
    if let Some(last) = open.last_mut() {
        *last += 1;
    }
    *deep += 1;
    if *deep > MOST_TOKENS_DEEP { Err(too_deep()) } else { Ok(()) }
}
