//! `catalog.mark`: how far the catalog had come, beside the catalog, so that an old or missing one is noticed.
//!
//! redb proves that a state is whole, not that it is the last one: one flipped bit can bring back the state before,
//! and to an empty directory every segment is garbage. The mark names the format version and a number of commits that
//! the catalog has surely reached. It is written after a commit without a sync, so it may lag and never leads.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{FORMAT_VERSION, MARK_FILE};
use crate::{
    Result, StorageError,
    vfs::{OpenMode, Vfs, VfsFile, at_path},
};

/// The first bytes of both slots.
const MARK_MAGIC: [u8; 8] = *b"CHRONMRK";
/// Length of a slot's content in bytes.
const SLOT_LEN: usize = 24;
/// Where the second slot begins: in another sector, so that a torn write spoils one of them.
const SLOT_STEP: u64 = 512;

/// The open mark.
#[derive(Debug)]
pub(super) struct Mark {
    file: Arc<dyn VfsFile>,
    path: PathBuf,
}

/// The number of commits that the mark in a directory names; `None` when there is no mark that can be read.
///
/// # Errors
/// [`StorageError::NewerFormat`] when a newer version wrote it.
pub(super) fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Option<u64>> {
    let path = mark_path(dir);
    let file = match vfs.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(at_path(&path)(e)),
    };
    let mut newest = None;
    for slot in [0, SLOT_STEP] {
        let mut bytes = [0; SLOT_LEN];
        match file.read_exact_at(&mut bytes, slot) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(e) => return Err(at_path(&path)(e)),
        }
        if let Some((version, commits)) = decode(&bytes) {
            if version > FORMAT_VERSION {
                return Err(StorageError::NewerFormat { path, found: version, supported: FORMAT_VERSION });
            }
            newest = newest.max(Some(commits));
        }
    }
    Ok(newest)
}

impl Mark {
    /// Makes the mark, or writes it anew, with its name durable.
    pub(super) fn make(vfs: &dyn Vfs, dir: &Path, commits: u64) -> Result<Self> {
        let path = mark_path(dir);
        let file = vfs.open(&path, OpenMode::CreateOrOpen).map_err(at_path(&path))?;
        let mark = Self { file, path };
        // One slot after the other, so that a crash in between leaves one as it was.
        for slot in [0, SLOT_STEP] {
            mark.write(slot, commits).and_then(|()| mark.file.sync_data()).map_err(at_path(&mark.path))?;
        }
        vfs.sync_dir(dir).map_err(at_path(dir))?;
        Ok(mark)
    }

    /// Notes a durable commit. A failure leaves the mark behind, which costs safety against rot and nothing else.
    pub(super) fn note(&self, commits: u64) {
        if let Err(e) = self.write((commits % 2) * SLOT_STEP, commits) {
            tracing::warn!("{}: {e}", self.path.display());
        }
    }

    fn write(&self, slot: u64, commits: u64) -> io::Result<()> {
        self.file.write_all_at(&encode(commits), slot)
    }
}

fn mark_path(dir: &Path) -> PathBuf {
    dir.join(MARK_FILE)
}

fn encode(commits: u64) -> [u8; SLOT_LEN] {
    let mut out = [0; SLOT_LEN];
    out[..8].copy_from_slice(&MARK_MAGIC);
    out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    out[12..20].copy_from_slice(&commits.to_le_bytes());
    let crc = crc32c::crc32c(&out[..20]);
    out[20..].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode(slot: &[u8; SLOT_LEN]) -> Option<(u32, u64)> {
    let (magic, rest) = slot.split_first_chunk::<8>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (commits, rest) = rest.split_first_chunk::<8>()?;
    let crc = rest.first_chunk::<4>()?;
    let fits = *magic == MARK_MAGIC && crc32c::crc32c(&slot[..20]) == u32::from_le_bytes(*crc);
    fits.then(|| (u32::from_le_bytes(*version), u64::from_le_bytes(*commits)))
}
