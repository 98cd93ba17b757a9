//! Operators between two vectors: series are matched by their signatures once, then columns are computed whole.

use std::collections::HashMap;

use chronolith_storage::{Labels, model::labels::METRIC_NAME};

use super::{
    error::{QueryError, Result},
    evaluate::Evaluator,
    functions::math::{changes_metric, is_comparison, operate, operator_text},
    grid::{ABSENT, Grid, Series, is_absent},
    labels::{Grouping, Numbering, drop_metadata, go_string, merge_same_labels},
    plan::Binary,
    sets,
};
use crate::ast::{BinaryOp, MatchCardinality, VectorMatching};

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
    pub(super) fn vector_binary(&self, b: &'q Binary<'q>, grid: Grid) -> Result<Vec<Series>> {
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
            return merge_same_labels(sets::join(b.op, sides, grid));
        }
        if sides.left.iter().chain(&sides.right).any(|s| !s.histograms.is_empty()) {
            return Err(QueryError::NativeHistogram(operator_text(b.op).to_owned()));
        }
        let join = Join {
            evaluator: self,
            op: b.op,
            return_bool: b.return_bool,
            matching,
            swapped: matching.card == MatchCardinality::OneToMany,
        };
        merge_same_labels(join.run(sides, grid)?)
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
}

/// The series of the "one" side that have one signature.
type Ones<'a> = Vec<&'a Series>;

impl Join<'_, '_> {
    fn run(&self, sides: Sides, grid: Grid) -> Result<Vec<Series>> {
        let Sides { left, right, left_signatures, right_signatures, signatures } = sides;
        let (many, ones, many_signatures, one_signatures) = if self.swapped {
            (&right, &left, right_signatures, left_signatures)
        } else {
            (&left, &right, left_signatures, right_signatures)
        };
        let mut by_signature: Vec<Ones<'_>> = vec![Vec::new(); signatures];
        for (s, signature) in ones.iter().zip(one_signatures) {
            if let Some(list) = by_signature.get_mut(signature as usize) {
                list.push(s);
            }
        }
        for list in &by_signature {
            self.refuse_duplicates(list, many, grid)?;
        }
        let mut seen = Matched::new(signatures, grid.count);
        let mut out = Vec::new();
        for (m, signature) in many.iter().zip(many_signatures) {
            self.evaluator.budget.check()?;
            for one in by_signature.get(signature as usize).into_iter().flatten() {
                let labels = self.result_labels(&m.labels, &one.labels);
                if let Some(series) = self.pair(m, one, labels, signature, &mut seen)? {
                    self.evaluator.budget.hold(0, series.bytes())?;
                    out.push(series);
                }
            }
        }
        Ok(out)
    }

    /// Fails where two series of the "one" side stand at the same step, if the many side has anything there.
    fn refuse_duplicates(&self, ones: &Ones<'_>, many: &[Series], grid: Grid) -> Result<()> {
        if ones.len() < 2 {
            return Ok(());
        }
        for k in 0..grid.count {
            let mut there = ones.iter().filter(|s| s.has(k));
            let (Some(first), Some(second)) = (there.next(), there.next()) else { continue };
            if !many.iter().any(|s| s.has(k)) {
                continue;
            }
            let side = if self.swapped { "left" } else { "right" };
            let group = go_string(&self.match_labels(&second.labels));
            let (mut a, mut b) = (go_string(&first.labels), go_string(&second.labels));
            if a > b {
                std::mem::swap(&mut a, &mut b);
            }
            return Err(QueryError::Execution(format!(
                "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{a}, {b}]\
                 ;many-to-many matching not allowed: matching labels must be unique on one side"
            )));
        }
        Ok(())
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

    /// The result of two series, or `None` when they never meet or nothing is kept.
    fn pair(
        &self,
        many: &Series,
        one: &Series,
        labels: Labels,
        signature: u32,
        seen: &mut Matched,
    ) -> Result<Option<Series>> {
        let mut values = vec![ABSENT; many.values.len()];
        let mut any = false;
        for ((out, m), o) in values.iter_mut().zip(&many.values).zip(&one.values) {
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
        if !any {
            return Ok(None);
        }
        if matches!(self.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
            return Ok(None);
        }
        let met = |k: usize| many.has(k) && one.has(k);
        if self.matching.card == MatchCardinality::OneToOne {
            seen.one_to_one(signature, met)?;
        } else {
            seen.grouped(signature, &labels, met)?;
        }
        let series = Series { drop_name: self.return_bool, ..Series::floats(labels, values) };
        Ok((!series.is_empty()).then_some(series))
    }
}

/// Which results there were at which steps, to find those that there may be only once. What stands alone in its
/// signature needs no flags.
struct Matched {
    steps: usize,
    /// The flags of each signature that has a result, and, when results may be many, of each result's labels.
    by_signature: Vec<Vec<bool>>,
    by_labels: HashMap<(u32, Labels), Vec<bool>>,
}

impl Matched {
    fn new(signatures: usize, steps: usize) -> Self {
        Self { steps, by_signature: vec![Vec::new(); signatures], by_labels: HashMap::new() }
    }

    fn one_to_one(&mut self, signature: u32, met: impl Fn(usize) -> bool) -> Result<()> {
        let Some(flags) = self.by_signature.get_mut(signature as usize) else { return Ok(()) };
        mark(flags, self.steps, met).map_err(|()| {
            QueryError::Execution(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                    .to_owned(),
            )
        })
    }

    fn grouped(&mut self, signature: u32, labels: &Labels, met: impl Fn(usize) -> bool) -> Result<()> {
        let flags = self.by_labels.entry((signature, labels.clone())).or_default();
        mark(flags, self.steps, met).map_err(|()| {
            QueryError::Execution("multiple matches for labels: grouping labels must ensure unique matches".to_owned())
        })
    }
}

/// Sets the flag of each step that `met` holds for; fails when one is set already.
fn mark(flags: &mut Vec<bool>, steps: usize, met: impl Fn(usize) -> bool) -> Result<(), ()> {
    let fresh = flags.is_empty();
    flags.resize(steps, false);
    for (k, flag) in flags.iter_mut().enumerate() {
        if met(k) {
            if !fresh && *flag {
                return Err(());
            }
            *flag = true;
        }
    }
    Ok(())
}
