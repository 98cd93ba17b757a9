//! The histograms of [`super::extended`].

use std::sync::Arc;

use chronolith_storage::{FloatHistogram, HistogramMathError, ResetHint};

use super::{
    extended::Bounds,
    histogram_rate::{add, subtract},
    rate::Mode,
    remarks::{Remark, Remarks},
    samples::{Column, Window},
};

/// The histogram at `t` on the line between two. A counter that was reset rises from zero.
pub(in crate::engine) fn interpolate(
    before: (i64, &FloatHistogram),
    after: (i64, &FloatHistogram),
    t: i64,
    is_counter: bool,
    remarks: &mut Remarks,
) -> Result<FloatHistogram, HistogramMathError> {
    if t == before.0 {
        return Ok(before.1.clone());
    }
    let mut result = after.1.clone();
    if t == after.0 {
        return Ok(result);
    }
    let fraction = (t - before.0) as f64 / (after.0 - before.0) as f64;
    if is_counter && after.1.detect_reset(before.1) {
        result.mul(fraction);
        return Ok(result);
    }
    subtract(&mut result, before.1, remarks)?;
    result.mul(fraction);
    add(&mut result, before.1, remarks)?;
    Ok(result)
}

/// Whether the samples can be computed with each other; remarks when they cannot, or are gauges.
fn fit(samples: &[Arc<FloatHistogram>], mode: Mode, remarks: &mut Remarks) -> bool {
    let custom = samples.first().is_some_and(|h| h.uses_custom_buckets());
    for h in samples {
        if h.uses_custom_buckets() != custom {
            remarks.add(Remark::MixedSchemas);
            return false;
        }
        if mode.is_counter() && h.reset_hint == ResetHint::Gauge {
            remarks.add(Remark::NotCounter);
        }
    }
    true
}

pub(super) fn extended(
    window: &Window<'_>,
    smoothed: bool,
    mode: Mode,
    remarks: &mut Remarks,
) -> Option<FloatHistogram> {
    let column = &window.histograms;
    let bounds = Bounds::of(column, window, smoothed)?;
    let Bounds { first, last } = bounds;
    if !fit(&column.values[first..=last.max(first)], mode, remarks) {
        return None;
    }
    let counter = mode.is_counter();
    let point = |i: usize| (column.timestamps[i], &*column.values[i]);
    let left = if smoothed && column.timestamps[first] < window.start && first + 1 < column.len() {
        interpolate(point(first), point(first + 1), window.start, counter, remarks).ok()?
    } else {
        (*column.values[first]).clone()
    };
    let right = if smoothed && last > 0 && column.timestamps[last] > window.end {
        interpolate(point(last - 1), point(last), window.end, counter, remarks).ok()?
    } else {
        (*column.values[last]).clone()
    };
    if !counter && (left.reset_hint != ResetHint::Gauge || right.reset_hint != ResetHint::Gauge) {
        remarks.add(Remark::NotGauge);
    }
    let mut result = right.clone();
    subtract(&mut result, &left, remarks).ok()?;
    if counter {
        // Whether the interpolation on the left begins before the range.
        let across = smoothed && column.timestamps[first] < window.start;
        if let Some(hidden) = hidden_by_resets(column, bounds, (&left, &right), across, remarks).ok()? {
            add(&mut result, &hidden, remarks).ok()?;
        }
    }
    if mode == Mode::Rate {
        result.div(window.range_seconds());
    }
    result.reset_hint = ResetHint::Gauge;
    result.compact(0);
    Some(result)
}

/// The sum of the histograms before each reset; `across` tells that the left end was interpolated.
fn hidden_by_resets(
    column: &Column<'_, Arc<FloatHistogram>>,
    bounds: Bounds,
    (left, right): (&FloatHistogram, &FloatHistogram),
    across: bool,
    remarks: &mut Remarks,
) -> Result<Option<FloatHistogram>, HistogramMathError> {
    let mut before = left;
    // `left` stands for the first sample, `right` for the last: with the last's hint, it would tell its reset twice.
    let mut between = bounds.first + 1;
    if across
        && let Some(second) = column.values.get(between)
        && second.detect_reset(&column.values[bounds.first])
    {
        // The interpolation on the left went across this reset and has it already.
        before = second;
        between += 1;
    }
    let mut hidden: Option<FloatHistogram> = None;
    if between > bounds.last {
        return Ok(hidden);
    }
    for sample in column.values[between..bounds.last].iter().map(|h| &**h).chain([right]) {
        if sample.detect_reset(before) {
            match &mut hidden {
                None => hidden = Some(before.clone()),
                Some(hidden) => add(hidden, before, remarks)?,
            }
        }
        before = sample;
    }
    Ok(hidden)
}
