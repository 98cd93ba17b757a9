//! Intervals and the time between two times beside other values: texts that stand for intervals, and durations that are
//! computed with as intervals.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, Result, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    config::ConfigOptions,
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, ScalarUDF,
        expr::{Between, InList},
        lit,
    },
    optimizer::AnalyzerRule,
    sql::sqlparser::ast::BinaryOperator,
};

use super::{
    casts::each_expr,
    interval::{self, INTERVAL},
    scalar::{Arg, Scalar, exactly},
    time_texts::written,
};
use crate::clock;

/// The functions of this file.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    vec![interval_of().udf()]
}

/// The time between two times as an interval.
const fn interval_of() -> Scalar {
    Scalar::new(
        "interval_of",
        const { &[exactly(&[Arg::Span])] },
        |_| Ok(INTERVAL),
        |call| Ok(Arc::new(clock::spans(&call.array(0)?)?)),
    )
}

fn type_of(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    expr.get_type(schema).ok()
}

fn is_span(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(type_of(expr, schema), Some(DataType::Interval(_) | DataType::Duration(_)))
}

/// An interval where the text of one stands.
fn read(expr: Expr) -> Result<Expr> {
    match written(&expr) {
        Some(text) => Ok(lit(ScalarValue::IntervalMonthDayNano(Some(interval::parse(text)?)))),
        None => Ok(expr),
    }
}

/// The operands of an operator, so that DataFusion finds types that it knows.
///
/// # Errors
/// When a text beside an interval is none.
pub(super) fn operands(op: &BinaryOperator, left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    use BinaryOperator as Op;
    let compares = matches!(op, Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq);
    let (left, right) = match (is_span(&left, schema), is_span(&right, schema)) {
        (true, false) if compares => (left, read(right)?),
        (false, true) if compares => (read(left)?, right),
        _ => (left, right),
    };
    let is_duration = |expr: &Expr| matches!(type_of(expr, schema), Some(DataType::Duration(_)));
    let is_interval = |expr: &Expr| matches!(type_of(expr, schema), Some(DataType::Interval(_)));
    let is_number = |expr: &Expr| type_of(expr, schema).is_some_and(|of| of.is_numeric());
    let whole = |expr: Expr| interval_of().udf().call(vec![expr]);
    Ok(match op {
        Op::Plus | Op::Minus if is_duration(&left) && is_interval(&right) => (whole(left), right),
        Op::Plus | Op::Minus if is_interval(&left) && is_duration(&right) => (left, whole(right)),
        Op::Multiply | Op::Divide if is_duration(&left) && is_number(&right) => (whole(left), right),
        Op::Multiply if is_number(&left) && is_duration(&right) => (left, whole(right)),
        _ => (left, right),
    })
}

/// Reads texts beside intervals in BETWEEN and IN, before the types of all expressions are made to fit.
#[derive(Debug)]
pub(super) struct SpanTexts;

impl AnalyzerRule for SpanTexts {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let read_plan = |plan| each_expr(plan, |expr, schema| expr.transform_up(|expr| list(expr, schema)));
        plan.transform_up_with_subqueries(read_plan).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "span_texts"
    }
}

fn list(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Between(Between { expr, negated, low, high })
            if is_span(&expr, schema) && (written(&low).is_some() || written(&high).is_some()) =>
        {
            let (low, high) = (Box::new(read(*low)?), Box::new(read(*high)?));
            Ok(Transformed::yes(Expr::Between(Between { expr, negated, low, high })))
        }
        Expr::InList(InList { expr, list, negated })
            if is_span(&expr, schema) && list.iter().any(|of| written(of).is_some()) =>
        {
            let list = list.into_iter().map(read).collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
        }
        other => Ok(Transformed::no(other)),
    }
}
