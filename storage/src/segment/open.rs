//! An open segment: what is kept in memory of it, and how its records are found.

use std::{path::Path, sync::Arc};

use super::{
    SegmentSummary,
    block::{BlockFile, BlockKind, BlockRef, METRIC_SEGMENT},
    cache::{BlockCache, segment_number},
    postings::Postings,
    records::RecordBlock,
    table::Table,
    writer::summary,
};
use crate::{
    Result, StorageError,
    codec::segment::decode_segment_footer,
    encoding::{Reader, malformed},
    vfs::Vfs,
};

/// A segment that is read. In memory are the sparse indexes (a few bytes a block) and the label names; all else is read
/// when it is asked for, through the block cache.
#[derive(Debug)]
pub struct Segment {
    pub(super) file: BlockFile,
    pub(super) cache: Arc<BlockCache>,
    /// The number of this open segment in caches and scratches.
    pub(super) number: u64,
    pub(super) summary: SegmentSummary,
    pub(super) times: Table,
    pub(super) chunks: Table,
    pub(super) exemplars: Table,
    pub(super) series: Table,
    pub(super) values: Table,
    pub(super) postings: Table,
    /// Label names in order.
    pub(super) names: Vec<Name>,
    /// Where the names' blocks are, for `verify`.
    pub(super) name_blocks: Vec<BlockRef>,
}

/// One label name.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) name: String,
    /// The numbers of its values: from `first` up to, not including, `end`.
    pub(super) first: u32,
    pub(super) end: u32,
    /// The series that have the label.
    pub(super) postings: Postings,
}

impl Segment {
    /// Opens a segment file.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when the file is not a whole segment, [`StorageError::NewerFormat`] when a newer program
    /// wrote it, [`StorageError::Io`] when it cannot be read.
    pub fn open(vfs: &Arc<dyn Vfs>, path: &Path, cache: Arc<BlockCache>) -> Result<Self> {
        let (file, file_len, footer_at) = BlockFile::open(vfs, path, METRIC_SEGMENT)?;
        let payload = file.read(footer_at, BlockKind::Footer)?;
        let footer = decode_segment_footer(&payload).map_err(file.at(footer_at.offset))?;
        let [times, chunks, exemplars, series, values, postings, names] = footer.indexes;
        let table = |(offset, len): (u64, u32), kind| {
            let table = Table::open(&file, BlockRef { offset, len }, kind)?;
            match table.blocks.iter().find(|b| b.at.offset.saturating_add(b.at.len.into()) > file_len) {
                Some(block) => Err(file.corrupt(offset, format!("a block at {} beyond the end", block.at.offset))),
                None => Ok(table),
            }
        };
        let series_table = table(series, BlockKind::Series)?;
        let values = table(values, BlockKind::Values)?;
        if series_table.count != footer.series {
            return Err(file.corrupt(footer_at.offset, "the number of series is not that of the index"));
        }
        let names_table = table(names, BlockKind::Names)?;
        let names = read_names(&file, &names_table, values.count, footer.series)?;
        Ok(Self {
            times: table(times, BlockKind::Times)?,
            chunks: table(chunks, BlockKind::Chunks)?,
            exemplars: table(exemplars, BlockKind::Exemplars)?,
            series: series_table,
            values,
            postings: table(postings, BlockKind::Postings)?,
            names,
            name_blocks: names_table.blocks.iter().map(|b| b.at).collect(),
            summary: summary(&footer, file_len, crc32c::crc32c(&payload)),
            number: segment_number(),
            cache,
            file,
        })
    }

    /// What the segment holds as a whole.
    #[must_use]
    pub const fn summary(&self) -> &SegmentSummary {
        &self.summary
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Memory that the open segment holds by itself, in bytes; blocks count in the cache.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        let tables = [&self.times, &self.chunks, &self.exemplars, &self.series, &self.values, &self.postings];
        let blocks = tables.iter().flat_map(|t| &t.blocks).map(|b| size_of_val(b) + b.key.len()).sum::<usize>();
        blocks + self.names.iter().map(|n| size_of_val(n) + n.name.len() + 48).sum::<usize>()
    }

    /// Reads block number `number` of a table through the cache.
    pub(super) fn block(&self, table: &Table, number: usize) -> Result<Arc<[u8]>> {
        let Some(block) = table.blocks.get(number) else {
            return Err(StorageError::Invalid(format!("{:?} has no block {number}", table.kind)));
        };
        let key = (self.number, block.at.offset);
        if let Some(found) = self.cache.get(key) {
            return Ok(found);
        }
        let read = self.file.read(block.at, table.kind)?;
        self.cache.insert(key, Arc::clone(&read));
        Ok(read)
    }

    /// The records of a block, checked against what the index expects.
    pub(super) fn records<'a>(&self, table: &Table, number: usize, payload: &'a [u8]) -> Result<RecordBlock<'a>> {
        let offset = table.blocks.get(number).map_or(0, |b| b.at.offset);
        let records = RecordBlock::parse(payload).map_err(self.file.at(offset))?;
        if records.count() != table.records_in(number) as usize {
            return Err(self.file.corrupt(offset, "the block has not the records that the index says"));
        }
        Ok(records)
    }

    /// Adds the file and the place of record `id` to the error of a decoder.
    pub(super) fn at_record<'a>(&'a self, table: &'a Table, id: u32) -> impl Fn(StorageError) -> StorageError + 'a {
        move |error| {
            let block = table.block_of(id).and_then(|b| table.blocks.get(b));
            self.file.at(block.map_or(0, |b| b.at.offset))(error)
        }
    }

    /// Visits the records with these numbers, which rise strictly, and those before them up to the restart they lean on.
    /// `visit` gets a record's number, whether it is a restart, whether it was asked for, and its bytes.
    pub(super) fn walk(
        &self,
        table: &Table,
        mut ids: impl Iterator<Item = u32>,
        mut visit: impl FnMut(u32, bool, bool, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut wanted = ids.next();
        while let Some(first) = wanted {
            let Some(number) = table.block_of(first) else {
                return Err(StorageError::Invalid(format!("no {:?} record {first} of {}", table.kind, table.count)));
            };
            let payload = self.block(table, number)?;
            let records = self.records(table, number, &payload)?;
            let base = table.blocks.get(number).map_or(0, |b| b.first);
            let end = base + table.records_in(number);
            let at = |e| self.at_record(table, first)(e);
            let mut cursor = None;
            while let Some(id) = wanted.filter(|id| *id < end) {
                let target = (id - base) as usize;
                let fresh = records.seek(target).map_err(at)?;
                // Goes on from where it is when the next restart is not nearer.
                let mut from = match cursor {
                    Some(old) if fresh.position().0 <= position(&old) => old,
                    _ => fresh,
                };
                while position(&from) <= target {
                    let (number, restart) = from.position();
                    let record = from.take().map_err(at)?;
                    visit(base + number as u32, restart, number == target, record).map_err(at)?;
                }
                cursor = Some(from);
                wanted = ids.next();
                if wanted.is_some_and(|next| next <= id) {
                    return Err(StorageError::Invalid("record numbers have to rise".to_owned()));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.cache.forget(self.number);
    }
}

const fn position(cursor: &super::records::RecordCursor<'_>) -> usize {
    cursor.position().0
}

fn read_names(file: &BlockFile, table: &Table, values: u32, series: u32) -> Result<Vec<Name>> {
    let mut names: Vec<Name> = Vec::with_capacity(table.count as usize);
    for (number, block) in table.blocks.iter().enumerate() {
        let payload = file.read(block.at, BlockKind::Names)?;
        let mut decode = || {
            let records = RecordBlock::parse(&payload)?;
            if records.count() != table.records_in(number) as usize {
                return Err(malformed("label names", "another number of names"));
            }
            let mut cursor = records.seek(0)?;
            while !cursor.at_end() {
                let mut reader = Reader::new(cursor.take()?);
                let name = reader.text()?.to_owned();
                let first = reader.id()?;
                let postings = Postings::decode(&mut reader, series)?;
                reader.finish("label name")?;
                if let Some(before) = names.last_mut() {
                    before.end = first;
                }
                let rises = names.last().is_none_or(|b| b.name < name && b.first < b.end);
                if !rises || first >= values || (names.is_empty() && first != 0) {
                    return Err(malformed("label names", "out of order"));
                }
                names.push(Name { name, first, end: values, postings });
            }
            Ok(())
        };
        decode().map_err(file.at(block.at.offset))?;
    }
    if names.is_empty() != (values == 0) {
        return Err(file.corrupt(0, "label values without names"));
    }
    Ok(names)
}
