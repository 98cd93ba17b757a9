//! INSERT: from values, a query, or defaults; what to do on conflict; RETURNING.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions, UInt32Array},
    datatypes::Schema,
};
use chronolith_storage::{StorageError, engine::OnConflict as KeyConflict, table::ColumnId};
use datafusion::{
    common::{DFSchema, ScalarValue},
    sql::sqlparser::ast::{
        Expr, Ident, Insert, OnConflictAction, OnInsert, Query, SetExpr, Statement, TableObject, Values as ValuesList,
        With,
    },
};

use roaring::RoaringTreemap;

use super::{
    Written,
    documents::{FieldValues, field_path},
    returning,
    rows::{Given, NewRows, Values, default_values},
    target::{Target, no_column},
    upsert,
    values::{self, Cell, Literals, cells_as, cells_of_field},
};
use crate::{
    connection::{Connection, check_query, naming},
    error::{Result, SqlError},
    parse::ident,
    types::is_json,
};

/// A column that a statement gives values of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A declared column.
    Column(ColumnId),
    /// A field of a dynamic table.
    Field(String),
}

/// Runs an INSERT.
///
/// # Errors
/// When it is wrong, or its rows do not fit.
pub(crate) async fn run(
    connection: &mut Connection,
    statement: &Insert,
    with: Option<&With>,
    parameters: &[ScalarValue],
) -> Result<Written> {
    let target = find(connection, statement)?;
    let mut statement = Insert::clone(statement);
    let parameters = Box::pin(connection.answer_inside(evaluated(&mut statement), parameters)).await?;
    let (statement, parameters) = (&statement, parameters.as_slice());
    let given = Box::pin(source(connection, statement, with, &target, parameters)).await?;
    let (len, given) = given;
    let rows = NewRows::make(connection, &target, len, &given)?;
    let (count, batch) = match &statement.on {
        None => {
            let inserted = rows.to_rows(&target)?;
            connection
                .transaction()?
                .insert(target.definition().id, inserted, KeyConflict::Refuse)
                .map_err(|e| told(e, &target))?;
            (len, rows.as_seen(&target)?)
        }
        Some(OnInsert::OnConflict(on)) => {
            upsert::check_target(&target, on.conflict_target.as_ref(), &on.action)?;
            match &on.action {
                OnConflictAction::DoNothing => {
                    let inserted = rows.to_rows(&target)?;
                    let places =
                        connection.transaction()?.insert(target.definition().id, inserted, KeyConflict::Skip)?;
                    let seen = rows.as_seen(&target)?;
                    let count = places.len();
                    (count, arrow::compute::take_record_batch(&seen, &UInt32Array::from(places))?)
                }
                OnConflictAction::DoUpdate(update) => upsert::run(connection, &target, &rows, update, parameters)?,
            }
        }
        Some(other) => return Err(SqlError::unsupported(other.to_string().trim_start())),
    };
    finish(connection, &target, statement, count, &batch, parameters)
}

/// The expressions that are evaluated over rows in hand: those of VALUES, of what is set on conflict, of RETURNING.
fn evaluated(statement: &mut Insert) -> impl Iterator<Item = &mut Expr> {
    let values = statement.source.as_mut().and_then(|source| match &mut *source.body {
        SetExpr::Values(values) => Some(values.rows.iter_mut().flat_map(|row| &mut row.content)),
        _ => None,
    });
    let update = statement.on.as_mut().and_then(|on| match on {
        OnInsert::OnConflict(on) => match &mut on.action {
            OnConflictAction::DoUpdate(update) => Some(update),
            OnConflictAction::DoNothing => None,
        },
        _ => None,
    });
    let set = update.into_iter().flat_map(|update| {
        update.assignments.iter_mut().map(|assignment| &mut assignment.value).chain(&mut update.selection)
    });
    values.into_iter().flatten().chain(set).chain(returning::exprs(statement.returning.as_mut()))
}

fn finish(
    connection: &mut Connection,
    target: &Target,
    statement: &Insert,
    count: usize,
    batch: &RecordBatch,
    parameters: &[ScalarValue],
) -> Result<Written> {
    let mut written = Written::done(format!("INSERT 0 {count}"));
    if let Some(items) = &statement.returning {
        let (schema, rows) = returning::rows(connection, target, batch, None, items, parameters)?;
        written.returned = Some((schema, rows, "INSERT 0"));
    }
    Ok(written)
}

/// The table of an INSERT.
///
/// # Errors
/// When there is none, or the statement has something that PostgreSQL does not have.
pub(crate) fn find(connection: &Connection, statement: &Insert) -> Result<Target> {
    let TableObject::TableName(name) = &statement.table else {
        return Err(SqlError::unsupported("INSERT into something else than a table"));
    };
    let foreign = statement.or.is_some()
        || statement.ignore
        || statement.overwrite
        || statement.replace_into
        || statement.partitioned.is_some()
        || !statement.assignments.is_empty()
        || statement.output.is_some()
        || statement.multi_table_insert_type.is_some();
    if foreign {
        return Err(SqlError::unsupported("this form of INSERT").with_hint("write it as PostgreSQL has it"));
    }
    let alias = statement.table_alias.as_ref().map(|alias| &alias.alias);
    Target::find(connection, name, alias)
}

/// The columns that an INSERT names: all when it names none.
///
/// # Errors
/// When there is no such column, or it comes twice.
pub(crate) fn places(target: &Target, names: &[Ident]) -> Result<Vec<Place>> {
    if names.is_empty() {
        return Ok(target.definition().columns.iter().map(|column| Place::Column(column.id)).collect());
    }
    let mut seen = std::collections::BTreeSet::new();
    let places = names.iter().map(|name| {
        let folded = ident(name);
        if !seen.insert(folded.clone()) {
            return Err(SqlError::new(b"42701", format!("column \"{folded}\" specified more than once")));
        }
        match target.column(&folded) {
            Ok(column) => Ok(Place::Column(column.id)),
            Err(_) if target.definition().dynamic => Ok(Place::Field(field_path(target, std::slice::from_ref(name))?)),
            Err(_) => Err(no_column(&folded, &target.name)),
        }
    });
    places.collect()
}

/// The names of an INSERT's columns.
pub(crate) fn column_names(statement: &Insert) -> Result<Vec<Ident>> {
    let names = statement.columns.iter().map(|name| match name.0.as_slice() {
        [part] => {
            part.as_ident().cloned().ok_or_else(|| SqlError::new(b"42601", format!("invalid column name: {name}")))
        }
        _ => Err(SqlError::unsupported(format!("the column name {name}"))),
    });
    names.collect()
}

/// The values that an INSERT gives, and of how many rows.
async fn source(
    connection: &mut Connection,
    statement: &Insert,
    with: Option<&With>,
    target: &Target,
    parameters: &[ScalarValue],
) -> Result<(usize, Given)> {
    let names = column_names(statement)?;
    let places = places(target, &names)?;
    let Some(query) = &statement.source else { return Ok((1, Given::default())) };
    if let SetExpr::Values(list) = &*query.body
        && query.order_by.is_none()
        && query.limit_clause.is_none()
    {
        if let Some(found) = values::literals(list, parameters)?
            && let Some(found) = with_constants(connection, target, found, parameters)
        {
            return literals(connection, target, &places, names.is_empty(), &found.columns);
        }
        if has_default(list) {
            return Err(SqlError::unsupported("DEFAULT beside expressions in VALUES")
                .with_hint("leave the column out of the INSERT, or write literals"));
        }
    }
    let mut query = Query::clone(query);
    check_query(&query)?;
    match (&mut query.with, with) {
        (None, Some(outer)) => query.with = Some(outer.clone()),
        (Some(_), Some(_)) => return Err(SqlError::unsupported("WITH both before and inside INSERT")),
        (_, None) => {}
    }
    let mut named = Statement::Query(Box::new(query));
    naming::name_columns(&mut named);
    let (schema, batches) = connection.collect(named, parameters).await?;
    check_width(schema.fields().len(), places.len(), names.is_empty())?;
    let batch = arrow::compute::concat_batches(&schema, &batches)?;
    let mut given = Given::default();
    for ((place, values), field) in places.into_iter().zip(batch.columns()).zip(schema.fields()) {
        put(&mut given, place, Values::Seen(Arc::clone(values)), is_json(field));
    }
    Ok((batch.num_rows(), given))
}

/// The rows with the values of their constants in them; `None` when a plan has to tell them, or what is wrong with them.
fn with_constants(
    connection: &mut Connection,
    target: &Target,
    mut rows: Literals,
    parameters: &[ScalarValue],
) -> Option<Literals> {
    if rows.constants.is_empty() {
        return Some(rows);
    }
    // A field of a document is what its value is, and JSON is more than a text there.
    if target.definition().dynamic {
        return None;
    }
    let constants = std::mem::take(&mut rows.constants);
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).ok()?;
    let evaluated = connection.evaluate(constants, &DFSchema::empty(), &one, parameters).ok()?;
    let computed = evaluated.iter().map(|value| ScalarValue::try_from_array(&value.values, 0).ok());
    rows.put(&computed.collect::<Option<Vec<_>>>()?);
    Some(rows)
}

fn has_default(values: &ValuesList) -> bool {
    values.rows.iter().flat_map(|row| &row.content).any(|expr| {
        matches!(expr, Expr::Identifier(name)
            if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"))
    })
}

/// A row may be shorter than the table when no column is named, as in PostgreSQL.
fn check_width(got: usize, wanted: usize, may_be_less: bool) -> Result<()> {
    if got > wanted {
        return Err(SqlError::new(b"42601", "INSERT has more expressions than target columns"));
    }
    if got < wanted && !may_be_less {
        return Err(SqlError::new(b"42601", "INSERT has more target columns than expressions"));
    }
    Ok(())
}

fn literals(
    connection: &mut Connection,
    target: &Target,
    places: &[Place],
    may_be_less: bool,
    columns: &[Vec<Cell>],
) -> Result<(usize, Given)> {
    check_width(columns.len(), places.len(), may_be_less)?;
    let zone = connection.zone();
    let len = columns.first().map_or(0, Vec::len);
    let mut given = Given::default();
    for (place, cells) in places.iter().zip(columns) {
        let all_default = cells.iter().all(|cell| matches!(cell, Cell::Default));
        if all_default {
            continue;
        }
        let values = match place {
            Place::Field(_) => Values::Seen(cells_of_field(cells, &zone)?),
            Place::Column(id) => {
                let Some(column) = target.definition().column(*id).cloned() else { continue };
                let some_default = cells.iter().any(|cell| matches!(cell, Cell::Default));
                let defaults =
                    if some_default { Some(default_values(connection, target, &column, len)?) } else { None };
                Values::Held(cells_as(cells, &column.column_type, &zone, defaults.as_ref())?)
            }
        };
        put(&mut given, place.clone(), values, false);
    }
    Ok((len, given))
}

fn put(given: &mut Given, place: Place, values: Values, is_json: bool) {
    match (place, values) {
        (Place::Column(id), values) => drop(given.columns.insert(id, values)),
        (Place::Field(name), Values::Seen(values) | Values::Held(values)) => {
            given.fields.insert(name, FieldValues { values, is_json });
        }
    }
}

/// A key that is there already although the rows of these ids were deleted first: when one of them was changed by another
/// transaction meanwhile, that is a conflict.
pub(crate) fn told_of_change(
    connection: &Connection,
    error: StorageError,
    target: &Target,
    ids: &RoaringTreemap,
) -> SqlError {
    if matches!(error, StorageError::UniqueViolation { .. }) {
        let committed = connection.sql.engine().tables();
        let gone = committed.table(&target.name).is_none_or(|table| !table.deleted.is_disjoint(ids));
        if gone {
            return StorageError::Conflict { reason: format!("a row of table \"{}\" was changed", target.name) }.into();
        }
    }
    told(error, target)
}

/// A key that is there already, told as PostgreSQL tells it.
pub(crate) fn told(error: StorageError, target: &Target) -> SqlError {
    let detail = match &error {
        StorageError::UniqueViolation { key, .. } => {
            let columns = target.definition().primary_key.iter();
            let names = columns.filter_map(|id| target.definition().column(*id).map(|c| c.name.as_str()));
            format!("Key ({})={key} already exists.", names.collect::<Vec<_>>().join(", "))
        }
        _ => return error.into(),
    };
    let constraint = format!("{}_pkey", target.name);
    let message = format!("duplicate key value violates unique constraint \"{constraint}\"");
    SqlError::new(b"23505", message).with_detail(detail).with_about(&target.name, None, Some(&constraint))
}
