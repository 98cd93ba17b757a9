//! Tests of the lexer.

use super::*;
use crate::ast::AggregateOp;

fn lex(query: &str) -> Result<Vec<(Kind, String)>, String> {
    let mut lexer = Lexer::new(query);
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token().map_err(|e| e.to_string())?;
        assert_eq!(&query[token.pos.start as usize..token.pos.end as usize], token.text);
        if token.kind == Kind::Eof {
            return Ok(tokens);
        }
        tokens.push((token.kind, token.text.to_owned()));
    }
}

fn kinds(query: &str) -> Vec<Kind> {
    lex(query).unwrap().into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn numbers_and_durations() {
    for number in ["1", "4.23", ".3", "5.", "Inf", "NaN", "0x123", "1e3", "1_000", "0X_1f", "1e-3"] {
        assert_eq!(kinds(number), [Kind::Number], "{number}");
    }
    for duration in ["5s", "123m", "1h", "3w", "1y", "5ms", "1h30m5s", "5hs"] {
        assert_eq!(kinds(duration), [Kind::Duration], "{duration}");
    }
    for bad in ["2.5.", "100..4", "0deadbeef", "1e", "1_", "1__0", "0x1.5", "5mq", "1a"] {
        let error = lex(bad).unwrap_err();
        assert!(error.starts_with("1:1: parse error: bad number or duration syntax:"), "{bad}: {error}");
    }
}

#[test]
fn words_depend_on_what_is_around_them() {
    assert_eq!(kinds("sum"), [Kind::Aggregate(AggregateOp::Sum)]);
    assert_eq!(kinds("{sum}"), [Kind::LeftBrace, Kind::Identifier, Kind::RightBrace]);
    assert_eq!(kinds("fill (1)")[0], Kind::Keyword(Keyword::Fill));
    assert_eq!(kinds("fill + 1")[0], Kind::Identifier);
    assert_eq!(kinds("a:b"), [Kind::MetricIdentifier]);
    assert_eq!(kinds("[STEP()]")[1], Kind::Keyword(Keyword::Step));
    assert_eq!(kinds("a # comment\n b"), [Kind::Identifier, Kind::Identifier]);
}

#[test]
fn errors_are_those_of_prometheus() {
    let cases = [
        ("(", "1:2: parse error: unclosed left parenthesis"),
        (")", "1:2: parse error: unexpected right parenthesis ')'"),
        ("a[5m", "1:5: parse error: unclosed left bracket"),
        ("a[", "1:3: parse error: unexpected end of input in duration expression"),
        ("]", "1:1: parse error: unexpected right bracket ']'"),
        ("{", "1:2: parse error: unexpected end of input inside braces"),
        ("{{", "1:2: parse error: unexpected left brace '{'"),
        ("{a!x}", "1:3: parse error: unexpected character after '!' inside braces: 'x'"),
        ("a =~ b", "1:3: parse error: unexpected character after '=': '~'"),
        ("a ! b", "1:3: parse error: unexpected character after '!': ' '"),
        ("\"a", "1:1: parse error: unterminated quoted string"),
        ("`a", "1:1: parse error: unterminated raw string"),
        ("'\\q'", "1:1: parse error: unknown escape sequence U+0071 'q'"),
        ("'\\xg0'", "1:1: parse error: illegal character U+0067 'g' in escape sequence"),
        ("'\\ud800'", "1:1: parse error: escape sequence is an invalid Unicode code point"),
        ("\\", "1:1: parse error: unexpected character: '\\\\'"),
        ("a[5m:5m:5m]", "1:8: parse error: unexpected colon ':'"),
        ("a[:5m]", "1:4: parse error: unexpected colon before duration in duration expression"),
        ("a[range():5m]", "1:11: parse error: unexpected colon before duration in duration expression"),
        ("a[5m q]", "1:6: parse error: unexpected character: 'q', expected ':'"),
        ("a[q]", "1:3: parse error: unexpected character in duration expression: 'q'"),
    ];
    for (query, error) in cases {
        assert_eq!(lex(query), Err(error.to_owned()), "{query}");
    }
}
