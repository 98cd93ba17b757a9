//! Durations in brackets and after `offset`, which may be computed: `step() * 2`.

use super::{
    Context, Parsed, Parser,
    expr::{POWER, precedence, right_precedence},
    merge,
};
use crate::{
    ast::{BinaryOp, DurationExpr, NumberLiteral, PosRange},
    lexer::token::{Keyword, Kind},
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

/// `min_of` or `max_of`.
type Choice = fn(Box<DurationExpr>, Box<DurationExpr>, PosRange) -> DurationExpr;

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
        let node = match self.peek()?.kind {
            Kind::LeftParen => self.duration(LOWEST, context)?,
            Kind::Op(BinaryOp::Add | BinaryOp::Sub) => {
                let sign = self.take()?;
                let negative = sign.kind == Kind::Op(BinaryOp::Sub);
                if matches!(self.peek()?.kind, Kind::Op(BinaryOp::Add | BinaryOp::Sub)) {
                    let mut left = self.signed_duration(negative, sign.pos, context)?;
                    while let Some((op, sign)) = self.arithmetic(LOWEST)? {
                        let right = self.duration(right_precedence(op), context)?;
                        left = self.duration_binary(op, sign, left, right)?;
                    }
                    left
                } else {
                    let operand = self.duration_operand(context)?;
                    self.apply_sign(negative, sign.pos, operand)?
                }
            }
            _ => self.duration_operand(context)?,
        };
        Ok(node.expr.into())
    }

    fn duration(&mut self, lowest: u8, context: Context) -> Parsed<Node> {
        self.enter()?;
        let mut left = match self.sign()? {
            Some((negative, sign)) => self.signed_duration(negative, sign, context)?,
            None => self.duration_operand(context)?,
        };
        while let Some((op, sign)) = self.arithmetic(lowest)? {
            let right = self.duration(right_precedence(op), context)?;
            left = self.duration_binary(op, sign, left, right)?;
        }
        self.nesting -= 1;
        Ok(left)
    }

    /// Takes a sign; whether it is a minus.
    fn sign(&mut self) -> Parsed<Option<(bool, PosRange)>> {
        match self.peek()?.kind {
            Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => Ok(Some((op == BinaryOp::Sub, self.take()?.pos))),
            _ => Ok(None),
        }
    }

    /// Takes an arithmetic operator that binds at least this strongly.
    fn arithmetic(&mut self, lowest: u8) -> Parsed<Option<(BinaryOp, PosRange)>> {
        match self.peek()?.kind {
            Kind::Op(BinaryOp::Atan2) => Ok(None),
            Kind::Op(op) if precedence(op) >= lowest => Ok(Some((op, self.take()?.pos))),
            _ => Ok(None),
        }
    }

    fn duration_binary(&self, op: BinaryOp, sign: PosRange, left: Node, right: Node) -> Parsed<Node> {
        if matches!(&right.expr, DurationExpr::Literal(n) if n.value == 0.0) {
            match op {
                BinaryOp::Div => return Err(self.error(sign, "division by zero")),
                BinaryOp::Mod => return Err(self.error(sign, "modulo by zero")),
                _ => {}
            }
        }
        let depth = self.depth_over(sign, left.depth.max(right.depth))?;
        let expr = DurationExpr::Binary { op, lhs: Box::new(left.expr), rhs: Box::new(right.expr) };
        Ok(Node { expr, depth })
    }

    /// After a sign, which binds weaker than `^`.
    fn signed_duration(&mut self, negative: bool, sign: PosRange, context: Context) -> Parsed<Node> {
        let operand = self.duration(POWER, context)?;
        self.apply_sign(negative, sign, operand)
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
        match self.peek()?.kind {
            Kind::LeftParen => self.duration_paren(context),
            Kind::Keyword(Keyword::MinOf) => self.duration_choice(DurationExpr::MinOf, context),
            Kind::Keyword(Keyword::MaxOf) => self.duration_choice(DurationExpr::MaxOf, context),
            _ => self.simple_duration(context),
        }
    }

    /// An operand that has no operands inside.
    fn simple_duration(&mut self, context: Context) -> Parsed<Node> {
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
            _ => Err(self.unexpected_in(context)),
        }
    }

    /// `min_of(a, b)`, `max_of(a, b)`
    fn duration_choice(&mut self, make: Choice, context: Context) -> Parsed<Node> {
        let start = self.take_pair(Kind::LeftParen, context)?;
        let left = self.duration(LOWEST, context)?;
        self.take_kind(Kind::Comma, context)?;
        let right = self.duration(LOWEST, context)?;
        let pos = merge(start, self.take_kind(Kind::RightParen, context)?);
        let depth = self.depth_over(pos, left.depth.max(right.depth))?;
        Ok(Node { expr: make(Box::new(left.expr), Box::new(right.expr), pos), depth })
    }

    fn duration_paren(&mut self, context: Context) -> Parsed<Node> {
        let open = self.take_kind(Kind::LeftParen, context)?;
        let inner = self.duration(LOWEST, context)?;
        self.close_duration(open, inner, context)
    }

    fn close_duration(&mut self, open: PosRange, inner: Node, context: Context) -> Parsed<Node> {
        let pos = merge(open, self.take_kind(Kind::RightParen, context)?);
        // Parentheses around parentheses say nothing, and Prometheus does not keep them.
        if let DurationExpr::Paren(..) = inner.expr {
            return Ok(inner);
        }
        let depth = self.depth_over(pos, inner.depth)?;
        Ok(Node { expr: DurationExpr::Paren(Box::new(inner.expr), pos), depth })
    }

    /// Takes the next token and one of this kind behind it; gives the place of the first.
    fn take_pair(&mut self, kind: Kind, context: Context) -> Parsed<PosRange> {
        let first = self.take()?.pos;
        self.take_kind(kind, context)?;
        Ok(first)
    }

    fn take_kind(&mut self, kind: Kind, context: Context) -> Parsed<PosRange> {
        self.expect(kind, context).map(|token| token.pos)
    }
}
