//! DDSketch: quantiles within one percent of the value, as bytes that can be stored and merged.
//!
//! Values fall into bins whose bounds grow by a factor (Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile
//! sketch with relative-error guarantees", 2019). The bytes: the letter `Q`, the version 1, the count of zeros,
//! least and greatest value, their sum, then the bins of positive and of negative values: a count of bins and pairs of
//! bin (4 bytes) and count (8 bytes).

use std::collections::BTreeMap;

use datafusion::common::{Result, exec_err};

use super::aggregate::Saved;

/// The first byte of a saved sketch.
pub(super) const MAGIC: u8 = b'Q';
const VERSION: u8 = 1;
/// The greatest relative error of a quantile.
const ERROR: f64 = 0.01;
/// Bins of one sign that a sketch holds at most; those next to zero are joined beyond it. 1,450 bins span 25 decades.
const BINS: usize = 2048;

/// A sketch of numbers.
#[derive(Debug, Clone)]
pub(super) struct DdSketch {
    positive: BTreeMap<i32, u64>,
    negative: BTreeMap<i32, u64>,
    zeros: u64,
    least: f64,
    greatest: f64,
    sum: f64,
}

impl Default for DdSketch {
    fn default() -> Self {
        Self {
            positive: BTreeMap::new(),
            negative: BTreeMap::new(),
            zeros: 0,
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
            sum: 0.0,
        }
    }
}

fn log_gamma() -> f64 {
    ((1.0 + ERROR) / (1.0 - ERROR)).ln()
}

/// The bin of a positive number: the least `i` with `gamma^i >= value`.
fn bin(value: f64) -> i32 {
    (value.ln() / log_gamma()).ceil() as i32
}

/// The number that stands for a bin: within the error of all numbers in it.
fn middle(bin: i32) -> f64 {
    (f64::from(bin) * log_gamma()).exp() * (1.0 - ERROR)
}

/// Joins the bins next to zero until few enough are left.
fn collapse(bins: &mut BTreeMap<i32, u64>) {
    while bins.len() > BINS {
        if let (Some((_, count)), Some(mut next)) = (bins.pop_first(), bins.first_entry()) {
            *next.get_mut() = next.get().saturating_add(count);
        }
    }
}

impl DdSketch {
    /// Adds a number. NaN and infinities are refused, as no quantile of theirs is within one percent.
    pub(super) fn insert(&mut self, value: f64) -> Result<()> {
        if !value.is_finite() {
            return exec_err!("percentile_agg takes finite numbers, not {value}; leave it out with FILTER");
        }
        if value == 0.0 {
            self.zeros = self.zeros.saturating_add(1);
        } else {
            let bins = if value > 0.0 { &mut self.positive } else { &mut self.negative };
            let count = bins.entry(bin(value.abs())).or_default();
            // A sketch that came from outside may have counted to the end already.
            *count = count.saturating_add(1);
            collapse(bins);
        }
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
        self.sum += value;
        Ok(())
    }

    /// Adds what a saved sketch holds.
    pub(super) fn merge(&mut self, saved: &[u8]) -> Result<()> {
        let mut saved = Saved(saved);
        if (saved.u8()?, saved.u8()?) != (MAGIC, VERSION) {
            return exec_err!("these bytes are no sketch of percentile_agg()");
        }
        self.zeros = self.zeros.saturating_add(saved.u64()?);
        self.least = self.least.min(saved.f64()?);
        self.greatest = self.greatest.max(saved.f64()?);
        self.sum += saved.f64()?;
        for bins in [&mut self.positive, &mut self.negative] {
            for _ in 0..saved.u32()? {
                let at = i32::from_le_bytes(saved.u32()?.to_le_bytes());
                let count = bins.entry(at).or_default();
                *count = count.saturating_add(saved.u64()?);
                collapse(bins);
            }
        }
        if !saved.is_empty() {
            return exec_err!("a sketch of percentile_agg() is damaged");
        }
        Ok(())
    }

    /// Writes the sketch.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.extend([MAGIC, VERSION]);
        out.extend(self.zeros.to_le_bytes());
        for value in [self.least, self.greatest, self.sum] {
            out.extend(value.to_bits().to_le_bytes());
        }
        for bins in [&self.positive, &self.negative] {
            out.extend((bins.len() as u32).to_le_bytes());
            for (at, count) in bins {
                out.extend(at.to_le_bytes());
                out.extend(count.to_le_bytes());
            }
        }
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u64 {
        let bins = self.positive.values().chain(self.negative.values());
        bins.fold(self.zeros, |sum, &count| sum.saturating_add(count))
    }

    /// The mean of the numbers.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum / self.count() as f64)
    }

    /// The quantile at a fraction.
    pub(super) fn quantile(&self, fraction: f64) -> Option<f64> {
        let count = self.count();
        let rank = (fraction * count.checked_sub(1)? as f64) as u64;
        let mut seen = 0_u64;
        let falling = self.negative.iter().rev().map(|(&at, &n)| (-middle(at), n));
        let rising = self.positive.iter().map(|(&at, &n)| (middle(at), n));
        for (value, n) in falling.chain([(0.0, self.zeros)]).chain(rising) {
            seen = seen.saturating_add(n);
            if seen > rank {
                return Some(value.clamp(self.least, self.greatest.max(self.least)));
            }
        }
        Some(self.greatest)
    }

    /// How many bytes it holds, about.
    pub(super) fn size(&self) -> usize {
        // A node of a B-tree is two thirds full.
        (self.positive.len() + self.negative.len()) * 18
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_of_a_forged_sketch_do_not_overflow() {
        let mut forged = vec![MAGIC, VERSION];
        forged.extend(u64::MAX.to_le_bytes());
        forged.extend([0.0, 1.0, 1.0].iter().flat_map(|v: &f64| v.to_bits().to_le_bytes()));
        let bins = BINS as u32 + 1;
        forged.extend(bins.to_le_bytes());
        for at in 0..bins {
            forged.extend(at.to_le_bytes());
            forged.extend(u64::MAX.to_le_bytes());
        }
        forged.extend(0_u32.to_le_bytes());
        let mut sketch = DdSketch::default();
        sketch.merge(&forged).expect("it is whole");
        for value in [0.0, 1.0, 2.0] {
            sketch.insert(value).expect("it is finite");
        }
        assert_eq!(sketch.count(), u64::MAX);
        assert!(sketch.quantile(0.5).is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_sketch_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400), is_headed: bool) {
            let bytes = if is_headed { [&[MAGIC, VERSION], bytes.as_slice()].concat() } else { bytes };
            let mut sketch = DdSketch::default();
            sketch.insert(1.0).expect("it is finite");
            // An error leaves what was read before it, which is thrown away with the query.
            let _ = sketch.merge(&bytes);
            sketch.insert(-2.5).expect("it is finite");
            let _ = (sketch.count(), sketch.mean(), sketch.quantile(0.99), sketch.quantile(f64::NAN));
            let mut saved = Vec::new();
            sketch.save(&mut saved);
            DdSketch::default().merge(&saved).expect("what is saved is read");
        }
    }
}
