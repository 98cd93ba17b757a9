//! The rows of a batch by the hashes of their primary keys, made when a key is looked for in the batch for the first time.

use roaring::RoaringBitmap;

use super::key::{Keys, key_hash};

/// A part of each key's hash, in order, with the row that has the key.
#[derive(Debug)]
pub(crate) struct KeyIndex(Box<[(u32, u32)]>);

impl KeyIndex {
    /// What a row takes of memory in an index.
    pub(crate) const ROW_BYTES: usize = size_of::<(u32, u32)>();

    /// The index of rows with these keys; an empty key is none.
    pub(crate) fn of(keys: &Keys) -> Self {
        let known = keys.iter().zip(0_u32..).filter(|(key, _)| !key.is_empty());
        let mut all: Box<[(u32, u32)]> = known.map(|(key, row)| (part_of(key_hash(key)), row)).collect();
        all.sort_unstable();
        Self(all)
    }

    /// The rows that may have the key of this hash: a superset.
    pub(crate) fn find(&self, hash: u64) -> RoaringBitmap {
        let wanted = part_of(hash);
        let start = self.0.partition_point(|(part, _)| *part < wanted);
        self.0.iter().skip(start).take_while(|(part, _)| *part == wanted).map(|(_, row)| *row).collect()
    }
}

/// Enough of a hash: a batch has few rows beside the numbers that there are.
const fn part_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_of_a_key_are_found() {
        let mut keys = Keys::default();
        for n in 0..10_000_u32 {
            // Of every seventh row the key is not known; keys come twice.
            let key = (n / 2).to_le_bytes();
            keys.push(if n % 7 == 0 { &[] } else { &key });
        }
        let index = KeyIndex::of(&keys);
        for n in (0..10_000_u32).step_by(2) {
            let found = index.find(key_hash(&(n / 2).to_le_bytes()));
            assert_eq!((found.contains(n), found.contains(n + 1)), (n % 7 != 0, (n + 1) % 7 != 0), "{n}");
            assert!(found.len() < 4);
        }
        assert!(index.find(key_hash(&[])).len() < 4);
    }
}
