//! Chunks: where a run of samples is cut, and what a chunk's record holds.

use std::ops::Range;

use crate::{
    Result, SampleBuffer,
    encoding::{
        Reader, bucket_count, decode_floats, decode_histograms, decode_integers, encode_floats, encode_histograms,
        encode_integers, malformed,
    },
    read::HistogramSample,
};

/// Most samples in a chunk.
pub(super) const MAX_SAMPLES: usize = 4096;
/// A chunk of histograms is cut before it holds more buckets than this, unless a single histogram does.
const MAX_BUCKETS: usize = 1 << 16;
/// A window holds at least this many samples at the average interval.
const SAMPLES_A_WINDOW: u64 = 512;

/// What kind of samples a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkKind {
    pub(super) histograms: bool,
    pub(super) start_timestamps: bool,
}

impl ChunkKind {
    pub(super) fn bits(self) -> u64 {
        u64::from(self.histograms) | u64::from(self.start_timestamps) << 1
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self { histograms: bits & 1 != 0, start_timestamps: bits & 2 != 0 }
    }
}

/// Cuts a run at windows of a power of two milliseconds, so that series scraped together are cut at the same places and
/// share their timestamp columns. `size` gives what a sample weighs; a chunk weighs at most `limit`.
fn cut(timestamps: &[i64], limit: usize, size: impl Fn(usize) -> usize) -> Vec<Range<usize>> {
    let shift = window_shift(timestamps);
    let mut chunks = Vec::new();
    let (mut start, mut weight) = (0, 0);
    for (i, t) in timestamps.iter().enumerate() {
        let size = size(i);
        let full = i - start >= MAX_SAMPLES || weight + size > limit;
        if i > start && (full || t >> shift != timestamps[start] >> shift) {
            chunks.push(start..i);
            (start, weight) = (i, 0);
        }
        weight += size;
    }
    if start < timestamps.len() {
        chunks.push(start..timestamps.len());
    }
    chunks
}

/// The exponent of the smallest power of two that holds [`SAMPLES_A_WINDOW`] average intervals.
fn window_shift(timestamps: &[i64]) -> u32 {
    let (Some(first), Some(last)) = (timestamps.first(), timestamps.last()) else { return 62 };
    let span = (*last as u64).wrapping_sub(*first as u64);
    let intervals = timestamps.len().max(2) as u64 - 1;
    let window = (span / intervals).max(1).saturating_mul(SAMPLES_A_WINDOW);
    window.checked_next_power_of_two().map_or(62, u64::trailing_zeros).min(62)
}

/// Where the float samples of a run are cut.
pub(super) fn cut_floats(timestamps: &[i64]) -> Vec<Range<usize>> {
    cut(timestamps, usize::MAX, |_| 1)
}

/// Where the histogram samples of a run are cut.
pub(super) fn cut_histograms(timestamps: &[i64], samples: &[HistogramSample]) -> Vec<Range<usize>> {
    cut(timestamps, MAX_BUCKETS, |i| samples.get(i).map_or(1, |s| bucket_count(&s.histogram)))
}

/// Encodes the float samples in `part` as one chunk.
pub(super) fn encode_float_chunk(samples: &SampleBuffer, part: Range<usize>, out: &mut Vec<u8>) -> ChunkKind {
    encode_floats(&samples.values[part.clone()], out);
    let starts = samples.start_timestamps.get(part).unwrap_or_default();
    let start_timestamps = starts.iter().any(|t| *t != 0);
    if start_timestamps {
        encode_integers(starts, out);
    }
    ChunkKind { histograms: false, start_timestamps }
}

/// Encodes histogram samples as one chunk.
pub(super) fn encode_histogram_chunk(samples: &[HistogramSample], out: &mut Vec<u8>) -> Result<ChunkKind> {
    let histograms: Vec<_> = samples.iter().map(|s| &*s.histogram).collect();
    encode_histograms(&histograms, out)?;
    let start_timestamps = samples.iter().any(|s| s.start_timestamp != 0);
    if start_timestamps {
        encode_integers(&samples.iter().map(|s| s.start_timestamp).collect::<Vec<_>>(), out);
    }
    Ok(ChunkKind { histograms: true, start_timestamps })
}

/// Appends those samples of a chunk whose timestamps are in `range` of `timestamps` to `out`.
pub(super) fn decode_chunk(
    record: &[u8],
    kind: ChunkKind,
    timestamps: &[i64],
    range: Range<usize>,
    out: &mut SampleBuffer,
) -> Result<()> {
    let mut reader = Reader::new(record);
    let count = timestamps.len();
    if count > MAX_SAMPLES {
        return Err(malformed("chunk", format!("{count} samples")));
    }
    if kind.histograms {
        return decode_histogram_chunk(&mut reader, kind, timestamps, range, out);
    }
    let before = out.values.len();
    decode_floats(&mut reader, count, &mut out.values)?;
    keep(&mut out.values, before, range.clone());
    let known = !out.start_timestamps.is_empty();
    if known || kind.start_timestamps {
        // The column is as long as that of the timestamps once any start is known.
        out.start_timestamps.resize(before, 0);
    }
    if kind.start_timestamps {
        decode_integers(&mut reader, count, &mut out.start_timestamps)?;
        keep(&mut out.start_timestamps, before, range.clone());
    } else if known {
        out.start_timestamps.resize(before + range.len(), 0);
    }
    out.timestamps.extend_from_slice(timestamps.get(range).unwrap_or_default());
    reader.finish("chunk")
}

fn decode_histogram_chunk(
    reader: &mut Reader<'_>,
    kind: ChunkKind,
    timestamps: &[i64],
    range: Range<usize>,
    out: &mut SampleBuffer,
) -> Result<()> {
    let mut histograms = Vec::with_capacity(timestamps.len());
    decode_histograms(reader, timestamps.len(), &mut histograms)?;
    let mut starts = Vec::new();
    if kind.start_timestamps {
        decode_integers(reader, timestamps.len(), &mut starts)?;
    } else {
        starts.resize(timestamps.len(), 0);
    }
    let samples = timestamps.iter().zip(starts).zip(histograms).skip(range.start).take(range.len());
    out.histograms.extend(samples.map(|((timestamp, start_timestamp), histogram)| HistogramSample {
        timestamp: *timestamp,
        start_timestamp,
        histogram: std::sync::Arc::new(histogram),
    }));
    reader.finish("chunk")
}

/// Keeps of what stands behind `before` only the given range.
fn keep<T: Copy>(values: &mut Vec<T>, before: usize, range: Range<usize>) {
    let len = range.len();
    if range.start > 0 {
        values.copy_within(before + range.start..before + range.end, before);
    }
    values.truncate(before + len);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_scraped_together_are_cut_at_the_same_places() {
        let run = |from: i64, count: i64| (from..from + count).map(|i| i * 15_000 + 77).collect::<Vec<_>>();
        let (long, short) = (run(100_000, 1920), run(100_900, 300));
        let edges = |run: &[i64]| cut_floats(run).iter().map(|r| run[r.end - 1]).collect::<Vec<_>>();
        assert_eq!(cut_floats(&long).len(), 5);
        let edges_of_long = edges(&long);
        let edges_of_short = edges(&short);
        assert!(edges_of_short[..edges_of_short.len() - 1].iter().all(|e| edges_of_long.contains(e)));
    }

    #[test]
    fn chunks_cover_the_run_and_keep_the_cap() {
        for step in [1, 1000, 1 << 50] {
            let run: Vec<i64> = (-5000..5000).map(|i: i64| i.saturating_mul(step)).collect();
            let mut run: Vec<i64> = run;
            run.dedup();
            let chunks = cut_floats(&run);
            assert_eq!(chunks[0].start, 0);
            assert!(chunks.windows(2).all(|w| w[0].end == w[1].start));
            assert_eq!(chunks[chunks.len() - 1].end, run.len());
            assert!(chunks.iter().all(|c| c.len() <= MAX_SAMPLES && !c.is_empty()));
        }
        assert_eq!(cut_floats(&[i64::MIN, i64::MAX]).len(), 2);
        assert_eq!(cut_floats(&[5]).len(), 1);
        assert!(cut_floats(&[]).is_empty());
        // A burst inside one window.
        assert_eq!(cut(&(0..10_000).collect::<Vec<_>>()[..], usize::MAX, |_| 1)[0].len(), 512);
    }
}
