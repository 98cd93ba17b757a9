//! `changes` and `resets` where floats alone, without start timestamps, are not all: counts of neighbours among the
//! samples of both kinds in order of time.

use std::sync::Arc;

use chronolith_storage::FloatHistogram;

use super::samples::{Column, reset_between};

/// Which neighbours are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Counted {
    Changes,
    Resets,
}

/// The samples of both kinds in order of time, and for each how many counted pairs end with it or before it.
#[derive(Debug, Default)]
pub(in crate::engine) struct Neighbours {
    timestamps: Vec<i64>,
    counts: Vec<u32>,
}

#[derive(Clone, Copy)]
enum Place {
    Float(usize),
    Histogram(usize),
}

impl Neighbours {
    /// Counts along a series.
    pub(in crate::engine) fn update(
        &mut self,
        counted: Counted,
        floats: &Column<'_, f64>,
        histograms: &Column<'_, Arc<FloatHistogram>>,
    ) {
        self.timestamps.clear();
        self.counts.clear();
        let (mut f, mut h, mut count) = (0, 0, 0u32);
        let mut before: Option<(Place, (i64, i64))> = None;
        while f < floats.len() || h < histograms.len() {
            let float_next =
                h >= histograms.len() || (f < floats.len() && floats.timestamps[f] < histograms.timestamps[h]);
            let (place, times) = if float_next {
                f += 1;
                (Place::Float(f - 1), (floats.start(f - 1), floats.timestamps[f - 1]))
            } else {
                h += 1;
                (Place::Histogram(h - 1), (histograms.start(h - 1), histograms.timestamps[h - 1]))
            };
            if let Some((place_before, times_before)) = before {
                let happens = match (place_before, place) {
                    (Place::Float(a), Place::Float(b)) => {
                        let (a, b) = (floats.values[a], floats.values[b]);
                        match counted {
                            Counted::Changes => b != a && !(b.is_nan() && a.is_nan()),
                            Counted::Resets => b < a || reset_between(times_before, times),
                        }
                    }
                    (Place::Histogram(a), Place::Histogram(b)) => {
                        let (a, b) = (&histograms.values[a], &histograms.values[b]);
                        match counted {
                            Counted::Changes => !b.equals(a),
                            Counted::Resets => reset_between(times_before, times) || b.detect_reset(a),
                        }
                    }
                    _ => true,
                };
                count += u32::from(happens);
            }
            self.timestamps.push(times.1);
            self.counts.push(count);
            before = Some((place, times));
        }
    }

    /// The count in `lo..hi`, which begin where `floats + histograms` samples are before. Anchored, the window begins
    /// with the last sample not after `anchor`, and has no value when nothing comes after that.
    pub(in crate::engine) fn count(&self, lo: usize, hi: usize, anchor: Option<i64>) -> Option<f64> {
        let mut lo = lo;
        if let Some(anchor) = anchor {
            let not_after = self.timestamps.get(lo..hi)?.partition_point(|t| *t <= anchor);
            if lo + not_after >= hi {
                return None;
            }
            lo += not_after.saturating_sub(1);
        }
        let (first, last) = (self.counts.get(lo)?, self.counts.get(hi.checked_sub(1)?)?);
        (lo < hi).then(|| f64::from(last - first))
    }
}
