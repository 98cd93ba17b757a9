//! Vector selectors: a metric's name and label matchers in braces.

use chronolith_storage::{MatchOp, Matcher, model::labels::METRIC_NAME};

use super::{Context, Parsed, Parser, merge};
use crate::{
    ast::{BinaryOp, Extension, PosRange, VectorSelector},
    lexer::token::{Kind, Token},
};

const OPERATOR: Context = Context { name: "label matching", expected: "label matching operator" };
const VALUE: Context = Context { name: "label matching", expected: "string" };
const LABEL: Context = Context { name: "label matching", expected: "identifier or \"}\"" };
const NEXT: Context = Context { name: "label matching", expected: "\",\" or \"}\"" };

impl Parser<'_> {
    /// After a metric's name.
    pub(super) fn named_selector(&mut self, name: Token<'_>) -> Parsed<VectorSelector> {
        let mut selector = if self.peek()?.kind == Kind::LeftBrace {
            self.unnamed_selector()?
        } else {
            selector(Vec::new(), name.pos)
        };
        selector.pos.start = name.pos.start;
        selector.name = Some(name.text.to_owned());
        selector.matchers.push(Matcher::equal(METRIC_NAME, name.text));
        Ok(selector)
    }

    /// Matchers in braces.
    pub(super) fn unnamed_selector(&mut self) -> Parsed<VectorSelector> {
        let open = self.take()?;
        let mut matchers = Vec::new();
        let close = loop {
            if let Some(close) = self.take_if(Kind::RightBrace)? {
                break close;
            }
            matchers.push(self.matcher()?);
            if self.take_if(Kind::Comma)?.is_none() {
                break self.expect(Kind::RightBrace, NEXT)?;
            }
        };
        Ok(selector(matchers, merge(open.pos, close.pos)))
    }

    fn matcher(&mut self) -> Parsed<Matcher> {
        let label = self.peek()?;
        let name = match label.kind {
            Kind::Identifier => {
                self.take()?;
                label.text.to_owned()
            }
            Kind::String => {
                self.take()?;
                self.text(label)?
            }
            _ => return Err(self.unexpected_in(LABEL)),
        };
        let op = match self.peek()?.kind {
            Kind::Equal => MatchOp::Equal,
            Kind::Op(BinaryOp::Neq) => MatchOp::NotEqual,
            Kind::EqualRegex => MatchOp::Regex,
            Kind::NotEqualRegex => MatchOp::NotRegex,
            // A quoted text alone is the metric's name.
            _ if label.kind == Kind::String => return Ok(Matcher::equal(METRIC_NAME, name)),
            _ => return Err(self.unexpected_in(OPERATOR)),
        };
        self.take()?;
        let value = self.expect(Kind::String, VALUE)?;
        let text = self.text(value)?;
        Matcher::new(name, op, text).map_err(|e| self.error(merge(label.pos, value.pos), e.to_string()))
    }
}

const fn selector(matchers: Vec<Matcher>, pos: PosRange) -> VectorSelector {
    VectorSelector { name: None, matchers, offset_ms: 0, offset_expr: None, at: None, extension: Extension::None, pos }
}
