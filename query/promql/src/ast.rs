//! The syntax tree of a PromQL expression. Every node knows the bytes of the query it came from.

use chronolith_storage::Matcher;

use crate::functions::Function;

/// A range of bytes in the query's text: from `start` up to, not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PosRange {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// The type of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// One number at each step.
    Scalar,
    /// A set of series with one value each at each step.
    Vector,
    /// A set of series with a range of samples each.
    Matrix,
    /// A text.
    String,
}

impl ValueType {
    /// As Prometheus' API and errors name it in documents: `scalar`, `instant vector`, `range vector`, `string`.
    #[must_use]
    pub const fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `1`, `Inf`, `1h30m`
    Number(NumberLiteral),
    /// `"text"`
    String(StringLiteral),
    /// `metric{label="value"} offset 5m @ 10`
    Vector(VectorSelector),
    /// `metric[5m]`
    Matrix(MatrixSelector),
    /// `expr[5m:1m]`
    Subquery(SubqueryExpr),
    /// `rate(...)`
    Call(Call),
    /// `sum by (job) (...)`
    Aggregate(AggregateExpr),
    /// `a + on (job) b`
    Binary(BinaryExpr),
    /// `-a`
    Unary(UnaryExpr),
    /// `(a)`
    Paren(ParenExpr),
}

/// A number.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberLiteral {
    /// Its value; seconds when it was written as a duration.
    pub value: f64,
    /// Whether it was written as a duration.
    pub is_duration: bool,
    /// Where it stands.
    pub pos: PosRange,
}

/// A text, unquoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringLiteral {
    /// Its value.
    pub value: String,
    /// Its bytes when escapes such as `\xff` make them invalid UTF-8; the value then has U+FFFD for them.
    pub invalid_utf8: Option<Vec<u8>>,
    /// Where it stands.
    pub pos: PosRange,
}

/// What stands after `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtModifier {
    /// A fixed time in milliseconds since the Unix epoch.
    Timestamp(i64),
    /// `start()`: the query's first step.
    Start,
    /// `end()`: the query's last step.
    End,
}

/// A duration that may need the query's step or range to be known: `5m`, `step() * 2`.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationExpr {
    /// A number of seconds, or a factor: `5m` is 300, as is `300`. May be negative.
    Literal(NumberLiteral),
    /// `step()`
    Step(PosRange),
    /// `range()`
    Range(PosRange),
    /// `min_of(a, b)` and `max_of(a, b)`; both sides are there.
    MinOf(Box<DurationExpr>, Box<DurationExpr>, PosRange),
    /// See [`DurationExpr::MinOf`].
    MaxOf(Box<DurationExpr>, Box<DurationExpr>, PosRange),
    /// `a + b` and the other arithmetic.
    Binary {
        /// `+ - * / % ^`
        op: BinaryOp,
        /// Left side.
        lhs: Box<DurationExpr>,
        /// Right side.
        rhs: Box<DurationExpr>,
    },
    /// `-a`; the parser leaves `+` out.
    Unary {
        /// Whether the sign is a minus.
        negative: bool,
        /// What it applies to.
        expr: Box<DurationExpr>,
        /// Where the sign stands.
        pos: PosRange,
    },
    /// `(a)`
    Paren(Box<DurationExpr>, PosRange),
}

/// Which samples a selector takes into account beside those inside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extension {
    /// None.
    #[default]
    None,
    /// `anchored`: the sample before the range too.
    Anchored,
    /// `smoothed`: interpolated at the range's ends.
    Smoothed,
}

/// Selects one sample a series at each step.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// The metric name as written before the braces; `None` when there is none or when it is quoted inside them, where
    /// it is only a matcher of `__name__`.
    pub name: Option<String>,
    /// Every matcher, that of the name among them (last, as in Prometheus).
    pub matchers: Vec<Matcher>,
    /// Offset in milliseconds; 0 when none or when `offset_expr` is set.
    pub offset_ms: i64,
    /// The offset when it has to be computed.
    pub offset_expr: Option<DurationExpr>,
    /// `@`
    pub at: Option<AtModifier>,
    /// `anchored` or `smoothed`.
    pub extension: Extension,
    /// Where it stands.
    pub pos: PosRange,
}

/// Selects the samples inside a range before each step. The offset and `@` are those of the inner selector.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    /// Which series, and their modifiers.
    pub selector: VectorSelector,
    /// Length of the range in milliseconds; 0 when `range_expr` is set.
    pub range_ms: i64,
    /// The range when it has to be computed.
    pub range_expr: Option<DurationExpr>,
    /// Where it stands, brackets included.
    pub pos: PosRange,
}

/// Evaluates an instant expression at many steps of a range before each step.
#[derive(Debug, Clone, PartialEq)]
pub struct SubqueryExpr {
    /// What is evaluated.
    pub expr: Box<Expr>,
    /// Length of the range in milliseconds; 0 when `range_expr` is set.
    pub range_ms: i64,
    /// The range when it has to be computed.
    pub range_expr: Option<DurationExpr>,
    /// Step in milliseconds; 0 for the default, or when `step_expr` is set.
    pub step_ms: i64,
    /// The step when it has to be computed.
    pub step_expr: Option<DurationExpr>,
    /// Offset in milliseconds; 0 when none or when `offset_expr` is set.
    pub offset_ms: i64,
    /// The offset when it has to be computed.
    pub offset_expr: Option<DurationExpr>,
    /// `@`
    pub at: Option<AtModifier>,
    /// Where it stands.
    pub pos: PosRange,
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which function.
    pub func: &'static Function,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// Where it stands.
    pub pos: PosRange,
}

/// The aggregation operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the PromQL operator of the same name")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    CountValues,
    Quantile,
    LimitK,
    LimitRatio,
}

/// `sum by (job) (expr)`
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateExpr {
    /// Which aggregation.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Box<Expr>,
    /// The parameter of `topk`, `bottomk`, `quantile`, `count_values`, `limitk`, `limit_ratio`.
    pub param: Option<Box<Expr>>,
    /// The labels after `by` or `without`, as written.
    pub grouping: Vec<String>,
    /// Whether the labels are those to drop.
    pub without: bool,
    /// Where it stands.
    pub pos: PosRange,
}

/// The binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the PromQL operator of the same name")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eql,
    Neq,
    Gtr,
    Lss,
    Gte,
    Lte,
    /// `</`: cuts a histogram from above.
    TrimUpper,
    /// `>/`: cuts a histogram from below.
    TrimLower,
    And,
    Or,
    Unless,
}

/// How many series of each side may match one of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchCardinality {
    /// One each.
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// The set operators.
    ManyToMany,
}

/// `on`, `ignoring`, `group_left`, `group_right`, `fill`.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorMatching {
    /// How many may match.
    pub card: MatchCardinality,
    /// The labels after `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether it is `on`.
    pub on: bool,
    /// The labels after `group_left` or `group_right`.
    pub include: Vec<String>,
    /// Value for series that are missing on the left.
    pub fill_left: Option<f64>,
    /// Value for series that are missing on the right.
    pub fill_right: Option<f64>,
}

/// `lhs op rhs`
#[derive(Debug, Clone, PartialEq)]
pub struct BinaryExpr {
    /// Which operator.
    pub op: BinaryOp,
    /// Left side.
    pub lhs: Box<Expr>,
    /// Right side.
    pub rhs: Box<Expr>,
    /// How vectors are matched; `Some` exactly when both sides are vectors.
    pub matching: Option<VectorMatching>,
    /// Whether a comparison gives 0 and 1 instead of filtering.
    pub return_bool: bool,
    /// Where the whole stands.
    pub pos: PosRange,
    /// Where the operator stands.
    pub op_pos: PosRange,
}

/// `-expr` or `+expr`
#[derive(Debug, Clone, PartialEq)]
pub struct UnaryExpr {
    /// Whether the sign is a minus.
    pub negative: bool,
    /// What it applies to.
    pub expr: Box<Expr>,
    /// Where it stands, sign included.
    pub pos: PosRange,
}

/// `(expr)`
#[derive(Debug, Clone, PartialEq)]
pub struct ParenExpr {
    /// What stands inside.
    pub expr: Box<Expr>,
    /// Where it stands, parentheses included.
    pub pos: PosRange,
}

impl Expr {
    /// Where the expression stands in the query's text.
    #[must_use]
    pub const fn pos(&self) -> PosRange {
        match self {
            Self::Number(e) => e.pos,
            Self::String(e) => e.pos,
            Self::Vector(e) => e.pos,
            Self::Matrix(e) => e.pos,
            Self::Subquery(e) => e.pos,
            Self::Call(e) => e.pos,
            Self::Aggregate(e) => e.pos,
            Self::Binary(e) => e.pos,
            Self::Unary(e) => e.pos,
            Self::Paren(e) => e.pos,
        }
    }

    /// The type of the expression's value.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::String(_) => ValueType::String,
            Self::Vector(_) | Self::Aggregate(_) => ValueType::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Call(c) => c.func.returns,
            // Depth is bounded by the parser.
            Self::Unary(u) => u.expr.value_type(),
            Self::Paren(p) => p.expr.value_type(),
            Self::Binary(b) => {
                if b.lhs.value_type() == ValueType::Scalar && b.rhs.value_type() == ValueType::Scalar {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
        }
    }
}
