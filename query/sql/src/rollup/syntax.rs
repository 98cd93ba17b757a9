//! Statements about materialized views that the parser does not know, as ones that it knows.

use datafusion::sql::sqlparser::{
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan, Word},
};

use super::refresh::NAME;

/// Makes REFRESH MATERIALIZED VIEW a call, ALTER MATERIALIZED VIEW an ALTER TABLE, and options of CREATE MATERIALIZED
/// VIEW that have no value ones that have.
pub(crate) fn rewrite_tokens(tokens: &mut Vec<TokenWithSpan>) {
    let words: Vec<usize> =
        (0..tokens.len()).filter(|&at| !matches!(tokens[at].token, Token::Whitespace(_))).take(3).collect();
    let [verb, materialized, view] = words.as_slice() else { return };
    let keyword = |at: usize| keyword(&tokens[at]);
    if keyword(*materialized) != Some(Keyword::MATERIALIZED) || keyword(*view) != Some(Keyword::VIEW) {
        return;
    }
    match keyword(*verb) {
        Some(Keyword::REFRESH) => refresh(tokens, *verb, *view),
        Some(Keyword::ALTER) => {
            tokens[*materialized].token = word("TABLE", Keyword::TABLE);
            tokens.remove(*view);
        }
        Some(Keyword::CREATE) => create(tokens),
        _ => {}
    }
}

fn keyword(token: &TokenWithSpan) -> Option<Keyword> {
    match &token.token {
        Token::Word(word) => Some(word.keyword),
        _ => None,
    }
}

fn word(value: &str, keyword: Keyword) -> Token {
    Token::Word(Word { value: value.to_owned(), quote_style: None, keyword })
}

/// REFRESH MATERIALIZED VIEW [CONCURRENTLY] name [WITH DATA]; any other form is left to be refused.
fn refresh(tokens: &mut Vec<TokenWithSpan>, verb: usize, view: usize) {
    let mut rest: Vec<&Token> =
        tokens[view + 1..].iter().map(|t| &t.token).filter(|t| !matches!(t, Token::Whitespace(_))).collect();
    while matches!(rest.last(), Some(Token::SemiColon | Token::EOF)) {
        rest.pop();
    }
    let is = |token: Option<&&Token>, text: &str| match token {
        Some(Token::Word(word)) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text),
        _ => false,
    };
    if rest.len() > 1 && is(rest.first(), "concurrently") {
        rest.remove(0);
    }
    if rest.len() > 2 && is(rest.get(rest.len() - 2), "with") && is(rest.last(), "data") {
        rest.truncate(rest.len() - 2);
    }
    let name = match rest.as_slice() {
        [Token::Word(name)] => name,
        [Token::Word(schema), Token::Period, Token::Word(name)] if schema.value.eq_ignore_ascii_case("public") => name,
        _ => return,
    };
    let name = if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
    let call = [
        word("CALL", Keyword::CALL),
        word(NAME, Keyword::NoKeyword),
        Token::LParen,
        Token::SingleQuotedString(name),
        Token::RParen,
    ];
    let span = tokens[verb].span;
    *tokens = call.into_iter().map(|token| TokenWithSpan { token, span }).collect();
}

/// In WITH (...) before AS, `continuous` and `timescaledb.continuous` become `continuous = true`. WITH DATA at the end
/// goes.
fn create(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    let mut inside = false;
    while at < tokens.len() && keyword(&tokens[at]) != Some(Keyword::AS) {
        let next = (at + 1..tokens.len()).find(|&i| !matches!(tokens[i].token, Token::Whitespace(_)));
        let next_token = next.map(|i| tokens[i].token.clone());
        match (&tokens[at].token, &next_token) {
            (Token::Word(word), Some(Token::LParen)) if word.keyword == Keyword::WITH => inside = true,
            (Token::Word(word), Some(Token::Period)) if inside && word.value.eq_ignore_ascii_case("timescaledb") => {
                tokens.drain(at..=next.unwrap_or(at));
                continue;
            }
            (Token::Word(name), Some(Token::Comma | Token::RParen))
                if inside && name.value.eq_ignore_ascii_case("continuous") =>
            {
                let span = tokens[at].span;
                let value = [Token::Eq, word("true", Keyword::TRUE)].map(|token| TokenWithSpan { token, span });
                tokens.splice(at + 1..at + 1, value);
                at += 2;
            }
            _ => {}
        }
        at += 1;
    }
    let solid: Vec<usize> = (at..tokens.len())
        .filter(|&i| !matches!(tokens[i].token, Token::Whitespace(_) | Token::SemiColon | Token::EOF))
        .collect();
    if let [.., with, data] = solid.as_slice() {
        let is_data = matches!(&tokens[*data].token, Token::Word(word) if word.value.eq_ignore_ascii_case("data"));
        if keyword(&tokens[*with]) == Some(Keyword::WITH) && is_data {
            tokens.drain(*with..=*data);
        }
    }
}
