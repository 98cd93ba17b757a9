//! Numerics beside floats, as results of CASE and arguments of coalesce and its like: PostgreSQL makes both floats, DataFusion
//! both numerics, into which large floats do not fit.

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, Result,
        tree_node::{Transformed, TreeNode},
    },
    config::ConfigOptions,
    logical_expr::{Expr, ExprSchemable, LogicalPlan, cast, expr_rewriter::NamePreserver, utils::merge_schema},
    optimizer::AnalyzerRule,
};

use super::casts::named;

/// Functions whose results are of the one type that all their arguments are made.
const OF_ALL: &[&str] = &["coalesce", "greatest", "least", "nullif"];

/// Makes numerics beside floats floats, before the types of all expressions are made to fit.
#[derive(Debug)]
pub(super) struct Floats;

impl AnalyzerRule for Floats {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let up = |plan: LogicalPlan| {
            let names = NamePreserver::new(&plan);
            let schema = merge_schema(&plan.inputs());
            let rewritten =
                plan.map_expressions(|expr| named(&names, expr, |expr| expr.transform_up(|expr| one(expr, &schema))))?;
            if rewritten.transformed { rewritten.map_data(LogicalPlan::recompute_schema) } else { Ok(rewritten) }
        };
        plan.transform_up_with_subqueries(up).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "floats"
    }
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
        other => Ok(Transformed::no(other)),
    }
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
