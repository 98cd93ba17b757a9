//! INSERT ... ON CONFLICT: which rows are there already, and what becomes of them.

use std::{ops::ControlFlow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array},
    compute::take,
    datatypes::Schema,
};
use chronolith_storage::{StorageError, engine::OnConflict as KeyConflict, table::Rows};
use datafusion::{
    common::{DFSchema, ScalarValue},
    sql::sqlparser::ast::{ConflictTarget, DoUpdate, Expr, OnConflictAction, VisitorMut},
};
use roaring::RoaringTreemap;

use super::{
    documents::{Change, changed, old_rows, seen_rows, with_fields},
    rows::{NewRows, Values},
    target::Target,
    update::{assignments, write},
};
use crate::{
    connection::Connection,
    error::{Result, SqlError},
    parse::{ident, quoted, walk_mut},
    types::is_json,
};

/// Refuses a conflict target that is not the table's key.
///
/// # Errors
/// `42P10` when no key fits it.
pub(crate) fn check_target(
    target: &Target,
    conflict: Option<&ConflictTarget>,
    action: &OnConflictAction,
) -> Result<()> {
    let definition = target.definition();
    let key: Vec<&str> =
        definition.primary_key.iter().filter_map(|id| definition.column(*id).map(|c| c.name.as_str())).collect();
    match conflict {
        None if matches!(action, OnConflictAction::DoNothing) => Ok(()),
        None => {
            Err(SqlError::new(b"42601", "ON CONFLICT DO UPDATE requires inference specification or constraint name")
                .with_hint("For example, ON CONFLICT (column_name)."))
        }
        Some(ConflictTarget::Columns(columns)) => {
            let mut named: Vec<String> = columns.iter().map(ident).collect();
            named.sort();
            let mut key: Vec<String> = key.into_iter().map(str::to_owned).collect();
            key.sort();
            if !key.is_empty() && named == key { Ok(()) } else { Err(no_key()) }
        }
        Some(ConflictTarget::OnConstraint(name)) => {
            let name = crate::parse::relation_name(name)?;
            if !key.is_empty() && name == format!("{}_pkey", target.name) {
                Ok(())
            } else {
                let message = format!("constraint \"{name}\" for table \"{}\" does not exist", target.name);
                Err(SqlError::new(b"42704", message))
            }
        }
    }
}

fn no_key() -> SqlError {
    SqlError::new(b"42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification")
}

/// Inserts the rows whose key is new, and updates those that are there. Gives how many rows were written, and them.
///
/// # Errors
/// `21000` when two rows have one key, and what the assignments do wrong.
pub(crate) fn run(
    connection: &mut Connection,
    target: &Target,
    rows: &NewRows,
    update: &DoUpdate,
    parameters: &[ScalarValue],
) -> Result<(usize, RecordBatch)> {
    let table = target.definition().id;
    let found = connection.transaction()?.find_by_key(table, &rows.to_rows(target)?)?;
    let mut new_places = Vec::new();
    let mut old_places = Vec::new();
    let mut old_ids = Vec::new();
    for (place, id) in (0_u32..).zip(found) {
        match id {
            None => new_places.push(place),
            Some(id) => {
                old_places.push(place);
                old_ids.push(id);
            }
        }
    }
    let distinct: RoaringTreemap = old_ids.iter().copied().collect();
    if distinct.len() != old_ids.len() as u64 {
        return Err(twice());
    }
    let proposed = rows.to_rows(target)?;
    let new = proposed.take(&UInt32Array::from(new_places))?;
    connection.transaction()?.insert(table, new.clone(), KeyConflict::Refuse).map_err(|e| match e {
        // Keys that were found to be new can only contradict each other.
        StorageError::UniqueViolation { .. } => twice(),
        other => other.into(),
    })?;
    let mut written = vec![new];
    if !old_ids.is_empty() {
        let excluded = proposed.take(&UInt32Array::from(old_places))?;
        written.push(change(connection, target, &excluded, update, &old_ids, parameters)?);
    }
    let all = seen_rows(target, &Rows::concat(&written)?)?;
    Ok((all.num_rows(), all))
}

fn twice() -> SqlError {
    SqlError::new(b"21000", "ON CONFLICT DO UPDATE command cannot affect row a second time").with_hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
    )
}

/// Changes the rows of these ids, in whose place others were proposed. Gives those that were changed, as they are now.
fn change(
    connection: &mut Connection,
    target: &Target,
    excluded: &Rows,
    update: &DoUpdate,
    old_ids: &[u64],
    parameters: &[ScalarValue],
) -> Result<Rows> {
    let is_pinned = connection.transaction()?.is_pinned();
    let snapshot = connection.transaction()?.tables();
    let Some(snapshot) = snapshot.table(&target.name) else { return Err(super::target::no_table(&target.name)) };
    let old_rows = old_rows(snapshot, old_ids).map_err(|error| match is_pinned {
        // The key is that of a row which came after the moment that the transaction sees.
        true => StorageError::Conflict { reason: format!("a row of table \"{}\" was changed", target.name) }.into(),
        false => error,
    })?;
    let (old, excluded) = (seen_rows(target, &old_rows)?, seen_rows(target, excluded)?);
    let schema = DFSchema::try_from_qualified_schema(target.alias.as_str(), &old.schema())?
        .join(&DFSchema::try_from_qualified_schema("excluded", &excluded.schema())?)?;
    let arrays = old.columns().iter().chain(excluded.columns()).map(Arc::clone).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(old.num_rows()));
    let both = RecordBatch::try_new_with_options(Arc::new(schema.as_arrow().clone()), arrays, &options)?;

    let assigned = assignments(target, &update.assignments)?;
    let of_target = |expr: &Expr| {
        let expr = with_fields(expr, &[&target.alias, "excluded"], schema.as_arrow());
        of_target(expr, &target.alias, &old.schema())
    };
    let mut exprs: Vec<Expr> = assigned.iter().map(|(_, expr)| of_target(expr)).collect();
    exprs.extend(update.selection.as_ref().map(of_target));
    let mut values = connection.evaluate(exprs, &schema, &both, parameters)?;
    let keep = match &update.selection {
        None => None,
        Some(_) => values.pop().map(|selection| selection.values),
    };
    let kept = kept_places(keep.as_ref(), old_ids.len())?;
    let mut ids = RoaringTreemap::new();
    ids.extend(kept.values().iter().map(|&at| old_ids[at as usize]));
    let mut changes = Vec::with_capacity(assigned.len());
    for ((place, _), value) in assigned.into_iter().zip(values) {
        let is_json = is_json(&value.field);
        changes.push(Change { place, values: Values::Seen(take(&value.values, &kept, None)?), is_json });
    }
    let changed = changed(connection, target, &old_rows.take(&kept)?, &changes)?;
    write(connection, target, snapshot, &ids, &changed)?;
    Ok(changed)
}

/// The places of the rows that the condition holds for.
fn kept_places(condition: Option<&ArrayRef>, len: usize) -> Result<UInt32Array> {
    let all = 0..u32::try_from(len).unwrap_or(u32::MAX);
    let Some(condition) = condition else { return Ok(UInt32Array::from_iter_values(all)) };
    let Some(condition) = condition.as_boolean_opt() else {
        return Err(SqlError::new(b"42804", "argument of WHERE must be type boolean"));
    };
    let holds = |at: &u32| is_true(condition, *at as usize);
    Ok(UInt32Array::from_iter_values(all.filter(holds)))
}

fn is_true(values: &BooleanArray, at: usize) -> bool {
    values.is_valid(at) && values.value(at)
}

/// An expression whose plain names are columns of the target, not of `excluded`.
fn of_target(mut expr: Expr, alias: &str, columns: &Schema) -> Expr {
    struct Qualify<'a>(&'a str, &'a Schema);
    impl VisitorMut for Qualify<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Identifier(name) = expr
                && self.1.index_of(&ident(name)).is_ok()
            {
                *expr = Expr::CompoundIdentifier(vec![quoted(self.0), name.clone()]);
            }
            ControlFlow::Continue(())
        }
    }
    let _ = walk_mut(&mut expr, &mut Qualify(alias, columns));
    expr
}
