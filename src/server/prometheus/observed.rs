//! A source of series that notes which time range a query read, so that its answer can say what is missing there.

use std::sync::{Mutex, PoisonError};

use chronolith_storage::{Matcher, Result, SeriesSet, SeriesSource, TimeRange};

/// A source that notes the ranges of its selections.
pub(crate) struct Observed<'s> {
    source: &'s dyn SeriesSource,
    range: Mutex<Option<TimeRange>>,
}

impl<'s> Observed<'s> {
    pub(crate) fn new(source: &'s dyn SeriesSource) -> Self {
        Self { source, range: Mutex::new(None) }
    }

    /// The smallest range that holds every selection; `None` when there was none.
    pub(crate) fn range_read(&self) -> Option<TimeRange> {
        *self.range.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SeriesSource for Observed<'_> {
    fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Box<dyn SeriesSet + '_>> {
        let mut all = self.range.lock().unwrap_or_else(PoisonError::into_inner);
        *all = Some(all.map_or(range, |before| before.union(&range)));
        drop(all);
        self.source.select(matchers, range)
    }
}
