//! Casts to types of names: `'t'::regclass` is the number of `t`, `oid::regclass` printed is a name.
//!
//! A value of such a type is a number that prints as a name. Here it is a number where it is compared or cast to a
//! number, and a literal is one everywhere but in the output; elsewhere it is the name.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, DataType, Expr, ObjectNamePart, Query, SetExpr, VisitorMut,
};

use super::{bare, call, literal, names::ident_name};
use crate::error::{Result, SqlError};

/// The pass.
pub(super) struct Casts;

impl VisitorMut for Casts {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        flow(values(&mut query.body))
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        flow(operands(expr))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        flow(output(expr))
    }
}

fn flow(result: Result<()>) -> ControlFlow<SqlError> {
    result.map_or_else(ControlFlow::Break, ControlFlow::Continue)
}

/// The family of a type of names, such as `regclass`.
fn family(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Regclass => Some("regclass".to_owned()),
        DataType::Custom(name, _) => match name.0.last() {
            Some(ObjectNamePart::Identifier(ident)) => match ident_name(ident).as_str() {
                name @ ("regclass" | "regtype" | "regproc" | "regnamespace" | "regrole") => Some(name.to_owned()),
                "regprocedure" => Some("regproc".to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn is_number(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::IntUnsigned(_)
            | DataType::Int(_)
            | DataType::Integer(_)
            | DataType::BigInt(_)
            | DataType::Int8(_)
            | DataType::Int4(_)
    )
}

/// Makes a value of a type of names its number.
fn to_number(expr: &mut Expr) -> Result<()> {
    if let Expr::Nested(inner) = expr {
        return to_number(inner);
    }
    if let Expr::Cast { expr: inner, data_type, .. } = expr
        && let Some(family) = family(data_type)
    {
        *expr = call(&format!("{family}_oid"), inner)?;
    }
    Ok(())
}

fn operands(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::BinaryOp { left, op, right } if is_comparison(op) => {
            to_number(left)?;
            to_number(right)
        }
        Expr::AnyOp { left, .. } | Expr::AllOp { left, .. } | Expr::InSubquery { expr: left, .. } => to_number(left),
        Expr::InList { expr, list, .. } => {
            to_number(expr)?;
            list.iter_mut().try_for_each(to_number)
        }
        Expr::Cast { expr, data_type, .. } if is_number(data_type) => to_number(expr),
        Expr::Function(function) => arguments(function),
        _ => Ok(()),
    }
}

/// A literal as a function's argument is the number.
fn arguments(function: &mut datafusion::sql::sqlparser::ast::Function) -> Result<()> {
    use datafusion::sql::sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
    let FunctionArguments::List(list) = &mut function.args else { return Ok(()) };
    for arg in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg
            && let Expr::Cast { expr: inner, .. } = bare(expr)
            && literal(inner).is_some()
        {
            to_number(expr)?;
        }
    }
    Ok(())
}

fn values(body: &mut SetExpr) -> Result<()> {
    match body {
        SetExpr::Values(values) => values.rows.iter_mut().flat_map(|row| row.iter_mut()).try_for_each(to_number),
        SetExpr::SetOperation { left, right, .. } => {
            values(left)?;
            values(right)
        }
        _ => Ok(()),
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

/// What is left is printed.
fn output(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Cast { expr: inner, data_type: DataType::Array(ArrayElemTypeDef::SquareBracket(of, _)), .. } => {
            match family(of).as_deref() {
                Some("regtype") => *expr = call("regtype_names", inner)?,
                Some(_) => *expr = (**inner).clone(),
                None => {}
            }
        }
        Expr::Cast { expr: inner, data_type, .. } => {
            if let Some(family) = family(data_type) {
                *expr = call(&format!("{family}_name"), inner)?;
            }
        }
        // An array against its text.
        Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } => {
            for (one, other) in [(&*left, &*right), (&*right, &*left)].map(|(a, b)| (a.clone(), b.clone())) {
                let is_array = literal(&one).is_some_and(|t| t.starts_with('{') && t.ends_with('}'));
                if is_array && matches!(bare(&other), Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                    let printed = call("array_text", &other)?;
                    if **left == *other { **left = printed } else { **right = printed }
                }
            }
        }
        _ => {}
    }
    Ok(())
}
