//! Writing a log: frames are appended and synced; a failed append is cut away, a failed sync ends the log.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    format::{FRAME_LIMIT, FrameHeader, LOG_HEADER_LEN, encode_log_header},
    log_path,
};
use crate::{
    Result, StorageError,
    vfs::{OpenMode, Vfs, VfsFile, at_path},
};

/// Memory that the frame buffer keeps between frames.
const KEPT_BUFFER: usize = 1 << 20;

/// The end of a log file where frames are appended.
///
/// Invariant: `end` is the end of the last whole frame, and nothing of a failed frame is left behind it, unless the log
/// is poisoned.
#[derive(Debug)]
pub struct LogWriter {
    file: Arc<dyn VfsFile>,
    path: PathBuf,
    generation: u64,
    end: u64,
    next_sequence: u64,
    frame: Vec<u8>,
    poisoned: Option<String>,
}

impl LogWriter {
    /// Makes the log file of a generation in a directory that exists, with its header and its name durable.
    ///
    /// # Errors
    /// When there is a log of this generation, or the file system refuses; then no file is left, as far as that can be
    /// reached.
    pub fn create(vfs: &dyn Vfs, dir: &Path, generation: u64) -> Result<Self> {
        let path = log_path(dir, generation);
        let file = vfs.open(&path, OpenMode::CreateNew).map_err(|e| refused(&path, e))?;
        let made = file
            .write_all_at(&encode_log_header(generation), 0)
            .and_then(|()| file.sync_data())
            .and_then(|()| vfs.sync_dir(dir));
        if let Err(e) = made {
            // Best effort: a header without frames is read as an empty or torn log in any case.
            vfs.remove(&path).ok();
            return Err(refused(&path, e));
        }
        let end = LOG_HEADER_LEN as u64;
        Ok(Self { file, path, generation, end, next_sequence: 1, frame: Vec::new(), poisoned: None })
    }

    /// Appends one frame; it is durable after the next [`Self::sync`].
    ///
    /// # Errors
    /// When the payload is empty or over [`FRAME_LIMIT`]: nothing was written. [`StorageError::DiskFull`] or
    /// [`StorageError::Io`] when the write failed: what it left is cut away, the log goes on; if that fails too, the log
    /// is poisoned. [`StorageError::Poisoned`] after that.
    pub fn append(&mut self, payload: &[u8]) -> Result<()> {
        self.check()?;
        if payload.is_empty() || payload.len() > FRAME_LIMIT {
            return Err(StorageError::Invalid(format!(
                "a log frame holds 1 to {FRAME_LIMIT} bytes, not {}",
                payload.len()
            )));
        }
        let header = FrameHeader::of(payload, self.next_sequence);
        self.frame.clear();
        self.frame.extend_from_slice(&header.encode(self.generation));
        self.frame.extend_from_slice(payload);
        let written = self.file.write_all_at(&self.frame, self.end);
        if self.frame.capacity() > KEPT_BUFFER {
            self.frame = Vec::new();
        }
        if let Err(e) = written {
            if let Err(cut) = self.file.set_len(self.end) {
                let reason = format!("a write failed ({e}), and cutting it away failed ({cut})");
                return Err(self.poison(reason));
            }
            return Err(refused(&self.path, e));
        }
        self.end += header.frame_len();
        self.next_sequence += 1;
        Ok(())
    }

    /// Makes all appended frames durable.
    ///
    /// # Errors
    /// Any failure poisons the log: what is on disk is unknown then, and syncing again would not tell.
    pub fn sync(&mut self) -> Result<()> {
        self.check()?;
        self.file.sync_data().map_err(|e| self.poison(format!("{}: sync failed: {e}", self.path.display())))
    }

    /// Length of the log in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a log has at least its header")]
    pub const fn len(&self) -> u64 {
        self.end
    }

    /// How many frames were appended.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.next_sequence - 1
    }

    /// The generation of this log.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The log's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the log takes nothing any more, if that is so.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    fn check(&self) -> Result<()> {
        match &self.poisoned {
            Some(reason) => Err(StorageError::Poisoned { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn poison(&mut self, reason: String) -> StorageError {
        self.poisoned = Some(reason.clone());
        StorageError::Poisoned { reason }
    }
}

fn refused(path: &Path, source: io::Error) -> StorageError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StorageError::DiskFull { path: path.to_owned(), reason: source.to_string() }
        }
        _ => at_path(path)(source),
    }
}
