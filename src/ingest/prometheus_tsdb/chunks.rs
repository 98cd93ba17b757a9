//! The segment files of a block, read through a window that moves forward with the series.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{TsdbError, cursor::Cursor};
use crate::ingest::prometheus_chunk::{ChunkError, Encoding};

const MAGIC: u32 = 0x85BD_40DD;
/// Bytes before the first chunk.
const HEADER_LEN: u64 = 8;
/// Bytes that are read at once.
const WINDOW: u64 = 1 << 20;
/// The most bytes that one chunk may have.
const MAX_CHUNK: u64 = 4 << 20;

/// The segments of one block; the one that was read last stays open.
#[derive(Debug)]
pub(super) struct Segments {
    paths: Vec<PathBuf>,
    open: Option<Window>,
}

#[derive(Debug)]
struct Window {
    segment: usize,
    file: File,
    start: u64,
    bytes: Vec<u8>,
}

/// Why a chunk's bytes cannot be had.
pub(super) enum ReadError {
    Tsdb(TsdbError),
    Chunk(ChunkError),
}

impl Segments {
    pub(super) fn open(dir: &Path) -> Result<Self, TsdbError> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(dir).map_err(TsdbError::io(dir))? {
            let path = entry.map_err(TsdbError::io(dir))?.path();
            if path.file_name().is_some_and(|n| n.to_string_lossy().bytes().all(|b| b.is_ascii_digit())) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(Self { paths, open: None })
    }

    /// The file and the offset that a reference names, for errors.
    pub(super) fn place(&self, reference: u64) -> (PathBuf, u64) {
        let path = self.paths.get((reference >> 32) as usize).cloned().unwrap_or_default();
        (path, reference & 0xffff_ffff)
    }

    /// The encoding and the bytes of a chunk, which fit their checksum.
    pub(super) fn chunk(&mut self, reference: u64) -> Result<(Encoding, &[u8]), ReadError> {
        let (segment, offset) = ((reference >> 32) as usize, reference & 0xffff_ffff);
        let Some(path) = self.paths.get(segment) else {
            return Err(ReadError::Chunk(ChunkError::Damaged("the index names a segment file that is not there")));
        };
        if self.open.as_ref().is_none_or(|window| window.segment != segment) {
            self.open = Some(Window::open(segment, path).map_err(ReadError::Tsdb)?);
        }
        let Some(window) = &mut self.open else { return Err(ReadError::Chunk(ChunkError::Truncated)) };
        let io = |e| ReadError::Tsdb(TsdbError::io(path)(e));
        let mut head = Cursor(window.get(offset, 5).map_err(io)?);
        let before = head.left();
        let len = head.uvarint().ok_or(ReadError::Chunk(ChunkError::Truncated))?;
        let data = offset + (before - head.left()) as u64;
        if len > MAX_CHUNK {
            return Err(ReadError::Chunk(ChunkError::Damaged("it says it has more than 4 MiB")));
        }
        let whole = window.get(data, len + 5).map_err(io)?;
        let (body, crc) = match whole.split_last_chunk::<4>() {
            Some(parts) if whole.len() as u64 == len + 5 => parts,
            _ => return Err(ReadError::Chunk(ChunkError::Truncated)),
        };
        if crc32c::crc32c(body) != u32::from_be_bytes(*crc) {
            return Err(ReadError::Chunk(ChunkError::Damaged("it does not fit its checksum")));
        }
        let (encoding, chunk) = body.split_first().ok_or(ReadError::Chunk(ChunkError::Truncated))?;
        Ok((Encoding::from_number(*encoding).map_err(ReadError::Chunk)?, chunk))
    }
}

impl Window {
    fn open(segment: usize, path: &Path) -> Result<Self, TsdbError> {
        let mut file = File::open(path).map_err(TsdbError::io(path))?;
        let mut header = [0; HEADER_LEN as usize];
        file.read_exact(&mut header).map_err(TsdbError::io(path))?;
        let mut cursor = Cursor(&header);
        if cursor.be32() != Some(MAGIC) || cursor.bytes(1) != Some(&[1]) {
            return Err(TsdbError::damaged(path, 0, "this is no segment of chunks of version 1"));
        }
        Ok(Self { segment, file, start: 0, bytes: Vec::new() })
    }

    /// `len` bytes at `offset`, or fewer at the end of the file.
    fn get(&mut self, offset: u64, len: u64) -> std::io::Result<&[u8]> {
        let inside = offset >= self.start && offset + len <= self.start + self.bytes.len() as u64;
        if !inside {
            self.file.seek(SeekFrom::Start(offset))?;
            self.start = offset;
            self.bytes.clear();
            (&mut self.file).take(len.max(WINDOW)).read_to_end(&mut self.bytes)?;
        }
        let from = (offset - self.start) as usize;
        let to = (from + len as usize).min(self.bytes.len());
        Ok(self.bytes.get(from..to).unwrap_or_default())
    }
}
