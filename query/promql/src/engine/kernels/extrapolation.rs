//! `rate`, `increase` and `delta` of one window whose samples are histograms or have start timestamps, extrapolated to
//! the ends of the range. Floats alone are done for all windows at once in `rate`.

use super::{
    histogram_rate::{add, difference},
    rate::Mode,
    remarks::{Remark, Remarks},
    samples::{Column, Value, Window},
};

/// Only the ends of a window matter for how far is extrapolated.
struct Ends {
    first: i64,
    last: i64,
    intervals: usize,
    /// When the counter was zero, by the first sample's start timestamp.
    zero_point: Option<i64>,
}

impl Ends {
    fn of<T>(column: &Column<'_, T>, window: &Window<'_>, mode: Mode) -> Option<Self> {
        Some(Self {
            first: *column.timestamps.first()?,
            last: *column.timestamps.last()?,
            intervals: column.len() - 1,
            zero_point: if mode.is_counter() { column.zero_point(window.start) } else { None },
        })
    }

    /// What a difference is multiplied with. `to_zero` gives from the sampled seconds how many seconds before the first
    /// sample the counter would have been zero.
    fn factor(&self, window: &Window<'_>, mode: Mode, to_zero: impl FnOnce(f64) -> Option<f64>) -> f64 {
        let mut sampled = (self.last - self.first) as f64 / 1000.0;
        let average = if self.intervals > 0 { sampled / self.intervals as f64 } else { 0.0 };
        let threshold = average * 1.1;
        let near = |duration: f64| if duration >= threshold { average / 2.0 } else { duration };
        let mut to_start = near((self.first - window.start) as f64 / 1000.0);
        if let Some(zero_point) = self.zero_point {
            to_start = 0.0;
            sampled = (self.last - zero_point) as f64 / 1000.0;
        } else if let Some(to_zero) = to_zero(sampled)
            && to_zero < to_start
        {
            to_start = to_zero;
        }
        let to_end = near((window.end - self.last) as f64 / 1000.0);
        let factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
        if mode == Mode::Rate { factor / window.range_seconds() } else { factor }
    }
}

/// The difference between the window's last and first sample, with what counter resets hid, made to cover the range.
pub(super) fn extrapolated(window: &Window<'_>, mode: Mode, remarks: &mut Remarks) -> Option<Value> {
    if window.is_mixed() {
        *remarks = Remarks::of(Remark::MixedKinds);
        return None;
    }
    if window.histograms.is_empty() { floats(window, mode, remarks) } else { histograms(window, mode, remarks) }
}

fn floats(window: &Window<'_>, mode: Mode, remarks: &mut Remarks) -> Option<Value> {
    let column = &window.floats;
    let ends = Ends::of(column, window, mode)?;
    let (first, last) = (*column.values.first()?, *column.values.last()?);
    let mut result = last - first;
    if mode.is_counter() {
        for i in 1..column.len() {
            if column.overlaps(i) {
                remarks.add(Remark::StartOverlap);
            }
            let before = column.values[i - 1];
            if column.values[i] < before || column.starts_anew(i) {
                result += before;
            }
        }
    }
    if ends.zero_point.is_some() {
        result += first;
    } else if ends.intervals == 0 {
        return None;
    }
    let rising = mode.is_counter() && result > 0.0 && first >= 0.0;
    Some(Value::Float(result * ends.factor(window, mode, |sampled| rising.then(|| sampled * (first / result)))))
}

fn histograms(window: &Window<'_>, mode: Mode, remarks: &mut Remarks) -> Option<Value> {
    let column = &window.histograms;
    let ends = Ends::of(column, window, mode)?;
    let first = column.values.first()?;
    let mut result = if ends.intervals > 0 { Some(difference(column, mode, remarks)?) } else { None };
    if ends.zero_point.is_some() {
        match &mut result {
            None => result = Some((**first).clone()),
            Some(result) => add(result, first, remarks).ok()?,
        }
    }
    let mut result = result?;
    let rising = mode.is_counter() && result.count > 0.0 && first.count >= 0.0;
    let count = result.count;
    result.mul(ends.factor(window, mode, |sampled| rising.then(|| sampled * (first.count / count))));
    Some(Value::Histogram(result))
}
