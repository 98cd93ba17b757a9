//! HyperLogLog: how many distinct values, as bytes that can be stored and merged.
//!
//! The bytes: the letter `H`, the version 1, then `0` and up to [`SPARSE`] sorted hashes of 8 bytes, or `1` and 2^14
//! registers of a byte. Up to [`SPARSE`] distinct values the count is exact but for hash collisions; beyond, its standard
//! error is 0.8 percent. The estimate is O. Ertl's ("New cardinality estimation algorithms for HyperLogLog sketches",
//! 2017), which needs no table of corrections.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array},
    compute::cast,
    datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit},
};
use datafusion::common::{Result, exec_err, not_impl_err};
use xxhash_rust::xxh3::xxh3_64;

use super::aggregate::Saved;

/// The first byte of a saved sketch.
pub(super) const MAGIC: u8 = b'H';
const VERSION: u8 = 1;
const BITS: u32 = 14;
const REGISTERS: usize = 1 << BITS;
/// How many hashes are kept as they are.
const SPARSE: usize = 1024;

/// A sketch of a set of hashes.
#[derive(Debug, Clone)]
pub(super) enum Hll {
    /// Hashes; sorted and distinct up to `sorted`.
    Sparse { hashes: Vec<u64>, sorted: usize },
    /// The greatest rank of the hashes of each register.
    Dense(Box<[u8]>),
}

impl Default for Hll {
    fn default() -> Self {
        Self::Sparse { hashes: Vec::new(), sorted: 0 }
    }
}

impl Hll {
    /// Adds a value's hash.
    pub(super) fn insert(&mut self, hash: u64) {
        match self {
            Self::Sparse { hashes, .. } => {
                hashes.push(hash);
                if hashes.len() >= 2 * SPARSE {
                    self.settle();
                }
            }
            Self::Dense(registers) => raise(registers, hash),
        }
    }

    /// Sorts new hashes in, and changes to registers when there are too many.
    fn settle(&mut self) {
        let Self::Sparse { hashes, sorted } = self else { return };
        if *sorted < hashes.len() {
            hashes.sort_unstable();
            hashes.dedup();
            *sorted = hashes.len();
        }
        if hashes.len() > SPARSE {
            let mut registers = vec![0; REGISTERS].into_boxed_slice();
            hashes.iter().for_each(|&hash| raise(&mut registers, hash));
            *self = Self::Dense(registers);
        }
    }

    /// Adds what a saved sketch holds.
    pub(super) fn merge(&mut self, saved: &[u8]) -> Result<()> {
        let mut saved = Saved(saved);
        if (saved.u8()?, saved.u8()?) != (MAGIC, VERSION) {
            return exec_err!("these bytes are no sketch of hll()");
        }
        match saved.u8()? {
            0 if saved.0.len() % 8 == 0 && saved.0.len() <= 8 * SPARSE => {
                while !saved.is_empty() {
                    self.insert(saved.u64()?);
                }
            }
            1 if saved.0.len() == REGISTERS => {
                self.settle();
                let mut merged: Box<[u8]> = saved.0.into();
                match self {
                    Self::Sparse { hashes, .. } => hashes.iter().for_each(|&hash| raise(&mut merged, hash)),
                    Self::Dense(own) => merged.iter_mut().zip(own.iter()).for_each(|(m, &o)| *m = o.max(*m)),
                }
                merged.iter_mut().for_each(|m| *m = (*m).min((64 - BITS + 1) as u8));
                *self = Self::Dense(merged);
            }
            _ => return exec_err!("a sketch of hll() is damaged"),
        }
        Ok(())
    }

    /// Writes the sketch.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        let mut settled = self.clone();
        settled.settle();
        out.extend([MAGIC, VERSION]);
        match settled {
            Self::Sparse { hashes, .. } => {
                out.push(0);
                out.extend(hashes.iter().flat_map(|h| h.to_le_bytes()));
            }
            Self::Dense(registers) => {
                out.push(1);
                out.extend(&registers);
            }
        }
    }

    /// How many distinct hashes there were.
    pub(super) fn count(&mut self) -> u64 {
        self.settle();
        match self {
            Self::Sparse { hashes, .. } => hashes.len() as u64,
            Self::Dense(registers) => estimate(registers),
        }
    }

    /// How many bytes it holds.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Sparse { hashes, .. } => hashes.capacity() * size_of::<u64>(),
            Self::Dense(registers) => registers.len(),
        }
    }
}

fn raise(registers: &mut [u8], hash: u64) {
    let at = (hash >> (64 - BITS)) as usize;
    let rank = ((hash << BITS).leading_zeros().min(64 - BITS) + 1) as u8;
    registers[at] = registers[at].max(rank);
}

fn estimate(registers: &[u8]) -> u64 {
    const Q: usize = (64 - BITS) as usize;
    let mut counts = [0_u32; Q + 2];
    registers.iter().for_each(|&r| counts[usize::from(r).min(Q + 1)] += 1);
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(counts[Q + 1]) / m);
    for k in (1..=Q).rev() {
        z = 0.5 * (z + f64::from(counts[k]));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    (m * m / (2.0 * std::f64::consts::LN_2 * z)).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// The hashes of a column's values; equal values have equal hashes, whatever the width of their type, for ever.
pub(super) fn hashes(values: &ArrayRef) -> Result<Vec<Option<u64>>> {
    use DataType as T;
    let integers = |array: ArrayRef| -> Vec<Option<u64>> {
        array.as_primitive::<Int64Type>().iter().map(|v| v.map(|v| xxh3_64(&v.to_le_bytes()))).collect()
    };
    Ok(match values.data_type() {
        T::Null => vec![None; values.len()],
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::Boolean => {
            integers(cast(values, &T::Int64)?)
        }
        T::Date32 | T::Time64(_) | T::Duration(_) => integers(cast(values, &T::Int64)?),
        T::Timestamp(..) => integers(cast(&cast(values, &T::Timestamp(TimeUnit::Nanosecond, None))?, &T::Int64)?),
        T::Float16 | T::Float32 | T::Float64 => {
            let floats = cast(values, &T::Float64)?;
            let floats: &Float64Array = floats.as_primitive::<Float64Type>();
            // Adding zero makes both zeros one, and a NaN is a NaN.
            let bits = |v: f64| if v.is_nan() { f64::NAN.to_bits() } else { (v + 0.0).to_bits() };
            floats.iter().map(|v| v.map(|v| xxh3_64(&bits(v).to_le_bytes()))).collect()
        }
        T::Decimal128(..) => {
            values.as_primitive::<Decimal128Type>().iter().map(|v| v.map(|v| xxh3_64(&v.to_le_bytes()))).collect()
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => {
            let texts = cast(values, &T::Utf8View)?;
            texts.as_string_view().iter().map(|v| v.map(|v| xxh3_64(v.as_bytes()))).collect()
        }
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => {
            let bytes = cast(values, &T::BinaryView)?;
            bytes.as_binary_view().iter().map(|v| v.map(xxh3_64)).collect()
        }
        T::Dictionary(_, of) => hashes(&cast(values, of)?)?,
        other => return not_impl_err!("sketches of distinct values of type {other}; cast it to text"),
    })
}

/// The column's bytes, whatever their Arrow type.
pub(super) fn bytes(values: &ArrayRef) -> Result<Arc<dyn Array>> {
    Ok(cast(values, &DataType::BinaryView)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_sketch_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            form in prop::option::of(0_u8..3),
            dense: bool,
        ) {
            let bytes = match form {
                Some(1) if dense => [&[MAGIC, VERSION, 1], bytes.repeat(REGISTERS / bytes.len().max(1) + 1).as_slice()].concat(),
                Some(form) => [&[MAGIC, VERSION, form], bytes.as_slice()].concat(),
                None => bytes,
            };
            // Of the length of a dense one.
            let bytes = if dense { bytes.get(..REGISTERS + 3).unwrap_or(&bytes).to_vec() } else { bytes };
            let mut sketch = Hll::default();
            sketch.insert(7);
            let _ = sketch.merge(&bytes);
            sketch.insert(8);
            let count = sketch.count();
            prop_assert!(count >= 1);
            let mut saved = Vec::new();
            sketch.save(&mut saved);
            let mut again = Hll::default();
            again.merge(&saved).expect("what is saved is read");
            prop_assert_eq!(again.count(), count);
        }
    }
}
