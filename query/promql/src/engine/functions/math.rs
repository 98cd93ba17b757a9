//! Functions of one number, with the corner cases of Go's `math`, which PromQL's results follow.

use super::power::power;
use crate::{
    ast::BinaryOp,
    engine::grid::{ABSENT, is_absent},
};

/// Applies `f` to each value that is there.
pub(in crate::engine) fn map(column: &mut [f64], f: impl Fn(f64) -> f64) {
    for v in column {
        if !is_absent(*v) {
            *v = present(f(*v));
        }
    }
}

/// A result that must not look absent, even where a sign was taken off a strange NaN.
#[inline]
pub(super) fn present(v: f64) -> f64 {
    if is_absent(v) { f64::NAN } else { v }
}

/// The function of one number with that name, if there is one.
pub(in crate::engine) fn simple(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => f64::acosh,
        "asin" => f64::asin,
        "asinh" => f64::asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        "deg" => |v| v * 180.0 / std::f64::consts::PI,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "rad" => |v| v * std::f64::consts::PI / 180.0,
        "sgn" => |v| {
            if v < 0.0 {
                -1.0
            } else if v > 0.0 {
                1.0
            } else {
                v
            }
        },
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

/// Go's `math.Max`: NaN wins over everything but +Inf.
pub(in crate::engine) fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// Go's `math.Min`: NaN wins over everything but -Inf.
pub(in crate::engine) fn go_min(a: f64, b: f64) -> f64 {
    -go_max(-a, -b)
}

/// Rounds to a multiple of `nearest`, halves up.
pub(in crate::engine) fn round(v: f64, nearest: f64) -> f64 {
    // By the inverse there is less error.
    let inverse = 1.0 / nearest;
    (v * inverse + 0.5).floor() / inverse
}

/// An arithmetic operator on two numbers; comparisons give the left side where they hold, and [`ABSENT`] where not.
#[inline(always)]
pub(in crate::engine) fn operate(op: BinaryOp, l: f64, r: f64) -> f64 {
    let keep = |holds: bool| if holds { l } else { ABSENT };
    match op {
        BinaryOp::Add => l + r,
        BinaryOp::Sub => l - r,
        BinaryOp::Mul => l * r,
        BinaryOp::Div => l / r,
        BinaryOp::Mod => l % r,
        BinaryOp::Pow => power(l, r),
        BinaryOp::Atan2 => l.atan2(r),
        BinaryOp::Eql => keep(l == r),
        BinaryOp::Neq => keep(l != r),
        BinaryOp::Gtr => keep(l > r),
        BinaryOp::Lss => keep(l < r),
        BinaryOp::Gte => keep(l >= r),
        BinaryOp::Lte => keep(l <= r),
        // They cut histograms; a float has nothing to cut.
        BinaryOp::TrimUpper | BinaryOp::TrimLower => ABSENT,
        // Sets are made of series, not of numbers; the parser lets no number in.
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => ABSENT,
    }
}

/// Whether the operator compares.
pub(in crate::engine) const fn is_comparison(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Eql | BinaryOp::Neq | BinaryOp::Gtr | BinaryOp::Lss | BinaryOp::Gte | BinaryOp::Lte)
}

/// Whether the result of the operator is another metric than its left side.
pub(in crate::engine) const fn changes_metric(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Mul | Div | Mod | Pow | Atan2)
}

/// The operator as it is written.
pub(in crate::engine) const fn operator_text(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Mod => "%",
        BinaryOp::Pow => "^",
        BinaryOp::Atan2 => "atan2",
        BinaryOp::Eql => "==",
        BinaryOp::Neq => "!=",
        BinaryOp::Gtr => ">",
        BinaryOp::Lss => "<",
        BinaryOp::Gte => ">=",
        BinaryOp::Lte => "<=",
        BinaryOp::TrimUpper => "</",
        BinaryOp::TrimLower => ">/",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
        BinaryOp::Unless => "unless",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corner_cases_are_those_of_go() {
        assert!(go_max(f64::NAN, 1.0).is_nan());
        assert_eq!(go_max(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert_eq!(go_min(f64::NEG_INFINITY, f64::NAN), f64::NEG_INFINITY);
        assert_eq!(go_min(3.0, 2.0), 2.0);
        assert_eq!(operate(BinaryOp::Mod, -5.0, 3.0), -2.0);
        assert_eq!(round(2.5, 1.0), 3.0);
        assert_eq!(round(-2.5, 1.0), -2.0);
        assert_eq!(round(117.0, 10.0), 120.0);
        assert!(is_absent(operate(BinaryOp::Gtr, 1.0, 2.0)));
    }

    #[test]
    fn absent_values_stay_absent_and_no_other_becomes_so() {
        let mut column = [ABSENT, -ABSENT, -4.0];
        map(&mut column, f64::abs);
        assert!(is_absent(column[0]));
        assert!(column[1].is_nan() && !is_absent(column[1]));
        assert_eq!(column[2], 4.0);
    }
}
