//! An event segment's file as its readers see it: pieces of bytes by place, through the block cache.

use std::sync::Arc;

use arrow_buffer::Buffer;

use super::pack::{PackAt, Place};
use crate::{
    Result, StorageError,
    segment::{
        BlockCache,
        block::{BlockFile, BlockKind},
    },
};

/// The open file.
#[derive(Debug)]
pub(super) struct PackFile {
    pub(super) file: BlockFile,
    pub(super) packs: Vec<PackAt>,
    pub(super) cache: Arc<BlockCache>,
    /// The number of this open segment in the cache.
    pub(super) number: u64,
}

impl PackFile {
    /// The piece at a place, in memory of its own.
    pub(super) fn read(&self, place: Place, kind: BlockKind) -> Result<Buffer> {
        let mut left = place.len as usize;
        let mut start = place.start as usize;
        let mut out = Vec::new();
        for number in place.pack.. {
            let Some(pack) = self.packs.get(number as usize).filter(|p| p.kind == kind as u8) else {
                return Err(self.lost(place, kind));
            };
            let block = self.block(pack, kind)?;
            let rest = block.get(start + pack.base as usize..).unwrap_or_default();
            let taken = rest.get(..left).unwrap_or(rest);
            if taken.is_empty() && left > 0 {
                return Err(self.lost(place, kind));
            }
            out.extend_from_slice(taken);
            left -= taken.len();
            if left == 0 {
                break;
            }
            start = 0;
        }
        Ok(Buffer::from_vec(out))
    }

    fn block(&self, pack: &PackAt, kind: BlockKind) -> Result<Arc<[u8]>> {
        let key = (self.number, pack.at.offset);
        if let Some(found) = self.cache.get(key) {
            return Ok(found);
        }
        let read = self.file.read(pack.at, kind)?;
        self.cache.insert(key, Arc::clone(&read));
        Ok(read)
    }

    fn lost(&self, place: Place, kind: BlockKind) -> StorageError {
        let reason = format!("no {kind:?} of {} bytes at {} of pack {}", place.len, place.start, place.pack);
        self.file.corrupt(self.offset(place), reason)
    }

    /// Where in the file a piece begins, as far as that can be told.
    pub(super) fn offset(&self, place: Place) -> u64 {
        self.packs.get(place.pack as usize).map_or(0, |p| p.at.offset)
    }

    /// Adds file and place to the error of a decoder.
    pub(super) fn at(&self, place: Place) -> impl Fn(StorageError) -> StorageError + '_ {
        self.file.at(self.offset(place))
    }
}

impl Drop for PackFile {
    fn drop(&mut self) {
        self.cache.forget(self.number);
    }
}
