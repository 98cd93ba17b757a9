//! Series in memory as a source of the engine.

use std::collections::BTreeMap;

use chronolith_storage::{Labels, Matcher, Result, SampleBuffer, SeriesSet, SeriesSource, TimeRange};

use crate::notation;

/// Floats by labels and timestamp.
#[derive(Default)]
pub(crate) struct Memory {
    series: BTreeMap<Labels, BTreeMap<i64, f64>>,
}

impl Memory {
    /// Adds the lines of a `load`.
    pub(crate) fn load(&mut self, step: i64, lines: &[String]) {
        let mut loaded = BTreeMap::new();
        for line in lines {
            let (labels, rest) = notation::series(line);
            // The same labels again in one load replace what was there.
            loaded.insert(labels, notation::points(rest));
        }
        for (labels, points) in loaded {
            let samples = self.series.entry(labels).or_default();
            samples.extend(points.iter().enumerate().filter_map(|(i, v)| v.map(|v| (i as i64 * step, v))));
        }
    }
}

impl Memory {
    /// Whether a series of that name was loaded.
    pub(crate) fn has_metric(&self, name: &str) -> bool {
        self.series.keys().any(|l| l.metric_name() == name)
    }
}

impl SeriesSource for Memory {
    fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Box<dyn SeriesSet + '_>> {
        let fits = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or_default()));
        let selected = self
            .series
            .iter()
            .filter(|(l, s)| fits(l) && !range.is_empty() && s.range(range.start..=range.end).next().is_some());
        Ok(Box::new(Selected(selected.collect())))
    }
}

struct Selected<'a>(Vec<(&'a Labels, &'a BTreeMap<i64, f64>)>);

impl SeriesSet for Selected<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.0[index].0
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut SampleBuffer) -> Result<()> {
        for (t, v) in self.0[index].1.range(range.start..=range.end) {
            out.push_float(*t, *v, 0);
        }
        Ok(())
    }
}
