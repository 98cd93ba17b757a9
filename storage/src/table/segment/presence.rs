//! Which rows of a block have a value: all, a bitmap, runs, or positions, whichever is shortest. What is longer than a
//! few bytes is held once a block: documents of one type have the same fields.

use std::collections::HashMap;

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

use super::{
    chunk::Beside,
    pack::{Place, take_u32s},
};
use crate::{
    Result,
    encoding::{Reader, encode_integers, malformed, put_uvarint},
    table::BLOCK_ROWS,
};

const ALL: u8 = 0;
const BITMAP: u8 = 1;
const RUNS: u8 = 2;
const POSITIONS: u8 = 3;
const SHARED: u8 = 4;

/// What is not longer stands in the chunk: to say where it is would take as much.
const SHORT_LEN: usize = 12;

/// The presences of a block's columns so far: of each length and bitmap what chunks say of it.
#[derive(Debug, Default)]
pub(super) struct Presences(HashMap<(usize, Vec<u8>), Vec<u8>>);

impl Presences {
    /// Appends which of the values are not null; `put` takes a presence that chunks share.
    pub(super) fn encode(
        &mut self,
        nulls: Option<&NullBuffer>,
        put: &mut dyn FnMut(&[u8]) -> Result<Place>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(nulls) = some_nulls(nulls) else {
            out.push(ALL);
            return Ok(());
        };
        let known = (nulls.len(), bitmap(nulls));
        if let Some(said) = self.0.get(&known) {
            out.extend_from_slice(said);
            return Ok(());
        }
        let mut said = shortest(nulls, &known.1);
        if said.len() > SHORT_LEN && nulls.len() <= BLOCK_ROWS {
            let place = put(&said)?;
            said.clear();
            said.push(SHARED);
            place.put(&mut said);
            out.extend_from_slice(&said);
            self.0.insert(known, said);
        } else {
            out.extend_from_slice(&said);
        }
        Ok(())
    }
}

/// A bit a value, low bits first, set where there is one; the bits behind the last are not.
fn bitmap(nulls: &NullBuffer) -> Vec<u8> {
    let mut bits = nulls.inner().sliced().as_slice()[..nulls.len().div_ceil(8)].to_vec();
    if let (Some(last), rest @ 1..) = (bits.last_mut(), nulls.len() % 8) {
        *last &= (1 << rest) - 1;
    }
    bits
}

/// The nulls of an array that has some.
pub(super) fn some_nulls(nulls: Option<&NullBuffer>) -> Option<&NullBuffer> {
    nulls.filter(|n| n.null_count() > 0)
}

/// Where values are, in the form that is shortest.
fn shortest(nulls: &NullBuffer, bitmap: &[u8]) -> Vec<u8> {
    let present = nulls.len() - nulls.null_count();
    let mut best = vec![BITMAP];
    best.extend_from_slice(bitmap);
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
    best
}

/// Takes which of `len` values are not null: none of them when all are there. Says how many are, too.
pub(super) fn decode_presence(
    reader: &mut Reader<'_>,
    len: usize,
    beside: &dyn Beside,
) -> Result<(Option<NullBuffer>, usize)> {
    match reader.u8()? {
        SHARED => {
            let place = Place::take(reader)?;
            if place.len as usize > 1 + len.div_ceil(8) {
                return Err(malformed("presence", format!("{} bytes for {len} rows", place.len)));
            }
            let bytes = beside.presence(place)?;
            let mut reader = Reader::new(&bytes);
            let form = reader.u8()?;
            let taken = take_presence(form, &mut reader, len)?;
            reader.finish("presence")?;
            Ok(taken)
        }
        form => take_presence(form, reader, len),
    }
}

fn take_presence(form: u8, reader: &mut Reader<'_>, len: usize) -> Result<(Option<NullBuffer>, usize)> {
    let wrong = || malformed("presence", "a position behind the last row");
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
