//! The scan of a table as a node of a physical plan.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    task::Poll,
};

use arrow::{array::Array, compute::SortOptions, datatypes::SchemaRef};
use chronolith_storage::table::BLOCK_ROWS;
use datafusion::{
    common::{
        ColumnStatistics, ScalarValue, Statistics, config::ConfigOptions, stats::Precision,
        tree_node::TreeNodeRecursion,
    },
    datasource::source::DataSource,
    error::Result as PlanResult,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{
        DynamicFilterTracking, EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr, expressions::Column,
    },
    physical_plan::{
        DisplayFormatType, SortOrderPushdownResult,
        execution_plan::SchedulingType,
        filter_pushdown::{FilterPushdownPropagation, PushedDown},
        projection::ProjectionExprs,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::stream;

use super::{
    prune::{BlockRef, BlockStatistics, block_len},
    read::{ALL_IDS, Reader, Scanned},
};

/// Blocks without a hit that are read before others get their turn.
const BLOCKS_PER_TURN: usize = 16;
/// Neighbouring blocks that one partition reads in a row, at most.
const MOST_NEIGHBOURS: usize = 8;

/// A scan of a table.
#[derive(Debug, Clone)]
pub(crate) struct TableSource {
    scanned: Arc<Scanned>,
    /// The columns that come out, as places in the layout.
    projection: Vec<usize>,
    schema: SchemaRef,
    /// The blocks of each partition, in the order in which they are read.
    partitions: Vec<Arc<[BlockRef]>>,
    /// Filters that change while the query runs, over `schema`.
    dynamic: Vec<Arc<dyn PhysicalExpr>>,
    fetch: Option<usize>,
    statistics: Arc<OnceLock<Arc<Statistics>>>,
}

impl TableSource {
    /// A scan of these blocks by as many partitions.
    pub(crate) fn new(
        scanned: Arc<Scanned>,
        projection: Vec<usize>,
        schema: SchemaRef,
        blocks: &[BlockRef],
        partitions: usize,
        fetch: Option<usize>,
    ) -> Self {
        let partitions = spread(blocks, partitions);
        Self { scanned, projection, schema, partitions, dynamic: Vec::new(), fetch, statistics: Arc::default() }
    }

    fn all_blocks(&self) -> Vec<BlockRef> {
        let mut blocks: Vec<BlockRef> = self.partitions.iter().flat_map(|p| p.iter().copied()).collect();
        blocks.sort_unstable_by_key(|at| (at.part, at.block));
        blocks
    }

    fn compute_statistics(&self) -> Statistics {
        let blocks = self.all_blocks();
        let parts = &self.scanned.table.parts;
        let held: usize = blocks.iter().map(|at| block_len(&*parts[at.part], at.block)).sum();
        let deleted = usize::try_from(self.scanned.table.deleted.len()).unwrap_or(usize::MAX);
        let whole = self.scanned.filter.is_none() && self.fetch.is_none() && self.scanned.ids == ALL_IDS;
        let rows = if whole { held.saturating_sub(deleted) } else { self.fetch.map_or(held, |fetch| fetch.min(held)) };
        let num_rows = if whole { Precision::Exact(rows) } else { Precision::Inexact(rows) };
        let statistics = BlockStatistics { layout: &self.scanned.layout, parts, blocks: &blocks };
        let exact = whole && !self.scanned.has_deletions();
        let columns = self.projection.iter().map(|&column| self.column_statistics(&statistics, column, exact));
        Statistics { num_rows, total_byte_size: Precision::Absent, column_statistics: columns.collect() }
    }

    fn column_statistics(&self, statistics: &BlockStatistics<'_>, column: usize, exact: bool) -> ColumnStatistics {
        let column = &self.scanned.layout.columns[column];
        let unknown = ColumnStatistics::new_unknown();
        let Some(key) = column.bounded_by() else { return unknown };
        if statistics.blocks.is_empty() {
            return unknown;
        }
        // Bounds of floats say nothing of NaN, which is above all.
        let bounded = !column.data_type.is_floating();
        let Some((zones, places)) = statistics.zones(key) else { return unknown };
        let mut nulls = 0;
        let mut all_exact = exact;
        for ((known, block), at) in places.into_iter().zip(statistics.blocks) {
            let known = &zones[known];
            let without = known.nulls.value(block) as usize;
            nulls += without;
            let empty = without == block_len(&*statistics.parts[at.part], block);
            all_exact &= known.exact[block] || empty;
            if bounded && !empty && (known.min.is_null(block) || known.max.is_null(block)) {
                return unknown;
            }
        }
        let null_count = if exact { Precision::Exact(nulls) } else { Precision::Inexact(nulls) };
        if !bounded {
            return ColumnStatistics { null_count, ..unknown };
        }
        let bound = |upper: bool| -> Option<ScalarValue> {
            let bounds = statistics.bounds(column, upper)?;
            let order = SortOptions { descending: upper, nulls_first: false };
            let best = arrow::compute::sort_to_indices(&bounds, Some(order), Some(1)).ok()?;
            let best = ScalarValue::try_from_array(&bounds, *best.values().first()? as usize).ok()?;
            (!best.is_null()).then_some(best)
        };
        let precision = |value: Option<ScalarValue>| match value {
            None => Precision::Absent,
            Some(value) if all_exact => Precision::Exact(value),
            Some(value) => Precision::Inexact(value),
        };
        ColumnStatistics {
            null_count,
            min_value: precision(bound(false)),
            max_value: precision(bound(true)),
            ..unknown
        }
    }
}

/// Spreads blocks over partitions, a few neighbours at a time, so that all of them are busy from the first block on.
fn spread(blocks: &[BlockRef], partitions: usize) -> Vec<Arc<[BlockRef]>> {
    let partitions = partitions.clamp(1, blocks.len().max(1));
    let run = (blocks.len() / (partitions * 4)).clamp(1, MOST_NEIGHBOURS);
    let mut spread = vec![Vec::new(); partitions];
    for (i, run) in blocks.chunks(run).enumerate() {
        spread[i % partitions].extend_from_slice(run);
    }
    spread.into_iter().map(Arc::from).collect()
}

impl DataSource for TableSource {
    fn open(&self, partition: usize, _context: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        let schema = Arc::clone(&self.schema);
        let blocks = Arc::clone(&self.partitions[partition]);
        let projection = self.projection.clone();
        let mut reader =
            Reader::new(Arc::clone(&self.scanned), blocks, projection, Arc::clone(&schema), &self.dynamic)?;
        let mut left = self.fetch.unwrap_or(usize::MAX);
        let rows = stream::poll_fn(move |turn| {
            for _ in 0..BLOCKS_PER_TURN {
                if left == 0 || reader.is_done() {
                    return Poll::Ready(None);
                }
                match reader.next() {
                    Ok(None) => {}
                    Ok(Some(batch)) => {
                        let batch = if batch.num_rows() > left { batch.slice(0, left) } else { batch };
                        left -= batch.num_rows();
                        return Poll::Ready(Some(Ok(batch)));
                    }
                    Err(e) => {
                        left = 0;
                        return Poll::Ready(Some(Err(e)));
                    }
                }
            }
            turn.waker().wake_by_ref();
            Poll::Pending
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks: usize = self.partitions.iter().map(|p| p.len()).sum();
        let of: usize = self.scanned.table.parts.iter().map(|p| p.blocks()).sum();
        write!(f, "table={}, blocks={blocks} of {of}", self.scanned.table.definition.name)?;
        if let Some(filter) = &self.scanned.filter {
            write!(f, ", filter={filter}")?;
        }
        if self.scanned.search.is_some() {
            f.write_str(", index")?;
        }
        for dynamic in &self.dynamic {
            write!(f, ", dynamic={dynamic}")?;
        }
        match self.fetch {
            Some(fetch) => write!(f, ", fetch={fetch}"),
            None => Ok(()),
        }
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.partitions.len())
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new(Arc::clone(&self.schema))
    }

    fn scheduling_type(&self) -> SchedulingType {
        SchedulingType::NonCooperative
    }

    fn partition_statistics(&self, partition: Option<usize>) -> PlanResult<Arc<Statistics>> {
        match partition {
            None => Ok(Arc::clone(self.statistics.get_or_init(|| Arc::new(self.compute_statistics())))),
            Some(at) => {
                let parts = &self.scanned.table.parts;
                let rows = self.partitions[at].iter().map(|at| block_len(&*parts[at.part], at.block)).sum();
                let mut statistics = Statistics::new_unknown(&self.schema);
                statistics.num_rows = Precision::Inexact(rows);
                Ok(Arc::new(statistics))
            }
        }
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        Some(Arc::new(Self { fetch: limit, statistics: Arc::default(), ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn try_swapping_with_projection(&self, _projection: &ProjectionExprs) -> PlanResult<Option<Arc<dyn DataSource>>> {
        Ok(None)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> PlanResult<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        let told = vec![PushedDown::No; filters.len()];
        let dynamic: Vec<_> =
            filters.into_iter().filter(|f| DynamicFilterTracking::classify(f).contains_dynamic_filter()).collect();
        let answer = FilterPushdownPropagation::with_parent_pushdown_result(told);
        // With a limit, a filter that comes later would leave out rows that the limit has counted already.
        if dynamic.is_empty() || self.fetch.is_some() {
            return Ok(answer);
        }
        let mut source = self.clone();
        source.dynamic.extend(dynamic);
        Ok(answer.with_updated_node(Arc::new(source) as Arc<dyn DataSource>))
    }

    /// Reads the blocks with the first rows of the order first: the rows themselves are sorted above, but the bound that
    /// ORDER BY ... LIMIT pushes down then soon leaves out all other blocks.
    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
    ) -> PlanResult<SortOrderPushdownResult<Arc<dyn DataSource>>> {
        let Some(first) = order.first() else { return Ok(SortOrderPushdownResult::Unsupported) };
        let Some(by) = first.expr.downcast_ref::<Column>() else { return Ok(SortOrderPushdownResult::Unsupported) };
        let descending = first.options.descending;
        let column = &self.scanned.layout.columns[self.projection[by.index()]];
        let blocks = self.all_blocks();
        let statistics =
            BlockStatistics { layout: &self.scanned.layout, parts: &self.scanned.table.parts, blocks: &blocks };
        let Some(bounds) = statistics.bounds(column, descending) else {
            return Ok(SortOrderPushdownResult::Unsupported);
        };
        let places = arrow::compute::sort_to_indices(&bounds, Some(first.options), None)?;
        let sorted: Vec<BlockRef> = places.values().iter().map(|&at| blocks[at as usize]).collect();
        let count = self.partitions.len();
        let mut partitions = vec![Vec::new(); count];
        for (i, at) in sorted.into_iter().enumerate() {
            partitions[i % count].push(at);
        }
        let partitions = partitions.into_iter().map(Arc::from).collect();
        let inner = Arc::new(Self { partitions, ..self.clone() }) as Arc<dyn DataSource>;
        Ok(SortOrderPushdownResult::Inexact { inner })
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        for expr in &self.dynamic {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
}

/// How many partitions pay for so many blocks.
pub(crate) fn partitions_for(blocks: usize, fetch: Option<usize>, threads: usize) -> usize {
    // A few rows are soon found; their order is then that of the table.
    let few = fetch.is_some_and(|fetch| fetch <= BLOCK_ROWS);
    if few || blocks <= 2 { 1 } else { threads.min(blocks) }
}
