//! Values of parameters that a statement must show before it is planned.

use std::ops::ControlFlow;

use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{
        BinaryOperator, DataType as SqlType, Expr, FunctionArg, FunctionArgExpr, ObjectName, Statement, TableFactor,
        Value, Visitor, VisitorMut,
    },
};

use super::prepare::{cast, placeholder, sql_type};
use crate::parse::{ident, quoted, walk, walk_mut};

/// Writes values into a statement where a plan without them would be another one.
pub(super) fn show(statement: &mut Statement, values: &[ScalarValue]) {
    if values.is_empty() {
        return;
    }
    if reads_catalog(statement) {
        // What clients ask of the catalog is rewritten by what it says, and would not be by what it says through parameters.
        let _ = walk_mut(statement, &mut Inline(values));
    }
    cast_values(statement, values);
}

fn reads_catalog(statement: &Statement) -> bool {
    struct Catalog(bool);
    impl Visitor for Catalog {
        type Break = ();
        fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
            let mut parts = name.0.iter().filter_map(|part| part.as_ident()).map(ident);
            self.0 |= parts.any(|part| part.starts_with("pg_") || part == "information_schema");
            ControlFlow::Continue(())
        }
    }
    let mut found = Catalog(false);
    let _ = walk(statement, &mut found);
    found.0
}

/// Puts literals in the place of parameters.
struct Inline<'a>(&'a [ScalarValue]);

impl Inline<'_> {
    fn literal(&self, expr: &Expr) -> Option<Value> {
        let value = self.0.get(placeholder(expr)?.checked_sub(1)?)?;
        Some(match value {
            ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => {
                Value::SingleQuotedString(text.clone())
            }
            ScalarValue::Int16(Some(n)) if *n >= 0 => Value::Number(n.to_string(), false),
            ScalarValue::Int32(Some(n)) if *n >= 0 => Value::Number(n.to_string(), false),
            ScalarValue::Int64(Some(n)) if *n >= 0 => Value::Number(n.to_string(), false),
            ScalarValue::Boolean(Some(truth)) => Value::Boolean(*truth),
            _ => return None,
        })
    }
}

impl VisitorMut for Inline<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // A text that is cast to a type of texts is the text.
        let shown = match expr {
            Expr::Cast { expr, data_type: SqlType::Text | SqlType::Varchar(None), .. } => {
                self.literal(expr).filter(|value| matches!(value, Value::SingleQuotedString(_)))
            }
            _ => self.literal(expr),
        };
        if let Some(value) = shown {
            *expr = Expr::Value(value.into());
        }
        ControlFlow::Continue(())
    }
}

/// Writes the types of values into a statement where a plan without them would take other ones: beside `+` and `-`, where a
/// parameter is taken for what stands on the other side, and in functions in FROM.
fn cast_values(statement: &mut Statement, values: &[ScalarValue]) {
    struct Cast<'a>(&'a [ScalarValue]);
    impl Cast<'_> {
        fn put(&self, expr: &mut Expr) {
            let value = placeholder(expr).and_then(|number| self.0.get(number.checked_sub(1)?));
            let Some(value) = value else { return };
            let is_text = matches!(value, ScalarValue::Utf8(_) | ScalarValue::Utf8View(_) | ScalarValue::LargeUtf8(_));
            if is_text || value.is_null() {
                return;
            }
            if let Ok(data_type) = sql_type(&value.data_type()) {
                let inner = std::mem::replace(expr, Expr::Identifier(quoted("")));
                *expr = cast(inner, data_type);
            }
        }
    }
    impl VisitorMut for Cast<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } = expr {
                self.put(left);
                self.put(right);
            }
            ControlFlow::Continue(())
        }
        fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
            let args = match table {
                TableFactor::Table { args: Some(args), .. } => &mut args.args,
                TableFactor::Function { args, .. } => args,
                _ => return ControlFlow::Continue(()),
            };
            for arg in args {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg {
                    self.put(expr);
                }
            }
            ControlFlow::Continue(())
        }
    }
    let _ = walk_mut(statement, &mut Cast(values));
}
