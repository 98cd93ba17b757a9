//! DELETE and TRUNCATE.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::Schema,
};

use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{Delete, FromTable, Query, SelectItem, SetExpr, Statement, TableWithJoins, Truncate, With},
};

use roaring::RoaringTreemap;

use super::{
    Written, by_key, gone,
    returning::{self, Others},
    target::Target,
    update::{distinct_ids, find, item, qualified},
};
use crate::{
    connection::{Connection, select},
    error::{Result, SqlError},
    rollup,
    scan::ROW_ID_COLUMN,
};

fn from(statement: &Delete) -> Result<&TableWithJoins> {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &statement.from;
    match from.as_slice() {
        [one] if statement.tables.is_empty() => Ok(one),
        _ => Err(SqlError::unsupported("DELETE from several tables")),
    }
}

/// The table of a DELETE.
///
/// # Errors
/// When there is none.
pub(crate) fn target(connection: &Connection, statement: &Delete) -> Result<Target> {
    find(connection, from(statement)?, "DELETE")
}

/// The query of the rows that a DELETE deletes: their ids, and for RETURNING all declared columns.
///
/// # Errors
/// When the statement is wrong.
pub(crate) fn query(target: &Target, statement: &Delete, with: Option<&With>) -> Result<Query> {
    let mut items = vec![item(qualified(target, ROW_ID_COLUMN), 0)];
    if statement.returning.is_some() {
        let names = (1..).zip(target.column_names());
        items.extend(names.map(|(place, name)| item(qualified(target, &name), place)));
        let using = returning::names_of(statement.using.as_deref().unwrap_or_default());
        items.extend(using.iter().map(returning::all_of));
    }
    let mut query = select(items)?;
    query.with = with.cloned();
    if let SetExpr::Select(select) = &mut *query.body {
        select.from = vec![from(statement)?.clone()];
        select.from.extend(statement.using.iter().flatten().cloned());
        select.selection.clone_from(&statement.selection);
    }
    Ok(query)
}

/// Runs a DELETE.
///
/// # Errors
/// When it is wrong.
pub(crate) async fn run(
    connection: &mut Connection,
    statement: &Delete,
    with: Option<&With>,
    parameters: &[ScalarValue],
) -> Result<Written> {
    if statement.output.is_some() || !statement.order_by.is_empty() || statement.limit.is_some() {
        return Err(SqlError::unsupported("this form of DELETE").with_hint("write it as PostgreSQL has it"));
    }
    let target = target(connection, statement)?;
    let mut returned = statement.returning.clone();
    let answered = Box::pin(connection.answer_inside(returning::exprs(returned.as_mut()), parameters)).await?;
    let returned = returned.as_deref();
    if with.is_none()
        && statement.using.is_none()
        && let Some(found) =
            by_key::find(connection, &target, from(statement)?, statement.selection.as_ref(), &[], parameters)?
    {
        let ids = found.ids.into_iter().collect();
        return finish(connection, &target, &ids, (&found.seen, None), returned, &answered);
    }
    let query = query(&target, statement, with)?;
    connection.scope.show_row_ids(Some(&target.name));
    let found = connection.collect_qualified(Statement::Query(Box::new(query)), parameters).await;
    connection.scope.show_row_ids(None);
    let (schema, batches) = found?;
    let batch = arrow::compute::concat_batches(schema.inner(), &batches)?;
    let (ids, places) = distinct_ids(batch.column(0))?;
    if returned.is_none() {
        // The query told nothing but ids.
        return finish(connection, &target, &ids, (&batch, None), None, &answered);
    }
    let batch = match &places {
        None => batch,
        Some(places) => arrow::compute::take_record_batch(&batch, places)?,
    };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let names = target.column_names();
    let own = 1 + names.len();
    let others = if batch.num_columns() > own { Some(Others::of(&schema, &batch, own)?) } else { None };
    let columns = batch.columns()[1..own].to_vec();
    let named = batch.schema().fields()[1..own]
        .iter()
        .zip(names)
        .map(|(f, n)| f.as_ref().clone().with_name(n))
        .collect::<Vec<_>>();
    let old = RecordBatch::try_new_with_options(Arc::new(Schema::new(named)), columns, &options)?;
    finish(connection, &target, &ids, (&old, others.as_ref()), returned, &answered)
}

/// Deletes rows; RETURNING sees them and the columns of what they were joined with.
fn finish(
    connection: &mut Connection,
    target: &Target,
    ids: &RoaringTreemap,
    (old, others): (&RecordBatch, Option<&Others>),
    returned: Option<&[SelectItem]>,
    parameters: &[ScalarValue],
) -> Result<Written> {
    gone::delete(connection, &target.table, ids)?;
    let mut written = Written::done(format!("DELETE {}", ids.len()));
    if let Some(items) = returned {
        let (schema, rows) = returning::rows(connection, target, old, others, items, parameters)?;
        written.returned = Some((schema, rows, "DELETE"));
    }
    Ok(written)
}

/// Runs a TRUNCATE.
///
/// # Errors
/// When there is no such table, or an option is not supported.
pub(crate) fn truncate(connection: &mut Connection, statement: &Truncate) -> Result<Written> {
    if statement.identity == Some(datafusion::sql::sqlparser::ast::TruncateIdentityOption::Restart) {
        return Err(SqlError::unsupported("TRUNCATE ... RESTART IDENTITY"));
    }
    if statement.partitions.is_some() || statement.on_cluster.is_some() {
        return Err(SqlError::unsupported("this form of TRUNCATE"));
    }
    for table in &statement.table_names {
        let target = match Target::find(connection, &table.name, None) {
            Err(e) if statement.if_exists && e.state.as_str() == "42P01" => continue,
            other => other?,
        };
        let emptied = connection.transaction()?.truncate(target.definition().id)?;
        rollup::truncated(connection, &target.table, emptied.id)?;
        connection.look();
    }
    Ok(Written::done("TRUNCATE TABLE"))
}
