//! Texts of hexadecimal digits in lower case, and UUIDs: two digits in each byte.

use super::{
    pick::Pick,
    text::{Texts, take_lengths},
};
use crate::{
    Result,
    encoding::{Reader, encode_integers, malformed, put_uvarint},
};

/// Longest text of hexadecimal digits.
const HEX_MAX: usize = 128;
/// Places of the dashes in a UUID.
const DASHES: [usize; 4] = [8, 13, 18, 23];
const UUID_LEN: usize = 36;
/// Places of the pairs of digits in a UUID.
const PAIR_PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The two digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// No digit; its high bit is set.
const NO_DIGIT: u8 = 0xff;

/// What each byte is worth as a digit.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[PAIRS[digit][1] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

/// Packs pairs of digits, and tells in the high bit of the result whether some are none.
fn pack_pair(high: u8, low: u8, out: &mut Vec<u8>) -> u8 {
    let (high, low) = (DIGITS[usize::from(high)], DIGITS[usize::from(low)]);
    out.push(high << 4 | low & 15);
    high | low
}

/// Texts of one length that is even.
pub(super) fn encode_hex(values: &[&[u8]], out: &mut Vec<u8>) -> Option<()> {
    let len = values.first()?.len();
    if len == 0 || len % 2 != 0 || len > HEX_MAX {
        return None;
    }
    put_uvarint(out, len as u64);
    for value in values {
        if value.len() != len {
            return None;
        }
        let wrong = value.as_chunks::<2>().0.iter().fold(0, |wrong, [high, low]| wrong | pack_pair(*high, *low, out));
        if wrong & 0x80 != 0 {
            return None;
        }
    }
    Some(())
}

pub(super) fn decode_hex(reader: &mut Reader<'_>, count: usize, pick: Pick<'_>) -> Result<Texts> {
    let len = reader.length(HEX_MAX)?;
    if len % 2 != 0 {
        return Err(malformed("texts", "an odd number of digits"));
    }
    let bytes = reader.bytes(count * len / 2)?;
    Ok(Texts::equal(len, pick.len(count), digits_of(&pick.strides(bytes, len / 2))))
}

/// Both digits of each byte.
fn digits_of(bytes: &[u8]) -> Vec<u8> {
    let mut text = vec![0; 2 * bytes.len()];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = PAIRS[usize::from(*byte)];
    }
    text
}

/// Texts of any lengths: their digits without a gap.
pub(super) fn encode_mixed_hex(values: &[&[u8]], out: &mut Vec<u8>) -> Option<()> {
    let starts_as_hex = |value: &&[u8]| value.first().is_none_or(|b| DIGITS[usize::from(*b)] != NO_DIGIT);
    if !values.iter().all(|value| value.len() <= HEX_MAX && starts_as_hex(value)) {
        return None;
    }
    encode_integers(&values.iter().map(|v| v.len() as i64).collect::<Vec<_>>(), out);
    let digits = values.concat();
    let (pairs, rest) = digits.as_chunks::<2>();
    let wrong = pairs.iter().fold(0, |wrong, [high, low]| wrong | pack_pair(*high, *low, out));
    let wrong = rest.iter().fold(wrong, |wrong, last| wrong | pack_pair(*last, b'0', out));
    (wrong & 0x80 == 0).then_some(())
}

pub(super) fn decode_mixed_hex(reader: &mut Reader<'_>, count: usize) -> Result<Texts> {
    let lengths = take_lengths(reader, count)?;
    let len: usize = lengths.iter().map(|l| *l as usize).sum();
    let mut text = digits_of(reader.bytes(len.div_ceil(2))?);
    text.truncate(len);
    Ok(Texts::Bytes { lengths, bytes: text.into() })
}

/// Whether a text has the dashes of a UUID.
pub(super) fn is_uuid(text: &[u8]) -> bool {
    text.len() == UUID_LEN && DASHES.iter().all(|at| text[*at] == b'-')
}

pub(super) fn encode_uuids(values: &[&[u8]], out: &mut Vec<u8>) -> Option<()> {
    for value in values {
        if !is_uuid(value) {
            return None;
        }
        let wrong = PAIR_PLACES.into_iter().fold(0, |wrong, at| wrong | pack_pair(value[at], value[at + 1], out));
        if wrong & 0x80 != 0 {
            return None;
        }
    }
    Some(())
}

pub(super) fn decode_uuids(reader: &mut Reader<'_>, count: usize, pick: Pick<'_>) -> Result<Texts> {
    let bytes = pick.strides(reader.bytes(count * 16)?, 16);
    let count = pick.len(count);
    let mut text = vec![b'-'; count * UUID_LEN];
    for (text, uuid) in text.as_chunks_mut::<UUID_LEN>().0.iter_mut().zip(bytes.as_chunks::<16>().0) {
        for (at, byte) in PAIR_PLACES.into_iter().zip(uuid) {
            [text[at], text[at + 1]] = PAIRS[usize::from(*byte)];
        }
    }
    Ok(Texts::equal(UUID_LEN, count, text))
}
