//! What the catalog never has: domains, enums, foreign keys, identity columns. Conditions that ask for them are false,
//! and the branches that would tell of them, which often cannot be planned, are never taken. And what a name compared with
//! the number of a schema means: that schema.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value, VisitorMut};

use super::{call, literal, scopes::Relations, truth};
use crate::error::{Result, SqlError};

/// The pass.
pub(super) struct Facts<'a> {
    /// The statement's relations.
    pub(super) relations: &'a Relations,
}

impl VisitorMut for Facts<'_> {
    type Break = SqlError;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        if self.is_false(expr) {
            *expr = truth(false);
        }
        if let Err(error) = self.schema(expr) {
            return ControlFlow::Break(error);
        }
        if let Expr::Case { operand: None, conditions, else_result, .. } = expr {
            conditions.retain(|when| !self.is_false(&when.condition) && when.condition != truth(false));
            if conditions.is_empty() {
                let rest = else_result.take().map_or(Expr::value(Value::Null), |e| *e);
                *expr = rest;
            }
        }
        ControlFlow::Continue(())
    }
}

impl Facts<'_> {
    /// `relnamespace = 'public'`: PostgreSQL takes a number only; DBeaver's authors write the name.
    fn schema(&self, comparison: &mut Expr) -> Result<()> {
        let Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } = comparison else {
            return Ok(());
        };
        let is_schema = |e: &Expr| {
            let column = self.relations.column(e);
            column.is_some_and(|(table, name)| table.starts_with("pg_") && name.ends_with("namespace"))
        };
        let is_name = |e: &Expr| literal(e).is_some_and(|text| text.parse::<u32>().is_err());
        if is_schema(left) && is_name(right) {
            **right = call("regnamespace_oid", right)?;
        } else if is_schema(right) && is_name(left) {
            **left = call("regnamespace_oid", left)?;
        }
        Ok(())
    }

    /// Whether no row fulfils a condition.
    fn is_false(&self, condition: &Expr) -> bool {
        let Expr::BinaryOp { left, op, right } = super::bare(condition) else { return false };
        let (column, value) = match (literal(left), literal(right)) {
            (None, Some(value)) => (left, value),
            (Some(value), None) => (right, value),
            _ => return false,
        };
        let Some((table, column)) = self.relations.column(column) else { return false };
        match (table, column.as_str(), op) {
            ("pg_type", "typtype", BinaryOperator::Eq) => matches!(value, "d" | "e" | "r" | "m"),
            ("pg_constraint", "contype", BinaryOperator::Eq) => matches!(value, "f" | "c" | "u" | "x" | "t"),
            ("pg_attribute", "attidentity" | "attgenerated", BinaryOperator::NotEq) => value.is_empty(),
            _ => false,
        }
    }
}
