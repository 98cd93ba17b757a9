//! The memtable's index: label sets to series numbers and back, and a cache from label bytes on the wire.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU8, Ordering},
};

use hashbrown::HashTable;
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    pairs::{PairId, PairTable},
    postings::Postings,
};
use crate::model::{labels::Labels, matcher::Matcher};

/// The number of a series in the memtable's index.
pub(crate) type SeriesId = u32;

/// All series that the memtable may hold samples of.
#[derive(Debug)]
pub(crate) struct Index {
    pairs: PairTable,
    /// Pair numbers of all series, one after another; each series' are in order of their names.
    series_pairs: Vec<PairId>,
    /// Where each series' pairs begin in `series_pairs`; one more entry for the end.
    starts: Vec<u32>,
    lookup: HashTable<SeriesId>,
    wire: HashTable<WireEntry>,
    /// Whether the series' definition stands in the current log generation.
    logged: Vec<AtomicU8>,
    /// The same for pairs.
    pair_logged: Vec<AtomicU8>,
    /// Built when a query needs them, so that registering a series stays cheap.
    postings: Mutex<Postings>,
    /// The rank of every pair, as of the last sorting; out of date when pairs were added since.
    ranks: Mutex<Vec<u32>>,
    seed: u64,
}

/// A keyed 128-bit hash of a label set's bytes as a sender wrote them, and its series. Kept as 32-bit words: 20 bytes.
#[derive(Debug, Clone, Copy)]
struct WireEntry {
    key: [u32; 4],
    series: SeriesId,
}

impl WireEntry {
    const fn hash(key: [u32; 4]) -> u64 {
        (key[0] as u64) << 32 | key[1] as u64
    }
}

const fn words(key: u128) -> [u32; 4] {
    [(key >> 96) as u32, (key >> 64) as u32, (key >> 32) as u32, key as u32]
}

impl Index {
    /// An empty index whose hashes are keyed by `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            pairs: PairTable::new(seed),
            series_pairs: Vec::new(),
            starts: vec![0],
            lookup: HashTable::new(),
            wire: HashTable::new(),
            logged: Vec::new(),
            pair_logged: Vec::new(),
            postings: Mutex::default(),
            ranks: Mutex::default(),
            seed,
        }
    }

    /// How many series there are.
    pub(crate) const fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The distinct label pairs.
    pub(crate) const fn pairs(&self) -> &PairTable {
        &self.pairs
    }

    /// Memory held, in bytes.
    pub(crate) fn heap_size(&self) -> usize {
        self.pairs.heap_size()
            + (self.series_pairs.capacity() + self.starts.capacity()) * 4
            + self.lookup.capacity() * 5
            + self.wire.capacity() * (size_of::<WireEntry>() + 1)
            + self.logged.capacity()
            + self.pair_logged.capacity()
            + lock(&self.postings).heap_size()
    }

    /// Memory held, in bytes, counted in constant time: the postings, built or not, are taken at 3 bytes a label.
    pub(crate) fn approximate_size(&self) -> usize {
        self.pairs.heap_size()
            + self.series_pairs.len() * 7
            + self.len() * 16
            + self.wire.len() * 2 * size_of::<WireEntry>()
    }

    /// Sorts series by their labels.
    pub(crate) fn sort_by_labels(&self, ids: &mut [SeriesId]) {
        let mut ranks = lock(&self.ranks);
        if ranks.len() != self.pairs.len() {
            *ranks = self.pairs.ranks();
        }
        let rank = |id: SeriesId| self.series_pairs(id).iter().map(|p| ranks[*p as usize]);
        ids.sort_unstable_by(|a, b| rank(*a).cmp(rank(*b)));
    }

    /// The series last seen with these bytes on the wire.
    pub(crate) fn find_wire(&self, key: u128) -> Option<SeriesId> {
        let key = words(key);
        self.wire.find(WireEntry::hash(key), |e| e.key == key).map(|e| e.series)
    }

    /// Remembers which series these bytes on the wire mean.
    pub(crate) fn remember_wire(&mut self, key: u128, series: SeriesId) {
        let key = words(key);
        let hash = WireEntry::hash(key);
        match self.wire.find_mut(hash, |e| e.key == key) {
            Some(entry) => entry.series = series,
            None => {
                self.wire.insert_unique(hash, WireEntry { key, series }, |e| WireEntry::hash(e.key));
            }
        }
    }

    /// The series of this label set (sorted by name), if it is known.
    pub(crate) fn find(&self, labels: &[(&str, &str)], scratch: &mut Vec<PairId>) -> Option<SeriesId> {
        scratch.clear();
        for (name, value) in labels {
            scratch.push(self.pairs.find(name, value)?);
        }
        self.find_pairs(scratch)
    }

    fn find_pairs(&self, pairs: &[PairId]) -> Option<SeriesId> {
        self.lookup.find(hash_pairs(self.seed, pairs), |id| self.series_pairs(*id) == pairs).copied()
    }

    /// The series of this label set (sorted by name), registered when it is new. `None` when the index is full.
    pub(crate) fn register(&mut self, labels: &[(&str, &str)], scratch: &mut Vec<PairId>) -> Option<SeriesId> {
        scratch.clear();
        for (name, value) in labels {
            scratch.push(self.intern(name, value)?);
        }
        self.register_pairs(scratch)
    }

    /// The number of a label pair, registered when it is new. `None` when the index is full.
    pub(crate) fn intern(&mut self, name: &str, value: &str) -> Option<PairId> {
        let id = self.pairs.intern(name, value)?;
        if self.pair_logged.len() < self.pairs.len() {
            self.pair_logged.resize_with(self.pairs.len(), AtomicU8::default);
        }
        Some(id)
    }

    /// The series of these pairs (in order of their names), registered when it is new. `None` when the index is full.
    pub(crate) fn register_pairs(&mut self, pairs: &[PairId]) -> Option<SeriesId> {
        if let Some(id) = self.find_pairs(pairs) {
            return Some(id);
        }
        let id = SeriesId::try_from(self.len()).ok()?;
        let end = u32::try_from(self.series_pairs.len() + pairs.len()).ok()?;
        self.series_pairs.extend_from_slice(pairs);
        self.starts.push(end);
        self.logged.push(AtomicU8::new(0));
        let Self { lookup, series_pairs, starts, seed, .. } = self;
        lookup.insert_unique(hash_pairs(*seed, pairs), id, |other| {
            let (from, to) = (starts[*other as usize] as usize, starts[*other as usize + 1] as usize);
            hash_pairs(*seed, &series_pairs[from..to])
        });
        Some(id)
    }

    /// The pairs of a series, in order of their names.
    pub(crate) fn series_pairs(&self, id: SeriesId) -> &[PairId] {
        let (from, to) = (self.starts[id as usize] as usize, self.starts[id as usize + 1] as usize);
        &self.series_pairs[from..to]
    }

    /// The labels of a series.
    pub(crate) fn labels(&self, id: SeriesId) -> Labels {
        Labels::from_sorted(self.series_pairs(id).iter().map(|p| self.pairs.pair(*p)))
    }

    /// Whether the series' definition stands in the current log generation.
    pub(crate) fn is_logged(&self, id: SeriesId) -> bool {
        self.logged[id as usize].load(Ordering::Relaxed) != 0
    }

    /// Notes that the definition of a series and its pairs stands in the current log generation.
    pub(crate) fn set_logged(&self, id: SeriesId) {
        self.logged[id as usize].store(1, Ordering::Relaxed);
        for pair in self.series_pairs(id) {
            self.pair_logged[*pair as usize].store(1, Ordering::Relaxed);
        }
    }

    /// Takes back [`Index::set_logged`]: the log did not take the definition. Its pairs are written again as well,
    /// which does no harm where they stand already.
    pub(crate) fn unset_logged(&self, id: SeriesId) {
        self.logged[id as usize].store(0, Ordering::Relaxed);
        for pair in self.series_pairs(id) {
            self.pair_logged[*pair as usize].store(0, Ordering::Relaxed);
        }
    }

    /// Whether the pair's definition stands in the current log generation.
    pub(crate) fn is_pair_logged(&self, id: PairId) -> bool {
        self.pair_logged[id as usize].load(Ordering::Relaxed) != 0
    }

    /// Forgets what was logged: a new log generation begins.
    pub(crate) fn start_log_generation(&self) {
        for flag in self.logged.iter().chain(&self.pair_logged) {
            flag.store(0, Ordering::Relaxed);
        }
    }

    /// Series that fulfil every matcher, among those registered so far.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> RoaringBitmap {
        let mut postings = lock(&self.postings);
        postings.catch_up(self);
        postings.select(self, matchers)
    }

    /// Series that have this pair.
    pub(crate) fn series_with(&self, pair: PairId) -> RoaringBitmap {
        let mut postings = lock(&self.postings);
        postings.catch_up(self);
        postings.of_pair(pair)
    }

    /// Names with how many distinct values each has, the most first.
    pub(crate) fn name_cardinalities(&self) -> Vec<(&str, usize)> {
        let mut all: Vec<_> = (0..self.pairs.name_count() as u32)
            .map(|id| (self.pairs.name(id), self.pairs.pairs_of(id).len()))
            .collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash_pairs(seed: u64, pairs: &[PairId]) -> u64 {
    // Pair numbers are small; a copy to bytes on the stack keeps one hash function for all sizes.
    let mut bytes = [0u8; 256];
    if let Some(room) = bytes.get_mut(..pairs.len() * 4) {
        for (slot, pair) in room.chunks_exact_mut(4).zip(pairs) {
            slot.copy_from_slice(&pair.to_le_bytes());
        }
        return xxh3_64_with_seed(room, seed);
    }
    let bytes: Vec<u8> = pairs.iter().flat_map(|p| p.to_le_bytes()).collect();
    xxh3_64_with_seed(&bytes, seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::matcher::MatchOp;

    #[test]
    fn a_label_set_is_one_series_by_every_way() {
        let mut index = Index::new(1);
        let mut scratch = Vec::new();
        let up = index.register(&[("__name__", "up"), ("job", "a")], &mut scratch).unwrap();
        let other = index.register(&[("__name__", "up"), ("job", "b")], &mut scratch).unwrap();
        assert_ne!(up, other);
        assert_eq!(index.register(&[("__name__", "up"), ("job", "a")], &mut scratch), Some(up));
        assert_eq!(index.find(&[("__name__", "up"), ("job", "a")], &mut scratch), Some(up));
        assert_eq!(index.find(&[("__name__", "up")], &mut scratch), None);
        index.remember_wire(77, up);
        assert_eq!(index.find_wire(77), Some(up));
        assert_eq!(index.find_wire(78), None);
        assert_eq!(index.labels(other).to_string(), r#"up{job="b"}"#);
        assert!(!index.is_logged(up));
        index.set_logged(up);
        assert!(index.is_logged(up) && !index.is_logged(other));
        index.start_log_generation();
        assert!(!index.is_logged(up));
    }

    #[test]
    fn selects_by_matchers_and_absent_labels_count_as_empty() {
        let mut index = Index::new(1);
        let mut scratch = Vec::new();
        for (name, job) in [("up", "a"), ("up", "b"), ("down", "a"), ("up", "")] {
            let labels = [("__name__", name), ("job", job)];
            let labels = if job.is_empty() { &labels[..1] } else { &labels[..] };
            index.register(labels, &mut scratch).unwrap();
        }
        let select = |matchers: &[(&str, MatchOp, &str)]| -> Vec<u32> {
            let matchers: Vec<_> = matchers.iter().map(|(n, o, v)| Matcher::new(*n, *o, *v).unwrap()).collect();
            index.select(&matchers).iter().collect()
        };
        assert_eq!(select(&[("__name__", MatchOp::Equal, "up")]), [0, 1, 3]);
        assert_eq!(select(&[("__name__", MatchOp::Equal, "up"), ("job", MatchOp::NotEqual, "a")]), [1, 3]);
        assert_eq!(select(&[("job", MatchOp::Regex, "a|b")]), [0, 1, 2]);
        assert_eq!(select(&[("job", MatchOp::Regex, ".*")]), [0, 1, 2, 3]);
        assert_eq!(select(&[("job", MatchOp::Equal, "")]), [3]);
        assert_eq!(select(&[("job", MatchOp::NotEqual, "")]), [0, 1, 2]);
        assert_eq!(select(&[("job", MatchOp::NotRegex, "a.*")]), [1, 3]);
        assert_eq!(select(&[("gone", MatchOp::Equal, "x")]), [] as [u32; 0]);
        assert_eq!(select(&[("gone", MatchOp::NotEqual, "x")]), [0, 1, 2, 3]);
        assert_eq!(select(&[]), [0, 1, 2, 3]);
    }
}
