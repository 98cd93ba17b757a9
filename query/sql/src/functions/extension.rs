//! Plans the nodes that DataFusion does not know: filled gaps and ASOF joins.

use std::sync::Arc;

use arrow::{datatypes::Schema, record_batch::RecordBatch};
use async_trait::async_trait;
use datafusion::{
    catalog::Session,
    common::{DFSchema, Result, ScalarValue, plan_err},
    execution::context::QueryPlanner,
    logical_expr::{
        ColumnarValue, LogicalPlan, UserDefinedLogicalNode, physical_planning_context::PhysicalPlanningContext,
    },
    physical_plan::ExecutionPlan,
    physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner},
};

use super::{
    asof::AsofJoin,
    asof_exec::{AsofJoinExec, Side},
    gapfill::GapFill,
    gapfill_exec::GapFillExec,
};

/// DataFusion's planner, with the nodes of this crate.
#[derive(Debug)]
pub(super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Nodes)]);
        planner.create_physical_plan(plan, session).await
    }
}

struct Nodes;

#[async_trait]
impl ExtensionPlanner for Nodes {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical: &[&LogicalPlan],
        physical: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if let Some(node) = node.as_any().downcast_ref::<GapFill>() {
            let [input] = physical else { return plan_err!("GapFill has one input") };
            let none = RecordBatch::new_empty(Arc::new(Schema::empty()));
            let mut bounds = Vec::new();
            for bound in &node.bounds {
                let expr = planner.create_physical_expr(bound, &DFSchema::empty(), session, context)?;
                match expr.evaluate(&none)? {
                    ColumnarValue::Scalar(value) => bounds.push(value),
                    ColumnarValue::Array(_) => return plan_err!("{bound} in time_bucket_gapfill is not constant"),
                }
            }
            let Ok(bounds) = <[ScalarValue; 3]>::try_from(bounds) else { return plan_err!("GapFill has three bounds") };
            let schema = Arc::new(node.schema().as_arrow().clone());
            return Ok(Some(Arc::new(GapFillExec::new(node, bounds, Arc::clone(input), schema)?)));
        }
        if let Some(node) = node.as_any().downcast_ref::<AsofJoin>() {
            let ([left, right], [of_left, of_right]) = (physical, logical) else {
                return plan_err!("AsofJoin has two inputs");
            };
            let side = |at: usize, of: &LogicalPlan| -> Result<Side> {
                let exprs = node.exprs.iter().skip(at).step_by(2);
                exprs.map(|e| planner.create_physical_expr(e, of.schema(), session, context)).collect()
            };
            let sides = [side(0, of_left)?, side(1, of_right)?];
            let schema = Arc::new(node.schema().as_arrow().clone());
            let inputs = [Arc::clone(left), Arc::clone(right)];
            return Ok(Some(Arc::new(AsofJoinExec::new(inputs, sides, node.op, node.outer, schema))));
        }
        Ok(None)
    }
}
