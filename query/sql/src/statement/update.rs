//! UPDATE: a query gives the rows and their new values; the old ones are deleted, the new ones inserted.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::datatypes::UInt64Type;
use chronolith_storage::{
    engine::OnConflict as KeyConflict,
    table::{ColumnDefinition, ColumnId},
};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{
        Assignment, AssignmentTarget, Expr, ObjectName, Query, SelectItem, SetExpr, Statement, TableFactor,
        TableWithJoins, Update, UpdateTableFromKind, Value, With,
    },
};
use roaring::RoaringTreemap;

use super::{
    Written, gone,
    insert::told_of_change,
    returning,
    rows::{Given, NewRows, Values},
    target::Target,
};
use crate::{
    connection::{Connection, select},
    error::{Result, SqlError},
    parse::{ident, parse_expr, quoted},
    scan::ROW_ID_COLUMN,
};

/// The table that UPDATE and DELETE name, which must be one table without a join.
///
/// # Errors
/// When it is something else, or there is no such table.
pub(crate) fn find(connection: &Connection, table: &TableWithJoins, statement: &str) -> Result<Target> {
    match &table.relation {
        TableFactor::Table { name, alias, args: None, .. } if table.joins.is_empty() => {
            if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
                return Err(SqlError::unsupported(format!("{statement} with aliases of columns")));
            }
            Target::find(connection, name, alias.as_ref().map(|alias| &alias.name))
        }
        _ => Err(SqlError::unsupported(format!("{statement} of something else than one table"))),
    }
}

/// The columns that assignments set, with what to.
///
/// # Errors
/// When a column is not there, or is set twice.
pub(crate) fn assignments(target: &Target, assignments: &[Assignment]) -> Result<Vec<(ColumnId, Expr)>> {
    let mut out: Vec<(ColumnId, Expr)> = Vec::new();
    let mut put = |name: &ObjectName, value: &Expr| -> Result<()> {
        let [part] = name.0.as_slice() else {
            return Err(SqlError::unsupported(format!("setting {name}")).with_hint("name the column without its table"));
        };
        let name = part.as_ident().map(ident).unwrap_or_default();
        let column = target.column(&name)?;
        if out.iter().any(|(id, _)| *id == column.id) {
            return Err(SqlError::new(b"42601", format!("multiple assignments to same column \"{name}\"")));
        }
        out.push((column.id, or_default(value, column)?));
        Ok(())
    };
    for assignment in assignments {
        match (&assignment.target, &assignment.value) {
            (AssignmentTarget::ColumnName(name), value) => put(name, value)?,
            (AssignmentTarget::Tuple(names), Expr::Tuple(values)) if names.len() == values.len() => {
                for (name, value) in names.iter().zip(values) {
                    put(name, value)?;
                }
            }
            (AssignmentTarget::Tuple(_), _) => {
                return Err(SqlError::unsupported(
                    "setting several columns to something else than as many expressions",
                ));
            }
        }
    }
    Ok(out)
}

/// What DEFAULT stands for.
fn or_default(value: &Expr, column: &ColumnDefinition) -> Result<Expr> {
    match value {
        Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default") => {
            if column.serial {
                return Err(SqlError::unsupported(format!("setting the serial column \"{}\" to DEFAULT", column.name)));
            }
            match &column.default {
                Some(default) => parse_expr(default),
                None => Ok(Expr::Value(Value::Null.into())),
            }
        }
        other => Ok(other.clone()),
    }
}

/// The query of the rows that an UPDATE changes: their ids, then the new values of all declared columns.
///
/// # Errors
/// When the statement is wrong.
pub(crate) fn query(target: &Target, statement: &Update, with: Option<&With>) -> Result<Query> {
    let assigned = assignments(target, &statement.assignments)?;
    let mut items = vec![item(qualified(target, ROW_ID_COLUMN), 0)];
    for (place, column) in (1..).zip(&target.definition().columns) {
        let new = assigned.iter().find(|(id, _)| *id == column.id).map(|(_, expr)| expr.clone());
        items.push(item(new.unwrap_or_else(|| qualified(target, &column.name)), place));
    }
    let mut query = select(items)?;
    query.with = with.cloned();
    if let SetExpr::Select(select) = &mut *query.body {
        select.from = vec![statement.table.clone()];
        match &statement.from {
            None => {}
            Some(UpdateTableFromKind::AfterSet(from)) => select.from.extend(from.iter().cloned()),
            Some(UpdateTableFromKind::BeforeSet(_)) => return Err(SqlError::unsupported("FROM before SET")),
        }
        select.selection.clone_from(&statement.selection);
    }
    Ok(query)
}

/// A column of the target.
pub(crate) fn qualified(target: &Target, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![quoted(&target.alias), quoted(column)])
}

/// A column of a query whose name no one else has.
pub(crate) fn item(expr: Expr, place: usize) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: quoted(&format!("\u{1}{place}")) }
}

/// Runs an UPDATE.
///
/// # Errors
/// When it is wrong, or its new rows do not fit.
pub(crate) async fn run(
    connection: &mut Connection,
    statement: &Update,
    with: Option<&With>,
    parameters: &[ScalarValue],
) -> Result<Written> {
    let foreign = statement.or.is_some()
        || statement.output.is_some()
        || !statement.order_by.is_empty()
        || statement.limit.is_some();
    if foreign {
        return Err(SqlError::unsupported("this form of UPDATE").with_hint("write it as PostgreSQL has it"));
    }
    let target = find(connection, &statement.table, "UPDATE")?;
    if target.definition().dynamic {
        return Err(SqlError::unsupported(format!("UPDATE of \"{}\", whose rows are documents,", target.name))
            .with_hint("delete the documents and add them anew"));
    }
    let query = query(&target, statement, with)?;
    connection.scope.show_row_ids(Some(&target.name));
    let found = connection.collect(Statement::Query(Box::new(query)), parameters).await;
    connection.scope.show_row_ids(None);
    let (schema, batches) = found?;
    let batch = arrow::compute::concat_batches(&schema, &batches)?;
    let (ids, places) = distinct_ids(batch.column(0))?;
    let mut given = BTreeMap::new();
    for (column, values) in target.definition().columns.iter().zip(&batch.columns()[1..]) {
        let values: ArrayRef = match &places {
            None => Arc::clone(values),
            Some(places) => arrow::compute::take(values, places, None)?,
        };
        given.insert(column.id, Values::Seen(values));
    }
    let count = usize::try_from(ids.len()).unwrap_or(usize::MAX);
    let rows = NewRows::make(connection, &target, count, &Given { columns: given, fields: BTreeMap::new() })?;
    let table = target.definition().id;
    let inserted = rows.to_rows(&target)?;
    gone::delete(connection, &target.table, &ids)?;
    let done = connection.transaction()?.insert(table, inserted, KeyConflict::Refuse);
    done.map_err(|e| told_of_change(connection, e, &target, &ids))?;
    let mut written = Written::done(format!("UPDATE {count}"));
    if let Some(items) = &statement.returning {
        let (schema, rows) = returning::rows(connection, &target, &rows.as_seen(&target)?, items, parameters)?;
        written.returned = Some((schema, rows, "UPDATE"));
    }
    Ok(written)
}

/// The row ids, and the places of the first row of each where one comes twice.
pub(crate) fn distinct_ids(column: &ArrayRef) -> Result<(RoaringTreemap, Option<UInt32Array>)> {
    let Some(values) = column.as_primitive_opt::<UInt64Type>() else {
        return Err(SqlError::new(b"XX000", "row ids have another type"));
    };
    let mut ids = RoaringTreemap::new();
    let places: Vec<u32> =
        (0_u32..).zip(values.values()).filter(|(_, id)| ids.insert(**id)).map(|(at, _)| at).collect();
    let all = places.len() == values.len();
    Ok((ids, (!all).then(|| UInt32Array::from(places))))
}
