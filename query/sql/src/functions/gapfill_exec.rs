//! Fills gaps in buckets: sorts the rows by group and bucket, and goes along each group's buckets.

use std::{fmt, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, UInt64Array},
    compute::{SortColumn, cast, concat_batches, lexsort_to_indices, partition, take, take_record_batch},
    datatypes::{DataType, Float64Type, Int64Type, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext, memory_pool::MemoryConsumer},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, InputDistributionRequirements, Partitioning,
        PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, TryStreamExt};

use super::{
    bucket::{Buckets, span},
    gapfill::{Fill, GapFill},
};

/// Rows of a batch of the result.
const BATCH_ROWS: usize = 8192;

/// The buckets to fill.
#[derive(Debug, Clone, Copy)]
struct Range {
    buckets: Buckets,
    /// The first bucket.
    start: i64,
    /// The end, which lies outside.
    finish: i64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct GapFillExec {
    input: Arc<dyn ExecutionPlan>,
    fills: Arc<[Fill]>,
    range: Range,
    properties: Arc<PlanProperties>,
}

impl GapFillExec {
    /// The plan of a node whose bounds have the values `bounds`.
    pub(super) fn new(
        node: &GapFill,
        bounds: [ScalarValue; 3],
        input: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
    ) -> Result<Self> {
        let Some(time) = node.fills.iter().position(|f| *f == Fill::Time) else {
            return plan_err!("GapFill has no column of time");
        };
        let [width, low, high] = bounds;
        let buckets = match (schema.field(time).data_type(), &width) {
            (DataType::Timestamp(unit, _), width) => match span(width)? {
                Some(span) => Buckets::of(span, *unit)?,
                None => return plan_err!("the width of a bucket is null"),
            },
            (_, ScalarValue::Int64(Some(width))) => Buckets::plain(*width)?,
            _ => return plan_err!("the width of a bucket is null"),
        };
        let number = |bound: ScalarValue| match bound.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(Some(number)) => Ok(number),
            _ => plan_err!("a bound of time_bucket_gapfill is null"),
        };
        let low = number(low)?.saturating_add(i64::from(node.after));
        let finish = number(high)?.saturating_add(i64::from(node.through));
        let Some(start) = buckets.start(low) else { return exec_err!("timestamp out of range") };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let range = Range { buckets, start, finish };
        Ok(Self { input, fills: node.fills.clone().into(), range, properties: Arc::new(properties) })
    }
}

impl DisplayAs for GapFillExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GapFillExec: {:?}", self.range)
    }
}

impl ExecutionPlan for GapFillExec {
    fn name(&self) -> &str {
        "GapFillExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => Ok(Arc::new(Self {
                input,
                fills: Arc::clone(&self.fills),
                range: self.range,
                properties: Arc::clone(&self.properties),
            })),
            None => plan_err!("GapFillExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let (schema, fills, range) = (self.schema(), Arc::clone(&self.fills), self.range);
        let out = Arc::clone(&schema);
        let filled = async move {
            let memory = MemoryConsumer::new("GapFillExec").register(context.memory_pool());
            let mut batches = Vec::new();
            let mut input = input;
            while let Some(batch) = input.try_next().await? {
                // Twice: the rows and the rows sorted.
                memory.try_grow(2 * batch.get_array_memory_size())?;
                batches.push(batch);
            }
            let rows = concat_batches(&input.schema(), &batches)?;
            let walk = Walk::new(rows, &fills, range, out)?;
            let chunks = futures::stream::try_unfold((walk, memory), |(mut walk, memory)| async move {
                Ok(walk.next_batch()?.map(|batch| (batch, (walk, memory))))
            });
            Ok::<_, datafusion::common::DataFusionError>(chunks)
        };
        let stream = futures::stream::once(filled).try_flatten().boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// A row of the result: one that was there, or a gap after and before rows of the group.
#[derive(Debug, Clone, Copy)]
struct Entry {
    row: Option<usize>,
    time: Option<i64>,
    before: Option<usize>,
    after: Option<usize>,
    /// Any row of the group.
    of: Option<usize>,
}

/// Goes along the groups, and along the buckets of each.
struct Walk {
    rows: RecordBatch,
    times: Int64Array,
    fills: Vec<Fill>,
    range: Range,
    groups: Vec<std::ops::Range<usize>>,
    /// Which group, the next row in it, and the next bucket.
    group: usize,
    row: usize,
    bucket: Option<i64>,
    schema: SchemaRef,
}

impl Walk {
    fn new(rows: RecordBatch, fills: &[Fill], range: Range, schema: SchemaRef) -> Result<Self> {
        let keys: Vec<&ArrayRef> =
            rows.columns().iter().zip(fills).filter(|(_, f)| **f == Fill::Group).map(|(c, _)| c).collect();
        let time = fills.iter().position(|f| *f == Fill::Time).unwrap_or_default();
        let sort: Vec<SortColumn> = keys
            .iter()
            .map(|&c| SortColumn { values: Arc::clone(c), options: None })
            .chain([SortColumn { values: Arc::clone(rows.column(time)), options: None }])
            .collect();
        let rows = take_record_batch(&rows, &lexsort_to_indices(&sort, None)?)?;
        let keys: Vec<ArrayRef> =
            rows.columns().iter().zip(fills).filter(|(_, f)| **f == Fill::Group).map(|(c, _)| Arc::clone(c)).collect();
        let groups = match (keys.is_empty(), rows.num_rows()) {
            // Without keys there is one group, with rows or without.
            (true, count) => std::iter::once(0..count).collect(),
            (false, 0) => Vec::new(),
            (false, _) => partition(&keys)?.ranges(),
        };
        let times = cast(rows.column(time), &DataType::Int64)?.as_primitive::<Int64Type>().clone();
        let row = groups.first().map_or(0, |g| g.start);
        let bucket = Some(range.start);
        Ok(Self { rows, times, fills: fills.to_vec(), range, groups, group: 0, row, bucket, schema })
    }

    fn next_entry(&mut self) -> Option<Entry> {
        loop {
            let group = self.groups.get(self.group)?.clone();
            let before = self.row.checked_sub(1).filter(|row| group.contains(row));
            let row = Some(self.row).filter(|row| group.contains(row));
            let of = Some(group.start).filter(|row| group.contains(row));
            let time = row.and_then(|row| self.times.is_valid(row).then(|| self.times.value(row)));
            let bucket = self.bucket.filter(|&bucket| bucket < self.range.finish);
            match (row, bucket) {
                // A row whose bucket is null, or comes before the next bucket to fill, or is it.
                (Some(row), bucket) if bucket.is_none_or(|b| time.is_none_or(|t| t <= b)) => {
                    if bucket.is_some() && bucket == time {
                        self.bucket = bucket.and_then(|b| self.range.buckets.next(b));
                    }
                    self.row += 1;
                    return Some(Entry { row: Some(row), time, before, after: None, of });
                }
                (row, Some(bucket)) => {
                    self.bucket = self.range.buckets.next(bucket);
                    return Some(Entry { row: None, time: Some(bucket), before, after: row, of });
                }
                (_, None) => {
                    self.group += 1;
                    self.row = self.groups.get(self.group).map_or(0, |g| g.start);
                    self.bucket = Some(self.range.start);
                }
            }
        }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut entries = Vec::with_capacity(BATCH_ROWS);
        while entries.len() < BATCH_ROWS {
            match self.next_entry() {
                Some(entry) => entries.push(entry),
                None => break,
            }
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let columns = self.rows.columns().iter().zip(&self.fills);
        let columns = columns.map(|(column, fill)| self.column(column, *fill, &entries)).collect::<Result<_>>()?;
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }

    fn column(&self, column: &ArrayRef, fill: Fill, entries: &[Entry]) -> Result<ArrayRef> {
        let pick = |of: &dyn Fn(&Entry) -> Option<usize>| {
            let at: UInt64Array = entries.iter().map(|e| of(e).map(|row| row as u64)).collect();
            Ok(take(column.as_ref(), &at, None)?)
        };
        match fill {
            Fill::Time => {
                let times: Int64Array = entries.iter().map(|e| e.time).collect();
                Ok(cast(&times, column.data_type())?)
            }
            Fill::Group => pick(&|e| e.of),
            Fill::Null => pick(&|e| e.row),
            Fill::Locf { skip_nulls: false } => pick(&|e| e.row.or(e.before)),
            Fill::Locf { skip_nulls: true } => pick(&|e| {
                let start = e.of?;
                (start..=e.row.or(e.before)?).rev().find(|&row| column.is_valid(row))
            }),
            Fill::Interpolate => self.interpolated(column, entries),
        }
    }

    /// The column with gaps on the line between the rows before and after.
    fn interpolated(&self, column: &ArrayRef, entries: &[Entry]) -> Result<ArrayRef> {
        let place = |e: &Entry| {
            let (before, after) = (e.before?, e.after?);
            let known = [before, after].iter().all(|&row| column.is_valid(row) && self.times.is_valid(row));
            known.then(|| {
                (before, after, [e.time.unwrap_or_default(), self.times.value(before), self.times.value(after)])
            })
        };
        if let Some(values) = column.as_primitive_opt::<Float64Type>() {
            let value = |e: &Entry| match e.row {
                Some(row) => values.is_valid(row).then(|| values.value(row)),
                None => place(e).map(|(before, after, [time, from, to])| {
                    let (from_value, to_value) = (values.value(before), values.value(after));
                    let part =
                        (i128::from(time) - i128::from(from)) as f64 / (i128::from(to) - i128::from(from)) as f64;
                    from_value + (to_value - from_value) * part
                }),
            };
            return Ok(Arc::new(entries.iter().map(value).collect::<Float64Array>()));
        }
        let Some(values) = column.as_primitive_opt::<Int64Type>() else {
            return exec_err!("interpolate is of numbers");
        };
        let value = |e: &Entry| match e.row {
            Some(row) => values.is_valid(row).then(|| values.value(row)),
            None => place(e).and_then(|(before, after, times)| {
                let [time, from, to] = times.map(i128::from);
                let (low, high) = (i128::from(values.value(before)), i128::from(values.value(after)));
                let part = (high - low).checked_mul(time - from)?.checked_div(to - from)?;
                i64::try_from(low + part).ok()
            }),
        };
        Ok(Arc::new(entries.iter().map(value).collect::<Int64Array>()))
    }
}
