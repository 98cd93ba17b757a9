//! Samples of the memtable: chunks of growing size in an append-only arena, chained per series from new to old.
//!
//! A chunk is `1 + columns * capacity` words of the arena: a header (address of the chunk before, kind, capacity), then
//! one column after another: timestamps, values (float bits, or an index into the histograms), start timestamps where
//! there are any. How much of the newest chunk is filled stands in the series' [`Head`]; all older ones are full or
//! were closed early because the kind changed, which their header then tells. Nothing written is ever changed, so a
//! copy of a head stays a true view for good.

use std::sync::Arc;

use super::{
    heads::{Head, Heads, HeadsView},
    index::SeriesId,
};
use crate::{
    model::{histogram::Histogram, time::TimeRange},
    read::{HistogramSample, SampleBuffer},
};

/// Words in an arena page: 512 KiB.
const PAGE_WORDS: usize = 1 << 16;
/// Samples in a series' first chunk, and most samples in any.
const CAPACITY_FIRST: usize = 4;
const CAPACITY_MAX: usize = 128;

/// Where a chunk begins: page number in the upper half, word in the page in the lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkAddress(u32);

impl ChunkAddress {
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) const fn is_none(self) -> bool {
        self.0 == u32::MAX
    }
}

/// What a chunk's columns hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Float,
    FloatWithStart,
    Histogram,
}

impl Kind {
    const fn columns(self) -> usize {
        match self {
            Self::Float => 2,
            Self::FloatWithStart | Self::Histogram => 3,
        }
    }
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// The sample is new, or replaces another value at its timestamp.
    Added,
    /// The same sample was there already.
    Duplicate,
}

/// The samples of all series.
#[derive(Debug)]
pub(crate) struct SampleStore {
    pages: Vec<Box<[u64]>>,
    /// Words used in the last page.
    used: usize,
    heads: Heads,
    histograms: Vec<Arc<Histogram>>,
    histogram_bytes: usize,
    samples: u64,
    series: usize,
    range: TimeRange,
}

impl Default for SampleStore {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            used: PAGE_WORDS,
            heads: Heads::default(),
            histograms: Vec::new(),
            histogram_bytes: 0,
            samples: 0,
            series: 0,
            range: TimeRange::new(i64::MAX, i64::MIN),
        }
    }
}

/// A decoded chunk header and the words behind it.
struct Chunk<'a> {
    before: ChunkAddress,
    kind: Kind,
    capacity: usize,
    words: &'a [u64],
}

impl<'a> Chunk<'a> {
    fn timestamps(&self, len: usize) -> &'a [u64] {
        &self.words[..len]
    }

    fn values(&self, len: usize) -> &'a [u64] {
        &self.words[self.capacity..self.capacity + len]
    }

    fn starts(&self, len: usize) -> Option<&'a [u64]> {
        (self.kind != Kind::Float).then(|| &self.words[2 * self.capacity..2 * self.capacity + len])
    }
}

impl SampleStore {
    pub(crate) fn heads(&self) -> HeadsView {
        self.heads.view()
    }

    pub(crate) const fn sample_count(&self) -> u64 {
        self.samples
    }

    pub(crate) const fn active_series(&self) -> usize {
        self.series
    }

    pub(crate) const fn range(&self) -> TimeRange {
        self.range
    }

    pub(crate) fn heap_size(&self) -> usize {
        self.pages.len().saturating_sub(1) * PAGE_WORDS * 8
            + if self.pages.is_empty() { 0 } else { self.used * 8 }
            + self.heads.heap_size()
            + self.histogram_bytes
    }

    /// Appends a float sample.
    pub(crate) fn float(&mut self, series: SeriesId, t: i64, value: f64, start: i64) -> Appended {
        let kind = if start == 0 { Kind::Float } else { Kind::FloatWithStart };
        if !self.is_news(series, t, |_, kind_there, bits, start_there| {
            kind_there != Kind::Histogram && bits == value.to_bits() && start_there == start
        }) {
            return Appended::Duplicate;
        }
        self.push(series, kind, t, value.to_bits(), start);
        Appended::Added
    }

    /// Appends a histogram sample.
    pub(crate) fn histogram(&mut self, series: SeriesId, t: i64, start: i64, histogram: Arc<Histogram>) -> Appended {
        if !self.is_news(series, t, |store, kind_there, bits, start_there| {
            kind_there == Kind::Histogram
                && start_there == start
                && store.histograms.get(bits as usize).is_some_and(|there| same_histogram(there, &histogram))
        }) {
            return Appended::Duplicate;
        }
        self.histogram_bytes += histogram_heap_size(&histogram);
        let at = self.histograms.len() as u64;
        self.histograms.push(histogram);
        self.push(series, Kind::Histogram, t, at, start);
        Appended::Added
    }

    /// Whether the series holds no equal sample at `t`. Looks only while the series is sorted: a series with late
    /// samples takes repeated ones twice, and reading leaves one.
    fn is_news(&mut self, series: SeriesId, t: i64, same: impl Fn(&Self, Kind, u64, i64) -> bool) -> bool {
        let head = *self.heads.get_mut(series);
        if t > head.last || !head.sorted {
            return true;
        }
        match self.find(&head, t) {
            None => true,
            Some((kind, bits, start)) => !same(self, kind, bits, start),
        }
    }

    /// The sample at `t` of a sorted series.
    fn find(&self, head: &Head, t: i64) -> Option<(Kind, u64, i64)> {
        let (mut address, mut len) = (head.tail, usize::from(head.tail_len));
        while !address.is_none() {
            let chunk = self.chunk(address);
            let timestamps = chunk.timestamps(len);
            if timestamps.first().is_some_and(|first| *first as i64 <= t) {
                let at = timestamps.binary_search_by_key(&t, |word| *word as i64).ok()?;
                return Some((chunk.kind, chunk.values(len)[at], chunk.starts(len).map_or(0, |s| s[at] as i64)));
            }
            address = chunk.before;
            len = self.closed_len(address);
        }
        None
    }

    fn push(&mut self, series: SeriesId, kind: Kind, t: i64, bits: u64, start: i64) {
        let mut head = *self.heads.get_mut(series);
        let (fits, capacity) = if head.tail.is_none() {
            self.series += 1;
            (false, CAPACITY_FIRST)
        } else {
            let tail = self.chunk(head.tail);
            // A plain float fits into a chunk that has start timestamps too.
            let takes = tail.kind == kind || (tail.kind == Kind::FloatWithStart && kind == Kind::Float);
            (takes && usize::from(head.tail_len) < tail.capacity, (tail.capacity * 2).min(CAPACITY_MAX))
        };
        if !fits {
            self.close(&head);
            head.tail = self.allocate(head.tail, kind, capacity);
            head.tail_len = 0;
        }
        let at = usize::from(head.tail_len);
        let (page, word) = split(head.tail);
        let header = self.pages[page][word];
        let capacity = header_capacity(header);
        let words = &mut self.pages[page][word + 1..];
        words[at] = t as u64;
        words[capacity + at] = bits;
        if header_kind(header) != Kind::Float {
            words[2 * capacity + at] = start as u64;
        }
        head.tail_len += 1;
        head.sorted &= t > head.last;
        head.first = head.first.min(t);
        head.last = head.last.max(t);
        *self.heads.get_mut(series) = head;
        self.samples += 1;
        self.range = TimeRange::new(self.range.start.min(t), self.range.end.max(t));
    }

    fn allocate(&mut self, before: ChunkAddress, kind: Kind, capacity: usize) -> ChunkAddress {
        let words = 1 + kind.columns() * capacity;
        if self.used + words > PAGE_WORDS {
            self.pages.push(vec![0u64; PAGE_WORDS].into_boxed_slice());
            self.used = 0;
        }
        let page = self.pages.len() - 1;
        let address = ChunkAddress((page as u32) << 16 | self.used as u32);
        self.pages[page][self.used] = header(before, kind, capacity, capacity);
        self.used += words;
        address
    }

    /// Writes into a chunk's header how much of it is filled, before a newer chunk follows it. Views that have it as
    /// their newest do not look there.
    fn close(&mut self, head: &Head) {
        if head.tail.is_none() {
            return;
        }
        let (page, word) = split(head.tail);
        let old = self.pages[page][word];
        self.pages[page][word] =
            header(header_before(old), header_kind(old), header_capacity(old), usize::from(head.tail_len));
    }

    fn closed_len(&self, address: ChunkAddress) -> usize {
        if address.is_none() {
            return 0;
        }
        let (page, word) = split(address);
        header_len(self.pages[page][word])
    }

    fn chunk(&self, address: ChunkAddress) -> Chunk<'_> {
        let (page, word) = split(address);
        let words = &self.pages[page][word..];
        let (kind, capacity) = (header_kind(words[0]), header_capacity(words[0]));
        Chunk { before: header_before(words[0]), kind, capacity, words: &words[1..=kind.columns() * capacity] }
    }

    /// Appends the samples inside `range` to `out`, sorted, the last written of equal timestamps.
    pub(crate) fn read(&self, head: &Head, range: TimeRange, out: &mut SampleBuffer) {
        if !head.range().overlaps(&range) {
            return;
        }
        let mut chunks = Vec::with_capacity(16);
        let (mut address, mut len) = (head.tail, usize::from(head.tail_len));
        while !address.is_none() {
            let chunk = self.chunk(address);
            let first = chunk.words.first().map_or(i64::MAX, |w| *w as i64);
            address = chunk.before;
            chunks.push((chunk, len));
            if head.sorted && first < range.start {
                break;
            }
            len = self.closed_len(address);
        }
        chunks.reverse();
        if head.sorted {
            for (chunk, len) in &chunks {
                self.copy_sorted(chunk, *len, range, out);
            }
        } else {
            self.copy_unsorted(&chunks, range, out);
        }
    }

    fn copy_sorted(&self, chunk: &Chunk<'_>, len: usize, range: TimeRange, out: &mut SampleBuffer) {
        let timestamps = chunk.timestamps(len);
        let from = timestamps.partition_point(|t| (*t as i64) < range.start);
        let to = timestamps.partition_point(|t| (*t as i64) <= range.end);
        if from >= to {
            return;
        }
        let values = &chunk.values(len)[from..to];
        let timestamps = &timestamps[from..to];
        match chunk.starts(len).map(|s| &s[from..to]) {
            None => {
                out.timestamps.extend(timestamps.iter().map(|t| *t as i64));
                out.values.extend(values.iter().map(|v| f64::from_bits(*v)));
                if !out.start_timestamps.is_empty() {
                    out.start_timestamps.resize(out.timestamps.len(), 0);
                }
            }
            Some(starts) => {
                for ((t, v), s) in timestamps.iter().zip(values).zip(starts) {
                    self.emit(chunk.kind, *t as i64, *v, *s as i64, out);
                }
            }
        }
    }

    fn copy_unsorted(&self, chunks: &[(Chunk<'_>, usize)], range: TimeRange, out: &mut SampleBuffer) {
        let mut all: Vec<(i64, Kind, u64, i64)> = Vec::new();
        for (chunk, len) in chunks {
            let starts = chunk.starts(*len);
            for (i, (t, v)) in chunk.timestamps(*len).iter().zip(chunk.values(*len)).enumerate() {
                if range.contains(*t as i64) {
                    all.push((*t as i64, chunk.kind, *v, starts.map_or(0, |s| s[i] as i64)));
                }
            }
        }
        // Stable: of equal timestamps the last written stays last.
        all.sort_by_key(|(t, ..)| *t);
        for (i, (t, kind, bits, start)) in all.iter().enumerate() {
            if all.get(i + 1).is_none_or(|next| next.0 != *t) {
                self.emit(*kind, *t, *bits, *start, out);
            }
        }
    }

    fn emit(&self, kind: Kind, timestamp: i64, bits: u64, start: i64, out: &mut SampleBuffer) {
        if kind == Kind::Histogram {
            if let Some(histogram) = self.histograms.get(bits as usize) {
                let histogram = Arc::clone(histogram);
                out.histograms.push(HistogramSample { timestamp, start_timestamp: start, histogram });
            }
        } else {
            out.push_float(timestamp, f64::from_bits(bits), start);
        }
    }
}

const fn split(address: ChunkAddress) -> (usize, usize) {
    ((address.0 >> 16) as usize, (address.0 & 0xffff) as usize)
}

/// `before` in the upper half, then 8 bits each of kind, capacity and filled length.
const fn header(before: ChunkAddress, kind: Kind, capacity: usize, len: usize) -> u64 {
    (before.0 as u64) << 32 | (kind as u64) << 16 | (capacity as u64) << 8 | len as u64
}

const fn header_before(header: u64) -> ChunkAddress {
    ChunkAddress((header >> 32) as u32)
}

const fn header_kind(header: u64) -> Kind {
    match header >> 16 & 0xff {
        0 => Kind::Float,
        1 => Kind::FloatWithStart,
        _ => Kind::Histogram,
    }
}

const fn header_capacity(header: u64) -> usize {
    (header >> 8 & 0xff) as usize
}

const fn header_len(header: u64) -> usize {
    (header & 0xff) as usize
}

const _: () = assert!(CAPACITY_MAX < 256, "capacity and length take 8 bits each in a chunk header");

/// Equal to the bit: NaN sums of stale markers are equal to themselves here.
fn same_histogram(a: &Histogram, b: &Histogram) -> bool {
    a.sum.to_bits() == b.sum.to_bits() && {
        let same_but_sum = |h: &Histogram| Histogram { sum: 0.0, ..h.clone() };
        same_but_sum(a) == same_but_sum(b)
    }
}

fn histogram_heap_size(h: &Histogram) -> usize {
    let buckets = match &h.buckets {
        crate::Buckets::Integer { positive, negative, .. } => positive.len() + negative.len(),
        crate::Buckets::Float { positive, negative, .. } => positive.len() + negative.len(),
    };
    size_of::<Histogram>()
        + 32
        + (buckets + h.custom_values.len() + h.positive_spans.len() + h.negative_spans.len()) * 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn read(store: &SampleStore, series: SeriesId, range: TimeRange) -> SampleBuffer {
        let mut out = SampleBuffer::default();
        if let Some(head) = store.heads().get(series) {
            store.read(head, range, &mut out);
        }
        out
    }

    #[test]
    fn any_order_of_writes_reads_as_a_sorted_map() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let mut store = SampleStore::default();
            let mut model = std::collections::BTreeMap::new();
            for i in 0..600 {
                let late = rng.below(10) == 0;
                let t = if late { rng.below(600) as i64 } else { i };
                let (value, start) = (rng.below(3) as f64, if seed % 2 == 0 { rng.below(2) as i64 * 7 } else { 0 });
                store.float(3, t, value, start);
                model.insert(t, (value, start));
            }
            let (from, to) = (rng.below(300) as i64, 300 + rng.below(300) as i64);
            let got = read(&store, 3, TimeRange::new(from, to));
            let want: Vec<_> = model.range(from..=to).collect();
            assert_eq!(got.timestamps, want.iter().map(|(t, _)| **t).collect::<Vec<_>>());
            assert_eq!(got.values, want.iter().map(|(_, v)| v.0).collect::<Vec<_>>());
            if !got.start_timestamps.is_empty() {
                assert_eq!(got.start_timestamps, want.iter().map(|(_, v)| v.1).collect::<Vec<_>>());
            }
            assert!(read(&store, 2, TimeRange::ALL).is_empty());
        }
    }

    #[test]
    fn an_equal_sample_again_is_no_sample() {
        let mut store = SampleStore::default();
        for t in 0..300 {
            assert_eq!(store.float(0, t, 1.0, 0), Appended::Added);
        }
        for t in [0, 5, 150, 299] {
            assert_eq!(store.float(0, t, 1.0, 0), Appended::Duplicate);
        }
        assert_eq!(store.sample_count(), 300);
        assert_eq!(store.float(0, 299, 2.0, 0), Appended::Added);
        assert_eq!(read(&store, 0, TimeRange::new(299, 299)).values, [2.0]);
    }

    #[test]
    fn a_view_keeps_its_moment() {
        let mut store = SampleStore::default();
        for t in 0..10 {
            store.float(0, t, 1.0, 0);
        }
        let view = store.heads();
        for t in 5..200 {
            store.float(0, t, 2.0, 0);
        }
        let mut out = SampleBuffer::default();
        store.read(view.get(0).unwrap(), TimeRange::ALL, &mut out);
        assert_eq!(out.values, [1.0; 10]);
    }
}
