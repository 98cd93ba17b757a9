//! Which values are taken of a chunk: all, or those at some places. Few values of many need not be decoded with the others.

use std::borrow::Cow;

use arrow_buffer::{BooleanBuffer, NullBuffer};

use crate::{
    Result,
    encoding::{Reader, decode_blocks, decode_picked},
};

/// The values that are taken; places rise, and are those of values.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pick<'a> {
    All,
    At(&'a [u32]),
}

impl Pick<'_> {
    /// How many are taken of so many.
    pub(super) const fn len(self, count: usize) -> usize {
        match self {
            Self::All => count,
            Self::At(places) => places.len(),
        }
    }

    /// Those of values that are decoded.
    pub(super) fn of<T: Copy>(self, values: Vec<T>) -> Vec<T> {
        match self {
            Self::All => values,
            Self::At(places) => places.iter().filter_map(|at| values.get(*at as usize).copied()).collect(),
        }
    }

    /// Those of values of `len` bytes each.
    pub(super) fn strides(self, bytes: &[u8], len: usize) -> Cow<'_, [u8]> {
        match self {
            Self::All => Cow::Borrowed(bytes),
            Self::At(places) => {
                let start = |at: &u32| *at as usize * len;
                places.iter().filter_map(|at| bytes.get(start(at)..start(at) + len)).flatten().copied().collect()
            }
        }
    }

    /// Takes an integer column of `count` values and hands those that are taken to `sink`.
    pub(super) fn blocks(self, reader: &mut Reader<'_>, count: usize, mut sink: impl FnMut(&[u64])) -> Result<()> {
        match self {
            Self::All => decode_blocks(reader, count, sink),
            Self::At(places) => decode_picked(reader, count, places, |value| sink(&[value])),
        }
    }

    /// Takes an integer column of `count` values.
    pub(super) fn integers(self, reader: &mut Reader<'_>, count: usize) -> Result<Vec<i64>> {
        let mut values = Vec::with_capacity(self.len(count));
        self.blocks(reader, count, |block| values.extend(block.iter().map(|v| *v as i64)))?;
        Ok(values)
    }
}

/// The places, among the values that are there, of those of some rows; and which of these rows have one.
pub(super) fn places(nulls: Option<&NullBuffer>, rows: &[u32]) -> (Vec<u32>, Option<NullBuffer>) {
    let Some(nulls) = nulls else { return (rows.to_vec(), None) };
    let bits = nulls.inner();
    let (mut before, mut end) = (0, 0);
    let mut places = Vec::with_capacity(rows.len());
    let there = BooleanBuffer::collect_bool(rows.len(), |at| {
        let row = rows[at] as usize;
        before += bits.slice(end, row - end).count_set_bits();
        end = row;
        let there = bits.value(row);
        if there {
            places.push(before as u32);
        }
        there
    });
    (places, Some(NullBuffer::new(there)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_what_is_there() {
        let nulls = NullBuffer::from((0..1_000).map(|row| row % 3 != 0).collect::<Vec<_>>());
        let (found, there) = places(Some(&nulls), &[0, 1, 2, 3, 4, 900, 901]);
        assert_eq!(found, [0, 1, 2, 600]);
        assert_eq!(there.unwrap().iter().collect::<Vec<_>>(), [false, true, true, false, true, false, true]);
    }
}
