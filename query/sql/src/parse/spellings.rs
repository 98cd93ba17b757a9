//! Statements of PostgreSQL that the parser does not know, written as ones that it knows and that mean the same.

use datafusion::sql::sqlparser::{
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan, Word},
};

/// Where MOVE, which is a FETCH that gives no rows, is told from FETCH: what the rows are fetched into.
pub(crate) const MOVE: &str = "\u{1}move";

/// Rewrites a statement by its first words.
pub(super) fn rewrite_tokens(tokens: &mut Vec<TokenWithSpan>) {
    current_schema(tokens);
    let words: Vec<usize> = (0..tokens.len()).filter(|&at| is_seen(&tokens[at])).take(3).collect();
    let Some(&first) = words.first() else { return };
    let is = |at: usize, text: &str| words.get(at).is_some_and(|&at| is_word(&tokens[at], text));
    if is(0, "abort") {
        tokens[first].token = word("ROLLBACK", Keyword::ROLLBACK);
    } else if is(0, "fetch") || is(0, "move") {
        fetch(tokens, first);
    } else if (is(0, "create") && is(1, "unlogged") && is(2, "table"))
        || (is(0, "drop") && is(1, "index") && is(2, "concurrently"))
    {
        // Every table is logged, and no index is built: neither word asks for anything.
        tokens.remove(if is(1, "unlogged") { words[1] } else { words[2] });
    } else if is(0, "table") && words.len() > 1 {
        let span = tokens[first].span;
        let select = [word("SELECT", Keyword::SELECT), Token::Mul, word("FROM", Keyword::FROM)];
        tokens.splice(first..=first, select.map(|token| TokenWithSpan { token, span }));
    } else if is(0, "vacuum") {
        // What it would do to which table, the engine does by itself.
        tokens.truncate(first + 1);
    }
}

/// `current_schema` is the one of its kind that the parser takes for a column.
fn current_schema(tokens: &mut Vec<TokenWithSpan>) {
    for at in (0..tokens.len()).rev() {
        let next = tokens[at + 1..].iter().find(|token| is_seen(token)).map(|token| &token.token);
        let before = tokens[..at].iter().rev().find(|token| is_seen(token)).map(|token| &token.token);
        if is_word(&tokens[at], "current_schema") && next != Some(&Token::LParen) && before != Some(&Token::Period) {
            let span = tokens[at].span;
            let call = [Token::LParen, Token::RParen].map(|token| TokenWithSpan { token, span });
            tokens.splice(at + 1..at + 1, call);
        }
    }
}

/// Gives FETCH and MOVE the words that may be left out: FETCH [direction] [FROM] name.
fn fetch(tokens: &mut Vec<TokenWithSpan>, first: usize) {
    let is_move = is_word(&tokens[first], "move");
    let seen: Vec<usize> = (first + 1..tokens.len())
        .filter(|&at| is_seen(&tokens[at]) && !matches!(tokens[at].token, Token::SemiColon | Token::EOF))
        .collect();
    let Some((&name, before)) = seen.split_last() else { return };
    if is_word(&tokens[name], "from") || is_word(&tokens[name], "in") {
        return; // no name: the parser says so
    }
    let span = tokens[name].span;
    let put = |token: Token| TokenWithSpan { token, span };
    let ends_with = |text: &str| before.last().is_some_and(|&at| is_word(&tokens[at], text));
    let has_from = ends_with("from") || ends_with("in");
    let direction = &before[..before.len() - usize::from(has_from)];
    let bare = match direction {
        [] => true,
        [one] => ["forward", "backward"].iter().any(|word| is_word(&tokens[*one], word)),
        _ => false,
    };
    let is_backward = direction.first().is_some_and(|&at| is_word(&tokens[at], "backward"));
    let mut rest = vec![put(word("FETCH", Keyword::FETCH))];
    if bare {
        rest.push(put(if is_backward { word("PRIOR", Keyword::PRIOR) } else { word("NEXT", Keyword::NEXT) }));
    } else {
        rest.extend(direction.iter().map(|&at| tokens[at].clone()));
    }
    rest.push(put(word("FROM", Keyword::FROM)));
    rest.push(tokens[name].clone());
    if is_move {
        rest.push(put(word("INTO", Keyword::INTO)));
        let mark = Word { value: MOVE.to_owned(), quote_style: Some('"'), keyword: Keyword::NoKeyword };
        rest.push(put(Token::Word(mark)));
    }
    // Blanks are not left out: without them the parser tells other places, but reads the same.
    tokens.splice(first..=name, rest);
}

fn is_seen(token: &TokenWithSpan) -> bool {
    !matches!(token.token, Token::Whitespace(_))
}

fn is_word(token: &TokenWithSpan, text: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

fn word(value: &str, keyword: Keyword) -> Token {
    Token::Word(Word { value: value.to_owned(), quote_style: None, keyword })
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn what_may_be_left_out_is_put_in() {
        for (text, same) in [
            ("abort", "ROLLBACK"),
            ("FETCH c", "FETCH NEXT FROM c"),
            ("fetch forward \"C\";", "FETCH NEXT FROM \"C\""),
            ("fetch backward from c", "FETCH PRIOR FROM c"),
            ("fetch 5 c", "FETCH 5 FROM c"),
            ("fetch forward 5 in c", "FETCH FORWARD 5 FROM c"),
            ("fetch forward all from c", "FETCH FORWARD ALL FROM c"),
            ("move 2 from c", "FETCH 2 FROM c INTO \"\u{1}move\""),
            ("move c", "FETCH NEXT FROM c INTO \"\u{1}move\""),
            ("create unlogged table t (a int)", "CREATE TABLE t (a INT)"),
            ("drop index concurrently if exists i", "DROP INDEX IF EXISTS i"),
            ("table t", "SELECT * FROM t"),
            ("select current_schema, current_schema ()", "SELECT current_schema(), current_schema()"),
        ] {
            let parsed = parse(text).expect("it is a statement").expect("there is one");
            assert_eq!(parsed.to_string(), same, "{text}");
        }
        for text in ["fetch", "move", "fetch from", "table"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
