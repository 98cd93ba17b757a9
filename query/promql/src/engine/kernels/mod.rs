//! Functions of a range: from one series' samples and the windows of all steps to a column of step values.

mod counters;
pub(super) mod extended;
pub(super) mod extended_histograms;
mod extrapolation;
mod extremes;
mod histogram_rate;
mod histogram_sums;
mod last_two;
pub(super) mod neighbours;
pub(super) mod patience;
mod picks;
mod rate;
mod regression;
pub(super) mod remarks;
pub(super) mod samples;
mod sums;

use self::{
    neighbours::Counted,
    patience::Patience,
    remarks::Remarks,
    samples::{Value, Window},
};
use super::{
    error::{QueryError, Result},
    grid::ABSENT,
    window::{Times, Windows},
};
use crate::ast::Extension;

pub(super) use sums::{kahan_add, two_sum};

/// The functions of a range over floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeFn {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Present,
    Last,
    First,
    Stddev,
    Stdvar,
    Quantile,
    Deriv,
    PredictLinear,
    Changes,
    Resets,
    DoubleExponentialSmoothing,
    Mad,
    TsOfFirst,
    TsOfLast,
    TsOfMin,
    TsOfMax,
}

/// How a function takes windows with histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Histograms {
    /// It leaves them out, and says so where there are floats too.
    Ignored,
    /// It counts, or picks, samples of both kinds.
    Taken,
    /// It counts neighbours that differ, of both kinds.
    Compared(Counted),
    /// It computes with them; see [`window_value`].
    Computed,
}

impl RangeFn {
    /// The function of that name, if it is one of a range.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "rate" => Self::Rate,
            "increase" => Self::Increase,
            "delta" => Self::Delta,
            "irate" => Self::Irate,
            "idelta" => Self::Idelta,
            "sum_over_time" => Self::Sum,
            "avg_over_time" => Self::Avg,
            "min_over_time" => Self::Min,
            "max_over_time" => Self::Max,
            "count_over_time" => Self::Count,
            "present_over_time" | "absent_over_time" => Self::Present,
            "last_over_time" => Self::Last,
            "first_over_time" => Self::First,
            "stddev_over_time" => Self::Stddev,
            "stdvar_over_time" => Self::Stdvar,
            "quantile_over_time" => Self::Quantile,
            "deriv" => Self::Deriv,
            "predict_linear" => Self::PredictLinear,
            "changes" => Self::Changes,
            "resets" => Self::Resets,
            "double_exponential_smoothing" => Self::DoubleExponentialSmoothing,
            "mad_over_time" => Self::Mad,
            "ts_of_first_over_time" => Self::TsOfFirst,
            "ts_of_last_over_time" => Self::TsOfLast,
            "ts_of_min_over_time" => Self::TsOfMin,
            "ts_of_max_over_time" => Self::TsOfMax,
            _ => return None,
        })
    }

    /// Whether the result is still the metric that went in.
    pub(super) const fn keeps_name(self) -> bool {
        matches!(self, Self::Last | Self::First)
    }

    pub(super) const fn histograms(self) -> Histograms {
        match self {
            Self::Count | Self::Present | Self::Last | Self::First | Self::TsOfFirst | Self::TsOfLast => {
                Histograms::Taken
            }
            Self::Min
            | Self::Max
            | Self::Stddev
            | Self::Stdvar
            | Self::Quantile
            | Self::Deriv
            | Self::PredictLinear
            | Self::DoubleExponentialSmoothing
            | Self::Mad
            | Self::TsOfMin
            | Self::TsOfMax => Histograms::Ignored,
            Self::Changes => Histograms::Compared(Counted::Changes),
            Self::Resets => Histograms::Compared(Counted::Resets),
            Self::Rate | Self::Increase | Self::Delta | Self::Irate | Self::Idelta | Self::Sum | Self::Avg => {
                Histograms::Computed
            }
        }
    }

    /// Whether it takes the start timestamps of samples into account.
    pub(super) const fn uses_start_timestamps(self) -> bool {
        matches!(self, Self::Rate | Self::Increase | Self::Irate | Self::Resets)
    }

    /// Whether its value depends on what is known about a reset before the first histogram of a window.
    pub(super) const fn shows_first_hint(self) -> bool {
        matches!(self, Self::Sum | Self::Avg | Self::First | Self::Last)
    }

    /// Fails when the function cannot see samples outside of its range, as `extension` would have it.
    pub(super) fn check_extension(self, name: &str, extension: Extension) -> Result<()> {
        let extended = matches!(self, Self::Rate | Self::Increase | Self::Delta);
        let (fits, what, functions) = match extension {
            Extension::None => return Ok(()),
            Extension::Anchored => (
                extended || matches!(self, Self::Changes | Self::Resets),
                "anchored",
                "changes, delta, increase, rate, resets",
            ),
            Extension::Smoothed => (extended, "smoothed", "delta, increase, rate"),
        };
        if fits {
            return Ok(());
        }
        Err(QueryError::Execution(format!("{what} modifier can only be used with: {functions} - not with {name}")))
    }
}

/// What a function that computes with histograms makes of one window, none of which are empty.
pub(super) fn window_value(
    function: RangeFn,
    extension: Extension,
    window: &Window<'_>,
    remarks: &mut Remarks,
) -> Option<Value> {
    let mode = match function {
        RangeFn::Rate => rate::Mode::Rate,
        RangeFn::Increase => rate::Mode::Increase,
        RangeFn::Delta => rate::Mode::Delta,
        RangeFn::Irate | RangeFn::Idelta => return last_two::last_two(window, function == RangeFn::Irate, remarks),
        RangeFn::Sum | RangeFn::Avg => {
            return histogram_sums::sum_or_mean(window, function == RangeFn::Avg, remarks);
        }
        _ => return None,
    };
    match extension {
        Extension::None => extrapolation::extrapolated(window, mode, remarks),
        Extension::Anchored => extended::extended(window, false, mode, remarks),
        Extension::Smoothed => extended::extended(window, true, mode, remarks),
    }
}

/// One series' floats and the windows over them.
///
/// Invariant: `timestamps` and `values` are of one length, and the windows were made from these timestamps.
pub(super) struct Frame<'a> {
    pub(super) timestamps: &'a [i64],
    pub(super) values: &'a [f64],
    pub(super) windows: &'a Windows,
    pub(super) times: &'a Times,
    /// Length of the range in milliseconds.
    pub(super) range: i64,
    /// The scalar arguments, a column each.
    pub(super) params: &'a [Vec<f64>],
    pub(super) patience: Patience<'a>,
}

impl Frame<'_> {
    /// The value of a scalar argument at a step.
    fn param(&self, number: usize, k: usize) -> f64 {
        self.params.get(number).and_then(|p| p.get(k)).copied().unwrap_or(f64::NAN)
    }

    /// The place of each window. They end early when the query is given up; the column is of no use then.
    fn spans(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.windows.iter().take_while(|(lo, hi)| !self.patience.is_over(hi - lo))
    }

    /// Fills `out` from each window's values; an empty window has none.
    fn each_window(&self, out: &mut [f64], mut f: impl FnMut(&[f64]) -> f64) {
        for (out, (lo, hi)) in out.iter_mut().zip(self.spans()) {
            *out = if lo < hi { f(&self.values[lo..hi]) } else { ABSENT };
        }
    }

    /// Fills `out` from the place of each window that is not empty.
    fn each_span(&self, out: &mut [f64], mut f: impl FnMut(usize, usize) -> f64) {
        for (out, (lo, hi)) in out.iter_mut().zip(self.spans()) {
            *out = if lo < hi { f(lo, hi) } else { ABSENT };
        }
    }
}

/// Memory that a thread reuses from series to series.
#[derive(Debug, Default)]
pub(super) struct KernelScratch {
    rate: rate::Shapes,
    indices: Vec<u32>,
    sorted: Vec<f64>,
}

/// Fills `out`, one value a step, from one series.
pub(super) fn run(function: RangeFn, frame: &Frame<'_>, scratch: &mut KernelScratch, out: &mut [f64]) {
    match function {
        RangeFn::Rate => rate::extrapolated(frame, rate::Mode::Rate, scratch, out),
        RangeFn::Increase => rate::extrapolated(frame, rate::Mode::Increase, scratch, out),
        RangeFn::Delta => rate::extrapolated(frame, rate::Mode::Delta, scratch, out),
        RangeFn::Irate => rate::instant(frame, true, out),
        RangeFn::Idelta => rate::instant(frame, false, out),
        RangeFn::Sum => sums::sum(frame, out),
        RangeFn::Avg => sums::avg(frame, out),
        RangeFn::Stdvar => sums::variance(frame, out),
        RangeFn::Stddev => {
            sums::variance(frame, out);
            super::functions::math::map(out, f64::sqrt);
        }
        RangeFn::Min => extremes::extreme(frame, |a, b| a < b, f64::INFINITY, &mut scratch.indices, out),
        RangeFn::Max => extremes::extreme(frame, |a, b| a > b, f64::NEG_INFINITY, &mut scratch.indices, out),
        RangeFn::Count => frame.each_span(out, |lo, hi| (hi - lo) as f64),
        RangeFn::Present => frame.each_span(out, |_, _| 1.0),
        RangeFn::Last => frame.each_span(out, |_, hi| frame.values[hi - 1]),
        RangeFn::First => frame.each_span(out, |lo, _| frame.values[lo]),
        RangeFn::Quantile => picks::quantile(frame, &mut scratch.sorted, out),
        RangeFn::Mad => picks::mad(frame, &mut scratch.sorted, out),
        RangeFn::Deriv => regression::deriv(frame, out),
        RangeFn::PredictLinear => regression::predict(frame, out),
        RangeFn::DoubleExponentialSmoothing => regression::smooth(frame, out),
        RangeFn::Changes => counters::changes(frame, &mut scratch.indices, out),
        RangeFn::Resets => counters::resets(frame, &mut scratch.indices, out),
        RangeFn::TsOfFirst => frame.each_span(out, |lo, _| frame.timestamps[lo] as f64 / 1000.0),
        RangeFn::TsOfLast => frame.each_span(out, |_, hi| frame.timestamps[hi - 1] as f64 / 1000.0),
        RangeFn::TsOfMin => extremes::timestamp_of(frame, |a, b| a <= b, out),
        RangeFn::TsOfMax => extremes::timestamp_of(frame, |a, b| a >= b, out),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engine::{grid::Grid, plan::Shift, window::Reach};

    /// Runs a function over samples, with windows of `range` at the steps of `grid`.
    pub(in crate::engine) fn column(
        function: RangeFn,
        samples: &[(i64, f64)],
        grid: Grid,
        range: i64,
        params: &[f64],
    ) -> Vec<f64> {
        let (timestamps, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
        let times = Times { grid, shift: Shift { offset: 0, at: None } };
        let mut windows = Windows::default();
        windows.update(&timestamps, &times, Reach { before: range, after: 0 });
        let params: Vec<Vec<f64>> = params.iter().map(|p| vec![*p; grid.count]).collect();
        let frame = Frame {
            timestamps: &timestamps,
            values: &values,
            windows: &windows,
            times: &times,
            range,
            params: &params,
            patience: Patience::new(None),
        };
        let mut out = vec![0.0; grid.count];
        run(function, &frame, &mut KernelScratch::default(), &mut out);
        out
    }

    /// One step over all samples, which stand a minute apart from minute 1 on.
    fn over(function: RangeFn, values: &[f64], params: &[f64]) -> f64 {
        let samples: Vec<_> = values.iter().enumerate().map(|(i, v)| ((i as i64 + 1) * 60_000, *v)).collect();
        let end = values.len() as i64 * 60_000;
        column(function, &samples, Grid::instant(end), end, params)[0]
    }

    #[test]
    fn the_functions_of_a_range_by_example() {
        let v = [1.0, 2.0, 3.0, 10.0];
        for (function, want) in [
            (RangeFn::Sum, 16.0),
            (RangeFn::Avg, 4.0),
            (RangeFn::Min, 1.0),
            (RangeFn::Max, 10.0),
            (RangeFn::Count, 4.0),
            (RangeFn::Present, 1.0),
            (RangeFn::Last, 10.0),
            (RangeFn::First, 1.0),
            (RangeFn::Stdvar, 12.5),
            (RangeFn::Stddev, 12.5f64.sqrt()),
            (RangeFn::Changes, 3.0),
            (RangeFn::Resets, 0.0),
            (RangeFn::Idelta, 7.0),
            (RangeFn::Irate, 7.0 / 60.0),
            (RangeFn::TsOfFirst, 60.0),
            (RangeFn::TsOfLast, 240.0),
            (RangeFn::TsOfMax, 240.0),
            (RangeFn::TsOfMin, 60.0),
            (RangeFn::Mad, 1.0),
        ] {
            assert_eq!(over(function, &v, &[]), want, "{function:?}");
        }
        assert_eq!(over(RangeFn::Quantile, &v, &[0.5]), 2.5);
        assert_eq!(over(RangeFn::Quantile, &v, &[1.5]), f64::INFINITY);
        assert!(over(RangeFn::Quantile, &v, &[f64::NAN]).is_nan());
        assert_eq!(over(RangeFn::Changes, &[f64::NAN, f64::NAN, 1.0, 1.0], &[]), 1.0);
        assert_eq!(over(RangeFn::Resets, &[3.0, 1.0, 2.0, 0.0], &[]), 2.0);
    }

    #[test]
    fn nan_is_left_out_of_extremes_unless_there_is_nothing_else() {
        let nan = f64::NAN;
        assert_eq!(over(RangeFn::Max, &[nan, 1.0, nan], &[]), 1.0);
        assert_eq!(over(RangeFn::Min, &[nan, 1.0, nan], &[]), 1.0);
        assert!(over(RangeFn::Min, &[nan, nan], &[]).is_nan());
        assert_eq!(over(RangeFn::Max, &[f64::NEG_INFINITY], &[]), f64::NEG_INFINITY);
    }

    #[test]
    fn sums_are_compensated_and_survive_overflow() {
        assert_eq!(over(RangeFn::Sum, &[5e100, 1.0, -5e100], &[]), 1.0);
        assert_eq!(over(RangeFn::Avg, &[1.7e308, 1.7e308, 1.7e308], &[]), 1.7e308);
        assert_eq!(over(RangeFn::Sum, &[1.7e308, 1.7e308], &[]), f64::INFINITY);
        assert!(over(RangeFn::Sum, &[f64::INFINITY, f64::NEG_INFINITY], &[]).is_nan());
        assert!(over(RangeFn::Stdvar, &[1.599_050_560_632_45e9, 1.599_050_560_632_42e9], &[]) > 0.0);
    }

    #[test]
    fn regression_follows_a_line() {
        let v = [10.0, 12.0, 14.0, 16.0];
        assert!((over(RangeFn::Deriv, &v, &[]) - 2.0 / 60.0).abs() < 1e-15);
        assert!((over(RangeFn::PredictLinear, &v, &[60.0]) - 18.0).abs() < 1e-12);
        assert_eq!(over(RangeFn::Deriv, &[7.0, 7.0], &[]), 0.0);
        assert!(over(RangeFn::Deriv, &[f64::INFINITY, f64::INFINITY], &[]).is_nan());
    }

    #[test]
    fn empty_and_short_windows_have_no_value() {
        let grid = Grid::new(0, 600_000, 60_000);
        let got = column(RangeFn::Rate, &[(60_000, 1.0)], grid, 120_000, &[]);
        assert!(got.iter().all(|v| super::super::grid::is_absent(*v)));
        let got = column(RangeFn::Count, &[(60_000, 1.0), (120_000, 1.0)], grid, 120_000, &[]);
        assert_eq!(&got[1..4], [1.0, 2.0, 1.0]);
        assert!(super::super::grid::is_absent(got[0]) && super::super::grid::is_absent(got[4]));
    }
}
