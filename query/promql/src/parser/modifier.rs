//! What stands behind an operand: ranges and subqueries in brackets, `offset`, `@`, `anchored`, `smoothed`.

use super::{Context, Node, Parsed, Parser, duration::Length, merge};
use crate::{
    ast::{AtModifier, DurationExpr, Expr, Extension, MatrixSelector, PosRange, SubqueryExpr, VectorSelector},
    lexer::token::{Keyword, Kind, Token},
};

const OFFSET: Context = Context { name: "offset", expected: "number, duration, step(), or range()" };
const AT: Context = Context { name: "@", expected: "timestamp" };
const RANGE: Context = Context { name: "subquery or range selector", expected: "number, duration, step(), or range()" };
const RANGE_END: Context = Context { name: "subquery or range", expected: "\":\" or \"]\"" };
const STEP: Context = Context { name: "subquery selector", expected: "number, duration, step(), range(), or \"]\"" };
const STEP_END: Context = Context { name: "subquery selector", expected: "\"]\"" };

/// The modifiers of a selector or subquery, to be changed.
struct Modified<'a> {
    offset_ms: &'a mut i64,
    offset_expr: &'a mut Option<DurationExpr>,
    at: &'a mut Option<AtModifier>,
    pos: &'a mut PosRange,
}

fn modified(expr: &mut Expr) -> Option<Modified<'_>> {
    match expr {
        Expr::Vector(VectorSelector { offset_ms, offset_expr, at, pos, .. }) => {
            Some(Modified { offset_ms, offset_expr, at, pos })
        }
        Expr::Matrix(MatrixSelector { selector: VectorSelector { offset_ms, offset_expr, at, .. }, pos, .. }) => {
            Some(Modified { offset_ms, offset_expr, at, pos })
        }
        Expr::Subquery(SubqueryExpr { offset_ms, offset_expr, at, pos, .. }) => {
            Some(Modified { offset_ms, offset_expr, at, pos })
        }
        _ => None,
    }
}

impl Parser<'_> {
    /// All modifiers behind an operand.
    pub(super) fn postfix(&mut self, mut node: Node) -> Parsed<Node> {
        loop {
            let token = self.peek()?;
            match token.kind {
                Kind::LeftBracket => {
                    self.take()?;
                    node = self.bracket(node, token)?;
                }
                Kind::Keyword(Keyword::Offset) => {
                    self.take()?;
                    self.offset(&mut node.expr)?;
                }
                Kind::At => {
                    self.take()?;
                    self.at_modifier(&mut node.expr)?;
                }
                Kind::Keyword(Keyword::Anchored) => {
                    self.take()?;
                    self.extend(&mut node.expr, Extension::Anchored)?;
                }
                Kind::Keyword(Keyword::Smoothed) => {
                    self.take()?;
                    self.extend(&mut node.expr, Extension::Smoothed)?;
                }
                _ => return Ok(node),
            }
        }
    }

    /// After `[`.
    fn bracket(&mut self, node: Node, open: Token<'_>) -> Parsed<Node> {
        let range = self.range_duration(RANGE)?;
        if let Some(close) = self.take_if(Kind::RightBracket)? {
            return self.matrix(node, range, merge(open.pos, close.pos));
        }
        self.expect(Kind::Colon, RANGE_END)?;
        let (step, close) = match self.take_if(Kind::RightBracket)? {
            Some(close) => (Length { ms: 0, expr: None }, close),
            None => (self.range_duration(STEP)?, self.expect(Kind::RightBracket, STEP_END)?),
        };
        let pos = merge(node.expr.pos(), close.pos);
        let depth = self.depth_over(pos, node.depth)?;
        let expr = Expr::Subquery(SubqueryExpr {
            expr: node.expr,
            range_ms: range.ms,
            range_expr: range.expr,
            step_ms: step.ms,
            step_expr: step.expr,
            offset_ms: 0,
            offset_expr: None,
            at: None,
            pos,
        });
        Ok(Node::new(expr, depth))
    }

    fn matrix(&self, node: Node, range: Length, bracket: PosRange) -> Parsed<Node> {
        let Expr::Vector(selector) = *node.expr else {
            return Err(self.error(bracket, "ranges only allowed for vector selectors"));
        };
        if selector.offset_ms != 0 || selector.offset_expr.is_some() {
            return Err(self.error(bracket, "no offset modifiers allowed before range"));
        }
        if selector.at.is_some() {
            return Err(self.error(bracket, "no @ modifiers allowed before range"));
        }
        let pos = merge(selector.pos, bracket);
        let expr = Expr::Matrix(MatrixSelector { selector, range_ms: range.ms, range_expr: range.expr, pos });
        Ok(Node::new(expr, node.depth + 1))
    }

    /// After `offset`.
    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        let Length { ms, expr: computed } = self.offset_duration(OFFSET)?;
        let end = self.last_end;
        let whole = expr.pos();
        let Some(target) = modified(expr) else {
            let message = "offset modifier must be preceded by an instant vector selector or range vector selector or \
                           a subquery";
            return Err(self.error(whole, message));
        };
        if *target.offset_ms != 0 || target.offset_expr.is_some() {
            return Err(self.error(whole, "offset may not be set multiple times"));
        }
        *target.offset_ms = ms;
        *target.offset_expr = computed;
        target.pos.end = end;
        Ok(())
    }

    /// After `@`.
    fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        let whole = expr.pos();
        let at = match self.peek()?.kind {
            Kind::Keyword(word @ (Keyword::Start | Keyword::End)) => {
                self.take()?;
                self.expect(Kind::LeftParen, AT)?;
                self.expect(Kind::RightParen, AT)?;
                if word == Keyword::Start { AtModifier::Start } else { AtModifier::End }
            }
            _ => {
                let seconds = self.signed_number(AT)?;
                // The bounds are those of 64 bits.
                if seconds.is_nan() || seconds.abs() >= i64::MAX as f64 {
                    let shown =
                        if seconds.is_finite() { format!("{seconds:.6}") } else { crate::format::float(seconds) };
                    return Err(self.error(whole, format!("timestamp out of bounds for @ modifier: {shown}")));
                }
                AtModifier::Timestamp((seconds * 1000.0).round() as i64)
            }
        };
        let end = self.last_end;
        let Some(target) = modified(expr) else {
            let message =
                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(self.error(whole, message));
        };
        if target.at.is_some() {
            return Err(self.error(whole, "@ <timestamp> may not be set multiple times"));
        }
        *target.at = Some(at);
        target.pos.end = end;
        Ok(())
    }

    /// After `anchored` or `smoothed`. As in Prometheus the word is not part of the selector's place.
    fn extend(&self, expr: &mut Expr, extension: Extension) -> Parsed<()> {
        let name = if extension == Extension::Anchored { "anchored" } else { "smoothed" };
        let whole = expr.pos();
        let target = match expr {
            Expr::Vector(VectorSelector { extension, .. }) => extension,
            Expr::Matrix(MatrixSelector { selector, .. }) => &mut selector.extension,
            Expr::Subquery(_) => {
                return Err(self.error(whole, format!("{name} modifier is not supported for subqueries")));
            }
            _ => return Err(self.error(whole, format!("{name} modifier not implemented"))),
        };
        if *target != Extension::None && *target != extension {
            return Err(self.error(whole, "anchored and smoothed modifiers cannot be used together"));
        }
        *target = extension;
        Ok(())
    }
}
