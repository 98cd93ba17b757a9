//! Which views read a table: it cannot be dropped or renamed below them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Statement, Visitor};

use crate::{
    connection::Connection,
    error::{Result, SqlError},
    parse::{self, ident, relation_name, walk},
    stored,
};

/// The views that read a relation, or one of its columns.
pub(crate) fn views_on(connection: &Connection, relation: &str, column: Option<&str>) -> Vec<String> {
    let view = connection.scope.view();
    let reads = stored::views(&view).filter(|(_, stored)| match parse::parse(&stored.query) {
        Ok(Some(statement)) => {
            let mut reads = Reads { relation, column, relation_found: false, column_found: column.is_none() };
            let _ = walk(&statement, &mut reads);
            reads.relation_found && reads.column_found
        }
        _ => false,
    });
    reads.map(|(name, _)| name).collect()
}

/// Refuses when a view reads a relation, or one of its columns.
///
/// # Errors
/// `2BP01`.
pub(crate) fn check_no_view(connection: &Connection, relation: &str, column: Option<&str>) -> Result<()> {
    match views_on(connection, relation, column).first() {
        None => Ok(()),
        Some(view) => {
            let what = column
                .map_or_else(|| format!("table {relation}"), |column| format!("column {column} of table {relation}"));
            Err(SqlError::new(b"2BP01", format!("cannot change {what} because view {view} depends on it"))
                .with_hint("Drop the view first, and make it anew afterwards."))
        }
    }
}

/// Whether a statement reads a relation.
pub(crate) fn reads(statement: &Statement, relation: &str) -> bool {
    let mut reads = Reads { relation, column: None, relation_found: false, column_found: true };
    let _ = walk(statement, &mut reads);
    reads.relation_found
}

struct Reads<'a> {
    relation: &'a str,
    column: Option<&'a str>,
    relation_found: bool,
    column_found: bool,
}

impl Reads<'_> {
    fn see(&mut self, name: &Ident) {
        self.column_found |= self.column.is_some_and(|column| ident(name) == column);
    }
}

impl Visitor for Reads<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        self.relation_found |= relation_name(name).is_ok_and(|name| name == self.relation);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.see(name),
            Expr::CompoundIdentifier(names) => names.iter().for_each(|name| self.see(name)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
