//! The bytes of a log file: its header and the header of a frame.

use std::path::Path;

use crate::{Result, StorageError};

/// The first bytes of every log file.
const LOG_MAGIC: [u8; 8] = *b"CHRONWAL";
/// The version of the format that is written, and the newest that is read. Version 1 has no records of tables.
pub const LOG_VERSION: u32 = 2;
/// Length of a log file's header in bytes; the same in every version.
pub const LOG_HEADER_LEN: usize = 24;
/// Length of a frame's header in bytes.
pub const FRAME_HEADER_LEN: usize = 24;
/// Largest payload of a frame in bytes.
pub const FRAME_LIMIT: usize = 64 << 20;
/// The first bytes of every frame.
pub(super) const FRAME_MARKER: [u8; 4] = *b"\xf7CLf";

pub(super) fn encode_log_header(generation: u64) -> [u8; LOG_HEADER_LEN] {
    let mut out = [0; LOG_HEADER_LEN];
    out[..8].copy_from_slice(&LOG_MAGIC);
    out[8..12].copy_from_slice(&LOG_VERSION.to_le_bytes());
    out[12..20].copy_from_slice(&generation.to_le_bytes());
    let crc = crc32c::crc32c(&out[..20]);
    out[20..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The generation that a whole log header names, `None` when the header is damaged.
pub(super) fn decode_log_header(header: &[u8; LOG_HEADER_LEN], path: &Path) -> Result<Option<u64>> {
    let (body, crc) = header.split_at(20);
    if body[..8] != LOG_MAGIC || u32_at(crc, 0) != crc32c::crc32c(body) {
        return Ok(None);
    }
    let version = u32_at(body, 8);
    match version {
        1..=LOG_VERSION => Ok(Some(u64_at(body, 12))),
        0 => Ok(None),
        _ => Err(StorageError::NewerFormat { path: path.to_owned(), found: version, supported: LOG_VERSION }),
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) len: usize,
    pub(super) sequence: u64,
    pub(super) payload_crc: u32,
}

impl FrameHeader {
    pub(super) fn of(payload: &[u8], sequence: u64) -> Self {
        Self { len: payload.len(), sequence, payload_crc: crc32c::crc32c(payload) }
    }

    /// The generation goes into the checksum only, so that bytes of an older file never pass.
    pub(super) fn encode(self, generation: u64) -> [u8; FRAME_HEADER_LEN] {
        let mut out = [0; FRAME_HEADER_LEN];
        out[..4].copy_from_slice(&FRAME_MARKER);
        out[4..8].copy_from_slice(&(self.len as u32).to_le_bytes());
        out[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        out[16..20].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = header_crc(&out[..20], generation);
        out[20..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header in these bytes, if it is one of this generation and its length is within the limit.
    pub(super) fn decode(bytes: &[u8], generation: u64) -> Option<Self> {
        let header: &[u8; FRAME_HEADER_LEN] = bytes.first_chunk()?;
        let (body, crc) = header.split_at(20);
        if body[..4] != FRAME_MARKER || u32_at(crc, 0) != header_crc(body, generation) {
            return None;
        }
        let len = u32_at(body, 4) as usize;
        (1..=FRAME_LIMIT).contains(&len).then(|| Self { len, sequence: u64_at(body, 8), payload_crc: u32_at(body, 16) })
    }

    /// Bytes of the whole frame.
    pub(super) const fn frame_len(self) -> u64 {
        (FRAME_HEADER_LEN + self.len) as u64
    }
}

fn header_crc(body: &[u8], generation: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&generation.to_le_bytes()), body)
}

/// The number at an offset of a header; callers pass offsets inside it.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut buf = [0; 4];
    buf.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(buf)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut buf = [0; 8];
    buf.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(buf)
}
