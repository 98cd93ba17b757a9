//! Joins that give way: what makes many batches of one lets the threads see the clock and cancels between them.
//!
//! DataFusion's own rule makes the leaves of a plan give way. A cross join makes a batch of each row of its right side, so a
//! million of them may come between two reads of a leaf, and with every thread inside one no timeout would ever fire.

use std::sync::Arc;

use datafusion::{
    common::{
        Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{ExecutionPlan, coop::CooperativeExec},
};

/// Puts a node that gives way above every join and every unnest.
#[derive(Debug)]
pub(crate) struct GiveWay;

impl PhysicalOptimizerRule for GiveWay {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let wrapped = plan.transform_up(|node| {
            if node.name().ends_with("JoinExec") || node.name() == "UnnestExec" {
                return Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>));
            }
            Ok(Transformed::no(node))
        });
        Ok(wrapped?.data)
    }

    fn name(&self) -> &'static str {
        "give_way"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
