//! UPDATE: a query gives the rows and their new values; the old ones are deleted, the new ones inserted.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::datatypes::UInt64Type;
use chronolith_storage::{
    engine::OnConflict as KeyConflict,
    table::{ColumnDefinition, Rows, TableSnapshot},
};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{
        Assignment, AssignmentTarget, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query,
        SelectItem, SetExpr, Statement, TableFactor, TableWithJoins, Update, UpdateTableFromKind, Value, Visitor, With,
    },
};
use roaring::RoaringTreemap;

use super::{
    Written, by_key,
    documents::{Change, changed, check_apart, field_path, old_rows, seen_rows},
    gone,
    insert::{Place, told_of_change},
    returning::{self, Others},
    rows::{Given, NewRows, Values},
    target::Target,
};
use crate::{
    connection::{Connection, select},
    error::{Result, SqlError},
    parse::{ident, parse_expr, quoted, walk},
    scan::ROW_ID_COLUMN,
    types::is_json,
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
pub(crate) fn assignments(target: &Target, assignments: &[Assignment]) -> Result<Vec<(Place, Expr)>> {
    let mut out: Vec<(Place, Expr)> = Vec::new();
    let mut put = |name: &ObjectName, value: &Expr| -> Result<()> {
        let (place, value) = assignment(target, name, value)?;
        if out.iter().any(|(other, _)| *other == place) {
            return Err(SqlError::new(b"42601", format!("multiple assignments to same column \"{name}\"")));
        }
        out.push((place, value));
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
            (AssignmentTarget::Tuple(names), value) => {
                for (name, value) in names.iter().zip(parts(value, names.len())?) {
                    put(name, &value)?;
                }
            }
        }
    }
    check_apart(out.iter().filter_map(|(place, _)| match place {
        Place::Field(field) => Some(field.as_str()),
        Place::Column(_) => None,
    }))?;
    Ok(out)
}

/// What each of several columns is set to by one value: the parts of a ROW, or the columns of a query.
fn parts(value: &Expr, wanted: usize) -> Result<Vec<Expr>> {
    let number = || SqlError::new(b"42601", "number of columns does not match number of values");
    let refused = || SqlError::unsupported("setting several columns to something else than a row or a simple query");
    let found = match value {
        Expr::Nested(inner) => return parts(inner, wanted),
        Expr::Tuple(values) => values.clone(),
        Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("row") => match &call.args {
            FunctionArguments::List(list) => {
                let args = list.args.iter().map(|arg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr.clone()),
                    _ => Err(refused()),
                });
                args.collect::<Result<_>>()?
            }
            _ => return Err(refused()),
        },
        Expr::Subquery(query) => columns_of(query).ok_or_else(refused)?,
        _ => return Err(refused()),
    };
    if found.len() == wanted { Ok(found) } else { Err(number()) }
}

/// A query for each column of a query: what they read is the same, since a statement sees one moment. `None` when they cannot
/// be told from the text.
fn columns_of(query: &Query) -> Option<Vec<Expr>> {
    struct Calls(bool);
    impl Visitor for Calls {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            self.0 |= matches!(expr, Expr::Function(_));
            ControlFlow::Continue(())
        }
    }
    let SetExpr::Select(select) = &*query.body else { return None };
    let is_expr = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    if !select.projection.iter().all(is_expr) {
        return None;
    }
    let mut calls = Calls(false);
    let _ = walk(query, &mut calls);
    let is_plain = !calls.0 && select.distinct.is_none();
    let names: Vec<Ident> = (0..select.projection.len()).map(|at| quoted(&format!("\u{1}{at}"))).collect();
    let columns = (0..names.len()).map(|at| {
        let mut one = query.clone();
        let SetExpr::Select(select) = &mut *one.body else { return None };
        if is_plain {
            select.projection = vec![select.projection.swap_remove(at)];
            return Some(Expr::Subquery(Box::new(one)));
        }
        // Without one of its columns it may be another query: one that aggregates no more, or has other distinct rows.
        for (item, name) in select.projection.iter_mut().zip(&names) {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: name.clone() };
            }
        }
        let text = format!("SELECT {} FROM ({one}) AS \"\u{1}\"", names[at]);
        match crate::parse::parse(&text).ok()?? {
            Statement::Query(query) => Some(Expr::Subquery(query)),
            _ => None,
        }
    });
    columns.collect()
}

/// What a name is set to.
fn assignment(target: &Target, name: &ObjectName, value: &Expr) -> Result<(Place, Expr)> {
    let parts: Option<Vec<Ident>> = name.0.iter().map(|part| part.as_ident().cloned()).collect();
    let parts = parts.unwrap_or_default();
    let declared = match parts.as_slice() {
        [part] => Some(target.column(&ident(part))),
        _ => None,
    };
    match declared {
        Some(Ok(column)) => Ok((Place::Column(column.id), or_default(value, column)?)),
        _ if target.definition().dynamic => {
            let value = if is_default(value) { Expr::Value(Value::Null.into()) } else { value.clone() };
            Ok((Place::Field(field_path(target, &parts)?), value))
        }
        Some(Err(error)) => Err(error),
        None => Err(SqlError::unsupported(format!("setting {name}")).with_hint("name the column without its table")),
    }
}

fn is_default(value: &Expr) -> bool {
    matches!(value, Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"))
}

/// What DEFAULT stands for.
fn or_default(value: &Expr, column: &ColumnDefinition) -> Result<Expr> {
    match value {
        default if is_default(default) => {
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

/// The query of the rows that an UPDATE changes: their ids, then the new values of all declared columns; of a dynamic
/// table, of what is set.
///
/// # Errors
/// When the statement is wrong.
pub(crate) fn query(target: &Target, statement: &Update, with: Option<&With>) -> Result<Query> {
    let assigned = assignments(target, &statement.assignments)?;
    let mut items = vec![item(qualified(target, ROW_ID_COLUMN), 0)];
    if target.definition().dynamic {
        items.extend((1..).zip(assigned).map(|(place, (_, expr))| item(expr, place)));
    } else {
        for (place, column) in (1..).zip(&target.definition().columns) {
            let new = assigned.iter().find(|(of, _)| *of == Place::Column(column.id)).map(|(_, expr)| expr.clone());
            items.push(item(new.unwrap_or_else(|| qualified(target, &column.name)), place));
        }
    }
    let from = from(statement)?;
    if statement.returning.is_some() {
        items.extend(returning::names_of(from).iter().map(returning::all_of));
    }
    let mut query = select(items)?;
    query.with = with.cloned();
    if let SetExpr::Select(select) = &mut *query.body {
        select.from = vec![statement.table.clone()];
        select.from.extend(from.iter().cloned());
        select.selection.clone_from(&statement.selection);
    }
    Ok(query)
}

/// The tables that the target is joined with.
///
/// # Errors
/// `0A000` for what PostgreSQL does not have.
pub(crate) fn from(statement: &Update) -> Result<&[TableWithJoins]> {
    match &statement.from {
        None => Ok(&[]),
        Some(UpdateTableFromKind::AfterSet(from)) => Ok(from),
        Some(UpdateTableFromKind::BeforeSet(_)) => Err(SqlError::unsupported("FROM before SET")),
    }
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
    let mut returned = statement.returning.clone();
    let answered = Box::pin(connection.answer_inside(returning::exprs(returned.as_mut()), parameters)).await?;
    let returned = returned.as_deref();
    if with.is_none()
        && let Some((count, rows)) = by_key(connection, &target, statement, parameters)?
    {
        return finish(connection, &target, (count, &rows), None, returned, &answered);
    }
    let query = query(&target, statement, with)?;
    connection.scope.show_row_ids(Some(&target.name));
    let found = connection.collect_qualified(Statement::Query(Box::new(query)), parameters).await;
    connection.scope.show_row_ids(None);
    let (schema, batches) = found?;
    let batch = arrow::compute::concat_batches(schema.inner(), &batches)?;
    let (ids, places) = distinct_ids(batch.column(0))?;
    let batch = match &places {
        None => batch,
        Some(places) => arrow::compute::take_record_batch(&batch, places)?,
    };
    let assigned = assignments(&target, &statement.assignments)?;
    let is_dynamic = target.definition().dynamic;
    let own = 1 + if is_dynamic { assigned.len() } else { target.definition().columns.len() };
    let others = match returned.is_some() && batch.num_columns() > own {
        true => Some(Others::of(&schema, &batch, own)?),
        false => None,
    };
    let inserted = if is_dynamic {
        changed_documents(connection, &target, &assigned, &batch)?
    } else {
        let columns = target.definition().columns.iter().zip(&batch.columns()[1..]);
        let columns = columns.map(|(column, values)| (column.id, Values::Seen(Arc::clone(values)))).collect();
        let given = Given { columns, fields: BTreeMap::new() };
        NewRows::make(connection, &target, batch.num_rows(), &given)?.to_rows(&target)?
    };
    let written = write(connection, &target, &target.table, &ids, &inserted)?;
    finish(connection, &target, (written, &inserted), others.as_ref(), returned, &answered)
}

/// What an UPDATE that wrote rows tells: how many, and what RETURNING makes of them and of what they were joined with.
fn finish(
    connection: &mut Connection,
    target: &Target,
    (count, rows): (usize, &Rows),
    others: Option<&Others>,
    returned: Option<&[SelectItem]>,
    parameters: &[ScalarValue],
) -> Result<Written> {
    let mut written = Written::done(format!("UPDATE {count}"));
    if let Some(items) = returned {
        let rows = seen_rows(target, rows)?;
        let (schema, rows) = returning::rows(connection, target, &rows, others, items, parameters)?;
        written.returned = Some((schema, rows, "UPDATE"));
    }
    Ok(written)
}

/// Changes rows that the condition names by their key. Gives how many, and them; `None` when a query has to tell.
fn by_key(
    connection: &mut Connection,
    target: &Target,
    statement: &Update,
    parameters: &[ScalarValue],
) -> Result<Option<(usize, Rows)>> {
    if statement.from.is_some() {
        return Ok(None);
    }
    let assigned = assignments(target, &statement.assignments)?;
    let exprs: Vec<&Expr> = assigned.iter().map(|(_, expr)| expr).collect();
    let condition = statement.selection.as_ref();
    let found = by_key::find(connection, target, &statement.table, condition, &exprs, parameters)?;
    let Some(found) = found else { return Ok(None) };
    let changes = assigned.into_iter().zip(found.values).map(|((place, _), value)| {
        let is_json = is_json(&value.field);
        Change { place, values: Values::Seen(value.values), is_json }
    });
    let changed = changed(connection, target, &found.rows, &changes.collect::<Vec<_>>())?;
    let ids = found.ids.into_iter().collect();
    let count = write(connection, target, &target.table, &ids, &changed)?;
    Ok(Some((count, changed)))
}

/// Puts new rows in the place of old ones, which this snapshot of the table has. Gives how many.
pub(crate) fn write(
    connection: &mut Connection,
    target: &Target,
    table: &TableSnapshot,
    ids: &RoaringTreemap,
    rows: &Rows,
) -> Result<usize> {
    gone::delete(connection, table, ids)?;
    let done = connection.transaction()?.insert(table.definition.id, rows.clone(), KeyConflict::Refuse);
    done.map_err(|e| told_of_change(connection, e, target, ids))?;
    Ok(rows.len())
}

/// The rows of a dynamic table with what a query of their ids and new values tells.
fn changed_documents(
    connection: &Connection,
    target: &Target,
    assigned: &[(Place, Expr)],
    batch: &RecordBatch,
) -> Result<Rows> {
    let Some(ids) = batch.column(0).as_primitive_opt::<UInt64Type>() else { return Err(wrong_ids()) };
    let old = old_rows(&target.table, ids.values())?;
    let schema = batch.schema();
    let values = batch.columns().iter().zip(schema.fields()).skip(1);
    let changes = assigned.iter().zip(values).map(|((place, _), (values, field))| Change {
        place: place.clone(),
        values: Values::Seen(Arc::clone(values)),
        is_json: is_json(field),
    });
    changed(connection, target, &old, &changes.collect::<Vec<_>>())
}

fn wrong_ids() -> SqlError {
    SqlError::new(b"XX000", "row ids have another type")
}

/// The row ids, and the places of the first row of each where one comes twice.
pub(crate) fn distinct_ids(column: &ArrayRef) -> Result<(RoaringTreemap, Option<UInt32Array>)> {
    let Some(values) = column.as_primitive_opt::<UInt64Type>() else {
        return Err(wrong_ids());
    };
    let mut ids = RoaringTreemap::new();
    let places: Vec<u32> =
        (0_u32..).zip(values.values()).filter(|(_, id)| ids.insert(**id)).map(|(at, _)| at).collect();
    let all = places.len() == values.len();
    Ok((ids, (!all).then(|| UInt32Array::from(places))))
}
