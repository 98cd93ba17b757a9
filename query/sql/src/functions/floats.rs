//! Numerics beside floats, compared, as results of CASE and as arguments of coalesce and its like: PostgreSQL makes both floats,
//! DataFusion both numerics, into which large floats do not fit.

use std::{cell::Cell, sync::Arc};

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, Result, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    config::ConfigOptions,
    logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, Projection, Union, cast},
    optimizer::AnalyzerRule,
};

use super::casts::each_expr;

/// Functions whose results are of the one type that all their arguments are made.
const OF_ALL: &[&str] = &["coalesce", "greatest", "least", "nullif"];

/// Makes numerics beside floats floats, before the types of all expressions are made to fit.
#[derive(Debug)]
pub(super) struct Floats;

impl AnalyzerRule for Floats {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let changed = Cell::new(false);
        let up = |plan: LogicalPlan| {
            // Types may have changed below, and a union tells those from before.
            if let LogicalPlan::Union(mut union) = plan {
                if !parts(&mut union.inputs)? && !changed.get() {
                    return Ok(Transformed::no(LogicalPlan::Union(union)));
                }
                changed.set(true);
                return Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(union.inputs)?)));
            }
            let rewritten = each_expr(plan, |expr, schema| expr.transform_up(|expr| one(expr, schema)))?;
            if rewritten.transformed {
                changed.set(true);
            }
            if changed.get() { rewritten.map_data(LogicalPlan::recompute_schema) } else { Ok(rewritten) }
        };
        plan.transform_up_with_subqueries(up).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "floats"
    }
}

/// Makes columns of numerics floats in the parts of a union of which another has floats there.
fn parts(inputs: &mut [Arc<LogicalPlan>]) -> Result<bool> {
    let width = inputs.iter().map(|input| input.schema().fields().len()).min().unwrap_or(0);
    let any = |column: usize, is: fn(&DataType) -> bool| {
        inputs.iter().any(|input| is(input.schema().field(column).data_type()))
    };
    let mixed: Vec<usize> =
        (0..width).filter(|&at| any(at, DataType::is_floating) && any(at, DataType::is_decimal)).collect();
    if mixed.is_empty() {
        return Ok(false);
    }
    for input in inputs {
        let columns = input.schema().columns();
        let exprs = columns.into_iter().enumerate().map(|(at, column)| {
            let is_numeric = input.schema().field(at).data_type().is_decimal();
            let name = column.name.clone();
            let column = Expr::Column(column);
            if mixed.contains(&at) && is_numeric { cast(column, DataType::Float64).alias(name) } else { column }
        });
        let exprs = exprs.collect::<Vec<_>>();
        *input = Arc::new(LogicalPlan::Projection(Projection::try_new(exprs, Arc::clone(input))?));
    }
    Ok(true)
}

fn one(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Case(mut case) => {
            let mut results: Vec<&mut Expr> = case.when_then_expr.iter_mut().map(|(_, then)| &mut **then).collect();
            results.extend(case.else_expr.as_deref_mut());
            let changed = alike(&mut results, schema)?;
            Ok(if changed { Transformed::yes(Expr::Case(case)) } else { Transformed::no(Expr::Case(case)) })
        }
        Expr::ScalarFunction(mut call) if OF_ALL.contains(&call.name()) => {
            let mut args: Vec<&mut Expr> = call.args.iter_mut().collect();
            let changed = alike(&mut args, schema)?;
            let call = Expr::ScalarFunction(call);
            Ok(if changed { Transformed::yes(call) } else { Transformed::no(call) })
        }
        Expr::BinaryExpr(mut of) if compares(of.op) => {
            let changed = compared(&mut [&mut of.left, &mut of.right], schema)?;
            Ok(if changed { Transformed::yes(Expr::BinaryExpr(of)) } else { Transformed::no(Expr::BinaryExpr(of)) })
        }
        Expr::Between(mut of) => {
            let changed = compared(&mut [&mut of.expr, &mut of.low, &mut of.high], schema)?;
            Ok(if changed { Transformed::yes(Expr::Between(of)) } else { Transformed::no(Expr::Between(of)) })
        }
        other => Ok(Transformed::no(other)),
    }
}

const fn compares(op: Operator) -> bool {
    use Operator as O;
    matches!(op, O::Eq | O::NotEq | O::Lt | O::LtEq | O::Gt | O::GtEq | O::IsDistinctFrom | O::IsNotDistinctFrom)
}

/// What literals may be as numerics, of which DataFusion compares such with 15 digits before the point.
const NUMERIC: f64 = 1e14;

/// The same for what is compared. A literal is no float there: beside numerics it is one, and columns stay what indexes know.
fn compared(all: &mut [&mut Expr], schema: &DFSchema) -> Result<bool> {
    for expr in all.iter() {
        let is_literal = matches!(expr, Expr::Literal(ScalarValue::Float64(Some(of)), _) if of.abs() < NUMERIC);
        if !is_literal && expr.get_type(schema)?.is_floating() {
            return alike(all, schema);
        }
    }
    Ok(false)
}

/// Casts the numerics among some expressions, if floats are among them too.
fn alike(all: &mut [&mut Expr], schema: &DFSchema) -> Result<bool> {
    let types = all.iter().map(|expr| expr.get_type(schema)).collect::<Result<Vec<_>>>()?;
    if !types.iter().any(DataType::is_floating) || !types.iter().any(DataType::is_decimal) {
        return Ok(false);
    }
    for (expr, of) in all.iter_mut().zip(types) {
        if of.is_decimal() {
            **expr = cast(std::mem::take(*expr), DataType::Float64);
        }
    }
    Ok(true)
}
