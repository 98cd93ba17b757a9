//! One function over the windows of one series: what floats, histograms and mixtures of both give at each step.

use std::sync::Arc;

use chronolith_storage::{Labels, SampleBuffer};

use super::{
    budget::Budget,
    error::Result,
    grid::{ABSENT, count_present, histogram_weight, is_absent},
    kernels::{
        Frame, Histograms, RangeFn,
        neighbours::Counted,
        patience::Patience,
        remarks::{Remark, Remarks, SeriesRemarks},
        run,
        samples::{Column, Value, Window},
        window_value,
    },
    stream::Scratch,
    window::{Reach, Times},
};
use crate::ast::{Extension, PosRange};

/// A function of windows.
#[derive(Debug)]
pub(super) struct RangeStep {
    pub(super) function: RangeFn,
    pub(super) times: Times,
    /// Length of the range in milliseconds.
    pub(super) range: i64,
    pub(super) extension: Extension,
    pub(super) lookback: i64,
    /// Whether the query takes start timestamps into account where the function does.
    pub(super) start_timestamps: bool,
    /// The scalar arguments, a column each.
    pub(super) params: Vec<Vec<f64>>,
    /// What remarks are about.
    pub(super) pos: PosRange,
}

impl RangeStep {
    /// How far from each step samples are seen.
    pub(super) const fn reach(&self) -> Reach {
        Reach::of(self.range, self.extension, self.lookback)
    }

    /// Fills the scratch's column from the samples in its buffers.
    pub(super) fn fill(&self, labels: &Labels, scratch: &mut Scratch, budget: &Budget<'_>) -> Result<()> {
        drop_stale(&mut scratch.buffer);
        scratch.windows.update(&scratch.buffer.timestamps, &self.times, self.reach());
        let starts = self.start_timestamps
            && self.function.uses_start_timestamps()
            && (!scratch.buffer.start_timestamps.is_empty()
                || scratch.window_histograms.start_timestamps.iter().any(|t| *t != 0));
        // Floats alone are done for all windows at once.
        let plain = self.extension == Extension::None && !starts;
        if plain && scratch.window_histograms.is_empty() {
            budget.pass(scratch.windows.longest)?;
            self.floats(scratch, budget)?;
        } else {
            scratch.histogram_windows.update(&scratch.window_histograms.timestamps, &self.times, self.reach());
            budget.pass(heaviest(scratch))?;
            self.fill_other(labels, plain, starts, scratch, budget)?;
        }
        if matches!(self.function, RangeFn::Rate | RangeFn::Increase) {
            self.doubt_counter(labels, scratch, budget);
        }
        self.check_params(scratch, budget)
    }

    /// Remarks that a metric whose rate is taken is not named like a counter, or, where types are labels, is none.
    fn doubt_counter(&self, labels: &Labels, scratch: &mut Scratch, budget: &Budget<'_>) {
        let name = labels.metric_name();
        if name.is_empty() || scratch.column.iter().all(|v| is_absent(*v)) {
            return;
        }
        let quoted = super::labels::go_quoted;
        let text = if budget.types_are_labels() {
            let kind = labels.get("__type__").unwrap_or_default();
            if matches!(kind, "counter" | "histogram") {
                return;
            }
            let (kind, name) = (quoted(kind), quoted(name));
            let expected = "__type__ label is not set to \"counter\" or \"histogram\"";
            format!("metric might not be a counter, {expected}, got {kind}: {name}")
        } else {
            let named = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
            if named || scratch.doubted == name {
                return;
            }
            name.clone_into(&mut scratch.doubted);
            let name = quoted(name);
            format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name}")
        };
        budget.annotate(|a| a.info(text, self.pos));
    }

    fn floats(&self, scratch: &mut Scratch, budget: &Budget<'_>) -> Result<()> {
        let Scratch { buffer, windows, kernel, column, .. } = scratch;
        let frame = Frame {
            timestamps: &buffer.timestamps,
            values: &buffer.values,
            windows,
            times: &self.times,
            range: self.range,
            params: &self.params,
            patience: Patience::new(Some(budget)),
        };
        run(self.function, &frame, kernel, column);
        // Whether the kernel was given up on the way.
        budget.check()
    }

    /// With histograms among the samples, or start timestamps, or samples beyond the range.
    fn fill_other(
        &self,
        labels: &Labels,
        plain: bool,
        starts: bool,
        scratch: &mut Scratch,
        budget: &Budget<'_>,
    ) -> Result<()> {
        if plain {
            self.floats(scratch, budget)?;
            if scratch.histogram_windows.total == 0 {
                return Ok(());
            }
        }
        let mut remarks = SeriesRemarks::default();
        match self.function.histograms() {
            Histograms::Ignored => {
                let both = scratch.windows.iter().zip(scratch.histogram_windows.iter());
                if both.into_iter().any(|((fl, fh), (hl, hh))| fl < fh && hl < hh) {
                    remarks.take(Remarks::of(Remark::HistogramsIgnored));
                }
            }
            Histograms::Taken => self.take_both(scratch),
            Histograms::Compared(counted) => self.compare(counted, starts, scratch),
            Histograms::Computed => self.compute(plain, starts, scratch, budget, &mut remarks)?,
        }
        if !remarks.is_empty() {
            budget.annotate(|a| remarks.tell(labels.metric_name(), self.pos, a));
        }
        Ok(())
    }

    /// Counts or picks among samples of both kinds.
    fn take_both(&self, scratch: &mut Scratch) {
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

    /// Counts neighbours of both kinds that differ.
    fn compare(&self, counted: Counted, starts: bool, scratch: &mut Scratch) {
        let Scratch { buffer, window_histograms, windows, histogram_windows, neighbours, column, .. } = scratch;
        neighbours.update(counted, &floats_of(buffer, starts), &window_histograms.column(starts));
        let both = windows.iter().zip(histogram_windows.iter());
        for ((k, out), ((fl, fh), (hl, hh))) in column.iter_mut().enumerate().zip(both) {
            let anchor = (self.extension == Extension::Anchored).then(|| self.times.at(k).saturating_sub(self.range));
            // Where in the order of time a window begins is how many samples of either kind are before it.
            *out = neighbours.count(fl + hl, fh + hh, anchor).unwrap_or(ABSENT);
        }
    }

    /// Computes windows one by one; of a `plain` series those of floats alone are done.
    fn compute(
        &self,
        plain: bool,
        starts: bool,
        scratch: &mut Scratch,
        budget: &Budget<'_>,
        remarks: &mut SeriesRemarks,
    ) -> Result<()> {
        let Scratch { buffer, window_histograms, windows, histogram_windows, column, histograms, .. } = scratch;
        let (floats, native) = (floats_of(buffer, starts), window_histograms.column(starts));
        let both = windows.iter().zip(histogram_windows.iter());
        for ((k, out), ((fl, fh), (hl, hh))) in column.iter_mut().enumerate().zip(both) {
            if hl == hh && (plain || fl == fh) {
                continue;
            }
            budget.check()?;
            let end = self.times.at(k);
            let window = Window {
                floats: floats.slice(fl, fh),
                histograms: native.slice(hl, hh),
                start: end.saturating_sub(self.range),
                end,
            };
            let mut seen = Remarks::default();
            *out = match window_value(self.function, self.extension, &window, &mut seen) {
                Some(Value::Float(v)) => v,
                Some(Value::Histogram(h)) => {
                    histograms.push((k as u32, Arc::new(h)));
                    ABSENT
                }
                None => ABSENT,
            };
            remarks.take(seen);
        }
        Ok(())
    }
}

/// The floats of a buffer, with start timestamps where they count.
fn floats_of(buffer: &SampleBuffer, starts: bool) -> Column<'_, f64> {
    Column {
        timestamps: &buffer.timestamps,
        values: &buffer.values,
        starts: if starts { &buffer.start_timestamps } else { &[] },
    }
}

/// How many samples the fullest window counts for.
pub(super) fn heaviest(scratch: &Scratch) -> usize {
    let mut until = Vec::with_capacity(scratch.window_histograms.values.len() + 1);
    until.push(0);
    let mut sum = 0;
    for h in &scratch.window_histograms.values {
        sum += histogram_weight(h);
        until.push(sum);
    }
    let both = scratch.windows.iter().zip(scratch.histogram_windows.iter());
    both.map(|((fl, fh), (hl, hh))| fh - fl + until[hh] - until[hl]).max().unwrap_or(0)
}

/// Takes stale markers among the floats out: a range has only samples.
pub(super) fn drop_stale(buffer: &mut SampleBuffer) {
    if count_present(&buffer.values) == buffer.values.len() {
        return;
    }
    let SampleBuffer { timestamps, values, start_timestamps, .. } = buffer;
    let mut kept = 0;
    for i in 0..values.len() {
        if !is_absent(values[i]) {
            values[kept] = values[i];
            timestamps[kept] = timestamps[i];
            if let Some(start) = start_timestamps.get(i).copied() {
                start_timestamps[kept] = start;
            }
            kept += 1;
        }
    }
    values.truncate(kept);
    timestamps.truncate(kept);
    start_timestamps.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_timestamps_stay_beside_their_samples_when_stale_markers_go() {
        let mut buffer = SampleBuffer::default();
        for (t, v, start) in [(10, 1.0, 1), (20, ABSENT, 2), (30, 3.0, 3)] {
            buffer.push_float(t, v, start);
        }
        drop_stale(&mut buffer);
        assert_eq!((buffer.timestamps, buffer.start_timestamps), (vec![10, 30], vec![1, 3]));
        assert_eq!(buffer.values, [1.0, 3.0]);
    }
}
