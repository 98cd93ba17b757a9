//! Terms of texts, and the index from terms to rows: hashes in order, cut to few bits, with the granules that have them.
//!
//! A granule is a number of neighbouring rows. The entries of a column are gathered in memory up to a limit and then
//! written as a section; a lookup asks every section. A hash that is cut may stand for several terms, so that an answer
//! may have too many granules and never too few.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use super::pack::{Pack, PackWriter, Place, put_places, take_places};
use crate::{
    Result,
    encoding::{MAX_COLUMN_VALUES, Reader, decode_integers, encode_integers, encode_unordered, malformed, put_uvarint},
    table::BLOCK_ROWS,
};

/// Texts that are longer are found by their words.
const WHOLE_MAX: usize = 48;
/// Bits of a hash that an entry keeps before it is cut further.
const KEY_BITS: u32 = 40;
/// Bits of an entry that hold the granule, as distance to the section's first.
const GRANULE_BITS: u32 = 64 - KEY_BITS;
/// Keys of one piece of a section.
const PIECE_KEYS: usize = 512;
/// Granules of one piece, beyond the first of each key.
const PIECE_GRANULES: usize = 8_192;
/// In sections of fewer granules all postings are written.
const FEW_GRANULES: u32 = 8;

/// Whether a text is found by its words and not as a whole.
pub(super) fn is_tokenised(text: &str) -> bool {
    // Here and in `is_word` all bytes are looked at: that takes less than to look for the first one.
    (text.len() > WHOLE_MAX || text.bytes().fold(false, |any, b| any | b.is_ascii_whitespace()))
        && (text.bytes().any(|b| b.is_ascii_alphanumeric()) || text.chars().any(char::is_alphanumeric))
}

/// Whether a text is one word.
pub(super) fn is_word(text: &str) -> bool {
    let alphanumeric =
        text.bytes().fold(true, |all, b| all & b.is_ascii_alphanumeric()) || text.chars().all(char::is_alphanumeric);
    !text.is_empty() && alphanumeric
}

/// The term of a text as a whole, and of a word.
pub(super) fn exact_term(text: &str) -> u64 {
    if text.is_ascii() { ascii_term(text.as_bytes()) } else { xxh3_64(text.to_lowercase().as_bytes()) }
}

fn ascii_term(text: &[u8]) -> u64 {
    let mut room = [0; 64];
    match room.get_mut(..text.len()) {
        Some(lower) => {
            lower.copy_from_slice(text);
            lower.make_ascii_lowercase();
            xxh3_64(lower)
        }
        None => xxh3_64(&text.to_ascii_lowercase()),
    }
}

/// The words of a text.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Hands out the terms of a text's words.
pub(super) fn tokens(text: &str, mut each: impl FnMut(u64)) {
    if text.is_ascii() {
        let words = text.as_bytes().split(|b| !b.is_ascii_alphanumeric());
        words.filter(|word| !word.is_empty()).for_each(|word| each(ascii_term(word)));
    } else {
        words(text).for_each(|word| each(exact_term(word)));
    }
}

/// What an index of terms is: its granule, and how exact its hashes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TermKind {
    /// Numbers of a dictionary, by block.
    Codes,
    /// Hashes of words, by 128 rows: of several words that are asked for together, few granules have all.
    Words,
    /// Hashes of texts as wholes, by block: a block is read in one piece, so that to know more of where they are would not
    /// read less.
    Wholes,
    /// Hashes of keys, by row.
    Keys,
}

impl TermKind {
    /// Rows of a granule.
    pub(super) const fn granule_rows(self) -> u32 {
        match self {
            Self::Codes | Self::Wholes => BLOCK_ROWS as u32,
            Self::Words => 128,
            Self::Keys => 1,
        }
    }

    /// Bits of a hash: those that tell `keys` keys apart, and some more, so that few lookups read a granule in vain. Each
    /// costs a bit an entry.
    const fn bits(self, keys: usize) -> u32 {
        let log = usize::BITS - keys.leading_zeros();
        let bits = match self {
            Self::Codes => KEY_BITS,
            Self::Words => log + 8,
            Self::Wholes => log + 5,
            Self::Keys => log + 14,
        };
        if bits > KEY_BITS { KEY_BITS } else { bits }
    }

    /// The key of a hash or a number before it is cut.
    const fn key(self, term: u64) -> u64 {
        match self {
            Self::Codes => term,
            Self::Words | Self::Wholes | Self::Keys => term >> GRANULE_BITS,
        }
    }
}

/// Gathers the entries of an index.
pub(super) struct TermBuilder {
    kind: TermKind,
    entries: Vec<u64>,
    /// The section's first granule.
    base: u32,
    /// The granule behind the section's last.
    end: u32,
    sections: Vec<Section>,
    pack: Pack,
}

impl TermBuilder {
    pub(super) const fn new(kind: TermKind, pack: Pack) -> Self {
        Self { kind, entries: Vec::new(), base: 0, end: 0, sections: Vec::new(), pack }
    }

    /// How many entries wait to be written.
    pub(super) const fn waiting(&self) -> usize {
        self.entries.len()
    }

    /// The granule of a row of a block.
    pub(super) const fn granule(&self, block: u32, row: u32) -> u32 {
        let rows = self.kind.granule_rows();
        block * (BLOCK_ROWS as u32 / rows) + row / rows
    }

    /// Adds a number or a hash; granules do not fall.
    pub(super) fn add(&mut self, term: u64, granule: u32) {
        if self.entries.is_empty() {
            self.base = granule;
        }
        self.end = granule + 1;
        self.entries.push(self.kind.key(term) << GRANULE_BITS | u64::from(granule - self.base));
    }

    /// Sorts the entries and takes out those that are there twice.
    pub(super) fn tidy(&mut self) {
        sort_by_key(&mut self.entries);
        self.entries.dedup();
    }

    /// Writes what waits as a section.
    pub(super) fn flush(&mut self, packs: &mut PackWriter) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        self.tidy();
        let distinct = self.entries.chunk_by(|a, b| a >> GRANULE_BITS == b >> GRANULE_BITS).count();
        let cut = KEY_BITS - self.kind.bits(distinct);
        let mut section = Section { granules: self.base..self.end, cut, pieces: Vec::new() };
        let mut piece = Piece::default();
        let mut granules: Vec<u32> = Vec::new();
        let span = self.end - self.base;
        for group in self.entries.chunk_by(|a, b| a >> (GRANULE_BITS + cut) == b >> (GRANULE_BITS + cut)) {
            let key = group[0] >> (GRANULE_BITS + cut);
            granules.clear();
            granules.extend(group.iter().map(|entry| (entry & ((1 << GRANULE_BITS) - 1)) as u32));
            granules.sort_unstable();
            granules.dedup();
            // What is nearly everywhere is not worth its bytes.
            let everywhere = span >= FEW_GRANULES && granules.len() as u32 > span / 2;
            if piece.keys.len() == PIECE_KEYS || (!everywhere && piece.rest.len() + granules.len() > PIECE_GRANULES) {
                piece.write(self.kind, &mut section, &mut self.pack, packs)?;
            }
            piece.add(key, if everywhere { &[] } else { &granules });
        }
        piece.write(self.kind, &mut section, &mut self.pack, packs)?;
        self.sections.push(section);
        // The room is not kept: there may be thousands of columns.
        self.entries = Vec::new();
        Ok(())
    }

    /// Writes what waits, and returns all sections.
    pub(super) fn finish(mut self, packs: &mut PackWriter) -> Result<Vec<Section>> {
        self.flush(packs)?;
        packs.close(&mut self.pack)?;
        Ok(self.sections)
    }
}

/// Sorts entries whose granules rise among those of one key: by their keys alone then, ten bits at a time from the lowest
/// (a radix sort, which keeps the order of what is equal). A third of a merge's time was spent comparing entries.
fn sort_by_key(entries: &mut Vec<u64>) {
    const DIGIT: u32 = 10;
    const _: () = assert!(KEY_BITS.is_multiple_of(DIGIT), "digits cover the key");
    if entries.len() < 1 << DIGIT {
        entries.sort_unstable();
        return;
    }
    let mut sorted = vec![0; entries.len()];
    for shift in (GRANULE_BITS..u64::BITS).step_by(DIGIT as usize) {
        let digit = |entry: u64| (entry >> shift) as usize & ((1 << DIGIT) - 1);
        let mut ends = [0_usize; 1 << DIGIT];
        entries.iter().for_each(|entry| ends[digit(*entry)] += 1);
        // Numbers of a dictionary are small: their upper digits are all the same.
        if ends.contains(&entries.len()) {
            continue;
        }
        let mut end = 0;
        for at in &mut ends {
            end += std::mem::replace(at, end);
        }
        for entry in &*entries {
            let place = &mut ends[digit(*entry)];
            sorted[*place] = *entry;
            *place += 1;
        }
        std::mem::swap(entries, &mut sorted);
    }
}

/// Part of a section that is read together.
#[derive(Default)]
struct Piece {
    keys: Vec<u64>,
    counts: Vec<i64>,
    firsts: Vec<i64>,
    /// The distances between a key's granules, of one key after another.
    rest: Vec<i64>,
}

impl Piece {
    fn add(&mut self, key: u64, granules: &[u32]) {
        self.keys.push(key);
        self.counts.push(granules.len() as i64);
        self.firsts.push(granules.first().map_or(0, |g| i64::from(*g)));
        self.rest.extend(granules.windows(2).map(|w| i64::from(w[1] - w[0])));
    }

    fn write(&mut self, kind: TermKind, section: &mut Section, pack: &mut Pack, packs: &mut PackWriter) -> Result<()> {
        let Some(first) = self.keys.first().copied() else { return Ok(()) };
        let mut out = Vec::new();
        put_uvarint(&mut out, self.keys.len() as u64);
        let gaps: Vec<i64> = self.keys.windows(2).map(|w| (w[1] - w[0]) as i64).collect();
        // What is in the order of hashes is in none.
        let encode = if kind == TermKind::Codes { encode_integers } else { encode_unordered };
        for column in [&gaps, &self.counts, &self.firsts, &self.rest] {
            encode(column, &mut out);
        }
        section.pieces.push((first, packs.append(pack, &out)?));
        *self = Self::default();
        Ok(())
    }
}

/// One section of an index.
#[derive(Debug)]
pub(super) struct Section {
    granules: Range<u32>,
    /// Bits of the key that are cut off.
    cut: u32,
    /// The first key of each piece, and where the piece is.
    pieces: Vec<(u64, Place)>,
}

impl Section {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_uvarint(out, u64::from(self.granules.start));
        put_uvarint(out, u64::from(self.granules.end - self.granules.start));
        out.push(self.cut as u8);
        put_uvarint(out, self.pieces.len() as u64);
        encode_integers(&self.pieces.iter().map(|p| p.0 as i64).collect::<Vec<_>>(), out);
        put_places(self.pieces.iter().map(|p| p.1), out);
    }

    /// Takes a section of a segment with so many granules.
    pub(super) fn take(reader: &mut Reader<'_>, granules: u32) -> Result<Self> {
        let start = reader.id()?;
        let end = start.checked_add(reader.id()?).filter(|end| *end <= granules);
        let end = end.ok_or_else(|| malformed("terms", "granules behind the last row"))?;
        let cut = u32::from(reader.u8()?);
        let count = reader.length(MAX_COLUMN_VALUES)?;
        let mut firsts = Vec::new();
        decode_integers(reader, count, &mut firsts)?;
        let firsts: Vec<u64> = firsts.into_iter().map(|f| f as u64).collect();
        if cut > KEY_BITS || count == 0 || !firsts.is_sorted_by(|a, b| a < b) {
            return Err(malformed("terms", "keys out of order"));
        }
        let pieces = firsts.into_iter().zip(take_places(reader, count)?).collect();
        Ok(Self { granules: start..end, cut, pieces })
    }

    /// The pieces and the first key of each, for who reads all.
    pub(super) fn places(&self) -> impl Iterator<Item = (Place, u64)> {
        self.pieces.iter().map(|p| (p.1, p.0))
    }

    /// The piece that has a term if any has, and the key it has there.
    pub(super) fn piece(&self, kind: TermKind, term: u64) -> Option<(Place, u64, u64)> {
        let key = kind.key(term) >> self.cut;
        let at = self.pieces.partition_point(|p| p.0 <= key).checked_sub(1)?;
        self.pieces.get(at).map(|(first, place)| (*place, *first, key))
    }

    pub(super) fn heap_size(&self) -> usize {
        size_of_val(self.pieces.as_slice())
    }

    /// Hands out the runs of granules that have `key`.
    pub(super) fn find(&self, piece: &[u8], first: u64, key: u64, mut each: impl FnMut(Range<u32>)) -> Result<()> {
        let mut reader = Reader::new(piece);
        let count = reader.length(PIECE_KEYS)?;
        let mut gaps = Vec::new();
        decode_integers(&mut reader, count.saturating_sub(1), &mut gaps)?;
        let mut at = first;
        let mut found = (at == key).then_some(0);
        for (number, gap) in gaps.iter().enumerate() {
            at = at.wrapping_add(*gap as u64);
            if at == key {
                found = Some(number + 1);
            }
        }
        let Some(found) = found.filter(|f| *f < count) else { return Ok(()) };
        let (mut counts, mut firsts) = (Vec::new(), Vec::new());
        decode_integers(&mut reader, count, &mut counts)?;
        decode_integers(&mut reader, count, &mut firsts)?;
        let more = |count: &i64| (*count).clamp(1, i64::from(u32::MAX)) as usize - 1;
        let skipped: usize = counts[..found].iter().map(more).sum();
        let wanted = more(&counts[found]);
        let all = skipped + wanted + counts[found + 1..].iter().map(more).sum::<usize>();
        if all > PIECE_GRANULES + self.granules.len() {
            return Err(malformed("terms", format!("{all} postings in one piece")));
        }
        if counts[found] == 0 {
            each(self.granules.clone());
            return Ok(());
        }
        let mut rest = Vec::new();
        decode_integers(&mut reader, all, &mut rest)?;
        let outside = || malformed("terms", "a granule behind the last row");
        let mut granule = u32::try_from(firsts[found]).map_err(|_| outside())?;
        for step in std::iter::once(&0).chain(&rest[skipped..skipped + wanted]) {
            granule = granule.checked_add(u32::try_from(*step).map_err(|_| outside())?).ok_or_else(outside)?;
            let absolute = self.granules.start.checked_add(granule).filter(|g| *g < self.granules.end);
            let absolute = absolute.ok_or_else(outside)?;
            each(absolute..absolute + 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path, sync::Arc};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        segment::{
            BlockCache,
            block::{BlockFile, BlockKind, BlockWriter},
            cache::segment_number,
        },
        table::segment::{file::PackFile, footer::EVENT_SEGMENT, pack::decode_table},
        vfs::{MemFs, OpenMode, Vfs},
    };

    /// Writes entries in so many sections and returns how to read them.
    fn write(kind: TermKind, parts: &[Vec<(u64, u32)>]) -> (PackFile, Vec<Section>) {
        let path = Path::new("terms");
        let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
        let file =
            || BlockFile { path: path.into(), file: vfs.open(path, OpenMode::CreateOrOpen).unwrap(), file_id: 1 };
        let mut packs = PackWriter::new(BlockWriter::start(file(), EVENT_SEGMENT, 1).unwrap());
        let mut builder = TermBuilder::new(kind, Pack::new(BlockKind::Terms));
        for part in parts {
            part.iter().for_each(|(term, granule)| builder.add(*term, *granule));
            builder.flush(&mut packs).unwrap();
        }
        let mut bytes = Vec::new();
        let sections = builder.finish(&mut packs).unwrap();
        sections.iter().for_each(|s| s.put(&mut bytes));
        let mut reader = Reader::new(&bytes);
        let sections = (0..sections.len()).map(|_| Section::take(&mut reader, u32::MAX).unwrap()).collect();
        assert!(reader.is_empty());
        let table = packs.finish().unwrap();
        let file = file();
        let packs = decode_table(&file.read(table, BlockKind::Packs).unwrap()).unwrap();
        (PackFile { file, packs, cache: BlockCache::new(1 << 20), number: segment_number() }, sections)
    }

    fn find(file: &PackFile, sections: &[Section], kind: TermKind, term: u64) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        for section in sections {
            if let Some((place, first, key)) = section.piece(kind, term) {
                let piece = file.read(place, BlockKind::Terms).unwrap();
                section.find(&piece, first, key, |granules| found.extend(granules)).unwrap();
            }
        }
        found
    }

    #[test]
    fn entries_are_sorted_as_by_comparing() {
        let mut random = 1_u64;
        for keys in [1, 7, 5_000, 1 << 40] {
            let mut entries: Vec<u64> = (0..20_000_u64)
                .map(|at| {
                    random = xxh3_64(&random.to_le_bytes());
                    (random % keys) << GRANULE_BITS | (at / 3)
                })
                .collect();
            let mut expected = entries.clone();
            expected.sort_unstable();
            sort_by_key(&mut entries);
            assert_eq!(entries, expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn nothing_is_missed(
            parts in prop::collection::vec(prop::collection::vec((0u64..3000, 0u32..3), 1..2000), 1..4),
            spread in 0u32..64,
            which in 0usize..4,
        ) {
            let kind = [TermKind::Codes, TermKind::Words, TermKind::Wholes, TermKind::Keys][which];
            let mut granule = 5;
            let term = |n: u64| if kind == TermKind::Codes { n } else { n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> spread };
            let parts: Vec<Vec<(u64, u32)>> = parts
                .into_iter()
                .map(|part| {
                    let entries = part.into_iter().map(|(n, step)| {
                        granule += step;
                        (term(n * n % 3000), granule)
                    });
                    entries.collect()
                })
                .collect();
            let (file, sections) = write(kind, &parts);
            prop_assert_eq!(sections.len(), parts.len());
            for (term, granule) in parts.iter().flatten().step_by(41) {
                prop_assert!(find(&file, &sections, kind, *term).contains(granule));
            }
        }
    }

    #[test]
    fn what_is_found_is_exact_where_it_is_rare() {
        let entries: Vec<(u64, u32)> = (0..100_000u32).map(|n| (xxh3_64(&(n / 3).to_le_bytes()), n / 10)).collect();
        let (file, sections) = write(TermKind::Words, &[entries]);
        let mut wrong = 0;
        for n in (0..40_000u32).step_by(11) {
            let found = find(&file, &sections, TermKind::Words, xxh3_64(&n.to_le_bytes()));
            let wanted: BTreeSet<u32> = (0..3).map(|i| n * 3 + i).filter(|n| *n < 100_000).map(|n| n / 10).collect();
            assert!(found.is_superset(&wanted));
            wrong += found.len() - wanted.len();
        }
        assert!(wrong < 20, "{wrong} granules too many");
        // A term of most granules has no postings.
        let everywhere: Vec<(u64, u32)> = (0..100).filter(|n| n % 7 != 0).map(|n| (9, n)).collect();
        let (file, sections) = write(TermKind::Codes, &[everywhere]);
        assert_eq!(find(&file, &sections, TermKind::Codes, 9), (1..100).collect());
        assert!(find(&file, &sections, TermKind::Codes, 8).is_empty());
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        assert_eq!(words("\u{c4}rger_42-x  y.").collect::<Vec<_>>(), ["\u{c4}rger", "42", "x", "y"]);
        assert_eq!(exact_term("\u{c4}RGER"), exact_term("\u{e4}rger"));
        assert_eq!(exact_term("Info"), xxh3_64(b"info"));
        assert!(is_tokenised("a b") && !is_tokenised("- -") && !is_tokenised("a-b") && is_tokenised(&"a".repeat(49)));
        let mut all = Vec::new();
        tokens("An ID-7", |term| all.push(term));
        assert_eq!(all, ["an", "id", "7"].map(exact_term));
        assert!(is_word("a1") && !is_word("a-b") && !is_word(""));
    }
}
