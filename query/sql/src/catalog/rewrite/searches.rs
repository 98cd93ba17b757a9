//! `CASE WHEN x IN (SELECT ...)` in results and in ORDER BY. DataFusion has such a subquery in WHERE only, but one that gives
//! a value it has anywhere: here that is the list of all the values, in which `x` is looked for.
//!
//! A null among them makes `IN` unknown and the search false. The branch of a CASE is taken in neither case, so only its
//! conditions are changed.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, OrderByKind, Query, Select, VisitMut, VisitorMut};

use super::{bare, expr, subqueries::is_correlated};
use crate::error::SqlError;

/// The pass.
pub(super) struct Searches;

impl VisitorMut for Searches {
    type Break = SqlError;

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        for item in &mut select.projection {
            item.visit(&mut Conditions)?;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        if let Some(OrderByKind::Expressions(parts)) = query.order_by.as_mut().map(|order| &mut order.kind) {
            for part in parts {
                part.expr.visit(&mut Conditions)?;
            }
        }
        ControlFlow::Continue(())
    }
}

struct Conditions;

impl VisitorMut for Conditions {
    type Break = SqlError;

    fn post_visit_expr(&mut self, found: &mut Expr) -> ControlFlow<SqlError> {
        let Expr::Case { operand: None, conditions, .. } = found else { return ControlFlow::Continue(()) };
        for when in conditions {
            let Expr::InSubquery { expr: of, subquery, negated: false } = bare(&when.condition) else { continue };
            if is_correlated(subquery) {
                continue;
            }
            match expr(&format!("array_has((SELECT array_agg(value) FROM ({subquery}) AS found(value)), {of})")) {
                Ok(search) => when.condition = search,
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}
