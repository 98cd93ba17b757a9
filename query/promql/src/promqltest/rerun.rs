//! Runs an instant case again: with its own time as `@` at other times, and as the middle of a range query.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    report::{Failure, When},
    run::{Mismatch, Query, Runner, failure},
    values,
};
use crate::{
    ast::{AtModifier, Expr},
    engine::{InstantSample, QueryOutput, QueryValue, SampleValue},
    functions::depends_on_time,
    parse,
};

/// Calls that stand for other values in a range query.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant that a test compiles")]
static QUERY_TIMES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(start|end|range|step)\(\)").unwrap());

/// Evaluates at other times with every selector fixed to the case's own time.
pub(super) fn at_other_times(runner: &Runner<'_>, at: i64) -> Result<(), Box<Failure>> {
    let mut fixed = runner.eval.expr.clone();
    if !fix(&mut fixed, at) {
        return Ok(());
    }
    // As Prometheus does, the fixed expression is printed and read again.
    let text = fixed.to_string();
    let expr = parse(&text).map_err(|e| {
        let query = Query { text: &text, expr: &fixed, is_rerun: true };
        let reason = "the printed expression cannot be parsed".to_owned();
        failure(&query, When::Instant(at), true, Mismatch { reason, wanted: text.clone(), got: e.to_string() })
    })?;
    let query = Query { text: &text, expr: &expr, is_rerun: true };
    let times: &[i64] = if at == 0 { &[-1000, 0, 1000] } else { &[-10 * at, 0, at / 5, at, 10 * at] };
    times.iter().try_for_each(|t| runner.instant(&query, *t))
}

/// Sets `@` on every selector and outermost subquery without a fixed time; false when a function outside of subqueries
/// depends on time.
fn fix(expr: &mut Expr, at: i64) -> bool {
    let set = |modifier: &mut Option<AtModifier>| {
        if !matches!(modifier, Some(AtModifier::Timestamp(_))) {
            *modifier = Some(AtModifier::Timestamp(at));
        }
        true
    };
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(s) => set(&mut s.at),
        Expr::Matrix(m) => set(&mut m.selector.at),
        // What is below it is relative to its time.
        Expr::Subquery(s) => set(&mut s.at),
        Expr::Call(c) => !depends_on_time(c.func.name) && c.args.iter_mut().all(|a| fix(a, at)),
        Expr::Aggregate(a) => fix(&mut a.expr, at) && a.param.as_deref_mut().is_none_or(|p| fix(p, at)),
        Expr::Binary(b) => fix(&mut b.lhs, at) && fix(&mut b.rhs, at),
        Expr::Unary(u) => fix(&mut u.expr, at),
        Expr::Paren(p) => fix(&mut p.expr, at),
    }
}

/// Evaluates a minute around the time as well and compares the middle, where a range query can give the same value.
pub(super) fn in_range(
    runner: &Runner<'_>,
    query: &Query<'_>,
    at: i64,
    output: &QueryOutput,
) -> Result<(), Box<Failure>> {
    let expected = &runner.eval.expected;
    if expected.instant_only || QUERY_TIMES.is_match(query.text) {
        return Ok(());
    }
    let when = When::Range { start: at - 60_000, end: at + 60_000, step: 60_000 };
    let differs = |mismatch| failure(query, when, true, mismatch);
    let series = match runner.evaluate(query.expr, when) {
        Ok(QueryOutput { value: QueryValue::Matrix(series), .. }) => series,
        Ok(other) => {
            let got = values::text(&other.value);
            let reason = "a range query gave no matrix".to_owned();
            return Err(differs(Mismatch { reason, wanted: "a matrix".to_owned(), got }));
        }
        Err(e) => {
            let reason = "evaluation failed in a range query".to_owned();
            return Err(differs(Mismatch { reason, wanted: "a value".to_owned(), got: e.to_string() }));
        }
    };
    // A matrix is sorted by labels, whatever the order of the vector.
    if expected.ordered {
        return Ok(());
    }
    values::check_sorted(&series).map_err(differs)?;
    let samples = series.into_iter().filter_map(|s| {
        let float = s.timestamps.iter().zip(&s.values).find(|(t, _)| **t == at).map(|(_, v)| SampleValue::Float(*v));
        let histogram = || s.histograms.iter().find(|(t, _)| *t == at).map(|(_, h)| SampleValue::Histogram(h.clone()));
        Some(InstantSample { value: float.or_else(histogram)?, labels: s.labels })
    });
    let samples: Vec<InstantSample> = samples.collect();
    let middle = match (&output.value, samples.as_slice()) {
        (QueryValue::Scalar { .. }, [InstantSample { value: SampleValue::Float(value), .. }]) => {
            QueryValue::Scalar { timestamp: at, value: *value }
        }
        _ => QueryValue::Vector { timestamp: at, samples },
    };
    values::check(runner.eval, &middle).map_err(differs)
}
