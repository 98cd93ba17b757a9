//! Function calls and aggregations.

use super::{Context, Node, Parsed, Parser, expr::LOWEST, merge};
use crate::{
    ast::{AggregateExpr, AggregateOp, BinaryOp, Call, Expr, PosRange},
    functions,
    lexer::token::{Keyword, Kind, Token},
    quote::Quoted,
};

const AGGREGATION: Context = Context { name: "aggregation", expected: "" };

/// Arguments in parentheses.
struct Arguments {
    args: Vec<Expr>,
    /// The depth of the deepest.
    depth: u32,
    /// The closing parenthesis.
    close: PosRange,
}

/// `by (...)` or `without (...)`.
#[derive(Default)]
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

impl Parser<'_> {
    /// After a function's name; the parenthesis is next.
    pub(super) fn call(&mut self, name: Token<'_>) -> Parsed<Node> {
        let Arguments { args, depth, close } = self.arguments()?;
        let Some(func) = functions::lookup(name.text) else {
            return Err(self.error(name.pos, format!("unknown function with name {}", Quoted(name.text))));
        };
        let pos = merge(name.pos, close);
        let depth = self.depth_over(pos, depth)?;
        Ok(Node { expr: Expr::Call(Call { func, args, pos }), depth })
    }

    fn arguments(&mut self) -> Parsed<Arguments> {
        self.expect(Kind::LeftParen, self.context)?;
        let (mut args, mut depth) = (Vec::new(), 0);
        if let Some(close) = self.take_if(Kind::RightParen)? {
            return Ok(Arguments { args, depth, close: close.pos });
        }
        loop {
            let arg = self.expression(LOWEST)?;
            depth = depth.max(arg.depth);
            args.push(arg.expr);
            if let Some(comma) = self.take_if(Kind::Comma)? {
                if !starts_expression(self.peek()?.kind) {
                    return Err(self.error(comma.pos, "trailing commas not allowed in function call args"));
                }
                continue;
            }
            let close = self.expect(Kind::RightParen, self.context)?;
            return Ok(Arguments { args, depth, close: close.pos });
        }
    }

    /// After the operator of an aggregation.
    pub(super) fn aggregation(&mut self, op: AggregateOp, start: PosRange) -> Parsed<Node> {
        let outer = std::mem::replace(&mut self.context, AGGREGATION);
        let before = self.grouping()?;
        let Arguments { args, depth, close } = self.arguments()?;
        self.context = outer;
        let mut pos = merge(start, close);
        let grouping = match before {
            Some(grouping) => grouping,
            None => match self.grouping_after(&mut pos)? {
                Some(grouping) => grouping,
                None => Grouping::default(),
            },
        };
        let wanted = if op.has_param() { 2 } else { 1 };
        let got = args.len();
        if got == 0 {
            return Err(self.error(pos, "no arguments for aggregate expression provided"));
        }
        let mut args = args.into_iter();
        let param = if op.has_param() { args.next() } else { None };
        let (Some(expr), None) = (args.next(), args.next()) else {
            let message =
                format!("wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}");
            return Err(self.error(pos, message));
        };
        let depth = self.depth_over(pos, depth)?;
        let expr = Expr::Aggregate(AggregateExpr {
            op,
            expr: Box::new(expr),
            param: param.map(Box::new),
            grouping: grouping.labels,
            without: grouping.without,
            pos,
        });
        Ok(Node { expr, depth })
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = match self.peek()?.kind {
            Kind::Keyword(Keyword::By) => false,
            Kind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.take()?;
        Ok(Some(Grouping { labels: self.grouping_labels()?, without }))
    }

    /// The grouping behind the arguments; the aggregation then ends after it.
    fn grouping_after(&mut self, pos: &mut PosRange) -> Parsed<Option<Grouping>> {
        let grouping = self.grouping()?;
        if grouping.is_some() {
            pos.end = self.last_end;
        }
        Ok(grouping)
    }

    /// `(a, "b.c")`
    pub(super) fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        const OPEN: Context = Context { name: "grouping opts", expected: "\"(\"" };
        const LABEL: Context = Context { name: "grouping opts", expected: "label" };
        const NEXT: Context = Context { name: "grouping opts", expected: "\",\" or \")\"" };
        self.expect(Kind::LeftParen, OPEN)?;
        let mut labels = Vec::new();
        loop {
            let token = self.peek()?;
            match token.kind {
                Kind::RightParen => break,
                Kind::String => {
                    self.take()?;
                    let label = self.text(token)?;
                    if label.is_empty() {
                        return Err(self.error(token.pos, "invalid label name for grouping: \"\""));
                    }
                    labels.push(label);
                }
                _ if token.names_label() => {
                    self.take()?;
                    labels.push(token.text.to_owned());
                }
                _ => return Err(self.unexpected_in(LABEL)),
            }
            if self.take_if(Kind::Comma)?.is_none() {
                if self.peek()?.kind != Kind::RightParen {
                    return Err(self.unexpected_in(NEXT));
                }
                break;
            }
            if labels.is_empty() {
                return Err(self.unexpected_in(LABEL));
            }
        }
        self.expect(Kind::RightParen, NEXT)?;
        Ok(labels)
    }
}

/// Whether an expression can start with this token.
const fn starts_expression(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Number
            | Kind::Duration
            | Kind::String
            | Kind::LeftParen
            | Kind::LeftBrace
            | Kind::Op(BinaryOp::Add | BinaryOp::Sub)
    ) || kind.names_metric()
}
