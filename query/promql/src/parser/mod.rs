//! Parses PromQL by precedence climbing, then checks the types. Accepts what Prometheus' grammar accepts, with its
//! experimental parts, and words errors as Prometheus does.
//!
//! The grammar is read with one token of lookahead, taken only when it is needed, so that of two errors the same one is
//! reported first. An error names the innermost rule around it that Prometheus' grammar can name; that is the
//! `context` of the parser.

mod call;
mod check;
mod duration;
mod expr;
mod modifier;
mod selector;

use chronolith_storage::Matcher;

use crate::{
    ast::{Expr, PosRange},
    error::ParseError,
    lexer::{
        Lexer,
        token::{Kind, Token},
    },
};

/// Longest text of a query, in bytes.
pub const MAX_QUERY_LEN: usize = 16 * 1024;
/// How deep parentheses, calls, signs and right operands may be nested. Keeps the parser's own stack small.
pub const MAX_NESTING: u32 = 100;
/// How deep a tree may be, chains of operators included. Keeps the stack small of all that walk the tree.
pub const MAX_DEPTH: u32 = 250;

/// Parses and checks an expression.
///
/// # Errors
/// The first error in the text, with its place; also when the text is longer than [`MAX_QUERY_LEN`] bytes or nested too
/// deep.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(query)?;
    if parser.peek()?.kind == Kind::Eof {
        return Err(ParseError::new(query, PosRange::default(), "no expression found in input"));
    }
    let mut expr = *parser.expression(expr::LOWEST)?.expr;
    parser.expect_end()?;
    check::check(query, &mut expr)?;
    Ok(expr)
}

/// Parses a selector without modifiers, such as the `match[]` of the HTTP API: `up{job="a"}`. Its matchers may all fit
/// the empty text.
///
/// # Errors
/// As [`parse`].
pub fn parse_selector(query: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(query)?;
    let token = parser.peek()?;
    if token.kind != Kind::LeftBrace && !token.kind.names_metric() {
        return Err(parser.unexpected());
    }
    let selector = if token.kind == Kind::LeftBrace {
        parser.unnamed_selector()?
    } else {
        parser.take()?;
        parser.named_selector(token)?
    };
    parser.expect_end()?;
    Ok(selector.matchers)
}

/// The part of the grammar that an error names, and what it expects there.
#[derive(Debug, Clone, Copy)]
struct Context {
    name: &'static str,
    expected: &'static str,
}

/// A parsed expression and the depth of its tree. Boxed, so that the rules that call each other have small frames.
#[derive(Debug)]
struct Node {
    expr: Box<Expr>,
    depth: u32,
}

impl Node {
    fn new(expr: Expr, depth: u32) -> Self {
        Self { expr: Box::new(expr), depth }
    }

    fn leaf(expr: Expr) -> Self {
        Self::new(expr, 1)
    }
}

struct Parser<'a> {
    query: &'a str,
    lexer: Lexer<'a>,
    ahead: Option<Token<'a>>,
    /// Where the last token that was taken ends.
    last_end: u32,
    /// How deep the parser has recursed.
    nesting: u32,
    /// What encloses the place of an error that no rule nearer names: nothing or an aggregation.
    context: Context,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn new(query: &'a str) -> Parsed<Self> {
        if query.len() > MAX_QUERY_LEN {
            let message = format!("query of {} bytes is over the limit of {MAX_QUERY_LEN} bytes", query.len());
            return Err(ParseError::new(query, PosRange::default(), message));
        }
        let context = Context { name: "", expected: "" };
        Ok(Self { query, lexer: Lexer::new(query), ahead: None, last_end: 0, nesting: 0, context })
    }

    fn peek(&mut self) -> Parsed<Token<'a>> {
        if let Some(token) = self.ahead {
            return Ok(token);
        }
        let token = self.lexer.next_token()?;
        self.ahead = Some(token);
        Ok(token)
    }

    fn take(&mut self) -> Parsed<Token<'a>> {
        let token = self.peek()?;
        self.ahead = None;
        self.last_end = token.pos.end;
        Ok(token)
    }

    /// Takes the next token when it is of this kind.
    fn take_if(&mut self, kind: Kind) -> Parsed<Option<Token<'a>>> {
        if self.peek()?.kind == kind { self.take().map(Some) } else { Ok(None) }
    }

    /// Takes the next token, which has to be of this kind.
    fn expect(&mut self, kind: Kind, context: Context) -> Parsed<Token<'a>> {
        match self.take_if(kind)? {
            Some(token) => Ok(token),
            None => Err(self.unexpected_in(context)),
        }
    }

    fn expect_end(&mut self) -> Parsed<()> {
        self.expect(Kind::Eof, self.context).map(|_| ())
    }

    /// The next token stands where it cannot.
    fn unexpected(&mut self) -> ParseError {
        self.unexpected_in(self.context)
    }

    fn unexpected_in(&mut self, context: Context) -> ParseError {
        let token = match self.peek() {
            Ok(token) => token,
            Err(error) => return error,
        };
        let mut message = format!("unexpected {token}");
        if !context.name.is_empty() {
            message.push_str(" in ");
            message.push_str(context.name);
        }
        if !context.expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(context.expected);
        }
        self.error(token.pos, message)
    }

    fn error(&self, pos: PosRange, message: impl Into<String>) -> ParseError {
        ParseError::new(self.query, pos, message)
    }

    /// Goes one level deeper; the caller takes the level away again.
    fn enter(&mut self) -> Parsed<()> {
        if self.nesting == MAX_NESTING {
            let pos = self.peek()?.pos;
            return Err(self.error(pos, format!("expression is nested more than {MAX_NESTING} levels deep")));
        }
        self.nesting += 1;
        Ok(())
    }

    /// The depth of a node over children of these depths.
    fn depth_over(&self, pos: PosRange, children: u32) -> Parsed<u32> {
        if children >= MAX_DEPTH {
            return Err(self.error(pos, format!("expression makes a tree of more than {MAX_DEPTH} levels")));
        }
        Ok(children + 1)
    }
}

/// From the start of one range to the end of another.
const fn merge(first: PosRange, last: PosRange) -> PosRange {
    PosRange { start: first.start, end: last.end }
}

#[cfg(test)]
mod tests;
