//! Functions that return rows over the columns of a table before them in FROM: `FROM t, unnest(t.tags) AS tag`.
//!
//! DataFusion plans such a join as one with a subquery of its own. Here the lists are computed over the rows of the table
//! itself and unnested there.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, NullHandling, Result, TableReference, UnnestOptions, not_impl_err,
        tree_node::{Transformed, TreeNode},
    },
    config::ConfigOptions,
    logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection},
    optimizer::AnalyzerRule,
};

/// See the module.
#[derive(Debug)]
pub(super) struct LateralRule;

impl AnalyzerRule for LateralRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let join = |plan| match plan {
            LogicalPlan::Join(join) => match lateral(&join) {
                Some((subquery, alias)) => rewrite(&join, &subquery, alias).map(Transformed::yes),
                None => Ok(Transformed::no(LogicalPlan::Join(join))),
            },
            other => Ok(Transformed::no(other)),
        };
        plan.transform_up_with_subqueries(join).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "lateral_unnest"
    }
}

/// The right side of a join, when it is a query of lists of the left side's columns without a table of its own.
fn lateral(join: &Join) -> Option<(LogicalPlan, Option<TableReference>)> {
    let (plan, alias) = match join.right.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => (alias.input.as_ref(), Some(alias.alias.clone())),
        other => (other, None),
    };
    // Column aliases put a projection above the subquery.
    let (names, plan) = match plan {
        LogicalPlan::Projection(Projection { expr, input, .. }) => (Some(expr.clone()), input.as_ref()),
        other => (None, other),
    };
    let LogicalPlan::Subquery(subquery) = plan else { return None };
    let query = subquery.subquery.as_ref().clone();
    let query = match names {
        Some(names) => LogicalPlanBuilder::from(query).project(names).ok()?.build().ok()?,
        None => query,
    };
    let mut unnests = false;
    let mut at = &query;
    loop {
        at = match at {
            LogicalPlan::Projection(projection) => projection.input.as_ref(),
            LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
            LogicalPlan::Unnest(unnest) => {
                unnests = true;
                unnest.input.as_ref()
            }
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row && unnests => break,
            _ => return None,
        };
    }
    Some((query, alias))
}

fn rewrite(join: &Join, query: &LogicalPlan, alias: Option<TableReference>) -> Result<LogicalPlan> {
    let outer = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left => true,
        other => {
            return not_impl_err!("{other} JOIN with a function of the other side's columns; use JOIN or LEFT JOIN");
        }
    };
    let left: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let plan = over(query, &join.left, &left, outer)?;
    let own = plan.schema().columns().split_off(left.len());
    let own = own.into_iter().map(|column| {
        let name = column.name.clone();
        match &alias {
            Some(alias) => Expr::Column(column).alias_qualified(Some(alias.clone()), name),
            None => Expr::Column(column),
        }
    });
    let mut plan = LogicalPlanBuilder::from(plan).project(left.into_iter().chain(own))?;
    let on = join.on.iter().map(|(a, b)| a.clone().eq(b.clone())).chain(join.filter.clone());
    for condition in on {
        if outer && condition != datafusion::logical_expr::lit(true) {
            return not_impl_err!("ON of a LEFT JOIN with a function of the left side's columns; write ON true");
        }
        plan = plan.filter(condition)?;
    }
    plan.build()
}

/// The query over the rows of the left side, whose columns come first.
fn over(query: &LogicalPlan, left: &Arc<LogicalPlan>, columns: &[Expr], outer: bool) -> Result<LogicalPlan> {
    match query {
        LogicalPlan::Projection(projection) => {
            let input = over(&projection.input, left, columns, outer)?;
            let own = projection.expr.iter().map(|expr| {
                let inner = |e: Expr| match e {
                    Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
                    other => Ok(Transformed::no(other)),
                };
                let name = expr.schema_name().to_string();
                let replaced = expr.clone().transform(inner)?;
                // The name stays: above it is asked for by that name.
                Ok(if replaced.transformed { replaced.data.unalias().alias(name) } else { replaced.data })
            });
            let own = own.collect::<Result<Vec<_>>>()?;
            LogicalPlanBuilder::from(input).project(columns.iter().cloned().chain(own))?.build()
        }
        LogicalPlan::SubqueryAlias(alias) => over(&alias.input, left, columns, outer),
        LogicalPlan::Unnest(unnest) => {
            let input = over(&unnest.input, left, columns, outer)?;
            let nulls = if outer { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
            let mut options: UnnestOptions = unnest.options.clone();
            options.null_handling = nulls;
            let lists: Vec<Column> = unnest.exec_columns.clone();
            LogicalPlanBuilder::from(input).unnest_columns_with_options(lists, options)?.build()
        }
        _ => Ok(left.as_ref().clone()),
    }
}
