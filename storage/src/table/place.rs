//! Where rows are: the part and the place in it of rows that are known by their ids.

use super::snapshot::TableSnapshot;
use crate::Result;

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowPlace {
    /// The part's place in the snapshot.
    pub part: usize,
    /// The block of the part.
    pub block: usize,
    /// The row's place in the block.
    pub row: usize,
}

impl TableSnapshot {
    /// Where the rows of these ids are, in their order. `None` where no part has the row. Only blocks that may have one of
    /// the rows are looked into.
    ///
    /// # Errors
    /// When row ids cannot be read.
    pub fn find_rows(&self, ids: &[u64]) -> Result<Vec<Option<RowPlace>>> {
        let mut found = vec![None; ids.len()];
        // Sorted, and where each stands among the ids that were asked for.
        let mut wanted: Vec<(u64, usize)> = ids.iter().copied().zip(0..).collect();
        wanted.sort_unstable();
        let mut left = wanted.len();
        // Rows that came last are asked for most.
        for (at, part) in self.parts.iter().enumerate().rev() {
            if left == 0 {
                break;
            }
            let bounds = part.row_id_bounds();
            if within(&wanted, *bounds.start(), *bounds.end()).is_empty() {
                continue;
            }
            for block in 0..part.blocks() {
                let bounds = part.block_row_ids(block)?;
                let near = within(&wanted, *bounds.start(), *bounds.end());
                if near.iter().all(|(_, place)| found[*place].is_some()) {
                    continue;
                }
                for (row, place) in rows_of(near, part.row_ids(block)?.values()) {
                    left -= usize::from(found[place].is_none());
                    found[place] = Some(RowPlace { part: at, block, row });
                }
            }
        }
        Ok(found)
    }
}

/// The rows of a block that have one of the ids, each with the place of its id among those that were asked for.
fn rows_of(wanted: &[(u64, usize)], ids: &[u64]) -> Vec<(usize, usize)> {
    // Rows are mostly in the order of their ids.
    if ids.is_sorted() {
        return wanted.iter().filter_map(|(id, place)| Some((ids.binary_search(id).ok()?, *place))).collect();
    }
    let all = ids.iter().enumerate();
    all.flat_map(|(row, id)| within(wanted, *id, *id).iter().map(move |(_, place)| (row, *place))).collect()
}

/// The ids from `low` to `high`.
fn within(sorted: &[(u64, usize)], low: u64, high: u64) -> &[(u64, usize)] {
    let start = sorted.partition_point(|(id, _)| *id < low);
    let end = sorted.partition_point(|(id, _)| *id <= high);
    sorted.get(start..end).unwrap_or_default()
}
