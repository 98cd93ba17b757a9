//! Lines through windows: `deriv`, `predict_linear`, and `double_exponential_smoothing`.

use super::{Frame, kahan_add, two_sum};
use crate::engine::grid::ABSENT;

/// Slope a second of the line through the samples, and its value at `intercept`.
fn line(timestamps: &[i64], values: &[f64], intercept: i64) -> (f64, f64) {
    let first = values.first().copied().unwrap_or(f64::NAN);
    if values.iter().skip(1).all(|v| *v == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = values.len() as f64;
    let mut sums = sums(timestamps, values, intercept, two_sum);
    if !sums.iter().all(|s| s.is_finite()) {
        sums = self::sums(timestamps, values, intercept, kahan_add);
    }
    let [x, y, xy, xx] = sums;
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

/// The compensated sums of x, y, x*y and x*x, where x is the time in seconds since `intercept`.
#[inline(always)]
fn sums(timestamps: &[i64], values: &[f64], intercept: i64, add: impl Fn(f64, f64, f64) -> (f64, f64)) -> [f64; 4] {
    let mut sums = [(0.0, 0.0); 4];
    for (t, y) in timestamps.iter().zip(values) {
        let x = t.saturating_sub(intercept) as f64 / 1e3;
        for (sum, v) in sums.iter_mut().zip([x, *y, x * y, x * x]) {
            *sum = add(v, sum.0, sum.1);
        }
    }
    sums.map(|(sum, c)| sum + c)
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
    for (k, (lo, hi)) in frame.spans().enumerate() {
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
    for (k, (lo, hi)) in frame.spans().enumerate() {
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
