//! Which rows of a block count before a filter is asked: those that the indexes name and no one deleted.

use std::ops::{Range, RangeInclusive};

use arrow::{
    array::{BooleanArray, BooleanBufferBuilder},
    buffer::BooleanBuffer,
    compute::and,
};
use chronolith_storage::table::{BLOCK_ROWS, Part};
use datafusion::error::Result as PlanResult;
use roaring::{RoaringBitmap, RoaringTreemap};

use super::{prune::BlockRef, read::Scanned};
use crate::error::to_plan;

/// So many rows of a block may be one that is read by itself; when there are more, the block is read as a whole.
const ROWS_EACH: u64 = 16;
/// Widest range of row ids, of one block, of which the deleted ones are laid out as bits.
const BITS_MAX: u64 = 1 << 20;

/// The rows of a block that may count.
pub(super) enum Live {
    All,
    /// Those that are set.
    Mask(BooleanArray),
    /// Those at these places, which rise.
    Few(Vec<u32>),
}

impl Scanned {
    /// The rows of a block that may count: by the indexes and the deletions. `None`: none.
    pub(super) fn live(&self, at: BlockRef, rows: usize) -> PlanResult<Option<Live>> {
        let known = self.known(at.part)?;
        let part = &*self.table.parts[at.part];
        let mut mask = None;
        if let Some(candidates) = &known.candidates {
            let ordinals = ordinals(at.block, rows);
            let found = candidates.range_cardinality(ordinals.clone());
            if found == 0 {
                return Ok(None);
            }
            if found <= rows as u64 / ROWS_EACH {
                let start = ordinals.start;
                let few = candidates.range(ordinals).map(|row| row - start).collect();
                return self.live_of(part, at.block, few, known.masked);
            }
            // Where an index knows blocks only, all rows of one are candidates.
            if found < rows as u64 {
                mask = Some(bits_of(candidates, ordinals));
            }
        }
        if known.masked
            && let Some(live) = self.not_deleted(part, at.block, rows)?
        {
            let live = BooleanArray::new(live, None);
            mask = Some(match mask {
                None => live,
                Some(mask) => and(&mask, &live)?,
            });
        }
        Ok(match mask {
            None => Some(Live::All),
            Some(mask) => mask.has_true().then_some(Live::Mask(mask)),
        })
    }

    /// Those of a few rows that count.
    fn live_of(&self, part: &dyn Part, block: usize, mut few: Vec<u32>, masked: bool) -> PlanResult<Option<Live>> {
        if masked {
            let ids = part.row_ids_at(block, &few).map_err(to_plan)?;
            let counts = |id: &u64| self.ids.contains(id) && !self.table.deleted.contains(*id);
            let mut ids = ids.values().iter();
            few.retain(|_| ids.next().is_some_and(counts));
        }
        Ok((!few.is_empty()).then_some(Live::Few(few)))
    }

    /// The rows of a block whose ids are read and not deleted. `None`: all.
    fn not_deleted(&self, part: &dyn Part, block: usize, rows: usize) -> PlanResult<Option<BooleanBuffer>> {
        let bounds = part.block_row_ids(block).map_err(to_plan)?;
        let gone = Gone::of(&self.table.deleted, &bounds);
        if gone.is_empty && self.ids.contains(bounds.start()) && self.ids.contains(bounds.end()) {
            return Ok(None);
        }
        let ids = part.row_ids(block).map_err(to_plan)?;
        let ids = ids.values();
        let live = BooleanBuffer::collect_bool(rows, |row| self.ids.contains(&ids[row]) && !gone.has(ids[row]));
        Ok(Some(live))
    }
}

/// The deleted rows among those of a block.
struct Gone<'a> {
    all: &'a RoaringTreemap,
    first: u64,
    is_empty: bool,
    /// A bit for each id from the first one on: to ask the set for every row takes longer than all else.
    bits: Option<BooleanBuffer>,
}

impl<'a> Gone<'a> {
    fn of(all: &'a RoaringTreemap, bounds: &RangeInclusive<u64>) -> Self {
        let (first, last) = (*bounds.start(), *bounds.end());
        let is_empty = all.range_cardinality(first..=last) == 0;
        let bits = (!is_empty && last - first < BITS_MAX).then(|| {
            let span = (last - first + 1) as usize;
            let mut bits = BooleanBufferBuilder::new(span);
            bits.append_n(span, false);
            let mut ids = all.iter();
            ids.advance_to(first);
            ids.take_while(|id| *id <= last).for_each(|id| bits.set_bit((id - first) as usize, true));
            bits.finish()
        });
        Self { all, first, is_empty, bits }
    }

    fn has(&self, id: u64) -> bool {
        match &self.bits {
            _ if self.is_empty => false,
            Some(bits) => {
                id.checked_sub(self.first).is_some_and(|at| (at as usize) < bits.len() && bits.value(at as usize))
            }
            None => self.all.contains(id),
        }
    }
}

/// The ordinals of a block's rows in its part.
pub(super) fn ordinals(block: usize, rows: usize) -> Range<u32> {
    let start = u32::try_from(block * BLOCK_ROWS).unwrap_or(u32::MAX);
    start..start.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX))
}

fn bits_of(candidates: &RoaringBitmap, ordinals: Range<u32>) -> BooleanArray {
    let (start, rows) = (ordinals.start, ordinals.len());
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, false);
    candidates.range(ordinals).for_each(|row| bits.set_bit((row - start) as usize, true));
    BooleanArray::new(bits.finish(), None)
}
