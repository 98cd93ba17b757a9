//! The session's time zone: moments are kept in UTC, and where a statement looks at their clocks, the zone's are meant.
//!
//! A zone is no part of a moment's type, so statements in all zones have the same plans but for what is put in here.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, StringViewArray},
    datatypes::{DataType, IntervalMonthDayNanoType, TimeUnit},
};
use chrono::NaiveDateTime;
use datafusion::{
    common::{
        DFSchema, Result, ScalarValue, not_impl_err,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    config::ConfigOptions,
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF, binary_expr, cast,
        expr::{Between, ScalarFunction},
        lit,
    },
    optimizer::AnalyzerRule,
};

use super::{
    casts::each_expr,
    datetime::{self, column, naive},
    from_char, interval, make,
    scalar::{Arg, Call, Scalar, Shape, exactly},
    series,
    time_texts::{self, Zones, written},
    to_char,
};
use crate::{
    clock::{self, out_of_range},
    types::UTC,
};

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
    let mut zones = Zones::new(&zones);
    let row = |(row, time): (usize, Option<NaiveDateTime>)| {
        let (Some((time, zone)), true) = (time.zip(zones.of(row)?), spans.is_valid(row)) else { return Ok(None) };
        let span = spans.value(row);
        let span = if back { interval::negated(span) } else { Some(span) };
        let moved = span.and_then(|span| series::later(zone, time, span));
        moved.ok_or_else(out_of_range).map(Some)
    };
    column(times.into_iter().enumerate().map(row), call.returns)
}

/// Puts the session's zone in. It runs when the types of all expressions are known, casts that nobody wrote among them.
#[derive(Debug)]
pub(super) struct SessionZone;

impl AnalyzerRule for SessionZone {
    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
        let zone = zone_of(options);
        let down = |plan: LogicalPlan| {
            let is_in_utc = matches!(&plan, LogicalPlan::SubqueryAlias(alias) if alias.alias.table() == IN_UTC);
            if !is_in_utc || zone == UTC {
                return Ok(Transformed::no(plan));
            }
            let in_utc = plan.transform_up_with_subqueries(|plan| whole(plan, UTC))?;
            Ok(Transformed::new(in_utc.data, in_utc.transformed, TreeNodeRecursion::Jump))
        };
        plan.transform_down_up_with_subqueries(down, |plan| whole(plan, zone)).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "session_zone"
    }
}

/// A plan, whose inputs were rewritten, in a zone.
fn whole(plan: LogicalPlan, zone: &str) -> Result<Transformed<LogicalPlan>> {
    let rewritten = each_expr(plan, |expr, schema| in_zone(expr, schema, zone))?;
    let rewritten = rewritten.transform_data(sorted_by_length)?;
    if !rewritten.transformed {
        return Ok(rewritten);
    }
    // Functions that were put in may tell less of nulls.
    rewritten.map_data(LogicalPlan::recompute_schema)
}

/// Sorts by the lengths of intervals where it sorts by intervals, which are ordered by their months.
fn sorted_by_length(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Sort(mut sort) = plan else { return Ok(Transformed::no(plan)) };
    let mut changed = false;
    for key in &mut sort.expr {
        if is_span(&key.expr.get_type(sort.input.schema())?) {
            key.expr = interval::length().udf().call(vec![key.expr.clone()]);
            changed = true;
        }
    }
    Ok(if changed { Transformed::yes(LogicalPlan::Sort(sort)) } else { Transformed::no(LogicalPlan::Sort(sort)) })
}

/// The zone of a session.
pub(crate) fn zone_of(options: &ConfigOptions) -> &str {
    options.execution.time_zone.as_deref().unwrap_or(UTC)
}

/// An expression, whose types are those that it is evaluated with, in a zone.
pub(crate) fn in_zone(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| one(expr, schema, zone))
}

const fn is_moment(of: &DataType) -> bool {
    matches!(of, DataType::Timestamp(_, Some(_)))
}

const fn compares(op: Operator) -> bool {
    use Operator as Op;
    matches!(
        op,
        Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq | Op::IsDistinctFrom | Op::IsNotDistinctFrom
    )
}

const fn is_span(of: &DataType) -> bool {
    matches!(of, DataType::Interval(_))
}

/// A zone as functions take it, which is as statements write it: with offsets to the west.
fn name(zone: &str) -> Expr {
    let written = clock::posix_name(zone).unwrap_or_else(|| zone.to_owned());
    lit(ScalarValue::Utf8View(Some(written)))
}

/// The texts of dates, times or intervals in a session's zone; nothing when they are of another type.
pub(crate) fn texts_of_times(values: &ArrayRef, zone: &str) -> crate::Result<Option<StringViewArray>> {
    if !time_texts::is_time(values.data_type()) {
        return Ok(None);
    }
    let zone = written(&name(zone)).unwrap_or_default().to_owned();
    let zones = StringViewArray::from_iter_values(vec![zone; values.len()]);
    Ok(Some(time_texts::texts(values, &zones)?))
}

/// What a zone's clock shows at a moment, or the moment at which it shows that.
fn timezone(zone: &str, expr: Expr) -> Expr {
    datetime::timezone_scalar().udf().call(vec![name(zone), expr])
}

fn one(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Cast(of) => {
            let (from, to) = (of.expr.get_type(schema)?, of.field.data_type().clone());
            if let Some(whole) = time_texts::converted(&of.expr, &from, &to, &name(zone))? {
                return Ok(Transformed::yes(whole));
            }
            let inner = if zone == UTC { None } else { converted(*of.expr.clone(), &from, &to, zone) };
            Ok(match inner {
                Some(expr) => Transformed::yes(Expr::Cast(datafusion::logical_expr::Cast {
                    expr: Box::new(expr),
                    field: of.field,
                })),
                None => Transformed::no(Expr::Cast(of)),
            })
        }
        Expr::ScalarFunction(call)
            if call.name() == "date_part"
                && matches!(call.args[1].get_type(schema)?, DataType::Interval(_) | DataType::Duration(_)) =>
        {
            let mut args = call.args;
            args[0] = cast(args[0].clone(), DataType::Utf8View);
            Ok(Transformed::yes(datetime::part_scalar().udf().call(args)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if compares(op) && is_span(&left.get_type(schema)?) && is_span(&right.get_type(schema)?) =>
        {
            let length = |span: Expr| interval::length().udf().call(vec![span]);
            Ok(Transformed::yes(binary_expr(length(*left), op, length(*right))))
        }
        Expr::Between(Between { expr, negated, low, high }) if is_span(&expr.get_type(schema)?) => {
            let length = |span: Box<Expr>| Box::new(interval::length().udf().call(vec![*span]));
            let (expr, low, high) = (length(expr), length(low), length(high));
            Ok(Transformed::yes(Expr::Between(Between { expr, negated, low, high })))
        }
        other if zone == UTC => Ok(Transformed::no(other)),
        Expr::ScalarFunction(call) => called(call, schema, zone),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus), right }) => {
            let (of_left, of_right) = (left.get_type(schema)?, right.get_type(schema)?);
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

/// What is cast when a cast between two types looks at a zone's clock; nothing where no zone counts.
fn converted(expr: Expr, from: &DataType, to: &DataType, zone: &str) -> Option<Expr> {
    use DataType as T;
    match (from, to) {
        (T::Timestamp(_, Some(_)), T::Timestamp(_, None) | T::Date32 | T::Date64 | T::Time32(_) | T::Time64(_)) => {
            Some(timezone(zone, expr))
        }
        (T::Timestamp(_, None) | T::Date32 | T::Date64, T::Timestamp(unit, Some(_))) => {
            Some(timezone(zone, cast(expr, T::Timestamp(*unit, None))))
        }
        _ => None,
    }
}

/// The text of a constant, which may be cast to another type of texts.
fn constant(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Cast(of) if of.field.data_type().is_string() => written(&of.expr),
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
        (from_char::TO_TIMESTAMP, [_, _]) => {
            call.args.push(name(zone));
            done(from_char::to_timestamp().udf().call(call.args))
        }
        (
            "to_json" | "to_jsonb" | "json_build_array" | "jsonb_build_array" | "json_build_object"
            | "jsonb_build_object" | "json_pair",
            args,
        ) if args.contains(&true) => {
            let args = call.args.into_iter().zip(moments);
            let zone: Arc<str> = Arc::from(zone);
            let in_zone = |arg| cast(arg, DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::clone(&zone))));
            call.args = args.map(|(arg, moment)| if moment { in_zone(arg) } else { arg }).collect();
            done(Expr::ScalarFunction(call))
        }
        (series::NAME, [true, _, _]) => {
            call.args.push(name(zone));
            done(series::zoned().udf().call(call.args))
        }
        ("make_timestamptz", args) if args.len() == 6 => {
            call.args.push(name(zone));
            done(make::make_moment().udf().call(call.args))
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
