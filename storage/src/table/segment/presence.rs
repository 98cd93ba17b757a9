//! Which rows of a block have a value: all, a bitmap, runs, or positions, whichever is shortest.

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

use super::pack::take_u32s;
use crate::{
    Result,
    encoding::{Reader, encode_integers, malformed, put_uvarint},
};

const ALL: u8 = 0;
const BITMAP: u8 = 1;
const RUNS: u8 = 2;
const POSITIONS: u8 = 3;

/// The nulls of an array that has some.
pub(super) fn some_nulls(nulls: Option<&NullBuffer>) -> Option<&NullBuffer> {
    nulls.filter(|n| n.null_count() > 0)
}

/// Appends which of the values are not null.
pub(super) fn encode_presence(nulls: Option<&NullBuffer>, out: &mut Vec<u8>) {
    let Some(nulls) = some_nulls(nulls) else { return out.push(ALL) };
    let present = nulls.len() - nulls.null_count();
    let mut best = vec![BITMAP];
    best.resize(1 + nulls.len().div_ceil(8), 0);
    for at in nulls.valid_indices() {
        best[1 + at / 8] |= 1 << (at % 8);
    }
    let mut runs = Vec::new();
    let mut end = 0;
    for (from, to) in nulls.valid_slices() {
        runs.extend([(from - end) as i64, (to - from) as i64]);
        end = to;
    }
    let mut consider = |form: u8, values: &[i64]| {
        let mut bytes = vec![form];
        put_uvarint(&mut bytes, values.len() as u64);
        encode_integers(values, &mut bytes);
        if bytes.len() < best.len() {
            best = bytes;
        }
    };
    if runs.len() < nulls.len() / 4 + 4 {
        consider(RUNS, &runs);
    }
    if present < nulls.len() / 3 + 1 {
        consider(POSITIONS, &nulls.valid_indices().map(|at| at as i64).collect::<Vec<_>>());
    }
    out.extend_from_slice(&best);
}

/// Takes which of `len` values are not null: none of them when all are there. Says how many are, too.
pub(super) fn decode_presence(reader: &mut Reader<'_>, len: usize) -> Result<(Option<NullBuffer>, usize)> {
    let wrong = || malformed("presence", "a position behind the last row");
    let form = reader.u8()?;
    let mut bits = vec![0u8; if form == ALL { 0 } else { len.div_ceil(8) }];
    match form {
        ALL => return Ok((None, len)),
        BITMAP => bits = reader.bytes(bits.len())?.to_vec(),
        RUNS => {
            let count = reader.length(len + 1)?;
            let mut end = 0;
            for pair in take_u32s(reader, count)?.chunks(2) {
                let from = end + pair[0] as usize;
                end = from + pair.get(1).map_or(0, |n| *n as usize);
                if end > len {
                    return Err(wrong());
                }
                (from..end).for_each(|at| bits[at / 8] |= 1 << (at % 8));
            }
        }
        POSITIONS => {
            let count = reader.length(len)?;
            for at in take_u32s(reader, count)? {
                *bits.get_mut(at as usize / 8).filter(|_| (at as usize) < len).ok_or_else(wrong)? |= 1 << (at % 8);
            }
        }
        _ => return Err(malformed("presence", format!("unknown form {form}"))),
    }
    let nulls = NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, len));
    let present = len - nulls.null_count();
    Ok((Some(nulls), present))
}

/// Lays values that stand close to where their rows are; the others get a value without meaning.
pub(super) fn spread<T: Copy + Default>(close: Vec<T>, nulls: Option<&NullBuffer>) -> Vec<T> {
    let Some(nulls) = nulls else { return close };
    let mut out = vec![T::default(); nulls.len()];
    for (at, value) in nulls.valid_indices().zip(close) {
        out[at] = value;
    }
    out
}
