//! Runs an instant case again: with `@` its own time at other times, and as the middle of a range query.

use chronolith_promql::{
    ast::{AtModifier, Expr},
    engine::{self, InstantSample, QueryOptions, QueryValue, SampleValue},
    parse,
};
use regex::Regex;

use crate::{
    check,
    memory::Memory,
    script::{Eval, Expect, When},
};

/// Functions that depend on the time of evaluation.
const UNSAFE: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "end",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
    "year",
];

/// Runs all reruns of a case; tells how many there were.
pub(crate) fn run(eval: &Eval, memory: &Memory, options: &QueryOptions) -> Result<usize, String> {
    let When::Instant(at) = eval.when else { return Ok(0) };
    let Ok(expr) = parse(&eval.expr) else { return Ok(0) };
    let mut runs = vec![(eval.expr.clone(), at)];
    let mut fixed = expr;
    if fix(&mut fixed, at) {
        let text = fixed.to_string();
        let times = if at == 0 { vec![-1000, 0, 1000] } else { vec![-10 * at, 0, at / 5, at, 10 * at] };
        runs.extend(times.into_iter().map(|t| (text.clone(), t)));
    }
    let mut count = 0;
    for (text, at) in runs {
        let expr = parse(&text).map_err(|e| format!("printed as {text:?}: {e}"))?;
        let output = check::run_at(eval, (&text, &expr), at, memory, options)
            .map_err(|e| format!("as {text:?} at {at}: {e}"))?;
        count += 1;
        if let Some(output) = output
            && in_range(eval, &text, &expr, at, memory, options, &output.value)
                .map_err(|e| format!("as {text:?} in a range around {at}: {e}"))?
        {
            count += 1;
        }
    }
    Ok(count)
}

/// Sets `@` on every selector and outermost subquery that has none; false when a function depends on time.
fn fix(expr: &mut Expr, at: i64) -> bool {
    let set = |modifier: &mut Option<AtModifier>| {
        modifier.get_or_insert(AtModifier::Timestamp(at));
    };
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(s) => {
            set(&mut s.at);
            true
        }
        Expr::Matrix(m) => {
            set(&mut m.selector.at);
            true
        }
        // What is below it is relative to its time; a function that depends on time is still found.
        Expr::Subquery(s) => {
            set(&mut s.at);
            !depends_on_time(&s.expr)
        }
        Expr::Call(c) => !UNSAFE.contains(&c.func.name) && c.args.iter_mut().all(|a| fix(a, at)),
        Expr::Aggregate(a) => fix(&mut a.expr, at) && a.param.as_deref_mut().is_none_or(|p| fix(p, at)),
        Expr::Binary(b) => fix(&mut b.lhs, at) && fix(&mut b.rhs, at),
        Expr::Unary(u) => fix(&mut u.expr, at),
        Expr::Paren(p) => fix(&mut p.expr, at),
    }
}

fn depends_on_time(expr: &Expr) -> bool {
    !fix(&mut expr.clone(), 0)
}

/// Compares the middle step of a range query; false when the case does not allow that.
fn in_range(
    eval: &Eval,
    text: &str,
    expr: &Expr,
    at: i64,
    memory: &Memory,
    options: &QueryOptions,
    instant: &QueryValue,
) -> Result<bool, String> {
    let context = Regex::new(r"(start|end|range|step)\(\)").expect("a valid pattern");
    let excluded = matches!(instant, QueryValue::Matrix(_) | QueryValue::String { .. })
        || eval.expect.iter().any(|e| matches!(e, Expect::Matrix { .. } | Expect::String(_) | Expect::Ordered))
        || context.is_match(text);
    if excluded {
        return Ok(false);
    }
    let output = engine::range(memory, expr, at - 60_000, at + 60_000, 60_000, options).map_err(|e| e.to_string())?;
    let QueryValue::Matrix(series) = output.value else { return Err("not a matrix".to_owned()) };
    let samples: Vec<InstantSample> = series
        .into_iter()
        .filter_map(|s| {
            let i = s.timestamps.iter().position(|t| *t == at)?;
            Some(InstantSample { labels: s.labels, value: SampleValue::Float(s.values[i]) })
        })
        .collect();
    let value = match (instant, samples.as_slice()) {
        (QueryValue::Scalar { .. }, [InstantSample { value: SampleValue::Float(v), .. }]) => {
            QueryValue::Scalar { timestamp: at, value: *v }
        }
        _ => QueryValue::Vector { timestamp: at, samples },
    };
    check::value(eval, &value)?;
    Ok(true)
}
