//! One block, series by series. Memory is bounded by the symbols, one series' samples and a window into one segment.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::PathBuf,
};

use chronolith_storage::{Labels, SampleBuffer};

use super::{
    BlockMeta, TsdbError,
    chunks::{ReadError, Segments},
    cursor::Cursor,
    index::{self, HEADER_LEN, SeriesEntry, Symbols, TOC_LEN, Toc, Version},
    tombstones::Tombstones,
};
use crate::ingest::prometheus_chunk;

/// The most bytes that one series' entry may have: some two million chunks.
const MAX_ENTRY: u64 = 64 << 20;

/// An open block.
#[derive(Debug)]
pub struct Block {
    path: PathBuf,
    index: BufReader<File>,
    version: Version,
    toc: Toc,
    symbols: Symbols,
    segments: Segments,
    tombstones: Tombstones,
    /// Where the next series' entry is looked for.
    offset: u64,
    entry: Vec<u8>,
}

impl Block {
    /// Opens a block and reads its symbols and tombstones.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub fn open(meta: &BlockMeta) -> Result<Self, TsdbError> {
        let path = meta.dir.join("index");
        let damaged = |offset: u64| {
            let path = path.clone();
            move |what: String| TsdbError::Damaged { path, offset, what }
        };
        let mut file = File::open(&path).map_err(TsdbError::io(&path))?;
        let len = file.metadata().map_err(TsdbError::io(&path))?.len();
        if len < (HEADER_LEN + TOC_LEN) as u64 {
            return Err(damaged(0)("the index is too short".to_owned()));
        }
        let header = read_at(&mut file, 0, HEADER_LEN).map_err(TsdbError::io(&path))?;
        let version = index::parse_header(&header).map_err(damaged(0))?;
        let toc_at = len - TOC_LEN as u64;
        let toc = read_at(&mut file, toc_at, TOC_LEN).map_err(TsdbError::io(&path))?;
        let toc = index::parse_toc(&toc, len).map_err(damaged(toc_at))?;
        let symbols_len = read_at(&mut file, toc.symbols, 4).map_err(TsdbError::io(&path))?;
        let symbols_len = u64::from(Cursor(&symbols_len).be32().unwrap_or(0));
        if toc.symbols + 8 + symbols_len > len {
            return Err(damaged(toc.symbols)("the symbols end behind the file".to_owned()));
        }
        let mut content =
            read_at(&mut file, toc.symbols + 4, symbols_len as usize + 4).map_err(TsdbError::io(&path))?;
        let crc = content.split_off(symbols_len as usize);
        if Cursor(&crc).be32() != Some(crc32c::crc32c(&content)) {
            return Err(damaged(toc.symbols)("the symbols do not fit their checksum".to_owned()));
        }
        let symbols = Symbols::parse(content, version, toc.symbols + 4).map_err(damaged(toc.symbols))?;
        Ok(Self {
            index: BufReader::with_capacity(1 << 18, file),
            version,
            toc,
            symbols,
            segments: Segments::open(&meta.dir.join("chunks"))?,
            tombstones: read_tombstones(meta)?,
            offset: toc.series,
            entry: Vec::new(),
            path,
        })
    }

    /// How much of the block's series was read: bytes of the index, done and in all.
    #[must_use]
    pub const fn progress(&self) -> (u64, u64) {
        (self.offset - self.toc.series, self.toc.series_end - self.toc.series)
    }

    /// Goes on where an earlier run was, at the first number of its [`Self::progress`].
    pub const fn resume(&mut self, done: u64) {
        self.offset = self.toc.series.saturating_add(done);
    }

    /// Reads the next series and all its samples in order of time; `samples` is emptied before. `None` at the end.
    ///
    /// # Errors
    /// When the index or a chunk is damaged. After an error in a chunk, the next call goes on with the next series; a
    /// damaged index entry ends the block, for nothing says where the next begins.
    pub fn next_series(&mut self, samples: &mut SampleBuffer) -> Result<Option<Labels>, TsdbError> {
        samples.clear();
        let Some((id, entry)) = self.next_entry().inspect_err(|_| self.offset = self.toc.series_end)? else {
            return Ok(None);
        };
        let labels = self.labels(&entry)?;
        for chunk in &entry.chunks {
            let decoded = match self.segments.chunk(chunk.reference) {
                Ok((encoding, data)) => prometheus_chunk::decode(encoding, data, samples),
                Err(ReadError::Chunk(error)) => Err(error),
                Err(ReadError::Tsdb(error)) => return Err(error),
            };
            decoded.map_err(|source| {
                let (path, offset) = self.segments.place(chunk.reference);
                TsdbError::Chunk { series: labels.to_string(), path, offset, source }
            })?;
        }
        self.tombstones.apply(id, samples);
        Ok(Some(labels))
    }

    /// The next entry and the number by which tombstones name its series.
    pub(super) fn next_entry(&mut self) -> Result<Option<(u64, SeriesEntry)>, TsdbError> {
        let io = |e| TsdbError::io(&self.path)(e);
        self.index.seek(SeekFrom::Start(self.offset)).map_err(io)?;
        let mut at = self.offset;
        // Zeros pad the entries; no entry is empty, so none begins by one.
        let mut byte = 0;
        while byte == 0 {
            if at >= self.toc.series_end {
                self.offset = self.toc.series_end;
                return Ok(None);
            }
            byte = read_byte(&mut self.index).map_err(io)?;
            at += 1;
        }
        let start = at - 1;
        let mut len = u64::from(byte & 0x7f);
        for shift in [7, 14, 21, 28] {
            if byte & 0x80 == 0 {
                break;
            }
            byte = read_byte(&mut self.index).map_err(io)?;
            at += 1;
            len |= u64::from(byte & 0x7f) << shift;
        }
        let damaged = |what: &str| TsdbError::damaged(&self.path, start, what);
        if len > MAX_ENTRY || at + len + 4 > self.toc.series_end.next_multiple_of(16) + 16 {
            return Err(damaged("a series' entry ends behind the series"));
        }
        self.entry.resize(len as usize + 4, 0);
        self.index.read_exact(&mut self.entry).map_err(io)?;
        let (content, crc) = self.entry.split_at(len as usize);
        if Cursor(crc).be32() != Some(crc32c::crc32c(content)) {
            return Err(damaged("a series' entry does not fit its checksum"));
        }
        let entry = index::parse_series(content).map_err(damaged)?;
        self.offset = at + len + 4;
        let id = match self.version {
            Version::V1 => start,
            Version::V2 => start / 16,
        };
        Ok(Some((id, entry)))
    }

    fn labels(&self, entry: &SeriesEntry) -> Result<Labels, TsdbError> {
        let mut pairs = Vec::with_capacity(entry.labels.len());
        for (name, value) in &entry.labels {
            match (self.symbols.get(*name), self.symbols.get(*value)) {
                (Some(name), Some(value)) => pairs.push((name, value)),
                _ => {
                    let what =
                        format!("a series refers to symbols {name} and {value}, which are not there or not UTF-8");
                    return Err(TsdbError::damaged(&self.path, self.offset, what));
                }
            }
        }
        // Sorted in every block that Prometheus wrote, but nothing in the file makes sure of it.
        pairs.sort_unstable();
        pairs.dedup_by(|a, b| a.0 == b.0);
        Ok(Labels::from_sorted(pairs.into_iter().filter(|(_, value)| !value.is_empty())))
    }
}

fn read_byte(reader: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// The caller checked that the bytes are in the file.
fn read_at(file: &mut File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_tombstones(meta: &BlockMeta) -> Result<Tombstones, TsdbError> {
    let path = meta.dir.join("tombstones");
    match fs::read(&path) {
        Ok(bytes) => Tombstones::parse(&bytes).map_err(|what| TsdbError::damaged(&path, 0, what)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Tombstones::default()),
        Err(error) => Err(TsdbError::io(&path)(error)),
    }
}
