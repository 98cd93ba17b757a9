//! Functions that sort a window: `quantile_over_time`, `mad_over_time`.

use super::Frame;
use crate::engine::{grid::ABSENT, quantile::quantile_of};

pub(super) fn quantile(frame: &Frame<'_>, sorted: &mut Vec<f64>, out: &mut [f64]) {
    for (k, (lo, hi)) in frame.windows.iter().enumerate() {
        let Some(out) = out.get_mut(k) else { return };
        if lo == hi {
            *out = ABSENT;
            continue;
        }
        sorted.clear();
        sorted.extend_from_slice(&frame.values[lo..hi]);
        *out = quantile_of(frame.param(0, k), sorted);
    }
}

/// The median of the distances to the median.
pub(super) fn mad(frame: &Frame<'_>, sorted: &mut Vec<f64>, out: &mut [f64]) {
    frame.each_window(out, |w| {
        if w.iter().any(|v| v.is_nan()) {
            return f64::NAN;
        }
        sorted.clear();
        sorted.extend_from_slice(w);
        let median = quantile_of(0.5, sorted);
        for v in sorted.iter_mut() {
            *v = (*v - median).abs();
        }
        quantile_of(0.5, sorted)
    });
}
