//! Postings: which series have a label value. Short ones stand beside the value as runs of ordinals, long ones are roaring
//! bitmaps in a table of their own.

use roaring::RoaringBitmap;

use super::{block::BlockWriter, table::TableWriter};
use crate::{
    Result,
    encoding::{Reader, malformed, put_uvarint},
};

/// Longest inline form in bytes.
const INLINE: usize = 48;

/// Appends the postings of strictly rising ordinals: the number of runs and the runs, or 0 and the number of a bitmap.
pub(super) fn encode_postings(
    ordinals: impl Iterator<Item = u32> + Clone,
    table: &mut TableWriter,
    file: &mut BlockWriter,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut runs = Vec::with_capacity(2 * INLINE);
    let mut count = 0;
    let mut next = 0;
    let mut rest = ordinals.clone().peekable();
    while let Some(start) = rest.next()
        && runs.len() <= INLINE
    {
        let mut end = start;
        while rest.next_if(|o| *o == end + 1).is_some() {
            end += 1;
        }
        put_uvarint(&mut runs, u64::from(start - next));
        put_uvarint(&mut runs, u64::from(end - start));
        next = end + 1;
        count += 1;
    }
    if runs.len() <= INLINE {
        put_uvarint(out, count);
        out.extend_from_slice(&runs);
        return Ok(());
    }
    let mut bitmap: RoaringBitmap = ordinals.collect();
    bitmap.optimize();
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut bytes).map_err(|e| malformed("postings", e.to_string()))?;
    table.make_room(file, bytes.len())?;
    put_uvarint(out, 0);
    put_uvarint(out, u64::from(table.next_id()));
    table.push(&bytes, &[]);
    Ok(())
}

/// Postings as they stand beside a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Postings {
    /// Runs of ordinals.
    Runs(Vec<(u32, u32)>),
    /// The number of a bitmap.
    Bitmap(u32),
}

impl Postings {
    /// Takes postings whose ordinals are all below `series`.
    pub(super) fn decode(reader: &mut Reader<'_>, series: u32) -> Result<Self> {
        let count = reader.length(INLINE)?;
        if count == 0 {
            return Ok(Self::Bitmap(reader.id()?));
        }
        let mut runs = Vec::with_capacity(count);
        let mut next = 0u32;
        for _ in 0..count {
            let start = next.checked_add(reader.id()?);
            let end = start.and_then(|s| Some((s, s.checked_add(reader.id().ok()?)?)));
            match end {
                Some((start, end)) if end < series => {
                    runs.push((start, end));
                    next = end + 1;
                }
                _ => return Err(malformed("postings", "a series that is not there")),
            }
        }
        Ok(Self::Runs(runs))
    }
}

/// Adds runs to a bitmap.
pub(super) fn add_runs(runs: &[(u32, u32)], to: &mut RoaringBitmap) {
    for (start, end) in runs {
        to.insert_range(*start..=*end);
    }
}

/// Decodes a bitmap whose ordinals are all below `series`.
pub(super) fn decode_bitmap(record: &[u8], series: u32) -> Result<RoaringBitmap> {
    let bitmap = RoaringBitmap::deserialize_from(record).map_err(|e| malformed("postings", e.to_string()))?;
    match bitmap.max() {
        Some(max) if max < series => Ok(bitmap),
        _ => Err(malformed("postings", "empty, or a series that is not there")),
    }
}
