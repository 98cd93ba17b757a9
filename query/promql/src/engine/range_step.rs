//! One function over the windows of one series: what floats, histograms and mixtures of both give at each step.

use std::sync::Arc;

use chronolith_storage::{FloatHistogram, Labels, SampleBuffer};

use super::{
    budget::Budget,
    error::{QueryError, Result},
    functions::histogram::check_quantile,
    grid::{ABSENT, count_present, histogram_weight, is_absent},
    kernels::{Frame, Histograms, RangeFn, run},
    stream::Scratch,
    window::Times,
};
use crate::ast::PosRange;

/// The histogram samples of one series as columns of one length, by rising timestamp.
#[derive(Debug, Default)]
pub(super) struct HistogramColumn {
    pub(super) timestamps: Vec<i64>,
    /// 0 where none is known.
    pub(super) start_timestamps: Vec<i64>,
    pub(super) values: Vec<Arc<FloatHistogram>>,
}

impl HistogramColumn {
    pub(super) fn clear(&mut self) {
        self.timestamps.clear();
        self.start_timestamps.clear();
        self.values.clear();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Appends a sample later than all before it.
    pub(super) fn push(&mut self, timestamp: i64, start_timestamp: i64, value: Arc<FloatHistogram>) {
        self.timestamps.push(timestamp);
        self.start_timestamps.push(start_timestamp);
        self.values.push(value);
    }
}

/// A function of windows, as the leaf describes it.
pub(super) struct RangeStep<'a> {
    pub(super) function: RangeFn,
    pub(super) name: &'static str,
    pub(super) times: &'a Times,
    pub(super) range: i64,
    pub(super) params: &'a [Vec<f64>],
    pub(super) pos: PosRange,
}

impl RangeStep<'_> {
    /// Fills the scratch's column from the samples in its buffers.
    pub(super) fn fill(&self, labels: &Labels, scratch: &mut Scratch, budget: &Budget<'_>) -> Result<()> {
        drop_stale(&mut scratch.buffer);
        for s in scratch.buffer.histograms.drain(..) {
            scratch.window_histograms.push(s.timestamp, s.start_timestamp, Arc::new(s.histogram.to_float()));
        }
        scratch.windows.update(&scratch.buffer.timestamps, self.times, self.range);
        if !scratch.window_histograms.is_empty() {
            return self.fill_mixed(labels, scratch, budget);
        }
        budget.pass(scratch.windows.longest)?;
        self.floats(scratch);
        self.check_params(scratch, budget)?;
        if matches!(self.function, RangeFn::Rate | RangeFn::Increase) {
            self.doubt_counter(labels, scratch, budget);
        }
        Ok(())
    }

    /// Says what is wrong with parameters. As in Prometheus, nobody looks at those of a step without samples.
    fn check_params(&self, scratch: &Scratch, budget: &Budget<'_>) -> Result<()> {
        let is_factor = |v: &f64| !(*v <= 0.0 || *v >= 1.0);
        let are_good: fn(&f64) -> bool = match self.function {
            RangeFn::Quantile => |v| (0.0..=1.0).contains(v),
            RangeFn::DoubleExponentialSmoothing => is_factor,
            _ => return Ok(()),
        };
        if self.params.iter().flatten().all(are_good) {
            return Ok(());
        }
        // Without histograms their windows are those of the series before.
        let native = !scratch.window_histograms.is_empty();
        let mut histograms = scratch.histogram_windows.iter().map(|(lo, hi)| native && lo < hi);
        for (k, (lo, hi)) in scratch.windows.iter().enumerate() {
            let (floats, histograms) = (lo < hi, histograms.next().unwrap_or(false));
            let at = |number: usize| self.params.get(number).and_then(|p| p.get(k)).copied().unwrap_or(f64::NAN);
            if self.function == RangeFn::Quantile {
                if floats {
                    check_quantile(at(0), self.pos, budget);
                }
            } else if floats || histograms {
                for (value, what, short) in [(at(0), "smoothing", "sf"), (at(1), "trend", "tf")] {
                    if !is_factor(&value) {
                        let text = format!("invalid {what} factor. Expected: 0 < {short} < 1, got: {value:.6}");
                        return Err(QueryError::Execution(text));
                    }
                }
            }
        }
        Ok(())
    }

    /// Remarks that a metric whose rate is taken is not named like a counter.
    fn doubt_counter(&self, labels: &Labels, scratch: &mut Scratch, budget: &Budget<'_>) {
        let name = labels.metric_name();
        let named = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
        if name.is_empty() || named || scratch.doubted == name || scratch.column.iter().all(|v| is_absent(*v)) {
            return;
        }
        name.clone_into(&mut scratch.doubted);
        let name = super::labels::go_quoted(name);
        let text = format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name}");
        budget.annotate(|a| a.info(text, self.pos));
    }

    fn floats(&self, scratch: &mut Scratch) {
        let Scratch { buffer, windows, kernel, column, .. } = scratch;
        let frame = Frame {
            timestamps: &buffer.timestamps,
            values: &buffer.values,
            windows,
            times: self.times,
            range: self.range,
            params: self.params,
        };
        run(self.function, &frame, kernel, column);
    }

    /// With histograms among the samples.
    fn fill_mixed(&self, labels: &Labels, scratch: &mut Scratch, budget: &Budget<'_>) -> Result<()> {
        scratch.histogram_windows.update(&scratch.window_histograms.timestamps, self.times, self.range);
        self.check_params(scratch, budget)?;
        if scratch.histogram_windows.total == 0 {
            self.floats(scratch);
            return Ok(());
        }
        let weight = scratch.window_histograms.values.iter().map(|h| histogram_weight(h)).max().unwrap_or(1);
        budget.pass(scratch.windows.longest + scratch.histogram_windows.longest * weight)?;
        match self.function.histograms() {
            Histograms::Refused => return Err(QueryError::NativeHistogram(self.name.to_owned())),
            Histograms::Ignored => {
                self.floats(scratch);
                let both = scratch.windows.iter().zip(scratch.histogram_windows.iter());
                if both.into_iter().any(|((fl, fh), (hl, hh))| fl < fh && hl < hh) {
                    let name = super::labels::go_quoted(labels.metric_name());
                    let text = format!(
                        "ignored histograms in a range containing both floats and histograms for metric name {name}"
                    );
                    budget.annotate(|a| a.info(text, self.pos));
                }
            }
            Histograms::Taken => self.take_both(scratch),
        }
        Ok(())
    }

    /// Counts or picks among samples of both kinds.
    fn take_both(&self, scratch: &mut Scratch) {
        self.floats(scratch);
        let Scratch { buffer, window_histograms: native, windows, histogram_windows, column, histograms, .. } = scratch;
        for (k, ((fl, fh), (hl, hh))) in windows.iter().zip(histogram_windows.iter()).enumerate() {
            if hl == hh {
                continue;
            }
            let Some(out) = column.get_mut(k) else { return };
            let (first, last) = (native.timestamps[hl], native.timestamps[hh - 1]);
            let float_first = (fl < fh).then(|| buffer.timestamps[fl]);
            let float_last = (fl < fh).then(|| buffer.timestamps[fh - 1]);
            match self.function {
                RangeFn::Count => *out = (fh - fl + hh - hl) as f64,
                RangeFn::Present => *out = 1.0,
                RangeFn::First if float_first.is_none_or(|t| t >= first) => {
                    *out = ABSENT;
                    histograms.push((k as u32, Arc::clone(&native.values[hl])));
                }
                RangeFn::Last if float_last.is_none_or(|t| last >= t) => {
                    *out = ABSENT;
                    histograms.push((k as u32, Arc::clone(&native.values[hh - 1])));
                }
                RangeFn::TsOfFirst => {
                    *out = float_first.unwrap_or(i64::MAX).min(first) as f64 / 1000.0;
                }
                RangeFn::TsOfLast => *out = float_last.unwrap_or(0).max(last) as f64 / 1000.0,
                _ => {}
            }
        }
    }
}

/// Takes stale markers out: a range has only samples.
fn drop_stale(buffer: &mut SampleBuffer) {
    if count_present(&buffer.values) < buffer.values.len() {
        let SampleBuffer { timestamps, values, .. } = buffer;
        let mut kept = 0;
        for i in 0..values.len() {
            if !is_absent(values[i]) {
                values[kept] = values[i];
                timestamps[kept] = timestamps[i];
                kept += 1;
            }
        }
        values.truncate(kept);
        timestamps.truncate(kept);
        // Start timestamps would no longer stand beside their samples.
        buffer.start_timestamps.clear();
    }
    if buffer.histograms.iter().any(|s| s.histogram.is_stale()) {
        buffer.histograms.retain(|s| !s.histogram.is_stale());
    }
}
