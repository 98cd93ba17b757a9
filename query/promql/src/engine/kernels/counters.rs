//! `changes` and `resets`: counts over windows by the difference of counts from the start, which is exact.

use super::Frame;

pub(super) fn changes(frame: &Frame<'_>, counts: &mut Vec<u32>, out: &mut [f64]) {
    count(frame, counts, out, |before, v| v != before && !(v.is_nan() && before.is_nan()));
}

pub(super) fn resets(frame: &Frame<'_>, counts: &mut Vec<u32>, out: &mut [f64]) {
    count(frame, counts, out, |before, v| v < before);
}

/// Counts the neighbours inside each window for which `happens` holds.
fn count(frame: &Frame<'_>, counts: &mut Vec<u32>, out: &mut [f64], happens: impl Fn(f64, f64) -> bool) {
    counts.clear();
    counts.push(0);
    let mut seen = 0;
    for p in frame.values.windows(2) {
        seen += u32::from(happens(p[0], p[1]));
        counts.push(seen);
    }
    frame.each_span(out, |lo, hi| f64::from(counts[hi - 1] - counts[lo]));
}
