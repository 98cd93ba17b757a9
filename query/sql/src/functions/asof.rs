//! ASOF JOIN: each row of the left side with the nearest row of the right side, in time or by another order.
//!
//! `a ASOF JOIN b MATCH_CONDITION (a.t >= b.t) ON a.k = b.k` keeps the rows of `a` that have such a row; `a ASOF LEFT JOIN b`
//! keeps all. The statement is rewritten to an inner join that has the match condition as a call of a function, which the
//! analyzer then takes out to make a node of it.

use std::{fmt, sync::Arc};

use datafusion::{
    common::{DFSchemaRef, Result, ScalarValue, not_impl_err, plan_err, tree_node::Transformed},
    config::ConfigOptions,
    logical_expr::{
        BinaryExpr, Cast, Expr, ExprSchemable, Extension, Join, JoinType, LogicalPlan, Operator, ScalarUDF,
        UserDefinedLogicalNodeCore, build_join_schema,
        type_coercion::binary::comparison_coercion,
        utils::{conjunction, split_conjunction},
    },
    optimizer::AnalyzerRule,
    sql::sqlparser::{
        ast::{
            BinaryOperator, Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
            FunctionArguments, Ident, Join as SqlJoin, JoinConstraint, JoinOperator, ObjectName, Value,
        },
        keywords::Keyword,
        tokenizer::{Token, TokenWithSpan, Word},
    },
};

use super::{
    gapfill::without_casts,
    scalar::{Arg, Scalar, exactly},
};

/// The function that stands for a match condition.
const MATCH: &str = "__asof_match";
/// What tells a left join from an inner one until the statement is rewritten.
const LEFT: &str = "__asof_left";

/// The function that stands for a match condition.
pub(super) fn scalar() -> ScalarUDF {
    const SHAPE: &[super::scalar::Shape] = &[exactly(&[Arg::Any, Arg::Any, Arg::Text, Arg::Bool])];
    Scalar::new(
        MATCH,
        SHAPE,
        |_| Ok(arrow::datatypes::DataType::Boolean),
        |_| plan_err!("MATCH_CONDITION stands in an ASOF JOIN"),
    )
    .udf()
}

/// Makes `ASOF LEFT JOIN`, which the parser does not know, an `ASOF JOIN` whose match condition says so.
pub(super) fn rewrite_tokens(tokens: &mut Vec<TokenWithSpan>) {
    let keyword = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) => Some(word.keyword),
        _ => None,
    };
    let is_space = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    if !tokens.iter().any(|t| keyword(t) == Some(Keyword::ASOF)) {
        return;
    }
    // Joins that wait for their match condition, and whether each keeps all rows of its left side.
    let mut waiting: Vec<bool> = Vec::new();
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        at += 1;
        out.push(token.clone());
        match keyword(token) {
            Some(Keyword::ASOF) => {
                let words: Vec<usize> = (at..tokens.len()).filter(|&i| !is_space(&tokens[i])).take(3).collect();
                let words: Vec<(usize, Option<Keyword>)> =
                    words.into_iter().map(|i| (i, keyword(&tokens[i]))).collect();
                let kinds: Vec<Option<Keyword>> = words.iter().map(|w| w.1).collect();
                let join = match kinds.as_slice() {
                    [Some(Keyword::JOIN), ..] => None,
                    [Some(Keyword::LEFT), Some(Keyword::JOIN), ..] => Some(words[1].0),
                    [Some(Keyword::LEFT), Some(Keyword::OUTER), Some(Keyword::JOIN)] => Some(words[2].0),
                    _ => continue,
                };
                waiting.push(join.is_some());
                if let Some(join) = join {
                    out.push(TokenWithSpan {
                        token: Token::Whitespace(datafusion::sql::sqlparser::tokenizer::Whitespace::Space),
                        span: token.span,
                    });
                    at = join;
                }
            }
            Some(Keyword::MATCH_CONDITION) if waiting.pop() == Some(true) => {
                while at < tokens.len() && is_space(&tokens[at]) {
                    at += 1;
                }
                if tokens.get(at).is_some_and(|t| t.token == Token::LParen) {
                    let span = tokens[at].span;
                    let word =
                        |value: &str, keyword| Token::Word(Word { value: value.into(), quote_style: None, keyword });
                    let space = Token::Whitespace(datafusion::sql::sqlparser::tokenizer::Whitespace::Space);
                    let inserted = [
                        Token::LParen,
                        word(LEFT, Keyword::NoKeyword),
                        space.clone(),
                        word("AND", Keyword::AND),
                        space,
                    ];
                    out.extend(inserted.into_iter().map(|token| TokenWithSpan { token, span }));
                    at += 1;
                }
            }
            _ => {}
        }
    }
    *tokens = out;
}

/// Rewrites an ASOF JOIN; other joins stay.
pub(super) fn rewrite_join(join: &mut SqlJoin) -> Result<()> {
    let JoinOperator::AsOf { match_condition, constraint } = &join.join_operator else { return Ok(()) };
    let (left, condition) = match match_condition {
        SqlExpr::BinaryOp { left, op: BinaryOperator::And, right } if is_left(left) => (true, right.as_ref()),
        condition => (false, condition),
    };
    let SqlExpr::BinaryOp { left: a, op, right: b } = condition else {
        return plan_err!("MATCH_CONDITION of an ASOF JOIN is one comparison by >=, >, <= or <, not {condition}");
    };
    let op = match op {
        BinaryOperator::GtEq | BinaryOperator::Gt | BinaryOperator::LtEq | BinaryOperator::Lt => op.to_string(),
        other => return plan_err!("MATCH_CONDITION of an ASOF JOIN compares by >=, >, <= or <, not by {other}"),
    };
    let args = [
        (**a).clone(),
        (**b).clone(),
        SqlExpr::value(Value::SingleQuotedString(op)),
        SqlExpr::value(Value::Boolean(left)),
    ];
    let matched = SqlExpr::Function(Function {
        name: ObjectName::from(vec![Ident::new(MATCH)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    });
    let on = match constraint {
        JoinConstraint::None => matched,
        JoinConstraint::On(on) => SqlExpr::BinaryOp {
            left: Box::new(matched),
            op: BinaryOperator::And,
            right: Box::new(SqlExpr::Nested(Box::new(on.clone()))),
        },
        JoinConstraint::Using(_) | JoinConstraint::Natural => {
            return not_impl_err!("USING and NATURAL in an ASOF JOIN; write ON a.key = b.key");
        }
    };
    join.join_operator = JoinOperator::Inner(JoinConstraint::On(on));
    Ok(())
}

fn is_left(expr: &SqlExpr) -> bool {
    matches!(expr, SqlExpr::Identifier(name) if name.value == LEFT)
}

/// A join with the nearest row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AsofJoin {
    pub(super) left: LogicalPlan,
    pub(super) right: LogicalPlan,
    /// What is compared: of the left side, of the right side, then pairs of keys that must be equal.
    pub(super) exprs: Vec<Expr>,
    /// How the left side compares to the right one.
    pub(super) op: Operator,
    /// Whether rows of the left side without a match stay.
    pub(super) outer: bool,
    schema: DFSchemaRef,
}

impl PartialOrd for AsofJoin {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.exprs.partial_cmp(&other.exprs).filter(|order| order.is_ne() || self == other)
    }
}

impl AsofJoin {
    fn new(left: LogicalPlan, right: LogicalPlan, exprs: Vec<Expr>, op: Operator, outer: bool) -> Result<Self> {
        let kind = if outer { JoinType::Left } else { JoinType::Inner };
        let schema = Arc::new(build_join_schema(left.schema(), right.schema(), &kind)?);
        Ok(Self { left, right, exprs, op, outer, schema })
    }
}

impl UserDefinedLogicalNodeCore for AsofJoin {
    fn name(&self) -> &str {
        "AsofJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.exprs.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.outer { "left" } else { "inner" };
        write!(f, "AsofJoin: {kind} {} {} {}", self.exprs[0], self.op, self.exprs[1])?;
        self.exprs[2..].chunks(2).try_for_each(|keys| write!(f, ", {} = {}", keys[0], keys[1]))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match <[LogicalPlan; 2]>::try_from(inputs) {
            Ok([left, right]) if exprs.len() == self.exprs.len() => Self::new(left, right, exprs, self.op, self.outer),
            _ => plan_err!("AsofJoin has two inputs and {} expressions", self.exprs.len()),
        }
    }

    fn necessary_children_exprs(&self, output: &[usize]) -> Option<Vec<Vec<usize>>> {
        // Columns of the result, and those that are compared.
        let (left, right) = (self.left.schema(), self.right.schema());
        let mut needed = [Vec::new(), Vec::new()];
        for &at in output {
            match at.checked_sub(left.fields().len()) {
                None => needed[0].push(at),
                Some(at) => needed[1].push(at),
            }
        }
        for column in self.exprs.iter().flat_map(Expr::column_refs) {
            for (schema, needed) in [left, right].into_iter().zip(&mut needed) {
                needed.extend(schema.maybe_index_of_column(column));
            }
        }
        Some(
            needed
                .into_iter()
                .map(|mut columns| {
                    columns.sort_unstable();
                    columns.dedup();
                    columns
                })
                .collect(),
        )
    }
}

/// Makes nodes of joins that have a match condition.
#[derive(Debug)]
pub(super) struct AsofRule;

impl AnalyzerRule for AsofRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let join = |plan| match plan {
            LogicalPlan::Join(join) if join.filter.as_ref().is_some_and(has_match) => Ok(Transformed::yes(asof(join)?)),
            other => Ok(Transformed::no(other)),
        };
        plan.transform_up_with_subqueries(join).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "asof_join"
    }
}

fn has_match(filter: &Expr) -> bool {
    split_conjunction(filter).iter().any(|e| matches!(e, Expr::ScalarFunction(call) if call.func.name() == MATCH))
}

fn asof(join: Join) -> Result<LogicalPlan> {
    let (left, right) = (Arc::unwrap_or_clone(join.left), Arc::unwrap_or_clone(join.right));
    let mut exprs = Vec::new();
    let mut how = None;
    let filter = join.filter.unwrap_or_else(|| Expr::Literal(ScalarValue::Boolean(Some(true)), None));
    for condition in split_conjunction(&filter) {
        match condition {
            Expr::ScalarFunction(call) if call.func.name() == MATCH && how.is_none() => {
                let [a, b, op, outer] = call.args.as_slice() else {
                    return plan_err!("MATCH_CONDITION lacks its parts");
                };
                let (Expr::Literal(op, _), Expr::Literal(outer, _)) = (without_casts(op), without_casts(outer)) else {
                    return plan_err!("MATCH_CONDITION was changed before it was planned");
                };
                let op = match op.try_as_str() {
                    Some(Some(">=")) => Operator::GtEq,
                    Some(Some(">")) => Operator::Gt,
                    Some(Some("<=")) => Operator::LtEq,
                    _ => Operator::Lt,
                };
                let (sides, swapped) = sides(a, b, &left, &right)?;
                exprs.splice(0..0, sides);
                let op = if swapped { op.swap().unwrap_or(op) } else { op };
                how = Some((op, matches!(outer, ScalarValue::Boolean(Some(true)))));
            }
            Expr::BinaryExpr(BinaryExpr { left: a, op: Operator::Eq, right: b }) => {
                exprs.extend(sides(a, b, &left, &right)?.0);
            }
            other => return not_impl_err!("{other} in ON of an ASOF JOIN, which takes equalities of the two sides"),
        }
    }
    for (a, b) in &join.on {
        exprs.extend(sides(a, b, &left, &right)?.0);
    }
    let Some((op, outer)) = how else {
        return plan_err!("an ASOF JOIN has one MATCH_CONDITION: {:?}", conjunction(exprs));
    };
    let node = AsofJoin::new(left, right, exprs, op, outer)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// Two expressions as of the left and of the right side, of one type, and whether they were written the other way round.
fn sides(a: &Expr, b: &Expr, left: &LogicalPlan, right: &LogicalPlan) -> Result<([Expr; 2], bool)> {
    let of = |e: &Expr, plan: &LogicalPlan| {
        let columns = e.column_refs();
        !columns.is_empty() && columns.iter().all(|column| plan.schema().has_column(column))
    };
    let (a, b, swapped) = if of(a, left) && of(b, right) {
        (a.clone(), b.clone(), false)
    } else if of(b, left) && of(a, right) {
        (b.clone(), a.clone(), true)
    } else {
        return plan_err!("{a} and {b} do not compare the two sides of the ASOF JOIN");
    };
    let (of_a, of_b) = (a.get_type(left.schema())?, b.get_type(right.schema())?);
    let Some(both) = comparison_coercion(&of_a, &of_b) else {
        return plan_err!("cannot compare {a} of type {of_a} with {b} of type {of_b} in an ASOF JOIN");
    };
    let cast = |e: Expr, of| if of == both { e } else { Expr::Cast(Cast::new(Box::new(e), both.clone())) };
    Ok(([cast(a, of_a), cast(b, of_b)], swapped))
}
