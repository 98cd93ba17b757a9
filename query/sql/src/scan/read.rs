//! Reading blocks: filter columns first, the others only where a row is left.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, OnceLock},
};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions},
    compute::{and, filter, prep_null_mask_filter},
    datatypes::{Schema, SchemaRef},
};
use chronolith_storage::table::{Part, TableSnapshot};
use datafusion::{
    error::{DataFusionError, Result as PlanResult},
    physical_expr::PhysicalExpr,
    physical_expr_common::physical_expr::{snapshot_generation, snapshot_physical_expr},
};
use roaring::RoaringBitmap;

use super::{
    find::Search,
    layout::Layout,
    live::{Live, ordinals},
    prune::{BlockRef, BlockStatistics, block_len, predicate_of, prune},
};

/// All row ids.
pub(crate) const ALL_IDS: RangeInclusive<u64> = 0..=u64::MAX;

/// What the partitions of a scan share.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) table: TableSnapshot,
    pub(crate) layout: Arc<Layout>,
    /// The row ids that are read.
    pub(crate) ids: RangeInclusive<u64>,
    /// What must be true of a row, over the columns of `filter_schema`.
    pub(crate) filter: Option<Arc<dyn PhysicalExpr>>,
    /// The columns that the filter reads, as places in the layout.
    pub(crate) filter_columns: Vec<usize>,
    pub(crate) filter_schema: SchemaRef,
    /// What the text indexes are asked.
    pub(crate) search: Option<Search>,
    /// What the indexes answered, and whether rows are deleted, by part.
    pub(crate) known: Vec<OnceLock<Known>>,
}

/// What is known of a part before its blocks are read.
#[derive(Debug)]
pub(crate) struct Known {
    /// The rows that may fulfil the filter; `None`: all.
    pub(super) candidates: Option<RoaringBitmap>,
    /// Whether some row is deleted, or its id none of those that are read.
    pub(super) masked: bool,
}

impl Scanned {
    /// Whether rows are left out by something else than the filter.
    pub(crate) fn has_deletions(&self) -> bool {
        !self.table.deleted.is_empty() || self.ids != ALL_IDS
    }

    pub(super) fn known(&self, at: usize) -> PlanResult<&Known> {
        if let Some(known) = self.known[at].get() {
            return Ok(known);
        }
        let part = &*self.table.parts[at];
        let candidates = match &self.search {
            Some(search) => search.rows(part)?,
            None => None,
        };
        let bounds = part.row_id_bounds();
        let inside = self.ids.contains(bounds.start()) && self.ids.contains(bounds.end());
        let deleted = self.table.deleted.rank(*bounds.end())
            > bounds.start().checked_sub(1).map_or(0, |below| self.table.deleted.rank(below));
        Ok(self.known[at].get_or_init(|| Known { candidates, masked: deleted || !inside }))
    }

    /// The blocks among these that the text indexes do not exclude.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub(crate) fn indexed(&self, blocks: Vec<BlockRef>) -> PlanResult<Vec<BlockRef>> {
        if self.search.is_none() {
            return Ok(blocks);
        }
        let mut kept = Vec::new();
        for at in blocks {
            let rows = block_len(&*self.table.parts[at.part], at.block);
            let candidates = &self.known(at.part)?.candidates;
            if candidates.as_ref().is_none_or(|found| found.range_cardinality(ordinals(at.block, rows)) > 0) {
                kept.push(at);
            }
        }
        Ok(kept)
    }
}

fn both(a: Option<BooleanArray>, b: BooleanArray) -> PlanResult<BooleanArray> {
    match a {
        None => Ok(b),
        Some(a) => Ok(and(&a, &b)?),
    }
}

/// A filter that changes while the query runs, such as the bound of the rows that ORDER BY ... LIMIT still takes.
#[derive(Debug)]
struct Dynamic {
    expr: Arc<dyn PhysicalExpr>,
    generation: u64,
    now: Arc<dyn PhysicalExpr>,
}

/// Reads the blocks of one partition, one after another.
#[derive(Debug)]
pub(crate) struct Reader {
    scanned: Arc<Scanned>,
    /// The blocks that are still to be read, the next one last.
    blocks: Vec<BlockRef>,
    projection: Vec<usize>,
    schema: SchemaRef,
    dynamic: Vec<Dynamic>,
}

impl Reader {
    /// A reader of these columns, as places in the layout; `dynamic` filters are over the projected columns.
    pub(crate) fn new(
        scanned: Arc<Scanned>,
        blocks: Arc<[BlockRef]>,
        projection: Vec<usize>,
        schema: SchemaRef,
        dynamic: &[Arc<dyn PhysicalExpr>],
    ) -> PlanResult<Self> {
        let dynamic = dynamic.iter().map(|expr| {
            let now = snapshot_physical_expr(Arc::clone(expr))?;
            // Generation 0 is "never looked": the first block looks.
            Ok(Dynamic { expr: Arc::clone(expr), generation: 0, now })
        });
        let dynamic = dynamic.collect::<PlanResult<_>>()?;
        Ok(Self { scanned, blocks: blocks.iter().rev().copied().collect(), projection, schema, dynamic })
    }

    /// Whether no block is left.
    pub(crate) fn is_done(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The rows of the next block that count; `None` when there is none.
    pub(crate) fn next(&mut self) -> PlanResult<Option<RecordBatch>> {
        self.prune_by_now()?;
        match self.blocks.pop() {
            Some(at) => self.read(at),
            None => Ok(None),
        }
    }

    fn read(&self, at: BlockRef) -> PlanResult<Option<RecordBatch>> {
        let scanned = Arc::clone(&self.scanned);
        let part = &*scanned.table.parts[at.part];
        let rows = block_len(part, at.block);
        let Some(live) = scanned.live(at, rows)? else { return Ok(None) };
        let (few, mut mask) = match live {
            Live::All => (None, None),
            Live::Mask(mask) => (None, Some(mask)),
            Live::Few(few) => (Some(few), None),
        };
        let rows = few.as_ref().map_or(rows, Vec::len);
        let mut columns = Columns { scanned: &scanned, part, block: at.block, few, read: BTreeMap::new() };
        if let Some(filter) = &scanned.filter {
            let found = columns.evaluate(filter, &scanned.filter_columns, &scanned.filter_schema, rows)?;
            mask = Some(both(mask, found)?);
            if is_empty(mask.as_ref()) {
                return Ok(None);
            }
        }
        for dynamic in &self.dynamic {
            let (used, schema, expr) = self.used_columns(&dynamic.now)?;
            let found = columns.evaluate(&expr, &used, &schema, rows)?;
            mask = Some(both(mask, found)?);
            if is_empty(mask.as_ref()) {
                return Ok(None);
            }
        }
        let arrays = self.projection.iter().map(|&column| {
            let values = columns.get(column)?;
            match &mask {
                Some(mask) => Ok(filter(&values, mask)?),
                None => Ok(values),
            }
        });
        let arrays = arrays.collect::<PlanResult<Vec<ArrayRef>>>()?;
        let left = mask.as_ref().map_or(rows, BooleanArray::true_count);
        let options = RecordBatchOptions::new().with_row_count(Some(left));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?))
    }

    /// Leaves out the blocks that the filters as they stand now can be true in no row of. All blocks that are left are
    /// looked at when a filter has changed: once a filter has its last form, none is looked at twice.
    fn prune_by_now(&mut self) -> PlanResult<()> {
        for dynamic in &mut self.dynamic {
            let generation = snapshot_generation(&dynamic.expr);
            if generation == dynamic.generation {
                continue;
            }
            dynamic.generation = generation;
            dynamic.now = snapshot_physical_expr(Arc::clone(&dynamic.expr))?;
            let Ok(predicate) = predicate_of(Arc::clone(&dynamic.now), Arc::clone(&self.schema)) else { continue };
            let (layout, parts) = (&self.scanned.layout, &self.scanned.table.parts);
            let kept = prune(&predicate, &BlockStatistics { layout, parts, blocks: &self.blocks });
            self.blocks = kept;
        }
        Ok(())
    }

    /// The columns that a filter over the projected columns reads: their places, their schema, and the filter over it.
    fn used_columns(&self, expr: &Arc<dyn PhysicalExpr>) -> PlanResult<(Vec<usize>, SchemaRef, Arc<dyn PhysicalExpr>)> {
        let mut used: Vec<usize> =
            datafusion::physical_expr::utils::collect_columns(expr).iter().map(|c| c.index()).collect();
        used.sort_unstable();
        let schema = Arc::new(self.schema.project(&used)?);
        let expr = datafusion::physical_expr::utils::reassign_expr_columns(Arc::clone(expr), &schema)?;
        Ok((used.into_iter().map(|at| self.projection[at]).collect(), schema, expr))
    }
}

fn is_empty(mask: Option<&BooleanArray>) -> bool {
    mask.is_some_and(|mask| !mask.has_true())
}

/// The columns of a block that were read so far.
struct Columns<'a> {
    scanned: &'a Scanned,
    part: &'a dyn Part,
    block: usize,
    /// The places of the rows that are read; `None`: all.
    few: Option<Vec<u32>>,
    read: BTreeMap<usize, ArrayRef>,
}

impl Columns<'_> {
    fn get(&mut self, column: usize) -> PlanResult<ArrayRef> {
        if let Some(values) = self.read.get(&column) {
            return Ok(Arc::clone(values));
        }
        let values = self.scanned.layout.columns[column].read(self.part, self.block, self.few.as_deref())?;
        self.read.insert(column, Arc::clone(&values));
        Ok(values)
    }

    /// The rows of which an expression is true.
    fn evaluate(
        &mut self,
        expr: &Arc<dyn PhysicalExpr>,
        columns: &[usize],
        schema: &Arc<Schema>,
        rows: usize,
    ) -> PlanResult<BooleanArray> {
        let arrays = columns.iter().map(|&column| self.get(column)).collect::<PlanResult<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?;
        let found = expr.evaluate(&batch)?.into_array(rows)?;
        let Some(found) = found.as_any().downcast_ref::<BooleanArray>() else {
            return Err(DataFusionError::Internal(format!("a filter gave {}", found.data_type())));
        };
        Ok(if found.null_count() > 0 { prep_null_mask_filter(found) } else { found.clone() })
    }
}
