//! Functions about sizes and counts. What is not measured is null, not a number that looks like one.

use datafusion::error::Result;

use super::{Call, Spec};
use crate::catalog::{cell::Cell, entries::Entry};

pub(super) const FUNCTIONS: [Spec; 12] = [
    Spec::new("pg_relation_size", (1, 2), "int8", unknown),
    Spec::new("pg_table_size", (1, 1), "int8", unknown),
    Spec::new("pg_indexes_size", (1, 1), "int8", unknown),
    Spec::new("pg_total_relation_size", (1, 1), "int8", unknown),
    Spec::new("pg_database_size", (1, 1), "int8", unknown),
    Spec::new("pg_tablespace_size", (1, 1), "int8", unknown),
    Spec::new("pg_tablespace_location", (1, 1), "text", |_| Ok("".into())),
    Spec::new("pg_relation_filenode", (1, 1), "oid", |call| Ok(call.arg(0).oid().into())),
    Spec::new("pg_stat_get_numscans", (1, 1), "int8", unknown),
    Spec::new("pg_stat_get_live_tuples", (1, 1), "int8", rows),
    Spec::new("pg_stat_get_dead_tuples", (1, 1), "int8", unknown),
    Spec::new("pg_size_pretty", (1, 1), "text", pretty),
];

fn unknown(_: &Call<'_>) -> Result<Cell> {
    Ok(Cell::Null)
}

fn rows(call: &Call<'_>) -> Result<Cell> {
    let relation = call.entry(0)?.and_then(Entry::relation);
    let count = relation.and_then(|r| call.scope.objects.row_count(&r.name));
    Ok(count.and_then(|n| i64::try_from(n).ok()).into())
}

/// As PostgreSQL: the unit grows when the number would have more than four digits and a bit.
fn pretty(call: &Call<'_>) -> Result<Cell> {
    let Some(mut size) = call.arg(0).int() else { return Ok(Cell::Null) };
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let mut unit = 0;
    // The first step leaves one bit below the point, for rounding at the end.
    while size.unsigned_abs() >= if unit == 0 { 10 * 1024 } else { 20 * 1024 - 1 } && unit + 1 < UNITS.len() {
        size >>= if unit == 0 { 9 } else { 10 };
        unit += 1;
    }
    let size = if unit == 0 { size } else { (size + size.signum()) / 2 };
    Ok(format!("{size} {}", UNITS[unit]).into())
}
