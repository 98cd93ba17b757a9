//! The queries of a rollup as texts: partial states of source rows, and the merged result.

use std::fmt::Write;

use arrow::datatypes::DataType;
use chronolith_storage::table::TablesView;

use super::{
    Partial, StoredRollup,
    state::{Invalid, Range, invalid},
};
use crate::{
    error::{Result, SqlError},
    parse::quoted,
    scan::Layout,
};

/// Begins the name by which a rollup's query reads the source's rows above its watermark.
pub(crate) const AFTER: &str = "\u{1}after ";
/// Begins the name by which a rollup's query reads the source's rows up to where a refresh goes.
pub(crate) const UNTIL: &str = "\u{1}until ";

/// The query that a rollup stands for now.
///
/// # Errors
/// When its source is not there any more, or has changed so that states would not fit.
pub(crate) fn read(
    tables: &TablesView,
    layout: impl FnOnce(&chronolith_storage::table::TableSnapshot) -> std::sync::Arc<Layout>,
    name: &str,
    rollup: &StoredRollup,
) -> Result<String> {
    let source = tables.table(&rollup.source).filter(|_| tables.table(&rollup.store).is_some());
    let Some(source) = source else {
        return Err(SqlError::new(b"XX001", format!("a table of materialized view \"{name}\" is lost"))
            .with_hint("Drop the materialized view and make it anew."));
    };
    rollup.check_fields(&layout(source), name)?;
    let (_, invalid) = invalid(tables, source.definition.id, name)?;
    let mut union = format!("SELECT {} FROM {}", rollup.store_columns(), quoted(&rollup.store));
    if !invalid.is_empty() {
        let _ = write!(union, " WHERE {}", rollup.stored_in(&invalid, false));
    }
    let _ = write!(union, " UNION ALL {}", rollup.new_states(name, &invalid));
    let merged = rollup.items.iter().map(|item| format!("{} AS {}", item.expr, quoted(&item.name)));
    let merged: Vec<String> = merged.collect();
    Ok(format!("SELECT {} FROM ({union}) AS {} GROUP BY {}", merged.join(", "), quoted("u"), rollup.group_columns()))
}

/// The store's column of a group.
pub(super) fn group_column(at: usize) -> String {
    format!("g{at}")
}

/// The store's column of a state.
pub(super) fn state_column(at: usize) -> String {
    format!("s{at}")
}

impl StoredRollup {
    /// The names of the groups' columns, as SQL.
    pub(super) fn group_columns(&self) -> String {
        let names = (0..self.groups.len()).map(|at| quoted(&group_column(at)).to_string());
        names.collect::<Vec<_>>().join(", ")
    }

    fn store_columns(&self) -> String {
        let states = (0..self.states.len()).map(|at| quoted(&state_column(at)).to_string());
        std::iter::once(self.group_columns()).chain(states).collect::<Vec<_>>().join(", ")
    }

    /// The states of rows that are not in the store: those above the watermark, and all of invalid buckets.
    pub(super) fn new_states(&self, name: &str, invalid: &Invalid) -> String {
        let after = format!("{AFTER}{name}");
        if invalid.is_empty() {
            return self.partial(&after, None);
        }
        let others = self.partial(&after, Some(&self.is_in(&self.groups[0].expr, invalid, false)));
        let these = format!("({}) AND ({})", self.times_of(invalid), self.is_in(&self.groups[0].expr, invalid, true));
        format!("{others} UNION ALL {}", self.partial(&format!("{UNTIL}{name}"), Some(&these)))
    }

    /// States of a relation's rows.
    pub(super) fn partial(&self, from: &str, condition: Option<&str>) -> String {
        let groups = (0..).zip(&self.groups).map(|(at, group)| (group_column(at), group));
        let states = (0..).zip(&self.states).map(|(at, state)| (state_column(at), state));
        let columns = groups.chain(states).map(|(name, partial)| format!("{} AS {}", partial.expr, quoted(&name)));
        let columns: Vec<String> = columns.collect();
        let mut text = format!("SELECT {} FROM {} AS {}", columns.join(", "), quoted(from), quoted(&self.alias));
        let conditions = self.condition.as_deref().into_iter().chain(condition).map(|c| format!("({c})"));
        let conditions: Vec<String> = conditions.collect();
        if !conditions.is_empty() {
            let _ = write!(text, " WHERE {}", conditions.join(" AND "));
        }
        let places: Vec<String> = (1..=self.groups.len()).map(|place| place.to_string()).collect();
        let _ = write!(text, " GROUP BY {}", places.join(", "));
        text
    }

    /// The rows of one group put together, of some buckets of the store.
    pub(super) fn folded(&self, buckets: &Invalid) -> String {
        let states = (0..).zip(&self.states).map(|(at, state)| {
            let column = quoted(&state_column(at));
            format!("{}({column}) AS {column}", state.merge.as_deref().unwrap_or("max"))
        });
        let columns: Vec<String> = std::iter::once(self.group_columns()).chain(states).collect();
        format!(
            "SELECT {} FROM {} WHERE {} GROUP BY {}",
            columns.join(", "),
            quoted(&self.store),
            self.stored_in(buckets, true),
            self.group_columns()
        )
    }

    /// A condition on the store's rows: whether their bucket is one of these.
    pub(super) fn stored_in(&self, buckets: &Invalid, is: bool) -> String {
        self.is_in(&quoted(&group_column(0)).to_string(), buckets, is)
    }

    fn is_in(&self, bucket: &str, buckets: &Invalid, is: bool) -> String {
        let data_type = self.groups[0].arrow();
        let range = |range: &Range| {
            let (first, last) = (literal(range.first, &data_type), literal(range.last, &data_type));
            format!("{bucket} BETWEEN {first} AND {last}")
        };
        let mut any: Vec<String> = buckets.ranges.iter().map(range).collect();
        if buckets.null {
            any.push(format!("{bucket} IS NULL"));
        }
        if any.is_empty() {
            any.push("false".to_owned());
        }
        format!("(({}) IS {}TRUE)", any.join(" OR "), if is { "" } else { "NOT " })
    }

    /// A condition on the source's rows that statistics of blocks can answer: whether their time is in such a bucket.
    fn times_of(&self, buckets: &Invalid) -> String {
        let column = format!("{}.{}", quoted(&self.alias), quoted(&self.column));
        let data_type = self.column_type();
        let range = |range: &Range| {
            let from = format!("{column} >= {}", literal(range.from, &data_type));
            match range.to {
                Some(to) => format!("({from} AND {column} < {})", literal(to, &data_type)),
                None => from,
            }
        };
        let mut any: Vec<String> = buckets.ranges.iter().map(range).collect();
        if buckets.null {
            any.push(format!("{column} IS NULL"));
        }
        any.join(" OR ")
    }

    /// Refuses to go on when a field that is not declared has got another type.
    pub(super) fn check_fields(&self, layout: &Layout, name: &str) -> Result<()> {
        for (field, was) in &self.fields {
            let is = layout.schema.field_with_name(field).map(|field| field.data_type().to_string());
            if is.as_ref().is_ok_and(|is| is != was) {
                let message = format!(
                    "materialized view \"{name}\" cannot be read: field \"{field}\" of \"{}\" was {was} when it was \
                     made, and is {} now",
                    self.source,
                    is.unwrap_or_default()
                );
                return Err(SqlError::new(b"55000", message).with_hint(
                    "Drop the materialized view and make it anew, with a cast of the field, such as \
                     x::double precision.",
                ));
            }
        }
        Ok(())
    }
}

impl Partial {
    /// Its type as queries see it.
    pub(super) fn arrow(&self) -> DataType {
        self.data_type.parse().unwrap_or(DataType::Null)
    }
}

/// A number of a type of time, as SQL.
pub(super) fn literal(number: i64, data_type: &DataType) -> String {
    match data_type {
        DataType::Date32 => format!("arrow_cast(arrow_cast({number}, 'Int32'), 'Date32')"),
        other => format!("arrow_cast({number}, '{other}')"),
    }
}
