//! Number literals in the types that PostgreSQL gives them, where the type shows in a result: `1` is an integer of 32 bits,
//! `1.50` a numeric with two digits behind the point.
//!
//! Elsewhere, as in conditions, they stay what DataFusion reads, which is faster to plan and lets indexes be used.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query,
    SelectItem, SetExpr, TableFactor, UnaryOperator, Value, Values, VisitorMut,
};

use super::{exact::DIGITS, rewrite::name_of};
use crate::{parse::parse_expr, types::NUMERIC_SCALE};

/// Functions whose results are of the types of all their arguments.
const OF_ALL: &[&str] = &[
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "sum",
    "avg",
    "min",
    "max",
    "array_agg",
    "abs",
    "sign",
    "mod",
    "div",
    "pg_typeof",
    "bit_and",
    "bit_or",
    "bit_xor",
];
/// Functions whose results are numerics where their first argument is one.
const OF_FIRST: &[&str] = &["round", "trunc", "ceil", "ceiling", "floor"];
/// Functions whose results are of the type of their first argument, or of what they are ordered by.
const OF_VALUE: &[&str] = &["lag", "lead", "first_value", "last_value", "nth_value", "mode", "percentile_disc"];

/// Gives the literals of a statement their types.
#[derive(Debug)]
pub(super) struct Numbers;

impl VisitorMut for Numbers {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        if let Some(with) = query.with.as_mut().filter(|with| with.recursive) {
            with.cte_tables.iter_mut().for_each(|cte| first_term(&mut cte.query.body));
        }
        selected(&mut query.body);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Derived { subquery, .. } = factor
            && let SetExpr::Values(values) = &mut *subquery.body
        {
            columns_of(values);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::BinaryOp { left, op, right } if is_arithmetic(op) => {
                fraction(left);
                fraction(right);
            }
            Expr::BinaryOp { left, op, right } if is_of_bits(op) => {
                typed(left);
                typed(right);
            }
            Expr::Cast { expr: inner, data_type, .. } => {
                // A text that becomes a numeric without a scale keeps its digits.
                if matches!(
                    data_type,
                    DataType::Numeric(ExactNumberInfo::None) | DataType::Decimal(ExactNumberInfo::None)
                ) && let Some(text) = written(inner)
                    && let Some((digits, scale)) = shape(&text)
                {
                    replace(expr, &format!("arrow_cast('{}', 'Decimal128({digits}, {scale})')", plain(&text)));
                } else {
                    fraction(inner);
                }
            }
            Expr::Case { conditions, else_result, .. } => {
                conditions.iter_mut().for_each(|when| typed(&mut when.result));
                else_result.iter_mut().for_each(|result| typed(result));
            }
            Expr::Array(array) => array.elem.iter_mut().for_each(typed),
            Expr::Ceil { expr, .. } | Expr::Floor { expr, .. } => fraction(expr),
            Expr::Function(function) => arguments(function),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
    )
}

fn is_of_bits(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseOr
            | BinaryOperator::PGBitwiseXor
            | BinaryOperator::PGBitwiseShiftLeft
            | BinaryOperator::PGBitwiseShiftRight
    )
}

/// Gives the literals of a column of VALUES their types, where there is nothing else in it that they must fit.
fn columns_of(values: &mut Values) {
    let width = values.rows.first().map_or(0, |row| row.len());
    for column in 0..width {
        let mut cells = values.rows.iter().filter_map(|row| row.get(column));
        let null = |cell: &Expr| matches!(cell, Expr::Value(value) if value.value == Value::Null);
        if cells.all(|cell| number(cell).is_some() || null(cell)) {
            values.rows.iter_mut().filter_map(|row| row.get_mut(column)).for_each(typed);
        }
    }
}

/// What a recursive query begins with has the type of all its rows, whose numerics may have more digits.
fn first_term(body: &mut SetExpr) {
    let SetExpr::SetOperation { left, .. } = body else { return };
    let SetExpr::Select(select) = &mut **left else { return };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
            && let Some((text, false)) = number(expr)
            && shape(&text).is_some()
        {
            replace(expr, &format!("arrow_cast('{}', 'Decimal128({DIGITS}, {NUMERIC_SCALE})')", plain(&text)));
        }
    }
}

fn selected(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                    typed(expr);
                }
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            selected(left);
            selected(right);
        }
        _ => {}
    }
}

fn arguments(function: &mut Function) {
    let name = name_of(&function.name);
    if OF_VALUE.contains(&name.as_str()) {
        function.within_group.iter_mut().for_each(|order| typed(&mut order.expr));
        if function.within_group.is_empty()
            && let FunctionArguments::List(list) = &mut function.args
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) = list.args.first_mut()
        {
            typed(expr);
        }
        return;
    }
    let all = OF_ALL.contains(&name.as_str());
    if !all && !OF_FIRST.contains(&name.as_str()) {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    for arg in list.args.iter_mut().take(if all { usize::MAX } else { 1 }) {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg {
            if all { typed(expr) } else { fraction(expr) }
        }
    }
}

/// Gives a literal its type.
fn typed(expr: &mut Expr) {
    if let Some((text, true)) = number(expr)
        && text.parse::<i32>().is_ok()
    {
        replace(expr, &format!("arrow_cast({text}, 'Int32')"));
    } else {
        fraction(expr);
    }
}

/// Gives a literal its type when it is a numeric; operators find those of integers themselves.
fn fraction(expr: &mut Expr) {
    if let Some((text, whole)) = number(expr)
        && !(whole && text.parse::<i64>().is_ok())
        && let Some((digits, scale)) = shape(&text)
    {
        let plain = plain(&text);
        replace(expr, &format!("arrow_cast('{plain}', 'Decimal128({digits}, {scale})')"));
    }
}

fn replace(expr: &mut Expr, text: &str) {
    if let Ok(cast) = parse_expr(text) {
        *expr = cast;
    }
}

/// A literal's text with its sign, and whether it has neither a point nor an exponent.
fn number(expr: &Expr) -> Option<(String, bool)> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => {
                let text = text.replace('_', "");
                let whole = text.bytes().all(|b| b.is_ascii_digit());
                Some((text, whole))
            }
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match &**expr {
            Expr::Value(_) => number(expr).map(|(text, whole)| (format!("-{text}"), whole)),
            _ => None,
        },
        Expr::Nested(inner) => number(inner),
        _ => None,
    }
}

/// The number that a literal is, or that its text is.
fn written(expr: &Expr) -> Option<String> {
    if let Expr::Value(value) = expr
        && let Value::SingleQuotedString(text) = &value.value
    {
        let digits = text.trim().strip_prefix('-').unwrap_or(text.trim());
        let plain =
            digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.bytes().any(|b| b.is_ascii_digit());
        return (plain && digits.matches('.').count() < 2).then(|| text.trim().to_owned());
    }
    number(expr).map(|(text, _)| text)
}

/// The text without an exponent.
fn plain(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return text.to_owned() };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (mut digits, exponent) = (format!("{whole}{behind}"), exponent.parse::<i64>().unwrap_or(0));
    let mut point = whole.len() as i64 + exponent;
    while point > digits.len() as i64 {
        digits.push('0');
    }
    while point < 1 {
        digits.insert(0, '0');
        point += 1;
    }
    let (whole, behind) = digits.split_at(usize::try_from(point).unwrap_or(0));
    if behind.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{behind}") }
}

/// How many digits a numeric has, and how many of them behind the point; nothing when there are too many.
fn shape(text: &str) -> Option<(u8, u8)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('-').trim_start_matches('0').len();
    let scale = (i64::try_from(behind.len()).ok()? - exponent).max(0);
    let before = (i64::try_from(whole).ok()? + exponent).max(0);
    let digits = (before + scale).max(1);
    let digits = u8::try_from(digits).ok().filter(|digits| *digits <= DIGITS)?;
    Some((digits, u8::try_from(scale).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_have_the_digits_that_are_written() {
        for (text, digits, scale) in
            [("1.50", 3, 2), ("0.05", 2, 2), ("1e3", 4, 0), ("-12.5e-1", 3, 2), ("0.0", 1, 1), ("1.5e1", 2, 0)]
        {
            assert_eq!(shape(text), Some((digits, scale)), "{text}");
        }
        for (text, without) in
            [("1e3", "1000"), ("-12.5e-1", "-1.25"), ("1.5e-3", "0.0015"), ("1.5e1", "15"), ("2", "2")]
        {
            assert_eq!(plain(text), without);
        }
        assert_eq!(shape("1e400"), None);
        assert_eq!(shape("0.000000000000000000000000000000000000001"), None);
    }
}
