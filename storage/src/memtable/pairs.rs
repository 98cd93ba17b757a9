//! Label pairs of the memtable's index: each distinct (name, value) is stored once and named by a number.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The number of a distinct label pair.
pub(crate) type PairId = u32;
/// The number of a distinct label name.
pub(crate) type NameId = u32;

/// Most text, in bytes, that all pairs together may hold: offsets are 32 bits.
const TEXT_MAX: usize = u32::MAX as usize;

#[derive(Debug, Clone, Copy)]
struct Text {
    offset: u32,
    len: u32,
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    name: NameId,
    value: Text,
}

/// All distinct label pairs. Seeded, so that nobody outside can choose values that collide.
#[derive(Debug)]
pub(crate) struct PairTable {
    text: String,
    names: Vec<Text>,
    /// The pairs of each name, in order of arrival.
    pairs_of_name: Vec<Vec<PairId>>,
    pairs: Vec<Pair>,
    name_lookup: HashTable<NameId>,
    pair_lookup: HashTable<PairId>,
    seed: u64,
}

impl PairTable {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            text: String::new(),
            names: Vec::new(),
            pairs_of_name: Vec::new(),
            pairs: Vec::new(),
            name_lookup: HashTable::new(),
            pair_lookup: HashTable::new(),
            seed,
        }
    }

    /// How many distinct pairs there are.
    pub(crate) const fn len(&self) -> usize {
        self.pairs.len()
    }

    /// How many distinct names there are.
    pub(crate) const fn name_count(&self) -> usize {
        self.names.len()
    }

    /// Memory held, in bytes.
    pub(crate) fn heap_size(&self) -> usize {
        self.text.capacity()
            + self.pairs.capacity() * size_of::<Pair>()
            + self.pairs.len() * size_of::<PairId>()
            + self.pair_lookup.capacity() * 5
            + self.names.len() * 64
    }

    /// The pair's number, if it is known.
    pub(crate) fn find(&self, name: &str, value: &str) -> Option<PairId> {
        let name = self.find_name(name)?;
        self.find_value(name, value)
    }

    /// The name's number, if it is known.
    pub(crate) fn find_name(&self, name: &str) -> Option<NameId> {
        let hash = xxh3_64_with_seed(name.as_bytes(), self.seed);
        self.name_lookup.find(hash, |id| self.name(*id) == name).copied()
    }

    fn find_value(&self, name: NameId, value: &str) -> Option<PairId> {
        let hash = self.hash_value(name, value);
        self.pair_lookup
            .find(hash, |id| {
                let pair = self.pairs[*id as usize];
                pair.name == name && self.slice(pair.value) == value
            })
            .copied()
    }

    /// The pair's number; a new pair gets the next one. `None` when the table is full.
    pub(crate) fn intern(&mut self, name: &str, value: &str) -> Option<PairId> {
        let name = match self.find_name(name) {
            Some(id) => id,
            None => self.add_name(name)?,
        };
        if let Some(id) = self.find_value(name, value) {
            return Some(id);
        }
        let id = PairId::try_from(self.pairs.len()).ok()?;
        let value_text = self.add_text(value)?;
        self.pairs.push(Pair { name, value: value_text });
        self.pairs_of_name[name as usize].push(id);
        let hash = self.hash_value(name, value);
        let Self { pair_lookup, pairs, text, seed, .. } = self;
        pair_lookup.insert_unique(hash, id, |other| {
            let pair = pairs[*other as usize];
            hash_value(*seed, pair.name, slice(text, pair.value))
        });
        Some(id)
    }

    fn add_name(&mut self, name: &str) -> Option<NameId> {
        let id = NameId::try_from(self.names.len()).ok()?;
        let name_text = self.add_text(name)?;
        self.names.push(name_text);
        self.pairs_of_name.push(Vec::new());
        let hash = xxh3_64_with_seed(name.as_bytes(), self.seed);
        let Self { name_lookup, names, text, seed, .. } = self;
        name_lookup
            .insert_unique(hash, id, |other| xxh3_64_with_seed(slice(text, names[*other as usize]).as_bytes(), *seed));
        Some(id)
    }

    fn add_text(&mut self, added: &str) -> Option<Text> {
        if self.text.len() + added.len() > TEXT_MAX {
            return None;
        }
        let text = Text { offset: self.text.len() as u32, len: added.len() as u32 };
        self.text.push_str(added);
        Some(text)
    }

    fn hash_value(&self, name: NameId, value: &str) -> u64 {
        hash_value(self.seed, name, value)
    }

    fn slice(&self, text: Text) -> &str {
        slice(&self.text, text)
    }

    /// The text of a name.
    pub(crate) fn name(&self, id: NameId) -> &str {
        self.slice(self.names[id as usize])
    }

    /// The name and the value of a pair.
    pub(crate) fn pair(&self, id: PairId) -> (&str, &str) {
        let pair = self.pairs[id as usize];
        (self.name(pair.name), self.slice(pair.value))
    }

    /// The value of a pair.
    pub(crate) fn value(&self, id: PairId) -> &str {
        self.slice(self.pairs[id as usize].value)
    }

    /// The name of a pair.
    pub(crate) fn name_of(&self, id: PairId) -> NameId {
        self.pairs[id as usize].name
    }

    /// The pairs that have this name.
    pub(crate) fn pairs_of(&self, name: NameId) -> &[PairId] {
        &self.pairs_of_name[name as usize]
    }

    /// The rank of every pair in the order of (name, value): comparing ranks compares pairs.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<PairId> = (0..self.pairs.len() as u32).collect();
        order.sort_unstable_by(|a, b| self.pair(*a).cmp(&self.pair(*b)));
        let mut ranks = vec![0; order.len()];
        for (rank, id) in order.into_iter().enumerate() {
            ranks[id as usize] = rank as u32;
        }
        ranks
    }
}

fn slice(text: &str, at: Text) -> &str {
    &text[at.offset as usize..at.offset as usize + at.len as usize]
}

fn hash_value(seed: u64, name: NameId, value: &str) -> u64 {
    xxh3_64_with_seed(value.as_bytes(), seed ^ u64::from(name).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_stored_once_and_ranks_follow_the_text() {
        let mut table = PairTable::new(7);
        let b = table.intern("job", "b").unwrap();
        let a = table.intern("job", "a").unwrap();
        let i = table.intern("instance", "z").unwrap();
        assert_eq!(table.intern("job", "b"), Some(b));
        assert_eq!(table.len(), 3);
        assert_eq!(table.find("job", "c"), None);
        assert_eq!(table.find("nope", "c"), None);
        assert_eq!(table.pair(i), ("instance", "z"));
        let ranks = table.ranks();
        assert!(ranks[i as usize] < ranks[a as usize] && ranks[a as usize] < ranks[b as usize]);
        assert_eq!(table.pairs_of(table.find_name("job").unwrap()), [b, a]);
    }
}
