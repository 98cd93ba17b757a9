//! SQL functions beyond DataFusion's, and the rewrites of syntax that they need.
//!
//! A file here is a family of functions. Most are told by a table: a name, the shapes of its arguments, the type of its
//! result and a function over columns ([`scalar`]) or a kernel over states ([`aggregate`]).

mod aggregate;
mod arithmetic;
mod asof;
mod asof_exec;
mod balance;
mod bucket;
mod casts;
mod chain;
mod datetime;
mod ddsketch;
mod elements;
mod exact;
mod extension;
mod floats;
mod from_char;
mod funnels;
mod gapfill;
mod gapfill_exec;
mod hll;
mod interval;
pub mod json;
mod lateral;
mod make;
mod numbers;
mod planner;
mod quantiles;
mod rewrite;
mod rounding;
mod scalar;
mod series;
mod sessions;
mod shown;
mod sketches;
mod spans;
mod spelling;
mod stats;
mod t_test;
mod text;
mod time_texts;
mod to_char;
mod top_k;
mod totals;
mod trunc;
mod unknown;
mod using;
mod vectors;
mod zoned;

use std::sync::Arc;

use datafusion::{
    execution::{FunctionRegistry, SessionStateBuilder},
    prelude::SessionContext,
    sql::sqlparser::{ast::Statement, tokenizer::TokenWithSpan},
};

use crate::error::Result;
pub(crate) use casts::casts;
pub(crate) use zoned::{IN_UTC, in_zone, texts_of_times, zone_of};

/// Makes all functions known to a context. It is called once; sessions share what it registered.
///
/// # Errors
/// When DataFusion refuses one.
pub fn register(ctx: &SessionContext) -> Result<()> {
    Ok(register_all(ctx)?)
}

fn register_all(ctx: &SessionContext) -> datafusion::common::Result<()> {
    let state = ctx.state_ref();
    let mut state = state.write();
    let scalars = [
        vec![asof::scalar(), series::scalar(), series::zoned().udf(), to_char::scalar(), trunc::scalar()],
        datetime::scalars(),
        text::scalars(),
        from_char::scalars(),
        make::scalars(),
        bucket::scalars(),
        gapfill::scalars(),
        json::builders(),
        json::operators(),
        sketches::scalars(),
        stats::scalars(),
        vectors::scalars(),
        vec![to_char::zoned().udf(), json::jsonb_comparable().udf()],
        spans::scalars(),
        time_texts::scalars(),
        zoned::scalars(),
        interval::scalars(),
        rounding::scalars(),
        spelling::scalars(),
    ];
    let uuid =
        datafusion::functions::string::uuid().as_ref().clone().with_aliases(["gen_random_uuid", "uuid_generate_v4"]);
    for function in scalars.into_iter().flatten().chain([uuid]) {
        // DataFusion's own function of this name goes with all its aliases: left under one of them, it would get its name
        // back, or not, whenever a state is built from this one.
        for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
            state.deregister_udf(name)?;
        }
        state.register_udf(Arc::new(function))?;
    }
    let aggregates = [
        funnels::aggregates(),
        planner::aggregates(),
        quantiles::aggregates(),
        sketches::aggregates(),
        stats::aggregates(),
        t_test::aggregates(),
        top_k::aggregates(),
        totals::aggregates(),
    ];
    for function in aggregates.into_iter().flatten() {
        for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
            state.deregister_udaf(name)?;
        }
        state.register_udaf(Arc::new(function))?;
    }
    state.register_udwf(Arc::new(sessions::window()))?;
    state.register_expr_planner(Arc::new(planner::Planner))?;
    state.add_analyzer_rule(Arc::new(casts::PgCasts));
    state.add_analyzer_rule(Arc::new(zoned::SessionZone));
    state.add_analyzer_rule(Arc::new(lateral::LateralRule));
    state.add_analyzer_rule(Arc::new(gapfill::GapFillRule));
    state.add_analyzer_rule(Arc::new(asof::AsofRule));
    // Before DataFusion's own.
    let mut rules = state.analyzer().rules.clone();
    rules.insert(0, Arc::new(spans::SpanTexts));
    rules.insert(1, Arc::new(floats::Floats));
    *state = SessionStateBuilder::new_from_existing(state.clone())
        .with_analyzer_rules(rules)
        .with_query_planner(Arc::new(extension::Planner))
        .build();
    Ok(())
}

/// Makes tokens that the parser does not know ones that it knows, before they are parsed: `ASOF LEFT JOIN`.
pub fn rewrite_tokens(tokens: &mut Vec<TokenWithSpan>) {
    asof::rewrite_tokens(tokens);
}

/// Rewrites what of a statement DataFusion does not plan as it stands, before it is planned.
///
/// # Errors
/// When the statement uses a function or an operator in a way that is refused.
pub fn rewrite_statement(statement: &mut Statement) -> Result<()> {
    Ok(rewrite::statement(statement)?)
}
