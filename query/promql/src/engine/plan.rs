//! From the syntax tree to what is evaluated: times and durations resolved, parentheses gone, and each largest part
//! that is the same at every step marked, so that it is evaluated once.

use std::cell::Cell;

use chronolith_storage::Matcher;

use super::{
    QueryOptions,
    duration::{QueryTimes, positive_ms, signed_ms},
    error::Result,
};
use crate::{
    ast::{
        AggregateExpr, AggregateOp, AtModifier, BinaryExpr, BinaryOp, Call, DurationExpr, Expr, Extension,
        MatrixSelector, PosRange, StringLiteral, SubqueryExpr, ValueType, VectorMatching, VectorSelector,
    },
    functions::{Function, depends_on_time},
};

/// One node of the plan.
#[derive(Debug)]
pub(super) struct Node<'q> {
    pub(super) kind: Kind<'q>,
    /// The type of its value.
    pub(super) returns: ValueType,
    pub(super) pos: PosRange,
}

/// What a node does.
#[derive(Debug)]
pub(super) enum Kind<'q> {
    Number(f64),
    Text(&'q StringLiteral),
    Instant(Selector<'q>),
    Range(Range<'q>),
    Subquery(Box<Subquery<'q>>),
    Call {
        func: &'static Function,
        args: Vec<Node<'q>>,
    },
    Aggregate(Box<Aggregate<'q>>),
    Binary(Box<Binary<'q>>),
    Negate(Box<Node<'q>>),
    /// `+expr`: the value of `expr`, but neither a selector nor in its place.
    Plus(Box<Node<'q>>),
    /// The same value at every step.
    Invariant(Box<Node<'q>>),
}

/// Which series, and where in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selector<'q> {
    pub(super) matchers: &'q [Matcher],
    pub(super) shift: Shift,
    pub(super) extension: Extension,
    /// Whether only count and sum of histograms are asked for; see [`Surroundings`].
    pub(super) stats_only: bool,
}

/// `offset` and `@`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    pub(super) offset: i64,
    pub(super) at: Option<i64>,
}

impl Shift {
    /// The time that is looked at when `t` is evaluated.
    #[inline]
    pub(super) fn apply(&self, t: i64) -> i64 {
        self.at.unwrap_or(t).saturating_sub(self.offset)
    }
}

/// `metric[5m]`
#[derive(Debug, Clone, Copy)]
pub(super) struct Range<'q> {
    pub(super) selector: Selector<'q>,
    pub(super) range: i64,
}

/// `expr[1h:5m]`
#[derive(Debug)]
pub(super) struct Subquery<'q> {
    pub(super) expr: Node<'q>,
    pub(super) range: i64,
    pub(super) step: i64,
    pub(super) shift: Shift,
}

/// `sum by (job) (expr)`
#[derive(Debug)]
pub(super) struct Aggregate<'q> {
    pub(super) op: AggregateOp,
    pub(super) expr: Node<'q>,
    pub(super) param: Option<Node<'q>>,
    /// Sorted, each once.
    pub(super) grouping: Vec<&'q str>,
    pub(super) without: bool,
}

/// `lhs op rhs`
#[derive(Debug)]
pub(super) struct Binary<'q> {
    pub(super) op: BinaryOp,
    pub(super) lhs: Node<'q>,
    pub(super) rhs: Node<'q>,
    pub(super) matching: Option<&'q VectorMatching>,
    pub(super) return_bool: bool,
}

/// Builds the plan of a whole query.
pub(super) fn build<'q>(expr: &'q Expr, times: QueryTimes, options: &QueryOptions) -> Result<Node<'q>> {
    let planner = Planner { times, options, surroundings: Cell::default() };
    let built = planner.node(expr)?;
    Ok(if built.wrap { built.node.invariant() } else { built.node })
}

struct Planner<'o> {
    times: QueryTimes,
    options: &'o QueryOptions,
    surroundings: Cell<Surroundings>,
}

/// What stands around an expression and decides whether its selectors can leave the buckets of histograms behind.
///
/// As in Prometheus they do where `histogram_count`, `histogram_sum` or `histogram_avg` stands around and nothing that
/// needs buckets does. It is more than a way to save memory: the hints of such samples tell resets too, not only that
/// there was none, so that warnings about conflicting hints depend on it.
#[derive(Debug, Clone, Copy, Default)]
struct Surroundings {
    stats: bool,
    buckets: bool,
}

impl Surroundings {
    /// Inside of a call.
    fn call(self, function: &str) -> Self {
        match function {
            "histogram_count" | "histogram_sum" | "histogram_avg" => Self { stats: true, ..self },
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => Self { buckets: true, ..self },
            _ => self,
        }
    }

    /// Inside of what cannot do without buckets: operators that cut histograms, and subqueries, behind which resets are
    /// found by comparing buckets.
    const fn buckets(self) -> Self {
        Self { buckets: true, ..self }
    }
}

/// A node, whether its value is the same at every step, and whether it gains by being evaluated once.
struct Built<'q> {
    node: Node<'q>,
    invariant: bool,
    wrap: bool,
}

impl<'q> Node<'q> {
    fn invariant(self) -> Self {
        Self { returns: self.returns, pos: self.pos, kind: Kind::Invariant(Box::new(self)) }
    }
}

impl<'q> Built<'q> {
    fn finish(self) -> Node<'q> {
        if self.wrap { self.node.invariant() } else { self.node }
    }
}

impl Planner<'_> {
    /// Builds with other surroundings.
    fn inside<T>(&self, surroundings: Surroundings, build: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let outside = self.surroundings.replace(surroundings);
        let built = build(self);
        self.surroundings.set(outside);
        built
    }

    // Recursion is bounded by the depth of the tree, which the parser bounds.
    fn node<'q>(&self, expr: &'q Expr) -> Result<Built<'q>> {
        let leaf = |kind, returns, pos, invariant| Built { node: Node { kind, returns, pos }, invariant, wrap: false };
        Ok(match expr {
            Expr::Number(n) => leaf(Kind::Number(n.value), ValueType::Scalar, n.pos, true),
            Expr::String(s) => leaf(Kind::Text(s), ValueType::String, s.pos, true),
            Expr::Vector(s) => {
                let selector = self.selector(s)?;
                let invariant = selector.shift.at.is_some();
                let node = Node { kind: Kind::Instant(selector), returns: ValueType::Vector, pos: s.pos };
                Built { node, invariant, wrap: invariant }
            }
            Expr::Matrix(m) => {
                let range = self.range(m)?;
                leaf(Kind::Range(range), ValueType::Matrix, m.pos, range.selector.shift.at.is_some())
            }
            Expr::Subquery(s) => {
                let subquery = self.subquery(s)?;
                let invariant = subquery.shift.at.is_some();
                leaf(Kind::Subquery(Box::new(subquery)), ValueType::Matrix, s.pos, invariant)
            }
            Expr::Call(c) => self.call(c)?,
            Expr::Aggregate(a) => self.aggregate(a)?,
            Expr::Binary(b) => self.binary(b)?,
            Expr::Unary(u) => {
                let mut inner = self.node(&u.expr)?;
                let signed = if u.negative { Kind::Negate } else { Kind::Plus };
                let returns = inner.node.returns;
                inner.node = Node { kind: signed(Box::new(inner.node)), returns, pos: u.pos };
                inner
            }
            Expr::Paren(p) => self.node(&p.expr)?,
        })
    }

    fn at(&self, at: Option<AtModifier>) -> Option<i64> {
        at.map(|a| match a {
            AtModifier::Timestamp(t) => t,
            AtModifier::Start => self.times.start,
            AtModifier::End => self.times.end,
        })
    }

    fn offset(&self, ms: i64, expr: Option<&DurationExpr>) -> Result<i64> {
        expr.map_or(Ok(ms), |e| signed_ms(e, self.times))
    }

    fn length(&self, ms: i64, expr: Option<&DurationExpr>) -> Result<i64> {
        expr.map_or(Ok(ms), |e| positive_ms(e, self.times))
    }

    fn selector<'q>(&self, s: &'q VectorSelector) -> Result<Selector<'q>> {
        let shift = Shift { offset: self.offset(s.offset_ms, s.offset_expr.as_ref())?, at: self.at(s.at) };
        let Surroundings { stats, buckets } = self.surroundings.get();
        Ok(Selector { matchers: &s.matchers, shift, extension: s.extension, stats_only: stats && !buckets })
    }

    fn range<'q>(&self, m: &'q MatrixSelector) -> Result<Range<'q>> {
        let range = self.length(m.range_ms, m.range_expr.as_ref())?;
        Ok(Range { selector: self.selector(&m.selector)?, range })
    }

    fn subquery<'q>(&self, s: &'q SubqueryExpr) -> Result<Subquery<'q>> {
        let inner = self.inside(self.surroundings.get().buckets(), |p| p.node(&s.expr))?;
        // As in Prometheus a number inside is wrapped too: wrapping decides nothing but where it is evaluated.
        let expr = if inner.invariant { inner.node.invariant() } else { inner.node };
        let step = match self.length(s.step_ms, s.step_expr.as_ref())? {
            0 => self.options.default_subquery_step_ms,
            step => step,
        };
        Ok(Subquery {
            expr,
            range: self.length(s.range_ms, s.range_expr.as_ref())?,
            step: step.max(1),
            shift: Shift { offset: self.offset(s.offset_ms, s.offset_expr.as_ref())?, at: self.at(s.at) },
        })
    }

    fn call<'q>(&self, c: &'q Call) -> Result<Built<'q>> {
        let name = c.func.name;
        if let Some(value) = self.query_context(name) {
            let node = Node { kind: Kind::Number(value), returns: ValueType::Scalar, pos: c.pos };
            return Ok(Built { node, invariant: true, wrap: false });
        }
        let args = self.inside(self.surroundings.get().call(name), |p| {
            c.args.iter().map(|a| p.node(a)).collect::<Result<Vec<_>>>()
        })?;
        let all_invariant = args.iter().all(|a| a.invariant);
        // The timestamp of a sample found by a fixed selector does not change, that of a computed value does.
        let fixed_timestamp =
            name == "timestamp" && all_invariant && args.iter().all(|a| matches!(a.node.kind, Kind::Instant(_)));
        let invariant = all_invariant && (fixed_timestamp || !depends_on_time(name));
        let args = args.into_iter().map(|a| if invariant { a.node } else { a.finish() }).collect();
        let node = Node { kind: Kind::Call { func: c.func, args }, returns: c.func.returns, pos: c.pos };
        Ok(Built { node, invariant, wrap: invariant })
    }

    /// The functions that ask for the query's own times are numbers.
    fn query_context(&self, name: &str) -> Option<f64> {
        let QueryTimes { start, end, step } = self.times;
        match name {
            "start" => Some(start as f64 / 1000.0),
            "end" => Some(end as f64 / 1000.0),
            "range" => Some(end.saturating_sub(start) as f64 / 1000.0),
            "step" if start == end => Some(0.0),
            "step" => Some(step as f64 / 1000.0),
            _ => None,
        }
    }

    fn aggregate<'q>(&self, a: &'q AggregateExpr) -> Result<Built<'q>> {
        let expr = self.node(&a.expr)?;
        let param = a.param.as_deref().map(|p| self.node(p)).transpose()?;
        let invariant = expr.invariant && param.as_ref().is_none_or(|p| p.invariant);
        let mut grouping: Vec<&str> = a.grouping.iter().map(String::as_str).collect();
        grouping.sort_unstable();
        grouping.dedup();
        let unwrapped = |b: Built<'q>| if invariant { b.node } else { b.finish() };
        let aggregate =
            Aggregate { op: a.op, expr: unwrapped(expr), param: param.map(unwrapped), grouping, without: a.without };
        let node = Node { kind: Kind::Aggregate(Box::new(aggregate)), returns: ValueType::Vector, pos: a.pos };
        Ok(Built { node, invariant, wrap: invariant })
    }

    fn binary<'q>(&self, b: &'q BinaryExpr) -> Result<Built<'q>> {
        let surroundings = match b.op {
            BinaryOp::TrimLower | BinaryOp::TrimUpper => self.surroundings.get().buckets(),
            _ => self.surroundings.get(),
        };
        let (lhs, rhs) = self.inside(surroundings, |p| Ok((p.node(&b.lhs)?, p.node(&b.rhs)?)))?;
        let invariant = lhs.invariant && rhs.invariant;
        let scalars = lhs.node.returns == ValueType::Scalar && rhs.node.returns == ValueType::Scalar;
        let returns = if scalars { ValueType::Scalar } else { ValueType::Vector };
        let unwrapped = |b: Built<'q>| if invariant { b.node } else { b.finish() };
        let binary = Binary {
            op: b.op,
            lhs: unwrapped(lhs),
            rhs: unwrapped(rhs),
            matching: b.matching.as_ref(),
            return_bool: b.return_bool,
        };
        let node = Node { kind: Kind::Binary(Box::new(binary)), returns, pos: b.pos };
        Ok(Built { node, invariant, wrap: invariant })
    }
}
