//! `count_values`: how many series have each value.

use std::collections::HashMap;

use chronolith_storage::{Labels, LabelsBuilder};

use crate::engine::{
    error::{QueryError, Result},
    evaluate::Evaluator,
    grid::{ABSENT, Grid, Series, is_absent},
    labels::Grouping,
    plan::Aggregate,
};

/// A series for each value that a group has anywhere.
pub(super) fn evaluate<'q>(evaluator: &Evaluator<'q>, aggregate: &'q Aggregate<'q>, grid: Grid) -> Result<Vec<Series>> {
    let label = match &aggregate.param {
        Some(node) => evaluator.label_name(node, "invalid label name")?,
        None => return Err(QueryError::BadData("count_values needs a label".to_owned())),
    };
    let mut names = aggregate.grouping.clone();
    if !aggregate.without && !names.contains(&label) {
        names.push(label);
        names.sort_unstable();
    }
    let grouping = Grouping { names: &names, without: aggregate.without, nameless: false };
    let series = evaluator.vector(&aggregate.expr, grid)?;
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut out: Vec<Series> = Vec::new();
    for s in &series {
        evaluator.budget.check()?;
        if !s.histograms.is_empty() {
            return Err(QueryError::NativeHistogram("count_values".to_owned()));
        }
        // The places of this series' values, by their bits.
        let mut of_value: HashMap<u64, usize> = HashMap::new();
        for (k, v) in s.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
            let place = match of_value.get(&v.to_bits()) {
                Some(place) => *place,
                None => {
                    let mut labels = LabelsBuilder::from_labels(&s.labels);
                    labels.set(label, &crate::format::float(*v));
                    let labels = grouping.labels(&labels.build());
                    let place = *places.entry(labels).or_insert_with_key(|labels| {
                        out.push(Series::floats(labels.clone(), vec![ABSENT; grid.count]));
                        out.len() - 1
                    });
                    evaluator.budget.hold(1, grid.count * 8)?;
                    of_value.insert(v.to_bits(), place);
                    place
                }
            };
            if let Some(count) = out.get_mut(place).and_then(|s| s.values.get_mut(k)) {
                *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
            }
        }
    }
    Ok(out)
}
