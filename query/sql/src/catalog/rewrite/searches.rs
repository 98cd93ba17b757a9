//! `x IN (SELECT ...)` in results, and in the conditions of a CASE in ORDER BY. DataFusion has such a subquery in WHERE only,
//! but one that gives a value it has anywhere: here that is the list of all the values, in which `x` is looked for.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, OrderByKind, Query, Select, VisitorMut};

use super::{bare, expr, subqueries::is_correlated};
use crate::error::{Result, SqlError};
use crate::parse::walk_mut;

/// The pass.
pub(super) struct Searches;

impl VisitorMut for Searches {
    type Break = SqlError;

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        for item in &mut select.projection {
            walk_mut(item, &mut Members { depth: 0 })?;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        if let Some(OrderByKind::Expressions(parts)) = query.order_by.as_mut().map(|order| &mut order.kind) {
            for part in parts {
                walk_mut(&mut part.expr, &mut Members { depth: 0 })?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Rewrites what stands outside of subqueries: those have results of their own.
struct Members {
    depth: usize,
}

impl VisitorMut for Members {
    type Break = SqlError;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, found: &mut Expr) -> ControlFlow<SqlError> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let done = match found {
            // A branch is taken neither when its condition is false nor when it is unknown, so the search is enough.
            Expr::Case { operand: None, conditions, .. } => {
                conditions.iter_mut().try_for_each(|when| match bare(&when.condition) {
                    Expr::InSubquery { expr: of, subquery, negated: false } if !is_correlated(subquery) => {
                        expr(&search(of, subquery)).map(|search| when.condition = search)
                    }
                    _ => Ok(()),
                })
            }
            Expr::InSubquery { expr: of, subquery, negated } if !is_correlated(subquery) => {
                member(of, subquery, *negated).map(|member| *found = member)
            }
            _ => Ok(()),
        };
        done.map_or_else(ControlFlow::Break, ControlFlow::Continue)
    }
}

/// Whether a value is among those of a query; null or false when it is not.
fn search(of: &Expr, query: &Query) -> String {
    format!("array_has((SELECT array_agg(value) FROM ({query}) AS found(value)), {of})")
}

/// `IN` as SQL has it: unknown when the value is not found but nulls are in play, and false among no values.
fn member(of: &Expr, query: &Query, negated: bool) -> Result<Expr> {
    let search = search(of, query);
    let nulls = format!("(SELECT bool_or(value IS NULL) FROM ({query}) AS found(value))");
    let (found, missing) = (!negated, negated);
    expr(&format!(
        "CASE WHEN {search} THEN {found} WHEN {nulls} IS NULL THEN {missing} \
         WHEN {nulls} OR ({of}) IS NULL THEN CAST(NULL AS BOOLEAN) ELSE {missing} END"
    ))
}
