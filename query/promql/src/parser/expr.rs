//! Operators, signs, and what stands between them.

use super::{Context, Node, Parsed, Parser, merge};
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

/// What `on`, `ignoring` and the like say about an operation.
struct Modifiers {
    matching: VectorMatching,
    return_bool: bool,
}

impl Parser<'_> {
    /// An expression of operators that bind at least this strongly.
    pub(super) fn expression(&mut self, lowest: u8) -> Parsed<Node> {
        self.nested(|parser| {
            let mut left = parser.operand()?;
            while let Kind::Op(op) = parser.peek()?.kind {
                if precedence(op) < lowest {
                    break;
                }
                left = parser.binary(op, left)?;
            }
            Ok(left)
        })
    }

    fn binary(&mut self, op: BinaryOp, left: Node) -> Parsed<Node> {
        let op_pos = self.take()?.pos;
        let Modifiers { matching, return_bool } = self.modifiers()?;
        let right = self.expression(right_precedence(op))?;
        let depth = self.depth_over(op_pos, left.depth.max(right.depth))?;
        let pos = merge(left.expr.pos(), right.expr.pos());
        let expr = Expr::Binary(BinaryExpr {
            op,
            lhs: Box::new(left.expr),
            rhs: Box::new(right.expr),
            matching: Some(matching),
            return_bool,
            pos,
            op_pos,
        });
        Ok(Node { expr, depth })
    }

    fn modifiers(&mut self) -> Parsed<Modifiers> {
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
                if self.peek()?.kind == Kind::LeftParen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fill_modifiers(&mut matching)?;
        Ok(Modifiers { matching, return_bool })
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
            return self.signed(op == BinaryOp::Sub, token.pos);
        }
        let node = self.primary(token)?;
        self.postfix(node)
    }

    fn signed(&mut self, negative: bool, sign: PosRange) -> Parsed<Node> {
        let mut node = self.expression(POWER)?;
        let pos = merge(sign, node.expr.pos());
        if let Expr::Number(number) = &mut node.expr {
            if negative {
                number.value = -number.value;
            }
            number.pos = pos;
            return Ok(node);
        }
        let depth = self.depth_over(sign, node.depth)?;
        Ok(Node { expr: Expr::Unary(UnaryExpr { negative, expr: Box::new(node.expr), pos }), depth })
    }

    fn primary(&mut self, token: Token<'_>) -> Parsed<Node> {
        match token.kind {
            Kind::Number | Kind::Duration => {
                self.take()?;
                Ok(Node::leaf(Expr::Number(self.number(token)?)))
            }
            Kind::String => {
                self.take()?;
                Ok(Node::leaf(Expr::String(self.string_literal(token)?)))
            }
            Kind::LeftParen => self.paren(),
            Kind::LeftBrace => Ok(Node::leaf(Expr::Vector(self.unnamed_selector()?))),
            kind if kind.names_metric() => {
                self.take()?;
                self.named(token)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A word at an operand's place: a call, an aggregation or a metric's name.
    fn named(&mut self, token: Token<'_>) -> Parsed<Node> {
        let next = self.peek()?.kind;
        match (token.kind, next) {
            (Kind::Aggregate(op), Kind::LeftParen | Kind::Keyword(Keyword::By) | Kind::Keyword(Keyword::Without)) => {
                self.aggregation(op, token.pos)
            }
            (
                Kind::Identifier
                | Kind::Keyword(
                    Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range | Keyword::MaxOf | Keyword::MinOf,
                ),
                Kind::LeftParen,
            ) => self.call(token),
            _ => Ok(Node::leaf(Expr::Vector(self.named_selector(token)?))),
        }
    }

    fn paren(&mut self) -> Parsed<Node> {
        let open = self.take()?;
        let inner = self.expression(LOWEST)?;
        let close = self.expect(Kind::RightParen, self.context)?;
        let pos = merge(open.pos, close.pos);
        let depth = self.depth_over(pos, inner.depth)?;
        Ok(Node { expr: Expr::Paren(ParenExpr { expr: Box::new(inner.expr), pos }), depth })
    }
}
