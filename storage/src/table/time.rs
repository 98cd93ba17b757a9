//! The time column's values as numbers, and as milliseconds.

use arrow_array::{Array, ArrayRef, Date32Array, TimestampMicrosecondArray, TimestampNanosecondArray};

use super::kind::Kind;
use crate::{Result, StorageError, model::time::TimeRange};

/// The values of a time column in its own unit; a row without a value comes before all others.
pub(crate) fn times(kind: Kind, array: &ArrayRef) -> Result<Vec<i64>> {
    let any = array.as_any();
    let times: Option<Vec<i64>> = match kind {
        Kind::Date => any.downcast_ref::<Date32Array>().map(|a| a.values().iter().map(|v| i64::from(*v)).collect()),
        Kind::Micros => any.downcast_ref::<TimestampMicrosecondArray>().map(|a| a.values().to_vec()),
        Kind::Nanos => any.downcast_ref::<TimestampNanosecondArray>().map(|a| a.values().to_vec()),
        _ => None,
    };
    let mut times = times.ok_or_else(|| StorageError::Invalid(format!("{kind:?} is no time column")))?;
    if let Some(nulls) = array.nulls() {
        times.iter_mut().enumerate().filter(|(at, _)| nulls.is_null(*at)).for_each(|(_, time)| *time = i64::MIN);
    }
    Ok(times)
}

/// A time in a column's own unit as milliseconds since the Unix epoch.
pub(crate) const fn to_ms(kind: Kind, time: i64) -> i64 {
    match kind {
        Kind::Date => time.saturating_mul(24 * 60 * 60 * 1_000),
        Kind::Micros => time.div_euclid(1_000),
        _ => time.div_euclid(1_000_000),
    }
}

/// The range of times in milliseconds; empty when there is none.
pub(crate) fn range_ms(kind: Option<Kind>, bounds: Option<(i64, i64)>) -> TimeRange {
    match (kind, bounds) {
        (Some(kind), Some((low, high))) => TimeRange::new(to_ms(kind, low), to_ms(kind, high)),
        _ => TimeRange::new(1, 0),
    }
}
