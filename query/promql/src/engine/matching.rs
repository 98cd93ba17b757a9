//! Operators between two vectors: series are matched by their signatures once, then columns are computed whole.

use std::{collections::HashMap, sync::Arc};

use chronolith_storage::{Labels, model::labels::METRIC_NAME};

use super::{
    error::{QueryError, Result},
    evaluate::Evaluator,
    functions::math::{changes_metric, is_comparison, operate},
    grid::{ABSENT, Grid, HistogramPoints, Series, is_absent},
    histogram_binary::{self, Operand, Outcome, Remark, StepRemarks, ValueKind},
    labels::{Grouping, Numbering, drop_metadata, go_string},
    plan::Binary,
    sets::{self, Presence},
};
use crate::ast::{BinaryOp, MatchCardinality, PosRange, VectorMatching};

/// Two vectors and the number of each series' signature: series with equal numbers match.
pub(super) struct Sides {
    pub(super) left: Vec<Series>,
    pub(super) right: Vec<Series>,
    pub(super) left_signatures: Vec<u32>,
    pub(super) right_signatures: Vec<u32>,
    /// How many signatures there are.
    pub(super) signatures: usize,
}

fn sign(left: Vec<Series>, right: Vec<Series>, matching: &VectorMatching) -> Sides {
    let mut names: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
    names.sort_unstable();
    let grouping = Grouping { names: &names, without: !matching.on, nameless: false };
    let mut numbering = Numbering::default();
    let mut key = Vec::new();
    let mut sign_all = |series: &[Series]| -> Vec<u32> {
        let numbers = series.iter().map(|s| {
            grouping.key(&s.labels, &mut key);
            numbering.number(&key).0
        });
        numbers.collect()
    };
    let (left_signatures, right_signatures) = (sign_all(&left), sign_all(&right));
    Sides { left, right, left_signatures, right_signatures, signatures: numbering.len() }
}

impl<'q> Evaluator<'q> {
    /// An operator between two vectors.
    pub(super) fn vector_binary(&self, b: &'q Binary<'q>, pos: PosRange, grid: Grid) -> Result<Vec<Series>> {
        let default = VectorMatching {
            card: MatchCardinality::OneToOne,
            labels: Vec::new(),
            on: false,
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        let matching = b.matching.unwrap_or(&default);
        let left = self.vector(&b.lhs, grid)?;
        let right = self.vector(&b.rhs, grid)?;
        let sides = sign(left, right, matching);
        if matches!(b.op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) {
            return self.unite(sets::join(b.op, sides, grid), grid);
        }
        let mut join = Join {
            evaluator: self,
            op: b.op,
            return_bool: b.return_bool,
            matching,
            swapped: matching.card == MatchCardinality::OneToMany,
            seen: Matched::new(sides.signatures, grid.count),
            failure: None,
            remarks: StepRemarks::default(),
        };
        let mut series = join.run(sides, grid)?;
        if let Some(failure) = join.failure {
            // Equal results at an earlier step are the error of that step.
            cut(&mut series, failure.step);
            self.unite(series, grid)?;
            return Err(failure.error);
        }
        join.remarks.finish(b.op, pos, &self.budget);
        self.unite(series, grid)
    }
}

/// An operator that computes. One side is the "many" side: the left, or with `group_right` the right one.
struct Join<'a, 'q> {
    evaluator: &'a Evaluator<'q>,
    op: BinaryOp,
    return_bool: bool,
    matching: &'a VectorMatching,
    /// Whether the many side is the right one.
    swapped: bool,
    seen: Matched,
    /// The error of the earliest step so far. Only steps before it are still of interest.
    failure: Option<Failure>,
    remarks: StepRemarks,
}

/// Why the series of a step cannot be matched.
struct Failure {
    step: usize,
    error: QueryError,
}

/// Leaves the steps before this one.
fn cut(series: &mut [Series], step: usize) {
    for s in series {
        s.values.truncate(step);
        s.histograms.retain(|(k, _)| (*k as usize) < step);
    }
}

/// The series of the "one" side that have one signature.
type Ones<'a> = Vec<&'a Series>;

impl Join<'_, '_> {
    /// The results, which with a failure are right before its step.
    fn run(&mut self, sides: Sides, mut grid: Grid) -> Result<Vec<Series>> {
        let Sides { left, right, left_signatures, right_signatures, signatures } = sides;
        let (mut many, mut ones, many_signatures, one_signatures) = if self.swapped {
            (right, left, right_signatures, left_signatures)
        } else {
            (left, right, left_signatures, right_signatures)
        };
        if let Some(failure) = self.duplicates(&many, &ones, &one_signatures, signatures, grid)? {
            grid.count = failure.step;
            cut(&mut many, failure.step);
            cut(&mut ones, failure.step);
            self.fail(failure.step, failure.error);
        }
        let mut by_signature: Vec<Ones<'_>> = vec![Vec::new(); signatures];
        for (s, signature) in ones.iter().zip(&one_signatures) {
            if let Some(list) = by_signature.get_mut(*signature as usize)
                // Those that came with a failure would be many.
                && (self.failure.is_none() || !s.is_empty())
            {
                list.push(s);
            }
        }
        // As in Prometheus `fill_right` fills the one side, even where `group_right` makes that the left one.
        let fill_one = self.matching.fill_right.map(|v| (v, Presence::of(&ones, &one_signatures, signatures, grid)));
        let mut out = Vec::new();
        for (m, signature) in many.iter().zip(many_signatures) {
            self.evaluator.budget.check()?;
            for one in by_signature.get(signature as usize).into_iter().flatten() {
                self.pair(m, one, signature, &mut out)?;
            }
            if let Some((value, presence)) = &fill_one
                && let Some(filled) = self.filled(m, *value, |k| !presence.has(signature, k))
            {
                self.pair(m, &filled, signature, &mut out)?;
            }
        }
        if let Some(value) = self.matching.fill_left {
            for (one, signature) in ones.iter().zip(one_signatures) {
                self.evaluator.budget.check()?;
                if let Some(filled) = self.filled(one, value, |k| !self.seen.has(signature, k)) {
                    self.pair(&filled, one, signature, &mut out)?;
                }
            }
        }
        Ok(out)
    }

    /// The series that stands for the missing partner of another, at the steps where that is `missing`.
    fn filled(&self, partner: &Series, value: f64, missing: impl Fn(usize) -> bool) -> Option<Series> {
        let mut any = false;
        let column = (0..partner.values.len()).map(|k| {
            let fill = partner.has(k) && missing(k);
            any |= fill;
            if fill { value } else { ABSENT }
        });
        let values = column.collect();
        any.then(|| Series::floats(self.match_labels(&partner.labels), values))
    }

    /// The first step at which two series of the "one" side have one signature, if anything is to be matched there. Of
    /// the series at that step the first one too many counts.
    fn duplicates(
        &self,
        many: &[Series],
        ones: &[Series],
        one_signatures: &[u32],
        signatures: usize,
        grid: Grid,
    ) -> Result<Option<Failure>> {
        let mut series_of = vec![0_u32; signatures];
        one_signatures.iter().for_each(|s| series_of.get_mut(*s as usize).into_iter().for_each(|count| *count += 1));
        let shared = |signature: u32| series_of.get(signature as usize).is_some_and(|count| *count > 1);
        let rivals: Vec<(&Series, u32)> =
            ones.iter().zip(one_signatures.iter().copied()).filter(|(_, signature)| shared(*signature)).collect();
        if rivals.is_empty() {
            return Ok(None);
        }
        let fills = self.matching.fill_left.is_some() || self.matching.fill_right.is_some();
        let mut first: HashMap<u32, &Series> = HashMap::with_capacity(rivals.len());
        for k in 0..grid.count {
            self.evaluator.budget.check()?;
            first.clear();
            for (one, signature) in rivals.iter().filter(|(one, _)| one.has(k)) {
                let Some(other) = first.insert(*signature, one) else { continue };
                if fills || many.iter().any(|s| s.has(k)) {
                    return Ok(Some(Failure { step: k, error: self.duplicate_error(&other.labels, &one.labels) }));
                }
            }
        }
        Ok(None)
    }

    /// Notes an error. The step is one of those that are still of interest, so no earlier one has an error yet.
    fn fail(&mut self, step: usize, error: QueryError) {
        self.seen.steps = step;
        self.failure = Some(Failure { step, error });
    }

    fn duplicate_error(&self, first: &Labels, second: &Labels) -> QueryError {
        let side = if self.swapped { "left" } else { "right" };
        let group = go_string(&self.match_labels(second));
        let (mut a, mut b) = (go_string(first), go_string(second));
        if a > b {
            std::mem::swap(&mut a, &mut b);
        }
        QueryError::Execution(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{a}, {b}]\
             ;many-to-many matching not allowed: matching labels must be unique on one side"
        ))
    }

    /// The labels by which series are matched.
    fn match_labels(&self, labels: &Labels) -> Labels {
        let listed = |n: &str| self.matching.labels.iter().any(|l| l == n);
        Labels::from_sorted(
            labels.iter().filter(|(n, _)| if self.matching.on { listed(n) } else { *n != METRIC_NAME && !listed(n) }),
        )
    }

    /// The labels of a result: those of the many side, changed as the operator and the matching say.
    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let drop = changes_metric(self.op) || (self.return_bool && !self.evaluator.options.delayed_name_removal);
        let mut labels = if drop { drop_metadata(many) } else { many.clone() };
        if self.matching.card == MatchCardinality::OneToOne {
            let on = self.matching.on;
            if on || !self.matching.labels.is_empty() {
                let listed = |n: &str| self.matching.labels.iter().any(|l| l == n);
                labels = Labels::from_sorted(labels.iter().filter(|(n, _)| listed(n) == on));
            }
        }
        if !self.matching.include.is_empty() {
            let mut builder = chronolith_storage::LabelsBuilder::from_labels(&labels);
            for name in &self.matching.include {
                // An empty value removes the label.
                builder.set(name, one.get(name).unwrap_or_default());
            }
            labels = builder.build();
        }
        labels
    }

    /// Adds the result of two series, unless they never meet or nothing is kept.
    fn pair(&mut self, many: &Series, one: &Series, signature: u32, out: &mut Vec<Series>) -> Result<()> {
        if self.seen.steps == 0 {
            // The first step has an error already.
            return Ok(());
        }
        let mut values = vec![ABSENT; many.values.len()];
        let mut any = self.pair_floats(&many.values, &one.values, &mut values);
        // The steps at which both have a value, but the operator no result.
        let mut refused: Vec<u32> = Vec::new();
        if any && matches!(self.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
            let both = many.values.iter().zip(&one.values).map(|(m, o)| !is_absent(*m) && !is_absent(*o));
            refused.extend(both.enumerate().filter(|(_, both)| *both).map(|(k, _)| k as u32));
            refused.iter().for_each(|k| self.remarks.note(*k, Remark::Kinds(ValueKind::Float, ValueKind::Float)));
        }
        let mut histograms = Vec::new();
        if !(many.histograms.is_empty() && one.histograms.is_empty()) {
            any |= self.pair_histograms(many, one, (&mut values, &mut histograms), &mut refused)?;
        }
        if !any {
            return Ok(());
        }
        let labels = self.result_labels(&many.labels, &one.labels);
        refused.sort_unstable();
        let met = |k: usize| many.has(k) && one.has(k) && refused.binary_search(&(k as u32)).is_err();
        let (again, why) = if self.matching.card == MatchCardinality::OneToOne {
            let why = "many-to-one matching must be explicit (group_left/group_right)";
            (self.seen.one_to_one(signature, met), why)
        } else {
            let of_signature = self.matching.fill_left.is_some();
            (self.seen.grouped(signature, &labels, of_signature, met), "grouping labels must ensure unique matches")
        };
        if let Err(step) = again {
            self.fail(step, QueryError::Execution(format!("multiple matches for labels: {why}")));
        }
        let series = Series { labels, drop_name: self.return_bool, values, histograms };
        if !series.is_empty() {
            // Beside the columns a flag for each step tells whether the result was there.
            self.evaluator.budget.hold(0, series.bytes() + series.values.len())?;
            out.push(series);
        }
        Ok(())
    }

    /// The results at the steps where both are floats; returns whether there is any such step.
    fn pair_floats(&self, many: &[f64], one: &[f64], results: &mut [f64]) -> bool {
        let mut any = false;
        for ((out, m), o) in results.iter_mut().zip(many).zip(one) {
            if is_absent(*m) || is_absent(*o) {
                continue;
            }
            any = true;
            let result = if self.swapped { operate(self.op, *o, *m) } else { operate(self.op, *m, *o) };
            *out = if self.return_bool && is_comparison(self.op) {
                f64::from(u8::from(!is_absent(result)))
            } else {
                result
            };
        }
        any
    }

    /// The results at the steps where one of the sides is a histogram; returns whether there is any such step.
    fn pair_histograms(
        &mut self,
        many: &Series,
        one: &Series,
        (values, histograms): (&mut [f64], &mut HistogramPoints),
        refused: &mut Vec<u32>,
    ) -> Result<bool> {
        let mut steps: Vec<u32> = many.histograms.iter().chain(&one.histograms).map(|(k, _)| *k).collect();
        steps.sort_unstable();
        steps.dedup();
        let mut any = false;
        for k in steps {
            if k.is_multiple_of(256) {
                self.evaluator.budget.check()?;
            }
            let (Some(m), Some(o)) = (operand(many, k), operand(one, k)) else { continue };
            any = true;
            let (left, right) = if self.swapped { (o, m) } else { (m, o) };
            let (outcome, remark) = match histogram_binary::operate(self.op, left, right) {
                Ok(outcome) => outcome,
                Err(why) => {
                    self.remarks.note(k, why);
                    refused.push(k);
                    continue;
                }
            };
            if let Some(remark) = remark {
                self.remarks.note(k, remark);
            }
            match (outcome, left) {
                (Outcome::New(h), _) => histograms.push((k, h)),
                (Outcome::Holds(holds), _) if self.return_bool => {
                    if let Some(v) = values.get_mut(k as usize) {
                        *v = f64::from(u8::from(holds));
                    }
                }
                (Outcome::Holds(true), Operand::Histogram(h)) => histograms.push((k, Arc::clone(h))),
                (Outcome::Holds(_), _) => {}
            }
        }
        Ok(any)
    }
}

/// The value of a series at a step.
fn operand(series: &Series, step: u32) -> Option<Operand<'_>> {
    let float = series.values.get(step as usize).copied().filter(|v| !is_absent(*v));
    float.map(Operand::Float).or_else(|| series.histogram(step as usize).map(Operand::Histogram))
}

/// Which results there were at which steps, to find those that there may be only once, and those that are missing.
struct Matched {
    /// How many steps are of interest.
    steps: usize,
    /// The flags of each signature that has a result.
    by_signature: Vec<Vec<bool>>,
    /// When results may be many, the flags of each result's labels.
    by_labels: HashMap<(u32, Labels), Vec<bool>>,
}

impl Matched {
    fn new(signatures: usize, steps: usize) -> Self {
        Self { steps, by_signature: vec![Vec::new(); signatures], by_labels: HashMap::new() }
    }

    /// `Err` is the first step that has a result already, as below.
    fn one_to_one(&mut self, signature: u32, met: impl Fn(usize) -> bool) -> Result<(), usize> {
        self.by_signature.get_mut(signature as usize).map_or(Ok(()), |flags| mark(flags, self.steps, met))
    }

    /// With `of_signature` the signature is marked too, as often as it has results.
    fn grouped(
        &mut self,
        signature: u32,
        labels: &Labels,
        of_signature: bool,
        met: impl Fn(usize) -> bool,
    ) -> Result<(), usize> {
        if of_signature && let Some(flags) = self.by_signature.get_mut(signature as usize) {
            flags.resize(self.steps, false);
            flags.iter_mut().enumerate().for_each(|(k, flag)| *flag |= met(k));
        }
        let flags = self.by_labels.entry((signature, labels.clone())).or_default();
        mark(flags, self.steps, met)
    }

    /// Whether a signature has a result at a step.
    fn has(&self, signature: u32, k: usize) -> bool {
        self.by_signature.get(signature as usize).and_then(|flags| flags.get(k)).copied().unwrap_or(false)
    }
}

/// Sets the flag of each step that `met` holds for, up to the first one that is set already.
fn mark(flags: &mut Vec<bool>, steps: usize, met: impl Fn(usize) -> bool) -> Result<(), usize> {
    let fresh = flags.is_empty();
    flags.resize(steps, false);
    for (k, flag) in flags.iter_mut().enumerate() {
        if met(k) {
            if !fresh && *flag {
                return Err(k);
            }
            *flag = true;
        }
    }
    Ok(())
}
