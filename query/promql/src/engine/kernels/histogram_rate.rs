//! Differences of histograms over a window, with what counter resets hid.

use std::sync::Arc;

use chronolith_storage::{FloatHistogram, HistogramMathError, ResetHint};

use super::{
    rate::Mode,
    remarks::{Remark, Remarks},
    samples::Column,
};

/// Adds a histogram, remarking on what had to be reconciled.
pub(super) fn add(
    sum: &mut FloatHistogram,
    other: &FloatHistogram,
    remarks: &mut Remarks,
) -> Result<(), HistogramMathError> {
    // Hints that conflict mean nothing here: resets are looked for one by one.
    match sum.add(other) {
        Ok(reconciled) => {
            if reconciled.custom_bounds_reconciled {
                remarks.add(Remark::AdditionReconciled);
            }
            Ok(())
        }
        Err(e) => {
            remarks.add(Remark::MixedSchemas);
            Err(e)
        }
    }
}

/// Subtracts a histogram, remarking on what had to be reconciled.
pub(super) fn subtract(
    minuend: &mut FloatHistogram,
    other: &FloatHistogram,
    remarks: &mut Remarks,
) -> Result<(), HistogramMathError> {
    match minuend.sub(other) {
        Ok(reconciled) => {
            if reconciled.custom_bounds_reconciled {
                remarks.add(Remark::SubtractionReconciled);
            }
            Ok(())
        }
        Err(e) => {
            remarks.add(Remark::MixedSchemas);
            Err(e)
        }
    }
}

/// A histogram without observations that can be subtracted from one of the same buckets.
fn nothing(schema: i32, custom_values: &[f64]) -> FloatHistogram {
    FloatHistogram {
        schema,
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: 0.0,
        sum: 0.0,
        reset_hint: ResetHint::Unknown,
        positive_spans: Vec::new(),
        negative_spans: Vec::new(),
        positive_buckets: Vec::new(),
        negative_buckets: Vec::new(),
        custom_values: custom_values.to_vec(),
    }
}

/// The difference between the last and the first of at least two histograms, or nothing when their buckets are not of
/// one kind.
pub(super) fn difference(
    column: &Column<'_, Arc<FloatHistogram>>,
    mode: Mode,
    remarks: &mut Remarks,
) -> Option<FloatHistogram> {
    let [first, rest @ ..] = column.values else { return None };
    let (second, last) = (rest.first()?, rest.last()?);
    let counter = mode.is_counter();
    let gauge = |h: &FloatHistogram| h.reset_hint == ResetHint::Gauge;
    if counter && (gauge(first) || gauge(last)) {
        remarks.add(Remark::NotCounter);
    }
    // After a reset the first sample is not looked at, so its buckets need not fit.
    let replaced = (counter && (column.starts_anew(1) || second.detect_reset(first)))
        .then(|| nothing(second.schema, &second.custom_values));
    let first: &FloatHistogram = replaced.as_ref().unwrap_or(first);
    let custom = first.uses_custom_buckets();
    let mixed = |remarks: &mut Remarks, alone: bool| {
        if alone {
            *remarks = Remarks::default();
        }
        remarks.add(Remark::MixedSchemas);
    };
    if last.uses_custom_buckets() != custom {
        mixed(remarks, false);
        return None;
    }
    let mut schema = last.schema.min(first.schema);
    if counter {
        for between in &rest[..rest.len() - 1] {
            if gauge(between) {
                remarks.add(Remark::NotCounter);
            }
            schema = schema.min(between.schema);
            if between.uses_custom_buckets() != custom {
                mixed(remarks, true);
                return None;
            }
        }
    }
    let mut result = last.copy_to_schema(schema);
    if subtract(&mut result, first, remarks).is_err() {
        mixed(remarks, true);
        return None;
    }
    if counter {
        let mut before = first;
        for (i, sample) in rest.iter().enumerate() {
            if column.overlaps(i + 1) {
                remarks.add(Remark::StartOverlap);
            }
            if (column.starts_anew(i + 1) || sample.detect_reset(before)) && add(&mut result, before, remarks).is_err()
            {
                mixed(remarks, true);
                return None;
            }
            before = sample;
        }
    } else if !gauge(&column.values[0]) || !gauge(last) {
        remarks.add(Remark::NotGauge);
    }
    result.reset_hint = ResetHint::Gauge;
    result.compact(0);
    Some(result)
}
