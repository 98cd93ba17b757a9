//! The project's own cases in `tests/promql` use the whole language: every function, aggregation, operator and modifier.

use std::{collections::BTreeSet, fmt::Debug, fs, path::Path};

use chronolith_promql::{
    ast::{
        AggregateOp, AtModifier, BinaryExpr, BinaryOp, DurationExpr, Expr, Extension, MatchCardinality, MatrixSelector,
        NumberLiteral, SubqueryExpr, VectorMatching, VectorSelector,
    },
    functions::FUNCTIONS,
    parse,
};

const AGGREGATIONS: [AggregateOp; 14] = [
    AggregateOp::Sum,
    AggregateOp::Avg,
    AggregateOp::Count,
    AggregateOp::Min,
    AggregateOp::Max,
    AggregateOp::Group,
    AggregateOp::Stddev,
    AggregateOp::Stdvar,
    AggregateOp::TopK,
    AggregateOp::BottomK,
    AggregateOp::CountValues,
    AggregateOp::Quantile,
    AggregateOp::LimitK,
    AggregateOp::LimitRatio,
];

const ARITHMETIC: [BinaryOp; 7] =
    [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Mod, BinaryOp::Pow, BinaryOp::Atan2];

const COMPARISONS: [BinaryOp; 6] =
    [BinaryOp::Eql, BinaryOp::Neq, BinaryOp::Gtr, BinaryOp::Lss, BinaryOp::Gte, BinaryOp::Lte];

const TRIMS: [BinaryOp; 2] = [BinaryOp::TrimUpper, BinaryOp::TrimLower];

const SETS: [BinaryOp; 3] = [BinaryOp::And, BinaryOp::Or, BinaryOp::Unless];

/// Operators that the arithmetic of durations has.
const OF_DURATIONS: [BinaryOp; 6] =
    [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Mod, BinaryOp::Pow];

/// Everything else that an expression may have.
const MODIFIERS: [&str; 42] = [
    "number",
    "number written as a duration",
    "text",
    "unary plus",
    "unary minus",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_left with labels",
    "group_right",
    "group_right with labels",
    "fill",
    "fill_left",
    "fill_right",
    "fill_left and fill_right",
    "fill with bool",
    "fill with group_left",
    "fill with group_right",
    "name before braces",
    "name only by a matcher",
    "anchored",
    "smoothed range",
    "smoothed instant",
    "offset",
    "offset, negative",
    "offset, an expression",
    "@ time",
    "@ start()",
    "@ end()",
    "range vector as the answer",
    "range, an expression",
    "subquery",
    "subquery of the default resolution",
    "subquery as the answer",
    "subquery resolution, an expression",
    "subquery with offset",
    "subquery with @",
    "duration sign",
    "duration step()",
    "duration range()",
];

/// What the whole language has.
fn language() -> BTreeSet<String> {
    let mut all: BTreeSet<String> = MODIFIERS.iter().map(ToString::to_string).collect();
    all.extend(FUNCTIONS.iter().map(|f| format!("function {}", f.name)));
    all.extend(AGGREGATIONS.iter().map(|op| format!("aggregation {op:?}")));
    for op in ARITHMETIC.into_iter().chain(COMPARISONS) {
        all.insert(format!("{op:?} of scalars"));
        all.insert(format!("{op:?} of a vector and a scalar"));
        all.insert(format!("{op:?} of vectors"));
    }
    all.extend(COMPARISONS.iter().map(|op| format!("{op:?} with bool")));
    all.extend(TRIMS.iter().map(|op| format!("{op:?} of a vector and a scalar")));
    all.extend(TRIMS.iter().map(|op| format!("{op:?} of vectors")));
    all.extend(SETS.iter().map(|op| format!("{op:?} of vectors")));
    all.extend(OF_DURATIONS.iter().map(|op| format!("duration {op:?}")));
    all.extend(["duration min_of", "duration max_of"].map(ToString::to_string));
    all
}

/// What the expressions seen so far use.
#[derive(Default)]
struct Used(BTreeSet<String>);

impl Used {
    fn note(&mut self, what: &str) {
        self.0.insert(what.to_owned());
    }

    fn note_if(&mut self, seen: bool, what: &str) {
        if seen {
            self.note(what);
        }
    }

    fn operator(&mut self, op: impl Debug, of: &str) {
        self.note(&format!("{op:?} {of}"));
    }

    /// The parser bounds how deep an expression may be.
    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Number(NumberLiteral { is_duration: true, .. }) => self.note("number written as a duration"),
            Expr::Number(_) => self.note("number"),
            Expr::String(_) => self.note("text"),
            Expr::Vector(selector) => {
                self.note_if(selector.extension == Extension::Smoothed, "smoothed instant");
                self.selector(selector);
            }
            Expr::Matrix(matrix) => self.matrix(matrix),
            Expr::Subquery(subquery) => self.subquery(subquery),
            Expr::Call(call) => {
                self.note(&format!("function {}", call.func.name));
                call.args.iter().for_each(|arg| self.expr(arg));
            }
            Expr::Aggregate(aggregate) => {
                self.note(&format!("aggregation {:?}", aggregate.op));
                self.note_if(aggregate.without, "without");
                self.note_if(!aggregate.without && !aggregate.grouping.is_empty(), "by");
                aggregate.param.iter().for_each(|param| self.expr(param));
                self.expr(&aggregate.expr);
            }
            Expr::Binary(binary) => self.binary(binary),
            Expr::Unary(unary) => {
                self.note(if unary.negative { "unary minus" } else { "unary plus" });
                self.expr(&unary.expr);
            }
            Expr::Paren(paren) => self.expr(&paren.expr),
        }
    }

    fn selector(&mut self, selector: &VectorSelector) {
        self.note(if selector.name.is_some() { "name before braces" } else { "name only by a matcher" });
        self.offset(selector.offset_ms, selector.offset_expr.as_ref());
        self.at(selector.at);
    }

    fn matrix(&mut self, matrix: &MatrixSelector) {
        self.note_if(matrix.selector.extension == Extension::Anchored, "anchored");
        self.note_if(matrix.selector.extension == Extension::Smoothed, "smoothed range");
        self.selector(&matrix.selector);
        self.note_if(matrix.range_expr.is_some(), "range, an expression");
        self.durations([&matrix.range_expr]);
    }

    fn subquery(&mut self, subquery: &SubqueryExpr) {
        let SubqueryExpr { range_expr, step_ms, step_expr, offset_ms, offset_expr, at, .. } = subquery;
        self.note("subquery");
        self.note_if(*step_ms == 0 && step_expr.is_none(), "subquery of the default resolution");
        self.note_if(step_expr.is_some(), "subquery resolution, an expression");
        self.note_if(*offset_ms != 0 || offset_expr.is_some(), "subquery with offset");
        self.note_if(at.is_some(), "subquery with @");
        self.offset(*offset_ms, offset_expr.as_ref());
        self.at(*at);
        self.durations([range_expr, step_expr]);
        self.expr(&subquery.expr);
    }

    fn offset(&mut self, ms: i64, expr: Option<&DurationExpr>) {
        self.note_if(ms > 0, "offset");
        self.note_if(ms < 0, "offset, negative");
        self.note_if(expr.is_some(), "offset, an expression");
        expr.iter().for_each(|expr| self.duration(expr));
    }

    fn at(&mut self, at: Option<AtModifier>) {
        match at {
            Some(AtModifier::Timestamp(_)) => self.note("@ time"),
            Some(AtModifier::Start) => self.note("@ start()"),
            Some(AtModifier::End) => self.note("@ end()"),
            None => {}
        }
    }

    fn durations<const N: usize>(&mut self, exprs: [&Option<DurationExpr>; N]) {
        exprs.into_iter().flatten().for_each(|expr| self.duration(expr));
    }

    fn duration(&mut self, expr: &DurationExpr) {
        match expr {
            DurationExpr::Literal(_) => {}
            DurationExpr::Step(_) => self.note("duration step()"),
            DurationExpr::Range(_) => self.note("duration range()"),
            DurationExpr::MinOf(a, b, _) | DurationExpr::MaxOf(a, b, _) => {
                let min = matches!(expr, DurationExpr::MinOf(..));
                self.note(if min { "duration min_of" } else { "duration max_of" });
                self.duration(a);
                self.duration(b);
            }
            DurationExpr::Binary { op, lhs, rhs } => {
                self.note(&format!("duration {op:?}"));
                self.duration(lhs);
                self.duration(rhs);
            }
            DurationExpr::Unary { expr, .. } => {
                self.note("duration sign");
                self.duration(expr);
            }
            DurationExpr::Paren(expr, _) => self.duration(expr),
        }
    }

    fn binary(&mut self, binary: &BinaryExpr) {
        use chronolith_promql::ast::ValueType::Scalar;
        let scalars = [&binary.lhs, &binary.rhs].iter().filter(|side| side.value_type() == Scalar).count();
        self.operator(binary.op, ["of vectors", "of a vector and a scalar", "of scalars"][scalars]);
        if binary.return_bool {
            self.operator(binary.op, "with bool");
        }
        if let Some(matching) = &binary.matching {
            self.matching(matching, binary.return_bool);
        }
        self.expr(&binary.lhs);
        self.expr(&binary.rhs);
    }

    fn matching(&mut self, matching: &VectorMatching, return_bool: bool) {
        let VectorMatching { card, labels, on, include, fill_left, fill_right } = matching;
        self.note_if(*on, "on");
        self.note_if(!on && !labels.is_empty(), "ignoring");
        let filled = fill_left.is_some() || fill_right.is_some();
        self.note_if(filled && return_bool, "fill with bool");
        let group = match card {
            MatchCardinality::ManyToOne => Some("group_left"),
            MatchCardinality::OneToMany => Some("group_right"),
            MatchCardinality::OneToOne | MatchCardinality::ManyToMany => None,
        };
        if let Some(group) = group {
            self.note(group);
            self.note_if(!include.is_empty(), &format!("{group} with labels"));
            self.note_if(filled, &format!("fill with {group}"));
        }
        match (fill_left, fill_right) {
            (Some(left), Some(right)) if left.to_bits() == right.to_bits() => self.note("fill"),
            (Some(_), Some(_)) => self.note("fill_left and fill_right"),
            (Some(_), None) => self.note("fill_left"),
            (None, Some(_)) => self.note("fill_right"),
            (None, None) => {}
        }
    }

    /// What the answer itself may be.
    fn query(&mut self, expr: &Expr) {
        self.note_if(matches!(expr, Expr::Matrix(_)), "range vector as the answer");
        self.note_if(matches!(expr, Expr::Subquery(_)), "subquery as the answer");
        self.expr(expr);
    }

    fn missing(&self) -> Vec<String> {
        language().difference(&self.0).cloned().collect()
    }
}

/// The expression of a line like `eval instant at 5m up` or `eval range from 0 to 5m step 1m up`.
fn expression(line: &str) -> Option<&str> {
    let mut words = line.trim().splitn(5, ' ');
    let kind = (words.next()?, words.next()?, words.next()?);
    let _time = words.next()?;
    match kind {
        ("eval", "instant", "at") => words.next(),
        ("eval", "range", "from") => {
            let rest: Vec<&str> = words.next()?.splitn(5, ' ').collect();
            rest.get(4).copied()
        }
        _ => None,
    }
}

#[test]
fn our_own_cases_use_the_whole_language() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/promql");
    let (mut used, mut cases) = (Used::default(), 0);
    for file in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|e| e != "test") {
            continue;
        }
        for line in fs::read_to_string(&file).unwrap().lines().filter(|line| line.trim_start().starts_with("eval")) {
            let query = expression(line).unwrap_or_else(|| panic!("{}: no expression in {line}", file.display()));
            used.query(&parse(query).unwrap_or_else(|e| panic!("{}: {query}: {e}", file.display())));
            cases += 1;
        }
    }
    assert_eq!(used.missing(), [""; 0], "no case uses these");
    assert!(cases > 900, "only {cases} cases");
}

#[test]
fn what_no_case_uses_is_found() {
    let mut used = Used::default();
    assert_eq!(used.missing().len(), language().len());
    for query in ["rate(a[step()] offset -1m) + on(b) group_left fill_left(1) c", "topk by (a) (1, {b=\"c\"} @ end())"]
    {
        used.query(&parse(query).unwrap());
    }
    let missing = used.missing();
    for here in
        ["function rate", "duration step()", "offset, negative", "Add of vectors", "fill with group_left", "@ end()"]
    {
        assert!(!missing.iter().any(|m| m == here), "{here} was used");
    }
    for not in
        ["function irate", "offset", "Add of scalars", "fill_right", "group_right", "@ start()", "without", "subquery"]
    {
        assert!(missing.iter().any(|m| m == not), "{not} was not used");
    }
}
