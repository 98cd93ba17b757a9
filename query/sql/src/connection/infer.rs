//! Types of parameters that a plan leaves open: what functions and CASE make of them, as PostgreSQL finds it out.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{DataType, Field};
use datafusion::{
    common::{DFSchema, tree_node::TreeNode, tree_node::TreeNodeRecursion},
    logical_expr::{Expr, ExprSchemable, LogicalPlan, expr::Placeholder},
};

use crate::{error::Result, types::PG_TYPE};

/// Types of parameters by number.
pub(super) type Found = BTreeMap<usize, Field>;

/// Learns the types of the parameters of a plan that are still open.
///
/// # Errors
/// None that a well-formed plan gives.
pub(super) fn from_plan(plan: &LogicalPlan, found: &mut Found) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let mut schema = DFSchema::clone(node.schema());
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                learn(expr, &schema, found);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// The number of an expression that is a parameter of no type yet.
fn open(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Placeholder(Placeholder { id, field: None }) => super::prepare::number_of(id),
        _ => None,
    }
}

fn field_of(expr: &Expr, schema: &DFSchema) -> Option<Field> {
    if open(expr).is_some() {
        return None;
    }
    let (_, field) = expr.to_field(schema).ok()?;
    (field.data_type() != &DataType::Null).then(|| field.as_ref().clone())
}

fn put(found: &mut Found, expr: &Expr, field: Option<Field>) {
    if let (Some(number), Some(field)) = (open(expr), field) {
        found.entry(number).or_insert(field);
    }
}

/// Values that have one type: those that are known tell it to the others.
fn alike<'e>(found: &mut Found, schema: &DFSchema, exprs: impl Iterator<Item = &'e Expr> + Clone) {
    if !exprs.clone().any(|expr| open(expr).is_some()) {
        return;
    }
    let known = exprs.clone().find_map(|expr| field_of(expr, schema));
    exprs.for_each(|expr| put(found, expr, known.clone()));
}

fn learn(expr: &Expr, schema: &DFSchema, found: &mut Found) {
    match expr {
        Expr::ScalarFunction(call) => function(call.func.name(), &call.args, schema, found),
        Expr::Case(case) => {
            for (when, _) in &case.when_then_expr {
                if case.expr.is_none() {
                    put(found, when, Some(Field::new("", DataType::Boolean, true)));
                }
            }
            let tested = case.expr.iter().chain(case.when_then_expr.iter().map(|(when, _)| when));
            if case.expr.is_some() {
                alike(found, schema, tested.map(|e| &**e));
            }
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            alike(found, schema, results.map(|e| &**e));
        }
        _ => {}
    }
}

fn function(name: &str, args: &[Expr], schema: &DFSchema, found: &mut Found) {
    let of = |data_type| Some(Field::new("", data_type, true));
    match (name, args) {
        // `x = ANY (list)` is planned as this.
        ("array_has", [list, element]) => {
            put(found, list, field_of(element, schema).as_ref().map(list_of));
            put(found, element, field_of(list, schema).as_ref().and_then(element_of));
        }
        ("coalesce" | "greatest" | "least" | "nullif" | "nvl", args) => alike(found, schema, args.iter()),
        ("jsonb_contains" | "jsonb_contained", args) => {
            for arg in args {
                put(found, arg, of(DataType::Utf8View).map(as_jsonb));
            }
        }
        ("substr" | "substring", [_, places @ ..]) => {
            places.iter().for_each(|place| put(found, place, of(DataType::Int32)));
        }
        ("lpad" | "rpad", [_, number, ..]) => put(found, number, of(DataType::Int32)),
        ("left" | "right" | "repeat" | "round" | "trunc", [_, number]) => put(found, number, of(DataType::Int32)),
        _ => {}
    }
}

fn as_jsonb(field: Field) -> Field {
    field.with_metadata([(PG_TYPE.to_owned(), "jsonb".to_owned())].into())
}

/// A list of what a field holds. Its name of a type is that of the elements.
fn list_of(field: &Field) -> Field {
    let elements = Arc::new(Field::new_list_field(field.data_type().clone(), true));
    let list = Field::new("", DataType::List(elements), true);
    match field.metadata().get(PG_TYPE) {
        // Elements of any length are texts.
        Some(name) if name != "varchar" && name != "bpchar" => {
            list.with_metadata([(PG_TYPE.to_owned(), format!("_{name}"))].into())
        }
        _ => list,
    }
}

fn element_of(field: &Field) -> Option<Field> {
    let DataType::List(element) = field.data_type() else { return None };
    let plain = Field::new("", element.data_type().clone(), true);
    Some(match field.metadata().get(PG_TYPE).and_then(|name| name.strip_prefix('_')) {
        Some(name) => plain.with_metadata([(PG_TYPE.to_owned(), name.to_owned())].into()),
        None => plain,
    })
}
