//! An open segment: what is kept in memory of it, and how its records are found.

use std::{path::Path, sync::Arc};

use super::{
    SegmentSummary,
    block::{
        BlockFile, BlockKind, BlockRef, SEGMENT_HEADER_LEN, SEGMENT_MAGIC, SEGMENT_TRAILER_LEN, SEGMENT_TRAILER_MAGIC,
        SEGMENT_VERSION,
    },
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
    vfs::{OpenMode, Vfs, at_path},
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
        let file = vfs.open(path, OpenMode::Read).map_err(at_path(path))?;
        let mut file = BlockFile { path: path.into(), file, file_id: 0 };
        let file_len = file.file.len().map_err(at_path(path))?;
        if file_len < (SEGMENT_HEADER_LEN + SEGMENT_TRAILER_LEN) as u64 {
            return Err(file.corrupt(file_len, format!("a segment of {file_len} bytes is cut off")));
        }
        file.file_id = read_header(&file)?;
        let footer_at = read_trailer(&file, file_len)?;
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

/// Checks the file's first bytes and returns the file's id.
fn read_header(file: &BlockFile) -> Result<u64> {
    let mut bytes = [0; SEGMENT_HEADER_LEN];
    file.file.read_exact_at(&mut bytes, 0).map_err(at_path(&file.path))?;
    let mut reader = Reader::new(&bytes);
    let magic: [u8; 8] = reader.array().map_err(file.at(0))?;
    let version = reader.u32().map_err(file.at(0))?;
    let file_id = reader.u64().map_err(file.at(0))?;
    let checksum = reader.u32().map_err(file.at(0))?;
    if magic != SEGMENT_MAGIC {
        return Err(file.corrupt(0, "not a segment file"));
    }
    if checksum != crc32c::crc32c(&bytes[..SEGMENT_HEADER_LEN - 4]) {
        return Err(file.corrupt(0, "the header's checksum does not fit"));
    }
    match version {
        SEGMENT_VERSION => Ok(file_id),
        0 => Err(file.corrupt(8, "format version 0")),
        found => Err(StorageError::NewerFormat { path: file.path.to_path_buf(), found, supported: SEGMENT_VERSION }),
    }
}

/// Checks the file's last bytes and returns where the footer is.
fn read_trailer(file: &BlockFile, file_len: u64) -> Result<BlockRef> {
    let at = file_len - SEGMENT_TRAILER_LEN as u64;
    let mut bytes = [0; SEGMENT_TRAILER_LEN];
    file.file.read_exact_at(&mut bytes, at).map_err(at_path(&file.path))?;
    let mut reader = Reader::new(&bytes);
    let wrong = file.at(at);
    let footer = BlockRef { offset: reader.u64().map_err(&wrong)?, len: reader.u32().map_err(&wrong)? };
    let file_id = reader.u64().map_err(&wrong)?;
    let checksum = reader.u32().map_err(&wrong)?;
    if reader.rest() != SEGMENT_TRAILER_MAGIC {
        return Err(file.corrupt(at, "the end of the file is missing"));
    }
    if checksum != crc32c::crc32c(&bytes[..20]) {
        return Err(file.corrupt(at, "the trailer's checksum does not fit"));
    }
    if file_id != file.file_id || footer.offset.checked_add(footer.len.into()) != Some(at) {
        return Err(file.corrupt(at, "the trailer belongs to another file"));
    }
    Ok(footer)
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
