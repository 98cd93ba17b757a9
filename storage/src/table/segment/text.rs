//! Chunks of texts and bytes: numbers of a dictionary, texts of one shape, or the bytes as they are.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, BinaryViewArray, StringArray, StringViewArray, UInt32Array};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_select::take::take;

use super::{
    chunk::Beside,
    dictionary::{DictionaryBuilder, ENTRY_LEN_MAX},
    distinct::Distinct,
    pick::Pick,
    presence::spread,
    shapes::{RowTimes, decode_shape, encode_row_times, encode_shape, is_time},
    terms::{TermBuilder, exact_term, is_tokenised, is_word, tokens},
};
use crate::{
    Result,
    encoding::{Reader, decode_blocks, encode_integers, malformed, put_uvarint},
};

const DICTIONARY: u8 = 0;
const LOCAL: u8 = 1;
const SHAPE: u8 = 2;
const PLAIN: u8 = 3;

/// Texts that a dictionary takes in before it is known that they repeat.
const FIRST_ENTRIES: usize = 64;
/// Entries up to which a dictionary takes texts that repeat inside a chunk only.
const EAGER_ENTRIES: usize = 4_096;

/// Set when texts of the chunk are in the term index as wholes only, so that their words are not found.
pub(super) const WHOLE_ONLY: u8 = 1;
/// Set when texts of the chunk are in no index.
pub(super) const UNINDEXED: u8 = 2;

/// What a text column gathers while it is written.
pub(super) struct TextColumn {
    pub(super) dictionary: DictionaryBuilder,
    /// Which blocks have each number of the dictionary.
    pub(super) codes: TermBuilder,
    /// Which granules have each text or word; none for a kind that is not searched.
    pub(super) terms: Option<Terms>,
}

/// What the term index of a text column gathers.
pub(super) struct Terms {
    pub(super) words: TermBuilder,
    pub(super) wholes: TermBuilder,
}

/// Where the texts of a chunk are.
pub(super) struct TextsAt<'a> {
    /// The block of rows.
    pub(super) block: u32,
    /// The row of each text inside its block.
    pub(super) rows: &'a dyn Fn(usize) -> u32,
    /// Whether dictionaries may grow.
    pub(super) may_grow: bool,
    /// The times of the block's rows, where the texts are values of rows.
    pub(super) times: Option<&'a RowTimes>,
}

/// Appends the texts of a chunk and returns [`WHOLE_ONLY`] and [`UNINDEXED`] as they apply.
pub(super) fn encode_texts(
    values: &[&[u8]],
    distinct: &Distinct,
    at: &TextsAt<'_>,
    column: &mut TextColumn,
    out: &mut Vec<u8>,
) -> u8 {
    if values.is_empty() {
        return 0;
    }
    let shape = at.times.and_then(|times| encode_row_times(values, at.rows, times));
    let shape = shape.or_else(|| encode_shape(values, distinct.repeats()));
    if let Some(codes) = shared_codes(values, distinct, shape.as_ref().map(Vec::len), at.may_grow, column) {
        for code in &codes {
            column.codes.add(u64::from(*code), at.block);
        }
        out.push(DICTIONARY);
        encode_integers(&distinct.codes.iter().map(|c| i64::from(codes[*c as usize])).collect::<Vec<_>>(), out);
        return 0;
    }
    let timed = shape.as_ref().is_some_and(|s| is_time(s));
    let mut best = Vec::new();
    match shape {
        Some(shape) => {
            best.push(SHAPE);
            best.extend_from_slice(&shape);
        }
        None => {
            best.push(PLAIN);
            put_texts(values.iter().copied(), &mut best);
        }
    }
    if distinct.repeats() {
        let mut local = vec![LOCAL];
        put_uvarint(&mut local, distinct.firsts.len() as u64);
        put_texts(distinct.texts(values), &mut local);
        encode_integers(&distinct.codes.iter().map(|c| i64::from(*c)).collect::<Vec<_>>(), &mut local);
        if local.len() < best.len() {
            best = local;
        }
    }
    out.extend_from_slice(&best);
    match &mut column.terms {
        None => 0,
        // Moments are looked for by range, for which there are the bounds.
        Some(_) if timed => UNINDEXED,
        Some(terms) => index(values, distinct, at, terms),
    }
}

/// The numbers in the column's dictionary of a chunk's texts that differ, if the dictionary is the place for them.
fn shared_codes(
    values: &[&[u8]],
    distinct: &Distinct,
    shape_len: Option<usize>,
    may_grow: bool,
    column: &mut TextColumn,
) -> Option<Vec<u32>> {
    let texts = || distinct.hashes.iter().copied().zip(distinct.texts(values));
    let dictionary = &mut column.dictionary;
    let (mut new, mut bytes) = (0, 0);
    // Most chunks of a column whose texts do not repeat are seen to be such by the first few.
    let limit = (values.len() / 2).max(FIRST_ENTRIES.saturating_sub(dictionary.len()));
    for (hash, text) in texts() {
        if dictionary.code(hash, text).is_none() {
            new += 1;
            bytes += text.len();
            if text.len() > ENTRY_LEN_MAX || new > limit {
                return None;
            }
        }
    }
    if new > 0 && !(may_grow && dictionary.has_room(new, bytes)) {
        return None;
    }
    if new * 2 > distinct.firsts.len() && dictionary.len() + new > EAGER_ENTRIES {
        return None;
    }
    let width = (dictionary.len() + new).next_power_of_two().ilog2() as usize;
    // A dictionary is read and searched far faster, so that a shape has to save half.
    if shape_len.is_some_and(|len| len * 2 < values.len() * width / 8 + bytes) {
        return None;
    }
    Some(
        texts().map(|(hash, text)| dictionary.code(hash, text).unwrap_or_else(|| dictionary.add(hash, text))).collect(),
    )
}

/// Puts the texts of a chunk into the term index.
fn index(values: &[&[u8]], distinct: &Distinct, at: &TextsAt<'_>, terms: &mut Terms) -> u8 {
    let Terms { words, wholes } = terms;
    let mut flags = 0;
    let of_block = wholes.granule(at.block, 0);
    // Of each number the granule for which its words were added last; none yet, or it has no words to add.
    const NOT_YET: u32 = u32::MAX;
    const NEVER: u32 = u32::MAX - 1;
    let mut done = vec![NOT_YET; distinct.firsts.len()];
    for (first, done) in distinct.firsts.iter().zip(&mut done) {
        match std::str::from_utf8(values[*first as usize]) {
            Ok(text) if is_tokenised(text) => continue,
            Ok(text) => {
                flags |= if is_word(text) { 0 } else { WHOLE_ONLY };
                wholes.add(exact_term(text), of_block);
            }
            Err(_) => {}
        }
        *done = NEVER;
    }
    if done.iter().all(|done| *done == NEVER) {
        return flags;
    }
    for (i, (text, code)) in values.iter().zip(&distinct.codes).enumerate() {
        let done = &mut done[*code as usize];
        let granule = words.granule(at.block, (at.rows)(i));
        if *done != NEVER && std::mem::replace(done, granule) != granule {
            tokens(std::str::from_utf8(text).unwrap_or_default(), |term| words.add(term, granule));
        }
    }
    flags
}

pub(super) fn put_texts<'a>(texts: impl Iterator<Item = &'a [u8]> + Clone, out: &mut Vec<u8>) {
    encode_integers(&texts.clone().map(|t| t.len() as i64).collect::<Vec<_>>(), out);
    texts.for_each(|t| out.extend_from_slice(t));
}

/// Takes lengths of texts, together not more than a view can reach.
pub(super) fn take_lengths(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u32>> {
    let mut lengths = Vec::with_capacity(count);
    let mut sum = 0u64;
    let mut wrong = false;
    decode_blocks(reader, count, |block| {
        for len in block {
            wrong |= *len > i32::MAX as u64;
            sum = sum.saturating_add(*len);
            lengths.push(*len as u32);
        }
    })?;
    if wrong || sum > i32::MAX as u64 {
        return Err(malformed("texts", "longer than a column may be"));
    }
    Ok(lengths)
}

/// Texts that were taken, without their nulls.
pub(super) enum Texts {
    /// Numbers of texts in another array.
    Codes { texts: ArrayRef, codes: Vec<u32> },
    /// Their lengths, and their bytes one after another.
    Bytes { lengths: Vec<u32>, bytes: Buffer },
}

impl Texts {
    /// Texts of one length.
    pub(super) fn equal(len: usize, count: usize, bytes: Vec<u8>) -> Self {
        Self::Bytes { lengths: vec![len as u32; count], bytes: Buffer::from_vec(bytes) }
    }

    /// Those that are picked.
    pub(super) fn picked(self, pick: Pick<'_>) -> Self {
        match (self, pick) {
            (all, Pick::All) => all,
            (Self::Codes { texts, codes }, _) => Self::Codes { texts, codes: pick.of(codes) },
            (Self::Bytes { lengths, bytes }, Pick::At(places)) => {
                let (mut start, mut end) = (0, 0);
                let mut picked = Vec::new();
                for at in places {
                    let passed = lengths.get(end..*at as usize).unwrap_or_default();
                    start += passed.iter().map(|len| *len as usize).sum::<usize>();
                    end = *at as usize;
                    let len = lengths.get(end).map_or(0, |len| *len as usize);
                    picked.extend_from_slice(bytes.get(start..start + len).unwrap_or_default());
                }
                Self::Bytes { lengths: pick.of(lengths), bytes: Buffer::from_vec(picked) }
            }
        }
    }

    /// The array of views: nothing is copied but what fits a view.
    pub(super) fn array(self, nulls: Option<&NullBuffer>, binary: bool) -> Result<ArrayRef> {
        let wrong = |e: arrow_schema::ArrowError| malformed("texts", e.to_string());
        match self {
            Self::Codes { texts, codes } => {
                if codes.iter().copied().max().is_some_and(|max| max as usize >= texts.len()) {
                    return Err(malformed("texts", "a number that is not in the dictionary"));
                }
                let codes = UInt32Array::try_new(ScalarBuffer::from(spread(codes, nulls)), nulls.cloned());
                take(&texts, &codes.map_err(wrong)?, None).map_err(wrong)
            }
            Self::Bytes { lengths, bytes } => {
                let lengths = spread(lengths, nulls);
                let mut end = 0u64;
                let mut offsets = Vec::with_capacity(lengths.len() + 1);
                offsets.push(0i32);
                for len in lengths {
                    end += u64::from(len);
                    offsets.push(i32::try_from(end).map_err(|_| malformed("texts", "longer than a column may be"))?);
                }
                if end > bytes.len() as u64 {
                    return Err(malformed("texts", format!("{} bytes for {end}", bytes.len())));
                }
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                let bytes = bytes.slice_with_length(0, end as usize);
                let nulls = nulls.cloned();
                Ok(if binary {
                    Arc::new(BinaryViewArray::from(&BinaryArray::try_new(offsets, bytes, nulls).map_err(wrong)?))
                } else {
                    Arc::new(StringViewArray::from(&StringArray::try_new(offsets, bytes, nulls).map_err(wrong)?))
                })
            }
        }
    }
}

/// What texts are decoded with.
pub(super) struct TextSource<'a> {
    /// The whole chunk, which the array's views point into.
    pub(super) chunk: &'a Buffer,
    /// What the chunk refers to.
    pub(super) beside: &'a dyn Beside,
    /// Whether it is a column of bytes.
    pub(super) binary: bool,
}

/// Takes `count` texts, which stand where `there` says, and lays those that are picked where `nulls` says.
pub(super) fn decode_texts(
    reader: &mut Reader<'_>,
    count: usize,
    there: Option<&NullBuffer>,
    pick: Pick<'_>,
    nulls: Option<&NullBuffer>,
    source: &TextSource<'_>,
) -> Result<ArrayRef> {
    if count == 0 {
        let none = Texts::Bytes { lengths: Vec::new(), bytes: Buffer::from_vec(Vec::<u8>::new()) };
        return none.array(nulls, source.binary);
    }
    let texts = match reader.u8()? {
        DICTIONARY => {
            let dictionary = source.beside.dictionary()?;
            Texts::Codes { texts: Arc::clone(&dictionary.texts), codes: take_codes(reader, count, pick)? }
        }
        LOCAL => {
            let number = reader.length(count)?;
            let texts = take_texts(reader, number, source.chunk)?.array(None, source.binary)?;
            Texts::Codes { texts, codes: take_codes(reader, count, pick)? }
        }
        SHAPE => decode_shape(reader, count, pick, &|| row_times(there, count, source))?,
        PLAIN => take_texts(reader, count, source.chunk)?.picked(pick),
        form => return Err(malformed("texts", format!("unknown form {form}"))),
    };
    texts.array(nulls, source.binary)
}

/// The times of the rows that have one of `count` texts.
fn row_times(nulls: Option<&NullBuffer>, count: usize, source: &TextSource<'_>) -> Result<RowTimes> {
    let mut all = source.beside.times()?;
    if all.times.len() != nulls.map_or(count, NullBuffer::len) {
        return Err(malformed("texts", "times of rows where there are none"));
    }
    if let Some(nulls) = nulls {
        all.times = nulls.valid_indices().map(|row| all.times[row]).collect();
    }
    Ok(all)
}

fn take_texts(reader: &mut Reader<'_>, count: usize, chunk: &Buffer) -> Result<Texts> {
    let lengths = take_lengths(reader, count)?;
    let len = lengths.iter().map(|l| *l as usize).sum();
    let start = chunk.len() - reader.rest().len();
    reader.bytes(len)?;
    Ok(Texts::Bytes { lengths, bytes: chunk.slice_with_length(start, len) })
}

/// Numbers above 32 bits become the highest one, which no dictionary has.
pub(super) fn take_codes(reader: &mut Reader<'_>, count: usize, pick: Pick<'_>) -> Result<Vec<u32>> {
    let mut codes = Vec::with_capacity(pick.len(count));
    pick.blocks(reader, count, |block| codes.extend(block.iter().map(|v| u32::try_from(*v).unwrap_or(u32::MAX))))?;
    Ok(codes)
}
