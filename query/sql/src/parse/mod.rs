//! From text to syntax trees: splitting, limits, parsing, and what names mean.

mod dialect;
mod limits;
mod names;
mod spellings;
mod split;
mod walk;

use datafusion::sql::sqlparser::{
    ast::{Expr, Statement},
    parser::{Parser, ParserError},
    tokenizer::{Token, Tokenizer, TokenizerError},
};

pub(crate) use dialect::Postgres;
pub(crate) use limits::too_deep;
pub(crate) use names::{ident, quoted, relation_name};
pub(crate) use spellings::MOVE;
pub(crate) use split::split;
pub(crate) use walk::{walk, walk_mut};

use crate::error::{Result, SqlError};

/// How deep a statement may nest, in the parser's steps.
const RECURSION_LIMIT: usize = 300;

/// The one statement of a text; `None` when there is nothing but blanks, comments and semicolons.
///
/// # Errors
/// `42601` when it is wrong or more than one, `54001` or `54000` when it is too deep or too long.
pub(crate) fn parse(text: &str) -> Result<Option<Statement>> {
    limits::check_length(text)?;
    let dialect = Postgres;
    let mut tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|e| token_error(text, &e))?;
    limits::check_depth(&tokens)?;
    spellings::rewrite_tokens(&mut tokens);
    crate::rollup::rewrite_tokens(&mut tokens);
    crate::functions::rewrite_tokens(&mut tokens);
    let mut parser = Parser::new(&dialect).with_recursion_limit(RECURSION_LIMIT).with_tokens_with_locations(tokens);
    while parser.consume_token(&Token::SemiColon) {}
    if parser.peek_token_ref().token == Token::EOF {
        return Ok(None);
    }
    let statement = parser.parse_statement().map_err(|e| refused(text).unwrap_or_else(|| parse_error(text, &e)))?;
    while parser.consume_token(&Token::SemiColon) {}
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let mut error = SqlError::new(b"42601", format!("syntax error at or near \"{}\"", next.token));
        error.position = position(text, next.span.start.line, next.span.start.column);
        return Err(error);
    }
    Ok(Some(statement))
}

/// An expression from its text, as defaults are kept.
///
/// # Errors
/// `42601` when it is wrong.
pub(crate) fn parse_expr(text: &str) -> Result<Expr> {
    limits::check_length(text)?;
    let dialect = Postgres;
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|e| token_error(text, &e))?;
    limits::check_depth(&tokens)?;
    let mut parser = Parser::new(&dialect).with_recursion_limit(RECURSION_LIMIT).with_tokens_with_locations(tokens);
    parser.parse_expr().map_err(|e| parse_error(text, &e))
}

/// Refuses by name what the parser does not know, but others do.
fn refused(text: &str) -> Option<SqlError> {
    const REFUSED: &[&str] = &[
        "CREATE EXTERNAL",
        "LISTEN",
        "NOTIFY",
        "UNLISTEN",
        "LOAD",
        "LOCK",
        "CLUSTER",
        "REINDEX",
        "CREATE RULE",
        "CREATE PUBLICATION",
        "CREATE SUBSCRIPTION",
        "CREATE TABLESPACE",
        "CREATE AGGREGATE",
        "CREATE LANGUAGE",
        "CREATE EVENT TRIGGER",
        "CREATE FOREIGN",
        "CREATE USER MAPPING",
        "IMPORT FOREIGN SCHEMA",
        "SECURITY LABEL",
        "REFRESH",
        "DO",
        "CALL",
        "PREPARE TRANSACTION",
        "COMMIT PREPARED",
        "ROLLBACK PREPARED",
        "SET CONSTRAINTS",
    ];
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let first: Vec<String> = words.by_ref().take(3).map(str::to_ascii_uppercase).collect();
    let found = REFUSED.iter().find(|refused| {
        let refused: Vec<&str> = refused.split(' ').collect();
        refused.len() <= first.len() && refused.iter().zip(&first).all(|(a, b)| a == b)
    });
    found.map(SqlError::unsupported)
}

fn token_error(text: &str, error: &TokenizerError) -> SqlError {
    let mut told = SqlError::new(b"42601", format!("syntax error: {}", error.message));
    told.position = position(text, error.location.line, error.location.column);
    told
}

fn parse_error(text: &str, error: &ParserError) -> SqlError {
    match error {
        ParserError::RecursionLimitExceeded => too_deep(),
        ParserError::ParserError(reason) | ParserError::TokenizerError(reason) => {
            // The parser tells places in words: "... at Line: 1, Column: 8".
            let (reason, place) = reason.rsplit_once(" at Line: ").unwrap_or((reason, ""));
            let mut told = SqlError::new(b"42601", format!("syntax error: {reason}"));
            let numbers = place.split_once(", Column: ").and_then(|(l, c)| Some((l.parse().ok()?, c.parse().ok()?)));
            if let Some((line, column)) = numbers {
                told.position = position(text, line, column);
            }
            told
        }
    }
}

/// The character at a line and a column, all counted from 1.
fn position(text: &str, line: u64, column: u64) -> Option<usize> {
    let before = usize::try_from(line.checked_sub(1)?).ok()?;
    let characters: usize = text.split_inclusive('\n').take(before).map(|l| l.chars().count()).sum();
    Some(characters + usize::try_from(column).ok()?)
}
