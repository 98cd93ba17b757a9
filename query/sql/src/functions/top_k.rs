//! approx_top_k: the most frequent values with their counts.
//!
//! Counts are exact as long as a group has at most 2 * [`kept`] distinct values. Beyond, the counters are cut back to the
//! greatest ones by taking the next one's count off all (Misra and Gries; merged as Agarwal et al., "Mergeable summaries",
//! 2012): a count is then too low by at most the number of rows divided by the counters kept.

use std::{collections::HashMap, fmt::Debug};

use arrow::{
    array::{Array, ArrayRef},
    datatypes::DataType,
    row::{RowConverter, SortField},
};
use datafusion::{
    common::{Result, ScalarValue, plan_err},
    logical_expr::{AggregateUDF, function::AccumulatorArgs},
};

use super::{
    aggregate::{AggregateCall, Kernel, Saved, constant},
    json::{Json, from_arrow},
    scalar::{Arg, exactly},
};

/// The aggregates of this family.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let top =
        AggregateCall::new("approx_top_k", const { &[exactly(&[Arg::Any, Arg::Int])] }, |_| Ok(DataType::Utf8View));
    vec![AggregateCall { pg_type: Some("jsonb"), ..top }.udaf::<TopK>()]
}

const MAX_K: i64 = 10_000;

/// How many counters are kept at least, for the `k` most frequent values.
fn kept(k: usize) -> usize {
    (k * 8).max(1024)
}

#[derive(Debug)]
struct TopK {
    k: usize,
    values: RowConverter,
}

type Counters = HashMap<Box<[u8]>, u64>;

/// Cuts the counters back to those that count most.
fn cut(counters: &mut Counters, kept: usize) {
    if counters.len() <= 2 * kept {
        return;
    }
    let mut counts: Vec<u64> = counters.values().copied().collect();
    let (_, &mut less, _) = counts.select_nth_unstable_by(kept, |a, b| b.cmp(a));
    counters.retain(|_, count| {
        *count = count.saturating_sub(less);
        *count > 0
    });
}

impl Kernel for TopK {
    type State = Counters;

    fn make(args: &AccumulatorArgs<'_>) -> Result<Self> {
        let k = match constant(args, 1, "number of values")? {
            ScalarValue::Int64(Some(k)) if (1..=MAX_K).contains(&k) => k as usize,
            other => return plan_err!("approx_top_k gives 1 to {MAX_K} values, not {other}"),
        };
        let of = args.expr_fields[0].data_type();
        match RowConverter::new(vec![SortField::new(of.clone())]) {
            Ok(values) => Ok(Self { k, values }),
            Err(_) => plan_err!("approx_top_k cannot count values of type {of}"),
        }
    }

    fn empty(&self) -> Counters {
        Counters::new()
    }

    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [Counters]) -> Result<usize> {
        let encoded = self.values.convert_columns(&values[..1])?;
        let nulls = values[0].logical_nulls();
        let mut grown = 0;
        for &(row, group) in rows {
            if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                continue;
            }
            let value = encoded.row(row);
            let counters = &mut states[group];
            if let Some(count) = counters.get_mut(value.as_ref()) {
                *count += 1;
            } else {
                counters.insert(value.as_ref().into(), 1);
                grown += value.as_ref().len() + 32;
                cut(counters, kept(self.k));
            }
        }
        Ok(grown)
    }

    fn merge(&self, state: &mut Counters, saved: &[u8]) -> Result<usize> {
        let mut rest = Saved(saved);
        while !rest.is_empty() {
            let count = rest.u64()?;
            let length = rest.u32()? as usize;
            *state.entry(rest.bytes(length)?.into()).or_default() += count;
        }
        cut(state, kept(self.k));
        Ok(saved.len())
    }

    fn save(&self, state: &Counters, out: &mut Vec<u8>) {
        for (value, count) in state {
            out.extend(count.to_le_bytes());
            out.extend((value.len() as u32).to_le_bytes());
            out.extend(value);
        }
    }

    fn finish(&self, state: &mut Counters) -> Result<ScalarValue> {
        if state.is_empty() {
            return Ok(ScalarValue::Utf8View(None));
        }
        let mut counters: Vec<(&Box<[u8]>, &u64)> = state.iter().collect();
        counters.sort_unstable_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        counters.truncate(self.k);
        let parser = self.values.parser();
        let values = self.values.convert_rows(counters.iter().map(|(value, _)| parser.parse(value)))?.remove(0);
        let entry = |(row, (_, count)): (usize, &(_, &u64))| {
            Ok(Json::Object(vec![
                ("value".into(), from_arrow(&values, row)?),
                ("count".into(), Json::Number(count.to_string().into())),
            ]))
        };
        let entries: Result<Vec<Json>> = counters.iter().enumerate().map(entry).collect();
        Ok(ScalarValue::Utf8View(Some(Json::Array(entries?).to_string())))
    }
}
