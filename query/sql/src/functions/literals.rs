//! Dates and times written as text: in the ways that PostgreSQL reads and Arrow does not.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use chrono_tz::Tz;
use datafusion::{
    common::{
        Result, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    config::ConfigOptions,
    logical_expr::{Expr, LogicalPlan, expr_rewriter::NamePreserver},
    optimizer::AnalyzerRule,
};

use super::{
    casts::named,
    times::{Zone, from_naive},
};
use arrow::datatypes::{DataType, TimeUnit};

/// Reads constants that are cast to times: `'2024-01-31 10:00'`, `'today'`.
#[derive(Debug)]
pub(super) struct TimeLiterals;

impl AnalyzerRule for TimeLiterals {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let read = |plan: LogicalPlan| {
            // Columns keep the names that they have by their text.
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| named(&names, expr, |expr| expr.transform_up(literal)))
        };
        plan.transform_up_with_subqueries(read).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "time_literals"
    }
}

fn literal(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::Cast(cast) = &expr else { return Ok(Transformed::no(expr)) };
    let read = written(&cast.expr).and_then(|text| value(text, cast.field.data_type(), Zone::Place(Tz::UTC)));
    // What is not read here is left to Arrow, and to its errors.
    Ok(match read {
        Some(value) => Transformed::yes(Expr::Literal(value, None)),
        None => Transformed::no(expr),
    })
}

/// The text of a constant.
pub(super) fn written(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => Some(text),
        _ => None,
    }
}

/// The time of a type that a text names in a zone.
pub(super) fn value(text: &str, of: &DataType, zone: Zone) -> Option<ScalarValue> {
    match of {
        DataType::Timestamp(unit, to) => timestamp(parse(text, zone, to.is_some())?, *unit, to.clone()),
        DataType::Date32 => {
            let days = parse(text, zone, false)?.date().signed_duration_since(NaiveDate::default()).num_days();
            i32::try_from(days).ok().map(|days| ScalarValue::Date32(Some(days)))
        }
        _ => None,
    }
}

fn timestamp(time: NaiveDateTime, unit: TimeUnit, zone: Option<std::sync::Arc<str>>) -> Option<ScalarValue> {
    let value = Some(from_naive(time, unit)?);
    Some(match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(value, zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(value, zone),
        TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(value, zone),
        TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(value, zone),
    })
}

/// What a text names: a moment, in UTC, or what the clock of the zone shows then. A text without a zone is of this one.
fn parse(text: &str, zone: Zone, moment: bool) -> Option<NaiveDateTime> {
    let text = text.trim();
    let shown = |local: NaiveDateTime| if moment { zone.utc(local) } else { Some(local) };
    let now = zone.local(Utc::now().naive_utc())?;
    let midnight = |days: i64| {
        let day = now.date().checked_add_signed(chrono::TimeDelta::try_days(days)?)?;
        shown(day.and_time(NaiveTime::MIN))
    };
    match text.to_ascii_lowercase().as_str() {
        "now" => return shown(now.with_nanosecond(0)?),
        "today" => return midnight(0),
        "tomorrow" => return midnight(1),
        "yesterday" => return midnight(-1),
        "epoch" => return Some(NaiveDateTime::default()),
        _ => {}
    }
    let (date, rest) = text.split_at_checked(text.find([' ', 'T']).unwrap_or(text.len()))?;
    let mut parts = date.split('-').map(|part| {
        let digits = !part.is_empty() && part.len() <= 6 && part.bytes().all(|b| b.is_ascii_digit());
        if digits { part.parse::<i32>().ok() } else { None }
    });
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)?;
    let rest = rest.get(1..).unwrap_or_default().trim();
    if rest.is_empty() {
        return shown(date.and_time(NaiveTime::MIN));
    }
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.'))).unwrap_or(rest.len());
    let (clock, suffix) = rest.split_at(end);
    let time = ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(clock, form).ok())?;
    let local = date.and_time(time);
    if suffix.trim().is_empty() { shown(local) } else { Zone::known(suffix)?.utc(local) }
}
