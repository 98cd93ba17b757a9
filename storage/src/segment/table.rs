//! Tables of numbered records: the writer that cuts them into blocks, and the sparse index that finds them again.

use super::{
    block::{BlockFile, BlockKind, BlockRef, BlockWriter},
    records::RecordBuilder,
};
use crate::{
    Result,
    encoding::{Reader, malformed, put_uvarint},
};

/// Writes the records of one kind, a block whenever enough have come together.
pub(super) struct TableWriter {
    kind: BlockKind,
    block_len: usize,
    pub(super) block: RecordBuilder,
    /// The first record of the block being built.
    first: u32,
    first_key: Vec<u8>,
    index: Vec<u8>,
    blocks: u32,
    last: (u32, u64),
}

impl TableWriter {
    pub(super) const fn new(kind: BlockKind, block_len: usize) -> Self {
        Self {
            kind,
            block_len,
            block: RecordBuilder::empty(),
            first: 0,
            first_key: Vec::new(),
            index: Vec::new(),
            blocks: 0,
            last: (0, 0),
        }
    }

    /// The number that the next record gets.
    pub(super) fn next_id(&self) -> u32 {
        self.first + self.block.count() as u32
    }

    /// Ends the block if `more` bytes would make it too long. Call it before a record is encoded that leans on the one
    /// before it.
    pub(super) fn make_room(&mut self, file: &mut BlockWriter, more: usize) -> Result<()> {
        if self.block.count() > 0 && self.block.len() + more > self.block_len { self.flush(file) } else { Ok(()) }
    }

    /// Appends a record; `key` is kept in the index when the record is the first of its block.
    pub(super) fn push(&mut self, record: &[u8], key: &[u8]) {
        if self.block.count() == 0 {
            self.first_key.clear();
            self.first_key.extend_from_slice(key);
        }
        self.block.push(record);
    }

    fn flush(&mut self, file: &mut BlockWriter) -> Result<()> {
        let count = self.block.count() as u32;
        let payload = self.block.finish();
        let at = file.write(self.kind, &payload)?;
        put_uvarint(&mut self.index, u64::from(self.first - self.last.0));
        put_uvarint(&mut self.index, at.offset - self.last.1);
        put_uvarint(&mut self.index, u64::from(at.len));
        put_uvarint(&mut self.index, self.first_key.len() as u64);
        self.index.extend_from_slice(&self.first_key);
        self.last = (self.first, at.offset);
        self.first += count;
        self.blocks += 1;
        Ok(())
    }

    /// Writes the last block and the index, and says where the index is.
    pub(super) fn finish(mut self, file: &mut BlockWriter) -> Result<BlockRef> {
        if self.block.count() > 0 {
            self.flush(file)?;
        }
        let mut payload = Vec::with_capacity(self.index.len() + 16);
        payload.push(self.kind as u8);
        put_uvarint(&mut payload, u64::from(self.first));
        put_uvarint(&mut payload, u64::from(self.blocks));
        payload.extend_from_slice(&self.index);
        file.write(BlockKind::Index, &payload)
    }
}

/// Where the records of one kind are.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) kind: BlockKind,
    /// How many records there are.
    pub(super) count: u32,
    /// The blocks in order; their first records rise strictly from 0.
    pub(super) blocks: Vec<TableBlock>,
}

/// One block of a table.
#[derive(Debug)]
pub(super) struct TableBlock {
    pub(super) first: u32,
    pub(super) at: BlockRef,
    pub(super) key: Box<[u8]>,
}

impl Table {
    /// Reads and checks an index.
    pub(super) fn open(file: &BlockFile, at: BlockRef, kind: BlockKind) -> Result<Self> {
        let payload = file.read(at, BlockKind::Index)?;
        Self::parse(&payload, kind).map_err(file.at(at.offset))
    }

    fn parse(payload: &[u8], kind: BlockKind) -> Result<Self> {
        let wrong = |reason: &str| malformed("block index", reason);
        let mut reader = Reader::new(payload);
        if reader.u8()? != kind as u8 {
            return Err(wrong("of another kind"));
        }
        let count = reader.id()?;
        let len = reader.length(payload.len())?;
        let mut blocks: Vec<TableBlock> = Vec::with_capacity(len);
        let (mut first, mut offset) = (0u32, 0u64);
        for number in 0..len {
            let step = reader.id()?;
            first = first.checked_add(step).filter(|f| *f < count).ok_or_else(|| wrong("numbers do not rise"))?;
            if (step == 0) != (number == 0) {
                return Err(wrong("numbers do not rise from 0"));
            }
            offset = offset.checked_add(reader.uvarint()?).ok_or_else(|| wrong("offset"))?;
            let at = BlockRef { offset, len: reader.id()? };
            let key = reader.length(reader.rest().len())?;
            blocks.push(TableBlock { first, at, key: reader.bytes(key)?.into() });
        }
        reader.finish("block index")?;
        if (count == 0) != blocks.is_empty() {
            return Err(wrong("records without a block"));
        }
        Ok(Self { kind, count, blocks })
    }

    /// The number of the block that has record `id`, if there is such a record.
    #[inline]
    pub(super) fn block_of(&self, id: u32) -> Option<usize> {
        if id >= self.count {
            return None;
        }
        self.blocks.partition_point(|b| b.first <= id).checked_sub(1)
    }

    /// How many records block number `block` has to hold.
    pub(super) fn records_in(&self, block: usize) -> u32 {
        let first = self.blocks.get(block).map_or(self.count, |b| b.first);
        self.blocks.get(block + 1).map_or(self.count, |b| b.first) - first
    }
}
