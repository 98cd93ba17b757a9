//! `metric smoothed`: at each step the value on the line between the samples before and after it.

use std::sync::Arc;

use chronolith_storage::{FloatHistogram, Labels, ResetHint};

use super::{
    budget::Budget,
    error::Result,
    kernels::{
        extended, extended_histograms,
        remarks::{Remark, Remarks, SeriesRemarks},
        samples::Column,
    },
    range_step::{drop_stale, heaviest},
    stream::Scratch,
    window::{Reach, Times},
};
use crate::ast::PosRange;

/// An instant selector that is smoothed.
#[derive(Debug)]
pub(super) struct Smoothed {
    pub(super) times: Times,
    pub(super) lookback: i64,
    pub(super) pos: PosRange,
}

impl Smoothed {
    /// How far from each step samples are seen.
    pub(super) const fn reach(&self) -> Reach {
        Reach { before: self.lookback, after: self.lookback }
    }

    /// Fills the scratch's column from the samples in its buffers.
    pub(super) fn fill(&self, labels: &Labels, scratch: &mut Scratch, budget: &Budget<'_>) -> Result<()> {
        drop_stale(&mut scratch.buffer);
        scratch.windows.update(&scratch.buffer.timestamps, &self.times, self.reach());
        scratch.histogram_windows.update(&scratch.window_histograms.timestamps, &self.times, self.reach());
        budget.pass(heaviest(scratch))?;
        let Scratch { buffer, window_histograms, windows, histogram_windows, column, histograms, .. } = scratch;
        let floats = Column { timestamps: &buffer.timestamps, values: &buffer.values, starts: &[] };
        let native = window_histograms.column(false);
        let mut remarks = SeriesRemarks::default();
        let both = windows.iter().zip(histogram_windows.iter());
        for ((k, out), ((fl, fh), (hl, hh))) in column.iter_mut().enumerate().zip(both) {
            let at = self.times.at(k);
            if fl < fh && hl < hh {
                remarks.take(Remarks::of(Remark::MixedKinds));
            } else if hl < hh {
                budget.check()?;
                let mut seen = Remarks::default();
                let value = histogram(&native.slice(hl, hh), at, &mut seen);
                histograms.extend(value.map(|h| (k as u32, h)));
                remarks.take(seen);
            } else if let Some(v) = float(&floats.slice(fl, fh), at) {
                *out = v;
            }
        }
        if !remarks.is_empty() {
            budget.annotate(|a| remarks.tell(labels.metric_name(), self.pos, a));
        }
        Ok(())
    }
}

/// Where a time lies among samples.
enum Place {
    /// There is a sample then.
    At(usize),
    /// Between this sample and the next.
    Between(usize),
    /// Behind this sample, the last.
    After(usize),
}

fn place<T>(samples: &Column<'_, T>, at: i64) -> Option<Place> {
    let i = samples.timestamps.partition_point(|t| *t < at);
    match samples.timestamps.get(i) {
        Some(t) if *t == at => Some(Place::At(i)),
        Some(_) => i.checked_sub(1).map(Place::Between),
        None => i.checked_sub(1).map(Place::After),
    }
}

fn float(samples: &Column<'_, f64>, at: i64) -> Option<f64> {
    let point = |i: usize| (samples.timestamps[i], samples.values[i]);
    Some(match place(samples, at)? {
        Place::At(i) | Place::After(i) => samples.values[i],
        Place::Between(i) => extended::interpolate(point(i), point(i + 1), at, false),
    })
}

fn histogram(samples: &Column<'_, Arc<FloatHistogram>>, at: i64, remarks: &mut Remarks) -> Option<Arc<FloatHistogram>> {
    let point = |i: usize| (samples.timestamps[i], &*samples.values[i]);
    match place(samples, at)? {
        Place::At(i) => Some(Arc::clone(&samples.values[i])),
        Place::After(i) => {
            // A hint tells about the sample and the one before it, not about the time since.
            Some(Arc::new(FloatHistogram { reset_hint: ResetHint::Unknown, ..(*samples.values[i]).clone() }))
        }
        Place::Between(i) => {
            let (before, after) = (point(i), point(i + 1));
            if before.1.uses_custom_buckets() != after.1.uses_custom_buckets() {
                remarks.add(Remark::MixedSchemas);
                return None;
            }
            let gauges = before.1.reset_hint == ResetHint::Gauge && after.1.reset_hint == ResetHint::Gauge;
            extended_histograms::interpolate(before, after, at, !gauges, remarks).ok().map(Arc::new)
        }
    }
}
