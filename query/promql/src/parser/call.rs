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
pub(super) struct Arguments {
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
    /// The call of a function with these arguments.
    pub(super) fn call(&self, name: Token<'_>, arguments: Arguments) -> Parsed<Node> {
        let Arguments { args, depth, close } = arguments;
        let Some(func) = functions::lookup(name.text) else {
            return Err(self.error(name.pos, format!("unknown function with name {}", Quoted(name.text))));
        };
        let pos = merge(name.pos, close);
        let depth = self.depth_over(pos, depth)?;
        Ok(Node::new(Expr::Call(Call { func, args, pos }), depth))
    }

    pub(super) fn arguments(&mut self) -> Parsed<Arguments> {
        let mut arguments = Arguments { args: Vec::new(), depth: 0, close: self.open_arguments()? };
        if let Some(close) = self.take_if(Kind::RightParen)? {
            arguments.close = close.pos;
            return Ok(arguments);
        }
        loop {
            let arg = self.expression(LOWEST)?;
            arguments.depth = arguments.depth.max(arg.depth);
            arguments.args.push(*arg.expr);
            if let Some(close) = self.end_argument()? {
                arguments.close = close;
                return Ok(arguments);
            }
        }
    }

    fn open_arguments(&mut self) -> Parsed<PosRange> {
        self.expect(Kind::LeftParen, self.context).map(|token| token.pos)
    }

    /// Takes the closing parenthesis, or a comma that has an argument behind it.
    fn end_argument(&mut self) -> Parsed<Option<PosRange>> {
        if let Some(comma) = self.take_if(Kind::Comma)? {
            if starts_expression(self.peek()?.kind) {
                return Ok(None);
            }
            return Err(self.error(comma.pos, "trailing commas not allowed in function call args"));
        }
        self.expect(Kind::RightParen, self.context).map(|token| Some(token.pos))
    }

    /// After the operator of an aggregation.
    pub(super) fn aggregation(&mut self, op: AggregateOp, start: PosRange) -> Parsed<Node> {
        let outer = std::mem::replace(&mut self.context, AGGREGATION);
        let before = self.grouping()?;
        let arguments = self.arguments()?;
        self.context = outer;
        self.finish_aggregation(op, start, before, arguments)
    }

    fn finish_aggregation(
        &mut self,
        op: AggregateOp,
        start: PosRange,
        before: Option<Box<Grouping>>,
        arguments: Arguments,
    ) -> Parsed<Node> {
        let Arguments { args, depth, close } = arguments;
        let mut pos = merge(start, close);
        let grouping = match before {
            Some(grouping) => grouping,
            None => match self.grouping()? {
                Some(grouping) => {
                    pos.end = self.last_end;
                    grouping
                }
                None => Box::default(),
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
        Ok(Node::new(expr, depth))
    }

    fn grouping(&mut self) -> Parsed<Option<Box<Grouping>>> {
        let without = match self.peek()?.kind {
            Kind::Keyword(Keyword::By) => false,
            Kind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.take()?;
        Ok(Some(Box::new(Grouping { labels: self.grouping_labels()?, without })))
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
pub(super) const fn starts_expression(kind: Kind) -> bool {
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
