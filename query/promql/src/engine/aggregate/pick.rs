//! Aggregations that pick series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::{collections::HashMap, sync::Arc};

use chronolith_storage::FloatHistogram;

use super::{
    fold::{Assignment, assign},
    heap::{Entry, offer, sort},
};
use crate::{
    ast::{AggregateOp, PosRange},
    engine::{
        budget::Budget,
        error::{QueryError, Result},
        evaluate::Evaluator,
        grid::{ABSENT, Series, is_absent},
        labels::Grouping,
        stream::Stream,
    },
    format::float_general,
};

/// What is picked at each step.
pub(super) enum Choice {
    /// The k largest.
    Top(Vec<usize>),
    /// The k smallest.
    Bottom(Vec<usize>),
    /// Any k.
    Any(Vec<usize>),
    /// This part of the series, by the hash of their labels; the complement when negative.
    Ratio(Vec<f64>),
}

impl Choice {
    /// Checks the parameter; `None` when nothing is picked at any step.
    pub(super) fn new(op: AggregateOp, param: &[f64], pos: PosRange, budget: &Budget<'_>) -> Result<Option<Self>> {
        if op == AggregateOp::LimitRatio {
            return Self::ratio(param, pos, budget);
        }
        let has_nan = param.iter().any(|v| v.is_nan());
        if !has_nan && param.iter().all(|v| *v < 1.0) {
            return Ok(None);
        }
        if has_nan {
            return Err(QueryError::Execution("Parameter value is NaN".to_owned()));
        }
        // The bounds of i64 as floats.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        if let Some(v) = param.iter().find(|v| **v <= -LIMIT) {
            return Err(QueryError::Execution(format!("Scalar value {} underflows int64", float_general(*v))));
        }
        if let Some(v) = param.iter().find(|v| **v >= LIMIT) {
            return Err(QueryError::Execution(format!("Scalar value {} overflows int64", float_general(*v))));
        }
        // Negative numbers saturate to 0.
        let k = param.iter().map(|v| *v as usize).collect();
        Ok(Some(match op {
            AggregateOp::BottomK => Self::Bottom(k),
            AggregateOp::LimitK => Self::Any(k),
            _ => Self::Top(k),
        }))
    }

    fn ratio(param: &[f64], pos: PosRange, budget: &Budget<'_>) -> Result<Option<Self>> {
        if param.iter().all(|v| *v == 0.0) {
            return Ok(None);
        }
        if param.iter().any(|v| v.is_nan()) {
            return Err(QueryError::Execution("Ratio value is NaN".to_owned()));
        }
        let max = param.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let min = param.iter().copied().fold(f64::INFINITY, f64::min);
        for (found, cap, beyond) in [(max, 1.0, max > 1.0), (min, -1.0, min < -1.0)] {
            if beyond {
                let found = float_general(found);
                let text = format!("ratio value should be between -1 and 1, got {found}, capping to {cap}");
                budget.annotate(|a| a.warn(text, pos));
            }
        }
        Ok(Some(Self::Ratio(param.iter().map(|v| v.clamp(-1.0, 1.0)).collect())))
    }

    fn k(&self, step: usize) -> usize {
        match self {
            Self::Top(k) | Self::Bottom(k) | Self::Any(k) => k.get(step).copied().unwrap_or(0),
            Self::Ratio(_) => 0,
        }
    }
}

/// A column that was produced, with the number of its series.
struct Column {
    index: usize,
    values: Vec<f64>,
    histograms: Vec<(u32, Arc<FloatHistogram>)>,
}

/// Picks series of each group at each step. The columns are offered in the order of the series, as ties need it.
pub(super) fn evaluate(
    evaluator: &Evaluator<'_>,
    stream: &Stream<'_>,
    grouping: &Grouping<'_>,
    choice: &Choice,
    pos: PosRange,
) -> Result<Vec<Series>> {
    let assignment = assign(stream, grouping);
    let budget = &evaluator.budget;
    let steps = stream.grid.count;
    let mut heaps: Vec<Vec<Entry>> = vec![Vec::new(); assignment.labels.len().saturating_mul(steps)];
    budget.hold(0, heaps.len() * size_of::<Vec<Entry>>())?;
    stream.in_chunks(
        budget,
        |scratch, chunk| {
            let mut columns = Vec::with_capacity(chunk.len());
            for index in chunk {
                let Some(p) = stream.produce(index, scratch, budget)? else { continue };
                columns.push(Column { index, values: p.values.to_vec(), histograms: p.histograms.to_vec() });
            }
            Ok(columns)
        },
        |columns: Vec<Column>| {
            for column in columns {
                refuse_histograms(&column, choice, evaluator, pos)?;
                offer_column(&column, stream, choice, &assignment, &mut heaps)?;
            }
            Ok(())
        },
    )?;
    finish(stream, choice, heaps, budget)
}

/// Evaluates what there is to pick from.
pub(super) fn evaluate_all(evaluator: &Evaluator<'_>, stream: &Stream<'_>) -> Result<()> {
    let budget = &evaluator.budget;
    stream.in_chunks(
        budget,
        |scratch, chunk| {
            for index in chunk {
                stream.produce(index, scratch, budget)?;
            }
            Ok(())
        },
        |()| Ok(()),
    )
}

fn refuse_histograms(column: &Column, choice: &Choice, evaluator: &Evaluator<'_>, pos: PosRange) -> Result<()> {
    if column.histograms.is_empty() {
        return Ok(());
    }
    let name = match choice {
        Choice::Top(_) => "topk",
        Choice::Bottom(_) => "bottomk",
        Choice::Any(_) => return Err(QueryError::NativeHistogram("limitk".to_owned())),
        Choice::Ratio(_) => return Err(QueryError::NativeHistogram("limit_ratio".to_owned())),
    };
    evaluator.budget.annotate(|a| a.info(format!("ignored histogram in {name} aggregation"), pos));
    Ok(())
}

fn offer_column(
    column: &Column,
    stream: &Stream<'_>,
    choice: &Choice,
    assignment: &Assignment,
    heaps: &mut [Vec<Entry>],
) -> Result<()> {
    let steps = column.values.len();
    let group = assignment.group_of[column.index] as usize;
    let Some(heaps) = heaps.get_mut(group * steps..(group + 1) * steps) else { return Ok(()) };
    let series = u32::try_from(column.index).map_err(|_| QueryError::TooManySamples)?;
    let position = if let Choice::Ratio(_) = choice { sampling_position(stream, column.index) } else { 0.0 };
    for (step, (v, heap)) in column.values.iter().zip(heaps).enumerate() {
        if is_absent(*v) {
            continue;
        }
        let (entry, k) = ((*v, series), choice.k(step));
        match choice {
            Choice::Top(_) if k > 0 => offer::<false>(heap, k, entry),
            Choice::Bottom(_) if k > 0 => offer::<true>(heap, k, entry),
            Choice::Any(_) if heap.len() < k => heap.push(entry),
            Choice::Ratio(r) => {
                let r = r.get(step).copied().unwrap_or(0.0);
                if (r >= 0.0 && position < r) || (r < 0.0 && position >= 1.0 + r) {
                    heap.push(entry);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where between 0 and 1 a series stands: Prometheus' hash of its labels, so that both pick the same series. It is taken
/// over names and values, each behind its length: a byte, or 255 and three bytes for what is longer than 254.
fn sampling_position(stream: &Stream<'_>, index: usize) -> f64 {
    let mut bytes = Vec::new();
    for text in stream.labels(index).iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(length) if length < u8::MAX => bytes.push(length),
            _ => {
                let [a, b, c, ..] = text.len().to_le_bytes();
                bytes.extend([u8::MAX, a, b, c]);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxhash_rust::xxh64::xxh64(&bytes, 0) as f64 / u64::MAX as f64
}

/// Makes series of what was picked; those of one step in order, best first.
fn finish(stream: &Stream<'_>, choice: &Choice, heaps: Vec<Vec<Entry>>, budget: &Budget<'_>) -> Result<Vec<Series>> {
    let steps = stream.grid.count;
    let mut places: HashMap<u32, usize> = HashMap::new();
    let mut out: Vec<Series> = Vec::new();
    for (i, mut heap) in heaps.into_iter().enumerate() {
        if steps == 1 {
            match choice {
                Choice::Top(_) => sort::<false>(&mut heap),
                Choice::Bottom(_) => sort::<true>(&mut heap),
                Choice::Any(_) | Choice::Ratio(_) => {}
            }
        }
        for (value, series) in heap {
            let index = series as usize;
            let place = match places.get(&series) {
                Some(place) => *place,
                None => {
                    let drop_name = stream.drops_name(index);
                    let new = Series { drop_name, ..Series::floats(stream.labels(index), vec![ABSENT; steps]) };
                    budget.hold(0, new.bytes())?;
                    out.push(new);
                    places.insert(series, out.len() - 1);
                    out.len() - 1
                }
            };
            if let Some(v) = out.get_mut(place).and_then(|s| s.values.get_mut(i % steps.max(1))) {
                *v = value;
            }
        }
    }
    Ok(out)
}
