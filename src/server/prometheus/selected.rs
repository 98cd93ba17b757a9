//! Which series an expression selects.

use chronolith_promql::ast::Expr;
use chronolith_storage::Matcher;

/// The matchers of every selector in an expression.
pub(crate) fn matcher_sets(expr: &Expr) -> Vec<Vec<Matcher>> {
    let mut sets = Vec::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Number(_) | Expr::String(_) => {}
            Expr::Vector(selector) => sets.push(selector.matchers.clone()),
            Expr::Matrix(matrix) => sets.push(matrix.selector.matchers.clone()),
            Expr::Subquery(subquery) => open.push(&subquery.expr),
            Expr::Call(call) => open.extend(&call.args),
            Expr::Aggregate(aggregate) => {
                open.push(&aggregate.expr);
                open.extend(aggregate.param.as_deref());
            }
            Expr::Binary(binary) => open.extend([&*binary.lhs, &*binary.rhs]),
            Expr::Unary(unary) => open.push(&unary.expr),
            Expr::Paren(paren) => open.push(&paren.expr),
        }
    }
    sets
}
