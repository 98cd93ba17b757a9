//! Duration expressions: `[step() * 2]`, `offset (range() - 1h)`. They are resolved before the evaluation begins.

use super::error::{QueryError, Result};
use crate::ast::{BinaryOp, DurationExpr, PosRange};

/// The times of the query that duration expressions can ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueryTimes {
    pub(super) start: i64,
    pub(super) end: i64,
    /// 0 for an instant query.
    pub(super) step: i64,
}

/// A duration longer than this in seconds does not fit the nanoseconds of Prometheus.
const MAX_SECONDS: f64 = 9_223_372_036.854_775;

/// The length of a range or of a subquery's step in milliseconds.
pub(super) fn positive_ms(expr: &DurationExpr, times: QueryTimes) -> Result<i64> {
    let seconds = checked(expr, times)?;
    if seconds <= 0.0 {
        return Err(fail(expr, "duration must be greater than 0"));
    }
    Ok((seconds * 1000.0) as i64)
}

/// An offset in milliseconds.
pub(super) fn signed_ms(expr: &DurationExpr, times: QueryTimes) -> Result<i64> {
    Ok((checked(expr, times)? * 1000.0) as i64)
}

fn checked(expr: &DurationExpr, times: QueryTimes) -> Result<f64> {
    let seconds = seconds(expr, times)?;
    if !seconds.is_finite() {
        return Err(fail(expr, "duration is NaN or infinite"));
    }
    if seconds.abs() > MAX_SECONDS {
        return Err(fail(expr, "duration is out of range"));
    }
    Ok(seconds)
}

fn seconds(expr: &DurationExpr, times: QueryTimes) -> Result<f64> {
    Ok(match expr {
        DurationExpr::Literal(n) => n.value,
        DurationExpr::Step(_) => times.step as f64 / 1000.0,
        DurationExpr::Range(_) => times.end.saturating_sub(times.start) as f64 / 1000.0,
        DurationExpr::MinOf(a, b, _) => super::functions::math::go_min(seconds(a, times)?, seconds(b, times)?),
        DurationExpr::MaxOf(a, b, _) => super::functions::math::go_max(seconds(a, times)?, seconds(b, times)?),
        DurationExpr::Unary { negative, expr, .. } => {
            let v = seconds(expr, times)?;
            if *negative { -v } else { v }
        }
        DurationExpr::Paren(inner, _) => seconds(inner, times)?,
        DurationExpr::Binary { op, lhs, rhs } => {
            let (l, r) = (seconds(lhs, times)?, seconds(rhs, times)?);
            match op {
                BinaryOp::Add => l + r,
                BinaryOp::Sub => l - r,
                BinaryOp::Mul => l * r,
                BinaryOp::Div if r == 0.0 => return Err(fail(expr, "division by zero")),
                BinaryOp::Div => l / r,
                BinaryOp::Mod if r == 0.0 => return Err(fail(expr, "modulo by zero")),
                BinaryOp::Mod => l % r,
                BinaryOp::Pow => super::functions::power::power(l, r),
                _ => return Err(fail(expr, "unexpected duration expression operator")),
            }
        }
    })
}

fn fail(expr: &DurationExpr, why: &str) -> QueryError {
    let pos = span(expr);
    // The query makes no sense, whatever the data: it is refused before it is evaluated.
    QueryError::BadData(format!("{}:{}: {why}", pos.start, pos.end))
}

/// Where a duration expression stands, as Prometheus tells it: from its first operand to its last. Parentheses count
/// only before a number.
fn span(expr: &DurationExpr) -> PosRange {
    match expr {
        DurationExpr::Literal(n) => n.pos,
        DurationExpr::Step(p) | DurationExpr::Range(p) => *p,
        DurationExpr::Paren(inner, p) => match &**inner {
            DurationExpr::Literal(n) => PosRange { start: p.start, end: n.pos.end },
            inner => span(inner),
        },
        DurationExpr::MinOf(a, b, _) | DurationExpr::MaxOf(a, b, _) => {
            PosRange { start: span(a).start, end: span(b).end }
        }
        DurationExpr::Binary { lhs, rhs, .. } => PosRange { start: span(lhs).start, end: span(rhs).end },
        DurationExpr::Unary { expr, pos, .. } => PosRange { start: pos.start, end: span(expr).end },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::NumberLiteral;

    fn literal(value: f64) -> Box<DurationExpr> {
        Box::new(DurationExpr::Literal(NumberLiteral { value, is_duration: true, pos: PosRange::default() }))
    }

    const TIMES: QueryTimes = QueryTimes { start: 0, end: 600_000, step: 15_000 };

    #[test]
    fn step_and_range_are_those_of_the_query() {
        let twice = DurationExpr::Binary {
            op: BinaryOp::Mul,
            lhs: Box::new(DurationExpr::Step(PosRange::default())),
            rhs: literal(2.0),
        };
        assert_eq!(positive_ms(&twice, TIMES).unwrap(), 30_000);
        let half = DurationExpr::Binary {
            op: BinaryOp::Div,
            lhs: Box::new(DurationExpr::Range(PosRange::default())),
            rhs: literal(2.0),
        };
        assert_eq!(signed_ms(&half, TIMES).unwrap(), 300_000);
    }

    #[test]
    fn failures_tell_the_place_as_prometheus_does() {
        let place = |query: &str| match crate::parse(query).unwrap() {
            crate::ast::Expr::Vector(s) => signed_ms(s.offset_expr.as_ref().unwrap(), TIMES).unwrap_err().to_string(),
            _ => String::new(),
        };
        assert_eq!(place("m offset (step()^1000)"), "10:21: duration is NaN or infinite");
        assert_eq!(place("m offset ((7) + step()^1000)"), "10:27: duration is NaN or infinite");
        assert_eq!(place("m offset min_of(step()^1000, step()^999)"), "16:39: duration is NaN or infinite");
    }

    #[test]
    fn nonsense_is_refused() {
        let zero = DurationExpr::Binary { op: BinaryOp::Sub, lhs: literal(1.0), rhs: literal(1.0) };
        assert_eq!(positive_ms(&zero, TIMES).unwrap_err().to_string(), "0:0: duration must be greater than 0");
        assert_eq!(signed_ms(&zero, TIMES).unwrap(), 0);
        let by_zero = DurationExpr::Binary { op: BinaryOp::Div, lhs: literal(1.0), rhs: literal(0.0) };
        assert!(positive_ms(&by_zero, TIMES).unwrap_err().to_string().contains("division by zero"));
        let huge = DurationExpr::Binary { op: BinaryOp::Pow, lhs: literal(10.0), rhs: literal(30.0) };
        assert!(positive_ms(&huge, TIMES).unwrap_err().to_string().contains("out of range"));
        let nan = DurationExpr::Binary { op: BinaryOp::Pow, lhs: literal(-1.0), rhs: literal(0.5) };
        assert!(signed_ms(&nan, TIMES).unwrap_err().to_string().contains("NaN or infinite"));
    }
}
