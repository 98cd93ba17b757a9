//! Names for what functions return as rows: `FROM t, jsonb_array_elements(t.data) AS e` lets `e` be the element.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, TableFactor, VisitorMut};

use super::rewrite::name_of;
use crate::parse::{ident, quoted, walk_mut};

/// Puts `e.value` in place of `e`, where `e` is the alias of a function whose only column is `value`.
pub(super) fn name(select: &mut Select) {
    let mut aliases = Vec::new();
    for table in &select.from {
        for factor in std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)) {
            aliases.extend(alias_of(factor));
        }
    }
    if aliases.is_empty() {
        return;
    }
    for item in &mut select.projection {
        // The column is called as the alias.
        if let SelectItem::UnnamedExpr(expr @ Expr::Identifier(_)) = item
            && let Expr::Identifier(name) = &*expr
            && aliases.contains(&ident(name))
        {
            let alias = name.clone();
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
    let mut whole = Whole { aliases };
    let _ = walk_mut(&mut select.projection, &mut whole);
    let _ = walk_mut(&mut select.selection, &mut whole);
    let _ = walk_mut(&mut select.group_by, &mut whole);
    let _ = walk_mut(&mut select.having, &mut whole);
}

fn alias_of(factor: &TableFactor) -> Option<String> {
    let (name, alias) = match factor {
        TableFactor::Table { name, args: Some(_), alias: Some(alias), .. }
        | TableFactor::Function { name, alias: Some(alias), .. } => (name, alias),
        _ => return None,
    };
    let elements =
        ["jsonb_array_elements", "json_array_elements", "jsonb_array_elements_text", "json_array_elements_text"];
    let of_elements = elements.contains(&name_of(name).as_str());
    (of_elements && alias.columns.is_empty()).then(|| ident(&alias.name))
}

struct Whole {
    aliases: Vec<String>,
}

impl VisitorMut for Whole {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr
            && self.aliases.contains(&ident(name))
        {
            let alias: Ident = name.clone();
            *expr = Expr::CompoundIdentifier(vec![alias, quoted("value")]);
        }
        ControlFlow::Continue(())
    }
}
