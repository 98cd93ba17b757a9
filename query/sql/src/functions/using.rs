//! RIGHT and FULL JOIN with USING: the column that both sides share is that of whichever side has a row.
//!
//! DataFusion takes the left side's, which is null in rows that only the right side has.

use std::ops::ControlFlow;

use datafusion::{
    common::{Result, not_impl_err},
    sql::sqlparser::ast::{
        Expr, Ident, JoinConstraint, JoinOperator, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr,
        TableFactor, VisitorMut,
    },
};

use super::rewrite::expression;
use crate::parse::{ident, walk_mut};

/// Rewrites the joins of a query's SELECT.
pub(super) fn joins(query: &mut Query) -> Result<()> {
    let SetExpr::Select(select) = &mut *query.body else { return Ok(()) };
    let Some(shared) = shared(select)? else { return Ok(()) };
    for item in &mut select.projection {
        if !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }) {
            return not_impl_err!("* of a RIGHT or FULL JOIN with USING or NATURAL; name the columns");
        }
        if let SelectItem::UnnamedExpr(Expr::Identifier(name)) = item
            && shared.names.contains(&ident(name))
        {
            let name = name.clone();
            *item = SelectItem::ExprWithAlias { expr: Expr::Identifier(name.clone()), alias: name };
        }
    }
    let mut shared = shared;
    let _ = walk_mut(&mut select.projection, &mut shared);
    let _ = walk_mut(&mut select.selection, &mut shared);
    let _ = walk_mut(&mut select.group_by, &mut shared);
    let _ = walk_mut(&mut select.having, &mut shared);
    if let Some(OrderBy { kind: OrderByKind::Expressions(by), .. }) = &mut query.order_by {
        // A bare name is that of the result; it has the same values.
        let by = by.iter_mut().filter(|by| !matches!(by.expr, Expr::Identifier(_)));
        by.for_each(|by| _ = walk_mut(&mut by.expr, &mut shared));
    }
    Ok(())
}

/// Columns that both sides have, and the sides.
struct Shared {
    names: Vec<String>,
    left: String,
    right: String,
}

fn shared(select: &mut Select) -> Result<Option<Shared>> {
    let mut found = None;
    for table in &mut select.from {
        let alone = table.joins.len() == 1;
        let left = name_of(&table.relation);
        for join in &mut table.joins {
            let right = name_of(&join.relation);
            let (JoinOperator::Right(on) | JoinOperator::RightOuter(on) | JoinOperator::FullOuter(on)) =
                &mut join.join_operator
            else {
                continue;
            };
            let columns: Vec<String> = match on {
                JoinConstraint::Using(columns) => {
                    columns.iter().filter_map(|name| name.0.last()?.as_ident().map(ident)).collect()
                }
                JoinConstraint::Natural => return not_impl_err!("NATURAL RIGHT or FULL JOIN; write it with ON"),
                _ => continue,
            };
            let (Some(left), Some(right), true) = (&left, right, alone) else {
                return not_impl_err!(
                    "RIGHT or FULL JOIN with USING beside other joins; write it with ON and coalesce()"
                );
            };
            let equal: Vec<String> = columns
                .iter()
                .map(|name| Ident::with_quote('"', name.as_str()))
                .map(|name| format!("{left}.{name} = {right}.{name}"))
                .collect();
            *on = JoinConstraint::On(expression(&equal.join(" AND "))?);
            found = Some(Shared { names: columns, left: left.clone(), right });
        }
    }
    Ok(found)
}

/// What a side is called, as SQL writes it.
fn name_of(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(alias.name.to_string())
        }
        TableFactor::Table { name, alias: None, args: None, .. } => Some(name.0.last()?.as_ident()?.to_string()),
        _ => None,
    }
}

impl VisitorMut for Shared {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr
            && self.names.contains(&ident(name))
            && let Ok(either) = expression(&format!("coalesce({}.{name}, {}.{name})", self.left, self.right))
        {
            *expr = either;
        }
        ControlFlow::Continue(())
    }
}
