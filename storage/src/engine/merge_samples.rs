//! Two runs of samples of one series into one: of two samples at a timestamp the newer run's counts.

use std::cmp::Ordering;

use crate::{model::time::TimeRange, read::SampleBuffer};

/// Walks a buffer's floats and histograms together in order of time.
struct Cursor<'a> {
    buffer: &'a SampleBuffer,
    float: usize,
    histogram: usize,
}

impl<'a> Cursor<'a> {
    const fn new(buffer: &'a SampleBuffer) -> Self {
        Self { buffer, float: 0, histogram: 0 }
    }

    fn timestamp(&self) -> Option<i64> {
        let float = self.buffer.timestamps.get(self.float).copied();
        let histogram = self.buffer.histograms.get(self.histogram).map(|h| h.timestamp);
        match (float, histogram) {
            (Some(f), Some(h)) => Some(f.min(h)),
            (one, other) => one.or(other),
        }
    }

    /// Moves on by one sample, which goes to `out` if there is one.
    fn step(&mut self, out: Option<&mut SampleBuffer>) {
        let float = self.buffer.timestamps.get(self.float).copied();
        let histogram = self.buffer.histograms.get(self.histogram);
        match (float, histogram) {
            (Some(t), h) if h.is_none_or(|h| t < h.timestamp) => {
                if let Some(out) = out {
                    let start = self.buffer.start_timestamps.get(self.float).copied().unwrap_or(0);
                    out.push_float(t, self.buffer.values[self.float], start);
                }
                self.float += 1;
            }
            (_, Some(h)) => {
                if let Some(out) = out {
                    out.histograms.push(h.clone());
                }
                self.histogram += 1;
            }
            (_, None) => {}
        }
    }
}

/// The first timestamp of either kind.
pub(super) fn first_timestamp(buffer: &SampleBuffer) -> Option<i64> {
    Cursor::new(buffer).timestamp()
}

/// The last timestamp of either kind.
pub(super) fn last_timestamp(buffer: &SampleBuffer) -> Option<i64> {
    buffer.timestamps.last().copied().max(buffer.histograms.last().map(|h| h.timestamp))
}

/// Appends `older` and `newer`, merged, to `out`, whose samples are all earlier.
pub(super) fn merge(older: &SampleBuffer, newer: &SampleBuffer, out: &mut SampleBuffer) {
    if let (Some(end), Some(begin)) = (last_timestamp(older), first_timestamp(newer))
        && end < begin
    {
        append(older, out);
        append(newer, out);
        return;
    }
    let (mut old, mut new) = (Cursor::new(older), Cursor::new(newer));
    loop {
        match (old.timestamp(), new.timestamp()) {
            (None, None) => return,
            (Some(_), None) => old.step(Some(out)),
            (None, Some(_)) => new.step(Some(out)),
            (Some(o), Some(n)) => match o.cmp(&n) {
                Ordering::Less => old.step(Some(out)),
                Ordering::Greater => new.step(Some(out)),
                Ordering::Equal => {
                    old.step(None);
                    new.step(Some(out));
                }
            },
        }
    }
}

/// Appends all of `from` to `out`, whose samples are all earlier.
pub(super) fn append(from: &SampleBuffer, out: &mut SampleBuffer) {
    if !from.start_timestamps.is_empty() {
        out.start_timestamps.resize(out.timestamps.len(), 0);
        out.start_timestamps.extend_from_slice(&from.start_timestamps);
    } else if !out.start_timestamps.is_empty() {
        out.start_timestamps.resize(out.timestamps.len() + from.timestamps.len(), 0);
    }
    out.timestamps.extend_from_slice(&from.timestamps);
    out.values.extend_from_slice(&from.values);
    out.histograms.extend_from_slice(&from.histograms);
}

/// Takes the samples inside any of `ranges` out of a buffer.
pub(super) fn remove_ranges(buffer: &mut SampleBuffer, ranges: &[TimeRange]) {
    let keeps = |t: i64| !ranges.iter().any(|r| r.contains(t));
    if buffer.timestamps.iter().any(|t| !keeps(*t)) {
        let mut kept = 0;
        for i in 0..buffer.timestamps.len() {
            if keeps(buffer.timestamps[i]) {
                buffer.timestamps[kept] = buffer.timestamps[i];
                buffer.values[kept] = buffer.values[i];
                if let Some(start) = buffer.start_timestamps.get(i).copied() {
                    buffer.start_timestamps[kept] = start;
                }
                kept += 1;
            }
        }
        buffer.timestamps.truncate(kept);
        buffer.values.truncate(kept);
        buffer.start_timestamps.truncate(kept);
    }
    buffer.histograms.retain(|h| keeps(h.timestamp));
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{
        Histogram,
        model::histogram::{Buckets, ResetHint},
        read::HistogramSample,
        rng::Rng,
    };

    fn histogram(sum: f64) -> Arc<Histogram> {
        Arc::new(Histogram {
            schema: 0,
            zero_threshold: 0.0,
            sum,
            reset_hint: ResetHint::Unknown,
            positive_spans: vec![],
            negative_spans: vec![],
            custom_values: vec![],
            buckets: Buckets::Float { count: 0.0, zero_count: 0.0, positive: vec![], negative: vec![] },
        })
    }

    fn random(rng: &mut Rng, from: i64, model: &mut BTreeMap<i64, (bool, f64)>) -> SampleBuffer {
        let mut buffer = SampleBuffer::default();
        let mut t = from;
        for _ in 0..rng.below(40) {
            t += 1 + rng.below(4) as i64;
            let value = rng.below(1_000) as f64;
            let is_histogram = rng.below(3) == 0;
            if is_histogram {
                let histogram = histogram(value);
                buffer.histograms.push(HistogramSample { timestamp: t, start_timestamp: 0, histogram });
            } else {
                buffer.push_float(t, value, rng.below(2) as i64);
            }
            model.insert(t, (is_histogram, value));
        }
        buffer
    }

    fn flat(buffer: &SampleBuffer) -> BTreeMap<i64, (bool, f64)> {
        assert!(buffer.timestamps.is_sorted_by(|a, b| a < b));
        assert!(buffer.histograms.is_sorted_by(|a, b| a.timestamp < b.timestamp));
        let floats = buffer.timestamps.iter().zip(&buffer.values).map(|(t, v)| (*t, (false, *v)));
        floats.chain(buffer.histograms.iter().map(|h| (h.timestamp, (true, h.histogram.sum)))).collect()
    }

    #[test]
    fn merging_is_a_map_with_the_newer_value() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut model = BTreeMap::new();
            let older = random(&mut rng, 0, &mut model);
            let from = rng.below(200) as i64;
            let newer = random(&mut rng, from, &mut model);
            let mut out = SampleBuffer::default();
            merge(&older, &newer, &mut out);
            assert_eq!(flat(&out), model);
            assert_eq!(out.len(), model.len());
            let gone = TimeRange::new(20, 20 + rng.below(50) as i64);
            remove_ranges(&mut out, &[gone]);
            model.retain(|t, _| !gone.contains(*t));
            assert_eq!(flat(&out), model);
        }
    }
}
