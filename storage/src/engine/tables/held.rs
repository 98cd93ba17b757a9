//! Which of some row ids are in some part: needed where rows went away without a deletion.

use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::{Result, table::Part};

/// The ids that are in some part.
pub(in crate::engine) fn held(ids: &RoaringTreemap, parts: &[Arc<dyn Part>]) -> Result<RoaringTreemap> {
    let mut found = RoaringTreemap::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let bounds = part.row_id_bounds();
        let mut near = ids.clone();
        near.remove_range(..*bounds.start());
        if let Some(behind) = bounds.end().checked_add(1) {
            near.remove_range(behind..);
        }
        if !near.is_empty() && bounds.end() - bounds.start() + 1 != part.len() as u64 {
            near &= row_ids(&**part)?;
        }
        found |= near;
    }
    Ok(found)
}

/// All row ids of a part.
pub(in crate::engine) fn row_ids(part: &dyn Part) -> Result<RoaringTreemap> {
    let mut all = RoaringTreemap::new();
    for block in 0..part.blocks() {
        let mut ids = part.row_ids(block)?.values().to_vec();
        // Rows are in the order of time; sorted ids go in much faster.
        ids.sort_unstable();
        all.extend(ids);
    }
    Ok(all)
}
