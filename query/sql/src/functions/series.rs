//! generate_series as a list: of integers, and of times whose steps are those of a zone.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, Int64Builder, ListBuilder},
    compute::cast,
    datatypes::{DataType, Field, IntervalMonthDayNano, TimeUnit},
};
use chrono::NaiveDateTime;
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ScalarUDF,
};

use super::{
    datetime::naive,
    interval,
    scalar::{Arg, Call, Scalar, Shape, exactly, with},
    time_texts,
};
use crate::{
    clock::{Zone, from_naive, out_of_range},
    error::SqlError,
};

const SHAPES: &[Shape] =
    &[with(&[Arg::Int, Arg::Int], &[Arg::Int]), exactly(&[Arg::Moment, Arg::Moment, Arg::Interval])];
const ZONED: &[Shape] = &[exactly(&[Arg::Moment, Arg::Moment, Arg::Interval, Arg::Text])];

/// Most values of the lists of one batch of rows: they are made at once.
const VALUES_MAX: usize = 10_000_000;

/// The name that calls have once they were rewritten.
pub(super) const NAME: &str = "generate_series_list";

/// The function.
pub(super) fn scalar() -> ScalarUDF {
    Scalar::new(NAME, SHAPES, list_of, eval).udf()
}

/// The function in the zone of a fourth argument.
pub(super) const fn zoned() -> Scalar {
    Scalar::new("generate_series_in_zone", ZONED, list_of, eval)
}

fn list_of(args: &[DataType]) -> Result<DataType> {
    let element = match &args[0] {
        // Text that is a time is a moment.
        DataType::Utf8View => DataType::Timestamp(TimeUnit::Microsecond, Some(crate::types::UTC.into())),
        other => other.clone(),
    };
    Ok(DataType::List(Arc::new(Field::new_list_field(element, true))))
}

fn eval(call: &Call<'_>) -> Result<ArrayRef> {
    let mut lists = Lists { out: ListBuilder::new(Int64Builder::new()), left: VALUES_MAX };
    match call.fields[0].data_type() {
        DataType::Int64 => integers(call, &mut lists)?,
        _ => times(call, &mut lists)?,
    }
    Ok(cast(&lists.out.finish(), call.returns)?)
}

/// The lists that are being made.
struct Lists {
    out: ListBuilder<Int64Builder>,
    left: usize,
}

impl Lists {
    fn push(&mut self, value: i64) -> Result<()> {
        let Some(left) = self.left.checked_sub(1) else {
            let error = SqlError::new(b"54000", format!("generate_series makes more than {VALUES_MAX} values at once"))
                .with_hint("in FROM, with numbers that are constants, it may have any length");
            return Err(error.into());
        };
        self.left = left;
        self.out.values().append_value(value);
        Ok(())
    }
}

fn no_step() -> datafusion::common::DataFusionError {
    SqlError::new(b"22023", "step size cannot equal zero").into()
}

fn integers(call: &Call<'_>, lists: &mut Lists) -> Result<()> {
    let (starts, stops) = (call.int(0)?, call.int(1)?);
    let steps = if call.len() > 2 { Some(call.int(2)?) } else { None };
    for row in 0..call.rows {
        if starts.is_null(row) || stops.is_null(row) || steps.as_ref().is_some_and(|s| s.is_null(row)) {
            lists.out.append(false);
            continue;
        }
        let (stop, step) = (stops.value(row), steps.as_ref().map_or(1, |s| s.value(row)));
        if step == 0 {
            return Err(no_step());
        }
        let mut next = Some(starts.value(row));
        while let Some(value) = next.filter(|value| if step > 0 { *value <= stop } else { *value >= stop }) {
            lists.push(value)?;
            next = value.checked_add(step);
        }
        lists.out.append(true);
    }
    Ok(())
}

fn times(call: &Call<'_>, lists: &mut Lists) -> Result<()> {
    let (starts, stops) = (call.array(0)?, call.array(1)?);
    let DataType::Timestamp(unit, _) = starts.data_type() else { return call.wrong(0) };
    let (unit, starts, stops) = (*unit, naive(&starts)?, naive(&cast(&stops, starts.data_type())?)?);
    let steps = call.spans(2)?;
    let zone = match call.constant(3) {
        Some(ScalarValue::Utf8View(Some(zone))) => time_texts::known(zone)?,
        _ => Zone::UTC,
    };
    for (row, (start, stop)) in starts.into_iter().zip(stops).enumerate() {
        let (Some((start, stop)), true) = (start.zip(stop), steps.is_valid(row)) else {
            lists.out.append(false);
            continue;
        };
        let step = steps.value(row);
        let forward =
            (i128::from(step.months) * 30 + i128::from(step.days)) * interval::DAY + i128::from(step.nanoseconds);
        if forward == 0 {
            return Err(no_step());
        }
        let mut next = start;
        while if forward > 0 { next <= stop } else { next >= stop } {
            lists.push(from_naive(next, unit).ok_or_else(out_of_range)?)?;
            next = later(zone, next, step).ok_or_else(out_of_range)?;
        }
        lists.out.append(true);
    }
    Ok(())
}

/// A moment plus an interval, whose months and days are those of a zone.
pub(super) fn later(zone: Zone, moment: NaiveDateTime, span: IntervalMonthDayNano) -> Option<NaiveDateTime> {
    let days = IntervalMonthDayNano { nanoseconds: 0, ..span };
    let rest = IntervalMonthDayNano::new(0, 0, span.nanoseconds);
    if (span.months, span.days) == (0, 0) {
        return interval::add(moment, rest);
    }
    interval::add(zone.utc(interval::add(zone.local(moment)?, days)?)?, rest)
}
