//! Plans operators and aggregates that are written with other functions.

use std::{
    fmt::{self, Debug},
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use datafusion::{
    common::{DFSchema, Result, ScalarValue, not_impl_err, plan_err, tree_node::TreeNode},
    functions_aggregate::{
        array_agg::array_agg_udaf,
        bool_and_or::bool_and_udaf,
        first_last::{first_value_udaf, last_value_udaf},
    },
    functions_nested::expr_fn::array_to_string,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ExprSchemable, GetFieldAccess, Operator, Signature,
        Volatility, binary_expr, cast,
        expr::{AggregateFunction, Placeholder},
        function::AccumulatorArgs,
        planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawFieldAccessExpr},
    },
    sql::sqlparser::ast::BinaryOperator,
};

use super::{arithmetic, chain, interval, json, scalar::PG_TYPE, spans, unknown, vectors};

/// Aggregates that [`Planner`] replaces, so that none is ever executed.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let marker = |name, aliases: &[&str]| {
        let aliases = aliases.iter().map(|&a| a.to_owned()).collect();
        AggregateUDF::new_from_impl(Marker { name, aliases, signature: Signature::variadic_any(Volatility::Immutable) })
    };
    vec![
        marker("jsonb_agg", &[]),
        marker("json_agg", &[]),
        marker("jsonb_object_agg", &[]),
        marker("json_object_agg", &[]),
        marker("first", &[]),
        marker("last", &[]),
        marker("every", &[]),
    ]
}

#[derive(PartialEq, Eq)]
struct Marker {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

impl Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Hash for Marker {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for Marker {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(args.first().cloned().unwrap_or(DataType::Null))
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{} over a window", self.name)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Planner;

/// Whether an expression's value is the text of JSON.
fn is_json(expr: &Expr, schema: &DFSchema) -> bool {
    // An operator's result has no such mark, and to ask for its field makes the names of all its operands.
    if matches!(expr, Expr::BinaryExpr(_)) {
        return false;
    }
    let field = expr.to_field(schema).map(|(_, field)| field);
    field.is_ok_and(|f| f.metadata().get(PG_TYPE).is_some_and(|t| matches!(t.as_str(), "json" | "jsonb")))
}

fn is_text(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr.get_type(schema), Ok(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null))
}

fn is_list(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr.get_type(schema), Ok(DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)))
}

/// A vector; one that is written as text, `[1,2,3]`, is read.
fn vector(expr: Expr, schema: &DFSchema) -> Expr {
    if is_text(&expr, schema) { vectors::of_text().call(vec![expr]) } else { expr }
}

/// A date plus or minus a number of days, or the days between two dates.
fn days(op: &BinaryOperator, left: &Expr, right: &Expr, schema: &DFSchema) -> Option<Expr> {
    let (of_left, of_right) = (left.get_type(schema).ok()?, right.get_type(schema).ok()?);
    let number = |e: &Expr| cast(cast(e.clone(), DataType::Int32), DataType::Int64);
    match (op, of_left, of_right) {
        (BinaryOperator::Minus, DataType::Date32, DataType::Date32) => {
            Some(cast(number(left) - number(right), DataType::Int32))
        }
        (BinaryOperator::Minus, DataType::Date32, of) if of.is_integer() => {
            Some(cast(cast(number(left) - right.clone(), DataType::Int32), DataType::Date32))
        }
        (BinaryOperator::Plus, DataType::Date32, of) if of.is_integer() => {
            Some(cast(cast(number(left) + right.clone(), DataType::Int32), DataType::Date32))
        }
        (BinaryOperator::Plus, of, DataType::Date32) if of.is_integer() => {
            Some(cast(cast(left.clone() + number(right), DataType::Int32), DataType::Date32))
        }
        // A date and an interval make a timestamp, whatever the interval.
        (BinaryOperator::Plus | BinaryOperator::Minus, DataType::Date32, DataType::Interval(_)) => {
            let op = if *op == BinaryOperator::Plus { Operator::Plus } else { Operator::Minus };
            Some(binary_expr(cast(left.clone(), TIMESTAMP), op, right.clone()))
        }
        (BinaryOperator::Plus, DataType::Interval(_), DataType::Date32) => {
            Some(cast(right.clone(), TIMESTAMP) + left.clone())
        }
        _ => None,
    }
}

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// An interval multiplied or divided by a number. A parameter of no type is the number.
fn scaled(op: &BinaryOperator, left: &Expr, right: &Expr, schema: &DFSchema) -> Option<Expr> {
    let scale = match op {
        BinaryOperator::Multiply => interval::times(),
        BinaryOperator::Divide => interval::divided(),
        _ => return None,
    };
    let is_span = |e: &Expr| matches!(e.get_type(schema), Ok(DataType::Interval(_)));
    let (span, number) = match (is_span(left), is_span(right)) {
        (true, false) => (left, right),
        (false, true) if *op == BinaryOperator::Multiply => (right, left),
        _ => return None,
    };
    let number = match number {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = Arc::new(Field::new("", DataType::Float64, true));
            Expr::Placeholder(Placeholder::new_with_field(id.clone(), Some(field)))
        }
        Expr::Literal(ScalarValue::Utf8(_) | ScalarValue::Utf8View(_), _) => cast(number.clone(), DataType::Float64),
        other => other.clone(),
    };
    let span = cast(span.clone(), DataType::Interval(IntervalUnit::MonthDayNano));
    Some(scale.udf().call(vec![span, number]))
}

/// What an aggregate of this name collected: jsonb has one form.
fn as_jsonb(name: &str, collected: Expr) -> Expr {
    if name.starts_with("jsonb") { json::jsonb_in().udf().call(vec![collected]) } else { collected }
}

/// string_agg in an order: as an array in that order. DataFusion has no two of different orders beside each other.
fn joined(mut raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
    let [value, separator] = raw.args.as_slice() else { return Ok(PlannerResult::Original(raw)) };
    if !matches!(separator, Expr::Literal(..)) {
        return Ok(PlannerResult::Original(raw));
    }
    let (value, separator) = (cast(value.clone(), DataType::Utf8View), separator.clone());
    let known = value.clone().is_not_null();
    let known = match raw.filter.take() {
        Some(filter) => filter.and(known),
        None => known,
    };
    let texts =
        AggregateFunction::new_udf(array_agg_udaf(), vec![value], false, Some(Box::new(known)), raw.order_by, None);
    let joined = array_to_string(Expr::AggregateFunction(texts), separator);
    Ok(PlannerResult::Planned(joined))
}

/// A literal that is compared with jsonb is jsonb, and is compared in its one form.
fn compared(op: &BinaryOperator, left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    use BinaryOperator as Op;
    let compares = matches!(op, Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq);
    let is_text =
        |e: &Expr| matches!(e, Expr::Literal(ScalarValue::Utf8(Some(_)) | ScalarValue::Utf8View(Some(_)), None));
    let is_jsonb = |e: &Expr| {
        if matches!(e, Expr::BinaryExpr(_)) {
            return false;
        }
        let field = e.to_field(schema).map(|(_, field)| field);
        field.is_ok_and(|f| f.metadata().get(PG_TYPE).is_some_and(|t| t == "jsonb"))
    };
    if !compares {
        return (left, right);
    }
    // The text of an object looks like that of an array, with which a statement may compare.
    let bare = |e: Expr| match e {
        Expr::ScalarFunction(mut call) if call.name() == "array_text" && call.args.first().is_some_and(is_jsonb) => {
            call.args.swap_remove(0)
        }
        other => other,
    };
    let (left, right) = (bare(left), bare(right));
    // Without a digit there is no number of which there are several forms, and columns are compared as they are.
    let is_plain = |e: &Expr| match e {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), None) => {
            !text.bytes().any(|b| b.is_ascii_digit())
        }
        _ => false,
    };
    let is_plain = is_plain(&left) || is_plain(&right);
    let (left, right) = if is_text(&right) && is_jsonb(&left) {
        (left, as_jsonb("jsonb", right))
    } else if is_text(&left) && is_jsonb(&right) {
        (as_jsonb("jsonb", left), right)
    } else if is_jsonb(&left) && is_jsonb(&right) {
        (left, right)
    } else {
        return (left, right);
    };
    let form = |e: Expr| if is_plain { e } else { json::jsonb_comparable().udf().call(vec![e]) };
    (form(left), form(right))
}

impl ExprPlanner for Planner {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = raw;
        let (left, right) = match chain::joined(&op, left, right, schema) {
            chain::Outcome::Joined(joined) => return Ok(PlannerResult::Planned(joined)),
            chain::Outcome::Apart(left, right) => (left, right),
        };
        let (left, right) = unknown::adopted(&op, left, right, schema)?;
        let (left, right) = compared(&op, left, right, schema);
        let (left, right) = match arithmetic::plan(&op, left, right, schema)? {
            arithmetic::Outcome::Planned(planned) => return Ok(PlannerResult::Planned(planned)),
            arithmetic::Outcome::Other(left, right) => (left, right),
        };
        // Those of numbers are one call by now.
        chain::check(&left)?;
        let (left, right) = spans::operands(&op, left, right, schema)?;
        if let Some(planned) = days(&op, &left, &right, schema) {
            return Ok(PlannerResult::Planned(planned));
        }
        if let Some(planned) = scaled(&op, &left, &right, schema) {
            return Ok(PlannerResult::Planned(planned));
        }
        let distance = match &op {
            BinaryOperator::Spaceship => Some(vectors::cosine_distance()),
            BinaryOperator::LtDashGt => Some(vectors::l2_distance()),
            BinaryOperator::Custom(name) if name == "<->" => Some(vectors::l2_distance()),
            BinaryOperator::Custom(name) if name == "<#>" => Some(vectors::negative_inner_product()),
            _ => None,
        };
        if let Some(distance) = distance
            && (is_list(&left, schema) || is_list(&right, schema) || op != BinaryOperator::Spaceship)
        {
            let args = vec![vector(left, schema), vector(right, schema)];
            return Ok(PlannerResult::Planned(distance.call(args)));
        }
        let json = match op {
            BinaryOperator::Minus => is_json(&left, schema),
            BinaryOperator::StringConcat => is_json(&left, schema) && is_json(&right, schema),
            BinaryOperator::AtArrow | BinaryOperator::ArrowAt => is_text(&left, schema) && is_text(&right, schema),
            _ => true,
        };
        match json::operator(&op) {
            Some(function) if json => Ok(PlannerResult::Planned(function.call(vec![left, right]))),
            _ => Ok(PlannerResult::Original(RawBinaryExpr { op, left, right })),
        }
    }

    fn plan_field_access(
        &self,
        raw: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if !is_text(&raw.expr, schema) {
            return Ok(PlannerResult::Original(raw));
        }
        let step = match &raw.field_access {
            GetFieldAccess::NamedStructField { name } => Expr::Literal(name.clone(), None),
            GetFieldAccess::ListIndex { key } => (**key).clone(),
            GetFieldAccess::ListRange { .. } => return Ok(PlannerResult::Original(raw)),
        };
        match json::operator(&BinaryOperator::Arrow) {
            Some(get) => Ok(PlannerResult::Planned(get.call(vec![raw.expr, step]))),
            None => Ok(PlannerResult::Original(raw)),
        }
    }

    fn plan_aggregate(&self, mut raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        // By its name, an expression with a cast is no other than one without: `sum(a), sum(a::numeric)` would be one column.
        let has_cast = |expr: &Expr| expr.exists(|expr| Ok(matches!(expr, Expr::Cast(_))));
        for arg in &mut raw.args {
            if has_cast(arg)? {
                let name = arg.to_string();
                *arg = std::mem::take(arg).alias(name);
            }
        }
        if raw.func.name() == "string_agg" && !raw.order_by.is_empty() && !raw.distinct {
            return joined(raw);
        }
        if raw.func.inner().downcast_ref::<Marker>().is_none() {
            return Ok(PlannerResult::Original(raw));
        }
        let name = raw.func.name().to_owned();
        let aggregate = |func, args, raw: RawAggregateExpr| {
            Expr::AggregateFunction(AggregateFunction::new_udf(
                func,
                args,
                raw.distinct,
                raw.filter,
                raw.order_by,
                raw.null_treatment,
            ))
        };
        let args = std::mem::take(&mut raw.args);
        let planned = match (name.as_str(), <[Expr; 2]>::try_from(args.clone())) {
            ("jsonb_agg" | "json_agg", _) if args.len() == 1 => {
                let pairs = args.into_iter().map(|value| json::pair().call(vec![value.clone(), value])).collect();
                as_jsonb(&name, json::of_list().call(vec![aggregate(array_agg_udaf(), pairs, raw)]))
            }
            ("jsonb_object_agg" | "json_object_agg", Ok([key, value])) => {
                let pair = json::pair().call(vec![key, value]);
                as_jsonb(&name, json::of_pairs().call(vec![aggregate(array_agg_udaf(), vec![pair], raw)]))
            }
            ("first" | "last", Ok([value, time])) => {
                if !raw.order_by.is_empty() {
                    return plan_err!("{name} orders by its second argument, and takes no ORDER BY");
                }
                let known = time.clone().is_not_null();
                let known = match raw.filter.take() {
                    Some(filter) => filter.and(known),
                    None => known,
                };
                raw.filter = Some(Box::new(known));
                raw.order_by = vec![time.sort(true, false)];
                let func = if name == "first" { first_value_udaf() } else { last_value_udaf() };
                aggregate(func, vec![value], raw)
            }
            ("every", _) if args.len() == 1 => aggregate(bool_and_udaf(), args, raw),
            ("first" | "last", _) => return plan_err!("{name} takes a value and a time"),
            ("jsonb_object_agg" | "json_object_agg", _) => return plan_err!("{name} takes a key and a value"),
            _ => return plan_err!("{name} takes one argument, not {}", args.len()),
        };
        Ok(PlannerResult::Planned(planned))
    }
}
