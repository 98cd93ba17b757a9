//! The index of a column: of each chunk its block, place and bounds; and where its dictionary and its terms are.

use super::{
    chunk::ChunkFacts,
    pack::{Place, put_places, take_places, take_u32s},
    terms::{Section, TermKind},
    zone::Zone,
};
use crate::{
    Result,
    encoding::{MAX_COLUMN_VALUES, Reader, encode_integers, malformed, put_uvarint},
    table::BLOCK_ROWS,
};

/// A chunk as the index knows it.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) block: u32,
    pub(super) place: Place,
    pub(super) facts: ChunkFacts,
}

/// Where a column's dictionary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DictionaryAt {
    pub(super) entries: u32,
    pub(super) place: Place,
}

/// A column's chunks by block; a block without a chunk has only nulls.
#[derive(Debug, Default)]
pub(super) struct ColumnIndex {
    pub(super) chunks: Vec<Chunk>,
    pub(super) dictionary: Option<DictionaryAt>,
}

impl ColumnIndex {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_uvarint(&mut out, self.chunks.len() as u64);
        let column = |of: fn(&Chunk) -> u32| self.chunks.iter().map(|c| i64::from(of(c))).collect::<Vec<_>>();
        encode_integers(&column(|c| c.block), &mut out);
        put_places(self.chunks.iter().map(|c| c.place), &mut out);
        encode_integers(&column(|c| c.facts.present), &mut out);
        encode_integers(&column(|c| u32::from(c.facts.flags)), &mut out);
        self.chunks.iter().for_each(|c| c.facts.zone.put(&mut out));
        put_uvarint(&mut out, self.dictionary.map_or(0, |d| u64::from(d.entries)));
        if let Some(dictionary) = self.dictionary {
            dictionary.place.put(&mut out);
        }
        out
    }

    /// The index in these bytes, of a segment of `rows` rows.
    pub(super) fn decode(bytes: &[u8], rows: u32) -> Result<Self> {
        let wrong = |reason: &str| malformed("column index", reason);
        let blocks = rows.div_ceil(BLOCK_ROWS as u32);
        let mut reader = Reader::new(bytes);
        let count = reader.length(MAX_COLUMN_VALUES.min(blocks as usize))?;
        let numbers = take_u32s(&mut reader, count)?;
        if !numbers.is_sorted_by(|a, b| a < b) || numbers.last().is_some_and(|last| *last >= blocks) {
            return Err(wrong("blocks out of order"));
        }
        let places = take_places(&mut reader, count)?;
        let present = take_u32s(&mut reader, count)?;
        let flags = take_u32s(&mut reader, count)?;
        let mut chunks = Vec::with_capacity(count);
        for (((block, place), present), flags) in numbers.into_iter().zip(places).zip(present).zip(flags) {
            if present as usize > block_len(rows, block) {
                return Err(wrong("more values than rows"));
            }
            let flags = u8::try_from(flags).map_err(|_| wrong("flags"))?;
            chunks.push(Chunk { block, place, facts: ChunkFacts { present, zone: Zone::take(&mut reader)?, flags } });
        }
        let entries = reader.id()?;
        let dictionary = match entries {
            0 => None,
            _ => Some(DictionaryAt { entries, place: Place::take(&mut reader)? }),
        };
        reader.finish("column index")?;
        Ok(Self { chunks, dictionary })
    }

    /// The chunk of a block.
    pub(super) fn chunk(&self, block: usize) -> Option<&Chunk> {
        let at = self.chunks.binary_search_by_key(&block, |c| c.block as usize).ok()?;
        self.chunks.get(at)
    }

    /// Memory that it takes, nearly.
    pub(super) fn heap_size(&self) -> usize {
        self.chunks.capacity() * size_of::<Chunk>()
    }
}

/// The rows of a block of a segment of `rows` rows.
pub(super) fn block_len(rows: u32, block: u32) -> usize {
    (rows as usize).saturating_sub(block as usize * BLOCK_ROWS).min(BLOCK_ROWS)
}

/// Where a column's terms are.
#[derive(Debug, Default)]
pub(super) struct TermIndex {
    /// Numbers of the dictionary, by block.
    pub(super) codes: Vec<Section>,
    /// Hashes of words.
    pub(super) words: Vec<Section>,
    /// Hashes of texts as wholes.
    pub(super) wholes: Vec<Section>,
}

impl TermIndex {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for sections in [&self.codes, &self.words, &self.wholes] {
            put_sections(sections, &mut out);
        }
        out
    }

    /// The index in these bytes, of a segment of `rows` rows.
    pub(super) fn decode(bytes: &[u8], rows: u32) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let codes = take_sections(&mut reader, TermKind::Codes, rows)?;
        let words = take_sections(&mut reader, TermKind::Words, rows)?;
        let wholes = take_sections(&mut reader, TermKind::Wholes, rows)?;
        reader.finish("term index")?;
        Ok(Self { codes, words, wholes })
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.codes.is_empty() && self.words.is_empty() && self.wholes.is_empty()
    }

    pub(super) fn heap_size(&self) -> usize {
        self.codes.iter().chain(&self.words).chain(&self.wholes).map(Section::heap_size).sum()
    }
}

/// Appends the number of sections and each of them.
pub(super) fn put_sections(sections: &[Section], out: &mut Vec<u8>) {
    put_uvarint(out, sections.len() as u64);
    sections.iter().for_each(|s| s.put(out));
}

/// Takes sections of a segment of `rows` rows.
pub(super) fn take_sections(reader: &mut Reader<'_>, kind: TermKind, rows: u32) -> Result<Vec<Section>> {
    let count = reader.length(reader.rest().len())?;
    let granules = rows.div_ceil(kind.granule_rows());
    (0..count).map(|_| Section::take(reader, granules)).collect()
}
