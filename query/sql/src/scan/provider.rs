//! A table as DataFusion's planner sees it.

use std::{
    ops::RangeInclusive,
    sync::{Arc, OnceLock},
};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chronolith_storage::table::{Part, TableSnapshot};
use datafusion::{
    catalog::{Session, TableProvider},
    common::{Constraint, Constraints, DFSchema, project_schema, tree_node::TreeNode},
    datasource::{TableType, source::DataSourceExec},
    error::Result as PlanResult,
    logical_expr::{Expr, TableProviderFilterPushDown, utils::conjunction},
    physical_expr::utils::{collect_columns, reassign_expr_columns},
    physical_plan::ExecutionPlan,
};

use super::{
    find::Search,
    layout::Layout,
    prune::{BlockRef, BlockStatistics, predicate_of, prune},
    read::{ALL_IDS, Scanned},
    source::{TableSource, partitions_for},
};

/// A table at one moment.
#[derive(Debug)]
pub(crate) struct TableScanProvider {
    table: TableSnapshot,
    layout: Arc<Layout>,
    ids: RangeInclusive<u64>,
    /// The primary key, if the table has one.
    key: Option<Constraints>,
}

impl TableScanProvider {
    /// The rows of a snapshot through a layout of it.
    pub(crate) fn new(table: TableSnapshot, layout: Arc<Layout>) -> Self {
        let definition = &table.definition;
        let place = |id| layout.schema.index_of(&definition.column(id)?.name).ok();
        let key: Option<Vec<usize>> = definition.primary_key.iter().map(|id| place(*id)).collect();
        let key = key.filter(|places| !places.is_empty());
        let key = key.map(|places| Constraints::new_unverified(vec![Constraint::PrimaryKey(places)]));
        Self { table, layout, ids: ALL_IDS, key }
    }

    /// The same with rows of these ids only; parts without one are not read.
    pub(crate) fn with_ids(self, ids: RangeInclusive<u64>) -> Self {
        Self { ids, ..self }
    }

    fn scanned(&self, state: &dyn Session, filters: &[Expr]) -> PlanResult<Scanned> {
        let mut scanned = Scanned {
            table: self.table.clone(),
            layout: Arc::clone(&self.layout),
            ids: self.ids.clone(),
            filter: None,
            filter_columns: Vec::new(),
            filter_schema: Arc::new(arrow::datatypes::Schema::empty()),
            search: Search::of(filters, &self.layout, &self.table.definition),
            known: self.table.parts.iter().map(|_| OnceLock::new()).collect(),
        };
        if let Some(all) = conjunction(filters.iter().cloned()) {
            let schema = DFSchema::try_from(Arc::clone(&self.layout.schema))?;
            let expr = state.create_physical_expr(unqualified(all)?, &schema)?;
            let mut columns: Vec<usize> = collect_columns(&expr).iter().map(|c| c.index()).collect();
            columns.sort_unstable();
            scanned.filter_schema = Arc::new(self.layout.schema.project(&columns)?);
            scanned.filter = Some(reassign_expr_columns(expr, &scanned.filter_schema)?);
            scanned.filter_columns = columns;
        }
        Ok(scanned)
    }
}

/// The expression with columns that name no table.
fn unqualified(expr: Expr) -> PlanResult<Expr> {
    let changed = expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) if column.relation.is_some() => datafusion::common::tree_node::Transformed::yes(
                Expr::Column(datafusion::common::Column::new_unqualified(column.name)),
            ),
            other => datafusion::common::tree_node::Transformed::no(other),
        })
    })?;
    Ok(changed.data)
}

#[async_trait]
impl TableProvider for TableScanProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.layout.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// The primary key: who groups by it may name every other column, as ORMs do.
    fn constraints(&self) -> Option<&Constraints> {
        self.key.as_ref()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let scanned = self.scanned(state, filters)?;
        let overlaps = |part: &dyn Part| {
            let bounds = part.row_id_bounds();
            bounds.start() <= self.ids.end() && self.ids.start() <= bounds.end()
        };
        let all: Vec<BlockRef> = (self.table.parts.iter().enumerate())
            .filter(|(_, part)| overlaps(&***part))
            .flat_map(|(part, p)| (0..p.blocks()).map(move |block| BlockRef { part, block }))
            .collect();
        let all = scanned.indexed(all)?;
        let blocks = match &scanned.filter {
            None => all,
            Some(filter) => {
                let statistics = BlockStatistics { layout: &self.layout, parts: &self.table.parts, blocks: &all };
                match predicate_of(Arc::clone(filter), Arc::clone(&scanned.filter_schema)) {
                    Ok(predicate) => prune(&predicate, &statistics),
                    Err(_) => all,
                }
            }
        };
        let schema = project_schema(&self.layout.schema, projection)?;
        let projection = projection.cloned().unwrap_or_else(|| (0..self.layout.columns.len()).collect());
        let partitions = partitions_for(blocks.len(), limit, state.config().target_partitions());
        let source = TableSource::new(Arc::new(scanned), projection, schema, &blocks, partitions, limit);
        Ok(DataSourceExec::from_data_source(source))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        let told = filters.iter().map(|filter| {
            let outside = filter.exists(|expr| {
                Ok(matches!(
                    expr,
                    Expr::ScalarSubquery(_)
                        | Expr::Exists(_)
                        | Expr::InSubquery(_)
                        | Expr::SetComparison(_)
                        | Expr::OuterReferenceColumn(..)
                        | Expr::Placeholder(_)
                ))
            })?;
            let volatile = filter.is_volatile();
            Ok(if outside || volatile {
                TableProviderFilterPushDown::Unsupported
            } else {
                TableProviderFilterPushDown::Exact
            })
        });
        told.collect()
    }
}
