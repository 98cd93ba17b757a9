//! Continuous rollups: CREATE MATERIALIZED VIEW ... WITH (continuous), aggregates by buckets of time that stay up to date.
//!
//! A rollup is a view (an entry) with a table behind it, the store, whose rows are partial states of the aggregates: for a
//! bucket and the other groups there may be several rows, which reading merges. What is in the store is told by **row
//! ids, not by time**: every source row with an id up to the watermark is in it. Ids are given in the order of commits
//! and never again, so a late event is no special case, and moving the watermark in the transaction that writes the
//! states makes it exactly once.
//!
//! Reading (`query.rs`) merges the states with the source's rows above the watermark, so an answer never lags. Refreshing
//! (`refresh.rs`) writes states of these rows and moves the watermark. A row that is deleted (`invalid.rs`) makes its
//! bucket invalid in the same transaction: reading and refreshing then go to the source for that bucket. Each deletion
//! has an entry of its own, which only a refresh that saw it takes away, so deletions contradict neither each other nor
//! a refresh.
//!
//! The watermark and the invalid buckets are holds (`state.rs`), which keep retention from source rows that are still
//! needed. What retention drops of the source stays in the rollup; a bucket that has reached the age at which rows are
//! dropped is never computed again, so deletions there no longer change it.

mod aggregates;
mod background;
mod define;
mod form;
mod invalid;
mod query;
mod refresh;
mod state;
mod syntax;

use chronolith_storage::table::{TableId, TablesView, hold_name};
use serde::{Deserialize, Serialize};

pub(crate) use background::{any as any_rollup, keep_refreshed};
pub(crate) use define::{create, set_options};
pub(crate) use invalid::{Marks, retention_changes};
pub(crate) use query::{AFTER, UNTIL, read};
pub(crate) use refresh::{NAME as REFRESH, name_of_call};
pub(crate) use state::{State, forget, truncated};
pub(crate) use syntax::rewrite_tokens;

use crate::stored::{self, StoredView};

/// Begins the name of the table behind a rollup.
const STORE_PREFIX: &str = "_rollup_";

/// What a rollup is, beside its query and columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredRollup {
    /// The table that it is of.
    pub(crate) source: String,
    /// What its query calls that table.
    alias: String,
    /// The table of its states.
    pub(crate) store: String,
    /// The source's column that buckets are of.
    column: String,
    /// That column's type as queries see it, in Arrow's text form.
    column_type: String,
    /// What it is grouped by, the bucket first.
    groups: Vec<Partial>,
    condition: Option<String>,
    states: Vec<Partial>,
    /// The columns of the result, over the groups and the merged states.
    items: Vec<Item>,
    /// Fields of the source that are not declared, with their types when the rollup was made.
    fields: Vec<(String, String)>,
}

/// A column of the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Partial {
    /// Its expression over rows of the source.
    expr: String,
    /// Its type as queries see it, in Arrow's text form.
    data_type: String,
    /// The aggregate that merges states; none of a group.
    merge: Option<String>,
}

/// A column of the result.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Item {
    expr: String,
    name: String,
}

/// All rollups.
pub(crate) fn all(tables: &TablesView) -> impl Iterator<Item = (String, StoredRollup)> + '_ {
    stored::views(tables).filter_map(|(name, view)| Some((name, view.rollup?)))
}

/// The rollups of a table.
pub(crate) fn of_table(tables: &TablesView, source: &str) -> Vec<(String, StoredRollup)> {
    all(tables).filter(|(_, rollup)| rollup.source == source).collect()
}

/// The rollup whose states a table holds.
pub(crate) fn of_store(tables: &TablesView, table: &str) -> Option<String> {
    if !table.starts_with(STORE_PREFIX) {
        return None;
    }
    all(tables).find(|(_, rollup)| rollup.store == table).map(|(name, _)| name)
}

/// The rollup of a view.
pub(crate) fn find(tables: &TablesView, name: &str) -> Option<StoredRollup> {
    stored::view(tables, name).and_then(|view: StoredView| view.rollup)
}

/// The entry of a rollup's state.
fn state_name(source: TableId, rollup: &str) -> String {
    hold_name(source, rollup)
}

/// What the names of the entries of a rollup's invalid buckets begin with.
fn invalid_prefix(source: TableId, rollup: &str) -> String {
    format!("{}\0", hold_name(source, rollup))
}
