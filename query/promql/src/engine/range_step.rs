//! One function over the windows of one series: what floats, histograms and mixtures of both give at each step.

use std::sync::Arc;

use chronolith_storage::{FloatHistogram, Labels, SampleBuffer};

use super::{
    budget::Budget,
    error::{QueryError, Result},
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
        if matches!(self.function, RangeFn::Rate | RangeFn::Increase) {
            self.doubt_counter(labels, scratch, budget);
        }
        Ok(())
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
