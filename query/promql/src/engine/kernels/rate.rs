//! `rate`, `increase`, `delta`, extrapolated to the ends of the range, and `irate`, `idelta`.

use super::{Frame, KernelScratch};
use crate::engine::grid::ABSENT;

/// What the difference of a window is made into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Rate,
    Increase,
    Delta,
}

impl Mode {
    pub(super) const fn is_counter(self) -> bool {
        matches!(self, Self::Rate | Self::Increase)
    }
}

/// What timestamps alone decide about one window.
#[derive(Debug, Clone, Copy)]
struct Shape {
    lo: u32,
    hi: u32,
    /// Seconds from the first to the last sample; 0 when there are fewer than two.
    sampled: f64,
    /// Seconds to add before the first sample, when the counter does not reach zero sooner.
    to_start: f64,
    /// Seconds to add after the last sample.
    to_end: f64,
    /// What the difference is multiplied with when `to_start` stands.
    factor: f64,
}

/// The shapes of all windows, kept while the windows stand.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    version: u64,
    list: Vec<Shape>,
}

/// Milliseconds as the seconds that Go's `Duration.Seconds` gives.
pub(super) fn seconds(ms: i64) -> f64 {
    (ms / 1000) as f64 + ((ms % 1000) * 1_000_000) as f64 / 1e9
}

impl Shapes {
    fn update(&mut self, frame: &Frame<'_>, mode: Mode) {
        if self.version == frame.windows.version {
            return;
        }
        self.version = frame.windows.version;
        self.list.clear();
        let range_seconds = seconds(frame.range);
        for (k, (lo, hi)) in frame.windows.iter().enumerate() {
            let mut shape =
                Shape { lo: lo as u32, hi: hi as u32, sampled: 0.0, to_start: 0.0, to_end: 0.0, factor: 0.0 };
            if hi - lo >= 2 {
                let end = frame.times.at(k);
                let (first, last) = (frame.timestamps[lo], frame.timestamps[hi - 1]);
                shape.sampled = (last - first) as f64 / 1000.0;
                let average = shape.sampled / (hi - lo - 1) as f64;
                let threshold = average * 1.1;
                let near = |duration: f64| if duration >= threshold { average / 2.0 } else { duration };
                shape.to_start = near((first - (end - frame.range)) as f64 / 1000.0);
                shape.to_end = near((end - last) as f64 / 1000.0);
                shape.factor = factor(&shape, shape.to_start, mode, range_seconds);
            }
            self.list.push(shape);
        }
    }
}

#[inline]
fn factor(shape: &Shape, to_start: f64, mode: Mode, range_seconds: f64) -> f64 {
    let factor = (shape.sampled + to_start + shape.to_end) / shape.sampled;
    if mode == Mode::Rate { factor / range_seconds } else { factor }
}

/// The indices of the samples that are below the one before them.
fn find_resets(values: &[f64], out: &mut Vec<u32>) {
    out.clear();
    // Resets are rare: look at many pairs at once before naming one.
    const BLOCK: usize = 64;
    let mut base = 0;
    while base + 1 < values.len() {
        let end = values.len().min(base + BLOCK + 1);
        let block = &values[base..end];
        let any = block.windows(2).fold(false, |any, p| any | (p[1] < p[0]));
        if any {
            for (i, p) in block.windows(2).enumerate() {
                if p[1] < p[0] {
                    out.push((base + i + 1) as u32);
                }
            }
        }
        base = end - 1;
    }
}

/// The difference between a window's last and first sample, with what counter resets hid, made to cover the range.
pub(super) fn extrapolated(frame: &Frame<'_>, mode: Mode, scratch: &mut KernelScratch, out: &mut [f64]) {
    scratch.rate.update(frame, mode);
    let resets = &mut scratch.indices;
    resets.clear();
    if mode.is_counter() {
        find_resets(frame.values, resets);
    }
    let range_seconds = seconds(frame.range);
    let values = frame.values;
    // The first reset that the current window can still hold: windows only move forward.
    let mut next_reset = 0;
    for (out, shape) in out.iter_mut().zip(&scratch.rate.list) {
        let (lo, hi) = (shape.lo as usize, shape.hi as usize);
        if hi - lo < 2 {
            *out = ABSENT;
            continue;
        }
        let first = values[lo];
        let mut result = values[hi - 1] - first;
        if !mode.is_counter() {
            *out = result * shape.factor;
            continue;
        }
        while resets.get(next_reset).is_some_and(|r| *r as usize <= lo) {
            next_reset += 1;
        }
        for r in resets.iter().skip(next_reset).map(|r| *r as usize).take_while(|r| *r < hi) {
            result += values[r - 1];
        }
        // A counter is not below zero: do not extrapolate further back than to where it would have been zero.
        let mut multiply = shape.factor;
        if result > 0.0 && first >= 0.0 {
            let to_zero = shape.sampled * (first / result);
            if to_zero < shape.to_start {
                multiply = factor(shape, to_zero, mode, range_seconds);
            }
        }
        *out = result * multiply;
    }
}

/// From the last two samples of each window.
pub(super) fn instant(frame: &Frame<'_>, is_rate: bool, out: &mut [f64]) {
    frame.each_span(out, |lo, hi| {
        if hi - lo < 2 {
            return ABSENT;
        }
        let (before, last) = (frame.values[hi - 2], frame.values[hi - 1]);
        let interval = frame.timestamps[hi - 1] - frame.timestamps[hi - 2];
        if interval == 0 {
            return ABSENT;
        }
        // After a reset the counter started from zero.
        let difference = if is_rate && last < before { last } else { last - before };
        if is_rate { difference / (interval as f64 / 1000.0) } else { difference }
    });
}

#[cfg(test)]
mod tests {
    use super::{super::tests::column, *};
    use crate::engine::{grid::Grid, kernels::RangeFn};

    fn samples(step: i64, values: &[f64]) -> Vec<(i64, f64)> {
        values.iter().enumerate().map(|(i, v)| (i as i64 * step, *v)).collect()
    }

    #[test]
    fn a_steady_counter_has_its_rate() {
        let counter: Vec<f64> = (0..=100).map(|i| 1000.0 + f64::from(i) * 30.0).collect();
        let got =
            column(RangeFn::Rate, &samples(15_000, &counter), Grid::new(300_000, 1_500_000, 60_000), 300_000, &[]);
        assert_eq!(got.len(), 21);
        assert!(got.iter().all(|v| (v - 2.0).abs() < 1e-12), "{got:?}");
    }

    #[test]
    fn resets_are_added_and_zero_bounds_the_extrapolation() {
        // 0 10 20 5 15: rose by 20 and then by 15 from zero; the range of 5m holds all but the first sample's edge.
        let s = samples(60_000, &[0.0, 10.0, 20.0, 5.0, 15.0]);
        let got = column(RangeFn::Increase, &s, Grid::instant(240_000), 240_001, &[]);
        assert!((got[0] - 35.0).abs() < 1e-9, "{got:?}");
        // The window starts 60 s before the first sample, whose value 10 at a slope of 10 a minute was zero then.
        let s = samples(60_000, &[10.0, 20.0, 30.0]);
        let got = column(RangeFn::Increase, &s, Grid::instant(120_000), 181_000, &[]);
        assert!((got[0] - 30.0).abs() < 1e-9, "{got:?}");
        // Far from the start only half an interval is added.
        let got = column(RangeFn::Delta, &s, Grid::instant(120_000), 600_000, &[]);
        assert!((got[0] - 25.0).abs() < 1e-9, "{got:?}");
    }

    #[test]
    fn every_window_with_many_resets_equals_the_plain_sum() {
        let values: Vec<f64> = (0..500u64).map(|i| (i.wrapping_mul(2_654_435_761) % 97) as f64).collect();
        let s = samples(15_000, &values);
        let grid = Grid::new(0, 7_500_000, 45_000);
        let got = column(RangeFn::Increase, &s, grid, 300_000, &[]);
        for (k, got) in got.iter().enumerate() {
            let end = grid.at(k);
            let w: Vec<_> = s.iter().filter(|(t, _)| *t > end - 300_000 && *t <= end).collect();
            if w.len() < 2 {
                continue;
            }
            let mut result = w[w.len() - 1].1 - w[0].1;
            for p in w.windows(2) {
                if p[1].1 < p[0].1 {
                    result += p[0].1;
                }
            }
            let sampled = (w[w.len() - 1].0 - w[0].0) as f64 / 1000.0;
            let average = sampled / (w.len() - 1) as f64;
            let near = |d: f64| if d >= average * 1.1 { average / 2.0 } else { d };
            let mut to_start = near((w[0].0 - (end - 300_000)) as f64 / 1000.0);
            let to_end = near((end - w[w.len() - 1].0) as f64 / 1000.0);
            if result > 0.0 && w[0].1 >= 0.0 {
                to_start = to_start.min(sampled * (w[0].1 / result));
            }
            assert_eq!(*got, result * ((sampled + to_start + to_end) / sampled));
        }
    }

    #[test]
    fn resets_are_found_across_blocks() {
        let mut values: Vec<f64> = (0..200).map(f64::from).collect();
        values[64] = 0.0;
        values[65] = -1.0;
        values[199] = 3.0;
        let mut out = Vec::new();
        find_resets(&values, &mut out);
        assert_eq!(out, [64, 65, 199]);
        find_resets(&[], &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn irate_takes_the_last_two() {
        let s = samples(60_000, &[0.0, 50.0, 20.0]);
        assert_eq!(column(RangeFn::Irate, &s, Grid::instant(120_000), 600_000, &[]), [20.0 / 60.0]);
        assert_eq!(column(RangeFn::Idelta, &s, Grid::instant(120_000), 600_000, &[]), [-30.0]);
    }
}
