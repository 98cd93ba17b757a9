//! Exact quantiles and the mode: percentile_cont, percentile_disc, median, mode.
//!
//! All values of a group are kept until its result is asked for.

use std::{fmt::Debug, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, new_null_array},
    datatypes::{DataType, Field, Float64Type},
    row::{RowConverter, SortField},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err},
    logical_expr::{AggregateUDF, function::AccumulatorArgs},
};

use super::{
    aggregate::{AggregateCall, Kernel, Saved, constant},
    scalar::{Arg, exactly},
};

/// The aggregates of this family.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let ordered = |call: AggregateCall, aliases| AggregateCall { aliases, within_group: true, ..call };
    let cont = AggregateCall::new(
        "percentile_cont",
        const { &[exactly(&[Arg::Float, Arg::Float]), exactly(&[Arg::Float, Arg::Floats])] },
        |args| Ok(if args[1].is_nested() { list_of(DataType::Float64) } else { DataType::Float64 }),
    );
    let disc = AggregateCall::new(
        "percentile_disc",
        const { &[exactly(&[Arg::Any, Arg::Float]), exactly(&[Arg::Any, Arg::Floats])] },
        |args| Ok(if args[1].is_nested() { list_of(args[0].clone()) } else { args[0].clone() }),
    );
    let median = AggregateCall::new("median", const { &[exactly(&[Arg::Float])] }, |_| Ok(DataType::Float64));
    let mode = AggregateCall::new("mode", const { &[exactly(&[Arg::Any])] }, |args| Ok(args[0].clone()));
    vec![
        ordered(cont, &["quantile_cont", "quantile"]).udaf::<Continuous>(),
        ordered(disc, &["quantile_disc"]).udaf::<Discrete>(),
        median.udaf::<Continuous>(),
        ordered(mode, &[]).udaf::<Discrete>(),
    ]
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

/// Which quantiles are asked for: one, or a list of them.
#[derive(Debug, Clone)]
struct Fractions {
    fractions: Vec<Option<f64>>,
    list: bool,
}

impl Fractions {
    fn read(args: &AccumulatorArgs<'_>) -> Result<Self> {
        if args.exprs.len() == 1 {
            return Ok(Self { fractions: vec![Some(0.5)], list: false });
        }
        let value = constant(args, 1, "fraction")?;
        let list = value.data_type().is_nested();
        let array = match &value {
            ScalarValue::List(list) if list.is_null(0) => new_null_array(&DataType::Float64, 0),
            ScalarValue::List(list) => list.value(0),
            _ => value.to_array()?,
        };
        let Some(array) = array.as_primitive_opt::<Float64Type>() else {
            return plan_err!("the fraction of {} is a number or a list of numbers", args.name);
        };
        let fractions: Vec<Option<f64>> = array.iter().collect();
        if let Some(wrong) = fractions.iter().flatten().find(|f| !(0.0..=1.0).contains(*f)) {
            return plan_err!("percentile value {wrong} is not between 0 and 1");
        }
        Ok(Self { fractions, list })
    }

    /// The result out of one value a fraction.
    fn result(&self, values: ArrayRef) -> Result<ScalarValue> {
        if self.list {
            let element = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            let offsets = arrow::buffer::OffsetBuffer::from_lengths([values.len()]);
            return Ok(ScalarValue::List(Arc::new(arrow::array::ListArray::try_new(element, offsets, values, None)?)));
        }
        ScalarValue::try_from_array(&values, 0)
    }
}

/// Quantiles that lie between values.
#[derive(Debug)]
struct Continuous {
    fractions: Fractions,
    descending: bool,
}

fn descending(args: &AccumulatorArgs<'_>) -> bool {
    args.order_bys.first().is_some_and(|sort| sort.options.descending)
}

impl Kernel for Continuous {
    type State = Vec<f64>;

    fn make(args: &AccumulatorArgs<'_>) -> Result<Self> {
        Ok(Self { fractions: Fractions::read(args)?, descending: descending(args) })
    }

    fn empty(&self) -> Vec<f64> {
        Vec::new()
    }

    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [Vec<f64>]) -> Result<usize> {
        let Some(values) = values[0].as_primitive_opt::<Float64Type>() else {
            return exec_err!("quantiles are of numbers");
        };
        for &(row, group) in rows {
            if values.is_valid(row) {
                states[group].push(values.value(row));
            }
        }
        Ok(rows.len() * size_of::<f64>())
    }

    fn merge(&self, state: &mut Vec<f64>, saved: &[u8]) -> Result<usize> {
        let mut saved = Saved(saved);
        let before = state.len();
        while !saved.is_empty() {
            state.push(saved.f64()?);
        }
        Ok((state.len() - before) * size_of::<f64>())
    }

    fn save(&self, state: &Vec<f64>, out: &mut Vec<u8>) {
        out.extend(state.iter().flat_map(|v| v.to_bits().to_le_bytes()));
    }

    fn finish(&self, state: &mut Vec<f64>) -> Result<ScalarValue> {
        let found = self.fractions.fractions.iter().map(|fraction| {
            let fraction = fraction.map(|f| if self.descending { 1.0 - f } else { f })?;
            let last = state.len().checked_sub(1)?;
            let at = fraction * last as f64;
            let (low, part) = (at.floor() as usize, at - at.floor());
            let (_, &mut lower, above) = state.select_nth_unstable_by(low, f64::total_cmp);
            let upper = above.iter().copied().min_by(f64::total_cmp);
            Some(match upper {
                Some(upper) if part > 0.0 => lower + (upper - lower) * part,
                _ => lower,
            })
        });
        let found: Float64Array = found.collect();
        self.fractions.result(Arc::new(found))
    }
}

/// Values of a group as sortable bytes, one after another.
#[derive(Debug, Default)]
struct Sorted {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Sorted {
    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }

    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.ends.len()).collect();
        order.sort_unstable_by(|&a, &b| self.get(a).cmp(self.get(b)));
        order
    }
}

/// Quantiles that are values of the group, of any type that sorts; and the most frequent value.
#[derive(Debug)]
struct Discrete {
    /// None asks for the most frequent value.
    fractions: Option<Fractions>,
    values: RowConverter,
    of: DataType,
}

impl Discrete {
    fn mode(state: &Sorted) -> Option<usize> {
        let order = state.order();
        let runs = order.chunk_by(|&a, &b| state.get(a) == state.get(b));
        // The first of the longest runs: of equally frequent values the one that sorts first.
        let mut best: Option<&[usize]> = None;
        for run in runs {
            if best.is_none_or(|b| run.len() > b.len()) {
                best = Some(run);
            }
        }
        best.and_then(|run| run.first().copied())
    }
}

impl Kernel for Discrete {
    type State = Sorted;

    fn make(args: &AccumulatorArgs<'_>) -> Result<Self> {
        let of = args.expr_fields[0].data_type().clone();
        let options = args.order_bys.first().map(|sort| sort.options).unwrap_or_default();
        let Ok(values) = RowConverter::new(vec![SortField::new_with_options(of.clone(), options)]) else {
            return plan_err!("{} cannot sort values of type {of}", args.name);
        };
        let fractions = if args.exprs.len() > 1 { Some(Fractions::read(args)?) } else { None };
        Ok(Self { fractions, values, of })
    }

    fn empty(&self) -> Sorted {
        Sorted::default()
    }

    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [Sorted]) -> Result<usize> {
        let encoded = self.values.convert_columns(&values[..1])?;
        let nulls = values[0].logical_nulls();
        let mut grown = 0;
        for &(row, group) in rows {
            if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
                let value = encoded.row(row);
                states[group].push(value.as_ref());
                grown += value.as_ref().len() + size_of::<usize>();
            }
        }
        Ok(grown)
    }

    fn merge(&self, state: &mut Sorted, saved: &[u8]) -> Result<usize> {
        let mut rest = Saved(saved);
        while !rest.is_empty() {
            let length = rest.u32()? as usize;
            state.push(rest.bytes(length)?);
        }
        Ok(saved.len())
    }

    fn save(&self, state: &Sorted, out: &mut Vec<u8>) {
        for at in 0..state.ends.len() {
            let value = state.get(at);
            out.extend((value.len() as u32).to_le_bytes());
            out.extend(value);
        }
    }

    fn finish(&self, state: &mut Sorted) -> Result<ScalarValue> {
        let chosen: Vec<Option<usize>> = match &self.fractions {
            None => vec![Self::mode(state)],
            Some(fractions) => {
                let order = state.order();
                let at = |f: f64| ((f * order.len() as f64).ceil() as usize).saturating_sub(1);
                fractions.fractions.iter().map(|f| f.and_then(|f| order.get(at(f)).copied())).collect()
            }
        };
        let parser = self.values.parser();
        let decode = |at: Option<usize>| match at {
            None => Ok(new_null_array(&self.of, 1)),
            Some(at) => Ok(self.values.convert_rows([parser.parse(state.get(at))])?.remove(0)),
        };
        let found: Result<Vec<ArrayRef>> = chosen.into_iter().map(decode).collect();
        let found = found?;
        let found: Vec<&dyn Array> = found.iter().map(AsRef::as_ref).collect();
        let found =
            if found.is_empty() { arrow::array::new_empty_array(&self.of) } else { arrow::compute::concat(&found)? };
        match &self.fractions {
            Some(fractions) => fractions.result(found),
            None => ScalarValue::try_from_array(&found, 0),
        }
    }
}
