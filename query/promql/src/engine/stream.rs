//! Vectors that are produced series by series: a source of samples, a way from samples to a column of step values,
//! and stages that change columns in place. An aggregation folds such a stream without holding it.

use std::{ops::Range as IndexRange, sync::Arc};

use chronolith_storage::{FloatHistogram, Histogram, Labels, ResetHint, SampleBuffer, SeriesSet, TimeRange};

use super::{
    budget::Budget,
    error::Result,
    grid::{ABSENT, Grid, HistogramPoints, Series, is_absent},
    histogram_column::{HistogramColumn, HistogramReader, NEIGHBOURHOOD_MS, last_histogram},
    kernels::{KernelScratch, neighbours::Neighbours},
    labels::drop_metadata,
    parallel::{CHUNK, in_chunks},
    range_step::RangeStep,
    smoothed::Smoothed,
    window::{NONE, Picks, Times, Windows},
};

/// Where samples come from.
pub(super) enum Origin<'q> {
    /// Stored series; only samples inside the time range are read.
    Stored {
        set: Box<dyn SeriesSet + 'q>,
        range: TimeRange,
        /// Whether only count and sum of histograms are asked for.
        stats_only: bool,
    },
    /// Series that were evaluated over a grid of their own: a subquery.
    Computed { series: Vec<Series>, grid: Grid },
}

/// How the samples of one series become its column.
pub(super) enum Leaf {
    /// The last sample not older than the lookback, or what is asked of it.
    Instant { times: Times, lookback: i64, take: Take },
    /// Values between samples.
    Smoothed(Smoothed),
    /// A function of each window.
    Range(RangeStep),
    /// The series of [`Origin::Computed`] are columns over the right grid already.
    Ready,
}

/// What is taken from a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    Value,
    /// In seconds.
    Timestamp,
    /// In seconds; 0 when none is known.
    StartTimestamp,
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
    pub(super) neighbours: Neighbours,
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
                Leaf::Instant { times, lookback, take } => {
                    self.pick(index, &Picking { times, lookback: *lookback, take: *take }, scratch)?;
                }
                Leaf::Smoothed(smoothed) => smoothed.fill(self.source_labels(index), scratch, budget)?,
                Leaf::Range(function) => function.fill(self.source_labels(index), scratch, budget)?,
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

    /// Fills the buffers with the samples of one series.
    fn load(&self, index: usize, scratch: &mut Scratch, budget: &Budget<'_>) -> Result<()> {
        let buffer = &mut scratch.buffer;
        buffer.clear();
        scratch.window_histograms.clear();
        match &self.origin {
            Origin::Stored { set, range, stats_only } => {
                set.read(index, *range, buffer)?;
                budget.count_read(buffer.len());
                let hinted = match &self.leaf {
                    // Few of the samples are picked, so they are converted one by one.
                    _ if buffer.histograms.is_empty() => return Ok(()),
                    Leaf::Instant { .. } | Leaf::Ready => return Ok(()),
                    Leaf::Smoothed(_) => true,
                    Leaf::Range(function) => function.function.shows_first_hint(),
                };
                let mut before_all = |t: i64| if hinted { self.before(index, t) } else { Ok(None) };
                scratch.window_histograms.extend(buffer, *stats_only, &mut before_all)?;
            }
            Origin::Computed { series, grid } => {
                let s = &series[index];
                for (k, v) in s.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
                    buffer.timestamps.push(grid.at(k));
                    buffer.values.push(*v);
                }
                for (k, h) in &s.histograms {
                    // The steps of a subquery leave samples out and take others twice, so hints about resets would
                    // hide some and repeat others.
                    let h = match h.reset_hint {
                        ResetHint::Reset | ResetHint::NotReset => {
                            Arc::new(FloatHistogram { reset_hint: ResetHint::Unknown, ..(**h).clone() })
                        }
                        ResetHint::Unknown | ResetHint::Gauge => Arc::clone(h),
                    };
                    scratch.window_histograms.push(grid.at(*k as usize), 0, h);
                }
            }
        }
        Ok(())
    }

    /// The histogram before a time when no float stands between.
    fn before(&self, index: usize, t: i64) -> Result<Option<Arc<Histogram>>> {
        let Origin::Stored { set, .. } = &self.origin else { return Ok(None) };
        histogram_before(&**set, index, t)
    }

    /// Fills the column from the sample that each step picks. A stale marker that is picked is an absent value by its
    /// bits.
    fn pick(&self, index: usize, picking: &Picking<'_>, scratch: &mut Scratch) -> Result<()> {
        let Scratch { buffer, picks, column, histograms, .. } = scratch;
        if buffer.histograms.is_empty() {
            picks.update(&buffer.timestamps, picking.times, picking.lookback);
            for (out, i) in column.iter_mut().zip(&picks.index) {
                *out = if *i == NONE { ABSENT } else { picking.float(buffer, *i as usize) };
            }
            return Ok(());
        }
        let stats_only = matches!(self.origin, Origin::Stored { stats_only: true, .. });
        let mut before_all = |t: i64| self.before(index, t);
        let mut reader = HistogramReader::new(buffer, stats_only, &mut before_all);
        // Both kinds: the later of the two samples counts.
        let (mut f, mut h) = (0, 0);
        for (k, out) in column.iter_mut().enumerate() {
            let at = picking.times.at(k);
            f += buffer.timestamps[f..].iter().take_while(|t| **t <= at).count();
            h += buffer.histograms[h..].iter().take_while(|s| s.timestamp <= at).count();
            let oldest = at.saturating_sub(picking.lookback);
            let float = f.checked_sub(1).filter(|i| buffer.timestamps[*i] > oldest);
            let histogram = h.checked_sub(1).filter(|i| buffer.histograms[*i].timestamp > oldest);
            match (float, histogram) {
                (Some(i), j) if j.is_none_or(|j| buffer.histograms[j].timestamp < buffer.timestamps[i]) => {
                    *out = picking.float(buffer, i);
                }
                (_, Some(j)) => {
                    let sample = &buffer.histograms[j];
                    match picking.take {
                        _ if sample.histogram.is_stale() => {}
                        Take::Value => histograms.push((k as u32, reader.value(j)?)),
                        Take::Timestamp => *out = sample.timestamp as f64 / 1000.0,
                        Take::StartTimestamp => *out = sample.start_timestamp as f64 / 1000.0,
                    }
                }
                (_, None) => {}
            }
        }
        Ok(())
    }

    /// Evaluates all series that have a value anywhere.
    pub(super) fn collect(self, budget: &Budget<'_>) -> Result<Vec<Series>> {
        let collide = self.may_collide();
        // A function of a range refuses equal labels even where the series never meet.
        let strict = matches!(self.leaf, Leaf::Range(_)) && self.stages.is_empty();
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

/// Which samples an instant selector picks, and what it takes from them.
struct Picking<'a> {
    times: &'a Times,
    lookback: i64,
    take: Take,
}

impl Picking<'_> {
    /// What is taken from a float sample; absent for a stale marker.
    #[inline]
    fn float(&self, buffer: &SampleBuffer, i: usize) -> f64 {
        let value = buffer.values[i];
        match self.take {
            Take::Value => value,
            _ if is_absent(value) => ABSENT,
            Take::Timestamp => buffer.timestamps[i] as f64 / 1000.0,
            Take::StartTimestamp => buffer.start_timestamps.get(i).copied().unwrap_or(0) as f64 / 1000.0,
        }
    }
}

/// The histogram of a series before a time when it is the last sample before it, and not long before. A set need not
/// have all samples outside of the range that it was selected for. A hint may then be missing or too sure, which shows in
/// what a sum is marked as and nowhere else: functions that look for resets never ask for the hint of the first sample.
pub(super) fn histogram_before(set: &dyn SeriesSet, index: usize, t: i64) -> Result<Option<Arc<Histogram>>> {
    let range = TimeRange::new(t.saturating_sub(NEIGHBOURHOOD_MS), t.saturating_sub(1));
    let mut aside = SampleBuffer::default();
    set.read(index, range, &mut aside)?;
    Ok(last_histogram(&aside).cloned())
}
