//! `/api/v1/parse_query`: a query's syntax tree in the form that Prometheus' UI draws.

use chronolith_promql::{
    ast::{
        AggregateExpr, AtModifier, BinaryExpr, DurationExpr, Expr, Extension, MatchCardinality, NumberLiteral,
        SubqueryExpr, ValueType, VectorMatching, VectorSelector,
    },
    format, parse,
};
use chronolith_storage::Matcher;

use crate::server::{
    json,
    request::Request,
    respond::{ApiError, Reply, Success},
};

/// The syntax tree of a query.
pub(crate) fn parse_query(request: &Request<'_>) -> Result<Reply, ApiError> {
    let parsed = parse(request.params.get("query")).map_err(|e| ApiError::invalid("query", e))?;
    Ok(Success::of(|out| expr(out, &parsed)))
}

/// Appends one node. The parser bounds the depth of a tree, so recursion is safe.
fn expr(out: &mut Vec<u8>, node: &Expr) {
    match node {
        Expr::Number(number) => text_node(out, "numberLiteral", &format::float(number.value)),
        Expr::String(string) => text_node(out, "stringLiteral", &string.value),
        Expr::Paren(paren) => {
            open(out, "parenExpr");
            field(out, "expr", |out| expr(out, &paren.expr));
            out.push(b'}');
        }
        Expr::Unary(unary) => {
            open(out, "unaryExpr");
            field(out, "op", |out| json::string(out, if unary.negative { "-" } else { "+" }));
            field(out, "expr", |out| expr(out, &unary.expr));
            out.push(b'}');
        }
        Expr::Vector(selector) => {
            open(out, "vectorSelector");
            selector_fields(out, selector);
            out.push(b'}');
        }
        Expr::Matrix(matrix) => {
            open(out, "matrixSelector");
            field(out, "range", |out| json::signed(out, matrix.range_ms));
            field(out, "rangeExpr", |out| optional_duration(out, matrix.range_expr.as_ref()));
            selector_fields(out, &matrix.selector);
            out.push(b'}');
        }
        Expr::Subquery(subquery) => subquery_node(out, subquery),
        Expr::Call(call) => {
            let signature = call.func;
            open(out, "call");
            field(out, "func", |out| {
                out.extend_from_slice(br#"{"name":"#);
                json::string(out, signature.name);
                field(out, "argTypes", |out| json::strings(out, signature.args.iter().copied().map(type_name)));
                field(out, "variadic", |out| json::signed(out, i64::from(signature.variadic)));
                field(out, "returnType", |out| json::string(out, type_name(signature.returns)));
                out.push(b'}');
            });
            field(out, "args", |out| json::array(out, &call.args, expr));
            out.push(b'}');
        }
        Expr::Aggregate(aggregate) => aggregate_node(out, aggregate),
        Expr::Binary(binary) => binary_node(out, binary),
    }
}

fn open(out: &mut Vec<u8>, kind: &str) {
    out.extend_from_slice(br#"{"type":"#);
    json::string(out, kind);
}

fn field(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b',');
    json::key(out, name);
    write(out);
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

fn text_node(out: &mut Vec<u8>, kind: &str, value: &str) {
    open(out, kind);
    field(out, "val", |out| json::string(out, value));
    out.push(b'}');
}

fn selector_fields(out: &mut Vec<u8>, selector: &VectorSelector) {
    field(out, "name", |out| json::string(out, selector.name.as_deref().unwrap_or("")));
    field(out, "offset", |out| json::signed(out, selector.offset_ms));
    field(out, "offsetExpr", |out| optional_duration(out, selector.offset_expr.as_ref()));
    field(out, "matchers", |out| json::array(out, &selector.matchers, matcher));
    at_fields(out, selector.at);
    field(out, "anchored", |out| json::boolean(out, selector.extension == Extension::Anchored));
    field(out, "smoothed", |out| json::boolean(out, selector.extension == Extension::Smoothed));
}

fn matcher(out: &mut Vec<u8>, matcher: &Matcher) {
    let fields = [("name", matcher.name()), ("value", matcher.value()), ("type", matcher.op().as_str())];
    json::object(out, fields, json::string);
}

fn at_fields(out: &mut Vec<u8>, at: Option<AtModifier>) {
    field(out, "timestamp", |out| match at {
        Some(AtModifier::Timestamp(ms)) => json::signed(out, ms),
        Some(AtModifier::Start | AtModifier::End) | None => null(out),
    });
    field(out, "startOrEnd", |out| match at {
        Some(AtModifier::Start) => json::string(out, "start"),
        Some(AtModifier::End) => json::string(out, "end"),
        Some(AtModifier::Timestamp(_)) | None => null(out),
    });
}

fn subquery_node(out: &mut Vec<u8>, subquery: &SubqueryExpr) {
    open(out, "subquery");
    field(out, "expr", |out| expr(out, &subquery.expr));
    field(out, "range", |out| json::signed(out, subquery.range_ms));
    field(out, "rangeExpr", |out| optional_duration(out, subquery.range_expr.as_ref()));
    field(out, "offset", |out| json::signed(out, subquery.offset_ms));
    field(out, "offsetExpr", |out| optional_duration(out, subquery.offset_expr.as_ref()));
    field(out, "step", |out| json::signed(out, subquery.step_ms));
    field(out, "stepExpr", |out| optional_duration(out, subquery.step_expr.as_ref()));
    at_fields(out, subquery.at);
    out.push(b'}');
}

fn aggregate_node(out: &mut Vec<u8>, aggregate: &AggregateExpr) {
    open(out, "aggregation");
    field(out, "op", |out| json::string(out, aggregate.op.as_str()));
    field(out, "expr", |out| expr(out, &aggregate.expr));
    field(out, "param", |out| match &aggregate.param {
        Some(param) => expr(out, param),
        None => null(out),
    });
    field(out, "grouping", |out| json::strings(out, &aggregate.grouping));
    field(out, "without", |out| json::boolean(out, aggregate.without));
    out.push(b'}');
}

fn binary_node(out: &mut Vec<u8>, binary: &BinaryExpr) {
    open(out, "binaryExpr");
    field(out, "op", |out| json::string(out, binary.op.as_str()));
    field(out, "lhs", |out| expr(out, &binary.lhs));
    field(out, "rhs", |out| expr(out, &binary.rhs));
    field(out, "matching", |out| match &binary.matching {
        Some(matching) => matching_node(out, matching),
        None => null(out),
    });
    field(out, "bool", |out| json::boolean(out, binary.return_bool));
    out.push(b'}');
}

fn matching_node(out: &mut Vec<u8>, matching: &VectorMatching) {
    let card = match matching.card {
        MatchCardinality::OneToOne => "one-to-one",
        MatchCardinality::ManyToOne => "many-to-one",
        MatchCardinality::OneToMany => "one-to-many",
        MatchCardinality::ManyToMany => "many-to-many",
    };
    out.extend_from_slice(br#"{"card":"#);
    json::string(out, card);
    field(out, "labels", |out| json::strings(out, &matching.labels));
    field(out, "on", |out| json::boolean(out, matching.on));
    field(out, "include", |out| json::strings(out, &matching.include));
    field(out, "fillValues", |out| {
        json::object(out, [("lhs", matching.fill_left), ("rhs", matching.fill_right)], |out, fill| match fill {
            // JSON has no number for NaN and the infinities.
            Some(v) if v.is_finite() => json::number(out, v),
            Some(_) | None => null(out),
        });
    });
    out.push(b'}');
}

const fn type_name(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Scalar => "scalar",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
        ValueType::String => "string",
    }
}

fn optional_duration(out: &mut Vec<u8>, duration: Option<&DurationExpr>) {
    match duration {
        Some(duration) => duration_node(out, duration, false),
        None => null(out),
    }
}

fn duration_node(out: &mut Vec<u8>, duration: &DurationExpr, mut wrapped: bool) {
    let (op, lhs, rhs) = match duration {
        DurationExpr::Literal(number) => return duration_literal(out, number),
        // A number has no place for its parentheses: Prometheus makes a sum of one of it.
        DurationExpr::Paren(inner, _) if matches!(**inner, DurationExpr::Literal(_)) => {
            wrapped = true;
            ("+", None, Some(inner))
        }
        DurationExpr::Paren(inner, _) => return duration_node(out, inner, true),
        DurationExpr::Step(_) => ("step", None, None),
        DurationExpr::Range(_) => ("range", None, None),
        DurationExpr::MinOf(a, b, _) => ("min_of", Some(a), Some(b)),
        DurationExpr::MaxOf(a, b, _) => ("max_of", Some(a), Some(b)),
        DurationExpr::Binary { op, lhs, rhs } => (op.as_str(), Some(lhs), Some(rhs)),
        DurationExpr::Unary { negative, expr, .. } => (if *negative { "-" } else { "+" }, None, Some(expr)),
    };
    open(out, "durationExpr");
    field(out, "op", |out| json::string(out, op));
    field(out, "lhs", |out| optional_duration(out, lhs.map(|side| &**side)));
    field(out, "rhs", |out| optional_duration(out, rhs.map(|side| &**side)));
    field(out, "wrapped", |out| json::boolean(out, wrapped));
    out.push(b'}');
}

fn duration_literal(out: &mut Vec<u8>, number: &NumberLiteral) {
    open(out, "numberLiteral");
    field(out, "val", |out| json::string(out, &format::float(number.value)));
    field(out, "duration", |out| json::boolean(out, number.is_duration));
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(query: &str) -> serde_json::Value {
        let mut out = Vec::new();
        expr(&mut out, &parse(query).unwrap());
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn the_tree_has_upstreams_form() {
        let json =
            tree(r#"sum by (job) (rate(up{a!~"b"}[5m] offset 1m)) / on (job) group_left (x) -foo @ 10 > bool 1"#);
        assert_eq!(json["type"], "binaryExpr");
        assert_eq!((&json["op"], &json["bool"]), (&">".into(), &true.into()));
        assert_eq!(json["rhs"], serde_json::json!({"type": "numberLiteral", "val": "1"}));
        let division = &json["lhs"];
        assert_eq!(
            division["matching"],
            serde_json::json!({"card": "many-to-one", "labels": ["job"], "on": true, "include": ["x"],
                "fillValues": {"lhs": null, "rhs": null}})
        );
        let sum = &division["lhs"];
        assert_eq!((&sum["type"], &sum["op"]), (&"aggregation".into(), &"sum".into()));
        assert_eq!(sum["grouping"], serde_json::json!(["job"]));
        assert_eq!(sum["param"], serde_json::Value::Null);
        let rate = &sum["expr"];
        assert_eq!(
            rate["func"],
            serde_json::json!({"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"})
        );
        let matrix = &rate["args"][0];
        assert_eq!((&matrix["range"], &matrix["offset"]), (&300_000.into(), &60_000.into()));
        assert_eq!(matrix["matchers"][0], serde_json::json!({"name": "a", "value": "b", "type": "!~"}));
        assert_eq!(division["rhs"]["expr"]["timestamp"], 10_000);
    }

    #[test]
    fn parentheses_around_a_number_are_kept() {
        let range = &tree("up[(5m) + step()]")["rangeExpr"];
        assert_eq!((&range["op"], &range["rhs"]["op"]), (&"+".into(), &"step".into()));
        assert_eq!(
            range["lhs"],
            serde_json::json!({"type": "durationExpr", "op": "+", "lhs": null, "wrapped": true,
                "rhs": {"type": "numberLiteral", "val": "300", "duration": true}})
        );
    }

    #[test]
    fn computed_durations_are_trees() {
        let json = tree("max_over_time(up[1h:(step() * 2)] @ end())");
        let subquery = &json["args"][0];
        assert_eq!((&subquery["range"], &subquery["startOrEnd"]), (&3_600_000.into(), &"end".into()));
        assert_eq!(subquery["stepExpr"]["op"], "*");
        assert_eq!(subquery["stepExpr"]["wrapped"], true);
        assert_eq!(subquery["stepExpr"]["lhs"]["op"], "step");
        assert_eq!(
            subquery["stepExpr"]["rhs"],
            serde_json::json!({"type": "numberLiteral", "val": "2", "duration": false})
        );
    }
}
