//! Writes an event segment as a stream: chunks leave as their packs fill, only dictionaries and indexes grow to the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, UInt64Array, new_null_array};
use arrow_select::concat::concat;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    EventSegmentOptions, EventSegmentSummary,
    chunk::{ChunkFacts, ChunkSink, encode_chunk, is_searched, is_text},
    column::{Chunk, ColumnIndex, DictionaryAt, TermIndex, put_sections},
    dictionary::DictionaryBuilder,
    footer::{DirectoryEntry, EVENT_SEGMENT, Footer, ROWS_MAX, encode_directory},
    pack::{Pack, PackWriter, Place},
    presence::Presences,
    shapes::RowTimes,
    terms::{TermBuilder, TermKind},
    text::{Terms, TextColumn},
    zone::{Bounds, Zone},
};
use crate::{
    Result, StorageError,
    encoding::encode_integers,
    segment::{
        Level,
        block::{BlockFile, BlockKind, BlockWriter},
    },
    table::{BLOCK_ROWS, ColumnKey, Kind, Rows},
    vfs::{OpenMode, Vfs, at_path},
};

/// Bytes in packs of all columns that may wait.
const PACKS_MAX: usize = 16 << 20;
/// Entries of one index that may wait, and of all together.
const ENTRIES_MAX: usize = 1 << 20;
const ALL_ENTRIES_MAX: usize = 4 << 20;
/// Memory that all dictionaries may take.
const DICTIONARIES_MAX: usize = 32 << 20;

/// Writes one event segment. Dropped before [`EventSegmentWriter::finish`], it leaves a file that no reader accepts.
pub struct EventSegmentWriter {
    packs: PackWriter,
    options: EventSegmentOptions,
    columns: BTreeMap<ColumnKey, ColumnWriter>,
    row_ids: ColumnWriter,
    presences: Pack,
    keys: Option<TermBuilder>,
    waiting: Waiting,
    rows: u32,
    row_id_bounds: (u64, u64),
    time: Option<(i64, i64)>,
    chunk: Vec<u8>,
}

/// Rows that do not fill a block yet.
#[derive(Default)]
struct Waiting {
    rows: Vec<Rows>,
    row_ids: Vec<u64>,
    keys: Vec<u64>,
}

/// What the chunks of one block of rows have in common.
struct Around<'a> {
    block: u32,
    may_grow: bool,
    times: Option<&'a RowTimes>,
    presences: &'a mut Presences,
}

struct ColumnWriter {
    pack: Pack,
    index: ColumnIndex,
    texts: Option<TextColumn>,
}

impl ColumnWriter {
    fn new(kind: Kind) -> Self {
        let builder = |kind| TermBuilder::new(kind, Pack::new(BlockKind::Terms));
        let texts = is_text(kind).then(|| TextColumn {
            dictionary: DictionaryBuilder::default(),
            codes: builder(TermKind::Codes),
            terms: is_searched(kind)
                .then(|| Terms { words: builder(TermKind::Words), wholes: builder(TermKind::Wholes) }),
        });
        Self { pack: Pack::new(BlockKind::Columns), index: ColumnIndex::default(), texts }
    }

    fn indexes(&mut self) -> impl Iterator<Item = &mut TermBuilder> {
        self.texts.iter_mut().flat_map(|t| {
            let terms = t.terms.iter_mut().flat_map(|t| [&mut t.words, &mut t.wholes]);
            std::iter::once(&mut t.codes).chain(terms)
        })
    }
}

impl EventSegmentWriter {
    /// Makes a new file; it must not exist.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(vfs: &Arc<dyn Vfs>, path: &Path, options: EventSegmentOptions) -> Result<Self> {
        let file = vfs.open(path, OpenMode::CreateNew).map_err(at_path(path))?;
        // Tells blocks of different files apart, so that one cannot stand for the other.
        let file_id = xxh3_64(path.as_os_str().as_encoded_bytes());
        let zstd_level = match options.level {
            Level::Flush => 1,
            Level::Merge => 3,
        };
        let file = BlockWriter::start(BlockFile { path: path.into(), file, file_id }, EVENT_SEGMENT, zstd_level)?;
        Ok(Self {
            packs: PackWriter::new(file),
            options,
            columns: BTreeMap::new(),
            row_ids: ColumnWriter::new(Kind::Int64),
            presences: Pack::new(BlockKind::Presence),
            keys: None,
            waiting: Waiting::default(),
            rows: 0,
            row_id_bounds: (1, 0),
            time: None,
            chunk: Vec::new(),
        })
    }

    /// How many rows were pushed.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows as usize + self.waiting.row_ids.len()
    }

    /// Appends rows in their final order. `keys` are hashes of the rows' primary keys, for
    /// [`EventSegment::find_key`](super::segment::EventSegment::find_key): given for all rows of a segment or for none.
    ///
    /// # Errors
    /// When there is not one row id and key for each row, a value is larger than the format allows, there are too many
    /// rows, or the file system refuses. The writer is of no use after an error.
    pub fn push(&mut self, rows: &Rows, row_ids: &UInt64Array, keys: Option<&[u64]>) -> Result<()> {
        let given = (row_ids.len(), row_ids.null_count(), keys.map_or(rows.len(), <[u64]>::len));
        if given != (rows.len(), 0, rows.len()) {
            let reason = format!("{} row ids and {} keys for {} rows", given.0 - given.1, given.2, rows.len());
            return Err(StorageError::Invalid(reason));
        }
        if rows.is_empty() {
            return Ok(());
        }
        if self.rows() + rows.len() > ROWS_MAX as usize {
            return Err(StorageError::Invalid(format!("more than {ROWS_MAX} rows in one event segment")));
        }
        if self.rows() == 0 {
            self.keys = keys.map(|_| TermBuilder::new(TermKind::Keys, Pack::new(BlockKind::Keys)));
        }
        if self.keys.is_some() != keys.is_some() {
            return Err(StorageError::Invalid("some rows of an event segment with a key and some without".to_owned()));
        }
        let mut start = 0;
        while start < rows.len() {
            let len = (BLOCK_ROWS - self.waiting.row_ids.len()).min(rows.len() - start);
            self.waiting.rows.push(rows.slice(start, len));
            self.waiting.row_ids.extend_from_slice(&row_ids.values()[start..start + len]);
            self.waiting.keys.extend_from_slice(keys.map_or(&[], |k| &k[start..start + len]));
            start += len;
            if self.waiting.row_ids.len() == BLOCK_ROWS {
                self.write_block()?;
            }
        }
        Ok(())
    }

    fn write_block(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let block = self.rows / BLOCK_ROWS as u32;
        self.write_row_ids(&waiting.row_ids, block)?;
        if let Some(keys) = &mut self.keys {
            for (row, key) in waiting.keys.iter().enumerate() {
                keys.add(*key, keys.granule(block, row as u32));
            }
        }
        let dictionaries = self.columns.values().filter_map(|c| c.texts.as_ref()).map(|t| t.dictionary.size());
        let may_grow = dictionaries.sum::<usize>() < DICTIONARIES_MAX;
        let all: BTreeSet<&ColumnKey> = waiting.rows.iter().flat_map(|r| r.columns().iter().map(|(k, _)| k)).collect();
        let mut presences = Presences::default();
        let time = self.options.time.as_ref().filter(|key| all.contains(key));
        let times = time.map(|key| Ok::<_, StorageError>(RowTimes::of(key.kind, &column(&waiting.rows, key)?)));
        let times = times.transpose()?.flatten();
        let mut around = Around { block, may_grow, times: times.as_ref(), presences: &mut presences };
        for key in all {
            let array = column(&waiting.rows, key)?;
            if array.null_count() < array.len() {
                self.write_chunk(key, &array, &mut around)?;
            }
        }
        self.rows += waiting.row_ids.len() as u32;
        self.make_room()
    }

    fn write_row_ids(&mut self, row_ids: &[u64], block: u32) -> Result<()> {
        for id in row_ids {
            let (low, high) = self.row_id_bounds;
            self.row_id_bounds = if low > high { (*id, *id) } else { (low.min(*id), high.max(*id)) };
        }
        self.chunk.clear();
        let numbers: Vec<i64> = row_ids.iter().map(|id| *id as i64).collect();
        encode_integers(&numbers, &mut self.chunk);
        let place = self.packs.append(&mut self.row_ids.pack, &self.chunk)?;
        let facts =
            ChunkFacts { present: row_ids.len() as u32, zone: Zone::integers(numbers.iter().copied()), flags: 0 };
        self.row_ids.index.chunks.push(Chunk { block, place, facts });
        Ok(())
    }

    fn write_chunk(&mut self, key: &ColumnKey, array: &ArrayRef, around: &mut Around<'_>) -> Result<()> {
        let column = self.columns.entry(key.clone()).or_insert_with(|| ColumnWriter::new(key.kind));
        self.chunk.clear();
        let mut put = |presence: &[u8]| self.packs.append(&mut self.presences, presence);
        let mut sink = ChunkSink {
            block: around.block,
            may_grow: around.may_grow,
            times: around.times,
            texts: column.texts.as_mut(),
            presences: around.presences,
            put_presence: &mut put,
            out: &mut self.chunk,
        };
        let facts = encode_chunk(key.kind, array, &mut sink)?;
        if self.options.time.as_ref() == Some(key)
            && let Bounds::Integers(low, high) = facts.zone.bounds
        {
            let (l, h) = self.time.unwrap_or((low, high));
            self.time = Some((l.min(low), h.max(high)));
        }
        let place = self.packs.append(&mut column.pack, &self.chunk)?;
        column.index.chunks.push(Chunk { block: around.block, place, facts });
        Ok(())
    }

    /// Writes what waits in memory where it has become too much.
    fn make_room(&mut self) -> Result<()> {
        if self.columns.values().map(|c| c.pack.len()).sum::<usize>() > PACKS_MAX {
            for column in self.columns.values_mut() {
                self.packs.close(&mut column.pack)?;
            }
        }
        let mut indexes: Vec<&mut TermBuilder> =
            self.columns.values_mut().flat_map(ColumnWriter::indexes).chain(&mut self.keys).collect();
        let mut all: usize = indexes.iter().map(|i| i.waiting()).sum();
        indexes.sort_unstable_by_key(|i| std::cmp::Reverse(i.waiting()));
        for index in indexes {
            let before = index.waiting();
            if before < ENTRIES_MAX && all < ALL_ENTRIES_MAX {
                break;
            }
            index.tidy();
            if index.waiting() > before / 4 * 3 {
                index.flush(&mut self.packs)?;
            }
            all -= before - index.waiting();
        }
        Ok(())
    }

    /// Writes the indexes and the footer and makes the file durable; the directory is the caller's to sync.
    ///
    /// # Errors
    /// When the file system refuses; the file is then of no use.
    pub fn finish(mut self) -> Result<EventSegmentSummary> {
        if !self.waiting.row_ids.is_empty() {
            self.write_block()?;
        }
        let mut dictionaries = Pack::new(BlockKind::Dictionary);
        let mut indexes = Pack::new(BlockKind::ColumnIndex);
        let mut term_indexes = Pack::new(BlockKind::TermIndex);
        let mut directory = Vec::with_capacity(self.columns.len());
        for (key, mut column) in std::mem::take(&mut self.columns) {
            self.packs.close(&mut column.pack)?;
            let mut terms = Place::default();
            if let Some(texts) = column.texts {
                if texts.dictionary.len() > 0 {
                    let place = self.packs.append(&mut dictionaries, &texts.dictionary.encode())?;
                    column.index.dictionary = Some(DictionaryAt { entries: texts.dictionary.len() as u32, place });
                }
                let codes = texts.codes.finish(&mut self.packs)?;
                let (words, wholes) = match texts.terms {
                    Some(terms) => (terms.words.finish(&mut self.packs)?, terms.wholes.finish(&mut self.packs)?),
                    None => (Vec::new(), Vec::new()),
                };
                let index = TermIndex { codes, words, wholes };
                if !index.is_empty() {
                    terms = self.packs.append(&mut term_indexes, &index.encode())?;
                }
            }
            let index = self.packs.append(&mut indexes, &column.index.encode())?;
            directory.push(DirectoryEntry { key, index, terms });
        }
        self.packs.close(&mut self.row_ids.pack)?;
        self.packs.close(&mut self.presences)?;
        let row_id_index = self.packs.append(&mut indexes, &self.row_ids.index.encode())?;
        let mut key_index = Place::default();
        if let Some(keys) = self.keys.take() {
            let mut sections = Vec::new();
            put_sections(&keys.finish(&mut self.packs)?, &mut sections);
            key_index = self.packs.append(&mut term_indexes, &sections)?;
        }
        let time_column = directory.iter().position(|entry| Some(&entry.key) == self.options.time.as_ref());
        let mut columns = Pack::new(BlockKind::Directory);
        let place = self.packs.append(&mut columns, &encode_directory(&directory))?;
        for pack in [&mut dictionaries, &mut indexes, &mut term_indexes, &mut columns] {
            self.packs.close(pack)?;
        }
        let footer = Footer {
            identity: self.options.identity,
            rows: self.rows,
            row_ids: self.row_id_bounds,
            time: self.time,
            packs: self.packs.finish()?,
            directory: place,
            row_id_index,
            key_index,
            time_column: time_column.map(|at| at as u32),
            state: std::mem::take(&mut self.options.state),
        };
        let payload = footer.encode();
        let at = self.packs.file.write(BlockKind::EventFooter, &payload)?;
        let (file_len, checksum) = self.packs.file.finish(at, &payload)?;
        Ok(footer.summary(directory.len(), file_len, checksum))
    }
}

impl std::fmt::Debug for EventSegmentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventSegmentWriter").field("path", &self.packs.file.file.path).finish_non_exhaustive()
    }
}

/// A column of rows that follow each other.
fn column(rows: &[Rows], key: &ColumnKey) -> Result<ArrayRef> {
    let arrays: Vec<ArrayRef> = rows
        .iter()
        .map(|r| r.column(key).map_or_else(|| new_null_array(&key.kind.arrow(), r.len()), Arc::clone))
        .collect();
    match arrays.as_slice() {
        [only] => Ok(Arc::clone(only)),
        _ => {
            let arrays: Vec<&dyn Array> = arrays.iter().map(|a| &**a).collect();
            concat(&arrays).map_err(|e| StorageError::Invalid(format!("rows: {e}")))
        }
    }
}
