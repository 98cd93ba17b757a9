//! The aggregates that a rollup can have: which states are kept of each, how states merge, and what is told of them.

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
};

use crate::{
    error::{Result, SqlError},
    parse::ident,
};

/// What is kept of an aggregate.
pub(super) struct Kept {
    /// The states: an aggregate over rows, and the one that merges its results.
    pub(super) states: Vec<(String, &'static str)>,
    /// The result, over the merged states.
    pub(super) result: fn(&[String], &str) -> String,
    /// What the result's text is told beside the states, such as a fraction.
    pub(super) extra: String,
    /// Whether the result must be cast to be of the aggregate's own type.
    pub(super) cast: bool,
}

/// The name of a function.
pub(super) fn name(call: &Function) -> String {
    call.name.0.last().and_then(|part| part.as_ident()).map(ident).unwrap_or_default()
}

/// What is kept of an aggregate whose result has this type.
///
/// # Errors
/// `0A000` for one whose states cannot be merged, with what to use instead.
pub(super) fn kept(call: &Function, result: &DataType) -> Result<Kept> {
    let name = name(call);
    let arguments = arguments(call)?;
    let filter = call.filter.as_ref().map_or_else(String::new, |filter| format!(" FILTER (WHERE {filter})"));
    let state = |text: String, merge| (format!("{text}{filter}"), merge);
    let one = || match arguments.as_slice() {
        [one] if call.within_group.is_empty() => Ok(one.to_string()),
        _ => Err(SqlError::unsupported(format!("{call} in a continuous rollup"))),
    };
    let first = |merged: &[String], _: &str| merged.first().cloned().unwrap_or_default();
    let kept = |states, result, cast| Kept { states, result, extra: String::new(), cast };
    Ok(match name.as_str() {
        "count" => {
            let of = one()?;
            kept(vec![state(format!("count({of})"), "sum")], |m, _| format!("coalesce({}, 0)", m.join(", ")), true)
        }
        "sum" => kept(vec![state(format!("sum({})", one()?), "sum")], first, true),
        "min" | "max" => {
            let merge = if name == "min" { "min" } else { "max" };
            kept(vec![state(format!("{name}({})", one()?), merge)], first, false)
        }
        "bool_and" | "every" => kept(vec![state(format!("bool_and({})", one()?), "bool_and")], first, false),
        "bool_or" => kept(vec![state(format!("bool_or({})", one()?), "bool_or")], first, false),
        "avg" | "mean" => {
            let of = one()?;
            // Decimals are summed exactly. A plain CAST would not tell this sum from one of the values by its name.
            let sum =
                if result.is_decimal() { format!("sum({of})") } else { format!("sum(arrow_cast({of}, 'Float64'))") };
            let states = vec![state(sum, "sum"), state(format!("count({of})"), "sum")];
            let divided: fn(&[String], &str) -> String = if result.is_decimal() { exact_average } else { average };
            kept(states, divided, true)
        }
        "approx_distinct" | "approx_count_distinct" => {
            let states = vec![state(format!("hll({})", one()?), "rollup")];
            kept(states, |m, _| format!("coalesce(hll_count({}), 0)", m.join(", ")), true)
        }
        "hll" | "percentile_agg" | "stats_agg" => {
            kept(vec![state(format!("{name}({})", one()?), "rollup")], first, false)
        }
        "rollup" | "hll_merge" | "percentile_merge" => {
            kept(vec![state(format!("rollup({})", one()?), "rollup")], first, false)
        }
        "var" | "var_samp" | "variance" | "var_sample" | "var_pop" | "var_population" | "stddev" | "stddev_samp"
        | "stddev_pop" => {
            let states = vec![state(format!("stats_agg({})", one()?), "rollup")];
            let result: fn(&[String], &str) -> String = match name.as_str() {
                "var_pop" | "var_population" => |m, _| format!("stats_var_pop({})", m.join(", ")),
                "stddev_pop" => |m, _| format!("sqrt(stats_var_pop({}))", m.join(", ")),
                "stddev" | "stddev_samp" => |m, _| format!("sqrt(stats_var_samp({}))", m.join(", ")),
                _ => |m, _| format!("stats_var_samp({})", m.join(", ")),
            };
            kept(states, result, false)
        }
        "approx_percentile_cont" | "approx_median" => {
            let (of, fraction) = quantile(call, &name, &arguments)?;
            let states = vec![state(format!("percentile_agg({of})"), "rollup")];
            let result = |m: &[String], fraction: &str| format!("approx_percentile({fraction}, {})", m.join(", "));
            Kept { states, result, extra: fraction, cast: true }
        }
        _ => return Err(no_states(&name)),
    })
}

/// The average of floats, of their sum and count.
fn average(merged: &[String], _: &str) -> String {
    match merged {
        [sum, count] => format!("CAST({sum} AS DOUBLE PRECISION) / nullif({count}, 0)"),
        _ => String::new(),
    }
}

/// The average of integers and numerics, which is a numeric.
fn exact_average(merged: &[String], _: &str) -> String {
    match merged {
        [sum, count] => format!("({sum} * 1.0) / nullif({count}, 0)"),
        _ => String::new(),
    }
}

/// Refuses an aggregate whose states do not merge.
fn no_states(name: &str) -> SqlError {
    let exact = ["percentile_cont", "percentile_disc", "median", "quantile", "quantile_cont", "quantile_disc"];
    let error = SqlError::unsupported(format!("the aggregate {name} in a continuous rollup"));
    error.with_hint(if exact.contains(&name) {
        "Use approx_percentile_cont, or percentile_agg, whose sketches merge."
    } else {
        "It can have count, sum, avg, min, max, bool_and, bool_or, stddev, variance, approx_distinct, \
         approx_percentile_cont, hll, percentile_agg and stats_agg."
    })
}

/// The arguments of a call that says nothing else about them.
fn arguments(call: &Function) -> Result<Vec<&FunctionArgExpr>> {
    let name = name(call);
    let refused = |what: &str| SqlError::unsupported(format!("{what} in a continuous rollup"));
    if call.over.is_some() {
        return Err(refused("a window function"));
    }
    let FunctionArguments::List(FunctionArgumentList { duplicate_treatment, args, clauses }) = &call.args else {
        return Err(refused(&format!("this form of {name}")));
    };
    if duplicate_treatment.as_ref().is_some_and(|d| d.to_string() == "DISTINCT") {
        let error = refused(&format!("{name}(DISTINCT ...)"));
        return Err(match name.as_str() {
            "count" => error.with_hint("Use approx_distinct(x), or hll(x), whose sketches merge."),
            _ => error,
        });
    }
    if !clauses.is_empty() || call.null_treatment.is_some() {
        return Err(refused(&format!("ORDER BY or another clause in {name}")));
    }
    let plain = args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(expr) => Ok(expr),
        _ => Err(refused("a named argument")),
    });
    plain.collect()
}

/// The value and the fraction of an approximate quantile.
fn quantile(call: &Function, name: &str, arguments: &[&FunctionArgExpr]) -> Result<(String, String)> {
    let half = "0.5".to_owned();
    match (arguments, call.within_group.as_slice()) {
        ([of], []) if name == "approx_median" => Ok((of.to_string(), half)),
        ([of, fraction], []) => Ok((of.to_string(), constant(fraction)?)),
        ([fraction], [order]) if order.options.asc != Some(false) => Ok((order.expr.to_string(), constant(fraction)?)),
        _ => Err(SqlError::unsupported(format!("{call} in a continuous rollup"))
            .with_hint("Write approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY x).")),
    }
}

fn constant(expr: &FunctionArgExpr) -> Result<String> {
    match expr {
        FunctionArgExpr::Expr(Expr::Value(value)) => Ok(value.to_string()),
        other => Err(SqlError::unsupported(format!("the fraction {other} in a continuous rollup"))
            .with_hint("Write it as a number.")),
    }
}
