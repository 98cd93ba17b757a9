//! The file system as it is injected: the real one, one in memory, and a simulated one that fails on demand.
//!
//! Paths are used as they are given; a real file system resolves them against the process' directory.

mod mem;
mod real;
pub mod sim;
#[cfg(test)]
mod tests;

use std::{
    fmt::Debug,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::{
    mem::MemFs,
    real::RealFs,
    sim::{Fault, SimFs},
};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist; it is only read.
    Read,
    /// The file must exist; it is read and written.
    ReadWrite,
    /// The file must not exist; it is read and written.
    CreateNew,
    /// The file is made when it does not exist; it is read and written.
    CreateOrOpen,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The entry's name inside its directory.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_dir: bool,
    /// Its length in bytes; 0 for a directory.
    pub len: u64,
}

/// Held while a process owns a directory; dropping it lets go.
pub trait VfsLock: Send + Sync + Debug {}

/// A file system. What is written is on disk only after [`VfsFile::sync_data`]; a new, renamed or removed name is on
/// disk only after [`Vfs::sync_dir`].
pub trait Vfs: Send + Sync + Debug {
    /// Opens a file.
    ///
    /// # Errors
    /// As the file system says.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>>;
    /// Removes a file's name.
    ///
    /// # Errors
    /// As the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all that is in it.
    ///
    /// # Errors
    /// As the file system says.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name in the same file system, replacing what has that name.
    ///
    /// # Errors
    /// As the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name.
    ///
    /// # Errors
    /// As the file system says.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a directory and its parents; one that exists is no error.
    ///
    /// # Errors
    /// As the file system says.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As the file system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// As the file system says.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Whether a file or directory has this name.
    ///
    /// # Errors
    /// As the file system says.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Takes the exclusive lock that this file stands for, without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another holder has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn VfsLock>>;
    /// Free space for this process in the file system of `path`, in bytes.
    ///
    /// # Errors
    /// As the file system says.
    fn available_space(&self, path: &Path) -> io::Result<u64>;
}

/// An open file. All calls take shared references; concurrent writes to one range are the caller's to prevent.
pub trait VfsFile: Send + Sync + Debug {
    /// Reads at an offset; returns how many bytes came, 0 at the end of the file.
    ///
    /// # Errors
    /// As the file system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes at an offset; returns how many bytes were taken.
    ///
    /// # Errors
    /// As the file system says.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;
    /// The file's length in bytes.
    ///
    /// # Errors
    /// As the file system says.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// As the file system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// As the file system says.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the file's bytes and length durable (fdatasync).
    ///
    /// # Errors
    /// As the file system says. What was written since the last sync may then be lost; do not retry.
    fn sync_data(&self) -> io::Result<()>;

    /// Reads exactly `buf.len()` bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes all of `buf`.
    ///
    /// # Errors
    /// As the file system says; a part may be written then.
    fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    buf = &buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Makes a directory and its parents, and makes each new name durable in the directory above it. The last name is made
/// durable even when it was there, since who made it may have died before the sync.
///
/// # Errors
/// As the file system says.
pub fn create_dir_durable(vfs: &dyn Vfs, path: &Path) -> io::Result<()> {
    let mut new = Vec::new();
    for dir in path.ancestors().filter(|p| p.file_name().is_some()) {
        if vfs.exists(dir)? {
            break;
        }
        new.push(dir);
    }
    if new.is_empty() {
        return match vfs.sync_dir(path.parent().unwrap_or(path)) {
            // A directory that someone else prepared may stand in one that we may not open.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        };
    }
    for dir in new.into_iter().rev() {
        vfs.create_dir_all(dir)?;
        vfs.sync_dir(dir.parent().unwrap_or(Path::new("")))?;
    }
    Ok(())
}

/// Adds the path to an I/O error, so that whoever reads it knows the file.
pub(crate) fn at_path(path: &Path) -> impl Fn(io::Error) -> crate::StorageError + '_ {
    move |source| crate::StorageError::Io { path: PathBuf::from(path), source }
}
