//! Lines through windows: `deriv`, `predict_linear`, and `double_exponential_smoothing`.

use super::{Frame, kahan_add};
use crate::engine::grid::ABSENT;

/// Slope a second of the line through the samples, and its value at `intercept`.
fn line(timestamps: &[i64], values: &[f64], intercept: i64) -> (f64, f64) {
    let first = values.first().copied().unwrap_or(f64::NAN);
    if values.iter().skip(1).all(|v| *v == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = values.len() as f64;
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0));
    for (t, y) in timestamps.iter().zip(values) {
        let x = t.saturating_sub(intercept) as f64 / 1e3;
        x_sum = kahan_add(x, x_sum.0, x_sum.1);
        y_sum = kahan_add(*y, y_sum.0, y_sum.1);
        xy_sum = kahan_add(x * y, xy_sum.0, xy_sum.1);
        xx_sum = kahan_add(x * x, xx_sum.0, xx_sum.1);
    }
    let (x, y, xy, xx) = (x_sum.0 + x_sum.1, y_sum.0 + y_sum.1, xy_sum.0 + xy_sum.1, xx_sum.0 + xx_sum.1);
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

pub(super) fn deriv(frame: &Frame<'_>, out: &mut [f64]) {
    frame.each_span(out, |lo, hi| {
        if hi - lo < 2 {
            return ABSENT;
        }
        // Near the samples, so that the squares of times keep their digits.
        line(&frame.timestamps[lo..hi], &frame.values[lo..hi], frame.timestamps[lo]).0
    });
}

pub(super) fn predict(frame: &Frame<'_>, out: &mut [f64]) {
    for (k, (lo, hi)) in frame.windows.iter().enumerate() {
        let Some(out) = out.get_mut(k) else { return };
        if hi - lo < 2 {
            *out = ABSENT;
            continue;
        }
        let (slope, at_now) = line(&frame.timestamps[lo..hi], &frame.values[lo..hi], frame.times.grid.at(k));
        *out = slope * frame.param(0, k) + at_now;
    }
}

/// Holt's linear smoothing; the factors were checked to lie between 0 and 1.
pub(super) fn smooth(frame: &Frame<'_>, out: &mut [f64]) {
    for (k, (lo, hi)) in frame.windows.iter().enumerate() {
        let Some(out) = out.get_mut(k) else { return };
        let (level, trend) = (frame.param(0, k), frame.param(1, k));
        let window = &frame.values[lo..hi];
        let [first, second, ..] = window else {
            *out = ABSENT;
            continue;
        };
        let (mut before, mut smoothed, mut slope) = (0.0, *first, second - first);
        for (i, v) in window.iter().enumerate().skip(1) {
            if i > 1 {
                slope = trend * (smoothed - before) + (1.0 - trend) * slope;
            }
            (before, smoothed) = (smoothed, level * v + (1.0 - level) * (smoothed + slope));
        }
        *out = smoothed;
    }
}
