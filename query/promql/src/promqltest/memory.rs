//! Series in memory as a storage under test.

use std::{collections::BTreeMap, sync::Arc};

use chronolith_storage::{Labels, Matcher, SampleBuffer, SeriesSet, SeriesSource, TimeRange, read::HistogramSample};

use super::{StoreError, TestStore};
use crate::series_notation::{LoadedSample, LoadedSeries, SampleValue};

/// Samples in memory by labels and timestamp: what a file needs to test an engine without a storage.
#[derive(Debug, Default)]
pub struct MemoryStore(Series);

impl TestStore for MemoryStore {
    fn clear(&mut self) -> Result<(), StoreError> {
        self.0.clear();
        Ok(())
    }

    fn append(&mut self, series: &[LoadedSeries]) -> Result<(), StoreError> {
        for s in series {
            let samples = self.0.entry(s.labels.clone()).or_default();
            samples.extend(s.samples.iter().map(|sample| (sample.timestamp, sample.clone())));
        }
        Ok(())
    }

    fn source(&self) -> Result<Box<dyn SeriesSource + '_>, StoreError> {
        Ok(Box::new(Source(&self.0)))
    }
}

type Series = BTreeMap<Labels, BTreeMap<i64, LoadedSample>>;

struct Source<'a>(&'a Series);

impl SeriesSource for Source<'_> {
    fn select(&self, matchers: &[Matcher], range: TimeRange) -> chronolith_storage::Result<Box<dyn SeriesSet + '_>> {
        let fits = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or_default()));
        let selected = self
            .0
            .iter()
            .filter(|(l, s)| fits(l) && !range.is_empty() && s.range(range.start..=range.end).next().is_some());
        Ok(Box::new(Selected(selected.collect())))
    }
}

struct Selected<'a>(Vec<(&'a Labels, &'a BTreeMap<i64, LoadedSample>)>);

impl SeriesSet for Selected<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.0[index].0
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut SampleBuffer) -> chronolith_storage::Result<()> {
        for (t, sample) in self.0[index].1.range(range.start..=range.end) {
            match &sample.value {
                SampleValue::Float(v) => out.push_float(*t, *v, sample.start_timestamp),
                SampleValue::Histogram(h) => out.histograms.push(HistogramSample {
                    timestamp: *t,
                    start_timestamp: sample.start_timestamp,
                    histogram: Arc::clone(h),
                }),
            }
        }
        Ok(())
    }
}
