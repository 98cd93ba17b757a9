//! INSERT ... ON CONFLICT: which rows are there already, and what becomes of them.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array},
    compute::{take, take_record_batch},
};
use chronolith_storage::{StorageError, engine::OnConflict as KeyConflict, table::ColumnId};
use datafusion::{
    common::{DFSchema, ScalarValue},
    sql::sqlparser::ast::{ConflictTarget, DoUpdate, Expr, OnConflictAction, VisitorMut},
};
use roaring::RoaringTreemap;

use super::{
    insert::told_of_change,
    rows::{Given, NewRows, Values, seen},
    target::Target,
    update::assignments,
};
use crate::{
    connection::Connection,
    error::{Result, SqlError},
    parse::{ident, quoted, walk_mut},
    scan::rows_by_id,
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
    let new = rows.take(&new_places)?;
    connection.transaction()?.insert(table, new.to_rows(target)?, KeyConflict::Refuse).map_err(|e| match e {
        // Keys that were found to be new can only contradict each other.
        StorageError::UniqueViolation { .. } => twice(),
        other => other.into(),
    })?;
    let mut written = vec![new.as_seen(target)?];
    if !old_ids.is_empty() {
        let changed = changed_rows(connection, target, rows, update, &old_places, &old_ids, parameters)?;
        written.push(changed);
    }
    let schema = written[0].schema();
    let all = arrow::compute::concat_batches(&schema, &written)?;
    Ok((all.num_rows(), all))
}

fn twice() -> SqlError {
    SqlError::new(b"21000", "ON CONFLICT DO UPDATE command cannot affect row a second time").with_hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
    )
}

fn changed_rows(
    connection: &mut Connection,
    target: &Target,
    rows: &NewRows,
    update: &DoUpdate,
    old_places: &[u32],
    old_ids: &[u64],
    parameters: &[ScalarValue],
) -> Result<RecordBatch> {
    let snapshot = connection.transaction()?.tables();
    let Some(snapshot) = snapshot.table(&target.name) else { return Err(super::target::no_table(&target.name)) };
    let old_columns = rows_by_id(snapshot, old_ids)?;
    let old = seen(target, &old_columns, old_ids.len())?;
    let excluded = take_record_batch(&rows.as_seen(target)?, &UInt32Array::from(old_places.to_vec()))?;
    let schema = DFSchema::try_from_qualified_schema(target.alias.as_str(), &old.schema())?
        .join(&DFSchema::try_from_qualified_schema("excluded", &excluded.schema())?)?;
    let arrays = old.columns().iter().chain(excluded.columns()).map(Arc::clone).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(old.num_rows()));
    let both = RecordBatch::try_new_with_options(Arc::new(schema.as_arrow().clone()), arrays, &options)?;

    let assigned = assignments(target, &update.assignments)?;
    let mut exprs: Vec<Expr> = assigned.iter().map(|(_, expr)| of_target(expr, target)).collect();
    exprs.extend(update.selection.as_ref().map(|selection| of_target(selection, target)));
    let mut values = connection.evaluate(exprs, &schema, &both, parameters)?;
    let keep = match &update.selection {
        None => None,
        Some(_) => values.pop().map(|selection| selection.values),
    };
    let old_values = target.definition().columns.iter().zip(&old_columns);
    let mut given: BTreeMap<ColumnId, Values> = old_values.map(|(c, v)| (c.id, Values::Held(Arc::clone(v)))).collect();
    for ((id, _), value) in assigned.iter().zip(values) {
        given.insert(*id, Values::Seen(value.values));
    }
    let kept = kept_places(keep.as_ref(), old_ids.len())?;
    let mut ids = RoaringTreemap::new();
    ids.extend(kept.values().iter().map(|&at| old_ids[at as usize]));
    let given = given
        .into_iter()
        .map(|(id, values)| {
            let kept = match values {
                Values::Held(values) => Values::Held(take(&values, &kept, None)?),
                Values::Seen(values) => Values::Seen(take(&values, &kept, None)?),
            };
            Ok((id, kept))
        })
        .collect::<Result<BTreeMap<_, _>>>()?;
    let given = Given { columns: given, fields: BTreeMap::new() };
    let changed = NewRows::make(connection, target, kept.len(), &given)?;
    let transaction = connection.transaction()?;
    transaction.delete(target.definition().id, &ids)?;
    let inserted = transaction.insert(target.definition().id, changed.to_rows(target)?, KeyConflict::Refuse);
    inserted.map_err(|e| told_of_change(connection, e, target, &ids))?;
    changed.as_seen(target)
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
fn of_target(expr: &Expr, target: &Target) -> Expr {
    struct Qualify<'a>(&'a Target);
    impl VisitorMut for Qualify<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Identifier(name) = expr
                && self.0.column(&ident(name)).is_ok()
            {
                *expr = Expr::CompoundIdentifier(vec![quoted(&self.0.alias), name.clone()]);
            }
            ControlFlow::Continue(())
        }
    }
    let mut expr = expr.clone();
    let _ = walk_mut(&mut expr, &mut Qualify(target));
    expr
}

impl NewRows {
    /// The rows at these places.
    fn take(&self, places: &[u32]) -> Result<Self> {
        let places = UInt32Array::from(places.to_vec());
        let take_all = |values: &ArrayRef| -> Result<ArrayRef> { Ok(take(values, &places, None)?) };
        let columns = self.columns.iter().map(take_all).collect::<Result<_>>()?;
        let fields = self.fields.iter().map(|(key, values)| Ok((key.clone(), take_all(values)?)));
        Ok(Self { len: places.len(), columns, fields: fields.collect::<Result<_>>()? })
    }
}
