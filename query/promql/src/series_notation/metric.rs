//! The labels of a series: `metric{a="b", "c.d"="e"}`.

use chronolith_storage::{Labels, LabelsBuilder, model::labels::METRIC_NAME};

use crate::{
    ast::PosRange,
    error::ParseError,
    lexer::{
        Lexer,
        token::{Kind, Token},
    },
    quote::{Quoted, unquote},
};

/// The labels at the start of a line, and where they end.
pub(super) fn metric(line: &str) -> Result<(Labels, usize), ParseError> {
    if u32::try_from(line.len()).is_err() {
        return Err(ParseError::new("", PosRange::default(), "the line is longer than 4 GiB"));
    }
    let mut reader = Reader { line, lexer: Lexer::new(line) };
    let first = reader.lexer.next_token()?;
    let mut labels = LabelsBuilder::default();
    match first.kind {
        Kind::LeftBrace => reader.label_set(&mut labels)?,
        kind if kind.names_metric() => {
            // Points may follow a name, so only a brace right behind it belongs to it.
            if line.as_bytes().get(reader.lexer.position()) == Some(&b'{') {
                reader.lexer.next_token()?;
                reader.label_set(&mut labels)?;
            }
            labels.set(METRIC_NAME, first.text);
        }
        _ => return Err(reader.unexpected(first, "")),
    }
    Ok((labels.build(), reader.lexer.position()))
}

struct Reader<'a> {
    line: &'a str,
    lexer: Lexer<'a>,
}

impl<'a> Reader<'a> {
    /// After the opening brace.
    fn label_set(&mut self, labels: &mut LabelsBuilder) -> Result<(), ParseError> {
        loop {
            let token = self.lexer.next_token()?;
            let name = match token.kind {
                Kind::RightBrace => return Ok(()),
                Kind::Identifier => token.text.to_owned(),
                Kind::String => self.text(token)?,
                _ => return Err(self.unexpected(token, " in label set, expected identifier or \"}\"")),
            };
            let mut next = self.lexer.next_token()?;
            if next.kind == Kind::Equal {
                let value = self.lexer.next_token()?;
                if value.kind != Kind::String {
                    return Err(self.unexpected(value, " in label set, expected string"));
                }
                labels.set(&name, &self.text(value)?);
                next = self.lexer.next_token()?;
            } else if token.kind == Kind::String {
                labels.set(METRIC_NAME, &name);
            } else {
                return Err(self.unexpected(next, " in label set, expected \"=\""));
            }
            match next.kind {
                Kind::Comma => {}
                Kind::RightBrace => return Ok(()),
                _ => return Err(self.unexpected(next, " in label set, expected \",\" or \"}\"")),
            }
        }
    }

    fn text(&self, token: Token<'a>) -> Result<String, ParseError> {
        unquote(token.text).map_err(|reason| {
            let message = format!("error unquoting string {}: {reason}", Quoted(token.text));
            ParseError::new(self.line, token.pos, message)
        })
    }

    fn unexpected(&self, token: Token<'a>, place: &str) -> ParseError {
        ParseError::new(self.line, token.pos, format!("unexpected {token}{place}"))
    }
}
