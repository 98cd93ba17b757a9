//! Compares what the engine gives with what a case expects.

use chronolith_promql::{
    ast::Expr,
    engine::{
        self, Annotations, InstantSample, Level, QueryOptions, QueryOutput, QueryValue, RangeSeries, SampleValue,
    },
    parse,
};
use chronolith_storage::Labels;
use regex::Regex;

use crate::{
    memory::Memory,
    notation,
    script::{Eval, Expect, Text, When},
};

/// Runs a case as it stands.
pub(crate) fn run(eval: &Eval, memory: &Memory, options: &QueryOptions) -> Result<(), String> {
    let expr = match parse(&eval.expr) {
        Ok(expr) => expr,
        Err(e) => return failed(eval, &e.to_string()),
    };
    let result = match eval.when {
        When::Instant(at) => engine::instant(memory, &expr, at, options),
        When::Range { start, end, step } => engine::range(memory, &expr, start, end, step, options),
    };
    match result {
        Err(e) => failed(eval, &e.to_string()),
        Ok(_) if eval.fails().is_some() => Err("expected a failure, got none".to_owned()),
        Ok(output) => {
            annotations(eval, &eval.expr, &output.annotations)?;
            value(eval, &output.value)
        }
    }
}

/// Runs a case's expression, as changed, at another time.
pub(crate) fn run_at(
    eval: &Eval,
    (text, expr): (&str, &Expr),
    at: i64,
    memory: &Memory,
    options: &QueryOptions,
) -> Result<Option<QueryOutput>, String> {
    match engine::instant(memory, expr, at, options) {
        Err(e) => failed(eval, &e.to_string()).map(|()| None),
        Ok(_) if eval.fails().is_some() => Err("expected a failure, got none".to_owned()),
        Ok(output) => {
            annotations(eval, text, &output.annotations)?;
            value(eval, &output.value)?;
            Ok(Some(output))
        }
    }
}

fn failed(eval: &Eval, error: &str) -> Result<(), String> {
    match eval.fails() {
        None => Err(format!("failed: {error}")),
        Some(text) if fits(text, error) => Ok(()),
        Some(Text::Equal(want) | Text::Regex(want)) => Err(format!("failed with\n    {error}\n  wanted\n    {want}")),
        Some(Text::Any) => Ok(()),
    }
}

fn fits(text: &Text, found: &str) -> bool {
    match text {
        Text::Any => true,
        Text::Equal(want) => want == found,
        Text::Regex(want) => Regex::new(want).expect("a pattern of the suite").is_match(found),
    }
}

fn annotations(eval: &Eval, query: &str, found: &Annotations) -> Result<(), String> {
    for level in [Level::Warning, Level::Info] {
        let texts: Vec<String> = found.iter().filter(|a| a.level == level).map(|a| a.text(query)).collect();
        let wanted: Vec<&Text> = eval
            .expect
            .iter()
            .filter_map(|e| match (e, level) {
                (Expect::Warn(t), Level::Warning) | (Expect::Info(t), Level::Info) => Some(t),
                _ => None,
            })
            .collect();
        let none = if level == Level::Warning { Expect::NoWarn } else { Expect::NoInfo };
        if eval.expect.contains(&none) && !texts.is_empty() {
            return Err(format!("expected no {level:?}, got {texts:?}"));
        }
        let missing = wanted.iter().any(|w| !texts.iter().any(|t| fits(w, t)));
        let surplus = !wanted.is_empty() && texts.iter().any(|t| !wanted.iter().any(|w| fits(w, t)));
        if missing || surplus {
            let wanted: Vec<&str> = wanted
                .iter()
                .map(|t| match t {
                    Text::Any => "any",
                    Text::Equal(t) | Text::Regex(t) => t,
                })
                .collect();
            return Err(format!("expected {level:?} {wanted:?}, got {texts:?}"));
        }
    }
    Ok(())
}

/// Compares a value with the expected one.
pub(crate) fn value(eval: &Eval, found: &QueryValue) -> Result<(), String> {
    match found {
        QueryValue::Scalar { value, .. } => {
            let want = match eval.values.as_slice() {
                [one] => notation::number(one),
                _ => None,
            };
            let Some(want) = want else { return Err(format!("got the scalar {value}, wanted {:?}", eval.values)) };
            same(*value, want)
        }
        QueryValue::String { value, .. } => {
            let want = eval.expect.iter().find_map(|e| if let Expect::String(s) = e { Some(s) } else { None });
            match want.map(|w| parse(w)) {
                Some(Ok(Expr::String(s))) if s.value == *value => Ok(()),
                _ => Err(format!("got the string {value:?}, wanted {want:?}")),
            }
        }
        QueryValue::Vector { samples, .. } => vector(eval, samples),
        QueryValue::Matrix(series) => matrix(eval, series),
    }
}

fn expected(eval: &Eval) -> Vec<(Labels, Vec<Option<f64>>)> {
    eval.values
        .iter()
        .map(|line| {
            let (labels, rest) = notation::series(line);
            (labels, notation::points(rest))
        })
        .collect()
}

fn vector(eval: &Eval, samples: &[InstantSample]) -> Result<(), String> {
    let want = expected(eval);
    if eval.values.len() == 1 && notation::number(&eval.values[0]).is_some() {
        return Err("got a vector, wanted a scalar".to_owned());
    }
    let show = || format!("got {samples:?}\n  wanted {want:?}");
    if samples.len() != want.len() {
        return Err(show());
    }
    for (i, sample) in samples.iter().enumerate() {
        let Some(place) = want.iter().position(|(l, _)| *l == sample.labels) else { return Err(show()) };
        if eval.is_ordered() && place != i {
            return Err(format!("wrong order: {}", show()));
        }
        let SampleValue::Float(v) = sample.value else { return Err(show()) };
        match want[place].1.as_slice() {
            [Some(w)] => same(v, *w).map_err(|e| format!("{}: {e}", sample.labels))?,
            _ => return Err(show()),
        }
    }
    Ok(())
}

fn matrix(eval: &Eval, found: &[RangeSeries]) -> Result<(), String> {
    let times = eval.expect.iter().find_map(|e| match e {
        Expect::Matrix { start, step } => Some((*start, *step)),
        _ => None,
    });
    let (start, step) = match (times, eval.when) {
        (Some(times), _) => times,
        (None, When::Range { start, step, .. }) => (start, step),
        (None, When::Instant(_)) => return Err("got a matrix from an instant query".to_owned()),
    };
    if !found.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err("the matrix is not sorted".to_owned());
    }
    let mut want = expected(eval);
    want.retain(|(_, points)| points.iter().any(Option::is_some));
    if found.len() != want.len() {
        return Err(format!("got {found:?}\n  wanted {want:?}"));
    }
    for series in found {
        let Some((_, points)) = want.iter().find(|(l, _)| *l == series.labels) else {
            return Err(format!("unexpected {series:?}\n  wanted {want:?}"));
        };
        let want: Vec<(i64, f64)> =
            points.iter().enumerate().filter_map(|(i, v)| v.map(|v| (start + i as i64 * step, v))).collect();
        let got: Vec<(i64, f64)> = series.timestamps.iter().copied().zip(series.values.iter().copied()).collect();
        let times_fit = want.iter().map(|p| p.0).eq(got.iter().map(|p| p.0));
        if !times_fit || want.iter().zip(&got).any(|(w, g)| same(g.1, w.1).is_err()) {
            return Err(format!("{}: got {got:?}\n  wanted {want:?}", series.labels));
        }
    }
    Ok(())
}

/// Equal as Prometheus' tests take it: relative to the sum within 1e-6.
fn same(found: f64, want: f64) -> Result<(), String> {
    let sum = found.abs() + want.abs();
    let difference = (found - want).abs();
    let equal = found == want
        || (found.is_nan() && want.is_nan())
        || if found == 0.0 || want == 0.0 || sum < f64::MIN_POSITIVE {
            difference < 1e-6 * f64::MIN_POSITIVE
        } else {
            difference / sum.min(f64::MAX) < 1e-6
        };
    if equal { Ok(()) } else { Err(format!("got {found}, wanted {want}")) }
}
