//! Reads a whole segment in the order of its labels: for merges and exports.

use std::collections::VecDeque;

use super::{open::Segment, read::ReadScratch};
use crate::{Exemplar, Labels, Result, SampleBuffer, TimeRange};

/// How many series' labels are resolved at once.
const BATCH: u32 = 1024;

/// Walks over the series of a segment. Its chunks do not push others out of the block cache.
#[derive(Debug)]
pub struct SegmentScan<'a> {
    segment: &'a Segment,
    /// Labels of the series from `next` on.
    ahead: VecDeque<Labels>,
    next: u32,
    scratch: ReadScratch,
}

impl Segment {
    /// Starts before the first series.
    #[must_use]
    pub fn scan(&self) -> SegmentScan<'_> {
        SegmentScan { segment: self, ahead: VecDeque::new(), next: 0, scratch: ReadScratch::sequential() }
    }
}

impl SegmentScan<'_> {
    /// The labels of the next series; `None` at the end.
    ///
    /// # Errors
    /// As [`Segment::labels`].
    pub fn peek(&mut self) -> Result<Option<&Labels>> {
        if self.ahead.is_empty() {
            let end = self.next.saturating_add(BATCH).min(self.segment.summary.series);
            let batch: Vec<u32> = (self.next..end).collect();
            self.ahead = self.segment.labels(&batch)?.into();
        }
        Ok(self.ahead.front())
    }

    /// The ordinal of the next series.
    #[must_use]
    pub const fn ordinal(&self) -> u32 {
        self.next
    }

    /// Appends the next series' samples and exemplars in `range` and goes one on; without a next series nothing happens.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub fn take(
        &mut self,
        range: TimeRange,
        samples: &mut SampleBuffer,
        exemplars: &mut Vec<Exemplar>,
    ) -> Result<Option<Labels>> {
        self.peek()?;
        let Some(labels) = self.ahead.pop_front() else { return Ok(None) };
        let ordinal = self.next;
        self.next += 1;
        self.segment.read_with(ordinal, range, &mut self.scratch, samples)?;
        exemplars.append(&mut self.segment.exemplars_with(ordinal, range, &mut self.scratch)?);
        Ok(Some(labels))
    }
}
