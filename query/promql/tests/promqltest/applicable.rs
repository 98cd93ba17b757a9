//! Which cases the engine of this version has to pass.

use chronolith_promql::{
    ast::{Expr, Extension, VectorSelector},
    parse,
};

use crate::{memory::Memory, script::Eval};

/// Functions that the engine refuses by name.
const REFUSED: [&str; 2] = ["info", "start_timestamp"];

/// What the series loaded so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loaded {
    /// Floats.
    Floats,
    /// Classic histograms, and the native ones that upstream makes of them.
    Converted,
    /// Native histograms, or start timestamps.
    Native,
}

/// Whether the case needs only what the engine has: no native histograms, no `anchored`, `smoothed`, `fill`, `info`.
pub(crate) fn is_applicable(eval: &Eval, loaded: Loaded, memory: &Memory) -> bool {
    if loaded == Loaded::Native || eval.values.iter().any(|l| l.contains("{{")) {
        return false;
    }
    parse(&eval.expr).map_or(true, |expr| has_all(&expr, loaded, memory))
}

fn has_all(expr: &Expr, loaded: Loaded, memory: &Memory) -> bool {
    let all = |e: &Expr| has_all(e, loaded, memory);
    // Native histograms that upstream converts have a name that no float series has.
    let selector = |s: &VectorSelector| {
        let classic = s.name.as_deref().is_some_and(|n| memory.has_metric(n));
        s.extension == Extension::None && (loaded == Loaded::Floats || classic)
    };
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(s) => selector(s),
        Expr::Matrix(m) => selector(&m.selector),
        Expr::Subquery(s) => all(&s.expr),
        Expr::Call(c) => !REFUSED.contains(&c.func.name) && c.args.iter().all(all),
        Expr::Aggregate(a) => all(&a.expr) && a.param.as_deref().is_none_or(all),
        Expr::Binary(b) => {
            let fills = b.matching.as_ref().is_some_and(|m| m.fill_left.is_some() || m.fill_right.is_some());
            !fills && all(&b.lhs) && all(&b.rhs)
        }
        Expr::Unary(u) => all(&u.expr),
        Expr::Paren(p) => all(&p.expr),
    }
}
