//! Sorts of a few first rows by all that they are sorted by.
//!
//! Below a union DataFusion leaves out of the sort of each part what is constant there. But the first rows of all parts are
//! sought together: what one of them found is a limit to the others, and of rows that are alike in the keys that were left
//! it would let go those that come first by the others.

use std::sync::Arc;

use datafusion::{
    common::{
        Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
    },
};

/// Gives the sorts below a merge all keys of the merge.
#[derive(Debug)]
pub(crate) struct WholeOrder;

impl PhysicalOptimizerRule for WholeOrder {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| Ok(whole(&node).map_or_else(|| Transformed::no(node), Transformed::yes)))
            .map(|sorted| sorted.data)
    }

    fn name(&self) -> &'static str {
        "whole_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A merge over sorts by all its keys, where they had fewer.
fn whole(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let merge = node.downcast_ref::<SortPreservingMergeExec>()?;
    let sort = merge.input().downcast_ref::<SortExec>()?;
    if sort.fetch().is_none() || sort.expr().len() >= merge.expr().len() {
        return None;
    }
    let sort = SortExec::new(merge.expr().clone(), Arc::clone(sort.input()))
        .with_preserve_partitioning(sort.preserve_partitioning())
        .with_fetch(sort.fetch());
    Some(Arc::new(SortPreservingMergeExec::new(merge.expr().clone(), Arc::new(sort)).with_fetch(merge.fetch())))
}
