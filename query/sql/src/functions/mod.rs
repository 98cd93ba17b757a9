//! SQL functions beyond DataFusion's, and the rewrites of syntax that they need.
//!
//! A file here is a family of functions. Most are told by a table: a name, the shapes of its arguments, the type of its
//! result and a function over columns ([`scalar`]) or a kernel over states ([`aggregate`]).

mod aggregate;
mod bucket;
mod ddsketch;
mod funnels;
mod hll;
mod interval;
pub mod json;
mod planner;
mod quantiles;
mod scalar;
mod sessions;
mod sketches;
mod t_test;
mod times;
mod top_k;
mod vectors;

use std::sync::Arc;

use datafusion::{execution::FunctionRegistry, prelude::SessionContext, sql::sqlparser::ast::Statement};

use crate::error::Result;

/// Makes all functions known to a context. It is called once; sessions share what it registered.
///
/// # Errors
/// When DataFusion refuses one.
pub fn register(ctx: &SessionContext) -> Result<()> {
    register_all(ctx).map_err(|error| crate::error::SqlError {
        state: crate::error::SqlState(*b"XX000"),
        message: error.to_string(),
        detail: None,
        hint: None,
        position: None,
    })
}

fn register_all(ctx: &SessionContext) -> datafusion::common::Result<()> {
    let state = ctx.state_ref();
    let mut state = state.write();
    let scalars = [bucket::scalars(), json::builders(), json::operators(), sketches::scalars(), vectors::scalars()];
    for function in scalars.into_iter().flatten() {
        state.register_udf(Arc::new(function))?;
    }
    let aggregates = [
        funnels::aggregates(),
        planner::aggregates(),
        quantiles::aggregates(),
        sketches::aggregates(),
        t_test::aggregates(),
        top_k::aggregates(),
    ];
    for function in aggregates.into_iter().flatten() {
        state.register_udaf(Arc::new(function))?;
    }
    state.register_udwf(Arc::new(sessions::window()))?;
    state.register_expr_planner(Arc::new(planner::Planner))
}

/// Rewrites what of a statement DataFusion does not plan as it stands, before it is planned.
///
/// # Errors
/// When the statement uses a function or an operator in a way that is refused.
pub fn rewrite_statement(statement: &mut Statement) -> Result<()> {
    let _ = statement;
    Ok(())
}
