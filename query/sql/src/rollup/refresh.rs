//! Refreshing: states of the source's new rows go into the store, invalid buckets are computed again, and where many
//! rows of one group have come together, they become one.
//!
//! A refresh is a run of transactions, each of which moves the rollup from one true state to another, so it may end
//! anywhere. One takes so many source rows that what it writes fits into a frame of the log; when it does not, fewer.

use std::sync::Arc;

use chronolith_storage::{
    engine::OnConflict,
    table::{HOLDS, TableSnapshot, TablesView},
};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value},
};

use super::{
    StoredRollup, find,
    invalid::{dropped_before, numbers},
    invalid_prefix,
    query::group_column,
    state::{Invalid, Range, State, invalid},
};
use crate::{
    connection::Connection,
    error::{Result, SqlError},
    parse::{self, quoted},
    scan::ROW_ID_COLUMN,
    statement::{
        Target,
        rows::{Given, NewRows, Values},
        update::distinct_ids,
    },
};

/// The procedure that refreshes, as TimescaleDB calls it.
pub(crate) const NAME: &str = "refresh_continuous_aggregate";

/// Source rows, or rows of the store, that one transaction takes.
const ROWS_AT_ONCE: u64 = 200_000;
/// Rows that one transaction takes at least, whatever it writes.
const FEWEST_ROWS: u64 = 500;
/// Rows added to the store after which rows of one group are put together.
const LOOSE_ROWS: u64 = 4_096;
/// Rows of one group that are worth putting together.
const MANY_ROWS: u64 = 4;
/// How often a transaction is tried when others were faster.
const MOST_TRIES: usize = 20;

/// The name of the rollup that a call of [`NAME`] is to refresh.
///
/// # Errors
/// When it is another call, or asks for a part of the rollup.
pub(crate) fn name_of_call(call: &Function) -> Result<String> {
    if super::aggregates::name(call) != NAME {
        return Err(SqlError::unsupported(format!("CALL {}", call.name)));
    }
    let arguments = match &call.args {
        FunctionArguments::List(list) => list.args.as_slice(),
        _ => &[],
    };
    let value = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => Some(value.value.clone()),
        _ => None,
    };
    let (Some(Value::SingleQuotedString(name)), rest) = (arguments.first().and_then(value), arguments.get(1..)) else {
        return Err(SqlError::new(b"42601", format!("{NAME} takes the name of a materialized view as a text")));
    };
    if !rest.unwrap_or_default().iter().all(|arg| value(arg) == Some(Value::Null)) {
        return Err(SqlError::unsupported(format!("{NAME} of a part of the time"))
            .with_hint("Give NULL for both ends: all that is not up to date is refreshed."));
    }
    Ok(name)
}

/// Whether there is something to do for a rollup.
pub(super) fn is_due(tables: &TablesView, name: &str, rollup: &StoredRollup) -> bool {
    let Some(source) = tables.table(&rollup.source) else { return false };
    let Ok(state) = State::read(tables, source.definition.id, name) else { return false };
    let is_invalid = invalid(tables, source.definition.id, name).is_ok_and(|(entries, _)| !entries.is_empty());
    newest(source) > state.watermark || is_invalid || state.loose >= LOOSE_ROWS
}

/// The highest row id of a table.
fn newest(source: &TableSnapshot) -> u64 {
    source.parts.iter().map(|part| *part.row_id_bounds().end()).max().unwrap_or(0)
}

/// The first row id of a table that is above another.
fn next_id(source: &TableSnapshot, above: u64) -> u64 {
    let parts = source.parts.iter().map(|part| part.row_id_bounds());
    parts
        .filter(|bounds| *bounds.end() > above)
        .map(|bounds| above.max(bounds.start().saturating_sub(1)))
        .min()
        .unwrap_or(above)
}

impl Connection {
    /// Brings a rollup up to date.
    ///
    /// # Errors
    /// When there is none of this name, in a transaction, and as its parts.
    pub(crate) async fn refresh_rollup(&mut self, name: &str) -> Result<()> {
        if self.in_transaction() {
            return Err(SqlError::new(b"25001", "REFRESH MATERIALIZED VIEW cannot run inside a transaction block"));
        }
        self.is_in_utc = true;
        let mut rows = ROWS_AT_ONCE;
        let mut tries = 0;
        loop {
            self.begin_implicit()?;
            self.look();
            let done = match Box::pin(step(self, name, rows)).await {
                Ok(more) => self.commit_implicit().await.map(|()| more),
                Err(error) => Err(error),
            };
            self.drop_implicit();
            match done {
                Ok(true) => tries = 0,
                Ok(false) => return Ok(()),
                Err(error) if error.state.as_str() == "40001" && tries < MOST_TRIES => tries += 1,
                // What it would write is more than a transaction may.
                Err(error) if error.state.as_str() == "22023" && rows > FEWEST_ROWS => rows /= 4,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Does a part of what is to be done. Returns whether there is more.
async fn step(connection: &mut Connection, name: &str, rows: u64) -> Result<bool> {
    let view = connection.scope.view();
    let Some(rollup) = find(&view, name) else {
        return Err(match connection.scope.stored_view(name).is_some() || view.table(name).is_some() {
            true => SqlError::new(b"42809", format!("\"{name}\" is not a materialized view")),
            false => SqlError::new(b"42P01", format!("relation \"{name}\" does not exist")),
        });
    };
    let (Some(source), Some(store)) = (view.table(&rollup.source), view.table(&rollup.store)) else {
        return Err(SqlError::new(b"XX001", format!("a table of materialized view \"{name}\" is lost"))
            .with_hint("Drop the materialized view and make it anew."));
    };
    rollup.check_fields(&connection.scope.layout(source), name)?;
    let state = State::read(&view, source.definition.id, name)?;
    let (entries, all_invalid) = invalid(&view, source.definition.id, name)?;
    let newest = newest(source);
    let target = Target { name: rollup.store.clone(), alias: rollup.store.clone(), table: store.clone() };
    if newest <= state.watermark && all_invalid.is_empty() {
        if state.loose < LOOSE_ROWS {
            return Ok(false);
        }
        return fold(connection, name, &rollup, &target, source, &state, rows).await;
    }
    let from = next_id(source, state.watermark);
    let watermark = newest.min(from.saturating_add(rows)).max(state.watermark);
    let (now, later) = rollup.chosen(connection, all_invalid, rows).await?;
    let dropped_before = match source.definition.retention_ms {
        Some(_) => dropped_before(connection, source, &state),
        None => state.dropped_before,
    };
    connection.scope.read_until(Some(watermark));
    let written = replace(connection, &target, &rollup, &now, &rollup.new_states(name, &now)).await?;
    let loose = state.loose.saturating_add(written);
    let next = State { watermark, loose, dropped_before, ..state.clone() };
    state.replace(connection, source.definition.id, name, next)?;
    put_invalid(connection, source, name, &entries, &later)?;
    Ok(true)
}

/// Puts what is still invalid in the place of the entries that were read.
fn put_invalid(
    connection: &mut Connection,
    source: &TableSnapshot,
    name: &str,
    entries: &[String],
    later: &Invalid,
) -> Result<()> {
    let left = (!later.is_empty())
        .then(|| format!("{}{}", invalid_prefix(source.definition.id, name), connection.sql.next_mark()));
    let transaction = connection.transaction()?;
    entries.iter().for_each(|entry| transaction.put_entry(HOLDS, entry, None));
    if let Some(entry) = left {
        transaction.put_entry(HOLDS, &entry, Some(later.body()));
    }
    Ok(())
}

/// Puts the rows of a query in the place of the store's rows of some buckets. Returns how many.
async fn replace(
    connection: &mut Connection,
    target: &Target,
    rollup: &StoredRollup,
    gone: &Invalid,
    query: &str,
) -> Result<u64> {
    let table = target.definition().id;
    if !gone.is_empty() {
        let ids = format!(
            "SELECT {} FROM {} WHERE {}",
            quoted(ROW_ID_COLUMN),
            quoted(&rollup.store),
            rollup.stored_in(gone, true)
        );
        connection.scope.show_row_ids(Some(&rollup.store));
        let found = collect(connection, &ids).await;
        connection.scope.show_row_ids(None);
        let (schema, batches) = found?;
        let batch = arrow::compute::concat_batches(&schema, &batches)?;
        let (ids, _) = distinct_ids(batch.column(0))?;
        connection.transaction()?.delete(table, &ids)?;
    }
    let (schema, batches) = collect(connection, query).await?;
    let batch = arrow::compute::concat_batches(&schema, &batches)?;
    let columns = target.definition().columns.iter().map(|column| column.id);
    let values = batch.columns().iter().map(|values| Values::Seen(Arc::clone(values)));
    let given = Given { columns: columns.zip(values).collect(), ..Given::default() };
    let rows = NewRows::make(connection, target, batch.num_rows(), &given)?.to_rows(target)?;
    connection.transaction()?.insert(table, rows, OnConflict::Refuse)?;
    Ok(batch.num_rows() as u64)
}

async fn collect(
    connection: &mut Connection,
    query: &str,
) -> Result<(arrow::datatypes::SchemaRef, Vec<arrow::array::RecordBatch>)> {
    let Some(query) = parse::parse(query)? else { return Err(SqlError::new(b"XX000", "a rollup has no query")) };
    connection.collect(query, &[] as &[ScalarValue]).await
}

/// Makes one row of the many of a group. Returns that there is more to look for: the state says whether.
async fn fold(
    connection: &mut Connection,
    name: &str,
    rollup: &StoredRollup,
    target: &Target,
    source: &TableSnapshot,
    state: &State,
    rows: u64,
) -> Result<bool> {
    let groups = rollup.group_columns();
    let bucket = quoted(&group_column(0));
    let many = format!(
        "SELECT {bucket}, CAST(sum(n) AS BIGINT) FROM (SELECT {groups}, count(*) AS n FROM {} GROUP BY {groups} HAVING count(*) >= \
         {MANY_ROWS}) AS many GROUP BY {bucket} ORDER BY {bucket}",
        quoted(&rollup.store)
    );
    let found = Buckets::read(connection, &many).await?;
    let (now, later) = found.first(rows);
    if !now.is_empty() {
        replace(connection, target, rollup, &now, &rollup.folded(&now)).await?;
    }
    // What is left for the next round keeps the count that calls for it.
    let loose = if later.is_empty() { 0 } else { state.loose };
    state.replace(connection, source.definition.id, name, State { loose, ..state.clone() })?;
    Ok(!later.is_empty())
}

/// Buckets of the store in their order, and how many rows each has.
struct Buckets(Vec<(Option<i64>, u64)>);

impl Buckets {
    async fn read(connection: &mut Connection, query: &str) -> Result<Self> {
        let (_, batches) = collect(connection, query).await?;
        let mut all = Vec::new();
        for batch in &batches {
            let buckets = numbers(batch.column(0))?;
            let counts = numbers(batch.column(1))?;
            all.extend(
                buckets
                    .iter()
                    .zip(&counts)
                    .map(|(bucket, count)| (bucket, count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))),
            );
        }
        Ok(Self(all))
    }

    /// As many of the first as have so many rows, at least one; and the others.
    fn first(&self, rows: u64) -> (Invalid, Invalid) {
        let mut taken = 0_u64;
        let mut parts = (Invalid::default(), Invalid::default());
        for (at, (bucket, count)) in self.0.iter().enumerate() {
            taken = taken.saturating_add(*count);
            let part = if at == 0 || taken <= rows { &mut parts.0 } else { &mut parts.1 };
            match bucket {
                Some(bucket) => part.ranges.push(Range { first: *bucket, last: *bucket, from: *bucket, to: None }),
                None => part.null = true,
            }
        }
        for part in [&mut parts.0, &mut parts.1] {
            part.add(Invalid::default());
        }
        parts
    }
}

impl StoredRollup {
    /// The invalid buckets that one transaction computes again, and those that are left.
    async fn chosen(&self, connection: &mut Connection, all: Invalid, rows: u64) -> Result<(Invalid, Invalid)> {
        if all.ranges.is_empty() {
            return Ok((all, Invalid::default()));
        }
        let bucket = quoted(&group_column(0));
        let query = format!(
            "SELECT {bucket}, count(*) FROM {} WHERE {} GROUP BY {bucket} ORDER BY {bucket}",
            quoted(&self.store),
            self.stored_in(&all, true)
        );
        let mut taken = 0_u64;
        let mut cut = None;
        for (bucket, count) in Buckets::read(connection, &query).await?.0 {
            if taken > 0 && taken.saturating_add(count) > rows {
                cut = bucket;
                break;
            }
            taken = taken.saturating_add(count);
        }
        Ok(all.split(cut))
    }
}

impl Invalid {
    /// The buckets before one, and those from it on.
    fn split(self, cut: Option<i64>) -> (Self, Self) {
        let Some(cut) = cut else { return (self, Self::default()) };
        let mut before = Self { ranges: Vec::new(), null: self.null };
        let mut from = Self::default();
        for range in self.ranges {
            if range.last < cut {
                before.ranges.push(range);
            } else if range.first >= cut {
                from.ranges.push(range);
            } else {
                before.ranges.push(Range { last: cut - 1, ..range });
                from.ranges.push(Range { first: cut, ..range });
            }
        }
        (before, from)
    }
}

#[cfg(test)]
mod tests {
    use super::{Invalid, Range};

    const fn range(first: i64, last: i64) -> Range {
        Range { first, last, from: first, to: Some(last + 10) }
    }

    #[test]
    fn ranges_of_buckets_are_joined_and_cut() {
        let mut all = Invalid { ranges: vec![range(20, 30), range(0, 0)], null: true };
        all.add(Invalid { ranges: vec![range(30, 40), range(7, 7)], null: false });
        assert_eq!(all.ranges, [range(0, 0), range(7, 7), range(20, 40)]);
        let (before, from) = all.clone().split(Some(25));
        assert_eq!(before.ranges, [range(0, 0), range(7, 7), Range { to: Some(50), ..range(20, 24) }]);
        assert_eq!(from.ranges, [Range { from: 20, ..range(25, 40) }]);
        assert!(before.null && !from.null);
        assert_eq!(all.clone().split(None), (all, Invalid::default()));
        let mut many = Invalid::default();
        many.add(Invalid { ranges: (0..1_000).map(|n| range(n * 10, n * 10)).collect(), null: false });
        assert_eq!(many.ranges.len(), 63);
        assert_eq!((many.ranges[0].first, many.ranges[62].last), (0, 9_990));
    }
}
