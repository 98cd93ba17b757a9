//! A range selector as the whole answer: the samples as they are stored.

use std::sync::Arc;

use chronolith_storage::{Labels, SampleBuffer};

use super::{
    error::{QueryError, Result},
    evaluate::Evaluator,
    grid::histogram_weight,
    histogram_column::HistogramColumn,
    kernels::{
        extended,
        samples::{Column, Window},
    },
    plan::Range,
    range_step::drop_stale,
    stream::histogram_before,
    value::RangeSeries,
    window::{Reach, Times},
};
use crate::ast::Extension;

impl<'q> Evaluator<'q> {
    /// The samples inside the range at the one step of `times`, series by series. An anchored or smoothed range has
    /// values at both its ends.
    pub(super) fn raw(&self, r: &Range<'q>, times: &Times) -> Result<Vec<RangeSeries>> {
        let extension = r.selector.extension;
        let range = Reach::of(r.range, extension, self.options.lookback_ms).range(times);
        let set = self.select(r.selector.matchers, range)?;
        let (mut buffer, mut histograms) = (SampleBuffer::default(), HistogramColumn::default());
        let mut out = Vec::new();
        for i in 0..set.len() {
            self.budget.check()?;
            buffer.clear();
            histograms.clear();
            set.read(i, range, &mut buffer)?;
            self.budget.count_read(buffer.len());
            let mut before_all = |t: i64| histogram_before(&*set, i, t);
            histograms.extend(&buffer, r.selector.stats_only, &mut before_all)?;
            drop_stale(&mut buffer);
            let series = match extension {
                Extension::None => stored(set.labels(i), &buffer, &histograms),
                Extension::Anchored | Extension::Smoothed => {
                    if !histograms.is_empty() {
                        let what = if extension == Extension::Anchored { "anchored" } else { "smoothed" };
                        let text = format!("{what} modifier is not supported with histograms");
                        return Err(QueryError::Execution(text));
                    }
                    let end = times.at(0);
                    let window = Window {
                        floats: Column { timestamps: &buffer.timestamps, values: &buffer.values, starts: &[] },
                        histograms: histograms.column(false),
                        start: end.saturating_sub(r.range),
                        end,
                    };
                    let samples = extended::with_ends(&window, extension == Extension::Smoothed);
                    let (timestamps, values) = samples.into_iter().unzip();
                    RangeSeries { labels: set.labels(i).clone(), timestamps, values, histograms: Vec::new() }
                }
            };
            let weight: usize = series.histograms.iter().map(|(_, h)| histogram_weight(h)).sum();
            let samples = series.values.len() + weight;
            self.budget.hold(samples, samples * 16)?;
            if samples > 0 {
                out.push(series);
            }
        }
        Ok(out)
    }
}

fn stored(labels: &Labels, buffer: &SampleBuffer, histograms: &HistogramColumn) -> RangeSeries {
    RangeSeries {
        labels: labels.clone(),
        timestamps: buffer.timestamps.clone(),
        values: buffer.values.clone(),
        histograms: histograms.timestamps.iter().zip(&histograms.values).map(|(t, h)| (*t, Arc::clone(h))).collect(),
    }
}
