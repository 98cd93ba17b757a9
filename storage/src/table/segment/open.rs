//! An open event segment: the directory of its columns in memory, all else read when it is asked for.

use std::{
    ops::RangeInclusive,
    path::Path,
    sync::{Arc, OnceLock},
};

use arrow_array::{Array, ArrayRef, UInt64Array, new_null_array};
use arrow_buffer::Buffer;
use roaring::RoaringBitmap;

use super::{
    EventSegmentSummary,
    chunk::{Beside, decode_chunk, decode_rows},
    column::{Chunk, ColumnIndex, TermIndex, block_len, take_sections},
    dictionary::{BYTES_MAX, Dictionary, ENTRIES_MAX},
    file::PackFile,
    footer::{EVENT_SEGMENT, Footer, decode_directory},
    pack::{Place, decode_table},
    shapes::RowTimes,
    terms::{Section, TermKind},
    zone::{Bounds, Zone, bounds_array},
};
use crate::{
    Result, StorageError,
    encoding::{Reader, decode_blocks, decode_picked, malformed},
    segment::{
        BlockCache,
        block::{BlockFile, BlockKind},
        cache::segment_number,
    },
    table::{BLOCK_ROWS, ColumnKey, ColumnZones, Kind, Needle, Part, part::check_places},
    vfs::{OpenMode, Vfs, at_path},
};

/// An event segment that is read. Indexes and dictionaries of the columns that were asked for stay in memory; blocks go
/// through the block cache.
#[derive(Debug)]
pub struct EventSegment {
    pub(super) file: PackFile,
    pub(super) footer: Footer,
    summary: EventSegmentSummary,
    pub(super) columns: Vec<Column>,
    keys: Arc<[ColumnKey]>,
    row_ids: OnceLock<Arc<ColumnIndex>>,
    key_index: OnceLock<Arc<Vec<Section>>>,
}

/// A column of an open segment.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) key: ColumnKey,
    index_at: Place,
    terms_at: Place,
    index: OnceLock<Arc<ColumnIndex>>,
    terms: OnceLock<Arc<TermIndex>>,
    dictionary: OnceLock<Arc<Dictionary>>,
    zones: OnceLock<Arc<ColumnZones>>,
}

impl EventSegment {
    /// Opens an event segment.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when the file is not a whole event segment, [`StorageError::NewerFormat`] when a newer
    /// program wrote it, [`StorageError::Io`] when it cannot be read.
    pub fn open(vfs: &Arc<dyn Vfs>, path: &Path, cache: Arc<BlockCache>) -> Result<Self> {
        let (file, file_len, footer_at) = BlockFile::open(vfs, path, EVENT_SEGMENT)?;
        let payload = file.read(footer_at, BlockKind::EventFooter)?;
        let footer = Footer::decode(&payload).map_err(file.at(footer_at.offset))?;
        let table = file.read(footer.packs, BlockKind::Packs)?;
        let packs = decode_table(&table).map_err(file.at(footer.packs.offset))?;
        if let Some(pack) = packs.iter().find(|p| p.at.offset.saturating_add(p.at.len.into()) > file_len) {
            return Err(file.corrupt(footer.packs.offset, format!("a pack at {} beyond the end", pack.at.offset)));
        }
        let file = PackFile { file, packs, cache, number: segment_number() };
        let directory = file.read(footer.directory, BlockKind::Directory)?;
        let entries = decode_directory(&directory).map_err(file.at(footer.directory))?;
        let columns: Vec<Column> = entries
            .into_iter()
            .map(|entry| Column {
                key: entry.key,
                index_at: entry.index,
                terms_at: entry.terms,
                index: OnceLock::new(),
                terms: OnceLock::new(),
                dictionary: OnceLock::new(),
                zones: OnceLock::new(),
            })
            .collect();
        Ok(Self {
            summary: footer.summary(columns.len(), file_len, crc32c::crc32c(&payload)),
            keys: columns.iter().map(|c| c.key.clone()).collect(),
            columns,
            footer,
            file,
            row_ids: OnceLock::new(),
            key_index: OnceLock::new(),
        })
    }

    /// Whether a file says of itself that it is an event segment; it may be damaged.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_one(vfs: &dyn Vfs, path: &Path) -> Result<bool> {
        let mut magic = [0; 8];
        let file = vfs.open(path, OpenMode::Read).map_err(at_path(path))?;
        match file.read_exact_at(&mut magic, 0) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| magic == EVENT_SEGMENT.magic).map_err(at_path(path)),
        }
    }

    /// What the segment holds as a whole.
    #[must_use]
    pub const fn summary(&self) -> &EventSegmentSummary {
        &self.summary
    }

    /// What the writer was given to keep.
    #[must_use]
    pub fn state(&self) -> &[u8] {
        &self.footer.state
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.file.path
    }

    /// Memory that the open segment holds by itself, in bytes; blocks count in the cache. It grows with the columns that
    /// were asked for.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        let columns = self.columns.iter().map(|c| {
            size_of_val(c)
                + c.key.field.len()
                + c.index.get().map_or(0, |i| i.heap_size())
                + c.terms.get().map_or(0, |t| t.heap_size())
                + c.dictionary.get().map_or(0, |d| d.heap_size())
                + c.zones.get().map_or(0, |z| z.min.get_array_memory_size() + z.max.get_array_memory_size())
        });
        let keys = self.key_index.get().map_or(0, |k| k.iter().map(Section::heap_size).sum());
        let row_ids = self.row_ids.get().map_or(0, |i| i.heap_size());
        columns.sum::<usize>() + keys + row_ids + size_of_val(self.file.packs.as_slice())
    }

    pub(super) fn column(&self, key: &ColumnKey) -> Option<&Column> {
        self.columns.binary_search_by(|c| c.key.cmp(key)).ok().and_then(|at| self.columns.get(at))
    }

    fn index_at(&self, place: Place, slot: &OnceLock<Arc<ColumnIndex>>) -> Result<Arc<ColumnIndex>> {
        keep(slot, || {
            let bytes = self.file.read(place, BlockKind::ColumnIndex)?;
            ColumnIndex::decode(&bytes, self.footer.rows).map_err(self.file.at(place))
        })
    }

    pub(super) fn index(&self, column: &Column) -> Result<Arc<ColumnIndex>> {
        self.index_at(column.index_at, &column.index)
    }

    pub(super) fn terms(&self, column: &Column) -> Result<Arc<TermIndex>> {
        keep(&column.terms, || match column.terms_at.len {
            0 => Ok(TermIndex::default()),
            _ => {
                let bytes = self.file.read(column.terms_at, BlockKind::TermIndex)?;
                TermIndex::decode(&bytes, self.footer.rows).map_err(self.file.at(column.terms_at))
            }
        })
    }

    pub(super) fn dictionary(&self, column: &Column, index: &ColumnIndex) -> Result<Arc<Dictionary>> {
        keep(&column.dictionary, || {
            let Some(at) = index.dictionary else {
                return Err(malformed("texts", "numbers of a dictionary that is not there"));
            };
            // Lengths take at most ten bytes each.
            if at.entries as usize > ENTRIES_MAX || at.place.len as usize > BYTES_MAX + 10 * ENTRIES_MAX + 64 {
                return Err(malformed("dictionary", format!("{} texts in {} bytes", at.entries, at.place.len)));
            }
            let bytes = self.file.read(at.place, BlockKind::Dictionary)?;
            let binary = column.key.kind == Kind::Bytes;
            Dictionary::decode(&bytes, at.entries as usize, binary).map_err(self.file.at(at.place))
        })
    }

    pub(super) fn row_id_index(&self) -> Result<Arc<ColumnIndex>> {
        self.index_at(self.footer.row_id_index, &self.row_ids)
    }

    /// The sections of the key index; none when the segment has no keys.
    pub(super) fn key_sections(&self) -> Result<Option<Arc<Vec<Section>>>> {
        let place = self.footer.key_index;
        if place.len == 0 {
            return Ok(None);
        }
        let sections = keep(&self.key_index, || {
            let bytes = self.file.read(place, BlockKind::TermIndex)?;
            let mut reader = Reader::new(&bytes);
            let sections = take_sections(&mut reader, TermKind::Keys, self.footer.rows).map_err(self.file.at(place))?;
            reader.finish("key index").map_err(self.file.at(place))?;
            Ok(sections)
        });
        sections.map(Some)
    }

    /// The values of a chunk.
    pub(super) fn decode(&self, column: &Column, index: &ColumnIndex, chunk: &Chunk) -> Result<ArrayRef> {
        let bytes = self.file.read(chunk.place, BlockKind::Columns)?;
        let rows = block_len(self.footer.rows, chunk.block);
        let array = decode_chunk(
            column.key.kind,
            &bytes,
            rows,
            &BesideChunk { segment: self, column, index, block: chunk.block },
        );
        let array = array.map_err(self.file.at(chunk.place))?;
        if rows - array.null_count() != chunk.facts.present as usize {
            let reason =
                format!("{} values where the index tells of {}", rows - array.null_count(), chunk.facts.present);
            return Err(self.file.file.corrupt(self.file.offset(chunk.place), reason));
        }
        Ok(array)
    }

    /// The values of some rows of a chunk.
    fn decode_some(&self, column: &Column, index: &ColumnIndex, chunk: &Chunk, rows: &[u32]) -> Result<ArrayRef> {
        let bytes = self.file.read(chunk.place, BlockKind::Columns)?;
        let beside = BesideChunk { segment: self, column, index, block: chunk.block };
        let all = block_len(self.footer.rows, chunk.block);
        decode_rows(column.key.kind, &bytes, all, rows, &beside).map_err(self.file.at(chunk.place))
    }

    /// Takes the row ids of a block: all, or those at some places.
    fn take_row_ids(&self, block: usize, picked: Option<&[u32]>) -> Result<UInt64Array> {
        let rows = self.block_rows(block)?;
        let index = self.row_id_index()?;
        let Some(chunk) = index.chunk(block) else {
            return Err(self.file.file.corrupt(0, format!("block {block} has no row ids")));
        };
        let bytes = self.file.read(chunk.place, BlockKind::Columns)?;
        let mut reader = Reader::new(&bytes);
        let mut ids = Vec::with_capacity(picked.map_or(rows, <[u32]>::len));
        let decoded = match picked {
            None => decode_blocks(&mut reader, rows, |ids_of| ids.extend_from_slice(ids_of)),
            Some(places) => decode_picked(&mut reader, rows, places, |id| ids.push(id)),
        };
        decoded.and_then(|()| reader.finish("row ids")).map_err(self.file.at(chunk.place))?;
        let bounds = self.row_id_bounds();
        if ids.iter().any(|id| !bounds.contains(id)) {
            return Err(self.file.file.corrupt(self.file.offset(chunk.place), "a row id outside the footer's bounds"));
        }
        Ok(UInt64Array::from(ids))
    }

    fn block_rows(&self, block: usize) -> Result<usize> {
        match u32::try_from(block).map(|b| block_len(self.footer.rows, b)) {
            Ok(rows) if rows > 0 => Ok(rows),
            _ => Err(StorageError::Invalid(format!(
                "an event segment of {} rows has no block {block}",
                self.footer.rows
            ))),
        }
    }
}

/// What the chunks of a column refer to.
struct BesideChunk<'a> {
    segment: &'a EventSegment,
    column: &'a Column,
    index: &'a ColumnIndex,
    block: u32,
}

impl Beside for BesideChunk<'_> {
    fn dictionary(&self) -> Result<Arc<Dictionary>> {
        self.segment.dictionary(self.column, self.index)
    }

    fn presence(&self, place: Place) -> Result<Buffer> {
        self.segment.file.read(place, BlockKind::Presence)
    }

    fn times(&self) -> Result<RowTimes> {
        let none = || malformed("texts", "times of rows that have none");
        let column = self.segment.footer.time_column.and_then(|at| self.segment.columns.get(at as usize));
        let column = column.filter(|c| matches!(c.key.kind, Kind::Nanos | Kind::Micros)).ok_or_else(none)?;
        let array = self.segment.read(&column.key, self.block as usize)?;
        RowTimes::of(column.key.kind, &array).ok_or_else(none)
    }
}

/// What a slot holds, made when it is asked for the first time.
fn keep<T>(slot: &OnceLock<Arc<T>>, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
    if let Some(made) = slot.get() {
        return Ok(Arc::clone(made));
    }
    let made = Arc::new(make()?);
    // Another thread may have been faster; what it made is the same.
    Ok(Arc::clone(slot.get_or_init(|| made)))
}

impl Part for EventSegment {
    fn len(&self) -> usize {
        self.footer.rows as usize
    }

    fn columns(&self) -> Result<Arc<[ColumnKey]>> {
        Ok(Arc::clone(&self.keys))
    }

    fn zones(&self, key: &ColumnKey) -> Result<Arc<ColumnZones>> {
        let rows = |block: usize| block_len(self.footer.rows, block as u32) as u64;
        let Some(column) = self.column(key) else {
            let nulls = UInt64Array::from_iter_values((0..self.blocks()).map(rows));
            return Ok(Arc::new(ColumnZones::unbounded(key.kind, nulls)));
        };
        keep(&column.zones, || {
            let index = self.index(column)?;
            let mut chunks: Vec<Option<&Chunk>> = vec![None; self.blocks()];
            for chunk in &index.chunks {
                chunks[chunk.block as usize] = Some(chunk);
            }
            let present = |chunk: &Option<&Chunk>| chunk.map_or(0, |chunk| u64::from(chunk.facts.present));
            let nulls = chunks.iter().enumerate().map(|(block, chunk)| rows(block).saturating_sub(present(chunk)));
            let zones: Vec<Option<&Zone>> = chunks.iter().map(|chunk| chunk.map(|chunk| &chunk.facts.zone)).collect();
            Ok(ColumnZones {
                nulls: UInt64Array::from_iter_values(nulls),
                min: bounds_array(key.kind, &zones, false),
                max: bounds_array(key.kind, &zones, true),
                exact: zones.iter().map(|zone| zone.is_some_and(|zone| zone.exact)).collect(),
            })
        })
    }

    fn read(&self, key: &ColumnKey, block: usize) -> Result<ArrayRef> {
        let rows = self.block_rows(block)?;
        let Some(column) = self.column(key) else { return Ok(new_null_array(&key.kind.arrow(), rows)) };
        let index = self.index(column)?;
        match index.chunk(block) {
            Some(chunk) => self.decode(column, &index, chunk),
            None => Ok(new_null_array(&key.kind.arrow(), rows)),
        }
    }

    fn read_rows(&self, key: &ColumnKey, block: usize, rows: &[u32]) -> Result<ArrayRef> {
        check_places(rows, self.block_rows(block)?)?;
        let none = || Ok(new_null_array(&key.kind.arrow(), rows.len()));
        let Some(column) = self.column(key) else { return none() };
        let index = self.index(column)?;
        match index.chunk(block) {
            Some(chunk) => self.decode_some(column, &index, chunk, rows),
            None => none(),
        }
    }

    fn row_ids(&self, block: usize) -> Result<UInt64Array> {
        self.take_row_ids(block, None)
    }

    fn row_ids_at(&self, block: usize, rows: &[u32]) -> Result<UInt64Array> {
        check_places(rows, self.block_rows(block)?)?;
        self.take_row_ids(block, Some(rows))
    }

    fn block_row_ids(&self, block: usize) -> Result<RangeInclusive<u64>> {
        let index = self.row_id_index()?;
        let bounds = index.chunk(block).map(|chunk| &chunk.facts.zone.bounds);
        // Segments of older versions have none.
        let Some(Bounds::Integers(low, high)) = bounds else { return Ok(self.row_id_bounds()) };
        Ok(low.cast_unsigned()..=high.cast_unsigned())
    }

    fn row_id_bounds(&self) -> RangeInclusive<u64> {
        self.footer.row_ids.0..=self.footer.row_ids.1
    }

    fn find(&self, key: &ColumnKey, needle: &Needle<'_>) -> Result<Option<RoaringBitmap>> {
        self.find_rows(key, needle)
    }

    fn find_key(&self, hash: u64) -> Result<Option<RoaringBitmap>> {
        self.find_key_hash(hash)
    }
}

const _: () = assert!(BLOCK_ROWS.is_multiple_of(128), "a granule of terms is in one block");
