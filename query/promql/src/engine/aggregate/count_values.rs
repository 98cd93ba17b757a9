//! `count_values`: how many series have each value.

use std::{collections::HashMap, sync::Arc};

use chronolith_storage::{FloatHistogram, Labels, LabelsBuilder};

use crate::engine::{
    budget::Budget,
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
    let mut counts = Counts { label, grouping, steps: grid.count, places: HashMap::new(), out: Vec::new() };
    for s in &series {
        evaluator.budget.check()?;
        // The places of this series' values, by their bits.
        let mut of_value: HashMap<u64, usize> = HashMap::new();
        for (k, v) in s.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
            let place = match of_value.get(&v.to_bits()) {
                Some(place) => *place,
                None => {
                    let place = counts.place(&s.labels, &crate::format::float(*v), &evaluator.budget)?;
                    of_value.insert(v.to_bits(), place);
                    place
                }
            };
            counts.count(place, k);
        }
        let mut last: Option<(&Arc<FloatHistogram>, usize)> = None;
        for (k, h) in &s.histograms {
            let place = match last {
                // Steps that see the same sample share it.
                Some((seen, place)) if Arc::ptr_eq(seen, h) => place,
                _ => counts.place(&s.labels, &h.to_string(), &evaluator.budget)?,
            };
            last = Some((h, place));
            counts.count(place, *k as usize);
        }
    }
    Ok(counts.out)
}

/// The series that come out.
struct Counts<'a> {
    label: &'a str,
    grouping: Grouping<'a>,
    steps: usize,
    places: HashMap<Labels, usize>,
    out: Vec<Series>,
}

impl Counts<'_> {
    /// The place of the series that counts a value of series with these labels.
    fn place(&mut self, labels: &Labels, value: &str, budget: &Budget<'_>) -> Result<usize> {
        let mut labels = LabelsBuilder::from_labels(labels);
        labels.set(self.label, value);
        let labels = self.grouping.labels(&labels.build());
        if let Some(place) = self.places.get(&labels) {
            return Ok(*place);
        }
        budget.hold(1, self.steps * 8)?;
        self.out.push(Series::floats(labels.clone(), vec![ABSENT; self.steps]));
        self.places.insert(labels, self.out.len() - 1);
        Ok(self.out.len() - 1)
    }

    fn count(&mut self, place: usize, step: usize) {
        if let Some(count) = self.out.get_mut(place).and_then(|s| s.values.get_mut(step)) {
            *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
        }
    }
}
