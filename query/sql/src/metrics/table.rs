//! A metric as a table.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chronolith_storage::{
    SampleBuffer, SeriesSource,
    engine::{Engine, Snapshot},
    model::{
        is_stale,
        matcher::{MatchOp, Matcher},
        time::TimeRange,
    },
};
use datafusion::{
    catalog::{Session, TableProvider},
    common::{ScalarValue, Statistics, project_schema, tree_node::TreeNodeRecursion},
    datasource::{
        TableType,
        source::{DataSource, DataSourceExec},
    },
    error::Result as PlanResult,
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown},
    physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr},
    physical_plan::{
        DisplayFormatType, ExecutionPlan, projection::ProjectionExprs, stream::RecordBatchReceiverStreamBuilder,
    },
};

use super::columns::{SampleRows, TIMESTAMP, label_column, schema};
use crate::error::{Result, to_plan};

/// The label with a metric's name.
const NAME: &str = "__name__";
/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;
/// Batches that wait for a reader.
const BATCHES_AHEAD: usize = 2;

/// The names of all metrics.
///
/// # Errors
/// When an index cannot be read.
pub(crate) fn metric_names(engine: &Engine) -> Result<Vec<String>> {
    Ok(engine.snapshot().label_values(NAME, &[], TimeRange::ALL)?)
}

/// The labels of a metric, or `None` when there is no such metric.
fn metric_labels(snapshot: &Snapshot, name: &str) -> Result<Option<Vec<String>>> {
    let matcher = Matcher::new(NAME, MatchOp::Equal, name).map_err(chronolith_storage::StorageError::from)?;
    let mut labels = snapshot.label_names(&[vec![matcher]], TimeRange::ALL)?;
    if labels.is_empty() {
        return Ok(None);
    }
    labels.retain(|label| label != NAME);
    Ok(Some(labels))
}

/// The columns of a metric, or `None` when there is no such metric.
///
/// # Errors
/// When an index cannot be read.
pub(crate) fn metric_schema(engine: &Engine, name: &str) -> Result<Option<SchemaRef>> {
    Ok(metric_labels(&engine.snapshot(), name)?.map(|labels| schema(&labels)))
}

/// A metric at one moment: its labels, `timestamp` and `value`. Stale markers and native histograms are no rows.
pub(crate) struct MetricTable {
    snapshot: Arc<Snapshot>,
    name: String,
    labels: Arc<[String]>,
    schema: SchemaRef,
}

impl fmt::Debug for MetricTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricTable").field("name", &self.name).finish_non_exhaustive()
    }
}

impl MetricTable {
    /// The metric of this name, if there is one.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub(crate) fn find(engine: &Engine, name: &str) -> Result<Option<Self>> {
        let snapshot = Arc::new(engine.snapshot());
        let Some(labels) = metric_labels(&snapshot, name)? else { return Ok(None) };
        Ok(Some(Self { snapshot, name: name.to_owned(), schema: schema(&labels), labels: labels.into() }))
    }

    /// The label whose column this is.
    fn label_of(&self, column: &str) -> Option<&String> {
        self.labels.iter().find(|label| label_column(label) == column)
    }

    /// Takes what a filter says of labels and times.
    fn take(&self, filter: &Expr, matchers: &mut Vec<Matcher>, range: &mut TimeRange) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.take(left, matchers, range);
                self.take(right, matchers, range);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (&**left, &**right) {
                (Expr::Column(column), Expr::Literal(value, _)) => {
                    self.take_one(&column.name, *op, value, matchers, range)
                }
                (Expr::Literal(value, _), Expr::Column(column)) => {
                    if let Some(op) = op.swap() {
                        self.take_one(&column.name, op, value, matchers, range);
                    }
                }
                _ => {}
            },
            Expr::Between(between) if !between.negated => {
                if let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
                    (&*between.expr, &*between.low, &*between.high)
                {
                    self.take_one(&column.name, Operator::GtEq, low, matchers, range);
                    self.take_one(&column.name, Operator::LtEq, high, matchers, range);
                }
            }
            _ => {}
        }
    }

    fn take_one(
        &self,
        column: &str,
        op: Operator,
        value: &ScalarValue,
        matchers: &mut Vec<Matcher>,
        range: &mut TimeRange,
    ) {
        if column == TIMESTAMP {
            // Bounds may be a millisecond too wide: the filter itself is applied to the rows.
            if let Some(millis) = millis(value) {
                match op {
                    Operator::Gt | Operator::GtEq => range.start = range.start.max(millis),
                    Operator::Lt | Operator::LtEq => range.end = range.end.min(millis.saturating_add(1)),
                    Operator::Eq => {
                        range.start = range.start.max(millis);
                        range.end = range.end.min(millis.saturating_add(1));
                    }
                    _ => {}
                }
            }
        } else if op == Operator::Eq
            && let Some(label) = self.label_of(column)
            && let Some(Some(text)) = value.try_as_str()
            && !text.is_empty()
            && let Ok(matcher) = Matcher::new(label, MatchOp::Equal, text)
        {
            matchers.push(matcher);
        }
    }
}

/// A moment in milliseconds, rounded down.
fn millis(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::TimestampSecond(Some(t), _) => t.checked_mul(1_000),
        ScalarValue::TimestampMillisecond(Some(t), _) => Some(*t),
        ScalarValue::TimestampMicrosecond(Some(t), _) => Some(t.div_euclid(1_000)),
        ScalarValue::TimestampNanosecond(Some(t), _) => Some(t.div_euclid(1_000_000)),
        _ => None,
    }
}

#[async_trait]
impl TableProvider for MetricTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let mut matchers = vec![
            Matcher::new(NAME, MatchOp::Equal, &self.name)
                .map_err(|e| to_plan(chronolith_storage::StorageError::from(e)))?,
        ];
        let mut range = TimeRange::ALL;
        for filter in filters {
            self.take(filter, &mut matchers, &mut range);
        }
        let source = MetricSource {
            snapshot: Arc::clone(&self.snapshot),
            name: self.name.clone(),
            labels: Arc::clone(&self.labels),
            matchers: matchers.into(),
            range,
            schema: project_schema(&self.schema, projection)?,
            projection: projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect()),
            partitions: state.config().target_partitions(),
        };
        Ok(DataSourceExec::from_data_source(source))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// The samples of a metric's series.
#[derive(Clone)]
struct MetricSource {
    snapshot: Arc<Snapshot>,
    name: String,
    labels: Arc<[String]>,
    matchers: Arc<[Matcher]>,
    range: TimeRange,
    schema: SchemaRef,
    projection: Vec<usize>,
    partitions: usize,
}

impl fmt::Debug for MetricSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricSource").field("name", &self.name).finish_non_exhaustive()
    }
}

impl MetricSource {
    /// Reads every series that is this partition's turn, and hands their rows on until nobody takes them.
    fn read(&self, partition: usize, mut hand_on: impl FnMut(SampleRowsBatch) -> bool) -> PlanResult<()> {
        let set = self.snapshot.select(&self.matchers, self.range).map_err(to_plan)?;
        let mut rows = SampleRows::new(&self.labels, Arc::clone(&self.schema), self.projection.clone());
        let mut buffer = SampleBuffer::default();
        for series in (partition..set.len()).step_by(self.partitions) {
            buffer.clear();
            set.read(series, self.range, &mut buffer).map_err(to_plan)?;
            let fresh = buffer.timestamps.iter().zip(&buffer.values).filter(|(_, value)| !is_stale(**value));
            let (times, values): (Vec<i64>, Vec<f64>) = fresh.map(|(t, v)| (*t, *v)).unzip();
            for (times, values) in times.chunks(BATCH_ROWS).zip(values.chunks(BATCH_ROWS)) {
                rows.push(set.labels(series), times, values);
                if rows.len() >= BATCH_ROWS && !hand_on(rows.finish()) {
                    return Ok(());
                }
            }
        }
        if rows.len() > 0 {
            hand_on(rows.finish());
        }
        Ok(())
    }
}

type SampleRowsBatch = std::result::Result<arrow::array::RecordBatch, arrow::error::ArrowError>;

impl DataSource for MetricSource {
    fn open(&self, partition: usize, _context: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        let mut builder = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), BATCHES_AHEAD);
        let sender = builder.tx();
        let source = self.clone();
        // Selected series borrow from the snapshot, so they are read where nothing waits: on a thread of their own.
        builder.spawn_blocking(move || {
            source.read(partition, |batch| sender.blocking_send(batch.map_err(Into::into)).is_ok())
        });
        Ok(builder.build())
    }

    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metric={}", self.name)?;
        for matcher in self.matchers.iter().skip(1) {
            write!(f, ", {matcher}")?;
        }
        if self.range != TimeRange::ALL {
            write!(f, ", from={}, to={}", self.range.start, self.range.end)?;
        }
        Ok(())
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.partitions)
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new(Arc::clone(&self.schema))
    }

    fn partition_statistics(&self, _partition: Option<usize>) -> PlanResult<Arc<Statistics>> {
        Ok(Arc::new(Statistics::new_unknown(&self.schema)))
    }

    fn with_fetch(&self, _limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        None
    }

    fn fetch(&self) -> Option<usize> {
        None
    }

    fn try_swapping_with_projection(&self, _projection: &ProjectionExprs) -> PlanResult<Option<Arc<dyn DataSource>>> {
        Ok(None)
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}
