//! Where each series' samples are in the memtable: copied page by page when a view still needs the old page.

use std::sync::Arc;

use super::{chunks::ChunkAddress, index::SeriesId};
use crate::model::time::TimeRange;

/// Series in a page: small enough to copy quickly, large enough that a view of a million series is a thousand pointers.
const PAGE: usize = 512;

/// The state of one series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Lowest timestamp.
    pub(super) first: i64,
    /// Highest timestamp.
    pub(super) last: i64,
    /// The chunk written last.
    pub(super) tail: ChunkAddress,
    /// Samples in that chunk.
    pub(super) tail_len: u16,
    /// Whether every sample came later than all before it.
    pub(super) sorted: bool,
}

impl Head {
    const EMPTY: Self = Self { first: i64::MAX, last: i64::MIN, tail: ChunkAddress::NONE, tail_len: 0, sorted: true };

    /// The range of the series' samples.
    pub(crate) const fn range(&self) -> TimeRange {
        TimeRange::new(self.first, self.last)
    }

    const fn is_empty(&self) -> bool {
        self.tail.is_none()
    }
}

/// The heads of all series, as the writer sees them.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pages: Vec<Arc<[Head; PAGE]>>,
}

/// The heads of all series at one moment.
#[derive(Debug, Clone)]
pub(crate) struct HeadsView {
    pages: Vec<Arc<[Head; PAGE]>>,
}

impl Heads {
    /// The head of a series, for change; pages that views hold are copied first.
    pub(super) fn get_mut(&mut self, series: SeriesId) -> &mut Head {
        let (page, slot) = (series as usize / PAGE, series as usize % PAGE);
        while self.pages.len() <= page {
            self.pages.push(Arc::new([Head::EMPTY; PAGE]));
        }
        &mut Arc::make_mut(&mut self.pages[page])[slot]
    }

    pub(super) fn view(&self) -> HeadsView {
        HeadsView { pages: self.pages.clone() }
    }

    pub(super) fn heap_size(&self) -> usize {
        self.pages.len() * PAGE * size_of::<Head>()
    }
}

impl HeadsView {
    /// The head of a series that has samples.
    pub(super) fn get(&self, series: SeriesId) -> Option<&Head> {
        let head = &self.pages.get(series as usize / PAGE)?[series as usize % PAGE];
        (!head.is_empty()).then_some(head)
    }

    /// One past the highest series that may have samples.
    pub(crate) fn len(&self) -> u32 {
        (self.pages.len() * PAGE) as u32
    }
}
