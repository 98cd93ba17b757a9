//! Constants without a type of their own beside values of one: `active = 't'`, `bytes = '\x01'`, `data || '{"a": 1}'`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, StringViewArray},
    datatypes::DataType,
};
use chronolith_storage::table::ColumnType;
use datafusion::{
    common::{DFSchema, Result, ScalarValue},
    logical_expr::{Expr, ExprSchemable},
    sql::sqlparser::ast::BinaryOperator,
};

use super::{json, scalar::PG_TYPE, time_texts::written};
use crate::{
    error::to_plan,
    types::{UTC, assign},
};

/// The operands, a constant's text being read as a value of the other one's type.
pub(super) fn adopted(op: &BinaryOperator, left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    use BinaryOperator as Op;
    let joins = matches!(op, Op::StringConcat);
    if !joins && !matches!(op, Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq) {
        return Ok((left, right));
    }
    Ok(match (written(&left), written(&right)) {
        (Some(text), None) => match read(text, &right, joins, schema)? {
            Some(left) => (left, right),
            None => (left, right),
        },
        (None, Some(text)) => match read(text, &left, joins, schema)? {
            Some(right) => (left, right),
            None => (left, right),
        },
        _ => (left, right),
    })
}

/// A text as a value of an expression's type; nothing where it is a text there, or DataFusion reads it.
fn read(text: &str, beside: &Expr, joins: bool, schema: &DFSchema) -> Result<Option<Expr>> {
    let Ok((_, field)) = beside.to_field(schema) else { return Ok(None) };
    let named = field.metadata().get(PG_TYPE).map(String::as_str);
    let of = match (field.data_type(), named) {
        (_, Some("jsonb")) if joins => {
            let text = Expr::Literal(ScalarValue::from(text), None);
            return Ok(Some(json::jsonb_in().udf().call(vec![text])));
        }
        (DataType::Boolean, _) if !joins => ColumnType::Bool,
        (DataType::Binary | DataType::LargeBinary | DataType::BinaryView, _) => ColumnType::Bytes,
        (_, Some("uuid")) if !joins => ColumnType::Uuid,
        _ => return Ok(None),
    };
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter([Some(text)]));
    let value = assign(&texts, &of, UTC).map_err(to_plan)?;
    Ok(Some(Expr::Literal(ScalarValue::try_from_array(&value, 0)?, None)))
}
