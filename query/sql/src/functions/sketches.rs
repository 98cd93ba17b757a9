//! Sketches in SQL: hll, hll_merge, hll_count, approx_distinct, percentile_agg, approx_percentile, rollup.
//!
//! A sketch is bytes. It can be stored in a column, merged over rows and read by a scalar function.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array},
    datatypes::{DataType, Float64Type},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err},
    logical_expr::{AggregateUDF, ScalarUDF, function::AccumulatorArgs},
};

use super::{
    aggregate::{AggregateCall, Kernel},
    ddsketch::{self, DdSketch},
    hll::{self, Hll},
    scalar::{Arg, Call, Scalar, exactly},
    stats::{self, Moments},
};

/// The aggregates of this family.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let distinct = AggregateCall::new("approx_distinct", const { &[exactly(&[Arg::Any])] }, |_| Ok(DataType::Int64));
    let bytes = |_: &[DataType]| Ok(DataType::Binary);
    let merge = |name, aliases| AggregateCall {
        aliases,
        ..AggregateCall::new(name, const { &[exactly(&[Arg::Bytes])] }, bytes)
    };
    vec![
        AggregateCall { aliases: &["approx_count_distinct"], ..distinct }.udaf::<Distinct<false>>(),
        AggregateCall::new("hll", const { &[exactly(&[Arg::Any])] }, bytes).udaf::<Distinct<true>>(),
        AggregateCall::new("percentile_agg", const { &[exactly(&[Arg::Float])] }, bytes).udaf::<Percentiles>(),
        merge("rollup", &["hll_merge", "percentile_merge"]).udaf::<Rollup>(),
    ]
}

/// The scalar functions of this family.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    let int = |_: &[DataType]| Ok(DataType::Int64);
    let float = |_: &[DataType]| Ok(DataType::Float64);
    vec![
        Scalar::new("hll_count", const { &[exactly(&[Arg::Bytes])] }, int, |call| {
            read(call, 0, |saved| {
                let mut sketch = Hll::default();
                sketch.merge(saved)?;
                Ok(i64::try_from(sketch.count()).ok())
            })
            .map(|counts| Arc::new(Int64Array::from(counts)) as ArrayRef)
        })
        .alias(&["distinct_count"])
        .udf(),
        Scalar::new("approx_percentile", const { &[exactly(&[Arg::Float, Arg::Bytes])] }, float, approx_percentile)
            .udf(),
        Scalar::new("num_vals", const { &[exactly(&[Arg::Bytes])] }, int, |call| {
            read(call, 0, |saved| Ok(i64::try_from(percentiles(saved)?.count()).ok()))
                .map(|counts| Arc::new(Int64Array::from(counts)) as ArrayRef)
        })
        .udf(),
        Scalar::new("sketch_mean", const { &[exactly(&[Arg::Bytes])] }, float, |call| {
            read(call, 0, |saved| Ok(percentiles(saved)?.mean()))
                .map(|means| Arc::new(Float64Array::from(means)) as ArrayRef)
        })
        .udf(),
    ]
}

fn percentiles(saved: &[u8]) -> Result<DdSketch> {
    let mut sketch = DdSketch::default();
    sketch.merge(saved)?;
    Ok(sketch)
}

fn read<T>(call: &Call<'_>, at: usize, of: impl Fn(&[u8]) -> Result<Option<T>>) -> Result<Vec<Option<T>>> {
    let saved = hll::bytes(&call.array(at)?)?;
    saved.as_binary_view().iter().map(|s| s.map_or(Ok(None), &of)).collect()
}

fn approx_percentile(call: &Call<'_>) -> Result<ArrayRef> {
    let (fractions, saved) = (call.float(0)?, hll::bytes(&call.array(1)?)?);
    let quantile = |(fraction, saved): (Option<f64>, Option<&[u8]>)| {
        let (Some(fraction), Some(saved)) = (fraction, saved) else { return Ok(None) };
        if !(0.0..=1.0).contains(&fraction) {
            return exec_err!("percentile value {fraction} is not between 0 and 1");
        }
        Ok(percentiles(saved)?.quantile(fraction))
    };
    let found: Result<Float64Array> = fractions.iter().zip(saved.as_binary_view()).map(quantile).collect();
    Ok(Arc::new(found?))
}

/// Counts distinct values; the result is the sketch or the count.
#[derive(Debug)]
struct Distinct<const SKETCH: bool>;

impl<const SKETCH: bool> Kernel for Distinct<SKETCH> {
    type State = Hll;

    fn make(args: &AccumulatorArgs<'_>) -> Result<Self> {
        hll::hashes(&arrow::array::new_empty_array(args.expr_fields[0].data_type()))?;
        Ok(Self)
    }

    fn empty(&self) -> Hll {
        Hll::default()
    }

    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [Hll]) -> Result<usize> {
        let hashes = hll::hashes(&values[0])?;
        let mut grown = 0;
        for &(row, group) in rows {
            if let Some(hash) = hashes[row] {
                let before = states[group].size();
                states[group].insert(hash);
                grown += states[group].size().saturating_sub(before);
            }
        }
        Ok(grown)
    }

    fn merge(&self, state: &mut Hll, saved: &[u8]) -> Result<usize> {
        let before = state.size();
        state.merge(saved)?;
        Ok(state.size().saturating_sub(before))
    }

    fn save(&self, state: &Hll, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn finish(&self, state: &mut Hll) -> Result<ScalarValue> {
        if SKETCH {
            let mut out = Vec::new();
            state.save(&mut out);
            return Ok(ScalarValue::Binary(Some(out)));
        }
        Ok(ScalarValue::Int64(i64::try_from(state.count()).ok()))
    }
}

/// Makes a sketch of numbers.
#[derive(Debug)]
struct Percentiles;

impl Kernel for Percentiles {
    type State = DdSketch;

    fn make(_: &AccumulatorArgs<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn empty(&self) -> DdSketch {
        DdSketch::default()
    }

    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [DdSketch]) -> Result<usize> {
        let Some(values) = values[0].as_primitive_opt::<Float64Type>() else {
            return exec_err!("percentile_agg is of numbers");
        };
        let mut grown = 0;
        for &(row, group) in rows {
            if values.is_valid(row) {
                let before = states[group].size();
                states[group].insert(values.value(row))?;
                grown += states[group].size().saturating_sub(before);
            }
        }
        Ok(grown)
    }

    fn merge(&self, state: &mut DdSketch, saved: &[u8]) -> Result<usize> {
        let before = state.size();
        state.merge(saved)?;
        Ok(state.size().saturating_sub(before))
    }

    fn save(&self, state: &DdSketch, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn finish(&self, state: &mut DdSketch) -> Result<ScalarValue> {
        let mut out = Vec::new();
        state.save(&mut out);
        Ok(ScalarValue::Binary((state.count() > 0).then_some(out)))
    }
}

/// A sketch of the kind that the first row had.
#[derive(Debug)]
enum AnySketch {
    None,
    Distinct(Hll),
    Percentiles(DdSketch),
    Stats(Moments),
}

/// Merges sketches of either kind.
#[derive(Debug)]
struct Rollup;

impl Kernel for Rollup {
    type State = AnySketch;

    fn make(_: &AccumulatorArgs<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn empty(&self) -> AnySketch {
        AnySketch::None
    }

    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [AnySketch]) -> Result<usize> {
        let saved = hll::bytes(&values[0])?;
        let saved = saved.as_binary_view();
        let mut grown = 0;
        for &(row, group) in rows {
            if saved.is_valid(row) {
                grown += self.merge(&mut states[group], saved.value(row))?;
            }
        }
        Ok(grown)
    }

    fn merge(&self, state: &mut AnySketch, saved: &[u8]) -> Result<usize> {
        let Some(&kind) = saved.first() else { return Ok(0) };
        if let AnySketch::None = state {
            *state = match kind {
                hll::MAGIC => AnySketch::Distinct(Hll::default()),
                ddsketch::MAGIC => AnySketch::Percentiles(DdSketch::default()),
                stats::MAGIC => AnySketch::Stats(Moments::default()),
                _ => return exec_err!("these bytes are no sketch of hll(), percentile_agg() or stats_agg()"),
            };
        }
        match state {
            AnySketch::None => Ok(0),
            AnySketch::Distinct(sketch) => {
                let before = sketch.size();
                sketch.merge(saved)?;
                Ok(sketch.size().saturating_sub(before))
            }
            AnySketch::Percentiles(sketch) => {
                let before = sketch.size();
                sketch.merge(saved)?;
                Ok(sketch.size().saturating_sub(before))
            }
            AnySketch::Stats(moments) => moments.merge(saved).map(|()| 0),
        }
    }

    fn save(&self, state: &AnySketch, out: &mut Vec<u8>) {
        match state {
            AnySketch::None => {}
            AnySketch::Distinct(sketch) => sketch.save(out),
            AnySketch::Percentiles(sketch) => sketch.save(out),
            AnySketch::Stats(moments) => moments.save(out),
        }
    }

    fn finish(&self, state: &mut AnySketch) -> Result<ScalarValue> {
        let mut out = Vec::new();
        self.save(state, &mut out);
        Ok(ScalarValue::Binary((!out.is_empty()).then_some(out)))
    }
}
