//! `sum_over_time` and `avg_over_time` of one window of histograms, compensated.

use std::sync::Arc;

use chronolith_storage::{FloatHistogram, HistogramMathError, ResetHint};

use super::{
    remarks::{Remark, Remarks},
    samples::{Value, Window},
};

/// The sum, or the mean, of a window with histograms.
pub(super) fn sum_or_mean(window: &Window<'_>, is_mean: bool, remarks: &mut Remarks) -> Option<Value> {
    if window.is_mixed() {
        *remarks = Remarks::of(Remark::MixedKinds);
        return None;
    }
    let histograms = window.histograms.values;
    let result = if is_mean { mean(histograms, remarks) } else { sum(histograms, remarks) };
    match result {
        Ok(result) => {
            let hint = |hint: ResetHint| histograms.iter().any(|h| h.reset_hint == hint);
            if hint(ResetHint::Reset) && hint(ResetHint::NotReset) {
                remarks.add(Remark::ConflictingResets);
            }
            result.map(Value::Histogram)
        }
        Err(_) => {
            *remarks = Remarks::of(Remark::MixedSchemas);
            None
        }
    }
}

type Sum = Result<Option<FloatHistogram>, HistogramMathError>;

/// Adds with compensation.
fn kahan_add(
    sum: &mut FloatHistogram,
    other: &FloatHistogram,
    compensation: &mut Option<FloatHistogram>,
    remarks: &mut Remarks,
) -> Result<(), HistogramMathError> {
    if sum.kahan_add(other, compensation)?.custom_bounds_reconciled {
        remarks.add(Remark::AggregationReconciled);
    }
    Ok(())
}

fn sum(histograms: &[Arc<FloatHistogram>], remarks: &mut Remarks) -> Sum {
    let Some((first, rest)) = histograms.split_first() else { return Ok(None) };
    let (mut sum, mut compensation) = ((**first).clone(), None);
    for h in rest {
        kahan_add(&mut sum, h, &mut compensation, remarks)?;
    }
    if let Some(compensation) = compensation {
        sum.add(&compensation)?;
    }
    Ok(Some(sum))
}

/// The mean by the sum, or, once the sum overflows, by moving the mean.
fn mean(histograms: &[Arc<FloatHistogram>], remarks: &mut Remarks) -> Sum {
    let Some((first, rest)) = histograms.split_first() else { return Ok(None) };
    let (mut sum, mut compensation) = ((**first).clone(), None);
    for (i, h) in rest.iter().enumerate() {
        // What overflows is not taken, so there has to be a copy to go back to.
        let (mut new_sum, mut new_compensation) = (sum.clone(), compensation.clone());
        kahan_add(&mut new_sum, h, &mut new_compensation, remarks)?;
        if new_sum.has_overflow() {
            return moving_mean(sum, compensation, &rest[i..], i + 1, remarks);
        }
        (sum, compensation) = (new_sum, new_compensation);
    }
    let count = histograms.len() as f64;
    sum.div(count);
    if let Some(mut compensation) = compensation {
        compensation.div(count);
        sum.add(&compensation)?;
    }
    Ok(Some(sum))
}

/// Goes on from the sum of `taken` histograms with `rest`.
fn moving_mean(
    sum: FloatHistogram,
    mut compensation: Option<FloatHistogram>,
    rest: &[Arc<FloatHistogram>],
    taken: usize,
    remarks: &mut Remarks,
) -> Sum {
    let mut mean = sum;
    mean.div(taken as f64);
    if let Some(c) = &mut compensation {
        c.div(taken as f64);
    }
    for (i, h) in rest.iter().enumerate() {
        let count = (taken + i + 1) as f64;
        let q = (count - 1.0) / count;
        mean.mul(q);
        if let Some(c) = &mut compensation {
            c.mul(q);
        }
        let mut part = (**h).clone();
        part.div(count);
        kahan_add(&mut mean, &part, &mut compensation, remarks)?;
    }
    if let Some(compensation) = compensation {
        mean.add(&compensation)?;
    }
    Ok(Some(mean))
}
