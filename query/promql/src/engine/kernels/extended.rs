//! `rate`, `increase` and `delta` of one window of an anchored or smoothed selector: the window has samples beyond the
//! range, and nothing is extrapolated. Anchored, the last sample before the range stands at its start; smoothed, the
//! values at both ends are interpolated.

use super::{
    extended_histograms,
    rate::Mode,
    remarks::{Remark, Remarks},
    samples::{Column, Value, Window},
};

/// The samples at, or just outside of, the ends of the range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The last sample not after the start of the range, or the first of all.
    pub(super) first: usize,
    /// The last of all, or, smoothed, the first not before the end of the range.
    pub(super) last: usize,
}

impl Bounds {
    /// Where the ends are, or nothing when no sample is inside the range and none can be interpolated there.
    pub(super) fn of<T>(column: &Column<'_, T>, window: &Window<'_>, smoothed: bool) -> Option<Self> {
        let last_of_all = column.len().checked_sub(1)?;
        // As in Prometheus the last sample is not asked: it is taken when no other is.
        let asked = &column.timestamps[..last_of_all];
        let first = asked.partition_point(|t| *t <= window.start).saturating_sub(1);
        let last = if smoothed { asked.partition_point(|t| *t < window.end) } else { last_of_all };
        let none = column.timestamps[last] <= window.start || (smoothed && column.timestamps[first] > window.end);
        (!none).then_some(Self { first, last })
    }
}

/// The value at `t` on the line between two samples. A counter that was reset rises from zero.
pub(in crate::engine) fn interpolate(before: (i64, f64), after: (i64, f64), t: i64, is_counter: bool) -> f64 {
    let from = if is_counter && after.1 < before.1 { 0.0 } else { before.1 };
    from + (after.1 - from) * (t - before.0) as f64 / (after.0 - before.0) as f64
}

/// Values at both ends of a range.
fn ends(column: &Column<'_, f64>, bounds: Bounds, window: &Window<'_>, smoothed: bool, is_counter: bool) -> (f64, f64) {
    let Bounds { first, last } = bounds;
    let point = |i: usize| (column.timestamps[i], column.values[i]);
    let left = if smoothed && column.timestamps[first] < window.start && first + 1 < column.len() {
        interpolate(point(first), point(first + 1), window.start, is_counter)
    } else {
        column.values[first]
    };
    let right = if smoothed && last > 0 && column.timestamps[last] > window.end {
        interpolate(point(last - 1), point(last), window.end, is_counter)
    } else {
        column.values[last]
    };
    (left, right)
}

/// The samples strictly inside the range.
fn inside(column: &Column<'_, f64>, bounds: Bounds, window: &Window<'_>) -> std::ops::Range<usize> {
    let from = bounds.first + usize::from(column.timestamps[bounds.first] <= window.start);
    let to = bounds.last + usize::from(column.timestamps[bounds.last] < window.end);
    from..to.max(from)
}

pub(super) fn extended(window: &Window<'_>, smoothed: bool, mode: Mode, remarks: &mut Remarks) -> Option<Value> {
    if window.is_mixed() {
        *remarks = Remarks::of(Remark::MixedKinds);
        return None;
    }
    if !window.histograms.is_empty() {
        return extended_histograms::extended(window, smoothed, mode, remarks).map(Value::Histogram);
    }
    let column = &window.floats;
    let bounds = Bounds::of(column, window, smoothed)?;
    let (left, right) = ends(column, bounds, window, smoothed, mode.is_counter());
    let mut result = right - left;
    if mode.is_counter() {
        let (mut before, mut hidden) = (left, 0.0);
        for v in column.values[inside(column, bounds, window)].iter().chain([&right]) {
            if *v < before {
                hidden += before;
            }
            before = *v;
        }
        result += hidden;
    }
    Some(Value::Float(if mode == Mode::Rate { result / window.range_seconds() } else { result }))
}

/// The samples inside the range, and values at both its ends: what an extended range is when it is the whole answer.
pub(in crate::engine) fn with_ends(window: &Window<'_>, smoothed: bool) -> Vec<(i64, f64)> {
    let column = &window.floats;
    let Some(last_of_all) = column.len().checked_sub(1) else { return Vec::new() };
    let asked = &column.timestamps[..last_of_all];
    let first = asked.partition_point(|t| *t <= window.start).saturating_sub(1);
    let last = if smoothed { asked.partition_point(|t| *t < window.end) } else { last_of_all };
    if column.timestamps[last] <= window.start {
        return Vec::new();
    }
    let bounds = Bounds { first, last };
    let (left, right) = ends(column, bounds, window, smoothed, false);
    let inside = inside(column, bounds, window).map(|i| (column.timestamps[i], column.values[i]));
    [(window.start, left)].into_iter().chain(inside).chain([(window.end, right)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(samples: &[(i64, f64)], range: (i64, i64), smoothed: bool, mode: Mode) -> Option<f64> {
        let (timestamps, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
        let window = Window {
            floats: Column { timestamps: &timestamps, values: &values, starts: &[] },
            histograms: Column { timestamps: &[], values: &[], starts: &[] },
            start: range.0,
            end: range.1,
        };
        match extended(&window, smoothed, mode, &mut Remarks::default()) {
            Some(Value::Float(v)) => Some(v),
            _ => None,
        }
    }

    #[test]
    fn anchored_takes_the_sample_before_the_range() {
        let s = [(0, 1.0), (10_000, 3.0), (20_000, 6.0)];
        assert_eq!(value(&s, (5_000, 20_000), false, Mode::Increase), Some(5.0));
        assert_eq!(value(&s, (5_000, 25_000), false, Mode::Rate), Some(0.25));
        assert_eq!(value(&s, (20_000, 25_000), false, Mode::Increase), None);
        // A reset inside counts what was before it.
        assert_eq!(value(&[(0, 5.0), (10_000, 9.0), (20_000, 2.0)], (0, 20_000), false, Mode::Increase), Some(6.0));
    }

    #[test]
    fn smoothed_interpolates_at_both_ends() {
        let s = [(0, 0.0), (10_000, 10.0), (20_000, 30.0)];
        assert_eq!(value(&s, (5_000, 15_000), true, Mode::Increase), Some(15.0));
        assert_eq!(value(&s, (25_000, 35_000), true, Mode::Increase), None);
        // Both ends on a slope that a reset began: it rose from zero.
        assert_eq!(value(&[(0, 10.0), (20_000, 5.0)], (5_000, 15_000), true, Mode::Increase), Some(2.5));
    }
}
