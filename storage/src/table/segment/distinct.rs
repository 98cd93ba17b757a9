//! The texts of a chunk that differ.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Bits of a place in the memory of what was seen.
const SEEN_BITS: u32 = 10;
/// No number of a text.
const NONE: u32 = u32::MAX;

/// The texts of a chunk that differ, numbered in the order in which they come.
#[derive(Debug)]
pub(super) struct Distinct {
    /// Of each number the hash of its text.
    pub(super) hashes: Vec<u64>,
    /// Of each text the number of what it is equal to.
    pub(super) codes: Vec<u32>,
    /// Of each number the first text that has it.
    pub(super) firsts: Vec<u32>,
}

impl Distinct {
    /// `views` are what Arrow has of the values, all of one array: short texts are in their views, and texts of a
    /// dictionary have their place in it there. So equal views tell that texts are equal, and most texts need neither be
    /// hashed nor compared. Different views tell nothing.
    pub(super) fn of(values: &[&[u8]], views: impl Iterator<Item = u128>) -> Self {
        let mut all = Self { hashes: Vec::new(), codes: Vec::with_capacity(values.len()), firsts: Vec::new() };
        let mut numbers: HashTable<u32> = HashTable::with_capacity(values.len());
        let mut seen = vec![(0, NONE); 1 << SEEN_BITS];
        for ((at, value), view) in values.iter().enumerate().zip(views) {
            let slot = &mut seen[place(view)];
            if slot.0 != view || slot.1 == NONE {
                *slot = (view, all.number(at, value, values, &mut numbers));
            }
            all.codes.push(slot.1);
        }
        all
    }

    /// The number of a text.
    fn number(&mut self, at: usize, value: &[u8], values: &[&[u8]], numbers: &mut HashTable<u32>) -> u32 {
        let hash = xxh3_64(value);
        let Self { hashes, firsts, .. } = self;
        let found =
            numbers.find(hash, |n| hashes[*n as usize] == hash && values[firsts[*n as usize] as usize] == value);
        if let Some(number) = found {
            return *number;
        }
        let number = firsts.len() as u32;
        firsts.push(at as u32);
        hashes.push(hash);
        numbers.insert_unique(hash, number, |n| hashes[*n as usize]);
        number
    }

    pub(super) fn repeats(&self) -> bool {
        self.firsts.len() * 2 <= self.codes.len()
    }

    /// The texts, each once, in the order of their numbers.
    pub(super) fn texts<'v>(&self, values: &[&'v [u8]]) -> impl Iterator<Item = &'v [u8]> + Clone {
        self.firsts.iter().map(|at| values[*at as usize])
    }
}

/// Where a view is kept.
const fn place(view: u128) -> usize {
    let mixed = (view as u64 ^ ((view >> 64) as u64).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - SEEN_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use arrow_array::StringViewArray;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equal_texts_have_one_number(
            texts in prop::collection::vec("[ab]{0,3}|(long enough for a buffer )[a-c]{0,2}", 1..300),
            picked in prop::collection::vec(any::<prop::sample::Index>(), 0..900),
        ) {
            // Texts of a dictionary that has some of them twice.
            let dictionary: StringViewArray = texts.iter().map(Some).collect();
            let picked: Vec<usize> = picked.iter().map(|at| at.index(texts.len())).collect();
            let values: Vec<&[u8]> = picked.iter().map(|at| dictionary.value(*at).as_bytes()).collect();
            let distinct = Distinct::of(&values, picked.iter().map(|at| dictionary.views()[*at]));
            let mut expected: Vec<&[u8]> = Vec::new();
            for (value, code) in values.iter().zip(&distinct.codes) {
                if !expected.contains(value) {
                    expected.push(value);
                }
                prop_assert_eq!(expected[*code as usize], *value);
            }
            prop_assert_eq!(distinct.texts(&values).collect::<Vec<_>>(), expected);
            prop_assert!(distinct.hashes.iter().zip(distinct.texts(&values)).all(|(hash, text)| *hash == xxh3_64(text)));
        }
    }
}
