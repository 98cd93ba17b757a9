//! Finds rows by a text, by a word of a text, and by the hash of a key, without reading values.

use std::ops::Range;

use roaring::RoaringBitmap;

use super::{
    chunk::is_searched,
    column::ColumnIndex,
    open::{Column, EventSegment},
    terms::{Section, TermKind, exact_term, is_tokenised, is_word, tokens, words},
    text::{UNINDEXED, WHOLE_ONLY},
};
use crate::{
    Result,
    segment::block::BlockKind,
    table::{BLOCK_ROWS, ColumnKey, Needle},
};

/// Words of a text that are looked up to find it; more would seldom leave fewer rows.
const WORDS_MAX: usize = 16;

impl EventSegment {
    /// The ordinals of all rows whose key has this hash, and maybe of some more. `None` when the segment was written
    /// without keys.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(super) fn find_key_hash(&self, hash: u64) -> Result<Option<RoaringBitmap>> {
        let Some(sections) = self.key_sections()? else { return Ok(None) };
        let mut found = RoaringBitmap::new();
        self.lookup(&sections, TermKind::Keys, hash, &mut found)?;
        Ok(Some(found))
    }

    pub(super) fn find_rows(&self, key: &ColumnKey, needle: &Needle<'_>) -> Result<Option<RoaringBitmap>> {
        if !is_searched(key.kind) || matches!(needle, Needle::Token(word) if !is_word(word)) {
            return Ok(None);
        }
        let Some(column) = self.column(key) else { return Ok(Some(RoaringBitmap::new())) };
        let index = self.index(column)?;
        let mut found = self.find_codes(column, &index, needle)?;
        found |= self.find_terms(column, needle)?;
        for chunk in &index.chunks {
            let facts = &chunk.facts;
            let untold = match needle {
                Needle::Value(text) => facts.flags & UNINDEXED != 0 && facts.zone.may_hold(text),
                Needle::Token(_) => facts.flags & (UNINDEXED | WHOLE_ONLY) != 0,
            };
            if untold {
                self.add_granule(TermKind::Codes, chunk.block..chunk.block + 1, &mut found);
            }
        }
        Ok(Some(found))
    }

    /// Rows of blocks whose chunks have a text of the dictionary that fits.
    fn find_codes(&self, column: &Column, index: &ColumnIndex, needle: &Needle<'_>) -> Result<RoaringBitmap> {
        let mut found = RoaringBitmap::new();
        if index.dictionary.is_none() {
            return Ok(found);
        }
        let dictionary = self.dictionary(column, index)?;
        let codes: Vec<u32> = match needle {
            Needle::Value(text) => dictionary.code(text).into_iter().collect(),
            Needle::Token(word) => {
                let term = word.to_lowercase();
                let has = |text: &str| words(text).any(|w| w.to_lowercase() == term);
                (0..).zip(dictionary.iter()).filter(|(_, text)| has(text)).map(|(code, _)| code).collect()
            }
        };
        let terms = self.terms(column)?;
        for code in codes {
            self.lookup(&terms.codes, TermKind::Codes, code.into(), &mut found)?;
        }
        Ok(found)
    }

    /// Rows of granules that have the text, or all words of the needle.
    fn find_terms(&self, column: &Column, needle: &Needle<'_>) -> Result<RoaringBitmap> {
        let terms = self.terms(column)?;
        match needle {
            Needle::Value(text) if is_tokenised(text) => {
                let mut wanted = Vec::new();
                tokens(text, |term| wanted.push(term));
                self.find_words(&terms.words, wanted)
            }
            Needle::Value(text) => self.find_whole(&terms.wholes, text),
            // A text that is one word is there as a whole.
            Needle::Token(text) => {
                Ok(self.find_words(&terms.words, vec![exact_term(text)])? | self.find_whole(&terms.wholes, text)?)
            }
        }
    }

    fn find_whole(&self, sections: &[Section], text: &str) -> Result<RoaringBitmap> {
        let mut rows = RoaringBitmap::new();
        self.lookup(sections, TermKind::Wholes, exact_term(text), &mut rows)?;
        Ok(rows)
    }

    /// Rows of granules that have all of some words.
    fn find_words(&self, sections: &[Section], mut wanted: Vec<u64>) -> Result<RoaringBitmap> {
        // Longer words are rarer, but their terms do not tell their length: the first ones will do.
        wanted.dedup();
        wanted.truncate(WORDS_MAX);
        let mut all: Option<RoaringBitmap> = None;
        for term in wanted {
            let mut rows = RoaringBitmap::new();
            self.lookup(sections, TermKind::Words, term, &mut rows)?;
            if let Some(before) = all {
                rows &= before;
            }
            if rows.is_empty() {
                return Ok(rows);
            }
            all = Some(rows);
        }
        Ok(all.unwrap_or_default())
    }

    /// Adds the rows of all granules that have a term.
    fn lookup(&self, sections: &[Section], kind: TermKind, term: u64, found: &mut RoaringBitmap) -> Result<()> {
        let blocks = if kind == TermKind::Keys { BlockKind::Keys } else { BlockKind::Terms };
        for section in sections {
            let Some((place, first, key)) = section.piece(kind, term) else { continue };
            let piece = self.file.read(place, blocks)?;
            let add = |granules| self.add_granule(kind, granules, found);
            section.find(&piece, first, key, add).map_err(self.file.at(place))?;
        }
        Ok(())
    }

    fn add_granule(&self, kind: TermKind, granules: Range<u32>, found: &mut RoaringBitmap) {
        let rows = kind.granule_rows();
        let end = granules.end.saturating_mul(rows).min(self.footer.rows);
        found.insert_range(granules.start.saturating_mul(rows)..end);
    }
}

const _: () = assert!(BLOCK_ROWS as u32 == TermKind::Codes.granule_rows(), "codes are found by block");
