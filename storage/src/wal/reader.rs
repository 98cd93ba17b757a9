//! Reading a log as a stream in bounded memory, over damage, and telling what is damaged.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    CHUNK,
    format::{FRAME_HEADER_LEN, FRAME_MARKER, FrameHeader, LOG_HEADER_LEN, decode_log_header},
    generation_of, read_up_to,
};
use crate::{
    Result, StorageError,
    vfs::{OpenMode, Vfs, VfsFile, at_path},
};

/// Smallest frame: a header and one byte.
const FRAME_MIN: u64 = FRAME_HEADER_LEN as u64 + 1;

/// A range of bytes that holds no valid frame although valid frames follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// First damaged byte.
    pub offset: u64,
    /// How many bytes; 0 when frames are missing without a trace.
    pub len: u64,
    /// Sequence numbers of the frames that are lost; empty when only the file's header is damaged.
    pub lost: Range<u64>,
}

/// How a log was found when it was read to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// How many frames were read.
    pub frames: u64,
    /// The bytes behind the last valid frame, if there are any: what a crash leaves of frames that were not synced, or
    /// damage to the last frames; the two cannot be told apart. No frame is in them that could be read.
    pub torn: Option<Range<u64>>,
    /// Damaged ranges with valid frames behind them.
    pub damaged: Vec<Damage>,
}

impl LogEnd {
    /// Whether every byte was as it was written.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.torn.is_none() && self.damaged.is_empty()
    }

    /// Every range of bytes that could not be read: what to set aside before the log is dropped.
    pub fn unread(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let damaged = self.damaged.iter().map(|d| d.offset..d.offset + d.len);
        damaged.filter(|r| !r.is_empty()).chain(self.torn.clone())
    }
}

/// Streams the payloads of a log file.
///
/// Holds at most one frame and one read-ahead chunk. A length is believed only when the header's checksum fits, it is
/// within the frame limit, and the file has as many bytes.
#[derive(Debug)]
pub struct LogReader {
    file: Arc<dyn VfsFile>,
    path: PathBuf,
    generation: u64,
    file_len: u64,
    /// Where the next frame is expected.
    offset: u64,
    next_sequence: u64,
    /// Bytes of the file from `window_start` on.
    window: Vec<u8>,
    window_start: u64,
    end: LogEnd,
}

/// What stands at a position of the file.
enum Found {
    /// A valid frame.
    Frame(FrameHeader),
    /// A valid header whose payload is damaged: the frame's end is known.
    BadPayload(FrameHeader),
    /// A valid header whose payload reaches behind the file's end: the file was cut in this frame.
    CutOff,
    /// No valid header.
    Nothing,
}

impl LogReader {
    /// Opens a log; the generation is the one in the file's name.
    ///
    /// # Errors
    /// [`StorageError::NewerFormat`] for a log of a newer version, [`StorageError::Corrupt`] when the name is not that of
    /// a log or the header names another generation, [`StorageError::Io`] when the file cannot be read. A damaged header
    /// is no error: it is told by [`Self::end`], and the frames are read.
    pub fn open(vfs: &dyn Vfs, path: &Path) -> Result<Self> {
        let corrupt = |offset, reason: String| StorageError::Corrupt { path: path.to_owned(), offset, reason };
        let generation = generation_of(path).ok_or_else(|| corrupt(0, "the name is not that of a log".to_owned()))?;
        let file = vfs.open(path, OpenMode::Read).map_err(at_path(path))?;
        let file_len = file.len().map_err(at_path(path))?;
        let mut reader = Self {
            file,
            path: path.to_owned(),
            generation,
            file_len,
            offset: LOG_HEADER_LEN as u64,
            next_sequence: 1,
            window: Vec::new(),
            window_start: 0,
            end: LogEnd::default(),
        };
        let Some(header) = reader.bytes(0, LOG_HEADER_LEN)?.first_chunk::<LOG_HEADER_LEN>().copied() else {
            // The making of this file was cut short, or all of it is lost.
            reader.end.torn = Some(0..file_len);
            reader.offset = file_len;
            return Ok(reader);
        };
        match decode_log_header(&header, path)? {
            Some(found) if found == generation => {}
            Some(found) => {
                let reason = format!("the header names generation {found}, the file's name {generation}");
                return Err(corrupt(12, reason));
            }
            None => reader.end.damaged.push(Damage { offset: 0, len: LOG_HEADER_LEN as u64, lost: 1..1 }),
        }
        Ok(reader)
    }

    /// The payload of the next valid frame; `None` at the end. Damage on the way is skipped and told by [`Self::end`].
    ///
    /// # Errors
    /// When the file cannot be read.
    #[expect(clippy::should_implement_trait, reason = "it lends from its buffer, which an Iterator cannot")]
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        let Some(header) = self.advance()? else { return Ok(None) };
        let payload = self.offset - header.len as u64;
        self.bytes(payload, header.len).map(Some)
    }

    /// How the log was found. Complete once [`Self::next`] has returned `None`.
    #[must_use]
    pub const fn end(&self) -> &LogEnd {
        &self.end
    }

    /// The generation of this log.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// How far the log was read, in bytes.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.offset
    }

    /// The log's length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "whether a log has frames is known by reading it")]
    pub const fn len(&self) -> u64 {
        self.file_len
    }

    /// Moves behind the next valid frame, noting damage before it.
    fn advance(&mut self) -> Result<Option<FrameHeader>> {
        let start = self.offset;
        let mut at = start;
        while at < self.file_len {
            match self.look_at(at, at - start)? {
                Found::Frame(header) => {
                    if at > start || header.sequence > self.next_sequence {
                        let lost = self.next_sequence..header.sequence;
                        self.end.damaged.push(Damage { offset: start, len: at - start, lost });
                    }
                    self.offset = at + header.frame_len();
                    self.next_sequence = header.sequence + 1;
                    self.end.frames += 1;
                    return Ok(Some(header));
                }
                // What is inside a payload is never taken for a frame as long as the payload's length is known.
                Found::BadPayload(header) => at += header.frame_len(),
                Found::CutOff => break,
                Found::Nothing => at = self.find_marker(at + 1)?,
            }
        }
        if start < self.file_len {
            self.end.torn = Some(start..self.file_len);
            self.offset = self.file_len;
        }
        Ok(None)
    }

    /// What stands at `at`, with `skipped` damaged bytes before it.
    fn look_at(&mut self, at: u64, skipped: u64) -> Result<Found> {
        let generation = self.generation;
        let Some(header) = FrameHeader::decode(self.bytes(at, FRAME_HEADER_LEN)?, generation) else {
            return Ok(Found::Nothing);
        };
        // Sequence numbers rise by one a frame. Right behind a valid frame any later one shows that frames were cut
        // out; behind damage, no more can be missing than the damaged bytes could hold.
        let missing = header.sequence.checked_sub(self.next_sequence);
        if missing.is_none_or(|missing| skipped > 0 && missing > skipped / FRAME_MIN) {
            return Ok(Found::Nothing);
        }
        if header.sequence == u64::MAX {
            return Ok(Found::Nothing);
        }
        if header.frame_len() > self.file_len - at {
            return Ok(Found::CutOff);
        }
        let payload = self.bytes(at + FRAME_HEADER_LEN as u64, header.len)?;
        if payload.len() == header.len && crc32c::crc32c(payload) == header.payload_crc {
            Ok(Found::Frame(header))
        } else {
            Ok(Found::BadPayload(header))
        }
    }

    /// The first position from `at` on where a frame's marker stands, or the end of the file.
    fn find_marker(&mut self, mut at: u64) -> Result<u64> {
        while at < self.file_len {
            let bytes = self.bytes(at, CHUNK)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(i) = bytes.windows(FRAME_MARKER.len()).position(|w| w == FRAME_MARKER) {
                return Ok(at + i as u64);
            }
            // The marker may begin in the last bytes of this chunk.
            at += (bytes.len().saturating_sub(FRAME_MARKER.len() - 1)).max(1) as u64;
        }
        Ok(self.file_len)
    }

    /// The bytes at an offset, as many as the file has of them. Reads ahead.
    fn bytes(&mut self, offset: u64, len: usize) -> Result<&[u8]> {
        let in_file = usize::try_from(self.file_len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(in_file);
        let covered = offset
            .checked_sub(self.window_start)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| skip.checked_add(len).is_some_and(|end| end <= self.window.len()));
        let from = match covered {
            Some(from) => from,
            None => {
                self.fill(offset, len.max(CHUNK).min(in_file))?;
                0
            }
        };
        // The file may have become shorter since it was opened.
        let end = (from + len).min(self.window.len());
        Ok(self.window.get(from..end).unwrap_or_default())
    }

    /// Makes the window hold `len` bytes from `offset` on, keeping what it has of them.
    fn fill(&mut self, offset: u64, len: usize) -> Result<()> {
        let have = offset
            .checked_sub(self.window_start)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| *skip < self.window.len());
        match have {
            Some(skip) => {
                self.window.drain(..skip);
            }
            None => self.window.clear(),
        }
        self.window_start = offset;
        let old = self.window.len();
        if old < len {
            self.window.resize(len, 0);
            let got = read_up_to(&*self.file, &mut self.window[old..], offset + old as u64);
            self.window.truncate(old + got.as_ref().copied().unwrap_or(0));
            got.map_err(at_path(&self.path))?;
        }
        if len <= CHUNK {
            self.window.shrink_to(4 * CHUNK);
        }
        Ok(())
    }
}
