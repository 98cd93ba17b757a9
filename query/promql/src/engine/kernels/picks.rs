//! Functions that sort a window: `quantile_over_time`, `mad_over_time`.

use super::Frame;
use crate::engine::{
    grid::ABSENT,
    quantile::{nan_first, quantile_of, quantile_of_sorted},
};

/// Overlapping windows share one sorted list, which takes in and gives up a few values a step.
pub(super) fn quantile(frame: &Frame<'_>, sorted: &mut Vec<f64>, out: &mut [f64]) {
    // The samples that are in the list now.
    let (mut from, mut to) = (0, 0);
    sorted.clear();
    for (k, (lo, hi)) in frame.spans().enumerate() {
        let Some(out) = out.get_mut(k) else { return };
        // Windows only move forward, so both differences are there.
        if (lo - from) + (hi - to) > (hi - lo) / 4 {
            sorted.clear();
            sorted.extend_from_slice(&frame.values[lo..hi]);
            sorted.sort_unstable_by(nan_first);
        } else {
            for v in &frame.values[from..lo] {
                let at = sorted.partition_point(|s| nan_first(s, v).is_lt());
                sorted.remove(at);
            }
            for v in &frame.values[to..hi] {
                let at = sorted.partition_point(|s| nan_first(s, v).is_lt());
                sorted.insert(at, *v);
            }
        }
        (from, to) = (lo, hi);
        *out = if lo == hi { ABSENT } else { quantile_of_sorted(frame.param(0, k), sorted) };
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

#[cfg(test)]
mod tests {
    use super::super::{RangeFn, tests::column};
    use crate::engine::{
        grid::{Grid, is_absent},
        quantile::quantile_of,
    };

    #[test]
    fn a_moving_sorted_window_gives_the_same_as_each_for_itself() {
        let samples: Vec<(i64, f64)> = (0..1000u64)
            .filter(|i| !(400..500).contains(i))
            .map(|i| (i as i64 * 1000, if i % 17 == 0 { f64::NAN } else { (i * 7919 % 101) as f64 }))
            .collect();
        for step in [1000, 3000, 40_000, 90_000] {
            let grid = Grid::new(-5000, 1_100_000, step);
            let got = column(RangeFn::Quantile, &samples, grid, 50_000, &[0.7]);
            for (k, got) in got.iter().enumerate() {
                let end = grid.at(k);
                let mut window: Vec<f64> =
                    samples.iter().filter(|(t, _)| *t > end - 50_000 && *t <= end).map(|(_, v)| *v).collect();
                if window.is_empty() {
                    assert!(is_absent(*got));
                } else {
                    assert_eq!(got.to_bits(), quantile_of(0.7, &mut window).to_bits());
                }
            }
        }
    }
}
