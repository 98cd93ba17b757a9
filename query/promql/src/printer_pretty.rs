//! Writes expressions over several lines: equal to Prometheus' `Prettify`, for `format_query`.

use crate::{
    ast::Expr,
    printer::{AggregateHead, BinaryHead, SubqueryTail},
};

/// An expression that is longer than this is split over lines.
const MAX_LINE_LEN: usize = 100;

/// The expression over several indented lines where it is longer than 100 bytes.
#[must_use]
pub fn pretty(expr: &Expr) -> String {
    at_level(expr, 0)
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

fn at_level(expr: &Expr, level: usize) -> String {
    let pad = indent(level);
    let flat = expr.to_string();
    let fits = flat.len() <= MAX_LINE_LEN;
    match expr {
        // Prometheus does not indent a subquery that fits.
        Expr::Subquery(_) if fits => flat,
        Expr::Subquery(e) => format!("{}{}", at_level(&e.expr, level), SubqueryTail(e)),
        Expr::Unary(e) => format!("{pad}{}{}", e.sign(), at_level(&e.expr, level).trim()),
        Expr::Aggregate(e) if !fits => {
            let param = e.param.as_ref().map_or_else(String::new, |p| at_level(p, level + 1) + ",\n");
            format!("{pad}{}(\n{param}{}\n{pad})", AggregateHead(e), at_level(&e.expr, level + 1))
        }
        Expr::Binary(e) if !fits => {
            let lhs = match e.unsigned_base() {
                Some(base) => indent(level + 1) + base,
                None => at_level(&e.lhs, level + 1),
            };
            format!("{lhs}\n{pad}{}\n{}", BinaryHead(e), at_level(&e.rhs, level + 1))
        }
        Expr::Call(e) if !fits => {
            let args: Vec<String> = e.args.iter().map(|arg| at_level(arg, level + 1)).collect();
            format!("{pad}{}(\n{}\n{pad})", e.func.name, args.join(",\n"))
        }
        Expr::Paren(e) if !fits => format!("{pad}(\n{}\n{pad})", at_level(&e.expr, level + 1)),
        _ => pad + &flat,
    }
}
