//! time_bucket_gapfill: finds it in GROUP BY and puts a node that adds the missing buckets above the aggregate.
//!
//! As in TimescaleDB, the buckets run from the bucket of the lower bound to the last one that starts before the upper
//! bound, for each combination of the other group keys; rows outside the bounds stay. The bounds are the third and fourth
//! argument, or what WHERE says of the time. In buckets that were missing aggregates are null, but for `locf(x)`, which
//! carries the last value forward, and `interpolate(x)`, which draws a line to the next value.

use std::{collections::HashSet, fmt, sync::Arc};

use datafusion::{
    common::{
        Column, DFSchema, DFSchemaRef, Result, ScalarValue, not_impl_err, plan_err,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    config::ConfigOptions,
    logical_expr::{
        Aggregate, Cast, Expr, ExprSchemable, Extension, Filter, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF,
        UserDefinedLogicalNodeCore, expr::ScalarFunction, utils::split_conjunction,
    },
    optimizer::AnalyzerRule,
};

use super::{
    bucket::{GAPFILL_NAME, time_bucket},
    scalar::{Arg, Scalar, Shape, with},
};

const LOCF: &str = "locf";
const INTERPOLATE: &str = "interpolate";

/// locf and interpolate, which have a meaning only beside `time_bucket_gapfill`.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    const CARRY: &[Shape] = &[with(&[Arg::Any], &[Arg::Bool])];
    const LINE: &[Shape] = &[with(&[Arg::Int], &[]), with(&[Arg::Float], &[])];
    let make = |name, shapes| {
        Scalar::new(
            name,
            shapes,
            |args| Ok(args[0].clone()),
            |call| {
                plan_err!(
                    "{} has a meaning only in a query that groups by time_bucket_gapfill, over an aggregate",
                    call.name
                )
            },
        )
        .udf()
    };
    vec![make(LOCF, CARRY), make(INTERPOLATE, LINE)]
}

/// What a column is in a bucket that was missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub(super) enum Fill {
    /// The bucket's time.
    Time,
    /// A group key: what it is for the rest of the group.
    Group,
    /// Null.
    Null,
    /// The value before; of the last row that has one, if `skip_nulls`.
    Locf { skip_nulls: bool },
    /// A value on the line between the value before and the next one.
    Interpolate,
}

/// Adds missing buckets. The input has a row for each bucket and combination of group keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct GapFill {
    pub(super) input: LogicalPlan,
    /// One for each column of the input.
    pub(super) fills: Vec<Fill>,
    /// Width of the buckets, lower and upper bound: constants once the plan is optimized.
    pub(super) bounds: [Expr; 3],
    /// Whether the lower bound itself lies outside.
    pub(super) after: bool,
    /// Whether the upper bound itself lies inside.
    pub(super) through: bool,
    schema: DFSchemaRef,
}

impl PartialOrd for GapFill {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        let key = |of: &Self| (of.fills.clone(), of.bounds.clone(), of.after, of.through);
        key(self).partial_cmp(&key(other)).filter(|order| order.is_ne() || self == other)
    }
}

impl GapFill {
    fn new(input: LogicalPlan, fills: Vec<Fill>, bounds: [Expr; 3], after: bool, through: bool) -> Result<Self> {
        let fields = input
            .schema()
            .iter()
            .map(|(qualifier, field)| (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(true))));
        let schema = DFSchema::new_with_metadata(fields.collect(), input.schema().metadata().clone())?;
        Ok(Self { input, fills, bounds, after, through, schema: Arc::new(schema) })
    }
}

impl UserDefinedLogicalNodeCore for GapFill {
    fn name(&self) -> &str {
        "GapFill"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.bounds.to_vec()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [width, low, high] = &self.bounds;
        write!(f, "GapFill: width={width}, from={low}, to={high}, {:?}", self.fills)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (<[Expr; 3]>::try_from(exprs), inputs.pop()) {
            (Ok(bounds), Some(input)) => Self::new(input, self.fills.clone(), bounds, self.after, self.through),
            _ => plan_err!("GapFill has three expressions and an input"),
        }
    }

    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.fills.len()).collect()])
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct GapFillRule;

impl AnalyzerRule for GapFillRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "gap_fill"
    }
}

fn is_call(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.name() == name)
}

fn gap_fill(plan: &LogicalPlan) -> Option<&GapFill> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}

fn node(of: GapFill) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(of) })
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.iter().any(|e| contains(e, GAPFILL_NAME)) => {
            Ok(Transformed::yes(over_aggregate(aggregate)?))
        }
        // HAVING chooses among the rows that are there; then the gaps are filled.
        LogicalPlan::Filter(filter) if gap_fill(&filter.input).is_some() => match gap_fill(&filter.input) {
            Some(fill) => {
                let mut fill = fill.clone();
                fill.input = LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(fill.input))?);
                Ok(Transformed::yes(node(fill)))
            }
            None => Ok(Transformed::no(LogicalPlan::Filter(filter))),
        },
        LogicalPlan::Projection(projection) if has_fills(&projection.expr) => {
            let mut input = Arc::unwrap_or_clone(projection.input);
            let mut exprs = Vec::new();
            for expr in projection.expr {
                let (name, replaced) = (expr.schema_name().to_string(), take_fills(expr.clone(), &mut input)?);
                let qualifier = if let Expr::Alias(alias) = &expr { alias.relation.clone() } else { None };
                let plain = matches!(&expr, Expr::Column(_)) || replaced == expr;
                exprs.push(if plain { replaced } else { replaced.unalias().alias_qualified(qualifier, name) });
            }
            Ok(Transformed::yes(LogicalPlanBuilder::from(input).project(exprs)?.build()?))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn contains(expr: &Expr, name: &str) -> bool {
    expr.exists(|e| Ok(is_call(e, name))).unwrap_or(false)
}

fn has_fills(exprs: &[Expr]) -> bool {
    exprs.iter().any(|e| contains(e, LOCF) || contains(e, INTERPOLATE))
}

/// The node over an aggregate that groups by `time_bucket_gapfill`.
fn over_aggregate(aggregate: Aggregate) -> Result<LogicalPlan> {
    let names: Vec<(Option<_>, String)> =
        aggregate.schema.iter().map(|(qualifier, field)| (qualifier.cloned(), field.name().clone())).collect();
    let mut groups = Vec::new();
    let mut found = None;
    for (at, expr) in aggregate.group_expr.into_iter().enumerate() {
        let call = match expr.clone().unalias() {
            Expr::ScalarFunction(call) if call.func.name() == GAPFILL_NAME => call,
            _ if contains(&expr, GAPFILL_NAME) => {
                return not_impl_err!("{GAPFILL_NAME} inside of another expression of GROUP BY, or in grouping sets");
            }
            _ => {
                groups.push(expr);
                continue;
            }
        };
        if found.is_some() {
            return plan_err!("multiple {GAPFILL_NAME} calls in GROUP BY");
        }
        let plain = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(time_bucket()), call.args[..2].to_vec()));
        groups.push(plain.alias_qualified(names[at].0.clone(), names[at].1.clone()));
        found = Some((at, call.args));
    }
    let Some((time, args)) = found else { return plan_err!("no {GAPFILL_NAME} in GROUP BY") };
    let count = groups.len();
    let bounds = Bounds::find(&args, &aggregate.input)?;
    let aggregate = LogicalPlan::Aggregate(Aggregate::try_new(aggregate.input, groups, aggregate.aggr_expr)?);
    let fill = |at: usize| {
        if at == time {
            Fill::Time
        } else if at < count {
            Fill::Group
        } else {
            Fill::Null
        }
    };
    let fills = (0..aggregate.schema().fields().len()).map(fill).collect();
    let [low, high] = bounds.exprs;
    GapFill::new(aggregate, fills, [args[0].clone(), low, high], bounds.after, bounds.through).map(node)
}

/// Between which times buckets are filled.
struct Bounds {
    exprs: [Expr; 2],
    after: bool,
    through: bool,
}

impl Bounds {
    /// From the arguments, or else from the filters right below the aggregate.
    fn find(args: &[Expr], input: &LogicalPlan) -> Result<Self> {
        let null = |e: Option<&Expr>| e.is_none_or(|e| matches!(without_casts(e), Expr::Literal(v, _) if v.is_null()));
        let [mut low, mut high] =
            [2, 3].map(|at| args.get(at).filter(|&e| !null(Some(e))).cloned().map(|e| (e, false)));
        let time = without_casts(&args[1]);
        let mut below = input;
        while let LogicalPlan::Filter(filter) = below {
            for condition in split_conjunction(&filter.predicate) {
                let (from, to) = bounds_of(condition, time);
                low = low.or(from);
                high = high.or(to);
            }
            below = &filter.input;
        }
        let missing = |what: &str, sign: &str| {
            plan_err!(
                "missing {GAPFILL_NAME} argument: could not infer {what} from WHERE clause; write the {what} as an \
                 argument or {sign} of the time in WHERE"
            )
        };
        let Some((low, after)) = low else { return missing("start", ">=") };
        let Some((high, through)) = high else { return missing("finish", "<") };
        let schema = input.schema();
        let of = args[1].get_type(schema)?;
        let cast = |e: Expr| -> Result<Expr> {
            if !e.column_refs().is_empty() {
                return plan_err!("the bounds of {GAPFILL_NAME} must not depend on the rows");
            }
            let empty = DFSchema::empty();
            Ok(if e.get_type(&empty)? == of { e } else { Expr::Cast(Cast::new(Box::new(e), of.clone())) })
        };
        Ok(Self { exprs: [cast(low)?, cast(high)?], after, through })
    }
}

/// An expression without the casts around it, which the analyzer puts there to make types equal.
pub(super) fn without_casts(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => without_casts(&cast.expr),
        Expr::Alias(alias) => without_casts(&alias.expr),
        other => other,
    }
}

type Bound = Option<(Expr, bool)>;

/// The bounds that a condition sets to the time: the lower with whether it lies outside, the upper with whether inside.
fn bounds_of(condition: &Expr, time: &Expr) -> (Bound, Bound) {
    let outer = |e: &Expr| !e.column_refs().is_empty();
    match condition {
        Expr::Between(between) if !between.negated && without_casts(&between.expr) == time => {
            (Some(((*between.low).clone(), false)), Some(((*between.high).clone(), true)))
        }
        Expr::BinaryExpr(binary) => {
            let (left, right) = (without_casts(&binary.left), without_casts(&binary.right));
            let (op, bound) = match (left == time, right == time) {
                (true, false) if !outer(right) => (Some(binary.op), &*binary.right),
                (false, true) if !outer(left) => (binary.op.swap(), &*binary.left),
                _ => return (None, None),
            };
            match op {
                Some(Operator::Gt) => (Some((bound.clone(), true)), None),
                Some(Operator::GtEq) => (Some((bound.clone(), false)), None),
                Some(Operator::Lt) => (None, Some((bound.clone(), false))),
                Some(Operator::LtEq) => (None, Some((bound.clone(), true))),
                Some(Operator::Eq) => (Some((bound.clone(), false)), Some((bound.clone(), true))),
                _ => (None, None),
            }
        }
        _ => (None, None),
    }
}

/// Replaces locf and interpolate in an expression by columns that the node below it fills so.
fn take_fills(expr: Expr, input: &mut LogicalPlan) -> Result<Expr> {
    let replaced = expr.transform_down(|e| {
        let Expr::ScalarFunction(call) = &e else { return Ok(Transformed::no(e)) };
        let fill = match call.func.name() {
            INTERPOLATE => Fill::Interpolate,
            LOCF => match call.args.get(1) {
                None => Fill::Locf { skip_nulls: false },
                Some(Expr::Literal(ScalarValue::Boolean(Some(skip_nulls)), _)) => {
                    Fill::Locf { skip_nulls: *skip_nulls }
                }
                Some(_) => return plan_err!("locf(value, treat_null_as_missing) takes true or false as constants"),
            },
            _ => return Ok(Transformed::no(e)),
        };
        let column = add_fill(input, call.args[0].clone(), fill)?;
        Ok(Transformed::new(Expr::Column(column), true, TreeNodeRecursion::Jump))
    });
    replaced.map(|replaced| replaced.data)
}

/// Adds a column to the node that a plan is or has below its windows. Returns the column.
fn add_fill(plan: &mut LogicalPlan, value: Expr, fill: Fill) -> Result<Column> {
    if let LogicalPlan::Window(window) = plan {
        let mut input = window.input.as_ref().clone();
        let column = add_fill(&mut input, value, fill)?;
        *plan = LogicalPlanBuilder::from(input).window(window.window_expr.clone())?.build()?;
        return Ok(column);
    }
    let Some(of) = gap_fill(plan) else {
        return plan_err!("locf and interpolate stand in the select list of a query that groups by {GAPFILL_NAME}");
    };
    let schema = of.input.schema();
    let known: HashSet<&Column> = value.column_refs();
    if known.iter().any(|column| !schema.has_column(column)) {
        return plan_err!("locf and interpolate take aggregates and group keys, not window functions");
    }
    let name = format!("__gap_fill_{}", of.fills.len());
    let mut exprs: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    exprs.push(value.alias(name.clone()));
    let input = LogicalPlanBuilder::from(of.input.clone()).project(exprs)?.build()?;
    let mut fills = of.fills.clone();
    fills.push(fill);
    *plan = node(GapFill::new(input, fills, of.bounds.clone(), of.after, of.through)?);
    Ok(Column::from_name(name))
}
