//! Deletions: the buckets of rows that are deleted become invalid in the rollups of their table.

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions},
    compute::{cast, concat},
    datatypes::{DataType, Int64Type, Schema, TimeUnit},
};
use chronolith_storage::table::{HOLDS, TableSnapshot};
use datafusion::common::DFSchema;
use roaring::RoaringTreemap;
use std::{collections::BTreeSet, sync::Arc};

use super::{
    StoredRollup, invalid_prefix, of_table,
    state::{Invalid, Range, State},
};
use crate::{
    connection::Connection,
    error::{Result, SqlError},
    parse::parse_expr,
    scan::{LayoutColumn, rows_by_id},
    types::query_field,
};

/// Row ids from here on are those of a transaction's own rows, which are in no rollup.
const OWN_ROWS: u64 = 1 << 63;
/// Before the age at which retention drops rows, buckets are held to be partly dropped this long earlier, so that a
/// deletion and retention at the same time do not meet.
const MARGIN_MS: i64 = 60 * 60 * 1_000;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
/// Lengths in seconds, of which the first that leads out of a bucket is taken to bound its rows' times.
const LENGTHS: [i64; 10] = [
    1,
    60,
    60 * 60,
    SECONDS_PER_DAY,
    7 * SECONDS_PER_DAY,
    31 * SECONDS_PER_DAY,
    366 * SECONDS_PER_DAY,
    3_653 * SECONDS_PER_DAY,
    36_525 * SECONDS_PER_DAY,
    365_250 * SECONDS_PER_DAY,
];

/// What rows that are to be deleted mean to the rollups of their table.
pub(crate) struct Marks(Vec<(String, Invalid)>);

impl Marks {
    /// The buckets of rows, which are still there.
    ///
    /// # Errors
    /// When a row cannot be read, or a bucket cannot be computed.
    pub(crate) fn of(connection: &mut Connection, table: &TableSnapshot, ids: &RoaringTreemap) -> Result<Self> {
        let view = connection.scope.view();
        let rollups = of_table(&view, &table.definition.name);
        let ids: Vec<u64> =
            if rollups.is_empty() { Vec::new() } else { ids.iter().take_while(|id| *id < OWN_ROWS).collect() };
        let mut marks = Vec::new();
        if ids.is_empty() {
            return Ok(Self(marks));
        }
        for (name, rollup) in rollups {
            let state = State::read(&view, table.definition.id, &name)?;
            let from = dropped_before(connection, table, &state).map(|ms| ms.saturating_add(MARGIN_MS));
            let invalid = rollup.buckets_of(connection, table, &ids, from)?;
            if !invalid.is_empty() {
                marks.push((name, invalid));
            }
        }
        Ok(Self(marks))
    }

    /// Writes them into the connection's transaction.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn put(self, connection: &mut Connection, table: &TableSnapshot) -> Result<()> {
        for (name, invalid) in self.0 {
            let prefix = invalid_prefix(table.definition.id, &name);
            let entry = loop {
                let entry = format!("{prefix}{}", connection.sql.next_mark());
                let tables = connection.transaction()?.tables();
                if tables.entry(HOLDS, &entry).is_none() {
                    break entry;
                }
            };
            connection.transaction()?.put_entry(HOLDS, &entry, Some(invalid.body()));
        }
        Ok(())
    }
}

/// The time, in milliseconds, before which source rows may have been dropped.
pub(super) fn dropped_before(connection: &Connection, source: &TableSnapshot, state: &State) -> Option<i64> {
    let now = connection.sql.engine().options().clock.now_ms();
    let by_now = source.definition.retention_ms.map(|keep| now.saturating_sub(keep));
    state.dropped_before.max(by_now)
}

/// Notes what may have been dropped of a table whose retention is about to change.
///
/// # Errors
/// When a rollup's state cannot be read.
pub(crate) fn retention_changes(connection: &mut Connection, source: &TableSnapshot) -> Result<()> {
    let view = connection.scope.view();
    let id = source.definition.id;
    for (name, _) in of_table(&view, &source.definition.name) {
        let state = State::read(&view, id, &name)?;
        let dropped_before = dropped_before(connection, source, &state);
        state.replace(connection, id, &name, State { dropped_before, ..state.clone() })?;
    }
    Ok(())
}

impl StoredRollup {
    /// The type of the time column as queries see it.
    pub(super) fn column_type(&self) -> DataType {
        self.column_type.parse().unwrap_or(DataType::Null)
    }

    /// The buckets of rows, without those that begin before a time in milliseconds.
    fn buckets_of(
        &self,
        connection: &mut Connection,
        table: &TableSnapshot,
        ids: &[u64],
        from_ms: Option<i64>,
    ) -> Result<Invalid> {
        let Some(column) = table.definition.column_named(&self.column) else {
            return Err(SqlError::new(b"XX001", format!("column \"{}\" of a rollup is lost", self.column)));
        };
        let field = query_field(&self.column, &column.column_type, true);
        let Some(key) = column.key() else { return Ok(Invalid::default()) };
        let times = LayoutColumn::as_type(
            field.data_type(),
            rows_by_id(table, ids, std::slice::from_ref(&key))?.swap_remove(0),
        );
        let schema = Arc::new(Schema::new(vec![field]));
        let starts = self.bucket(connection, &schema, times)?;
        let null = starts.null_count() > 0;
        let starts: BTreeSet<i64> = numbers(&starts)?.iter().flatten().collect();
        let bucket_type = self.groups[0].arrow();
        let starts = starts.into_iter().filter(|start| from_ms.is_none_or(|ms| in_ms(*start, &bucket_type) >= ms));
        let starts = Int64Array::from_iter_values(starts);
        if starts.is_empty() {
            return Ok(Invalid { ranges: Vec::new(), null });
        }
        // The same moments as times of the column.
        let time_type = schema.field(0).data_type();
        let moments = numbers(&cast(&of_numbers(&starts, &bucket_type)?, time_type)?)?;
        let mut ends: Vec<Option<i64>> = vec![None; starts.len()];
        for length in LENGTHS.map(|length| in_units(length, time_type)).into_iter().filter(|length| *length > 0) {
            let probes: Int64Array = moments.iter().map(|m| m.and_then(|m| m.checked_add(length))).collect();
            // Behind the last time that there is, the rows' times have no bound.
            let Ok(buckets) = self.bucket(connection, &schema, of_numbers(&probes, time_type)?) else { break };
            let buckets = numbers(&buckets)?;
            for (at, end) in ends.iter_mut().enumerate().filter(|(_, end)| end.is_none()) {
                let leads_out = buckets.is_valid(at) && buckets.value(at) > starts.value(at);
                *end = leads_out.then(|| probes.value(at));
            }
            if ends.iter().all(Option::is_some) {
                break;
            }
        }
        let ranges = starts.values().iter().zip(&moments).zip(ends).map(|((start, from), to)| Range {
            first: *start,
            last: *start,
            from: from.unwrap_or(i64::MIN),
            to,
        });
        let mut invalid = Invalid::default();
        invalid.add(Invalid { ranges: ranges.collect(), null });
        Ok(invalid)
    }

    fn bucket(&self, connection: &mut Connection, schema: &Arc<Schema>, times: ArrayRef) -> Result<ArrayRef> {
        let options = RecordBatchOptions::new().with_row_count(Some(times.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), vec![times], &options)?;
        let qualified = DFSchema::try_from_qualified_schema(self.alias.as_str(), schema)?;
        let expr = parse_expr(&self.groups[0].expr)?;
        let session = std::mem::replace(&mut connection.is_in_utc, true);
        let values = connection.evaluate(vec![expr], &qualified, &batch, &[]);
        connection.is_in_utc = session;
        let values = values?;
        let found = values.into_iter().next().map(|value| value.values);
        found.ok_or_else(|| SqlError::new(b"XX000", "a bucket has no value"))
    }
}

/// Times as plain numbers.
pub(super) fn numbers(times: &ArrayRef) -> Result<Int64Array> {
    let plain = match times.data_type() {
        DataType::Date32 => cast(&cast(times, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(times, &DataType::Int64)?,
    };
    Ok(plain.as_primitive::<Int64Type>().clone())
}

fn of_numbers(numbers: &Int64Array, data_type: &DataType) -> Result<ArrayRef> {
    let numbers: ArrayRef = concat(&[numbers])?;
    Ok(match data_type {
        DataType::Date32 => cast(&cast(&numbers, &DataType::Int32)?, data_type)?,
        _ => cast(&numbers, data_type)?,
    })
}

const fn units_per_second(data_type: &DataType) -> i64 {
    match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000,
        _ => 1,
    }
}

fn in_units(seconds: i64, data_type: &DataType) -> i64 {
    match data_type {
        DataType::Date32 => seconds / SECONDS_PER_DAY,
        other => seconds.saturating_mul(units_per_second(other)),
    }
}

fn in_ms(number: i64, data_type: &DataType) -> i64 {
    match data_type {
        DataType::Date32 => number.saturating_mul(SECONDS_PER_DAY * 1_000),
        other => {
            let millis = i128::from(number) * 1_000 / i128::from(units_per_second(other));
            i64::try_from(millis).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
        }
    }
}
