//! Timestamp columns as they are written: once each, however many series share them.

use hashbrown::HashTable;

use super::{
    block::{BlockKind, BlockRef, BlockWriter},
    table::TableWriter,
};
use crate::{
    Result,
    encoding::{Reader, decode_timestamps, encode_timestamps},
};

const BLOCK_LEN: usize = 16 << 10;
/// Encoded columns that are remembered, in bytes. What comes after is not shared with later series.
const REMEMBERED: usize = 64 << 20;

/// Gives equal columns the same number.
pub(super) struct SharedTimes {
    table: TableWriter,
    known: HashTable<Known>,
    /// The encoded columns that are known, one after another.
    encoded: Vec<u8>,
    scratch: Vec<i64>,
    record: Vec<u8>,
}

struct Known {
    hash: u64,
    id: u32,
    /// Where its bytes begin in `encoded`.
    at: u32,
}

impl SharedTimes {
    pub(super) fn new() -> Self {
        Self {
            table: TableWriter::new(BlockKind::Times, BLOCK_LEN),
            known: HashTable::new(),
            encoded: Vec::new(),
            scratch: Vec::new(),
            record: Vec::new(),
        }
    }

    /// The number of the column with these timestamps, which is written if it is new.
    pub(super) fn intern(&mut self, timestamps: &[i64], file: &mut BlockWriter) -> Result<u32> {
        let hash = hash(timestamps);
        let Self { known, encoded, scratch, .. } = self;
        let same = |known: &Known| {
            scratch.clear();
            let bytes = encoded.get(known.at as usize..).unwrap_or_default();
            known.hash == hash
                && decode_timestamps(&mut Reader::new(bytes), scratch).is_ok()
                && scratch.as_slice() == timestamps
        };
        if let Some(known) = known.find(hash, same) {
            return Ok(known.id);
        }
        self.record.clear();
        encode_timestamps(timestamps, &mut self.record);
        self.table.make_room(file, self.record.len())?;
        let id = self.table.next_id();
        self.table.push(&self.record, &[]);
        if self.encoded.len() + self.record.len() <= REMEMBERED {
            let at = self.encoded.len() as u32;
            self.encoded.extend_from_slice(&self.record);
            self.known.insert_unique(hash, Known { hash, id, at }, |k| k.hash);
        }
        Ok(id)
    }

    pub(super) fn finish(self, file: &mut BlockWriter) -> Result<BlockRef> {
        self.table.finish(file)
    }
}

/// Need not be strong: equal hashes are compared.
fn hash(timestamps: &[i64]) -> u64 {
    let mut hash = timestamps.len() as u64;
    for t in timestamps {
        hash = (hash ^ *t as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    hash.wrapping_mul(0xd6e8_feb8_6659_fd93)
}
