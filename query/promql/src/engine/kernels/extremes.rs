//! `min_over_time`, `max_over_time`, and when they were.

use super::Frame;
use crate::engine::grid::ABSENT;

/// Windows longer than this that overlap are searched with a queue instead of one by one.
const SCAN: usize = 48;

/// The value that no other in the window is `better` than; NaN only where there is nothing else. `worst` is the value
/// that nothing is worse than.
pub(super) fn extreme(
    frame: &Frame<'_>,
    better: impl Fn(f64, f64) -> bool,
    worst: f64,
    queue: &mut Vec<u32>,
    out: &mut [f64],
) {
    if frame.windows.longest > SCAN && frame.windows.total > 2 * frame.values.len() {
        return by_queue(frame, better, queue, out);
    }
    frame.each_window(out, |w| {
        let best = w.iter().fold(worst, |best, v| if better(*v, best) { *v } else { best });
        if best == worst && w.iter().all(|v| v.is_nan()) { f64::NAN } else { best }
    });
}

/// Keeps the indices of the samples that can still become the extreme of a window, best first: each sample enters and
/// leaves once, however much the windows overlap.
fn by_queue(frame: &Frame<'_>, better: impl Fn(f64, f64) -> bool, queue: &mut Vec<u32>, out: &mut [f64]) {
    queue.clear();
    // The queue is `queue[head..]`; what is before was left behind by the windows.
    let (mut head, mut entered) = (0, 0);
    for (out, (lo, hi)) in out.iter_mut().zip(frame.spans()) {
        for i in entered..hi {
            let v = frame.values[i];
            if v.is_nan() {
                continue;
            }
            while queue.len() > head && queue.last().is_some_and(|last| !better(frame.values[*last as usize], v)) {
                queue.pop();
            }
            queue.push(i as u32);
        }
        entered = entered.max(hi);
        while queue.get(head).is_some_and(|i| (*i as usize) < lo) {
            head += 1;
        }
        *out = match queue.get(head) {
            _ if lo == hi => ABSENT,
            Some(i) => frame.values[*i as usize],
            None => f64::NAN,
        };
    }
}

/// The time in seconds of the last value in the window that is `as_good` as the extreme.
pub(super) fn timestamp_of(frame: &Frame<'_>, as_good: impl Fn(f64, f64) -> bool, out: &mut [f64]) {
    frame.each_span(out, |lo, hi| {
        let mut best = lo;
        for i in lo..hi {
            if as_good(frame.values[i], frame.values[best]) || frame.values[best].is_nan() {
                best = i;
            }
        }
        frame.timestamps[best] as f64 / 1000.0
    });
}

#[cfg(test)]
mod tests {
    use super::super::{RangeFn, tests::column};
    use crate::engine::grid::{Grid, is_absent};

    #[test]
    fn long_overlapping_windows_give_the_same_as_short_ones() {
        let samples: Vec<(i64, f64)> = (0..2000u64)
            .filter(|i| !(700..1000).contains(i))
            .map(|i| {
                let v = if i % 13 == 0 { f64::NAN } else { (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 };
                (i as i64 * 1000, v)
            })
            .collect();
        let grid = Grid::new(-5000, 2_050_000, 3000);
        for (function, pick) in
            [(RangeFn::Max, f64::max as fn(f64, f64) -> f64), (RangeFn::Min, f64::min as fn(f64, f64) -> f64)]
        {
            let got = column(function, &samples, grid, 200_000, &[]);
            for (k, got) in got.iter().enumerate() {
                let end = grid.at(k);
                let window = samples.iter().filter(|(t, _)| *t > end - 200_000 && *t <= end);
                match window.map(|(_, v)| *v).reduce(pick) {
                    Some(want) => assert_eq!(*got, want),
                    None => assert!(is_absent(*got)),
                }
            }
        }
    }
}
