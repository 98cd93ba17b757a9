//! The write-ahead log: one file a generation, each a sequence of checksummed frames, each frame a sequence of records.
//!
//! [`LogWriter`] appends frames and syncs them, [`LogReader`] streams them back and tells what is damaged, [`record`]
//! is what stands inside a frame. The format is in FORMAT.md, section "Write-ahead log".

mod format;
mod reader;
pub mod record;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};

pub use self::{
    format::{FRAME_HEADER_LEN, FRAME_LIMIT, LOG_HEADER_LEN, LOG_VERSION},
    reader::{Damage, LogEnd, LogReader},
    writer::LogWriter,
};
use crate::{
    Result,
    vfs::{OpenMode, Vfs, VfsFile, at_path},
};

/// Bytes that are copied or read at once.
const CHUNK: usize = 256 << 10;

/// The file of a generation inside the log's directory.
#[must_use]
pub fn log_path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{generation:020}.log"))
}

/// The generation that a log file's name stands for, if it is one.
#[must_use]
pub fn generation_of(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".log")?;
    if digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The log files of a directory, oldest generation first. Other files are left out. A directory that is not there has
/// none: a copy of a backup may lack it.
///
/// # Errors
/// When the directory cannot be read.
pub fn logs(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = match vfs.list(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(at_path(dir))?,
    };
    let mut logs: Vec<(u64, PathBuf)> = entries
        .into_iter()
        .filter(|e| !e.is_dir)
        .filter_map(|e| generation_of(Path::new(&e.name)).map(|generation| (generation, dir.join(&e.name))))
        .collect();
    logs.sort_unstable();
    Ok(logs)
}

/// Copies a range of a file to a new file and makes the copy durable: what is set aside before a log is dropped.
/// A range that reaches behind the file's end is copied as far as the file goes.
///
/// # Errors
/// When one cannot be read or the other not be made.
pub fn set_aside(vfs: &dyn Vfs, from: &Path, offset: u64, len: u64, to: &Path) -> Result<()> {
    let source = vfs.open(from, OpenMode::Read).map_err(at_path(from))?;
    let copy = vfs.open(to, OpenMode::CreateNew).map_err(at_path(to))?;
    let mut buf = vec![0; CHUNK];
    let mut done = 0;
    while done < len {
        let want = usize::try_from(len - done).unwrap_or(CHUNK).min(CHUNK);
        let got = read_up_to(&*source, &mut buf[..want], offset + done).map_err(at_path(from))?;
        copy.write_all_at(&buf[..got], done).map_err(at_path(to))?;
        done += got as u64;
        if got < want {
            break;
        }
    }
    copy.sync_data().map_err(at_path(to))?;
    let dir = to.parent().unwrap_or(Path::new(""));
    vfs.sync_dir(dir).map_err(at_path(dir))
}

/// Fills the buffer unless the file ends; returns how many bytes came.
fn read_up_to(file: &dyn VfsFile, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buf.len() {
        match file.read_at(&mut buf[got..], offset + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}
