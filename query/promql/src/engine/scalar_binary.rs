//! Operators between a vector and a scalar, and the unary minus: stages that change each column in place.

use std::sync::Arc;

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
        let change = |column: &mut [f64], histograms: &mut HistogramPoints, _: &Budget<'_>| {
            map(column, |v| -v);
            histograms.iter_mut().for_each(|(_, h)| Arc::make_mut(h).mul(-1.0));
            Ok(())
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
            let native = !histograms.is_empty();
            with.change(column, histograms, budget);
            // Whether it was given up on the way.
            if native { budget.check() } else { Ok(()) }
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
                remarks.note(k as u32, Remark::Kinds(ValueKind::Float, ValueKind::Float));
            }
            for (k, _) in &s.histograms {
                remarks.note(*k, Remark::Kinds(ValueKind::Float, ValueKind::Histogram));
            }
        }
        remarks.finish(b.op, pos, &self.budget);
        self.budget.settle(mark, 0, 0)?;
        Ok(self.ready(Vec::new(), grid))
    }
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
    fn change(&self, column: &mut [f64], histograms: &mut HistogramPoints, budget: &Budget<'_>) {
        if matches!(self.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
            if count_present(column) > 0 {
                self.remark(Remark::Kinds(ValueKind::Float, ValueKind::Float), budget);
            }
            column.fill(ABSENT);
        } else {
            self.floats(column);
        }
        if !histograms.is_empty() {
            self.histograms(histograms, budget);
        }
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

    fn histograms(&self, histograms: &mut HistogramPoints, budget: &Budget<'_>) {
        let mut remark = None;
        let mut given_up = false;
        histograms.retain_mut(|(k, h)| {
            given_up |= *k % 256 == 0 && budget.check().is_err();
            if given_up {
                return false;
            }
            let number = Operand::Float(self.numbers.get(*k as usize).copied().unwrap_or(f64::NAN));
            let (left, right) =
                if self.vector_left { (Operand::Histogram(h), number) } else { (number, Operand::Histogram(h)) };
            match histogram_binary::operate(self.op, left, right) {
                Ok((Outcome::New(new), _)) => {
                    *h = new;
                    true
                }
                Ok((Outcome::Holds(_), _)) => false,
                Err(why) => {
                    remark = Some(why);
                    false
                }
            }
        });
        if let Some(remark) = remark {
            self.remark(remark, budget);
        }
    }

    fn remark(&self, remark: Remark, budget: &Budget<'_>) {
        budget.annotate(|a| remark.add(self.op, self.pos, a));
    }
}
