//! Operators between a vector and a scalar, and the unary minus: stages that change each column in place.

use std::sync::Arc;

use chronolith_storage::FloatHistogram;

use super::{
    budget::Budget,
    error::Result,
    evaluate::Evaluator,
    functions::math::{changes_metric, is_comparison, map, operate},
    grid::{ABSENT, Grid, HistogramPoints, count_present, is_absent},
    histogram_binary::{self, Operand, Outcome, Remark, StepRemarks, ValueKind},
    plan::{Binary, Node},
    stream::{Stage, Stream},
};
use crate::ast::{BinaryOp, PosRange, ValueType};

impl<'q> Evaluator<'q> {
    /// `-vector`
    pub(super) fn negate(&self, vector: &'q Node<'q>, grid: Grid) -> Result<Stream<'q>> {
        let change = |column: &mut [f64], histograms: &mut HistogramPoints, budget: &Budget<'_>| {
            map(column, |v| -v);
            change_each(
                histograms,
                budget,
                |_| 0,
                |_, h| {
                    let mut new = FloatHistogram::clone(h);
                    new.mul(-1.0);
                    Some(Arc::new(new))
                },
            )
        };
        Ok(self.stream(vector, grid)?.then(true, Stage::Both(Box::new(change))))
    }

    /// An operator of which one side is a scalar.
    pub(super) fn scalar_binary(&self, b: &'q Binary<'q>, pos: PosRange, grid: Grid) -> Result<Stream<'q>> {
        let vector_left = b.lhs.returns == ValueType::Vector;
        // As Prometheus does, the left side is evaluated first.
        let (stream, numbers);
        if vector_left {
            stream = self.stream(&b.lhs, grid)?;
            numbers = self.scalar(&b.rhs, grid)?;
        } else {
            numbers = self.scalar(&b.lhs, grid)?;
            if matches!(b.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
                return self.trimmed_scalar(b, pos, grid);
            }
            stream = self.stream(&b.rhs, grid)?;
        }
        let with = WithScalar { op: b.op, return_bool: b.return_bool, vector_left, numbers, pos };
        let drop_name = changes_metric(b.op) || b.return_bool;
        let change = move |column: &mut [f64], histograms: &mut HistogramPoints, budget: &Budget<'_>| {
            with.change(column, histograms, budget)
        };
        Ok(stream.then(drop_name, Stage::Both(Box::new(change))))
    }

    /// `scalar >/ vector`, which has no result. Of all such operators it alone has a remark on each kind of value, so the
    /// last one of each step must be found.
    fn trimmed_scalar(&self, b: &'q Binary<'q>, pos: PosRange, grid: Grid) -> Result<Stream<'q>> {
        let mark = self.budget.mark();
        let mut remarks = StepRemarks::default();
        for s in self.vector(&b.rhs, grid)? {
            self.budget.check()?;
            for (k, _) in s.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
                check_at(k as u32, &self.budget)?;
                remarks.note(k as u32, Remark::Kinds(ValueKind::Float, ValueKind::Float));
            }
            for (k, _) in &s.histograms {
                check_at(*k, &self.budget)?;
                remarks.note(*k, Remark::Kinds(ValueKind::Float, ValueKind::Histogram));
            }
        }
        remarks.finish(b.op, pos, &self.budget);
        self.budget.settle(mark, 0, 0)?;
        Ok(self.ready(Vec::new(), grid))
    }
}

/// Asks now and then whether the query was given up.
fn check_at(k: u32, budget: &Budget<'_>) -> Result<()> {
    if k.is_multiple_of(256) { budget.check() } else { Ok(()) }
}

/// Puts what `f` makes of each histogram in its place. Steps that share a histogram and for which `number` is the same go
/// on sharing: a selector gives one sample to many steps.
fn change_each(
    histograms: &mut HistogramPoints,
    budget: &Budget<'_>,
    number: impl Fn(u32) -> u64,
    mut f: impl FnMut(u32, &Arc<FloatHistogram>) -> Option<Arc<FloatHistogram>>,
) -> Result<()> {
    let mut last: Option<(Arc<FloatHistogram>, u64, Option<Arc<FloatHistogram>>)> = None;
    let mut changed = Vec::with_capacity(histograms.len());
    for (k, h) in histograms.drain(..) {
        check_at(k, budget)?;
        let number = number(k);
        let new = match &last {
            Some((from, with, to)) if Arc::ptr_eq(from, &h) && *with == number => to.clone(),
            _ => {
                let to = f(k, &h);
                last = Some((h, number, to.clone()));
                to
            }
        };
        changed.extend(new.map(|h| (k, h)));
    }
    *histograms = changed;
    Ok(())
}

/// An operator and its scalar side.
struct WithScalar {
    op: BinaryOp,
    return_bool: bool,
    vector_left: bool,
    /// One for each step.
    numbers: Vec<f64>,
    pos: PosRange,
}

impl WithScalar {
    fn change(&self, column: &mut [f64], histograms: &mut HistogramPoints, budget: &Budget<'_>) -> Result<()> {
        if matches!(self.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
            if count_present(column) > 0 {
                self.remark(Remark::Kinds(ValueKind::Float, ValueKind::Float), budget);
            }
            column.fill(ABSENT);
        } else {
            self.floats(column);
        }
        if histograms.is_empty() { Ok(()) } else { self.histograms(histograms, budget) }
    }

    fn floats(&self, column: &mut [f64]) {
        let comparison = is_comparison(self.op);
        for (v, n) in column.iter_mut().zip(&self.numbers) {
            if is_absent(*v) {
                continue;
            }
            let result = if self.vector_left { operate(self.op, *v, *n) } else { operate(self.op, *n, *v) };
            *v = match (comparison, is_absent(result)) {
                (true, none) if self.return_bool => f64::from(u8::from(!none)),
                // A comparison keeps the vector's value, on whichever side it stands.
                (true, false) => *v,
                _ => result,
            };
        }
    }

    fn histograms(&self, histograms: &mut HistogramPoints, budget: &Budget<'_>) -> Result<()> {
        let mut remark = None;
        let number = |k: u32| self.numbers.get(k as usize).copied().unwrap_or(f64::NAN);
        change_each(
            histograms,
            budget,
            |k| number(k).to_bits(),
            |k, h| {
                let number = Operand::Float(number(k));
                let (left, right) =
                    if self.vector_left { (Operand::Histogram(h), number) } else { (number, Operand::Histogram(h)) };
                match histogram_binary::operate(self.op, left, right) {
                    Ok((Outcome::New(new), _)) => Some(new),
                    Ok((Outcome::Holds(_), _)) => None,
                    Err(why) => {
                        remark = Some(why);
                        None
                    }
                }
            },
        )?;
        if let Some(remark) = remark {
            self.remark(remark, budget);
        }
        Ok(())
    }

    fn remark(&self, remark: Remark, budget: &Budget<'_>) {
        budget.annotate(|a| remark.add(self.op, self.pos, a));
    }
}
