//! The column `tableoid`, which every table has though `SELECT *` does not show it: for a table of the catalog it is the
//! number of that table, which stands in its place.
//!
//! A row that an outer join did not find has the number too, where PostgreSQL has null.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, VisitorMut};

use super::{expr, names::ident_name, scopes};
use crate::parse::walk_mut;
use crate::{catalog::shape::PG_CATALOG, error::SqlError};

/// The pass. Inner queries come first, so that a name means the nearest relation.
pub(super) struct System;

impl VisitorMut for System {
    type Break = SqlError;

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        let factors = scopes::factors(&select.from);
        let alone = factors.len() == 1;
        let tables: Vec<(String, u32)> = factors
            .into_iter()
            .filter_map(|factor| Some((scopes::alias(factor)?, scopes::catalog_relation(factor)?)))
            .filter(|(_, shape)| shape.namespace == PG_CATALOG && !shape.view)
            .map(|(alias, shape)| (alias, shape.oid))
            .collect();
        if tables.is_empty() {
            return ControlFlow::Continue(());
        }
        let numbers = Numbers { tables, alone };
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(value) = item
                && numbers.of(value).is_some()
            {
                *item = SelectItem::ExprWithAlias { expr: value.clone(), alias: Ident::new("tableoid") };
            }
        }
        let mut numbers = numbers;
        walk_mut(select, &mut numbers)
    }
}

/// Puts numbers in the columns' place.
struct Numbers {
    /// The tables by their aliases.
    tables: Vec<(String, u32)>,
    /// Whether there is one relation, so that its columns need no name before them.
    alone: bool,
}

impl Numbers {
    /// The number that an expression stands for.
    fn of(&self, expr: &Expr) -> Option<u32> {
        let (table, column) = match expr {
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., table, column] => (Some(ident_name(table)), column),
                _ => return None,
            },
            Expr::Identifier(column) if self.alone => (None, column),
            _ => return None,
        };
        if ident_name(column) != "tableoid" {
            return None;
        }
        let mut named = self.tables.iter().filter(|(alias, _)| table.as_ref().is_none_or(|t| t == alias));
        named.next().map(|(_, oid)| *oid)
    }
}

impl VisitorMut for Numbers {
    type Break = SqlError;

    fn post_visit_expr(&mut self, found: &mut Expr) -> ControlFlow<SqlError> {
        if let Some(oid) = self.of(found) {
            match expr(&format!("CAST({oid} AS INT UNSIGNED)")) {
                Ok(number) => *found = number,
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}
