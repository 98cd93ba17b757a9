//! Which blocks a filter can be true in, told from their statistics.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, UInt64Array},
    compute::interleave,
    datatypes::SchemaRef,
};
use chronolith_storage::table::{BLOCK_ROWS, ColumnKey, ColumnZones, Part};
use datafusion::{
    common::{Column, ScalarValue, pruning::PruningStatistics},
    error::Result as PlanResult,
    physical_expr::PhysicalExpr,
    physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder},
};

use super::layout::{Layout, LayoutColumn};

/// A block of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockRef {
    /// The part's place in the snapshot.
    pub(crate) part: usize,
    /// The block's place in the part.
    pub(crate) block: usize,
}

/// How many rows a block has.
pub(crate) fn block_len(part: &dyn Part, block: usize) -> usize {
    part.len().saturating_sub(block * BLOCK_ROWS).min(BLOCK_ROWS)
}

/// What is known of a column in some parts; and for each block which of these is its own, and its place in the part.
type BlockZones = (Vec<Arc<ColumnZones>>, Vec<(usize, usize)>);

/// The statistics of some blocks, as a predicate asks for them.
pub(crate) struct BlockStatistics<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) parts: &'a [Arc<dyn Part>],
    pub(crate) blocks: &'a [BlockRef],
}

/// What statistics can tell of a filter over this schema.
///
/// # Errors
/// When the filter does not fit the schema.
pub(crate) fn predicate_of(filter: Arc<dyn PhysicalExpr>, schema: SchemaRef) -> PlanResult<PruningPredicate> {
    PruningPredicateBuilder::new().with_file_schema(schema).try_build(filter)
}

/// The blocks among these that the predicate can be true in. Where statistics cannot be read, the block stays: reading it
/// tells the error.
pub(crate) fn prune(predicate: &PruningPredicate, statistics: &BlockStatistics<'_>) -> Vec<BlockRef> {
    if predicate.always_true() {
        return statistics.blocks.to_vec();
    }
    match predicate.prune(statistics) {
        Ok(keep) => statistics.blocks.iter().zip(keep).filter_map(|(block, keep)| keep.then_some(*block)).collect(),
        Err(_) => statistics.blocks.to_vec(),
    }
}

impl BlockStatistics<'_> {
    fn column(&self, name: &str) -> Option<&LayoutColumn> {
        self.layout.schema.index_of(name).ok().map(|at| &self.layout.columns[at])
    }

    /// What is known of a column in the parts that have one of the blocks, and for each block which of these it is.
    /// `None` when it cannot be read: reading the blocks tells the error.
    pub(crate) fn zones(&self, key: &ColumnKey) -> Option<BlockZones> {
        let mut zones = Vec::new();
        let mut of_part: Vec<Option<usize>> = vec![None; self.parts.len()];
        let mut places = Vec::with_capacity(self.blocks.len());
        for at in self.blocks {
            let known = match of_part[at.part] {
                Some(known) => known,
                None => {
                    zones.push(self.parts[at.part].zones(key).ok()?);
                    *of_part[at.part].insert(zones.len() - 1)
                }
            };
            places.push((known, at.block));
        }
        Some((zones, places))
    }

    /// The lower or upper bounds of a column in each block; null where there is none.
    pub(crate) fn bounds(&self, column: &LayoutColumn, upper: bool) -> Option<ArrayRef> {
        let (zones, places) = self.zones(column.bounded_by()?)?;
        let arrays: Vec<&dyn Array> = zones.iter().map(|known| if upper { &*known.max } else { &*known.min }).collect();
        // There may be no block at all.
        let bounds = if arrays.is_empty() { return None } else { interleave(&arrays, &places).ok()? };
        Some(column.as_seen(bounds))
    }
}

impl PruningStatistics for BlockStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(self.column(&column.name)?, false)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        let column = self.column(&column.name)?;
        // NaN is above every bound, and no bound tells of it.
        if column.data_type.is_floating() {
            return None;
        }
        self.bounds(column, true)
    }

    fn num_containers(&self) -> usize {
        self.blocks.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let key = self.column(&column.name)?.bounded_by()?;
        let (zones, places) = self.zones(key)?;
        let counts = places.iter().map(|(known, block)| zones[*known].nulls.value(*block));
        Some(Arc::new(UInt64Array::from_iter_values(counts)))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.blocks.iter().map(|at| block_len(&*self.parts[at.part], at.block) as u64);
        Some(Arc::new(UInt64Array::from_iter_values(rows)))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
