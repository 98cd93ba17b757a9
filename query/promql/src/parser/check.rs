//! Checks an expression's types and the rules that the grammar does not express, in Prometheus' order.

use chronolith_storage::model::labels::METRIC_NAME;

use crate::{
    ast::{
        AggregateExpr, AggregateOp, BinaryExpr, BinaryOp, Call, Expr, MatchCardinality, PosRange, ValueType,
        VectorMatching, VectorSelector,
    },
    error::ParseError,
    quote::Quoted,
};

type Checked<T> = Result<T, ParseError>;

/// Checks an expression of this query; sets how sets match and takes away matching where no vectors are.
pub(super) fn check(query: &str, expr: &mut Expr) -> Checked<ValueType> {
    Checker { query }.expr(expr)
}

struct Checker<'a> {
    query: &'a str,
}

impl Checker<'_> {
    fn error(&self, pos: PosRange, message: impl Into<String>) -> ParseError {
        ParseError::new(self.query, pos, message)
    }

    /// The place that Prometheus tells in errors about an operator: behind the place of the left side, which need not be
    /// where the operator stands.
    fn operator_place(&self, binary: &BinaryExpr) -> PosRange {
        let rest = self.query.get(binary.lhs.pos().end as usize..).unwrap_or_default();
        let spaces = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        PosRange { start: binary.lhs.pos().end + spaces as u32, end: binary.op_pos.end }
    }

    /// The type of an expression that is all right. Recursion is bounded by the depth of the tree.
    fn expr(&self, expr: &mut Expr) -> Checked<ValueType> {
        match expr {
            Expr::Number(_) => Ok(ValueType::Scalar),
            Expr::String(_) => Ok(ValueType::String),
            Expr::Vector(selector) => self.selector(selector, false),
            Expr::Matrix(matrix) => self.selector(&matrix.selector, false).map(|_| ValueType::Matrix),
            Expr::Subquery(subquery) => {
                let got = self.expr(&mut subquery.expr)?;
                if got != ValueType::Vector {
                    let message = format!("subquery is only allowed on instant vector, got {} instead", got.as_str());
                    return Err(self.error(subquery.pos, message));
                }
                Ok(ValueType::Matrix)
            }
            Expr::Call(call) => self.call(call),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Unary(unary) => {
                let got = self.expr(&mut unary.expr)?;
                if !matches!(got, ValueType::Scalar | ValueType::Vector) {
                    let message = format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                        Quoted(got.documented())
                    );
                    return Err(self.error(unary.pos, message));
                }
                Ok(got)
            }
            Expr::Paren(paren) => self.expr(&mut paren.expr),
        }
    }

    fn expect(&self, expr: &mut Expr, wanted: ValueType, context: &str) -> Checked<()> {
        let got = self.expr(expr)?;
        if got == wanted {
            return Ok(());
        }
        let message = format!("expected type {} in {context}, got {}", wanted.documented(), got.documented());
        Err(self.error(expr.pos(), message))
    }

    fn selector(&self, selector: &VectorSelector, any: bool) -> Checked<ValueType> {
        if let Some(name) = &selector.name {
            let before = selector.matchers.split_last().map(|(_, before)| before).unwrap_or_default();
            if let Some(other) = before.iter().find(|m| m.name() == METRIC_NAME) {
                let message =
                    format!("metric name must not be set twice: {} or {}", Quoted(name), Quoted(other.value()));
                return Err(self.error(selector.pos, message));
            }
        } else if !any && selector.matchers.iter().all(chronolith_storage::Matcher::matches_empty) {
            return Err(self.error(selector.pos, "vector selector must contain at least one non-empty matcher"));
        }
        Ok(ValueType::Vector)
    }

    fn aggregate(&self, aggregate: &mut AggregateExpr) -> Checked<ValueType> {
        self.expect(&mut aggregate.expr, ValueType::Vector, "aggregation expression")?;
        if let Some(param) = &mut aggregate.param {
            let wanted = if aggregate.op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
            self.expect(param, wanted, "aggregation parameter")?;
        }
        Ok(ValueType::Vector)
    }

    fn call(&self, call: &mut Call) -> Checked<ValueType> {
        let (name, wanted, got) = (call.func.name, call.func.args.len(), call.args.len());
        let at_least = wanted.saturating_sub(1);
        let count = match usize::try_from(call.func.variadic) {
            Ok(0) if got != wanted => Some(("", wanted)),
            Ok(0) => None,
            _ if got < at_least => Some(("at least ", at_least)),
            Ok(more) if got > at_least + more => Some(("at most ", at_least + more)),
            _ => None,
        };
        if let Some((bound, count)) = count {
            let message = format!("expected {bound}{count} argument(s) in call to {}, got {got}", Quoted(name));
            return Err(self.error(call.pos, message));
        }
        let is_info = name == "info";
        if is_info {
            self.info_selector(call)?;
        }
        for (i, arg) in call.args.iter_mut().enumerate() {
            let Some(wanted) = call.func.args.get(i).or(call.func.args.last()) else { break };
            let got = match arg {
                Expr::Vector(selector) if is_info && i == 1 => self.selector(selector, true)?,
                _ => self.expr(arg)?,
            };
            if got != *wanted {
                let message = format!(
                    "expected type {} in call to function {}, got {}",
                    wanted.documented(),
                    Quoted(name),
                    got.documented()
                );
                return Err(self.error(arg.pos(), message));
            }
        }
        Ok(call.func.returns)
    }

    /// The second argument of `info` is a selector without a metric's name.
    fn info_selector(&self, call: &Call) -> Checked<()> {
        let Some(arg) = call.args.get(1) else { return Ok(()) };
        let got = arg.value_type();
        if got != ValueType::Vector {
            let message =
                format!("expected type instant vector in call to function \"info\", got {}", got.documented());
            return Err(self.error(call.pos, message));
        }
        match arg {
            Expr::Vector(selector) if selector.name.is_none() => Ok(()),
            Expr::Vector(_) => Err(self.error(arg.pos(), "expected label selectors only, got vector selector instead")),
            _ => Err(self.error(arg.pos(), "expected label selectors only")),
        }
    }

    fn binary(&self, binary: &mut BinaryExpr) -> Checked<ValueType> {
        let left = self.expr(&mut binary.lhs)?;
        let right = self.expr(&mut binary.rhs)?;
        let op = binary.op;
        let place = self.operator_place(binary);
        let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
        if binary.return_bool && !op.is_comparison() {
            return Err(self.error(place, "bool modifier can only be used on comparison operators"));
        }
        if op.is_comparison() && !binary.return_bool && scalars {
            return Err(self.error(place, "comparisons between scalars must use BOOL modifier"));
        }
        if let Some(matching) = &mut binary.matching {
            if op.is_set() && matching.card == MatchCardinality::OneToOne {
                matching.card = MatchCardinality::ManyToMany;
            }
            if let Some(label) = matching.labels.iter().find(|l| matching.on && matching.include.contains(l)) {
                let message = format!("label {} must not occur in ON and GROUP clause at once", Quoted(label));
                return Err(self.error(place, message));
            }
        }
        for (side, got) in [(&binary.lhs, left), (&binary.rhs, right)] {
            if !matches!(got, ValueType::Scalar | ValueType::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return Err(self.error(side.pos(), message));
            }
        }
        let vectors = left == ValueType::Vector && right == ValueType::Vector;
        if let Some(matching) = &binary.matching {
            self.matching(binary, matching, vectors)?;
        }
        if !vectors {
            binary.matching = None;
            if op.is_set() {
                let message = format!("set operator \"{}\" not allowed in binary scalar expression", op.as_str());
                return Err(self.error(binary.pos, message));
            }
        }
        Ok(if scalars { ValueType::Scalar } else { ValueType::Vector })
    }

    fn matching(&self, binary: &BinaryExpr, matching: &VectorMatching, vectors: bool) -> Checked<()> {
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        let message = if !vectors {
            if !matching.labels.is_empty() {
                "vector matching only allowed between instant vectors".to_owned()
            } else if fills {
                "filling in missing series only allowed between instant vectors".to_owned()
            } else {
                return Ok(());
            }
        } else if !binary.op.is_set() {
            return Ok(());
        } else if matching.card != MatchCardinality::ManyToMany {
            format!("no grouping allowed for \"{}\" operation", binary.op.as_str())
        } else if fills {
            "filling in missing series not allowed for set operators".to_owned()
        } else {
            return Ok(());
        };
        Err(self.error(binary.pos, message))
    }
}

impl BinaryOp {
    /// Whether it compares: `== != < > <= >=`.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(self, Self::Eql | Self::Neq | Self::Gtr | Self::Lss | Self::Gte | Self::Lte)
    }

    /// Whether it works on sets: `and or unless`.
    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}
