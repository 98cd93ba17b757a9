//! Writes expressions as text: equal to Go's `Expr.String()`, so that what is printed can be parsed again.

use std::fmt::{self, Display, Formatter};

use chronolith_storage::{
    MatchOp, Matcher,
    model::labels::{METRIC_NAME, is_legacy_label_name},
};

use crate::{
    ast::{
        AggregateExpr, AggregateOp, AtModifier, BinaryExpr, BinaryOp, Call, DurationExpr, Expr, Extension,
        MatchCardinality, MatrixSelector, NumberLiteral, ParenExpr, StringLiteral, SubqueryExpr, UnaryExpr, ValueType,
        VectorMatching, VectorSelector,
    },
    duration::Millis,
    format,
    quote::{Quoted, QuotedBytes},
};

impl ValueType {
    /// As Prometheus' API names it in results: `scalar`, `vector`, `matrix`, `string`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
        }
    }
}

impl AggregateOp {
    /// The operator as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::TopK => "topk",
            Self::BottomK => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::LimitK => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// Whether it takes a parameter before the vector.
    #[must_use]
    pub const fn has_param(self) -> bool {
        matches!(
            self,
            Self::TopK | Self::BottomK | Self::CountValues | Self::Quantile | Self::LimitK | Self::LimitRatio
        )
    }
}

impl BinaryOp {
    /// The operator as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Eql => "==",
            Self::Neq => "!=",
            Self::Gtr => ">",
            Self::Lss => "<",
            Self::Gte => ">=",
            Self::Lte => "<=",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(e) => e.fmt(f),
            Self::String(e) => e.fmt(f),
            Self::Vector(e) => e.fmt(f),
            Self::Matrix(e) => e.fmt(f),
            Self::Subquery(e) => e.fmt(f),
            Self::Call(e) => e.fmt(f),
            Self::Aggregate(e) => e.fmt(f),
            Self::Binary(e) => e.fmt(f),
            Self::Unary(e) => e.fmt(f),
            Self::Paren(e) => e.fmt(f),
        }
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            // Go counts nanoseconds and cuts them to milliseconds.
            Millis((self.value * 1e9) as i64 / 1_000_000).fmt(f)
        } else {
            f.write_str(&format::float(self.value))
        }
    }
}

impl Display for StringLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.invalid_utf8 {
            None => Quoted(&self.value).fmt(f),
            Some(bytes) => QuotedBytes(bytes).fmt(f),
        }
    }
}

impl Display for ParenExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({})", self.expr)
    }
}

impl Display for UnaryExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.sign(), self.expr)
    }
}

impl UnaryExpr {
    pub(crate) const fn sign(&self) -> &'static str {
        if self.negative { "-" } else { "+" }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.func.name)?;
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            arg.fmt(f)?;
        }
        f.write_str(")")
    }
}

/// The operator of an aggregation and its grouping: `sum by (job) `.
pub(crate) struct AggregateHead<'a>(pub(crate) &'a AggregateExpr);

impl Display for AggregateHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.as_str())?;
        if self.0.without {
            write!(f, " without ({}) ", LabelList(&self.0.grouping))?;
        } else if !self.0.grouping.is_empty() {
            write!(f, " by ({}) ", LabelList(&self.0.grouping))?;
        }
        Ok(())
    }
}

impl Display for AggregateExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", AggregateHead(self))?;
        if let Some(param) = &self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

/// Names of labels, in quotes where they need them.
struct LabelList<'a>(&'a [String]);

impl Display for LabelList<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, label) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write_label_name(f, label)?;
        }
        Ok(())
    }
}

fn write_label_name(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    if is_legacy_label_name(name) { f.write_str(name) } else { Quoted(name).fmt(f) }
}

impl Display for BinaryExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.unsigned_base() {
            Some(base) => f.write_str(base)?,
            None => self.lhs.fmt(f)?,
        }
        write!(f, " {} {}", BinaryHead(self), self.rhs)
    }
}

impl BinaryExpr {
    /// Infinity as the base of a power, without its sign: `^` binds tighter than a sign, so that `+Inf ^ 2` would be
    /// read as `+(Inf ^ 2)`. Here we depart from Prometheus, which prints what it does not read as the same.
    pub(crate) fn unsigned_base(&self) -> Option<&'static str> {
        let infinite = matches!(&*self.lhs, Expr::Number(n) if n.value == f64::INFINITY && !n.is_duration);
        (self.op == BinaryOp::Pow && infinite).then_some("Inf")
    }
}

/// The operator of an operation and its modifiers: `== bool on (job)`.
pub(crate) struct BinaryHead<'a>(pub(crate) &'a BinaryExpr);

impl Display for BinaryHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.as_str())?;
        if self.0.return_bool {
            f.write_str(" bool")?;
        }
        self.0.matching.as_ref().map_or(Ok(()), |matching| matching.fmt(f))
    }
}

/// With a space before each part; nothing when everything matches one to one.
impl Display for VectorMatching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let group = match self.card {
            MatchCardinality::ManyToOne => Some("left"),
            MatchCardinality::OneToMany => Some("right"),
            MatchCardinality::OneToOne | MatchCardinality::ManyToMany => None,
        };
        if !self.labels.is_empty() || self.on || group.is_some() {
            write!(f, " {} ({})", if self.on { "on" } else { "ignoring" }, LabelList(&self.labels))?;
        }
        if let Some(side) = group {
            write!(f, " group_{side} ({})", LabelList(&self.include))?;
        }
        match (self.fill_left, self.fill_right) {
            (Some(left), Some(right)) if left == right => write!(f, " fill ({})", format::float_general(left)),
            (left, right) => {
                if let Some(left) = left {
                    write!(f, " fill_left ({})", format::float_general(left))?;
                }
                if let Some(right) = right {
                    write!(f, " fill_right ({})", format::float_general(right))?;
                }
                Ok(())
            }
        }
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write_series(f)?;
        write_at(f, self.at)?;
        write_extension(f, self.extension)?;
        write_offset(f, self.offset_ms, self.offset_expr.as_ref())
    }
}

impl VectorSelector {
    /// The name and matchers without modifiers.
    fn write_series(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or_default();
        f.write_str(name)?;
        let is_name =
            |m: &&Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal && m.value() == name && !name.is_empty();
        let mut matchers: Vec<String> =
            self.matchers.iter().filter(|m| !is_name(m)).map(|m| ShownMatcher(m).to_string()).collect();
        matchers.sort_unstable();
        // Go prints nothing for the `{}` that may stand in `info`, and does not parse that again.
        if matchers.is_empty() && !name.is_empty() { Ok(()) } else { write!(f, "{{{}}}", matchers.join(",")) }
    }
}

struct ShownMatcher<'a>(&'a Matcher);

impl Display for ShownMatcher<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_label_name(f, self.0.name())?;
        write!(f, "{}{}", self.0.op().as_str(), Quoted(self.0.value()))
    }
}

fn write_at(f: &mut Formatter<'_>, at: Option<AtModifier>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(AtModifier::Timestamp(ms)) => write!(f, " @ {:.3}", ms as f64 / 1000.0),
        Some(AtModifier::Start) => f.write_str(" @ start()"),
        Some(AtModifier::End) => f.write_str(" @ end()"),
    }
}

fn write_extension(f: &mut Formatter<'_>, extension: Extension) -> fmt::Result {
    f.write_str(match extension {
        Extension::None => "",
        Extension::Anchored => " anchored",
        Extension::Smoothed => " smoothed",
    })
}

fn write_offset(f: &mut Formatter<'_>, ms: i64, computed: Option<&DurationExpr>) -> fmt::Result {
    match computed {
        Some(expr) => write!(f, " offset {expr}"),
        None if ms == 0 => Ok(()),
        None => write!(f, " offset {}", Millis(ms)),
    }
}

fn write_length(f: &mut Formatter<'_>, ms: i64, computed: Option<&DurationExpr>) -> fmt::Result {
    match computed {
        Some(expr) => expr.fmt(f),
        None => Millis(ms).fmt(f),
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.selector.write_series(f)?;
        f.write_str("[")?;
        write_length(f, self.range_ms, self.range_expr.as_ref())?;
        f.write_str("]")?;
        write_extension(f, self.selector.extension)?;
        write_at(f, self.selector.at)?;
        write_offset(f, self.selector.offset_ms, self.selector.offset_expr.as_ref())
    }
}

impl Display for SubqueryExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.expr, SubqueryTail(self))
    }
}

/// What stands behind the expression of a subquery: `[5m:1m] offset 1m`.
pub(crate) struct SubqueryTail<'a>(pub(crate) &'a SubqueryExpr);

impl Display for SubqueryTail<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let e = self.0;
        f.write_str("[")?;
        write_length(f, e.range_ms, e.range_expr.as_ref())?;
        f.write_str(":")?;
        if e.step_ms != 0 || e.step_expr.is_some() {
            write_length(f, e.step_ms, e.step_expr.as_ref())?;
        }
        f.write_str("]")?;
        write_at(f, e.at)?;
        write_offset(f, e.offset_ms, e.offset_expr.as_ref())
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(number) => number.fmt(f),
            Self::Step(_) => f.write_str("step()"),
            Self::Range(_) => f.write_str("range()"),
            Self::MinOf(a, b, _) => write!(f, "min_of({a}, {b})"),
            Self::MaxOf(a, b, _) => write!(f, "max_of({a}, {b})"),
            Self::Binary { op, lhs, rhs } => write!(f, "{lhs} {} {rhs}", op.as_str()),
            Self::Unary { negative, expr, .. } => write!(f, "{}{expr}", if *negative { "-" } else { "" }),
            Self::Paren(expr, _) => write!(f, "({expr})"),
        }
    }
}
