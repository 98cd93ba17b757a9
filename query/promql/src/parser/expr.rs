//! Operators, signs, and what stands between them.

use super::{Context, Node, Parsed, Parser, call::starts_expression, merge};
use crate::{
    ast::{
        BinaryExpr, BinaryOp, Expr, MatchCardinality, NumberLiteral, ParenExpr, PosRange, StringLiteral, UnaryExpr,
        VectorMatching,
    },
    duration, format,
    lexer::token::{Keyword, Kind, Token},
    quote::{Quoted, UnquoteError, unquote},
};

/// The precedence at which every operator is taken.
pub(super) const LOWEST: u8 = 1;
/// Signs bind weaker than this, stronger than multiplication.
pub(super) const POWER: u8 = 6;

/// How strongly an operator binds.
pub(super) const fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => LOWEST,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Eql
        | BinaryOp::Neq
        | BinaryOp::Gtr
        | BinaryOp::Lss
        | BinaryOp::Gte
        | BinaryOp::Lte
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
        BinaryOp::Pow => POWER,
    }
}

/// The precedence of a right operand: only `^` groups from the right.
pub(super) const fn right_precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Pow => POWER,
        op => precedence(op) + 1,
    }
}

/// An operator and what `bool`, `on`, `ignoring` and the like say about it.
struct Operator {
    op: BinaryOp,
    pos: PosRange,
    matching: Box<VectorMatching>,
    return_bool: bool,
}

impl Parser<'_> {
    /// An expression of operators that bind at least this strongly. The rules that call each other are kept small, as
    /// the stack has room for [`super::MAX_NESTING`] rounds of them.
    pub(super) fn expression(&mut self, lowest: u8) -> Parsed<Node> {
        self.enter()?;
        let mut left = self.operand()?;
        while let Some(operator) = self.operator(lowest)? {
            let right = self.expression(right_precedence(operator.op))?;
            left = self.binary(operator, left, right)?;
        }
        self.nesting -= 1;
        Ok(left)
    }

    /// Takes an operator that binds at least this strongly, with its modifiers.
    fn operator(&mut self, lowest: u8) -> Parsed<Option<Operator>> {
        match self.peek()?.kind {
            Kind::Op(op) if precedence(op) >= lowest => {
                let pos = self.take()?.pos;
                let (matching, return_bool) = self.modifiers()?;
                Ok(Some(Operator { op, pos, matching: Box::new(matching), return_bool }))
            }
            _ => Ok(None),
        }
    }

    fn binary(&self, operator: Operator, left: Node, right: Node) -> Parsed<Node> {
        let Operator { op, pos: op_pos, matching, return_bool } = operator;
        let depth = self.depth_over(op_pos, left.depth.max(right.depth))?;
        let pos = merge(left.expr.pos(), right.expr.pos());
        let (lhs, rhs) = (left.expr, right.expr);
        let expr = Expr::Binary(BinaryExpr { op, lhs, rhs, matching: Some(*matching), return_bool, pos, op_pos });
        Ok(Node::new(expr, depth))
    }

    fn modifiers(&mut self) -> Parsed<(VectorMatching, bool)> {
        let return_bool = self.take_if(Kind::Keyword(Keyword::Bool))?.is_some();
        let mut matching = VectorMatching {
            card: MatchCardinality::OneToOne,
            labels: Vec::new(),
            on: false,
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        if let Kind::Keyword(word @ (Keyword::On | Keyword::Ignoring)) = self.peek()?.kind {
            self.take()?;
            matching.on = word == Keyword::On;
            matching.labels = self.grouping_labels()?;
            let card = match self.peek()?.kind {
                Kind::Keyword(Keyword::GroupLeft) => Some(MatchCardinality::ManyToOne),
                Kind::Keyword(Keyword::GroupRight) => Some(MatchCardinality::OneToMany),
                _ => None,
            };
            if let Some(card) = card {
                self.take()?;
                matching.card = card;
                // The labels may be left out, the right operand may not.
                let next = self.peek()?.kind;
                if next == Kind::LeftParen || !starts_expression(next) {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fill_modifiers(&mut matching)?;
        Ok((matching, return_bool))
    }

    /// `fill (1)`, or `fill_left (1)` and `fill_right (1)` in any order.
    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        if self.take_if(Kind::Keyword(Keyword::Fill))?.is_some() {
            let value = Some(self.fill_value()?);
            matching.fill_left = value;
            matching.fill_right = value;
            return Ok(());
        }
        for _ in 0..2 {
            match self.peek()?.kind {
                Kind::Keyword(Keyword::FillLeft) if matching.fill_left.is_none() => {
                    self.take()?;
                    matching.fill_left = Some(self.fill_value()?);
                }
                Kind::Keyword(Keyword::FillRight) if matching.fill_right.is_none() => {
                    self.take()?;
                    matching.fill_right = Some(self.fill_value()?);
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(Kind::LeftParen, self.context)?;
        let value = self.signed_number(self.context)?;
        self.expect(Kind::RightParen, self.context)?;
        Ok(value)
    }

    /// A number or duration, with or without a sign.
    pub(super) fn signed_number(&mut self, context: Context) -> Parsed<f64> {
        let negative = match self.peek()?.kind {
            Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.take()?;
                op == BinaryOp::Sub
            }
            _ => false,
        };
        let token = self.peek()?;
        if !matches!(token.kind, Kind::Number | Kind::Duration) {
            return Err(self.unexpected_in(context));
        }
        self.take()?;
        let value = self.number(token)?.value;
        Ok(if negative { -value } else { value })
    }

    /// The value of a number or duration.
    pub(super) fn number(&self, token: Token<'_>) -> Parsed<NumberLiteral> {
        let is_duration = token.kind == Kind::Duration;
        let value = if is_duration {
            duration::parse(token.text).map(|ms| ms as f64 / 1000.0).map_err(|e| e.to_string())
        } else {
            format::parse_number(token.text)
        };
        let value = value.map_err(|message| self.error(token.pos, message))?;
        Ok(NumberLiteral { value, is_duration, pos: token.pos })
    }

    /// A text as an expression, the only place where its bytes may be invalid UTF-8.
    fn string_literal(&self, token: Token<'_>) -> Parsed<StringLiteral> {
        let (value, invalid_utf8) = match unquote(token.text) {
            Err(UnquoteError::Utf8(bytes)) => (String::from_utf8_lossy(&bytes).into_owned(), Some(bytes)),
            _ => (self.text(token)?, None),
        };
        Ok(StringLiteral { value, invalid_utf8, pos: token.pos })
    }

    /// A text, unquoted.
    pub(super) fn text(&self, token: Token<'_>) -> Parsed<String> {
        unquote(token.text)
            .map_err(|reason| self.error(token.pos, format!("error unquoting string {}: {reason}", Quoted(token.text))))
    }

    /// What stands between operators, with its sign and modifiers.
    fn operand(&mut self) -> Parsed<Node> {
        let token = self.peek()?;
        if let Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) = token.kind {
            self.take()?;
            let node = self.expression(POWER)?;
            return self.signed(op == BinaryOp::Sub, token.pos, node);
        }
        let node = match token.kind {
            Kind::LeftParen => self.paren(),
            kind if kind.names_metric() => self.named(),
            _ => self.simple(token),
        };
        self.postfix(node?)
    }

    fn signed(&self, negative: bool, sign: PosRange, mut node: Node) -> Parsed<Node> {
        let pos = merge(sign, node.expr.pos());
        if let Expr::Number(number) = node.expr.as_mut() {
            if negative {
                number.value = -number.value;
            }
            number.pos = pos;
            return Ok(node);
        }
        let depth = self.depth_over(sign, node.depth)?;
        Ok(Node::new(Expr::Unary(UnaryExpr { negative, expr: node.expr, pos }), depth))
    }

    /// An operand that has no operands inside.
    fn simple(&mut self, token: Token<'_>) -> Parsed<Node> {
        match token.kind {
            Kind::Number | Kind::Duration => {
                self.take()?;
                Ok(Node::leaf(Expr::Number(self.number(token)?)))
            }
            Kind::String => {
                self.take()?;
                Ok(Node::leaf(Expr::String(self.string_literal(token)?)))
            }
            Kind::LeftBrace => Ok(Node::leaf(Expr::Vector(self.unnamed_selector()?))),
            _ => Err(self.unexpected()),
        }
    }

    /// A word at an operand's place: a call, an aggregation or a metric's name.
    fn named(&mut self) -> Parsed<Node> {
        let token = self.take()?;
        match (token.kind, self.peek()?.kind) {
            (Kind::Aggregate(op), Kind::LeftParen | Kind::Keyword(Keyword::By) | Kind::Keyword(Keyword::Without)) => {
                self.aggregation(op, token.pos)
            }
            (
                Kind::Identifier
                | Kind::Keyword(
                    Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range | Keyword::MaxOf | Keyword::MinOf,
                ),
                Kind::LeftParen,
            ) => {
                let arguments = self.arguments()?;
                self.call(token, arguments)
            }
            _ => self.metric(token),
        }
    }

    fn metric(&mut self, name: Token<'_>) -> Parsed<Node> {
        Ok(Node::leaf(Expr::Vector(self.named_selector(name)?)))
    }

    fn paren(&mut self) -> Parsed<Node> {
        let open = self.take()?.pos;
        let inner = self.expression(LOWEST)?;
        self.close_paren(open, inner)
    }

    fn close_paren(&mut self, open: PosRange, inner: Node) -> Parsed<Node> {
        let close = self.expect(Kind::RightParen, self.context)?;
        let pos = merge(open, close.pos);
        let depth = self.depth_over(pos, inner.depth)?;
        Ok(Node::new(Expr::Paren(ParenExpr { expr: inner.expr, pos }), depth))
    }
}
