//! Binary operators between two values of which at least one is a native histogram, and the remarks on values that an
//! operator cannot work with.

use std::{collections::BTreeMap, sync::Arc};

use chronolith_storage::{FloatHistogram, HistogramMathError, Reconciled, ResetHint};

use super::{annotations::Annotations, budget::Budget, functions::math::operator_text};
use crate::ast::{BinaryOp, PosRange};

/// One side of an operator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand<'v> {
    Float(f64),
    Histogram(&'v Arc<FloatHistogram>),
}

impl Operand<'_> {
    const fn kind(self) -> ValueKind {
        match self {
            Self::Float(_) => ValueKind::Float,
            Self::Histogram(_) => ValueKind::Histogram,
        }
    }
}

/// The kinds of values that a vector can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ValueKind {
    Float,
    Histogram,
}

impl ValueKind {
    const fn text(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Histogram => "histogram",
        }
    }
}

/// What is remarked on an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remark {
    /// The operator has no meaning between values of these kinds.
    Kinds(ValueKind, ValueKind),
    /// One histogram has exponential buckets, the other custom ones.
    Layout,
    /// One histogram says that there was a counter reset, the other that there was none.
    ResetCollision,
    /// The custom bounds of the histograms differ.
    CustomBounds,
}

impl Remark {
    /// Adds the remark to those of the query.
    pub(super) fn add(self, op: BinaryOp, pos: PosRange, annotations: &mut Annotations) {
        let text = operator_text(op);
        let doing = if op == BinaryOp::Sub { "subtraction" } else { "addition" };
        match self {
            Self::Kinds(left, right) => {
                let (left, right) = (left.text(), right.text());
                let message = format!(
                    "incompatible sample types encountered for binary operator \"{text}\": {left} {text} {right}"
                );
                annotations.info(message, pos);
            }
            Self::Layout => {
                annotations.warn(format!("incompatible bucket layout encountered for binary operator {text}"), pos);
            }
            Self::ResetCollision => {
                annotations.warn(format!("conflicting counter resets during histogram {doing}"), pos);
            }
            Self::CustomBounds => {
                annotations.info(format!("mismatched custom buckets were reconciled during {doing}"), pos);
            }
        }
    }
}

/// The remarks on an operator over vectors. As in Prometheus, of those at one step only the last counts.
#[derive(Debug, Default)]
pub(super) struct StepRemarks(BTreeMap<u32, Remark>);

impl StepRemarks {
    pub(super) fn note(&mut self, step: u32, remark: Remark) {
        self.0.insert(step, remark);
    }

    /// Adds the remarks to those of the query.
    pub(super) fn finish(self, op: BinaryOp, pos: PosRange, budget: &Budget<'_>) {
        let mut remarks: Vec<Remark> = self.0.into_values().collect();
        remarks.sort_unstable();
        remarks.dedup();
        if !remarks.is_empty() {
            budget.annotate(|a| remarks.iter().for_each(|r| r.add(op, pos, a)));
        }
    }
}

/// What an operator makes of two values.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// Another histogram.
    New(Arc<FloatHistogram>),
    /// A comparison: whether it holds, and so the left side is kept.
    Holds(bool),
}

/// Applies an operator, at least one operand being a histogram. `Err` where there is no result.
pub(super) fn operate(
    op: BinaryOp,
    left: Operand<'_>,
    right: Operand<'_>,
) -> Result<(Outcome, Option<Remark>), Remark> {
    let refused = Remark::Kinds(left.kind(), right.kind());
    let changed = |h: &Arc<FloatHistogram>, change: &dyn Fn(&mut FloatHistogram)| {
        let mut h = FloatHistogram::clone(h);
        change(&mut h);
        Ok((Outcome::New(Arc::new(h)), None))
    };
    match (left, right) {
        (Operand::Float(f), Operand::Histogram(h)) | (Operand::Histogram(h), Operand::Float(f))
            if op == BinaryOp::Mul =>
        {
            changed(h, &|h| {
                h.mul(f);
                h.compact(0);
            })
        }
        (Operand::Histogram(h), Operand::Float(f)) => match op {
            BinaryOp::Div => changed(h, &|h| {
                h.div(f);
                h.compact(0);
            }),
            BinaryOp::TrimUpper => changed(h, &|h| h.trim_buckets(f, true)),
            BinaryOp::TrimLower => changed(h, &|h| h.trim_buckets(f, false)),
            _ => Err(refused),
        },
        (Operand::Histogram(l), Operand::Histogram(r)) => match op {
            BinaryOp::Add => combined(l, |sum| sum.add(r)),
            BinaryOp::Sub => combined(l, |difference| {
                let reconciled = difference.sub(r)?;
                difference.reset_hint = ResetHint::Gauge;
                Ok(reconciled)
            }),
            // Both are compact, as all histograms that expressions give are.
            BinaryOp::Eql => Ok((Outcome::Holds(l.equals(r)), None)),
            BinaryOp::Neq => Ok((Outcome::Holds(!l.equals(r)), None)),
            _ => Err(refused),
        },
        (Operand::Float(_), _) => Err(refused),
    }
}

/// A sum or difference. A collision of counter resets leaves nothing, as in Prometheus.
fn combined(
    left: &Arc<FloatHistogram>,
    combine: impl FnOnce(&mut FloatHistogram) -> Result<Reconciled, HistogramMathError>,
) -> Result<(Outcome, Option<Remark>), Remark> {
    let mut h = FloatHistogram::clone(left);
    let reconciled = combine(&mut h).map_err(|_| Remark::Layout)?;
    if reconciled.counter_reset_collision {
        return Err(Remark::ResetCollision);
    }
    h.compact(0);
    let remark = reconciled.custom_bounds_reconciled.then_some(Remark::CustomBounds);
    Ok((Outcome::New(Arc::new(h)), remark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(count: f64, custom_values: &[f64]) -> Arc<FloatHistogram> {
        Arc::new(FloatHistogram {
            schema: if custom_values.is_empty() { 0 } else { -53 },
            zero_threshold: 0.0,
            zero_count: 0.0,
            count,
            sum: 0.0,
            reset_hint: ResetHint::Unknown,
            positive_spans: Vec::new(),
            negative_spans: Vec::new(),
            positive_buckets: Vec::new(),
            negative_buckets: Vec::new(),
            custom_values: custom_values.to_vec(),
        })
    }

    fn count(op: BinaryOp, left: Operand<'_>, right: Operand<'_>) -> Option<f64> {
        match operate(op, left, right) {
            Ok((Outcome::New(h), _)) => Some(h.count),
            _ => None,
        }
    }

    #[test]
    fn histograms_scale_and_add_and_nothing_else() {
        let h = histogram(6.0, &[]);
        let (float, histogram) = (Operand::Float(2.0), Operand::Histogram(&h));
        assert_eq!(count(BinaryOp::Mul, float, histogram), Some(12.0));
        assert_eq!(count(BinaryOp::Mul, histogram, float), Some(12.0));
        assert_eq!(count(BinaryOp::Div, histogram, float), Some(3.0));
        assert_eq!(count(BinaryOp::Div, float, histogram), None);
        assert_eq!(count(BinaryOp::Add, histogram, histogram), Some(12.0));
        assert_eq!(count(BinaryOp::Mul, histogram, histogram), None);
        let refused = operate(BinaryOp::Gtr, histogram, float).unwrap_err();
        assert_eq!(refused, Remark::Kinds(ValueKind::Histogram, ValueKind::Float));
        assert_eq!(operate(BinaryOp::Eql, histogram, histogram).unwrap().0, Outcome::Holds(true));
    }

    #[test]
    fn what_does_not_fit_is_remarked_on() {
        let of = |a: &Arc<FloatHistogram>, b: &Arc<FloatHistogram>| {
            operate(BinaryOp::Sub, Operand::Histogram(a), Operand::Histogram(b))
        };
        let (plain, one, other) = (histogram(1.0, &[]), histogram(1.0, &[1.0, 2.0]), histogram(1.0, &[2.0]));
        assert_eq!(of(&plain, &one).unwrap_err(), Remark::Layout);
        let (outcome, remark) = of(&one, &other).unwrap();
        assert_eq!(remark, Some(Remark::CustomBounds));
        let Outcome::New(h) = outcome else { panic!("a histogram") };
        assert_eq!((h.reset_hint, h.custom_values.as_slice()), (ResetHint::Gauge, &[2.0][..]));
        let with = |hint| Arc::new(FloatHistogram { reset_hint: hint, ..FloatHistogram::clone(&plain) });
        assert_eq!(of(&with(ResetHint::Reset), &with(ResetHint::NotReset)).unwrap_err(), Remark::ResetCollision);
    }
}
