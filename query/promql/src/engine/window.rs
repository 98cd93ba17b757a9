//! Where in a series' samples each step looks. That depends on timestamps alone, and series that are scraped together
//! share theirs, so the boundaries of one series are kept for the next.

use chronolith_storage::TimeRange;

use super::{grid::Grid, plan::Shift};
use crate::ast::Extension;

/// Stands for "no sample" where an index is expected.
pub(super) const NONE: u32 = u32::MAX;

/// For each step the time that is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) grid: Grid,
    pub(super) shift: Shift,
}

impl Times {
    #[inline]
    pub(super) fn at(&self, k: usize) -> i64 {
        self.shift.apply(self.grid.at(k))
    }

    /// The first and the last time that is looked at.
    pub(super) fn bounds(&self) -> (i64, i64) {
        (self.at(0), self.shift.apply(self.grid.last()))
    }
}

/// How far a window goes from the time it is for, in milliseconds. It is open on the left and closed on the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) before: i64,
    pub(super) after: i64,
}

impl Reach {
    /// That of a range as it is written; anchored and smoothed ones go as far as the lookback beyond.
    pub(super) const fn of(range: i64, extension: Extension, lookback: i64) -> Self {
        match extension {
            Extension::None => Self { before: range, after: 0 },
            Extension::Anchored => Self { before: range.saturating_add(lookback), after: 0 },
            Extension::Smoothed => Self { before: range.saturating_add(lookback), after: lookback },
        }
    }

    /// All that the windows at these times can hold.
    pub(super) fn range(self, times: &Times) -> TimeRange {
        let (first, last) = times.bounds();
        TimeRange::new(first.saturating_sub(self.before).saturating_add(1), last.saturating_add(self.after))
    }
}

/// For each step the last sample that is not later and not out of the lookback.
#[derive(Debug, Default)]
pub(super) struct Picks {
    timestamps: Vec<i64>,
    known: bool,
    pub(super) index: Vec<u32>,
}

impl Picks {
    /// Finds the samples; the same timestamps as in the last call cost one comparison of memory.
    pub(super) fn update(&mut self, timestamps: &[i64], times: &Times, lookback: i64) {
        if self.known && self.timestamps == timestamps {
            return;
        }
        self.known = true;
        timestamps.clone_into(&mut self.timestamps);
        self.index.clear();
        self.index.reserve(times.grid.count);
        let mut next = 0usize;
        for k in 0..times.grid.count {
            let at = times.at(k);
            next += timestamps.get(next..).unwrap_or_default().iter().take_while(|t| **t <= at).count();
            let fresh = next > 0 && timestamps[next - 1] > at.saturating_sub(lookback);
            self.index.push(if fresh { (next - 1) as u32 } else { NONE });
        }
    }
}

/// For each step the samples inside its reach: `lo[k]..hi[k]`.
///
/// Invariant: `lo[k] <= hi[k] <= timestamps.len()`, and both rise with `k`.
#[derive(Debug, Default)]
pub(super) struct Windows {
    timestamps: Vec<i64>,
    known: bool,
    pub(super) lo: Vec<u32>,
    pub(super) hi: Vec<u32>,
    /// The most samples in one window.
    pub(super) longest: usize,
    /// The samples in all windows, each as often as it is in one.
    pub(super) total: usize,
    /// Rises whenever the boundaries change: what kernels derive from them can be kept as long as it stands.
    pub(super) version: u64,
}

impl Windows {
    /// Finds the boundaries; the same timestamps as in the last call cost one comparison of memory.
    pub(super) fn update(&mut self, timestamps: &[i64], times: &Times, reach: Reach) {
        if self.known && self.timestamps == timestamps {
            return;
        }
        self.known = true;
        self.version += 1;
        timestamps.clone_into(&mut self.timestamps);
        self.lo.clear();
        self.hi.clear();
        (self.longest, self.total) = (0, 0);
        let (mut lo, mut hi) = (0usize, 0usize);
        for k in 0..times.grid.count {
            let at = times.at(k);
            let (start, end) = (at.saturating_sub(reach.before), at.saturating_add(reach.after));
            hi += timestamps.get(hi..).unwrap_or_default().iter().take_while(|t| **t <= end).count();
            lo += timestamps.get(lo..hi).unwrap_or_default().iter().take_while(|t| **t <= start).count();
            self.lo.push(lo as u32);
            self.hi.push(hi as u32);
            self.longest = self.longest.max(hi - lo);
            self.total += hi - lo;
        }
    }

    /// The windows in order of the steps.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.lo.iter().zip(&self.hi).map(|(lo, hi)| (*lo as usize, *hi as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(start: i64, end: i64, step: i64) -> Times {
        Times { grid: Grid::new(start, end, step), shift: Shift { offset: 0, at: None } }
    }

    #[test]
    fn windows_are_open_on_the_left_and_closed_on_the_right() {
        let mut w = Windows::default();
        let reach = Reach { before: 20, after: 0 };
        w.update(&[0, 10, 20, 30, 40], &times(20, 50, 10), reach);
        assert_eq!(w.iter().collect::<Vec<_>>(), [(1, 3), (2, 4), (3, 5), (4, 5)]);
        assert_eq!((w.longest, w.total), (2, 7));
        w.update(&[], &times(20, 50, 10), reach);
        assert_eq!(w.iter().collect::<Vec<_>>(), [(0, 0); 4]);
    }

    #[test]
    fn lookback_leaves_out_a_sample_exactly_that_old() {
        let mut p = Picks::default();
        p.update(&[0, 100], &times(0, 150, 50), 100);
        assert_eq!(p.index, [0, 0, 1, 1]);
        p.update(&[0], &times(0, 150, 50), 100);
        assert_eq!(p.index, [0, 0, NONE, NONE]);
    }

    #[test]
    fn a_fixed_time_gives_every_step_the_same_window() {
        let mut w = Windows::default();
        let times = Times { grid: Grid::new(0, 20, 10), shift: Shift { offset: 5, at: Some(30) } };
        w.update(&[10, 20, 30], &times, Reach { before: 10, after: 0 });
        assert_eq!(w.iter().collect::<Vec<_>>(), [(1, 2); 3]);
    }
}
