//! Moments in SQL: stats_agg keeps count, mean and squared deviations as bytes that merge; average and variance of them.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array},
    datatypes::{DataType, Float64Type},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err},
    logical_expr::{AggregateUDF, ScalarUDF, function::AccumulatorArgs},
};

use super::{
    aggregate::{AggregateCall, Kernel},
    hll,
    scalar::{Arg, Call, Scalar, exactly},
};

/// Begins saved moments.
pub(super) const MAGIC: u8 = b'M';
const VERSION: u8 = 1;
/// Bytes of saved moments: mark, version, count, mean, squared deviations.
const SAVED: usize = 2 + 8 + 8 + 8;

/// The aggregates of this family.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let bytes = |_: &[DataType]| Ok(DataType::Binary);
    vec![AggregateCall::new("stats_agg", const { &[exactly(&[Arg::Float])] }, bytes).udaf::<Stats>()]
}

/// The scalar functions of this family.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    let float = |_: &[DataType]| Ok(DataType::Float64);
    let scalar = |name, eval| Scalar::new(name, const { &[exactly(&[Arg::Bytes])] }, float, eval).udf();
    vec![
        scalar("stats_mean", |call| each(call, |m| (m.count > 0).then_some(m.mean))),
        scalar("stats_var_samp", |call| each(call, |m| (m.count > 1).then(|| m.squares / (m.count - 1) as f64))),
        scalar("stats_var_pop", |call| each(call, |m| (m.count > 0).then(|| m.squares / m.count as f64))),
    ]
}

fn each(call: &Call<'_>, of: impl Fn(&Moments) -> Option<f64>) -> Result<ArrayRef> {
    let saved = hll::bytes(&call.array(0)?)?;
    let row = |saved: Option<&[u8]>| {
        let Some(saved) = saved else { return Ok(None) };
        let mut moments = Moments::default();
        moments.merge(saved)?;
        Ok(of(&moments))
    };
    let values: Result<Float64Array> = saved.as_binary_view().iter().map(row).collect();
    Ok(Arc::new(values?))
}

/// The count, the mean and the sum of squared deviations from it (Welford; merged as Chan, Golub and LeVeque do).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn insert(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    /// Adds saved moments.
    ///
    /// # Errors
    /// When the bytes are none.
    pub(super) fn merge(&mut self, saved: &[u8]) -> Result<()> {
        let ([MAGIC, VERSION, rest @ ..], SAVED) = (saved, saved.len()) else {
            return exec_err!("these bytes are no moments of stats_agg()");
        };
        let number = |at: usize| rest[at * 8..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let (count, mean, squares) = (number(0), f64::from_bits(number(1)), f64::from_bits(number(2)));
        let Some(all) = self.count.checked_add(count) else { return exec_err!("these moments count too many values") };
        if count == 0 {
            return Ok(());
        }
        let (of_this, of_that, of_all) = (self.count as f64, count as f64, all as f64);
        let apart = mean - self.mean;
        self.mean += apart * of_that / of_all;
        self.squares += squares + apart * apart * of_this * of_that / of_all;
        self.count = all;
        Ok(())
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.extend([MAGIC, VERSION]);
        out.extend(self.count.to_le_bytes());
        out.extend(self.mean.to_le_bytes());
        out.extend(self.squares.to_le_bytes());
    }
}

/// Makes moments of numbers.
#[derive(Debug)]
struct Stats;

impl Kernel for Stats {
    type State = Moments;

    fn make(_: &AccumulatorArgs<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn empty(&self) -> Moments {
        Moments::default()
    }

    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [Moments]) -> Result<usize> {
        let Some(values) = values[0].as_primitive_opt::<Float64Type>() else {
            return exec_err!("stats_agg is of numbers");
        };
        for &(row, group) in rows {
            if values.is_valid(row) {
                states[group].insert(values.value(row));
            }
        }
        Ok(0)
    }

    fn merge(&self, state: &mut Moments, saved: &[u8]) -> Result<usize> {
        state.merge(saved).map(|()| 0)
    }

    fn save(&self, state: &Moments, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn finish(&self, state: &mut Moments) -> Result<ScalarValue> {
        let mut out = Vec::new();
        state.save(&mut out);
        Ok(ScalarValue::Binary((state.count > 0).then_some(out)))
    }
}

#[cfg(test)]
mod tests {
    use super::Moments;

    #[test]
    fn merged_moments_are_those_of_all_values() {
        let mut all = Moments::default();
        let mut parts = [Moments::default(); 3];
        for i in 0..300_u32 {
            let value = f64::from(i * 7919 % 1000) + 1e9;
            all.insert(value);
            parts[i as usize % 3].insert(value);
        }
        let mut merged = Moments::default();
        for part in &parts {
            let mut saved = Vec::new();
            part.save(&mut saved);
            merged.merge(&saved).expect("they merge");
        }
        assert_eq!(merged.count, 300);
        assert!((merged.mean - all.mean).abs() < 1e-6);
        assert!((merged.squares - all.squares).abs() < all.squares * 1e-9);
        merged.merge(b"M").expect_err("too short");
        merged.merge(&[0; 26]).expect_err("another mark");
    }
}
