//! Deep expressions are evaluated on a thread with a large stack: an embedder's thread may have 2 MiB, and running out of
//! stack ends the process.

use super::error::{QueryError, Result};
use crate::ast::{DurationExpr, Expr};

/// Levels that any thread's stack has room for.
const SHALLOW: usize = 24;
/// Enough for the deepest tree that the parser makes, also without optimisation. Only what is touched takes memory.
const STACK_BYTES: usize = 64 << 20;

/// Runs the evaluation of an expression where it has room.
pub(super) fn with_room_for<R: Send>(expr: &Expr, work: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    if depth(expr) <= SHALLOW {
        return work();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("promql-deep".to_owned()).stack_size(STACK_BYTES);
        let internal = |reason: String| QueryError::Internal(format!("a deep expression needs a thread: {reason}"));
        let running = thread.spawn_scoped(scope, work).map_err(|e| internal(e.to_string()))?;
        running.join().map_err(|_| internal("it panicked".to_owned()))?
    })
}

/// Height of the tree. Its own recursion is bounded by the parser and takes little stack a level.
fn depth(expr: &Expr) -> usize {
    let children: &[&Expr] = match expr {
        Expr::Number(_) | Expr::String(_) => &[],
        Expr::Vector(v) => return 1 + v.offset_expr.as_ref().map_or(0, duration_depth),
        Expr::Matrix(m) => {
            let offset = m.selector.offset_expr.as_ref().map_or(0, duration_depth);
            return 1 + offset.max(m.range_expr.as_ref().map_or(0, duration_depth));
        }
        Expr::Subquery(s) => {
            let durations = [&s.range_expr, &s.step_expr, &s.offset_expr];
            let deepest = durations.into_iter().flatten().map(duration_depth).max().unwrap_or(0);
            return 1 + deepest.max(depth(&s.expr));
        }
        Expr::Call(c) => return 1 + c.args.iter().map(depth).max().unwrap_or(0),
        Expr::Aggregate(a) => return 1 + depth(&a.expr).max(a.param.as_deref().map_or(0, depth)),
        Expr::Binary(b) => &[&b.lhs, &b.rhs],
        Expr::Unary(u) => &[&u.expr],
        Expr::Paren(p) => &[&p.expr],
    };
    1 + children.iter().map(|e| depth(e)).max().unwrap_or(0)
}

fn duration_depth(duration: &DurationExpr) -> usize {
    match duration {
        DurationExpr::Literal(_) | DurationExpr::Step(_) | DurationExpr::Range(_) => 1,
        DurationExpr::MinOf(a, b, _) | DurationExpr::MaxOf(a, b, _) => 1 + duration_depth(a).max(duration_depth(b)),
        DurationExpr::Binary { lhs, rhs, .. } => 1 + duration_depth(lhs).max(duration_depth(rhs)),
        DurationExpr::Unary { expr, .. } | DurationExpr::Paren(expr, _) => 1 + duration_depth(expr),
    }
}
