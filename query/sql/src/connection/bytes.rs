//! Literals of `bytea`: a cast from text would take the text's own bytes, and not those that it writes.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{DataType, Expr, Statement, TypedString, Value, VisitorMut};

use crate::{
    error::{Result, SqlError},
    parse::walk_mut,
    types::read_bytes,
};

/// Puts the bytes that literals write in their place.
///
/// # Errors
/// `22P02` when one writes none.
pub(super) fn read(statement: &mut Statement) -> Result<()> {
    match walk_mut(statement, &mut Literals) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Literals;

impl VisitorMut for Literals {
    type Break = SqlError;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let text = match expr {
            Expr::Cast { expr, data_type: DataType::Bytea, .. } => match &**expr {
                Expr::Value(value) => &value.value,
                _ => return ControlFlow::Continue(()),
            },
            Expr::TypedString(TypedString { data_type: DataType::Bytea, value, .. }) => &value.value,
            _ => return ControlFlow::Continue(()),
        };
        let (Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text)) = text else {
            return ControlFlow::Continue(());
        };
        match read_bytes(text) {
            Ok(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                *expr = Expr::Value(Value::HexStringLiteral(hex).into());
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}
