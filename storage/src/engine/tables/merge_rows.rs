//! The rows of several segments in one order, as a merge reads them: each block once.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array, ArrayRef};
use roaring::RoaringTreemap;

use super::events::LiveEvents;
use crate::{
    Result,
    table::{BLOCK_ROWS, ColumnKey, Part, Rows, gather::gather, time::times},
};

/// Memory that columns of blocks may take while they wait for the rows before theirs, in bytes. Beyond it a column is
/// read again.
const KEPT_MAX: usize = 64 << 20;

/// Which rows of the segments count.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    pub(super) deleted: &'a RoaringTreemap,
    /// Rows whose time, in the column's unit, is before this are left out.
    pub(super) from: i64,
}

/// Segments being read together.
pub(super) struct Inputs<'a> {
    all: Vec<Input<'a>>,
    keys: Vec<ColumnKey>,
    kept: Kept<'a>,
    /// Memory of the columns that wait.
    waiting: usize,
}

/// A segment being read in the order of its rows.
struct Input<'a> {
    live: &'a LiveEvents,
    block: usize,
    row: usize,
    ids: Vec<u64>,
    /// All the same when the table has no time column.
    times: Vec<i64>,
    /// Columns of the block that was current when rows were taken last, and its number.
    columns: Columns,
    columns_of: usize,
    /// Columns of the current block, if that is another.
    ahead: Columns,
}

/// Columns of a block that were read; nothing where no row has a value.
#[derive(Default)]
struct Columns {
    all: BTreeMap<ColumnKey, Option<ArrayRef>>,
    bytes: usize,
}

/// Places of rows: the blocks that they come from, as input and block; each row's block, by its place in that list, and row
/// in it; the row ids.
#[derive(Default)]
struct Places {
    blocks: Vec<(usize, usize)>,
    rows: Vec<(usize, usize)>,
    ids: Vec<u64>,
}

impl<'a> Inputs<'a> {
    /// Segments of one table, whose columns `keys` are read.
    pub(super) fn open(live: &'a [Arc<LiveEvents>], keys: Vec<ColumnKey>, kept: Kept<'a>) -> Result<Self> {
        let all = live.iter().map(|live| Input::open(live)).collect::<Result<_>>()?;
        Ok(Self { all, keys, kept, waiting: 0 })
    }

    /// The next rows of all, by time and then by row id, as many as a block has, and their ids; none at the end. The ids of
    /// rows that do not count are added to `removed`.
    pub(super) fn next(&mut self, removed: &mut RoaringTreemap) -> Result<Option<(Rows, Vec<u64>)>> {
        let Places { blocks, rows, ids } = self.places(removed)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let keys = std::mem::take(&mut self.keys);
        let gathered = gather(&keys, &rows, |source, key| {
            let (input, block) = blocks[source];
            self.read(input, block, key)
        });
        self.keys = keys;
        for input in &mut self.all {
            if input.columns_of != input.block {
                self.waiting -= input.columns.bytes;
                input.columns = std::mem::take(&mut input.ahead);
                input.columns_of = input.block;
            }
        }
        Ok(Some((gathered?, ids)))
    }

    /// Takes the next rows, but for their values.
    fn places(&mut self, removed: &mut RoaringTreemap) -> Result<Places> {
        let mut places = Places::default();
        // The place in `blocks` of each input's current block.
        let mut current: Vec<Option<usize>> = vec![None; self.all.len()];
        let some_deleted = !self.kept.deleted.is_empty();
        while places.rows.len() < BLOCK_ROWS {
            let heads = || self.all.iter().enumerate().filter_map(|(at, input)| Some((input.peek()?, at)));
            let Some((first, at)) = heads().min() else { break };
            // The rows of one input up to the first of another; no two have one row id.
            let limit = heads().filter(|(_, other)| *other != at).map(|(head, _)| head).min();
            let input = &mut self.all[at];
            let mut next = Some(first);
            while let Some((time, id)) = next
                && limit.is_none_or(|limit| (time, id) < limit)
                && places.rows.len() < BLOCK_ROWS
            {
                // A row without a time is kept for good.
                if some_deleted && self.kept.deleted.contains(id) || (time < self.kept.from && time != i64::MIN) {
                    removed.insert(id);
                } else {
                    let block = *current[at].get_or_insert_with(|| {
                        places.blocks.push((at, input.block));
                        places.blocks.len() - 1
                    });
                    places.rows.push((block, input.row));
                    places.ids.push(id);
                }
                input.row += 1;
                next = input.peek();
            }
            if input.row == input.ids.len() {
                input.block += 1;
                current[at] = None;
                input.load()?;
            }
        }
        Ok(places)
    }

    /// A column of a block. It waits in memory when the block has rows that were not taken.
    fn read(&mut self, input: usize, block: usize, key: &ColumnKey) -> Result<Option<ArrayRef>> {
        let input = &mut self.all[input];
        if block == input.columns_of
            && let Some(column) = input.columns.all.get(key)
        {
            return Ok(column.clone());
        }
        let column = input.live.read(key, block)?;
        let column = (column.null_count() < column.len()).then_some(column);
        let bytes = column.as_ref().map_or(0, |column| column.get_array_memory_size());
        if block == input.block && self.waiting + bytes <= KEPT_MAX {
            self.waiting += bytes;
            let columns = if block == input.columns_of { &mut input.columns } else { &mut input.ahead };
            columns.bytes += bytes;
            columns.all.insert(key.clone(), column.clone());
        }
        Ok(column)
    }
}

impl<'a> Input<'a> {
    fn open(live: &'a LiveEvents) -> Result<Self> {
        let mut input = Self {
            live,
            block: 0,
            row: 0,
            ids: Vec::new(),
            times: Vec::new(),
            columns: Columns::default(),
            columns_of: 0,
            ahead: Columns::default(),
        };
        input.load()?;
        Ok(input)
    }

    /// Reads ids and times of the current block, if there is one.
    fn load(&mut self) -> Result<()> {
        self.row = 0;
        if self.block >= self.live.blocks() {
            self.ids.clear();
            self.times.clear();
            return Ok(());
        }
        self.ids = self.live.row_ids(self.block)?.values().to_vec();
        self.times = match self.live.time_key() {
            Some(key) => times(key.kind, &self.live.read(&key, self.block)?)?,
            None => vec![i64::MIN; self.ids.len()],
        };
        Ok(())
    }

    /// Time and id of the current row.
    fn peek(&self) -> Option<(i64, u64)> {
        Some((*self.times.get(self.row)?, *self.ids.get(self.row)?))
    }
}

#[cfg(test)]
mod tests;
