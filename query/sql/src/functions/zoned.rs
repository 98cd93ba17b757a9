//! The session's time zone: moments are kept in UTC, and where a statement looks at their clocks, the zone's are meant.
//!
//! A zone is no part of a moment's type, so statements in all zones have the same plans but for what is put in here.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType},
};
use chrono::NaiveDateTime;
use datafusion::{
    common::{
        DFSchema, Result, ScalarValue, not_impl_err,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    config::ConfigOptions,
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF, cast, expr::ScalarFunction,
        expr_rewriter::NamePreserver, lit, utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use super::{
    casts::named,
    datetime::{self, column, naive},
    interval,
    literals::{self, written},
    scalar::{Arg, Call, Scalar, Shape, exactly},
    times::{Zone, out_of_range},
    to_char,
};
use crate::types::UTC;

/// The alias of a subquery that is of UTC in every session: what a rollup keeps must not depend on who reads it.
pub(crate) const IN_UTC: &str = "\u{1}utc";

const SHIFTED: &[Shape] = &[exactly(&[Arg::Text, Arg::Time, Arg::Interval])];

/// The functions that the rule puts in.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    vec![later().udf(), earlier().udf()]
}

/// A moment plus an interval, whose months and days are those of a zone.
const fn later() -> Scalar {
    Scalar::new("moment_later", SHIFTED, |args| Ok(args[1].clone()), |call| shifted(call, false))
}

/// A moment less an interval, whose months and days are those of a zone.
const fn earlier() -> Scalar {
    Scalar::new("moment_earlier", SHIFTED, |args| Ok(args[1].clone()), |call| shifted(call, true))
}

fn shifted(call: &Call<'_>, back: bool) -> Result<ArrayRef> {
    let (zones, times, spans) = (call.text(0)?, naive(&call.array(1)?)?, call.array(2)?);
    let Some(spans) = spans.as_primitive_opt::<IntervalMonthDayNanoType>() else { return call.wrong(2) };
    let row = |(row, time): (usize, Option<NaiveDateTime>)| {
        let (Some(time), true, true) = (time, zones.is_valid(row), spans.is_valid(row)) else { return Ok(None) };
        let (zone, span) = (Zone::parse(zones.value(row))?, spans.value(row));
        let span = if back { interval::negated(span) } else { Some(span) };
        let moved = span.and_then(|span| {
            let days = IntervalMonthDayNano { nanoseconds: 0, ..span };
            let rest = IntervalMonthDayNano::new(0, 0, span.nanoseconds);
            interval::add(zone.utc(interval::add(zone.local(time)?, days)?)?, rest)
        });
        moved.ok_or_else(out_of_range).map(Some)
    };
    column(times.into_iter().enumerate().map(row), call.returns)
}

/// Puts the session's zone in. It runs when the types of all expressions are known, casts that nobody wrote among them.
#[derive(Debug)]
pub(super) struct SessionZone;

impl AnalyzerRule for SessionZone {
    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
        let Some(zone) = zone_of(options) else { return Ok(plan) };
        let down = |plan: LogicalPlan| {
            let is_in_utc = matches!(&plan, LogicalPlan::SubqueryAlias(alias) if alias.alias.table() == IN_UTC);
            Ok(if is_in_utc { Transformed::new(plan, false, TreeNodeRecursion::Jump) } else { Transformed::no(plan) })
        };
        let up = |plan: LogicalPlan| {
            let names = NamePreserver::new(&plan);
            let mut schema = merge_schema(&plan.inputs());
            if plan.inputs().is_empty() {
                schema = DFSchema::clone(plan.schema());
            }
            let rewritten = plan.map_expressions(|expr| named(&names, expr, |expr| in_zone(expr, &schema, zone)))?;
            // Functions that were put in may tell less of nulls.
            rewritten.map_data(LogicalPlan::recompute_schema)
        };
        plan.transform_down_up_with_subqueries(down, up).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "session_zone"
    }
}

/// The zone of a session, if it is not UTC.
pub(crate) fn zone_of(options: &ConfigOptions) -> Option<&str> {
    options.execution.time_zone.as_deref().filter(|zone| *zone != UTC)
}

/// An expression, whose types are those that it is evaluated with, in a zone.
pub(crate) fn in_zone(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| one(expr, schema, zone))
}

const fn is_moment(of: &DataType) -> bool {
    matches!(of, DataType::Timestamp(_, Some(_)))
}

const fn is_text(of: &DataType) -> bool {
    matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn name(zone: &str) -> Expr {
    lit(ScalarValue::Utf8View(Some(zone.to_owned())))
}

/// What a zone's clock shows at a moment, or the moment at which it shows that.
fn timezone(zone: &str, expr: Expr) -> Expr {
    datetime::timezone_scalar().udf().call(vec![name(zone), expr])
}

fn one(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Cast(of) => {
            let (from, to) = (of.expr.get_type(schema)?, of.field.data_type().clone());
            let inner = converted(*of.expr.clone(), &from, &to, zone)?;
            Ok(match inner {
                Some(Whole(expr, true)) => Transformed::yes(expr),
                Some(Whole(expr, false)) => Transformed::yes(Expr::Cast(datafusion::logical_expr::Cast {
                    expr: Box::new(expr),
                    field: of.field,
                })),
                None => Transformed::no(Expr::Cast(of)),
            })
        }
        Expr::ScalarFunction(call) => called(call, schema, zone),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus), right }) => {
            let (of_left, of_right) = (left.get_type(schema)?, right.get_type(schema)?);
            let is_span = |of: &DataType| matches!(of, DataType::Interval(_));
            let shift = if op == Operator::Plus { later() } else { earlier() };
            let (time, span) =
                match (is_moment(&of_left) && is_span(&of_right), is_span(&of_left) && is_moment(&of_right)) {
                    (true, _) if has_days(&right) => (left, right),
                    (_, true) if op == Operator::Plus && has_days(&left) => (right, left),
                    _ => return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
                };
            let span = cast(*span, DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano));
            Ok(Transformed::yes(shift.udf().call(vec![name(zone), *time, span])))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Whether an interval may have months or days.
fn has_days(span: &Expr) -> bool {
    let literal = |value: &ScalarValue| match value {
        ScalarValue::IntervalMonthDayNano(Some(span)) => span.months != 0 || span.days != 0,
        ScalarValue::IntervalDayTime(Some(span)) => span.days != 0,
        _ => true,
    };
    match span {
        Expr::Literal(value, _) => literal(value),
        Expr::Cast(of) => has_days(&of.expr),
        _ => true,
    }
}

/// An expression, and whether it stands for the whole cast or for what is cast.
struct Whole(Expr, bool);

/// What a cast between two types looks at in a zone; nothing where no zone counts.
fn converted(expr: Expr, from: &DataType, to: &DataType, zone: &str) -> Result<Option<Whole>> {
    use DataType as T;
    let zoned = |unit: &arrow::datatypes::TimeUnit| T::Timestamp(*unit, Some(Arc::from(zone)));
    Ok(match (from, to) {
        (T::Timestamp(_, Some(_)), T::Timestamp(_, None) | T::Date32 | T::Date64 | T::Time32(_) | T::Time64(_)) => {
            Some(Whole(timezone(zone, expr), false))
        }
        (T::Timestamp(unit, Some(_)), to) if is_text(to) => Some(Whole(cast(expr, zoned(unit)), false)),
        (T::Timestamp(_, None) | T::Date32 | T::Date64, T::Timestamp(unit, Some(_))) => {
            Some(Whole(timezone(zone, cast(expr, T::Timestamp(*unit, None))), false))
        }
        (from, T::Timestamp(..) | T::Date32) if is_text(from) => match (written(&expr), to) {
            (Some(text), _) => literals::value(text, to, Zone::parse(zone)?).map(|value| Whole(lit(value), true)),
            (None, T::Timestamp(unit, Some(_))) => Some(Whole(cast(expr, zoned(unit)), false)),
            _ => None,
        },
        _ => None,
    })
}

/// The text of a constant, which may be cast to another type of texts.
fn constant(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Cast(of) if is_text(of.field.data_type()) => written(&of.expr),
        other => written(other),
    }
}

/// Calls of functions that look at clocks.
fn called(mut call: ScalarFunction, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    let mut moments = Vec::new();
    for arg in &call.args {
        moments.push(is_moment(&arg.get_type(schema)?));
    }
    let done = |expr| Ok(Transformed::yes(expr));
    match (call.name(), moments.as_slice()) {
        ("date_trunc" | datetime::TRUNC_NAME, [_, true]) => {
            let field = cast(call.args.swap_remove(0), DataType::Utf8View);
            done(datetime::trunc_scalar().udf().call(vec![field, call.args.swap_remove(0), name(zone)]))
        }
        ("date_part" | datetime::PART_NAME, [_, true]) => {
            let Some(field) = constant(&call.args[0]).map(str::to_ascii_lowercase) else {
                return not_impl_err!(
                    "a field of a timestamp with time zone that is no constant, in another zone than UTC"
                );
            };
            match field.as_str() {
                "epoch" => Ok(Transformed::no(Expr::ScalarFunction(call))),
                "timezone" | "timezone_hour" | "timezone_minute" => done(offset(&field, &call.args[1], zone)),
                _ => {
                    let moment = call.args.swap_remove(1);
                    call.args.push(timezone(zone, moment));
                    done(Expr::ScalarFunction(call))
                }
            }
        }
        ("to_char", [true, _]) => {
            call.args.push(name(zone));
            done(to_char::zoned().udf().call(call.args))
        }
        ("age", moments) if moments.contains(&true) => {
            let args = call.args.into_iter().zip(moments);
            call.args = args.map(|(arg, moment)| if *moment { timezone(zone, arg) } else { arg }).collect();
            done(Expr::ScalarFunction(call))
        }
        _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
    }
}

/// How far a zone's clock is before UTC at a moment: in seconds, or the hours or minutes of that.
fn offset(field: &str, moment: &Expr, zone: &str) -> Expr {
    let seconds =
        |of: Expr| datetime::part_scalar().udf().call(vec![lit(ScalarValue::Utf8View(Some("epoch".to_owned()))), of]);
    let whole = |of: Expr| cast(cast(of, DataType::Int64), DataType::Float64);
    let offset = seconds(timezone(zone, moment.clone())) - seconds(moment.clone());
    match field {
        "timezone_hour" => whole(offset / lit(3600.0)),
        "timezone_minute" => whole(offset / lit(60.0)) % lit(60.0),
        _ => offset,
    }
}
