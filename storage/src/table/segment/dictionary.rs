//! A column's dictionary: texts that repeat throughout a segment, held once and referred to by number.

use std::sync::OnceLock;

use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_buffer::Buffer;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::text::{Texts, take_lengths};
use crate::{
    Result,
    encoding::{Reader, encode_integers},
};

/// Most texts of one dictionary.
pub(super) const ENTRIES_MAX: usize = 1 << 16;
/// Most bytes of one dictionary.
pub(super) const BYTES_MAX: usize = 2 << 20;
/// Longest text that comes into one.
pub(super) const ENTRY_LEN_MAX: usize = 4 << 10;

/// A dictionary that grows while its column is written.
#[derive(Debug, Default)]
pub(super) struct DictionaryBuilder {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    hashes: Vec<u64>,
    codes: HashTable<u32>,
}

impl DictionaryBuilder {
    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Memory that it takes, nearly.
    pub(super) const fn size(&self) -> usize {
        self.bytes.capacity() + self.ends.len() * 20
    }

    fn text(&self, code: u32) -> &[u8] {
        let code = code as usize;
        let start = code.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.ends.get(code).and_then(|end| self.bytes.get(start..*end as usize)).unwrap_or_default()
    }

    /// The number of a text.
    pub(super) fn code(&self, hash: u64, text: &[u8]) -> Option<u32> {
        self.codes.find(hash, |code| self.text(*code) == text).copied()
    }

    /// Whether so many more texts with so many bytes fit.
    pub(super) const fn has_room(&self, texts: usize, bytes: usize) -> bool {
        self.ends.len() + texts <= ENTRIES_MAX && self.bytes.len() + bytes <= BYTES_MAX
    }

    /// Adds a text that is not there yet.
    pub(super) fn add(&mut self, hash: u64, text: &[u8]) -> u32 {
        let code = self.ends.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
        self.hashes.push(hash);
        let hashes = &self.hashes;
        self.codes.insert_unique(hash, code, |code| hashes.get(*code as usize).copied().unwrap_or(0));
        code
    }

    /// The dictionary's bytes: the lengths, then the texts.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut before = 0;
        let lengths = self.ends.iter().map(|end| {
            let len = i64::from(*end - before);
            before = *end;
            len
        });
        let mut out = Vec::with_capacity(self.bytes.len() + 2 * self.ends.len());
        encode_integers(&lengths.collect::<Vec<_>>(), &mut out);
        out.extend_from_slice(&self.bytes);
        out
    }
}

/// A dictionary that is read. Arrays of its column share its texts.
#[derive(Debug)]
pub(super) struct Dictionary {
    pub(super) texts: ArrayRef,
    codes: OnceLock<HashTable<u32>>,
}

impl Dictionary {
    /// The dictionary of `count` texts in these bytes.
    pub(super) fn decode(bytes: &Buffer, count: usize, binary: bool) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let lengths = take_lengths(&mut reader, count)?;
        let start = bytes.len() - reader.rest().len();
        let texts = Texts::Bytes { lengths, bytes: bytes.slice(start) }.array(None, binary)?;
        Ok(Self { texts, codes: OnceLock::new() })
    }

    /// Memory that it takes, in bytes.
    pub(super) fn heap_size(&self) -> usize {
        self.texts.get_array_memory_size() + self.codes.get().map_or(0, |c| c.capacity() * 5)
    }

    /// All texts; none for a column of bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.as_string_view_opt().into_iter().flat_map(|t| t.iter().flatten())
    }

    /// The number of a text.
    pub(super) fn code(&self, text: &str) -> Option<u32> {
        let texts = self.texts.as_string_view_opt()?;
        let hash = |code: &u32| xxh3_64(texts.value(*code as usize).as_bytes());
        let codes = self.codes.get_or_init(|| {
            let mut codes = HashTable::with_capacity(texts.len());
            for code in 0..texts.len() as u32 {
                codes.insert_unique(hash(&code), code, hash);
            }
            codes
        });
        codes.find(xxh3_64(text.as_bytes()), |code| texts.value(*code as usize) == text).copied()
    }
}
