//! Runs an ASOF JOIN: keeps the right side sorted by key and order, and finds each left row's match by halving.

use std::{cmp::Ordering, collections::HashMap, fmt, ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, UInt32Array, UInt64Array},
    compute::{concat_batches, filter_record_batch, take, take_record_batch},
    datatypes::SchemaRef,
    record_batch::RecordBatch,
    row::{RowConverter, Rows, SortField},
};
use datafusion::{
    common::{Result, exec_err, plan_err, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext, memory_pool::MemoryConsumer},
    logical_expr::Operator,
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, InputDistributionRequirements, Partitioning,
        PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, TryStreamExt};

/// What is compared, of one side: the order, then the keys.
pub(super) type Side = Arc<[Arc<dyn PhysicalExpr>]>;

/// See the module.
#[derive(Debug)]
pub(super) struct AsofJoinExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    left_exprs: Side,
    right_exprs: Side,
    op: Operator,
    outer: bool,
    properties: Arc<PlanProperties>,
}

impl AsofJoinExec {
    /// A join whose result has the schema `schema`: the left side's columns, then the right side's.
    pub(super) fn new(
        [left, right]: [Arc<dyn ExecutionPlan>; 2],
        [left_exprs, right_exprs]: [Side; 2],
        op: Operator,
        outer: bool,
        schema: SchemaRef,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { left, right, left_exprs, right_exprs, op, outer, properties: Arc::new(properties) }
    }
}

impl DisplayAs for AsofJoinExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.outer { "left" } else { "inner" };
        write!(f, "AsofJoinExec: {kind} {} {} {}", self.left_exprs[0], self.op, self.right_exprs[0])
    }
}

impl ExecutionPlan for AsofJoinExec {
    fn name(&self) -> &str {
        "AsofJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition; 2])
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for expr in self.left_exprs.iter().chain(self.right_exprs.iter()) {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok(children) = <[Arc<dyn ExecutionPlan>; 2]>::try_from(children) else {
            return plan_err!("AsofJoinExec has two inputs");
        };
        let exprs = [Arc::clone(&self.left_exprs), Arc::clone(&self.right_exprs)];
        Ok(Arc::new(Self::new(children, exprs, self.op, self.outer, self.schema())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let left = self.left.execute(partition, Arc::clone(&context))?;
        let mut right = self.right.execute(partition, Arc::clone(&context))?;
        let (left_exprs, right_exprs) = (Arc::clone(&self.left_exprs), Arc::clone(&self.right_exprs));
        let (op, outer, schema) = (self.op, self.outer, self.schema());
        let out = Arc::clone(&schema);
        let joined = async move {
            let memory = MemoryConsumer::new("AsofJoinExec").register(context.memory_pool());
            let mut batches = Vec::new();
            while let Some(batch) = right.try_next().await? {
                memory.try_grow(batch.get_array_memory_size())?;
                batches.push(batch);
            }
            let rows = concat_batches(&right.schema(), &batches)?;
            drop(batches);
            let side = Sorted::new(rows, &right_exprs)?;
            memory.try_grow(side.index_bytes())?;
            let probe = move |batch: RecordBatch| {
                // The reservation is held as long as the side is.
                let _ = &memory;
                side.join(&batch, &left_exprs, op, outer, &out)
            };
            Ok::<_, datafusion::common::DataFusionError>(left.map(move |batch| probe(batch?)))
        };
        let stream = futures::stream::once(joined).try_flatten().boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// The right side: its rows sorted by key and order, and where each key's rows are.
struct Sorted {
    rows: RecordBatch,
    orders: Rows,
    order_of: RowConverter,
    keys_of: Option<RowConverter>,
    places: HashMap<Box<[u8]>, Range<usize>>,
}

fn evaluate(exprs: &Side, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    exprs.iter().map(|e| e.evaluate(batch)?.into_array(batch.num_rows())).collect()
}

/// Which rows have no null in what is compared, and so can match.
fn complete(columns: &[ArrayRef], rows: usize) -> BooleanArray {
    (0..rows).map(|row| Some(columns.iter().all(|c| c.is_valid(row)))).collect()
}

fn converter(columns: &[ArrayRef]) -> Result<RowConverter> {
    Ok(RowConverter::new(columns.iter().map(|c| SortField::new(c.data_type().clone())).collect())?)
}

impl Sorted {
    fn new(rows: RecordBatch, exprs: &Side) -> Result<Self> {
        let compared = evaluate(exprs, &rows)?;
        let rows = filter_record_batch(&rows, &complete(&compared, rows.num_rows()))?;
        let compared = evaluate(exprs, &rows)?;
        let Ok(count) = u32::try_from(rows.num_rows()) else {
            return exec_err!("the right side of an ASOF JOIN has more than 4 billion rows");
        };
        let order_of = converter(&compared[..1])?;
        let orders = order_of.convert_columns(&compared[..1])?;
        let keys_of = if compared.len() > 1 { Some(converter(&compared[1..])?) } else { None };
        let keys = keys_of.as_ref().map(|of| of.convert_columns(&compared[1..])).transpose()?;
        let key = |row: u32| keys.as_ref().map(|keys| keys.row(row as usize));
        let mut sorted: Vec<u32> = (0..count).collect();
        // Stable: of rows of one key and order the last one written is the last here too.
        sorted.sort_by(|&a, &b| key(a).cmp(&key(b)).then_with(|| orders.row(a as usize).cmp(&orders.row(b as usize))));
        let mut places = HashMap::new();
        let mut start = 0;
        for run in sorted.chunk_by(|&a, &b| key(a) == key(b)) {
            let name: Box<[u8]> = run.first().and_then(|&row| key(row)).map_or(Box::default(), |k| k.as_ref().into());
            places.insert(name, start..start + run.len());
            start += run.len();
        }
        let sorted = UInt32Array::from(sorted);
        let rows = take_record_batch(&rows, &sorted)?;
        let order = take(&compared[0], &sorted, None)?;
        let orders = order_of.convert_columns(&[order])?;
        Ok(Self { rows, orders, order_of, keys_of, places })
    }

    fn index_bytes(&self) -> usize {
        let keys: usize = self.places.keys().map(|k| k.len() + size_of::<(usize, Range<usize>)>()).sum();
        self.orders.size() + self.rows.get_array_memory_size() + keys
    }

    fn join(
        &self,
        batch: &RecordBatch,
        exprs: &Side,
        op: Operator,
        outer: bool,
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let compared = evaluate(exprs, batch)?;
        let whole = complete(&compared, batch.num_rows());
        let orders = self.order_of.convert_columns(&compared[..1])?;
        let keys = self.keys_of.as_ref().map(|of| of.convert_columns(&compared[1..])).transpose()?;
        let found = |row: usize| {
            if !whole.value(row) {
                return None;
            }
            let place = match &keys {
                Some(keys) => self.places.get(keys.row(row).as_ref()),
                None => self.places.get(&[] as &[u8]),
            }?;
            let order = orders.row(row);
            // How many rows of the key come before the left row, or with it.
            let before = |with: bool| {
                let (mut low, mut high) = (place.start, place.end);
                while low < high {
                    let middle = low + (high - low) / 2;
                    let compared = self.orders.row(middle).as_ref().cmp(order.as_ref());
                    if compared == Ordering::Less || (with && compared == Ordering::Equal) {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                low
            };
            match op {
                Operator::GtEq => before(true).checked_sub(1).filter(|&at| at >= place.start),
                Operator::Gt => before(false).checked_sub(1).filter(|&at| at >= place.start),
                Operator::LtEq => Some(before(false)).filter(|&at| at < place.end),
                _ => Some(before(true)).filter(|&at| at < place.end),
            }
        };
        let matches: UInt64Array = (0..batch.num_rows()).map(|row| found(row).map(|at| at as u64)).collect();
        let (batch, matches) = if outer {
            (batch.clone(), matches)
        } else {
            let kept = BooleanArray::from_iter((0..batch.num_rows()).map(|row| Some(matches.is_valid(row))));
            (filter_record_batch(batch, &kept)?, matches.iter().flatten().collect())
        };
        let right = self.rows.columns().iter().map(|c| Ok(take(c.as_ref(), &matches, None)?));
        let columns = batch.columns().iter().map(|c| Ok(Arc::clone(c))).chain(right).collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(schema),
            columns,
            &arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
        )?)
    }
}
