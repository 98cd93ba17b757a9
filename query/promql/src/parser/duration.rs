//! Durations in brackets and after `offset`, which may be computed: `step() * 2`.

use super::{
    Context, Parsed, Parser,
    expr::{POWER, precedence, right_precedence},
    merge,
};
use crate::{
    ast::{BinaryOp, DurationExpr, NumberLiteral, PosRange},
    lexer::token::{Keyword, Kind, Token},
};

/// Seconds in the longest duration, which Prometheus counts in 64 bits of nanoseconds.
const MAX_SECONDS: f64 = 9_223_372_036.854_776;
const LOWEST: u8 = precedence(BinaryOp::Add);

/// A parsed duration and the depth of its tree.
struct Node {
    expr: DurationExpr,
    depth: u32,
}

/// A duration as the tree keeps it: in milliseconds when it is known.
pub(super) struct Length {
    pub(super) ms: i64,
    pub(super) expr: Option<DurationExpr>,
}

impl From<DurationExpr> for Length {
    fn from(expr: DurationExpr) -> Self {
        match expr {
            // Nanoseconds are rounded, then cut to milliseconds, as in Prometheus.
            DurationExpr::Literal(n) => Self { ms: (n.value * 1e9).round() as i64 / 1_000_000, expr: None },
            expr => Self { ms: 0, expr: Some(expr) },
        }
    }
}

impl Parser<'_> {
    /// A duration in brackets: any arithmetic; a known one is above 0.
    pub(super) fn range_duration(&mut self, context: Context) -> Parsed<Length> {
        let expr = self.duration(LOWEST, context)?.expr;
        if let DurationExpr::Literal(number) = &expr
            && number.value <= 0.0
        {
            return Err(self.error(number.pos, "duration must be greater than 0"));
        }
        Ok(expr.into())
    }

    /// The duration after `offset`. It ends where it can: in `a offset 5m - b` the minus is not part of it. Only what
    /// starts with a parenthesis without a sign, or with two signs, goes on with operators, as in Prometheus.
    pub(super) fn offset_duration(&mut self, context: Context) -> Parsed<Length> {
        let first = self.peek()?;
        let expr = match first.kind {
            Kind::Number
            | Kind::Duration
            | Kind::Keyword(Keyword::Step | Keyword::Range | Keyword::MinOf | Keyword::MaxOf) => {
                self.duration_operand(context)?
            }
            Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.take()?;
                let negative = op == BinaryOp::Sub;
                if matches!(self.peek()?.kind, Kind::Op(BinaryOp::Add | BinaryOp::Sub)) {
                    let left = self.signed_duration(negative, first, context)?;
                    self.duration_chain(left, LOWEST, context)?
                } else {
                    let operand = self.duration_operand(context)?;
                    self.apply_sign(negative, first.pos, operand)?
                }
            }
            _ => self.duration(LOWEST, context)?,
        };
        Ok(expr.expr.into())
    }

    fn duration(&mut self, lowest: u8, context: Context) -> Parsed<Node> {
        self.nested(|parser| {
            let first = parser.peek()?;
            let left = match first.kind {
                Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                    parser.take()?;
                    parser.signed_duration(op == BinaryOp::Sub, first, context)?
                }
                _ => parser.duration_operand(context)?,
            };
            parser.duration_chain(left, lowest, context)
        })
    }

    /// Operators that bind at least this strongly.
    fn duration_chain(&mut self, mut left: Node, lowest: u8, context: Context) -> Parsed<Node> {
        while let Kind::Op(op) = self.peek()?.kind {
            let arithmetic = precedence(op) >= LOWEST && op != BinaryOp::Atan2;
            if !arithmetic || precedence(op) < lowest {
                break;
            }
            let sign = self.take()?;
            let right = self.duration(right_precedence(op), context)?;
            if matches!(&right.expr, DurationExpr::Literal(n) if n.value == 0.0) {
                match op {
                    BinaryOp::Div => return Err(self.error(sign.pos, "division by zero")),
                    BinaryOp::Mod => return Err(self.error(sign.pos, "modulo by zero")),
                    _ => {}
                }
            }
            let depth = self.depth_over(sign.pos, left.depth.max(right.depth))?;
            let expr = DurationExpr::Binary { op, lhs: Box::new(left.expr), rhs: Box::new(right.expr) };
            left = Node { expr, depth };
        }
        Ok(left)
    }

    /// After a sign, which binds weaker than `^`.
    fn signed_duration(&mut self, negative: bool, sign: Token<'_>, context: Context) -> Parsed<Node> {
        let operand = self.duration(POWER, context)?;
        self.apply_sign(negative, sign.pos, operand)
    }

    /// A plus is left out, but for where a number starts.
    fn apply_sign(&self, negative: bool, sign: PosRange, operand: Node) -> Parsed<Node> {
        match operand.expr {
            DurationExpr::Literal(number) => {
                let value = if negative { -number.value } else { number.value };
                let number = NumberLiteral { value, pos: merge(sign, number.pos), ..number };
                Ok(Node { expr: DurationExpr::Literal(number), ..operand })
            }
            expr if negative => {
                let depth = self.depth_over(sign, operand.depth)?;
                Ok(Node { expr: DurationExpr::Unary { negative, expr: Box::new(expr), pos: sign }, depth })
            }
            expr => Ok(Node { expr, ..operand }),
        }
    }

    fn duration_operand(&mut self, context: Context) -> Parsed<Node> {
        let token = self.peek()?;
        match token.kind {
            Kind::Number | Kind::Duration => {
                self.take()?;
                let number = self.number(token)?;
                if !(-MAX_SECONDS..=MAX_SECONDS).contains(&number.value) && !number.value.is_nan() {
                    return Err(self.error(token.pos, "duration out of range"));
                }
                Ok(Node { expr: DurationExpr::Literal(number), depth: 1 })
            }
            Kind::Keyword(word @ (Keyword::Step | Keyword::Range)) => {
                self.take()?;
                self.expect(Kind::LeftParen, context)?;
                let pos = merge(token.pos, self.expect(Kind::RightParen, context)?.pos);
                let expr = if word == Keyword::Step { DurationExpr::Step(pos) } else { DurationExpr::Range(pos) };
                Ok(Node { expr, depth: 1 })
            }
            Kind::Keyword(word @ (Keyword::MinOf | Keyword::MaxOf)) => {
                self.take()?;
                self.expect(Kind::LeftParen, context)?;
                let left = self.duration(LOWEST, context)?;
                self.expect(Kind::Comma, context)?;
                let right = self.duration(LOWEST, context)?;
                let pos = merge(token.pos, self.expect(Kind::RightParen, context)?.pos);
                let depth = self.depth_over(pos, left.depth.max(right.depth))?;
                let make = if word == Keyword::MinOf { DurationExpr::MinOf } else { DurationExpr::MaxOf };
                Ok(Node { expr: make(Box::new(left.expr), Box::new(right.expr), pos), depth })
            }
            Kind::LeftParen => {
                self.take()?;
                let inner = self.duration(LOWEST, context)?;
                let pos = merge(token.pos, self.expect(Kind::RightParen, context)?.pos);
                // Parentheses around parentheses say nothing, and Prometheus does not keep them.
                if let DurationExpr::Paren(..) = inner.expr {
                    return Ok(inner);
                }
                let depth = self.depth_over(pos, inner.depth)?;
                Ok(Node { expr: DurationExpr::Paren(Box::new(inner.expr), pos), depth })
            }
            _ => Err(self.unexpected_in(context)),
        }
    }
}
