//! Rows by their primary keys: what of a filter names keys, so that their index finds the rows.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, TimestampMicrosecondType, TimestampNanosecondType},
};
use chronolith_storage::table::{ColumnDefinition, Kind, Rows, TableDefinition, key_hashes};
use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, expr::InList},
};

/// Keys that a filter may name; more are left to it.
const MOST_KEYS: usize = 1_000;

/// The hashes of all keys that rows have which fulfil all filters. `None` when the filters do not tell.
pub(crate) fn hashes(filters: &[Expr], definition: &TableDefinition) -> Option<Vec<u64>> {
    let mut equal: HashMap<&str, Vec<&ScalarValue>> = HashMap::new();
    filters.iter().for_each(|filter| equalities(filter, &mut equal));
    let columns: Option<Vec<&ColumnDefinition>> =
        definition.primary_key.iter().map(|id| definition.column(*id)).collect();
    let columns = columns.filter(|columns| !columns.is_empty())?;
    let values: Option<Vec<&Vec<&ScalarValue>>> =
        columns.iter().map(|column| equal.get(column.name.as_str())).collect();
    let values = values?;
    let count = values.iter().try_fold(1_usize, |count, values| count.checked_mul(values.len()))?;
    if count > MOST_KEYS {
        return None;
    }
    // Every value of a column with every one of the columns before it.
    let mut repeat = count;
    let mut held = Vec::with_capacity(columns.len());
    for (column, values) in columns.iter().zip(values) {
        repeat /= values.len();
        let all: Vec<ScalarValue> = (0..count).map(|at| values[at / repeat % values.len()].clone()).collect();
        held.push((column.key()?, as_held(column.key()?.kind, ScalarValue::iter_to_array(all).ok()?)?));
    }
    let rows = Rows::new(count, held).ok()?;
    Some(key_hashes(definition, &rows).ok()?.into_iter().flatten().collect())
}

/// Collects what columns must be equal to: one of these values.
fn equalities<'a>(filter: &'a Expr, out: &mut HashMap<&'a str, Vec<&'a ScalarValue>>) {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            equalities(left, out);
            equalities(right, out);
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (&**left, &**right) {
            (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column)) => {
                out.entry(&column.name).or_insert_with(|| vec![value]);
            }
            _ => {}
        },
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => {
            // A short list is written as alternatives.
            let mut values = Vec::new();
            if let Some(name) = alternatives(filter, &mut values) {
                out.entry(name).or_insert(values);
            }
        }
        Expr::InList(InList { expr, list, negated: false }) if !list.is_empty() && list.len() <= MOST_KEYS => {
            let Expr::Column(column) = &**expr else { return };
            let values: Option<Vec<&ScalarValue>> =
                list.iter().map(|value| if let Expr::Literal(value, _) = value { Some(value) } else { None }).collect();
            if let Some(values) = values {
                out.entry(&column.name).or_insert(values);
            }
        }
        _ => {}
    }
}

/// The one column that alternatives compare with values.
fn alternatives<'a>(filter: &'a Expr, values: &mut Vec<&'a ScalarValue>) -> Option<&'a str> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let name = alternatives(left, values)?;
            (alternatives(right, values)? == name).then_some(name)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (&**left, &**right) {
            (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column)) => {
                values.push(value);
                Some(&column.name)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Values of a filter as the key's column holds them. The planner has made them of the column's type as queries see it.
fn as_held(kind: Kind, values: ArrayRef) -> Option<ArrayRef> {
    let wanted = kind.arrow();
    match (kind, values.data_type()) {
        (_, is) if *is == wanted => Some(values),
        (Kind::Text, DataType::Utf8 | DataType::LargeUtf8) => cast(&values, &DataType::Utf8View).ok(),
        (Kind::Micros, DataType::Timestamp(..)) => {
            let moments = values.as_primitive_opt::<TimestampMicrosecondType>()?;
            Some(Arc::new(moments.clone().with_timezone_opt(None::<&str>)))
        }
        (Kind::Nanos, DataType::Timestamp(..)) => {
            let moments = values.as_primitive_opt::<TimestampNanosecondType>()?;
            Some(Arc::new(moments.clone().with_timezone_opt(None::<&str>)))
        }
        _ => None,
    }
}
