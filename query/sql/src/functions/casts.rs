//! Casts in which PostgreSQL and Arrow differ: numbers are rounded, texts look and are read as in PostgreSQL.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, StringViewArray},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, FieldRef},
};
use chronolith_storage::table::ColumnType;
use datafusion::{
    common::{
        DFSchema, Result, ScalarValue, plan_err,
        tree_node::{Transformed, TreeNode, TreeNodeIterator},
    },
    config::ConfigOptions,
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, GroupingSet, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
        ScalarUDFImpl, Signature, Volatility, expr_rewriter::NamePreserver, utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use super::{scalar::PG_TYPE, shown, zoned::zone_of};
use crate::{
    error::to_plan,
    types::{PG_TYPMOD, assign, query_type},
};

/// Puts these casts in. It runs when the types of all expressions are known, casts that nobody wrote among them.
#[derive(Debug)]
pub(super) struct PgCasts;

impl AnalyzerRule for PgCasts {
    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
        let zone = zone_of(options);
        let up = |plan: LogicalPlan| {
            let rewritten = each_expr(plan, |expr, schema| casts(expr, schema, zone))?;
            if rewritten.transformed { rewritten.map_data(LogicalPlan::recompute_schema) } else { Ok(rewritten) }
        };
        plan.transform_up_with_subqueries(up).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "pg_casts"
    }
}

/// Changes the expressions of a node, whose inputs were changed, by what they are evaluated with. Columns keep their names.
pub(super) fn each_expr(
    plan: LogicalPlan,
    change: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    let mut schema = merge_schema(&plan.inputs());
    if plan.inputs().is_empty() {
        schema = DFSchema::clone(plan.schema());
    }
    plan.map_expressions(|expr| named(&names, expr, |expr| change(expr, &schema)))
}

/// Changes an expression of a plan, whose column keeps its name; of grouping sets, the columns of the groups in them.
fn named(
    names: &NamePreserver,
    expr: Expr,
    change: impl Fn(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<Expr>> {
    let one = |expr: Expr| {
        let name = names.save(&expr);
        change(expr)?.map_data(|expr| Ok(name.restore(expr)))
    };
    match expr {
        Expr::GroupingSet(GroupingSet::Rollup(groups)) => groups
            .into_iter()
            .map_until_stop_and_collect(one)?
            .map_data(|all| Ok(Expr::GroupingSet(GroupingSet::Rollup(all)))),
        Expr::GroupingSet(GroupingSet::Cube(groups)) => groups
            .into_iter()
            .map_until_stop_and_collect(one)?
            .map_data(|all| Ok(Expr::GroupingSet(GroupingSet::Cube(all)))),
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => sets
            .into_iter()
            .map_until_stop_and_collect(|set| set.into_iter().map_until_stop_and_collect(one))?
            .map_data(|all| Ok(Expr::GroupingSet(GroupingSet::GroupingSets(all)))),
        other => one(other),
    }
}

/// An expression, whose types are those that it is evaluated with, with PostgreSQL's casts.
pub(crate) fn casts(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let Expr::Cast(of) = &expr else { return Ok(Transformed::no(expr)) };
        let from = of.expr.to_field(schema)?.1;
        let Some(way) = way(&from, &of.field) else { return Ok(Transformed::no(expr)) };
        let cast = PgCast {
            way,
            to: Arc::clone(&of.field),
            zone: zone.to_owned(),
            signature: Signature::user_defined(Volatility::Immutable),
        };
        Ok(Transformed::yes(ScalarUDF::new_from_impl(cast).call(vec![*of.expr.clone()])))
    })
}

/// How a cast is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    /// As a value is put into a column of the type.
    Assigned,
    /// As the text that is shown.
    Shown,
    /// As it is, with another name of its type.
    Named,
}

/// How a cast is done that Arrow does otherwise; nothing when it does the same.
fn way(from: &Field, to: &Field) -> Option<Way> {
    use DataType as T;
    match (from.data_type(), to.data_type()) {
        (of, T::Int16 | T::Int32 | T::Int64) if of.is_floating() || of.is_decimal() => Some(Way::Assigned),
        (of, T::List(_)) if of.is_string() => Some(Way::Assigned),
        // Functions of texts take bytes as they are.
        (T::Binary | T::LargeBinary | T::BinaryView, of) if of.is_string() && to.metadata().is_empty() => None,
        (of, to) if to.is_string() && shown::is_own(of) => Some(Way::Shown),
        (of, written) if of.is_string() && written.is_string() => {
            match to.metadata().get(PG_TYPE).map(String::as_str) {
                Some("uuid") if from.metadata().get(PG_TYPE).is_none_or(|name| name != "uuid") => Some(Way::Assigned),
                Some("text" | "varchar" | "bpchar") => Some(Way::Named),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The column type whose values a type's are.
fn column_type(to: &Field) -> Option<ColumnType> {
    use DataType as T;
    let named = |of: &T| {
        Some(match of {
            T::Boolean => ColumnType::Bool,
            T::Int16 => ColumnType::Int2,
            T::Int32 => ColumnType::Int4,
            T::Int64 => ColumnType::Int8,
            T::Float32 => ColumnType::Float4,
            T::Float64 => ColumnType::Float8,
            T::Date32 => ColumnType::Date,
            T::Time64(_) => ColumnType::Time,
            T::Timestamp(_, None) => ColumnType::Timestamp,
            T::Timestamp(_, Some(_)) => ColumnType::TimestampTz,
            T::Interval(_) => ColumnType::Interval,
            T::Decimal128(precision, scale) => {
                ColumnType::Numeric { precision: Some(*precision), scale: u8::try_from(*scale).ok()? }
            }
            of if of.is_string() => ColumnType::Text,
            _ => return None,
        })
    };
    match (to.data_type(), to.metadata().get(PG_TYPE).map(String::as_str)) {
        (_, Some("uuid")) => Some(ColumnType::Uuid),
        (T::List(of), _) => Some(ColumnType::Array(Box::new(named(of.data_type())?))),
        (of, _) => named(of),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PgCast {
    way: Way,
    to: FieldRef,
    zone: String,
    signature: Signature,
}

impl PgCast {
    fn cast(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let own = match self.way {
            Way::Shown => Arc::new(shown::texts(values, &self.zone)?),
            Way::Named => Arc::clone(values),
            Way::Assigned => match column_type(&self.to) {
                Some(of) => {
                    let assigned = assign(values, &of, &self.zone).map_err(to_plan)?;
                    strictly(&assigned, &query_type(&of))?
                }
                None => Arc::clone(values),
            },
        };
        let cut = match self.to.metadata().get(PG_TYPMOD).and_then(|modifier| modifier.parse::<usize>().ok()) {
            Some(modifier) if self.to.data_type().is_string() => {
                let texts = strictly(&own, &DataType::Utf8View)?;
                let short =
                    texts.as_string_view().iter().map(|text| text.map(|t| shortened(t, modifier.saturating_sub(4))));
                Arc::new(short.collect::<StringViewArray>())
            }
            _ => own,
        };
        strictly(&cut, self.to.data_type())
    }
}

fn shortened(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(at, _)| &text[..at])
}

fn strictly(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if values.data_type() == to {
        return Ok(Arc::clone(values));
    }
    Ok(cast_with_options(values, to, &CastOptions { safe: false, ..CastOptions::default() })?)
}

impl ScalarUDFImpl for PgCast {
    fn name(&self) -> &str {
        "pg_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(given.to_vec())
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(match args {
            [of] => format!("CAST({of} AS {})", self.to.data_type()),
            _ => self.name().to_owned(),
        })
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::clone(&self.to).with_name(self.name()).with_nullable(nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(self.cast(values)?)),
            [ColumnarValue::Scalar(value)] => {
                let cast = self.cast(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast, 0)?))
            }
            _ => plan_err!("a cast is of one value"),
        }
    }
}
