//! Correlated subqueries over the catalog, made so that DataFusion can turn them into joins.
//!
//! DataFusion wants an aggregate in a correlated scalar subquery, and only equalities between its columns and the outer
//! query's. PostgreSQL's clients rely on keys instead: the subquery finds at most one row. So here its value becomes the
//! first one, conditions on the outer row alone move out of it, and an outer column that equals an inner one is replaced
//! by that one in the other conditions. `ARRAY(SELECT ...)` becomes an aggregate, over other tables too.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArguments, GroupByExpr, OrderByKind, Query, Select, SelectItem,
    TableFactor, Visitor, VisitorMut,
};

use super::{bare, conjunction, conjuncts, expr, query, scopes, select, select_mut, truth, unnested};
use crate::parse::{walk, walk_mut};
use crate::{
    catalog::provider::is_always_empty,
    error::{Result, SqlError},
};

/// The pass.
pub(super) struct Subqueries<'a> {
    /// The statement's relations.
    pub(super) relations: &'a scopes::Relations,
}

impl VisitorMut for Subqueries<'_> {
    type Break = SqlError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        if has_no_rows(select) {
            let mut never = Never;
            for item in &mut select.projection {
                walk_mut(item, &mut never)?;
            }
            if let Some(selection) = &mut select.selection {
                walk_mut(selection, &mut never)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let rewritten = match expr {
            Expr::Subquery(query) if self.relations.is_catalog() => {
                unnested::rewrite(query, self.relations).and_then(|()| scalar(query))
            }
            Expr::Function(Function { name, args: FunctionArguments::Subquery(query), .. })
                if name.to_string().eq_ignore_ascii_case("array") =>
            {
                unnested::rewrite(query, self.relations).and_then(|()| array(query)).map(Some)
            }
            _ => return ControlFlow::Continue(()),
        };
        match rewritten {
            Ok(Some(rewritten)) => *expr = rewritten,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

/// Whether a SELECT never gives a row, because a relation in it never has one or its condition is false.
fn has_no_rows(select: &Select) -> bool {
    let mut parts = Vec::new();
    select.selection.clone().into_iter().for_each(|s| conjuncts(s, &mut parts));
    let empty = |factor: &TableFactor| scopes::catalog_relation(factor).is_some_and(|s| is_always_empty(s.name));
    let joined = select.from.iter().any(|table| {
        use datafusion::sql::sqlparser::ast::JoinOperator::{CrossJoin, Inner, Join};
        let all_inner = table.joins.iter().all(|j| matches!(j.join_operator, Join(_) | Inner(_) | CrossJoin(_)));
        all_inner && (empty(&table.relation) || table.joins.iter().any(|j| empty(&j.relation)))
    });
    joined || parts.contains(&truth(false))
}

/// Takes the subqueries out of what is never evaluated.
struct Never;

impl VisitorMut for Never {
    type Break = SqlError;

    fn pre_visit_expr(&mut self, found: &mut Expr) -> ControlFlow<SqlError> {
        let (query, is_list) = match found {
            Expr::Subquery(query) => {
                let is_list = aggregate(query).as_deref() == Some("array_agg");
                (query, is_list)
            }
            Expr::Function(Function { name, args: FunctionArguments::Subquery(query), .. })
                if name.to_string().eq_ignore_ascii_case("array") =>
            {
                (query, true)
            }
            _ => return ControlFlow::Continue(()),
        };
        if !is_correlated(query) {
            return ControlFlow::Continue(());
        }
        let null = if is_list { "string_to_array(CAST(NULL AS TEXT), ',')" } else { "CAST(NULL AS TEXT)" };
        match expr(null) {
            Ok(null) => *found = null,
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

/// Whether a query names columns of an outer one.
pub(super) fn is_correlated(query: &Query) -> bool {
    struct Correlated {
        inside: Vec<Select>,
        found: bool,
    }
    impl Visitor for Correlated {
        type Break = ();
        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
            self.inside.push(select.clone());
            ControlFlow::Continue(())
        }
        fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
            self.inside.pop();
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) && !self.inside.is_empty() {
                self.found |= !self.inside.iter().any(|select| scopes::is_inner(select, expr));
            }
            ControlFlow::Continue(())
        }
    }
    let mut correlated = Correlated { inside: Vec::new(), found: false };
    let _ = walk(query, &mut correlated);
    correlated.found
}

/// The aggregate that a query of one column gives, in lower case.
fn aggregate(query: &Query) -> Option<String> {
    const AGGREGATES: [&str; 14] = [
        "array_agg",
        "string_agg",
        "count",
        "min",
        "max",
        "sum",
        "avg",
        "bool_and",
        "bool_or",
        "every",
        "json_agg",
        "jsonb_agg",
        "first_value",
        "json_object_agg",
    ];
    let value = value(select(query)?)?;
    struct Find(Option<String>);
    impl Visitor for Find {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(function) => {
                    let name = function.name.to_string().to_lowercase();
                    if AGGREGATES.contains(&name.as_str()) && function.over.is_none() {
                        self.0.get_or_insert(name);
                    }
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    let mut find = Find(None);
    let _ = walk(value, &mut find);
    find.0
}

/// The one value of a SELECT.
fn value(select: &Select) -> Option<&Expr> {
    match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] => Some(value),
        _ => None,
    }
}

/// The order of a query as the text of an ORDER BY inside an aggregate; places as the value they stand for.
fn order(query: &Query, value: &Expr) -> String {
    let Some(OrderByKind::Expressions(parts)) = query.order_by.as_ref().map(|o| &o.kind) else { return String::new() };
    let parts = parts.iter().map(|part| {
        let mut part = part.clone();
        if matches!(part.expr, Expr::Value(_)) {
            part.expr = value.clone();
        }
        part.to_string()
    });
    format!(" ORDER BY {}", parts.collect::<Vec<_>>().join(", "))
}

fn is_plain(query: &Query) -> bool {
    let Some(select) = select(query) else { return false };
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(by, _) => !by.is_empty(),
        GroupByExpr::All(_) => true,
    };
    query.with.is_none() && !grouped && select.having.is_none() && select.distinct.is_none()
}

/// A correlated scalar subquery over relations of the catalog only; `None` when it is none, or cannot be changed.
fn scalar(query: &mut Query) -> Result<Option<Expr>> {
    let own = select(query).map(|s| scopes::factors(&s.from));
    let catalog_only = own.is_some_and(|f| {
        f.iter().all(|f| scopes::catalog_relation(f).is_some() || !matches!(f, TableFactor::Table { args: None, .. }))
    });
    if !is_plain(query) || !catalog_only || !is_correlated(query) {
        return Ok(None);
    }
    let kind = aggregate(query);
    let mut guards = Vec::new();
    let Some(select) = select_mut(query) else { return Ok(None) };
    separate(select, &mut guards, kind.as_deref() != Some("count"));
    if kind.is_none() {
        let Some(value) = select_value(query) else { return Ok(None) };
        let first = expr(&format!("first_value({value}{})", order(query, &value)))?;
        if let Some(select) = select_mut(query) {
            select.projection = vec![SelectItem::UnnamedExpr(first)];
        }
        (query.order_by, query.limit_clause, query.fetch) = (None, None, None);
    }
    let subquery = Expr::Subquery(Box::new(query.clone()));
    let Some(guard) = conjunction(guards) else { return Ok(Some(subquery)) };
    if guard == truth(false) {
        return expr("CAST(NULL AS TEXT)").map(Some);
    }
    expr(&format!("CASE WHEN {guard} THEN {subquery} END")).map(Some)
}

fn select_value(query: &Query) -> Option<Expr> {
    value(select(query)?).cloned()
}

/// Replaces outer columns that equal inner ones, and takes the conditions on the outer row alone out.
fn separate(select: &mut Select, guards: &mut Vec<Expr>, take_guards: bool) {
    let Some(selection) = select.selection.take() else { return };
    let mut parts = Vec::new();
    conjuncts(selection, &mut parts);
    let is_inner = |column: &Expr| scopes::is_inner(select, column);
    let equal: Vec<(usize, Expr, Expr)> = parts
        .iter()
        .enumerate()
        .filter_map(|(at, part)| {
            let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = bare(part) else { return None };
            let (left, right) = (bare(left), bare(right));
            let column = |e: &Expr| matches!(e, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            if !column(left) || !column(right) {
                return None;
            }
            match (is_inner(left), is_inner(right)) {
                (true, false) => Some((at, right.clone(), left.clone())),
                (false, true) => Some((at, left.clone(), right.clone())),
                _ => None,
            }
        })
        .collect();
    let mut kept = Vec::new();
    for (at, mut part) in parts.into_iter().enumerate() {
        let columns = scopes::columns(&part);
        let outer_only = columns.iter().all(|c| !is_inner(c));
        if outer_only && take_guards && !matches!(part, Expr::Exists { .. } | Expr::InSubquery { .. }) {
            guards.push(part);
            continue;
        }
        for (own, outer, inner) in &equal {
            if *own != at {
                replace(&mut part, outer, inner);
            }
        }
        kept.push(part);
    }
    let mut projection = std::mem::take(&mut select.projection);
    for item in &mut projection {
        if let SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. } = item {
            equal.iter().for_each(|(_, outer, inner)| replace(value, outer, inner));
        }
    }
    select.projection = projection;
    select.selection = conjunction(kept);
}

fn replace(expr: &mut Expr, from: &Expr, to: &Expr) {
    struct Replace<'a>(&'a Expr, &'a Expr);
    impl VisitorMut for Replace<'_> {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if expr == self.0 {
                *expr = self.1.clone();
            }
            ControlFlow::Continue(())
        }
    }
    let _ = walk_mut(expr, &mut Replace(from, to));
}

/// `ARRAY(SELECT ...)` as an aggregate.
fn array(found: &mut Query) -> Result<Expr> {
    let refused = || SqlError::unsupported("ARRAY(...) of such a query");
    if !is_plain(found) {
        let inner = query(&format!("SELECT array_agg(x) FROM ({found}) AS s(x)"))?;
        return list(inner);
    }
    let value = select_value(found).ok_or_else(refused)?;
    let aggregate = expr(&format!("array_agg({value}{})", order(found, &value)))?;
    let mut guards = Vec::new();
    if let Some(select) = select_mut(found) {
        select.projection = vec![SelectItem::UnnamedExpr(aggregate)];
        if select.selection.is_some() {
            separate(select, &mut guards, false);
        }
    }
    (found.order_by, found.limit_clause) = (None, None);
    list(Box::new(found.clone()))
}

/// The list that a query aggregates; empty when it has no rows.
fn list(query: Box<Query>) -> Result<Expr> {
    expr(&format!("coalesce(({query}), make_array())"))
}
