//! What `sum` and `avg` keep of the native histograms of a group: a running value at each step that has any.

use std::{collections::BTreeSet, sync::Arc};

use chronolith_storage::{FloatHistogram, HistogramMathError, Reconciled, ResetHint};

use crate::{
    ast::PosRange,
    engine::{
        annotations::Annotations,
        grid::{ABSENT, HistogramPoints, histogram_weight, is_absent},
        labels::go_quoted,
    },
};

/// What the running value becomes in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Sum,
    Mean,
}

/// The histograms of one group.
#[derive(Debug, Default)]
pub(super) struct HistogramGroup {
    /// Nothing as long as there is no histogram, else one place a step.
    steps: Vec<Option<Step>>,
    /// Whether custom bounds had to be reconciled.
    reconciled: bool,
    /// The series whose histograms did not fit those before them.
    incompatible: BTreeSet<u32>,
}

/// What is known of one step.
#[derive(Debug)]
enum Step {
    Running(Box<Running>),
    /// There is no result: exponential and custom buckets, or a float before the first histogram (`mixed`).
    Refused {
        mixed: bool,
    },
}

/// Histograms added up, as `Avg` of the floats does it: by the sum, or, where that overflows, by moving the mean.
#[derive(Debug)]
struct Running {
    /// The sum, or the mean where it moves.
    value: FloatHistogram,
    compensation: Option<FloatHistogram>,
    count: f64,
    moving: bool,
    reset_seen: bool,
    no_reset_seen: bool,
    /// The series that came first.
    first: u32,
}

impl HistogramGroup {
    pub(super) const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Samples and bytes as they are counted against the budget.
    pub(super) fn weight(&self) -> (usize, usize) {
        let weight = |step: &Option<Step>| match step {
            Some(Step::Running(r)) => histogram_weight(&r.value),
            _ => 0,
        };
        let samples = self.steps.iter().map(weight).sum();
        // The compensation is as large as the value.
        (samples, self.steps.len() * size_of::<Option<Step>>() + samples * 32)
    }

    /// Takes in the histograms of a series. `has_float` tells whether a series before it had a float at a step.
    pub(super) fn add(
        &mut self,
        series: u32,
        histograms: &[(u32, Arc<FloatHistogram>)],
        goal: Goal,
        steps: usize,
        has_float: impl Fn(usize) -> bool,
    ) {
        if self.steps.is_empty() && !histograms.is_empty() {
            self.steps.resize_with(steps, || None);
        }
        for (k, h) in histograms {
            let k = *k as usize;
            let Some(place) = self.steps.get_mut(k) else { continue };
            let Some(step) = place else {
                let running = || Step::Running(Box::new(Running::new(series, h)));
                *place = Some(if has_float(k) { Step::Refused { mixed: true } } else { running() });
                continue;
            };
            let Step::Running(running) = step else { continue };
            match running.add(h, goal) {
                Ok(reconciled) => self.reconciled |= reconciled.custom_bounds_reconciled,
                Err(_) => {
                    self.incompatible.insert(series);
                    *step = Step::Refused { mixed: has_float(k) };
                }
            }
        }
    }

    /// Takes in a group that was made of later series. `has_float` tells of the series before them.
    pub(super) fn merge(&mut self, later: Self, goal: Goal, has_float: impl Fn(usize) -> bool) {
        self.reconciled |= later.reconciled;
        self.incompatible.extend(later.incompatible);
        if self.steps.is_empty() {
            self.steps.resize_with(later.steps.len(), || None);
        }
        for (k, (place, theirs)) in self.steps.iter_mut().zip(later.steps).enumerate() {
            let Some(theirs) = theirs else { continue };
            match place {
                None if has_float(k) => *place = Some(Step::Refused { mixed: true }),
                None => *place = Some(theirs),
                Some(step) => {
                    let Step::Running(running) = step else { continue };
                    match theirs {
                        Step::Refused { mixed } => *step = Step::Refused { mixed: mixed || has_float(k) },
                        Step::Running(theirs) => {
                            let first = theirs.first;
                            match running.merge(*theirs, goal) {
                                Ok(reconciled) => self.reconciled |= reconciled,
                                Err(_) => {
                                    self.incompatible.insert(first);
                                    *step = Step::Refused { mixed: has_float(k) };
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The results beside those of the floats, which lose those of steps that have both. `metric` names a series'.
    pub(super) fn finish(
        self,
        values: &mut [f64],
        goal: Goal,
        pos: PosRange,
        annotations: &mut Annotations,
        metric: impl Fn(u32) -> String,
    ) -> HistogramPoints {
        let mut points = Vec::new();
        let (mut mixed_kinds, mut collision) = (false, false);
        for ((k, float), step) in values.iter_mut().enumerate().zip(self.steps) {
            match step {
                None => {}
                Some(Step::Refused { mixed }) => {
                    mixed_kinds |= mixed;
                    *float = ABSENT;
                }
                Some(Step::Running(_)) if !is_absent(*float) => {
                    mixed_kinds = true;
                    *float = ABSENT;
                }
                Some(Step::Running(running)) => {
                    collision |= running.reset_seen && running.no_reset_seen;
                    points.push((k as u32, Arc::new(running.finish(goal))));
                }
            }
        }
        if self.reconciled {
            annotations.info("mismatched custom buckets were reconciled during aggregation".to_owned(), pos);
        }
        for series in self.incompatible {
            let name = go_quoted(&metric(series));
            let text = "vector contains a mix of histograms with exponential and custom buckets schemas";
            annotations.warn(format!("{text} for metric name {name}"), pos);
        }
        if mixed_kinds {
            annotations.warn("encountered a mix of histograms and floats for aggregation".to_owned(), pos);
        }
        if collision {
            annotations.warn("conflicting counter resets during histogram aggregation".to_owned(), pos);
        }
        points
    }
}

impl Running {
    fn new(first: u32, h: &FloatHistogram) -> Self {
        let mut new = Self {
            value: h.clone(),
            compensation: None,
            count: 1.0,
            moving: false,
            reset_seen: false,
            no_reset_seen: false,
            first,
        };
        new.see(h.reset_hint);
        new
    }

    fn see(&mut self, hint: ResetHint) {
        self.reset_seen |= hint == ResetHint::Reset;
        self.no_reset_seen |= hint == ResetHint::NotReset;
    }

    fn add(&mut self, h: &FloatHistogram, goal: Goal) -> Result<Reconciled, HistogramMathError> {
        self.see(h.reset_hint);
        self.count += 1.0;
        if goal == Goal::Sum {
            return self.value.kahan_add(h, &mut self.compensation);
        }
        if !self.moving {
            if let Some(reconciled) = self.add_within_bounds(h, None)? {
                return Ok(reconciled);
            }
            self.start_moving(self.count - 1.0);
        }
        let mut part = h.clone();
        part.div(self.count);
        self.scale((self.count - 1.0) / self.count);
        self.value.kahan_add(&part, &mut self.compensation)
    }

    /// Adds to the sum, unless that would overflow.
    fn add_within_bounds(
        &mut self,
        h: &FloatHistogram,
        rest: Option<&FloatHistogram>,
    ) -> Result<Option<Reconciled>, HistogramMathError> {
        if is_moderate(&self.value) && is_moderate(h) {
            return add_both(&mut self.value, &mut self.compensation, h, rest).map(Some);
        }
        let (mut value, mut compensation) = (self.value.clone(), self.compensation.clone());
        let reconciled = add_both(&mut value, &mut compensation, h, rest)?;
        if value.has_overflow() {
            return Ok(None);
        }
        (self.value, self.compensation) = (value, compensation);
        Ok(Some(reconciled))
    }

    fn start_moving(&mut self, count: f64) {
        self.moving = true;
        self.value.div(count);
        if let Some(c) = &mut self.compensation {
            c.div(count);
        }
    }

    fn scale(&mut self, factor: f64) {
        self.value.mul(factor);
        if let Some(c) = &mut self.compensation {
            c.mul(factor);
        }
    }

    /// Takes in what was made of later series; tells whether custom bounds were reconciled.
    fn merge(&mut self, mut later: Self, goal: Goal) -> Result<bool, HistogramMathError> {
        self.reset_seen |= later.reset_seen;
        self.no_reset_seen |= later.no_reset_seen;
        let rest = later.compensation.as_ref();
        if goal == Goal::Sum {
            let reconciled = add_both(&mut self.value, &mut self.compensation, &later.value, rest)?;
            return Ok(reconciled.custom_bounds_reconciled);
        }
        let total = self.count + later.count;
        if !self.moving
            && !later.moving
            && let Some(reconciled) = self.add_within_bounds(&later.value, rest)?
        {
            self.count = total;
            return Ok(reconciled.custom_bounds_reconciled);
        }
        if !self.moving {
            self.start_moving(self.count);
        }
        if !later.moving {
            later.start_moving(later.count);
        }
        self.scale(self.count / total);
        later.scale(later.count / total);
        self.count = total;
        let reconciled = add_both(&mut self.value, &mut self.compensation, &later.value, later.compensation.as_ref())?;
        Ok(reconciled.custom_bounds_reconciled)
    }

    fn finish(mut self, goal: Goal) -> FloatHistogram {
        if goal == Goal::Mean && !self.moving {
            self.start_moving(self.count);
        }
        if let Some(c) = &self.compensation {
            // A compensation has the layout of its sum, so this cannot fail.
            let _ = self.value.add(c);
        }
        self.value.compact(0);
        self.value
    }
}

/// Adds a histogram, and what is missing from it.
fn add_both(
    value: &mut FloatHistogram,
    compensation: &mut Option<FloatHistogram>,
    h: &FloatHistogram,
    rest: Option<&FloatHistogram>,
) -> Result<Reconciled, HistogramMathError> {
    let reconciled = value.kahan_add(h, compensation)?;
    if let Some(rest) = rest {
        value.kahan_add(rest, compensation)?;
    }
    Ok(reconciled)
}

/// Whether all numbers are so far from overflow that no sum of two such histograms gets there, even when many of
/// their buckets are joined. Then nothing has to be copied to be able to go back.
fn is_moderate(h: &FloatHistogram) -> bool {
    let counts = h.positive_buckets.iter().chain(&h.negative_buckets);
    ![h.zero_count, h.count, h.sum].iter().chain(counts).chain(&h.custom_values).any(|v| v.abs() > 1e300)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::annotations::Annotations;

    fn histogram(sum: f64, custom_values: &[f64]) -> FloatHistogram {
        FloatHistogram {
            schema: if custom_values.is_empty() { 0 } else { -53 },
            zero_threshold: 0.0,
            zero_count: 0.0,
            count: 1.0,
            sum,
            reset_hint: ResetHint::Unknown,
            positive_spans: Vec::new(),
            negative_spans: Vec::new(),
            positive_buckets: Vec::new(),
            negative_buckets: Vec::new(),
            custom_values: custom_values.to_vec(),
        }
    }

    fn sums(values: &[f64]) -> Vec<Option<FloatHistogram>> {
        values.iter().map(|v| Some(histogram(*v, &[]))).collect()
    }

    /// Folds histograms (`None`: a float) of one step, cut into two groups that are merged.
    fn fold(values: &[Option<FloatHistogram>], cut: usize, goal: Goal) -> (HistogramPoints, Vec<String>) {
        let part = |range: std::ops::Range<usize>| {
            let (mut group, mut float) = (HistogramGroup::default(), false);
            for (i, value) in range.clone().zip(&values[range]) {
                match value {
                    Some(h) => group.add(i as u32, &[(0, Arc::new(h.clone()))], goal, 1, |_| float),
                    None => float = true,
                }
            }
            (group, float)
        };
        let ((mut group, float), (later, later_float)) = (part(0..cut), part(cut..values.len()));
        if !later.is_empty() {
            group.merge(later, goal, |_| float);
        }
        let mut floats = [if float || later_float { 1.0 } else { ABSENT }];
        let mut annotations = Annotations::default();
        let metric = |i: u32| format!("m{i}");
        let points = group.finish(&mut floats, goal, PosRange::default(), &mut annotations, metric);
        assert!(is_absent(floats[0]) || values.iter().all(Option::is_none));
        (points, annotations.iter().map(|a| a.message.clone()).collect())
    }

    fn sum_of(values: &[f64], cut: usize, goal: Goal) -> f64 {
        fold(&sums(values), cut, goal).0[0].1.sum
    }

    #[test]
    fn sums_and_means_are_compensated_however_they_are_cut() {
        for cut in 0..=4 {
            assert_eq!(sum_of(&[1.0, 2.0, 4.0, 5.0], cut, Goal::Sum), 12.0);
            assert_eq!(sum_of(&[1.0, 2.0, 4.0, 5.0], cut, Goal::Mean), 3.0);
            assert_eq!(sum_of(&[1e100, 1.0, 3.0, -1e100], cut, Goal::Sum), 4.0);
            assert_eq!(sum_of(&[1e100, 1.0, 3.0, -1e100], cut, Goal::Mean), 1.0);
            assert_eq!(sum_of(&[1.5e308; 4], cut, Goal::Mean), 1.5e308);
            assert_eq!(sum_of(&[1.5e308; 4], cut, Goal::Sum), f64::INFINITY);
        }
    }

    #[test]
    fn what_cannot_be_added_is_refused_however_it_is_cut() {
        let (plain, custom) = (Some(histogram(1.0, &[])), Some(histogram(1.0, &[1.0, 2.0])));
        let other = Some(histogram(1.0, &[2.0, 3.0]));
        for cut in 0..=3 {
            let (points, texts) = fold(&[plain.clone(), plain.clone(), custom.clone()], cut, Goal::Sum);
            assert!(points.is_empty());
            assert_eq!(
                texts,
                [
                    "vector contains a mix of histograms with exponential and custom buckets schemas for metric name \"m2\""
                ]
            );
            let (points, texts) = fold(&[plain.clone(), None, plain.clone()], cut, Goal::Mean);
            assert!(points.is_empty());
            assert_eq!(texts, ["encountered a mix of histograms and floats for aggregation"]);
            let (points, texts) = fold(&[custom.clone(), other.clone(), custom.clone()], cut, Goal::Sum);
            assert_eq!((points[0].1.sum, points[0].1.custom_values.as_slice()), (3.0, &[2.0][..]));
            assert_eq!(texts, ["mismatched custom buckets were reconciled during aggregation"]);
            assert!(fold(&[None, None, None], cut, Goal::Sum).1.is_empty());
        }
    }

    #[test]
    fn resets_that_contradict_each_other_are_remarked_on() {
        let with = |hint| Some(FloatHistogram { reset_hint: hint, ..histogram(1.0, &[]) });
        for cut in 0..=2 {
            let (points, texts) = fold(&[with(ResetHint::Reset), with(ResetHint::NotReset)], cut, Goal::Mean);
            assert_eq!(points[0].1.reset_hint, ResetHint::Unknown);
            assert_eq!(texts, ["conflicting counter resets during histogram aggregation"]);
            assert!(fold(&[with(ResetHint::Reset), with(ResetHint::Reset)], cut, Goal::Mean).1.is_empty());
        }
    }
}
