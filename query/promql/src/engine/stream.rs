//! Vectors that are produced series by series: a source of samples, a way from samples to a column of step values,
//! and stages that change columns in place. An aggregation folds such a stream without holding it.

use std::{ops::Range as IndexRange, sync::Arc};

use chronolith_storage::{FloatHistogram, Labels, SampleBuffer, SeriesSet, TimeRange};

use super::{
    budget::Budget,
    error::Result,
    grid::{ABSENT, Grid, HistogramPoints, Series, is_absent},
    kernels::{KernelScratch, RangeFn},
    labels::drop_metadata,
    parallel::{CHUNK, in_chunks},
    range_step::{HistogramColumn, RangeStep},
    window::{NONE, Picks, Times, Windows},
};
use crate::ast::PosRange;

/// Where samples come from.
pub(super) enum Origin<'q> {
    /// Stored series; only samples inside the time range are read.
    Stored { set: Box<dyn SeriesSet + 'q>, range: TimeRange },
    /// Series that were evaluated over a grid of their own: a subquery.
    Computed { series: Vec<Series>, grid: Grid },
}

/// How the samples of one series become its column.
pub(super) enum Leaf {
    /// The last sample not older than the lookback, or in its place its timestamp in seconds.
    Instant { times: Times, lookback: i64, timestamp: bool },
    /// A function of each window.
    Range { function: RangeFn, name: &'static str, times: Times, range: i64, params: Vec<Vec<f64>>, pos: PosRange },
    /// The series of [`Origin::Computed`] are columns over the right grid already.
    Ready,
}

/// The change that a stage makes to a column of floats.
pub(super) type FloatChange<'q> = Box<dyn Fn(&mut [f64]) + Send + Sync + 'q>;

/// The change that a stage makes to the values of both kinds. It is called for the floats of each series, so what it
/// does for histograms must cost nothing where there are none.
pub(super) type Change<'q> =
    Box<dyn Fn(&mut [f64], &mut HistogramPoints, &Budget<'_>) -> Result<()> + Send + Sync + 'q>;

/// A change of each column.
pub(super) enum Stage<'q> {
    /// Of floats; histograms are left out, as Prometheus does.
    Floats(FloatChange<'q>),
    /// Of both kinds.
    Both(Change<'q>),
}

/// A vector over a grid that is not there yet.
pub(super) struct Stream<'q> {
    pub(super) origin: Origin<'q>,
    pub(super) leaf: Leaf,
    pub(super) stages: Vec<Stage<'q>>,
    pub(super) grid: Grid,
    /// Whether the labels that say what the metric is are gone, or go at the end with delayed name removal.
    pub(super) drop_name: bool,
    /// The query's choice of when they go.
    pub(super) delayed: bool,
}

/// One series' column, borrowed from the scratch or from the stream.
pub(super) struct Produced<'b> {
    pub(super) values: &'b [f64],
    pub(super) histograms: &'b [(u32, Arc<FloatHistogram>)],
}

/// Memory that a thread reuses from series to series.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) buffer: SampleBuffer,
    /// The histograms among the samples that windows are laid over.
    pub(super) window_histograms: HistogramColumn,
    picks: Picks,
    pub(super) windows: Windows,
    pub(super) histogram_windows: Windows,
    pub(super) kernel: KernelScratch,
    pub(super) column: Vec<f64>,
    pub(super) histograms: HistogramPoints,
    /// The last metric that was remarked on as no counter.
    pub(super) doubted: String,
}

impl<'q> Stream<'q> {
    /// Series that are evaluated already.
    pub(super) const fn ready(series: Vec<Series>, grid: Grid, delayed: bool) -> Self {
        Self {
            origin: Origin::Computed { series, grid },
            leaf: Leaf::Ready,
            stages: Vec::new(),
            grid,
            drop_name: false,
            delayed,
        }
    }

    /// How many series there may be; some may turn out empty.
    pub(super) fn len(&self) -> usize {
        match &self.origin {
            Origin::Stored { set, .. } => set.len(),
            Origin::Computed { series, .. } => series.len(),
        }
    }

    fn source_labels(&self, index: usize) -> &Labels {
        match &self.origin {
            Origin::Stored { set, .. } => set.labels(index),
            // The caller counts by `len`.
            Origin::Computed { series, .. } => &series[index].labels,
        }
    }

    /// Whether metadata labels are to be taken from the labels now.
    pub(super) const fn nameless(&self) -> bool {
        self.drop_name && !self.delayed
    }

    /// The labels as they are before metadata labels are taken away, if they are.
    pub(super) fn raw_labels(&self, index: usize) -> &Labels {
        self.source_labels(index)
    }

    /// The labels of a series.
    pub(super) fn labels(&self, index: usize) -> Labels {
        if self.nameless() { drop_metadata(self.source_labels(index)) } else { self.source_labels(index).clone() }
    }

    /// Whether the series' metadata labels go at the end of the query.
    pub(super) fn drops_name(&self, index: usize) -> bool {
        self.drop_name
            || match &self.origin {
                Origin::Stored { .. } => false,
                Origin::Computed { series, .. } => series.get(index).is_some_and(|s| s.drop_name),
            }
    }

    /// Whether two series may have the same labels now that names are gone.
    pub(super) fn may_collide(&self) -> bool {
        if !self.nameless() || self.len() < 2 {
            return false;
        }
        // One name for all means that the rest tells them apart.
        let metadata = |i: usize| {
            let l = self.source_labels(i);
            (l.metric_name(), l.get("__type__"), l.get("__unit__"))
        };
        let first = metadata(0);
        (1..self.len()).any(|i| metadata(i) != first)
    }

    /// Adds a stage.
    pub(super) fn then(mut self, drop_name: bool, stage: Stage<'q>) -> Self {
        self.drop_name |= drop_name;
        self.stages.push(stage);
        self
    }

    /// The column of one series, or `None` when no step has a value.
    pub(super) fn produce<'b>(
        &'b self,
        index: usize,
        scratch: &'b mut Scratch,
        budget: &Budget<'_>,
    ) -> Result<Option<Produced<'b>>> {
        budget.check()?;
        if let (Leaf::Ready, Origin::Computed { series, .. }) = (&self.leaf, &self.origin) {
            let s = &series[index];
            if self.stages.is_empty() {
                return Ok(Some(Produced { values: &s.values, histograms: &s.histograms }));
            }
            s.values.clone_into(&mut scratch.column);
            s.histograms.clone_into(&mut scratch.histograms);
        } else {
            self.load(index, scratch, budget)?;
            scratch.column.clear();
            scratch.column.resize(self.grid.count, ABSENT);
            scratch.histograms.clear();
            if scratch.buffer.is_empty() && scratch.window_histograms.is_empty() {
                return Ok(None);
            }
            match &self.leaf {
                Leaf::Instant { times, lookback, timestamp } => pick(times, *lookback, *timestamp, scratch),
                Leaf::Range { function, name, times, range, params, pos } => {
                    let window = RangeStep { function: *function, name, times, range: *range, params, pos: *pos };
                    window.fill(self.source_labels(index), scratch, budget)?;
                }
                Leaf::Ready => {}
            }
        }
        for stage in &self.stages {
            match stage {
                Stage::Floats(change) => {
                    scratch.histograms.clear();
                    change(&mut scratch.column);
                }
                Stage::Both(change) => change(&mut scratch.column, &mut scratch.histograms, budget)?,
            }
        }
        if scratch.histograms.is_empty() && scratch.column.iter().all(|v| is_absent(*v)) {
            return Ok(None);
        }
        Ok(Some(Produced { values: &scratch.column, histograms: &scratch.histograms }))
    }

    /// Fills the buffer with the samples of one series.
    fn load(&self, index: usize, scratch: &mut Scratch, budget: &Budget<'_>) -> Result<()> {
        let buffer = &mut scratch.buffer;
        buffer.clear();
        scratch.window_histograms.clear();
        match &self.origin {
            Origin::Stored { set, range } => {
                set.read(index, *range, buffer)?;
                budget.count_read(buffer.len());
            }
            Origin::Computed { series, grid } => {
                let s = &series[index];
                for (k, v) in s.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
                    buffer.timestamps.push(grid.at(k));
                    buffer.values.push(*v);
                }
                for (k, h) in &s.histograms {
                    scratch.window_histograms.push(grid.at(*k as usize), 0, Arc::clone(h));
                }
            }
        }
        Ok(())
    }

    /// Evaluates all series that have a value anywhere.
    pub(super) fn collect(self, budget: &Budget<'_>) -> Result<Vec<Series>> {
        let collide = self.may_collide();
        // A function of a range refuses equal labels even where the series never meet.
        let strict = matches!(self.leaf, Leaf::Range { .. }) && self.stages.is_empty();
        let series =
            match self {
                // Series that are there already, and no stage changes them.
                Self {
                    origin: Origin::Computed { series, .. }, leaf: Leaf::Ready, stages, drop_name: false, ..
                } if stages.is_empty() => series,
                stream => stream.evaluate(budget)?,
            };
        if !collide {
            return Ok(series);
        }
        if strict {
            super::labels::refuse_same_labels(series.iter().map(|s| &s.labels))?;
        }
        super::labels::merge_same_labels(series)
    }

    fn evaluate(&self, budget: &Budget<'_>) -> Result<Vec<Series>> {
        let mut all = Vec::new();
        self.in_chunks(
            budget,
            |scratch, chunk| {
                let mut out = Vec::with_capacity(chunk.len());
                for i in chunk {
                    let Some(p) = self.produce(i, scratch, budget)? else { continue };
                    let s = Series {
                        labels: self.labels(i),
                        drop_name: self.drops_name(i),
                        values: p.values.to_vec(),
                        histograms: p.histograms.to_vec(),
                    };
                    budget.hold(s.samples(), s.bytes())?;
                    out.push(s);
                }
                Ok(out)
            },
            |mut part: Vec<Series>| {
                all.append(&mut part);
                Ok(())
            },
        )?;
        Ok(all)
    }

    /// Spreads the series over threads; see [`in_chunks`].
    pub(super) fn in_chunks<R: Send>(
        &self,
        budget: &Budget<'_>,
        work: impl Fn(&mut Scratch, IndexRange<usize>) -> Result<R> + Sync,
        fold: impl FnMut(R) -> Result<()> + Send,
    ) -> Result<()> {
        const { assert!(CHUNK > 0) };
        in_chunks(budget, self.len(), Scratch::default, work, fold)
    }
}

/// Fills the column from the sample that each step picks. A stale marker that is picked is an absent value by its bits.
fn pick(times: &Times, lookback: i64, timestamp: bool, scratch: &mut Scratch) {
    let Scratch { buffer, picks, column, histograms, .. } = scratch;
    if buffer.histograms.is_empty() {
        picks.update(&buffer.timestamps, times, lookback);
        let value = |i: usize| if timestamp { seconds_of(buffer, i) } else { buffer.values[i] };
        for (out, i) in column.iter_mut().zip(&picks.index) {
            *out = if *i == NONE { ABSENT } else { value(*i as usize) };
        }
        return;
    }
    // Both kinds: the later of the two samples counts.
    let (mut f, mut h) = (0, 0);
    // A sample that several steps pick is converted once.
    let mut converted: Option<(i64, Arc<FloatHistogram>)> = None;
    for (k, out) in column.iter_mut().enumerate() {
        let at = times.at(k);
        f += buffer.timestamps[f..].iter().take_while(|t| **t <= at).count();
        h += buffer.histograms[h..].iter().take_while(|s| s.timestamp <= at).count();
        let oldest = at.saturating_sub(lookback);
        let float = f.checked_sub(1).filter(|i| buffer.timestamps[*i] > oldest);
        let histogram = h.checked_sub(1).map(|i| &buffer.histograms[i]).filter(|s| s.timestamp > oldest);
        match (float, histogram) {
            (Some(i), Some(s)) if s.timestamp < buffer.timestamps[i] => {
                *out = if timestamp { seconds_of(buffer, i) } else { buffer.values[i] };
            }
            (_, Some(s)) if s.histogram.is_stale() => {}
            (_, Some(s)) if timestamp => *out = s.timestamp as f64 / 1000.0,
            (_, Some(s)) => {
                if converted.as_ref().is_none_or(|(t, _)| *t != s.timestamp) {
                    converted = Some((s.timestamp, Arc::new(s.histogram.to_float())));
                }
                histograms.extend(converted.iter().map(|(_, value)| (k as u32, Arc::clone(value))));
            }
            (Some(i), None) => *out = if timestamp { seconds_of(buffer, i) } else { buffer.values[i] },
            (None, None) => {}
        }
    }
}

/// The timestamp of a float sample in seconds; absent for a stale marker.
fn seconds_of(buffer: &SampleBuffer, i: usize) -> f64 {
    if is_absent(buffer.values[i]) { ABSENT } else { buffer.timestamps[i] as f64 / 1000.0 }
}
