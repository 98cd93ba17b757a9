//! Aggregations that pick series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::{collections::HashMap, sync::Arc};

use chronolith_storage::{FloatHistogram, Labels};

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
        grid::{ABSENT, Series, histogram_weight, is_absent},
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

    /// Takes an entry whatever its value, if the choice is one of series; tells whether it did.
    fn take_any(&self, heap: &mut Vec<Entry>, step: usize, position: f64, entry: Entry) -> bool {
        let take = match self {
            Self::Top(_) | Self::Bottom(_) => false,
            Self::Any(_) => heap.len() < self.k(step),
            Self::Ratio(r) => {
                let r = r.get(step).copied().unwrap_or(0.0);
                (r >= 0.0 && position < r) || (r < 0.0 && position >= 1.0 + r)
            }
        };
        if take {
            // Prometheus keeps a heap here too, which shows in the order of an instant query's answer.
            offer::<false>(heap, usize::MAX, entry);
        }
        take
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
    let heaps: Vec<Vec<Entry>> = vec![Vec::new(); assignment.labels.len().saturating_mul(steps)];
    budget.hold(0, heaps.len() * size_of::<Vec<Entry>>())?;
    let mut picked = Picked { heaps, histograms: HashMap::new() };
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
                offer_column(&column, stream, choice, &assignment, &mut picked)?;
                match choice {
                    Choice::Top(_) | Choice::Bottom(_) => remark_histograms(&column, choice, budget, pos),
                    Choice::Any(_) | Choice::Ratio(_) => {
                        offer_histograms(&column, stream, choice, (&assignment, &mut picked), budget)?;
                    }
                }
            }
            Ok(())
        },
    )?;
    finish(stream, choice, picked, budget)
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

/// What was picked so far.
struct Picked {
    /// Of each group, one heap a step.
    heaps: Vec<Vec<Entry>>,
    /// The histograms among the entries, by series and step. Histograms have no order, so they stay once picked.
    histograms: HashMap<(u32, u32), Arc<FloatHistogram>>,
}

fn remark_histograms(column: &Column, choice: &Choice, budget: &Budget<'_>, pos: PosRange) {
    if !column.histograms.is_empty() {
        let name = if matches!(choice, Choice::Bottom(_)) { "bottomk" } else { "topk" };
        budget.annotate(|a| a.info(format!("ignored histogram in {name} aggregation"), pos));
    }
}

fn series_number(column: &Column) -> Result<u32> {
    u32::try_from(column.index).map_err(|_| QueryError::TooManySamples)
}

fn offer_column(
    column: &Column,
    stream: &Stream<'_>,
    choice: &Choice,
    assignment: &Assignment,
    picked: &mut Picked,
) -> Result<()> {
    let steps = column.values.len();
    let group = assignment.group_of[column.index] as usize;
    let Some(heaps) = picked.heaps.get_mut(group * steps..(group + 1) * steps) else { return Ok(()) };
    let series = series_number(column)?;
    let position = if let Choice::Ratio(_) = choice { sampling_position(&stream.labels(column.index)) } else { 0.0 };
    for (step, (v, heap)) in column.values.iter().zip(heaps).enumerate() {
        if is_absent(*v) {
            continue;
        }
        let (entry, k) = ((*v, series), choice.k(step));
        match choice {
            Choice::Top(_) if k > 0 => offer::<false>(heap, k, entry),
            Choice::Bottom(_) if k > 0 => offer::<true>(heap, k, entry),
            _ => {
                choice.take_any(heap, step, position, entry);
            }
        }
    }
    Ok(())
}

/// Offers the histograms of a column to a choice that does not look at values.
fn offer_histograms(
    column: &Column,
    stream: &Stream<'_>,
    choice: &Choice,
    (assignment, picked): (&Assignment, &mut Picked),
    budget: &Budget<'_>,
) -> Result<()> {
    if column.histograms.is_empty() {
        return Ok(());
    }
    let group = assignment.group_of[column.index] as usize;
    let series = series_number(column)?;
    let position = if let Choice::Ratio(_) = choice { sampling_position(&stream.labels(column.index)) } else { 0.0 };
    for (step, h) in &column.histograms {
        let Some(heap) = picked.heaps.get_mut(group * column.values.len() + *step as usize) else { continue };
        // Prometheus' heap takes them for zeros.
        if choice.take_any(heap, *step as usize, position, (0.0, series)) {
            budget.hold(0, histogram_weight(h) * 16)?;
            picked.histograms.insert((series, *step), Arc::clone(h));
        }
    }
    Ok(())
}

/// Where between 0 and 1 a series stands: a hash of its labels, the same in every query, and that of Prometheus: XXH64
/// over its layout of labels, in which lengths are one byte, or three behind a 255.
fn sampling_position(labels: &Labels) -> f64 {
    let mut packed = Vec::with_capacity(256);
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(length) if length < u8::MAX => packed.push(length),
            _ => {
                packed.push(u8::MAX);
                packed.extend_from_slice(&text.len().to_le_bytes()[..3]);
            }
        }
        packed.extend_from_slice(text.as_bytes());
    }
    xxhash_rust::xxh64::xxh64(&packed, 0) as f64 / u64::MAX as f64
}

/// Makes series of what was picked; those of one step in order, best first.
fn finish(stream: &Stream<'_>, choice: &Choice, picked: Picked, budget: &Budget<'_>) -> Result<Vec<Series>> {
    let Picked { heaps, mut histograms } = picked;
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
        let step = i % steps.max(1);
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
            let Some(into) = out.get_mut(place) else { continue };
            if let Some(h) = histograms.remove(&(series, step as u32)) {
                // The heaps of a series' group come step by step.
                into.histograms.push((step as u32, h));
            } else if let Some(v) = into.values.get_mut(step) {
                *v = value;
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_stand_where_prometheus_has_them() {
        // Computed with Prometheus' hash over its own layout.
        let at = |name: &str, value: &str| sampling_position(&Labels::from_pairs([(name, value)]));
        assert_eq!(at("long", &"x".repeat(300)), 0.079_946_218_000_101_02);
        assert_eq!(at("edge", &"y".repeat(255)), 0.181_496_624_642_681_5);
        assert_eq!(at("edge", &"y".repeat(254)), 0.168_575_606_657_631_74);
        assert_eq!(sampling_position(&Labels::from_pairs([("__name__", "up"), ("job", "a")])), 0.670_704_976_467_503_8);
    }
}
