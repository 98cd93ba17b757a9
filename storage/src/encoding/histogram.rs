//! Columns of native histograms. Neighbours that have the same layout (schema, zero threshold, spans, custom bounds, kind
//! of counts) form a run; a run holds its layout once, then a column for each count and each bucket.

use super::{
    MAX_COLUMN_VALUES, Reader, decode_floats, decode_integers, encode_floats, encode_integers, malformed, put_ivarint,
    put_uvarint,
};
use crate::{Buckets, Histogram, ResetHint, Result, Span, StorageError};

/// Most buckets, spans and custom bounds of one histogram.
pub const MAX_HISTOGRAM_BUCKETS: usize = 1 << 20;

const FLOAT_COUNTS: u8 = 1;
const CUSTOM_BOUNDS: u8 = 2;
const USUAL_THRESHOLD: u8 = 4;
const NO_THRESHOLD: u8 = 8;
/// The zero threshold of the usual client libraries: 2^-128.
const USUAL_THRESHOLD_BITS: u64 = 0x37f0_0000_0000_0000;
/// From this many histograms on, each bucket has a column of its own; shorter runs have one column for all.
const COLUMN_A_BUCKET: usize = 8;

/// What a histogram costs to decode: its buckets, spans and custom bounds.
#[must_use]
pub fn bucket_count(h: &Histogram) -> usize {
    let buckets = match &h.buckets {
        Buckets::Integer { positive, negative, .. } => positive.len() + negative.len(),
        Buckets::Float { positive, negative, .. } => positive.len() + negative.len(),
    };
    1 + buckets + h.positive_spans.len() + h.negative_spans.len() + h.custom_values.len()
}

/// What is the same for all histograms of a run.
#[derive(Clone, Copy)]
struct Layout<'a> {
    float: bool,
    schema: i32,
    zero_threshold: f64,
    positive_spans: &'a [Span],
    negative_spans: &'a [Span],
    custom_values: &'a [f64],
}

impl<'a> Layout<'a> {
    fn of(h: &'a Histogram) -> Self {
        Self {
            float: matches!(h.buckets, Buckets::Float { .. }),
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            positive_spans: &h.positive_spans,
            negative_spans: &h.negative_spans,
            custom_values: &h.custom_values,
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.float == other.float
            && self.schema == other.schema
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && self.custom_values.len() == other.custom_values.len()
            && self.custom_values.iter().zip(other.custom_values).all(|(a, b)| a.to_bits() == b.to_bits())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let threshold = match self.zero_threshold.to_bits() {
            0 => NO_THRESHOLD,
            USUAL_THRESHOLD_BITS => USUAL_THRESHOLD,
            _ => 0,
        };
        let float = if self.float { FLOAT_COUNTS } else { 0 };
        let custom = if self.custom_values.is_empty() { 0 } else { CUSTOM_BOUNDS };
        out.push(float | custom | threshold);
        put_ivarint(out, i64::from(self.schema));
        if threshold == 0 {
            out.extend_from_slice(&self.zero_threshold.to_bits().to_le_bytes());
        }
        for spans in [self.positive_spans, self.negative_spans] {
            put_uvarint(out, spans.len() as u64);
            for span in spans {
                put_ivarint(out, i64::from(span.offset));
                put_uvarint(out, u64::from(span.length));
            }
        }
        if custom != 0 {
            put_uvarint(out, self.custom_values.len() as u64);
            encode_floats(self.custom_values, out);
        }
    }
}

/// The number of buckets that spans cover.
fn covered(spans: &[Span]) -> u64 {
    spans.iter().map(|s| u64::from(s.length)).sum()
}

/// Appends a column of histograms.
///
/// # Errors
/// When a histogram's spans do not cover its buckets, or it is larger than [`MAX_HISTOGRAM_BUCKETS`].
pub fn encode_histograms(histograms: &[&Histogram], out: &mut Vec<u8>) -> Result<()> {
    for h in histograms {
        let (positive, negative) = match &h.buckets {
            Buckets::Integer { positive, negative, .. } => (positive.len(), negative.len()),
            Buckets::Float { positive, negative, .. } => (positive.len(), negative.len()),
        };
        if covered(&h.positive_spans) != positive as u64 || covered(&h.negative_spans) != negative as u64 {
            return Err(StorageError::Invalid("a histogram's spans do not cover its buckets".to_owned()));
        }
        if bucket_count(h) > MAX_HISTOGRAM_BUCKETS {
            let size = bucket_count(h);
            return Err(StorageError::Invalid(format!(
                "a histogram of {size} buckets is over {MAX_HISTOGRAM_BUCKETS}"
            )));
        }
    }
    let sums: Vec<f64> = histograms.iter().map(|h| h.sum).collect();
    encode_floats(&sums, out);
    for run in histograms.chunk_by(|a, b| a.reset_hint == b.reset_hint) {
        put_uvarint(out, (run.len() as u64 - 1) << 2 | run[0].reset_hint as u64);
    }
    for run in histograms.chunk_by(|a, b| Layout::of(a).same(&Layout::of(b))) {
        put_uvarint(out, run.len() as u64);
        let layout = Layout::of(run[0]);
        layout.encode(out);
        if layout.float { encode_float_counts(run, out) } else { encode_integer_counts(run, out) }
    }
    Ok(())
}

/// Integer counts are written absolute, for over time they rise evenly, while differences between buckets do not.
fn encode_integer_counts(run: &[&Histogram], out: &mut Vec<u8>) {
    let (mut counts, mut zeros, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for h in run {
        let Buckets::Integer { count, zero_count, positive, negative } = &h.buckets else { continue };
        counts.push(*count as i64);
        zeros.push(*zero_count as i64);
        for side in [positive, negative] {
            let mut at = 0i64;
            cells.extend(side.iter().map(|delta| {
                at = at.wrapping_add(*delta);
                at
            }));
        }
    }
    encode_integers(&counts, out);
    encode_integers(&zeros, out);
    let width = cells.len() / run.len();
    if run.len() >= COLUMN_A_BUCKET {
        (0..width).for_each(|b| encode_integers(&column(&cells, b, width), out));
    } else {
        // Row by row, each but the first as its distance to the row before.
        for i in (width..cells.len()).rev() {
            cells[i] = cells[i].wrapping_sub(cells[i - width]);
        }
        encode_integers(&cells, out);
    }
}

fn encode_float_counts(run: &[&Histogram], out: &mut Vec<u8>) {
    let (mut counts, mut zeros, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for h in run {
        let Buckets::Float { count, zero_count, positive, negative } = &h.buckets else { continue };
        counts.push(*count);
        zeros.push(*zero_count);
        cells.extend_from_slice(positive);
        cells.extend_from_slice(negative);
    }
    encode_floats(&counts, out);
    encode_floats(&zeros, out);
    let width = cells.len() / run.len();
    if run.len() >= COLUMN_A_BUCKET {
        (0..width).for_each(|b| encode_floats(&column(&cells, b, width), out));
    } else {
        encode_floats(&cells, out);
    }
}

/// One bucket of every row.
fn column<T: Copy>(cells: &[T], bucket: usize, width: usize) -> Vec<T> {
    cells.iter().skip(bucket).step_by(width).copied().collect()
}

/// A layout as it is decoded.
struct OwnedLayout {
    float: bool,
    schema: i32,
    zero_threshold: f64,
    positive_spans: Vec<Span>,
    negative_spans: Vec<Span>,
    custom_values: Vec<f64>,
    positive: usize,
    negative: usize,
}

impl OwnedLayout {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let flags = reader.u8()?;
        if flags & !(FLOAT_COUNTS | CUSTOM_BOUNDS | USUAL_THRESHOLD | NO_THRESHOLD) != 0 {
            return Err(malformed("histogram layout", format!("unknown flags {flags:#x}")));
        }
        let schema = i32::try_from(reader.ivarint()?).map_err(|_| malformed("histogram layout", "schema"))?;
        let zero_threshold = match flags & (USUAL_THRESHOLD | NO_THRESHOLD) {
            0 => f64::from_bits(reader.u64()?),
            NO_THRESHOLD => 0.0,
            _ => f64::from_bits(USUAL_THRESHOLD_BITS),
        };
        let positive_spans = decode_spans(reader)?;
        let negative_spans = decode_spans(reader)?;
        let mut custom_values = Vec::new();
        if flags & CUSTOM_BOUNDS != 0 {
            let count = reader.length(MAX_HISTOGRAM_BUCKETS)?;
            decode_floats(reader, count, &mut custom_values)?;
        }
        let size = |spans: &[Span]| {
            usize::try_from(covered(spans))
                .ok()
                .filter(|n| *n <= MAX_HISTOGRAM_BUCKETS)
                .ok_or_else(|| malformed("histogram layout", format!("{} buckets", covered(spans))))
        };
        let (positive, negative) = (size(&positive_spans)?, size(&negative_spans)?);
        let float = flags & FLOAT_COUNTS != 0;
        Ok(Self { float, schema, zero_threshold, positive_spans, negative_spans, custom_values, positive, negative })
    }

    /// What one histogram of this layout holds; see [`bucket_count`].
    fn size(&self) -> usize {
        1 + self.positive
            + self.negative
            + self.positive_spans.len()
            + self.negative_spans.len()
            + self.custom_values.len()
    }

    fn histogram(&self, sum: f64, reset_hint: ResetHint, buckets: Buckets) -> Histogram {
        Histogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum,
            reset_hint,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            custom_values: self.custom_values.clone(),
            buckets,
        }
    }
}

fn decode_spans(reader: &mut Reader<'_>) -> Result<Vec<Span>> {
    // A span takes two bytes at least, so the input bounds what is allocated.
    let count = reader.length(reader.rest().len() / 2)?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = i32::try_from(reader.ivarint()?).map_err(|_| malformed("histogram span", "offset"))?;
        spans.push(Span { offset, length: reader.id()? });
    }
    Ok(spans)
}

/// Appends the `count` histograms of a column to `out`.
///
/// # Errors
/// When the bytes are not such a column, or it holds more than [`MAX_COLUMN_VALUES`] buckets in all.
pub fn decode_histograms(reader: &mut Reader<'_>, count: usize, out: &mut Vec<Histogram>) -> Result<()> {
    let mut sums = Vec::new();
    decode_floats(reader, count, &mut sums)?;
    let mut hints = Vec::with_capacity(count);
    while hints.len() < count {
        let field = reader.uvarint()?;
        let run = usize::try_from(field >> 2).ok().filter(|n| *n < count - hints.len());
        match (run, ResetHint::from_number(field & 3)) {
            (Some(run), Some(hint)) => hints.resize(hints.len() + run + 1, hint),
            _ => return Err(malformed("histogram column", "reset hints")),
        }
    }
    let mut budget = MAX_COLUMN_VALUES;
    let mut decoded = 0;
    while decoded < count {
        let run = reader.length(count - decoded)?;
        let layout = OwnedLayout::decode(reader)?;
        budget = layout
            .size()
            .checked_mul(run)
            .and_then(|cells| budget.checked_sub(cells))
            .filter(|_| run > 0 && layout.size() <= MAX_HISTOGRAM_BUCKETS)
            .ok_or_else(|| malformed("histogram column", format!("a run of {run} with {} buckets", layout.size())))?;
        let fixed = sums.iter().copied().zip(hints.iter().copied()).skip(decoded).take(run);
        if layout.float {
            decode_float_run(reader, &layout, run, fixed, out)?;
        } else {
            decode_integer_run(reader, &layout, run, fixed, out)?;
        }
        decoded += run;
    }
    Ok(())
}

fn decode_integer_run(
    reader: &mut Reader<'_>,
    layout: &OwnedLayout,
    run: usize,
    fixed: impl Iterator<Item = (f64, ResetHint)>,
    out: &mut Vec<Histogram>,
) -> Result<()> {
    let (mut counts, mut zeros) = (Vec::new(), Vec::new());
    decode_integers(reader, run, &mut counts)?;
    decode_integers(reader, run, &mut zeros)?;
    let width = layout.positive + layout.negative;
    let mut cells = decode_cells(reader, run, width, decode_integers)?;
    if run < COLUMN_A_BUCKET {
        for i in width..cells.len() {
            cells[i] = cells[i].wrapping_add(cells[i - width]);
        }
    }
    for (row, ((sum, hint), (count, zero))) in fixed.zip(counts.iter().zip(&zeros)).enumerate() {
        let cells = cells.get(row * width..(row + 1) * width).unwrap_or_default();
        let (positive, negative) = cells.split_at(layout.positive);
        let deltas = |side: &[i64]| {
            let mut before = 0i64;
            side.iter()
                .map(|at| {
                    let delta = at.wrapping_sub(before);
                    before = *at;
                    delta
                })
                .collect()
        };
        let buckets = Buckets::Integer {
            count: *count as u64,
            zero_count: *zero as u64,
            positive: deltas(positive),
            negative: deltas(negative),
        };
        out.push(layout.histogram(sum, hint, buckets));
    }
    Ok(())
}

fn decode_float_run(
    reader: &mut Reader<'_>,
    layout: &OwnedLayout,
    run: usize,
    fixed: impl Iterator<Item = (f64, ResetHint)>,
    out: &mut Vec<Histogram>,
) -> Result<()> {
    let (mut counts, mut zeros) = (Vec::new(), Vec::new());
    decode_floats(reader, run, &mut counts)?;
    decode_floats(reader, run, &mut zeros)?;
    let width = layout.positive + layout.negative;
    let cells = decode_cells(reader, run, width, decode_floats)?;
    for (row, ((sum, hint), (count, zero))) in fixed.zip(counts.iter().zip(&zeros)).enumerate() {
        let cells = cells.get(row * width..(row + 1) * width).unwrap_or_default();
        let (positive, negative) = cells.split_at(layout.positive);
        let buckets = Buckets::Float {
            count: *count,
            zero_count: *zero,
            positive: positive.to_vec(),
            negative: negative.to_vec(),
        };
        out.push(layout.histogram(sum, hint, buckets));
    }
    Ok(())
}

/// The buckets of a run, row by row.
fn decode_cells<T: Copy + Default>(
    reader: &mut Reader<'_>,
    run: usize,
    width: usize,
    decode: impl Fn(&mut Reader<'_>, usize, &mut Vec<T>) -> Result<()>,
) -> Result<Vec<T>> {
    let mut cells = Vec::new();
    if run < COLUMN_A_BUCKET {
        decode(reader, run * width, &mut cells)?;
        return Ok(cells);
    }
    cells.resize(run * width, T::default());
    let mut column = Vec::new();
    for bucket in 0..width {
        column.clear();
        decode(reader, run, &mut column)?;
        for (cell, value) in cells.iter_mut().skip(bucket).step_by(width).zip(&column) {
            *cell = *value;
        }
    }
    Ok(cells)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::{histogram::CUSTOM_BUCKETS_SCHEMA, stale_nan};
    use proptest::prelude::*;

    /// Equality by bits, for NaN.
    pub(crate) fn bits(h: &Histogram) -> String {
        let floats = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let counts = match &h.buckets {
            Buckets::Integer { count, zero_count, positive, negative } => {
                format!("i {count} {zero_count} {positive:?} {negative:?}")
            }
            Buckets::Float { count, zero_count, positive, negative } => {
                format!("f {} {} {:?} {:?}", count.to_bits(), zero_count.to_bits(), floats(positive), floats(negative))
            }
        };
        format!(
            "{} {} {} {:?} {:?} {:?} {:?} {counts}",
            h.schema,
            h.zero_threshold.to_bits(),
            h.sum.to_bits(),
            h.reset_hint,
            h.positive_spans,
            h.negative_spans,
            floats(&h.custom_values)
        )
    }

    pub(crate) fn any_histogram() -> impl Strategy<Value = Histogram> {
        let spans = || prop::collection::vec((-5i32..5, 0u32..4), 0..3);
        let number = || prop_oneof![any::<u64>().prop_map(f64::from_bits), (0u32..1000).prop_map(f64::from)];
        (0usize..3, spans(), spans(), number(), number(), 0u64..4, any::<u64>()).prop_map(
            |(kind, positive, negative, sum, threshold, hint, seed)| {
                let spans = |s: Vec<(i32, u32)>| {
                    s.into_iter().map(|(offset, length)| Span { offset, length }).collect::<Vec<_>>()
                };
                let (positive_spans, negative_spans) = (spans(positive), spans(negative));
                let (p, n) = (covered(&positive_spans) as usize, covered(&negative_spans) as usize);
                let mut state = seed | 1;
                let mut next = || {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 33) as i64 - (1 << 30)
                };
                let buckets = if kind == 1 {
                    Buckets::Float {
                        count: next() as f64,
                        zero_count: next() as f64 / 7.0,
                        positive: (0..p).map(|_| next() as f64 / 8.0).collect(),
                        negative: (0..n).map(|_| next() as f64).collect(),
                    }
                } else {
                    Buckets::Integer {
                        count: next() as u64,
                        zero_count: next() as u64,
                        positive: (0..p).map(|_| next()).collect(),
                        negative: (0..n).map(|_| next() >> 20).collect(),
                    }
                };
                Histogram {
                    schema: if kind == 2 { CUSTOM_BUCKETS_SCHEMA } else { (seed % 13) as i32 - 4 },
                    zero_threshold: if seed % 3 == 0 { 2f64.powi(-128) } else { threshold },
                    sum,
                    reset_hint: ResetHint::from_number(hint).unwrap(),
                    positive_spans,
                    negative_spans,
                    custom_values: if kind == 2 { (0..p).map(|i| i as f64 / 4.0).collect() } else { Vec::new() },
                    buckets,
                }
            },
        )
    }

    fn check(histograms: &[&Histogram]) -> usize {
        let mut out = Vec::new();
        encode_histograms(histograms, &mut out).unwrap();
        let mut reader = Reader::new(&out);
        let mut back = Vec::new();
        decode_histograms(&mut reader, histograms.len(), &mut back).unwrap();
        assert!(reader.is_empty());
        let all = |h: Vec<&Histogram>| h.into_iter().map(bits).collect::<Vec<_>>();
        assert_eq!(all(back.iter().collect()), all(histograms.to_vec()));
        out.len()
    }

    proptest! {
        #[test]
        fn round_trip(kinds in prop::collection::vec((any_histogram(), 1usize..12), 1..6)) {
            let all: Vec<&Histogram> = kinds.iter().flat_map(|(h, n)| std::iter::repeat_n(h, *n)).collect();
            check(&all);
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..50) {
            let _ = decode_histograms(&mut Reader::new(&bytes), count, &mut Vec::new());
        }

        #[test]
        fn damaged_bytes_decode_or_fail(h in any_histogram(), n in 1usize..20, at: prop::sample::Index, bit in 0u8..8) {
            let mut out = Vec::new();
            encode_histograms(&vec![&h; n], &mut out).unwrap();
            let at = at.index(out.len());
            out[at] ^= 1 << bit;
            let _ = decode_histograms(&mut Reader::new(&out), n, &mut Vec::new());
        }
    }

    fn latency(i: i64) -> Histogram {
        Histogram {
            schema: 3,
            zero_threshold: 2f64.powi(-128),
            sum: i as f64 * 0.25,
            reset_hint: if i == 0 { ResetHint::Unknown } else { ResetHint::NotReset },
            positive_spans: vec![Span { offset: -10, length: 8 }],
            negative_spans: vec![],
            custom_values: vec![],
            buckets: Buckets::Integer {
                count: (i * 40) as u64,
                zero_count: 0,
                positive: vec![i, i * 2, i * 3, 0, -i, -i, i, -i * 3],
                negative: vec![],
            },
        }
    }

    #[test]
    fn a_steady_histogram_takes_few_bytes() {
        let mut histograms: Vec<Histogram> = (0..500).map(latency).collect();
        histograms[499] = Histogram {
            sum: stale_nan(),
            positive_spans: vec![],
            buckets: Buckets::Integer { count: 0, zero_count: 0, positive: vec![], negative: vec![] },
            ..latency(0)
        };
        let len = check(&histograms.iter().collect::<Vec<_>>());
        assert!(len < 200, "{len}");
    }

    #[test]
    fn spans_that_do_not_fit_are_refused() {
        let mut h = latency(1);
        h.positive_spans[0].length = 7;
        assert!(encode_histograms(&[&h], &mut Vec::new()).is_err());
    }
}
