//! Tests of the parser: constructs, errors, limits.

use proptest::prelude::*;

use super::*;
use crate::{
    ast::{AtModifier, BinaryOp, DurationExpr, Extension, MatchCardinality},
    pretty,
};

fn tree(query: &str) -> Expr {
    parse(query).unwrap_or_else(|e| panic!("{query}: {e}"))
}

/// How the parser understood a query, with every binary operation in parentheses.
fn grouped(query: &str) -> String {
    fn group(expr: &Expr) -> String {
        match expr {
            Expr::Binary(b) => format!("({} {} {})", group(&b.lhs), b.op.as_str(), group(&b.rhs)),
            Expr::Unary(u) => format!("{}{}", if u.negative { "-" } else { "+" }, group(&u.expr)),
            e => e.to_string(),
        }
    }
    group(&tree(query))
}

#[test]
fn operators_bind_as_in_prometheus() {
    let cases = [
        ("a or b and c", "(a or (b and c))"),
        ("a and b unless c", "((a and b) unless c)"),
        ("a == b + c * d ^ e", "(a == (b + (c * (d ^ e))))"),
        ("a - b - c", "((a - b) - c)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("-a ^ b", "-(a ^ b)"),
        ("-a * b", "(-a * b)"),
        ("a ^ -b * c", "((a ^ -b) * c)"),
        ("a atan2 b % c", "((a atan2 b) % c)"),
        ("a </ 1 >/ 2", "((a </ 1) >/ 2)"),
        ("- -a", "--a"),
        ("-1", "-1"),
        ("+1 + -2", "(1 + -2)"),
    ];
    for (query, groups) in cases {
        assert_eq!(grouped(query), groups, "{query}");
    }
}

#[test]
fn every_node_knows_its_place() {
    let query = "sum by (a) (rate(b{c=\"d\"}[5m] offset 1m)) > bool -1";
    let Expr::Binary(b) = tree(query) else { panic!() };
    let text = |pos: PosRange| &query[pos.start as usize..pos.end as usize];
    assert_eq!((text(b.pos), text(b.op_pos)), (query, ">"));
    assert_eq!(text(b.rhs.pos()), "-1");
    let Expr::Aggregate(sum) = *b.lhs else { panic!() };
    assert_eq!(text(sum.pos), "sum by (a) (rate(b{c=\"d\"}[5m] offset 1m))");
    let Expr::Call(rate) = *sum.expr else { panic!() };
    assert_eq!(text(rate.pos), "rate(b{c=\"d\"}[5m] offset 1m)");
    let Expr::Matrix(matrix) = &rate.args[0] else { panic!() };
    assert_eq!((text(matrix.pos), text(matrix.selector.pos)), ("b{c=\"d\"}[5m] offset 1m", "b{c=\"d\"}"));
}

#[test]
fn selectors_have_their_modifiers() {
    let Expr::Vector(v) = tree("a{\"b.c\"=~\"d\"} @ -1.5 offset -2m smoothed") else { panic!() };
    assert_eq!(v.at, Some(AtModifier::Timestamp(-1500)));
    assert_eq!((v.offset_ms, v.extension), (-120_000, Extension::Smoothed));
    assert_eq!(v.matchers.iter().map(|m| m.name()).collect::<Vec<_>>(), ["b.c", "__name__"]);
    let Expr::Vector(v) = tree("{\"a.b\", c='d'}") else { panic!() };
    assert_eq!((v.name, v.matchers[0].value()), (None, "a.b"));
    let Expr::Subquery(s) = tree("a[5m:step()] @ end()") else { panic!() };
    assert_eq!((s.range_ms, s.step_ms, s.at), (300_000, 0, Some(AtModifier::End)));
    assert!(matches!(s.step_expr, Some(DurationExpr::Step(_))));
    let Expr::Matrix(m) = tree("a[1h30m] anchored") else { panic!() };
    assert_eq!((m.range_ms, m.selector.extension), (5_400_000, Extension::Anchored));
}

#[test]
fn durations_are_computed_only_where_they_may_be() {
    let Expr::Matrix(m) = tree("a[5m + step() * 2]") else { panic!() };
    let Some(DurationExpr::Binary { op: BinaryOp::Add, rhs, .. }) = m.range_expr else { panic!() };
    assert!(matches!(*rhs, DurationExpr::Binary { op: BinaryOp::Mul, .. }));
    // Behind `offset` a plain duration ends at the operator.
    assert_eq!(grouped("a offset 5m - b"), "(a offset 5m - b)");
    assert_eq!(grouped("a offset -2 ^ 2"), "(a offset -2s ^ 2)");
    let Expr::Vector(v) = tree("a offset (5m - 1m)") else { panic!() };
    assert!(matches!(v.offset_expr, Some(DurationExpr::Paren(..))));
}

#[test]
fn matching_is_kept_only_between_vectors() {
    let Expr::Binary(b) = tree("a + on (x) group_left (y) fill_left (1) b") else { panic!() };
    let m = b.matching.unwrap();
    assert_eq!((m.card, m.on), (MatchCardinality::ManyToOne, true));
    assert_eq!((m.labels, m.include), (vec!["x".to_owned()], vec!["y".to_owned()]));
    assert_eq!((m.fill_left, m.fill_right), (Some(1.0), None));
    let Expr::Binary(b) = tree("a and b") else { panic!() };
    assert_eq!(b.matching.map(|m| m.card), Some(MatchCardinality::ManyToMany));
    let Expr::Binary(b) = tree("a + 1") else { panic!() };
    assert_eq!(b.matching, None);
}

#[test]
fn words_of_the_language_can_be_names() {
    for query in ["sum", "by{by=\"x\"}", "offset offset 5m", "fill + fill", "count by (sum, on, bool) (start)", "step"]
    {
        tree(query);
    }
    assert!(parse("bool").is_err());
}

#[test]
fn errors_are_those_of_prometheus() {
    let cases = [
        ("", "unknown position: parse error: no expression found in input"),
        ("# only this", "1:1: parse error: no expression found in input"),
        ("1+", "1:3: parse error: unexpected end of input"),
        ("a b", "1:3: parse error: unexpected identifier \"b\""),
        ("*1", "1:1: parse error: unexpected <op:*>"),
        ("sum(a b)", "1:7: parse error: unexpected identifier \"b\" in aggregation"),
        ("sum by a (b)", "1:8: parse error: unexpected identifier \"a\" in grouping opts, expected \"(\""),
        (
            "sum by (a b) (c)",
            "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
        ),
        ("sum by (1) (c)", "1:9: parse error: unexpected number \"1\" in grouping opts, expected label"),
        (
            "sum(a, b)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 1, got 2",
        ),
        ("topk()", "1:1: parse error: no arguments for aggregate expression provided"),
        ("nope(a)", "1:1: parse error: unknown function with name \"nope\""),
        ("rate(a)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector"),
        ("rate(a[5m], 1)", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 2"),
        ("label_join(a)", "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 1"),
        ("hour(a, b)", "1:1: parse error: expected at most 1 argument(s) in call to \"hour\", got 2"),
        ("rate(a[5m],)", "1:11: parse error: trailing commas not allowed in function call args"),
        ("info(a, b)", "1:9: parse error: expected label selectors only, got vector selector instead"),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("a{__name__=\"b\"}", "1:1: parse error: metric name must not be set twice: \"a\" or \"b\""),
        ("a{b}", "1:4: parse error: unexpected \"}\" in label matching, expected label matching operator"),
        ("a{b=c}", "1:5: parse error: unexpected identifier \"c\" in label matching, expected string"),
        ("a{,}", "1:3: parse error: unexpected \",\" in label matching, expected identifier or \"}\""),
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("a + bool b", "1:3: parse error: bool modifier can only be used on comparison operators"),
        ("1 and a", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"),
        ("a and on(x) group_left b", "1:1: parse error: no grouping allowed for \"and\" operation"),
        ("a + on(x) group_left(x) b", "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at once"),
        ("1 + on(x) a", "1:1: parse error: vector matching only allowed between instant vectors"),
        ("a[5m] + b", "1:1: parse error: binary expression must contain only scalar and instant vector types"),
        (
            "-\"x\"",
            "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
        ),
        ("1[5m]", "1:2: parse error: ranges only allowed for vector selectors"),
        ("a[0m]", "1:3: parse error: duration must be greater than 0"),
        ("a[5m", "1:5: parse error: unclosed left bracket"),
        (
            "a[]",
            "1:3: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        ("a offset 1m[5m]", "1:12: parse error: no offset modifiers allowed before range"),
        ("a offset 1m offset 1m", "1:1: parse error: offset may not be set multiple times"),
        (
            "a offset b",
            "1:10: parse error: unexpected identifier \"b\" in offset, expected number, duration, step(), or range()",
        ),
        ("a @ b", "1:5: parse error: unexpected identifier \"b\" in @, expected timestamp"),
        ("a @ inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"),
        ("a\n+\n)", "3:2: parse error: unexpected right parenthesis ')'"),
    ];
    refuses(&cases);
}

#[test]
fn errors_of_extended_ranges_and_durations_are_those_of_prometheus() {
    refuses(&[
        ("a anchored smoothed", "1:1: parse error: anchored and smoothed modifiers cannot be used together"),
        ("a[5m:] smoothed", "1:1: parse error: smoothed modifier is not supported for subqueries"),
        ("a[1h1d]", "1:3: parse error: not a valid duration string: \"1h1d\""),
        ("a[5m / 0]", "1:6: parse error: division by zero"),
    ]);
}

/// Each text is refused with this error.
fn refuses(cases: &[(&str, &str)]) {
    for (query, error) in cases {
        assert_eq!(parse(query).map(|e| e.to_string()).map_err(|e| e.to_string()), Err((*error).to_owned()), "{query}");
    }
}

#[test]
fn errors_of_operators_stand_behind_the_left_side() {
    let error = parse("a anchored + on(x) group_left(x) b").unwrap_err().to_string();
    assert_eq!(error, "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at once");
}

#[test]
fn text_and_depth_are_limited() {
    let error = |query: &str| parse(query).unwrap_err().message;
    let long = format!("a{{b=\"{}\"}}", "x".repeat(MAX_QUERY_LEN));
    assert_eq!(error(&long), format!("query of {} bytes is over the limit of 16384 bytes", long.len()));
    assert!(error(&"(".repeat(100_000)).contains("over the limit"));
    let deep = "expression is nested more than 100 levels deep";
    for (open, close) in [("(", ")"), ("-", ""), ("abs(", ")"), ("2^", ""), ("sum(", ")"), ("1+(", ")")] {
        let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert_eq!(error(&nested(2000)), deep, "{open}");
        let fits = nested(MAX_NESTING as usize / 2 - 2);
        assert!(parse(&fits).is_ok() || !error(&fits).contains("nested"), "{open}");
    }
    for (open, close) in [("(", ")"), ("-(", ")"), ("min_of(1,", ")"), ("2^", "")] {
        let query = format!("a[{}1{}]", open.repeat(1000), close.repeat(1000));
        assert_eq!(error(&query), deep, "{open}");
    }
    let chain = |operators: usize| format!("a{}", "+a".repeat(operators));
    assert!(parse(&chain(MAX_DEPTH as usize - 1)).is_ok());
    assert_eq!(error(&chain(MAX_DEPTH as usize)), "expression makes a tree of more than 250 levels");
    assert!(error(&format!("a[1{}]", "+1".repeat(5000))).contains("more than 250 levels"));
    assert!(error(&format!("a[5m:]{}", "[5m:]".repeat(3000))).contains("more than 250 levels"));
}

#[test]
fn the_deepest_tree_is_handled_on_a_small_stack() {
    let nested = format!("{}a{}", "(".repeat(MAX_NESTING as usize - 1), ")".repeat(MAX_NESTING as usize - 1));
    let chain = format!("a{}", "+a".repeat(MAX_DEPTH as usize - 1));
    let work = move || {
        for query in [nested, chain] {
            let expr = tree(&query);
            assert_eq!(parse(&expr.to_string()).unwrap().to_string(), expr.clone().to_string());
            assert!(!pretty(&expr).is_empty());
            drop(expr);
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn selectors_alone() {
    assert_eq!(parse_selector("up{job=\"a\"}").unwrap().len(), 2);
    assert_eq!(parse_selector("{}").unwrap().len(), 0);
    for query in ["", "up + 1", "up[5m]", "sum(up)", "1", "up offset 5m"] {
        assert!(parse_selector(query).is_err(), "{query}");
    }
}

#[test]
fn prints_as_prometheus_prints() {
    let cases = [
        ("sum by() (a{job='s'})", "sum(a{job=\"s\"})"),
        ("sum(a) without(x, \"y.z\")", "sum without (x, \"y.z\") (a)"),
        ("a - on(b) group_left c", "a - on (b) group_left () c"),
        ("a - ignoring() c", "a - c"),
        ("a + fill_left(5) fill_right(5) b", "a + fill (5) b"),
        ("a + fill_right(1e6) b", "a + fill_right (1e+06) b"),
        ("a{c='d',b=~'e'}[5m] @ 10 offset 1m anchored", "a{b=~\"e\",c=\"d\"}[5m] anchored @ 10.000 offset 1m"),
        ("{__name__='a', \"0\"='1'}", "{\"0\"=\"1\",__name__=\"a\"}"),
        ("a offset +(5)", "a offset (5)"),
        ("a[200-min_of(-step()^+step(),1)]", "a[200 - min_of(-step() ^ step(), 1)]"),
        ("count_values(\"a\\xc5z\", b)", "count_values(\"a\\xc5z\", b)"),
        ("0x10 + 1e3", "16 + 1000"),
        ("a > 1h30m", "a > 1h30m"),
        ("inf * 2", "+Inf * 2"),
        // Not so in Prometheus, which reads what it prints here as `+(Inf ^ 2)`.
        ("-Inf^step()", "-Inf ^ step()"),
    ];
    for (query, printed) in cases {
        assert_eq!(tree(query).to_string(), printed, "{query}");
    }
}

#[test]
fn long_expressions_are_split_over_lines() {
    let long = "a_very_long_metric_name_that_takes_half_a_line{label=\"value\"}";
    let query = format!("sum by (job) (rate({long}[5m])) / on (job) group_left () topk(5, {long} + -{long})");
    let lines = [
        "  sum by (job) (rate(a_very_long_metric_name_that_takes_half_a_line{label=\"value\"}[5m]))",
        "/ on (job) group_left ()",
        "  topk(",
        "    5,",
        "      a_very_long_metric_name_that_takes_half_a_line{label=\"value\"}",
        "    +",
        "      -a_very_long_metric_name_that_takes_half_a_line{label=\"value\"}",
        "  )",
    ];
    assert_eq!(pretty(&tree(&query)), lines.join("\n"));
}

/// Texts that are nearly queries.
fn near_queries() -> impl Strategy<Value = String> {
    let words = proptest::sample::select(vec![
        "a",
        "sum",
        "rate",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "offset",
        "@",
        "bool",
        "and",
        "or",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "=",
        "!=",
        "=~",
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "==",
        ">",
        "</",
        "1",
        "5m",
        "0x1f",
        "Inf",
        "\"x\"",
        "'y'",
        "`z`",
        "step()",
        "range()",
        "min_of(",
        "start()",
        "fill(",
        "anchored",
        "smoothed",
        "#",
        "\n",
        "\"\\xff\"",
        "topk",
        "info",
        "time",
        "\u{e9}",
        ".",
    ]);
    proptest::collection::vec((words, proptest::bool::weighted(0.7)), 0..30).prop_map(|words| {
        words.into_iter().map(|(w, space)| if space { format!("{w} ") } else { w.to_owned() }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn never_panics(text in any::<String>()) {
        let _ = parse(&text);
        let _ = parse_selector(&text);
    }

    #[test]
    fn what_is_printed_parses_to_the_same(query in near_queries()) {
        if let Ok(expr) = parse(&query) {
            let printed = expr.to_string();
            let again = parse(&printed);
            prop_assert!(again.is_ok(), "{query:?} printed as {printed:?}: {again:?}");
            prop_assert_eq!(again.unwrap().to_string(), printed);
        }
    }
}
