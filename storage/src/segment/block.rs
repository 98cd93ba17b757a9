//! Blocks of a segment file: a header with lengths, kind, codec and checksum, and a payload that may be compressed.

use std::{path::Path, sync::Arc};

use crate::{
    Result, StorageError,
    encoding::Reader,
    vfs::{OpenMode, Vfs, VfsFile, at_path},
};

/// The first bytes of a segment file.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"CHRONSEG";
/// The last bytes of a segment file.
pub(crate) const SEGMENT_TRAILER_MAGIC: [u8; 8] = *b"GESNORHC";
/// The format that is written, and the newest that is read.
pub(crate) const SEGMENT_VERSION: u32 = 1;
/// Magic, version, file id, checksum.
pub(crate) const SEGMENT_HEADER_LEN: usize = 24;
/// Footer offset, footer length, file id, checksum, magic.
pub(crate) const SEGMENT_TRAILER_LEN: usize = 32;
/// Kind, codec, payload length, stored length, checksum.
pub(crate) const BLOCK_HEADER_LEN: usize = 14;
/// Longest payload of one block; longer ones are refused before they are allocated.
pub(crate) const MAX_PAYLOAD: usize = 16 << 20;

/// What the header says of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentFormat {
    pub(crate) magic: [u8; 8],
    /// The version that is written, and the newest that is read.
    pub(crate) version: u32,
    /// The oldest version that is read.
    pub(crate) oldest: u32,
}

/// Files of samples.
pub(crate) const METRIC_SEGMENT: SegmentFormat =
    SegmentFormat { magic: SEGMENT_MAGIC, version: SEGMENT_VERSION, oldest: 1 };

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BlockKind {
    /// Timestamp columns.
    Times = 1,
    /// Chunks.
    Chunks = 2,
    /// Exemplars, a record a series that has some.
    Exemplars = 3,
    /// Series: labels, chunk references.
    Series = 4,
    /// Label values with their postings.
    Values = 5,
    /// Postings that are too long to stand beside their value.
    Postings = 6,
    /// Label names.
    Names = 7,
    /// Where the blocks of one kind are.
    Index = 8,
    /// The footer.
    Footer = 9,
    /// Chunks of event columns, each one column's.
    Columns = 16,
    /// Dictionaries of event columns.
    Dictionary = 17,
    /// What each chunk of an event column is, and where.
    ColumnIndex = 18,
    /// Terms of event columns with their postings.
    Terms = 19,
    /// Hashes of primary keys with their rows.
    Keys = 20,
    /// Where the terms of each event column are.
    TermIndex = 21,
    /// The columns of an event segment.
    Directory = 22,
    /// Where the packs of an event segment are.
    Packs = 23,
    /// The footer of an event segment.
    EventFooter = 24,
    /// Which rows of a block have a value, for all columns of which this is so.
    Presence = 25,
}

/// Where a block is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BlockRef {
    /// Offset of its header.
    pub(crate) offset: u64,
    /// Its length with the header.
    pub(crate) len: u32,
}

/// An open segment file and what identifies it.
#[derive(Debug)]
pub(crate) struct BlockFile {
    pub(crate) path: Arc<Path>,
    pub(crate) file: Arc<dyn VfsFile>,
    pub(crate) file_id: u64,
}

impl BlockFile {
    /// Opens a file and checks its two ends. Returns its length and where its footer is too.
    pub(crate) fn open(vfs: &Arc<dyn Vfs>, path: &Path, format: SegmentFormat) -> Result<(Self, u64, BlockRef)> {
        let file = vfs.open(path, OpenMode::Read).map_err(at_path(path))?;
        let mut file = Self { path: path.into(), file, file_id: 0 };
        let file_len = file.file.len().map_err(at_path(path))?;
        if file_len < (SEGMENT_HEADER_LEN + SEGMENT_TRAILER_LEN) as u64 {
            return Err(file.corrupt(file_len, format!("a segment of {file_len} bytes is cut off")));
        }
        file.file_id = read_header(&file, format)?;
        let footer = read_trailer(&file, file_len)?;
        Ok((file, file_len, footer))
    }

    /// The error for bytes at `offset` that are not what was written.
    pub(crate) fn corrupt(&self, offset: u64, reason: impl Into<String>) -> StorageError {
        StorageError::Corrupt { path: self.path.to_path_buf(), offset, reason: reason.into() }
    }

    /// Adds file and offset to the error of a decoder.
    pub(crate) fn at(&self, offset: u64) -> impl Fn(StorageError) -> StorageError + '_ {
        move |error| match error {
            StorageError::Malformed { what, reason } => self.corrupt(offset, format!("{what}: {reason}")),
            other => other,
        }
    }

    /// Reads a block, checks it against its checksum, and unpacks it.
    pub(crate) fn read(&self, at: BlockRef, kind: BlockKind) -> Result<Arc<[u8]>> {
        let len = at.len as usize;
        if !(BLOCK_HEADER_LEN..=BLOCK_HEADER_LEN + MAX_PAYLOAD).contains(&len) {
            return Err(self.corrupt(at.offset, format!("a block of {len} bytes")));
        }
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at.offset).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => self.corrupt(at.offset, "the file ends inside a block"),
            _ => at_path(&self.path)(e),
        })?;
        let header = Header::parse(&bytes).map_err(self.at(at.offset))?;
        let stored = bytes.get(BLOCK_HEADER_LEN..).unwrap_or_default();
        if header.stored_len as usize != stored.len() {
            return Err(self.corrupt(at.offset, "the block's length is not what the index says"));
        }
        if header.checksum != checksum(self.file_id, at.offset, &bytes[..BLOCK_HEADER_LEN - 4], stored) {
            return Err(self.corrupt(at.offset, "checksum does not fit"));
        }
        if header.kind != kind as u8 {
            return Err(self.corrupt(at.offset, format!("a block of kind {}, not {kind:?}", header.kind)));
        }
        let payload_len = header.payload_len as usize;
        match header.codec {
            PLAIN if payload_len == stored.len() => Ok(Arc::from(stored)),
            ZSTD if payload_len <= MAX_PAYLOAD => match zstd::bulk::decompress(stored, payload_len) {
                Ok(payload) if payload.len() == payload_len => Ok(Arc::from(payload)),
                Ok(_) => Err(self.corrupt(at.offset, "the block unpacks to another length")),
                Err(e) => Err(self.corrupt(at.offset, format!("the block does not unpack: {e}"))),
            },
            _ => Err(self.corrupt(at.offset, format!("unknown codec {} or wrong length", header.codec))),
        }
    }

    /// Reads the header of the block at `offset`: its kind and its length with the header.
    pub(crate) fn peek(&self, offset: u64) -> Result<(u8, u64)> {
        let mut bytes = [0; BLOCK_HEADER_LEN];
        self.file.read_exact_at(&mut bytes, offset).map_err(at_path(&self.path))?;
        let header = Header::parse(&bytes).map_err(self.at(offset))?;
        Ok((header.kind, u64::from(header.stored_len) + BLOCK_HEADER_LEN as u64))
    }
}

/// Checks the file's first bytes and returns the file's id.
fn read_header(file: &BlockFile, format: SegmentFormat) -> Result<u64> {
    let mut bytes = [0; SEGMENT_HEADER_LEN];
    file.file.read_exact_at(&mut bytes, 0).map_err(at_path(&file.path))?;
    let mut reader = Reader::new(&bytes);
    let magic: [u8; 8] = reader.array().map_err(file.at(0))?;
    let version = reader.u32().map_err(file.at(0))?;
    let file_id = reader.u64().map_err(file.at(0))?;
    let checksum = reader.u32().map_err(file.at(0))?;
    if magic != format.magic {
        return Err(file.corrupt(0, "not a segment file"));
    }
    if checksum != crc32c::crc32c(&bytes[..SEGMENT_HEADER_LEN - 4]) {
        return Err(file.corrupt(0, "the header's checksum does not fit"));
    }
    match version {
        0 => Err(file.corrupt(8, "format version 0")),
        found if found > format.version => {
            Err(StorageError::NewerFormat { path: file.path.to_path_buf(), found, supported: format.version })
        }
        found if found < format.oldest => {
            Err(StorageError::OlderFormat { path: file.path.to_path_buf(), found, oldest: format.oldest })
        }
        _ => Ok(file_id),
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

struct Header {
    kind: u8,
    codec: u8,
    payload_len: u32,
    stored_len: u32,
    checksum: u32,
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            kind: reader.u8()?,
            codec: reader.u8()?,
            payload_len: reader.u32()?,
            stored_len: reader.u32()?,
            checksum: reader.u32()?,
        })
    }
}

/// Covers the file and the place too, so that a block cannot stand for another.
fn checksum(file_id: u64, offset: u64, header: &[u8], stored: &[u8]) -> u32 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&file_id.to_le_bytes());
    place[8..].copy_from_slice(&offset.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&place), header), stored)
}

/// Appends blocks to a new file.
pub(crate) struct BlockWriter {
    pub(crate) file: BlockFile,
    compressor: zstd::bulk::Compressor<'static>,
    /// The length of the file so far.
    pub(crate) len: u64,
    buffer: Vec<u8>,
}

impl BlockWriter {
    /// Writes the file header and is ready for blocks.
    pub(crate) fn start(file: BlockFile, format: SegmentFormat, zstd_level: i32) -> Result<Self> {
        let compressor = zstd::bulk::Compressor::new(zstd_level).map_err(at_path(&file.path))?;
        let mut header = Vec::with_capacity(SEGMENT_HEADER_LEN);
        header.extend_from_slice(&format.magic);
        header.extend_from_slice(&format.version.to_le_bytes());
        header.extend_from_slice(&file.file_id.to_le_bytes());
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        file.file.write_all_at(&header, 0).map_err(at_path(&file.path))?;
        Ok(Self { file, compressor, len: SEGMENT_HEADER_LEN as u64, buffer: Vec::new() })
    }

    /// Writes one block; it is compressed when that saves a tenth.
    pub(crate) fn write(&mut self, kind: BlockKind, payload: &[u8]) -> Result<BlockRef> {
        if payload.len() > MAX_PAYLOAD {
            let size = payload.len();
            return Err(StorageError::Invalid(format!("{size} bytes in one block of {kind:?} are over {MAX_PAYLOAD}")));
        }
        let compressed = self.compressor.compress(payload).map_err(at_path(&self.file.path))?;
        let smaller = compressed.len() + payload.len() / 10 <= payload.len();
        let (codec, stored) = if smaller { (ZSTD, compressed.as_slice()) } else { (PLAIN, payload) };
        self.buffer.clear();
        self.buffer.push(kind as u8);
        self.buffer.push(codec);
        self.buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(&(stored.len() as u32).to_le_bytes());
        let checksum = checksum(self.file.file_id, self.len, &self.buffer, stored);
        self.buffer.extend_from_slice(&checksum.to_le_bytes());
        self.buffer.extend_from_slice(stored);
        self.file.file.write_all_at(&self.buffer, self.len).map_err(at_path(&self.file.path))?;
        let at = BlockRef { offset: self.len, len: self.buffer.len() as u32 };
        self.len += self.buffer.len() as u64;
        Ok(at)
    }

    /// Writes the trailer that points to the footer, and makes the file durable. Returns the file's length and the
    /// trailer's checksum.
    pub(crate) fn finish(self, footer: BlockRef, footer_payload: &[u8]) -> Result<(u64, u32)> {
        let mut trailer = Vec::with_capacity(SEGMENT_TRAILER_LEN);
        trailer.extend_from_slice(&footer.offset.to_le_bytes());
        trailer.extend_from_slice(&footer.len.to_le_bytes());
        trailer.extend_from_slice(&self.file.file_id.to_le_bytes());
        let footer_checksum = crc32c::crc32c(footer_payload);
        trailer.extend_from_slice(&crc32c::crc32c(&trailer).to_le_bytes());
        trailer.extend_from_slice(&SEGMENT_TRAILER_MAGIC);
        self.file.file.write_all_at(&trailer, self.len).map_err(at_path(&self.file.path))?;
        self.file.file.sync_data().map_err(at_path(&self.file.path))?;
        Ok((self.len + SEGMENT_TRAILER_LEN as u64, footer_checksum))
    }
}
