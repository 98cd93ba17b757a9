//! Rows that an UPDATE or a DELETE names by their primary key: an index finds them, and what the statement computes is
//! computed over them. To plan and run a query takes several times as long as all the rest of such a statement.

use std::ops::ControlFlow;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::{take, take_record_batch},
    datatypes::DataType,
};
use chronolith_storage::table::{ColumnDefinition, ColumnType, Rows, key_hashes};
use datafusion::{
    common::{DFSchema, ScalarValue},
    sql::sqlparser::ast::{
        BinaryOperator, Expr, FunctionArguments, Query, TableWithJoins, UnaryOperator, Value, Visitor,
    },
};

use super::{
    documents::{old_rows, seen_rows},
    target::Target,
    values::{Cell, cells_as, parameter},
};
use crate::{
    connection::{Connection, Evaluated},
    error::Result,
    parse::{ident, walk},
    scan::ids_by_key,
};

/// Functions that are computed over rows in hand as they are in a query.
const FUNCTIONS: [&str; 14] = [
    "now",
    "current_timestamp",
    "current_date",
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "abs",
    "length",
    "lower",
    "upper",
    "concat",
    "round",
    "replace",
];

/// The rows that the statement is about.
pub(super) struct Found {
    pub(super) ids: Vec<u64>,
    /// As they are held.
    pub(super) rows: Rows,
    /// As queries see them.
    pub(super) seen: RecordBatch,
    /// What the other expressions give for them.
    pub(super) values: Vec<Evaluated>,
}

/// The rows of the target that fulfil a condition which names their key, with the values of these expressions. `None`
/// when a query has to tell; it tells what is wrong with them, too.
pub(super) fn find(
    connection: &mut Connection,
    target: &Target,
    from: &TableWithJoins,
    condition: Option<&Expr>,
    exprs: &[&Expr],
    parameters: &[ScalarValue],
) -> Result<Option<Found>> {
    let definition = target.definition();
    let Some(condition) = condition.filter(|_| !definition.dynamic && from.joins.is_empty()) else { return Ok(None) };
    if !is_plain(condition) || !exprs.iter().all(|expr| is_plain(expr)) {
        return Ok(None);
    }
    let zone = connection.zone();
    let Some(hash) = hash_of(target, condition, parameters, &zone) else { return Ok(None) };
    let Some(ids) = ids_by_key(&target.table, hash)? else { return Ok(None) };
    let rows = old_rows(&target.table, &ids)?;
    let seen = seen_rows(target, &rows)?;
    let schema = DFSchema::try_from_qualified_schema(target.alias.as_str(), &seen.schema())?;
    let all = std::iter::once(condition).chain(exprs.iter().copied()).cloned().collect();
    let Ok(mut values) = connection.evaluate(all, &schema, &seen, parameters) else { return Ok(None) };
    let holds = values.remove(0).values;
    let Some(holds) = holds.as_boolean_opt() else { return Ok(None) };
    // Other keys may have the same hash.
    let kept = (0_u32..).zip(holds.iter()).filter(|(_, holds)| *holds == Some(true));
    let kept = UInt32Array::from_iter_values(kept.map(|(at, _)| at));
    if kept.len() == ids.len() {
        return Ok(Some(Found { ids, rows, seen, values }));
    }
    let values = values.into_iter().map(|value| Ok(Evaluated { values: take(&value.values, &kept, None)?, ..value }));
    Ok(Some(Found {
        ids: kept.values().iter().map(|at| ids[*at as usize]).collect(),
        rows: rows.take(&kept)?,
        seen: take_record_batch(&seen, &kept)?,
        values: values.collect::<Result<_>>()?,
    }))
}

/// Whether an expression has no query in it, and no function that is not computed row by row.
fn is_plain(expr: &Expr) -> bool {
    is_computed(expr, true)
}

/// Whether an expression is of nothing but literals, and of functions that give the same in all rows of a statement.
pub(super) fn is_constant(expr: &Expr) -> bool {
    is_computed(expr, false)
}

fn is_computed(expr: &Expr, with_columns: bool) -> bool {
    struct Plain {
        with_columns: bool,
    }
    impl Visitor for Plain {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let plain = match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.with_columns,
                Expr::Value(_)
                | Expr::Nested(_)
                | Expr::BinaryOp { .. }
                | Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus | UnaryOperator::Not, .. }
                | Expr::Cast { .. }
                | Expr::Case { .. }
                | Expr::Between { .. }
                | Expr::InList { .. }
                | Expr::IsNull(_)
                | Expr::IsNotNull(_)
                | Expr::Interval(_)
                | Expr::TypedString(_) => true,
                Expr::Function(call) => {
                    let name = call.name.0.as_slice();
                    let known = matches!(name, [name] if name.as_ident().is_some_and(|n| FUNCTIONS.contains(&ident(n).as_str())));
                    let bare = call.over.is_none() && call.filter.is_none() && call.within_group.is_empty();
                    let one_by_one = match &call.args {
                        FunctionArguments::List(list) => list.duplicate_treatment.is_none() && list.clauses.is_empty(),
                        other => matches!(other, FunctionArguments::None),
                    };
                    known && bare && one_by_one
                }
                _ => false,
            };
            if plain { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }
    }
    walk(expr, &mut Plain { with_columns }).is_continue()
}

/// The hash of the one key that rows have which fulfil a condition; `None` when it does not tell, or not simply.
fn hash_of(target: &Target, condition: &Expr, parameters: &[ScalarValue], zone: &str) -> Option<u64> {
    let definition = target.definition();
    let columns: Option<Vec<&ColumnDefinition>> =
        definition.primary_key.iter().map(|id| definition.column(*id)).collect();
    let columns = columns.filter(|columns| !columns.is_empty())?;
    let mut held: Vec<Option<ArrayRef>> = vec![None; columns.len()];
    let mut equal = |name: &Expr, value: &Expr| {
        let Some(at) = columns.iter().position(|column| names(target, column, name)) else { return };
        if held[at].is_none() {
            held[at] = key_value(&columns[at].column_type, value, parameters, zone);
        }
    };
    let mut open = vec![condition];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Nested(inner) => open.push(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => open.extend([&**left, &**right]),
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                equal(left, right);
                equal(right, left);
            }
            _ => {}
        }
    }
    let keys = columns.iter().zip(held).map(|(column, value)| Some((column.key()?, value?)));
    let rows = Rows::new(1, keys.collect::<Option<_>>()?).ok()?;
    key_hashes(definition, &rows).ok()?.into_iter().next().flatten()
}

/// Whether an expression is the column.
fn names(target: &Target, column: &ColumnDefinition, expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(name) => ident(name) == column.name,
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [table, name] => ident(table) == target.alias && ident(name) == column.name,
            _ => false,
        },
        _ => false,
    }
}

/// A value of a key's column that a comparison with it names; only those of which it is plain what they mean there.
fn key_value(column: &ColumnType, value: &Expr, parameters: &[ScalarValue], zone: &str) -> Option<ArrayRef> {
    let is_integer = matches!(column, ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8);
    let is_text = matches!(column, ColumnType::Text | ColumnType::Varchar(None) | ColumnType::Uuid);
    let integer = |text: String| text.parse::<i64>().ok().filter(|_| is_integer).map(|_| Cell::Text(text));
    let cell = match value {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => integer(number.clone())?,
            Value::SingleQuotedString(text) if is_text => Cell::Text(text.clone()),
            Value::Placeholder(name) => match parameter(name, parameters).ok()? {
                Cell::Value(value) if is_integer && value.data_type().is_signed_integer() => Cell::Value(value),
                Cell::Value(value) if is_text && is_string(&value.data_type()) => Cell::Value(value),
                _ => return None,
            },
            _ => return None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match &**expr {
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => integer(format!("-{number}"))?,
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    };
    cells_as(&[cell], column, zone, None).ok().filter(|array| array.null_count() == 0)
}

const fn is_string(of: &DataType) -> bool {
    matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}
