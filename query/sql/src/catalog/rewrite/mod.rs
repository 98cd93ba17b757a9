//! Rewrites of clients' statements over the catalog into what DataFusion plans: names, types, operators, functions in
//! FROM, correlated subqueries. Each keeps what the statement means.

mod casts;
mod facts;
mod from;
mod names;
mod scopes;
mod searches;
mod subqueries;
mod system;
mod unnested;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{BinaryOperator, Expr, Query, Select, SetExpr, Statement, Value, ValueWithSpan, VisitorMut},
    parser::Parser,
};

use crate::error::{Result, SqlError};
use crate::parse::walk_mut;

/// Rewrites a statement.
///
/// # Errors
/// When something of it is refused.
pub(super) fn rewrite(statement: &mut Statement) -> Result<()> {
    run(statement, &mut names::Names::of(statement))?;
    run(statement, &mut casts::Casts)?;
    let relations = scopes::Relations::of(statement);
    if relations.is_catalog() {
        run(statement, &mut facts::Facts { relations: &relations })?;
        run(statement, &mut system::System)?;
    }
    run(statement, &mut subqueries::Subqueries { relations: &relations })?;
    run(statement, &mut searches::Searches)?;
    run(statement, &mut from::Functions)
}

fn run(statement: &mut Statement, visitor: &mut dyn VisitorMut<Break = SqlError>) -> Result<()> {
    match walk_mut(statement, visitor) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// An expression from its text.
fn expr(text: &str) -> Result<Expr> {
    let parse = |text: &str| Parser::new(&crate::parse::Postgres).try_with_sql(text)?.parse_expr();
    parse(text).map_err(|e| SqlError::new(b"XX000", format!("a rewritten expression does not parse: {e}: {text}")))
}

/// A query from its text.
fn query(text: &str) -> Result<Box<Query>> {
    let parse = |text: &str| Parser::new(&crate::parse::Postgres).try_with_sql(text)?.parse_query();
    parse(text).map_err(|e| SqlError::new(b"XX000", format!("a rewritten query does not parse: {e}: {text}")))
}

/// A call of a function with one argument.
fn call(function: &str, argument: &Expr) -> Result<Expr> {
    expr(&format!("{function}({argument})"))
}

/// The text of a string literal.
fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. })
        | Expr::Value(ValueWithSpan { value: Value::EscapedStringLiteral(text), .. }) => Some(text),
        Expr::Nested(inner) => literal(inner),
        _ => None,
    }
}

/// An expression without the parentheses around it.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        other => other,
    }
}

/// A truth value.
fn truth(value: bool) -> Expr {
    Expr::value(Value::Boolean(value))
}

/// The parts of a conjunction.
fn conjuncts(expr: Expr, into: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(*left, into);
            conjuncts(*right, into);
        }
        Expr::Nested(inner) if matches!(*inner, Expr::BinaryOp { op: BinaryOperator::And, .. }) => {
            conjuncts(*inner, into)
        }
        other => into.push(other),
    }
}

/// The conjunction of these; `None` of none.
fn conjunction(parts: Vec<Expr>) -> Option<Expr> {
    parts.into_iter().reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    })
}

/// The one SELECT of a query, if it is one.
fn select_mut(query: &mut Query) -> Option<&mut Select> {
    match &mut *query.body {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

/// The one SELECT of a query, if it is one.
fn select(query: &Query) -> Option<&Select> {
    match &*query.body {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}
