//! The catalog: what must change atomically, kept by redb in `catalog.redb`. Live segments, deletions, metadata, the
//! oldest log that is needed, the next numbers, and what was set aside.
//!
//! Damage is found before anything is touched: an existing file is copied into memory, every page and record of the
//! copy is checked, and its number of commits is compared with the mark beside it. Only then the file itself is opened
//! for writing. A read-only catalog stays with the copy, so it never changes a byte on disk.

mod mark;
mod record;
mod store;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(crate) use self::record::Counters;
pub use self::record::{
    CatalogEdit, CatalogState, DeletedChunk, EntryEdit, QuarantineRecord, SegmentKind, SegmentRecord, TombstoneMatcher,
    TombstoneRecord,
};
use self::{
    mark::Mark,
    store::{Store, StoreError},
};
use crate::{
    Result, StorageError,
    vfs::{MemFs, OpenMode, Vfs, VfsFile, at_path},
};

/// The format of a data directory that is written, and the newest that is understood. Version 1 has no tables.
pub const FORMAT_VERSION: u32 = 2;
/// The catalog's file.
const CATALOG_FILE: &str = "catalog.redb";
/// The mark's file.
const MARK_FILE: &str = "catalog.mark";
/// The catalog's file while it is made.
const NEW_FILE: &str = "catalog.redb.new";
/// Longest catalog file that is read: a hundred times what a million segments take.
const FILE_LIMIT: u64 = 16 << 30;

/// The open catalog. Calls may come from several threads.
#[derive(Debug)]
pub struct Catalog {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    path: PathBuf,
    read_only: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
enum Inner {
    /// In order. A read-only catalog has no mark.
    Open { store: Store, mark: Option<Mark>, commits: u64 },
    /// A commit found the disk full. The file is opened again at the next call.
    DiskFull { commits: u64 },
    /// A commit failed: whether it is on disk is not known.
    Failed(String),
}

impl Catalog {
    /// Opens the catalog of a directory that exists, or makes it there unless `read_only`.
    ///
    /// # Errors
    /// [`StorageError::NewerFormat`] when a newer version wrote the directory, [`StorageError::Corrupt`] when the catalog
    /// is damaged, missing although there was one, or older than it has been; nothing is changed then.
    /// [`StorageError::Io`] as the file system says, also when `read_only` and there is no catalog.
    pub fn open(vfs: Arc<dyn Vfs>, dir: &Path, read_only: bool) -> Result<Self> {
        let inner = Mutex::new(open(&vfs, dir, read_only)?);
        Ok(Self { vfs, dir: dir.to_owned(), path: dir.join(CATALOG_FILE), read_only, inner })
    }

    /// The names of the files that make a catalog; the first is the catalog itself.
    pub(crate) const FILES: [&str; 2] = [CATALOG_FILE, MARK_FILE];

    /// The path of the catalog of a directory.
    pub(crate) fn file_in(dir: &Path) -> PathBuf {
        dir.join(CATALOG_FILE)
    }

    /// Refuses a directory whose mark a newer version wrote.
    pub(crate) fn check_format(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
        mark::read(vfs, dir).map(|_| ())
    }

    /// Makes a catalog with these contents and puts it in the place of what is there, whatever that is.
    ///
    /// The new file gets its name in one step, so that whenever the power goes there is the old state or the new. Its
    /// number of commits goes on above the mark's, and the mark stays: beside it, a catalog that is missing is never
    /// taken for one that never was.
    ///
    /// # Errors
    /// [`StorageError::NewerFormat`] when a newer version wrote the mark; as the file system says.
    pub fn replace(vfs: Arc<dyn Vfs>, dir: &Path, contents: &CatalogEdit) -> Result<Self> {
        let marked = mark::read(&*vfs, dir)?.unwrap_or(0);
        let inner = Mutex::new(make(&*vfs, dir, marked.saturating_add(1), Some(contents))?);
        Ok(Self { vfs, dir: dir.to_owned(), path: dir.join(CATALOG_FILE), read_only: false, inner })
    }

    /// Everything the catalog says.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when a record is not what was written; [`StorageError::Catalog`] after a failed commit.
    pub fn state(&self) -> Result<CatalogState> {
        let mut inner = self.in_order()?;
        match &mut *inner {
            Inner::Open { store, .. } => store.load().map(|(_, state)| state).map_err(|e| e.at(&self.path)),
            Inner::DiskFull { .. } | Inner::Failed(_) => Err(StorageError::Closed),
        }
    }

    /// Makes an edit durable, as one transaction.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] when the edit does not fit the state: nothing was changed.
    /// [`StorageError::DiskFull`]: nothing was changed as far as can be known; a later commit is tried as if this one had
    /// not been. After any other error the edit may or may not be found when the directory is opened again, so files
    /// that it adds or removes must stay; until then every call returns [`StorageError::Catalog`].
    pub fn commit(&self, edit: &CatalogEdit) -> Result<()> {
        if self.read_only {
            return Err(StorageError::ReadOnly);
        }
        let mut inner = self.in_order()?;
        let Inner::Open { store, mark, commits } = &mut *inner else { return Err(StorageError::Closed) };
        match store.commit(edit) {
            Ok(counters) => {
                *commits = counters.commits;
                if let Some(mark) = mark {
                    mark.note(counters.commits);
                }
                Ok(())
            }
            Err(StoreError::Ours(e @ StorageError::Invalid(_))) => Err(e),
            Err(e) => {
                let e = e.at(&self.path);
                *inner = match e {
                    StorageError::DiskFull { .. } => Inner::DiskFull { commits: *commits },
                    _ => Inner::Failed(e.to_string()),
                };
                Err(e)
            }
        }
    }

    /// The catalog's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the catalog's file in bytes; 0 when it cannot be told.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        let opened = self.vfs.open(&self.path, OpenMode::Read);
        opened.and_then(|file| file.len()).unwrap_or(0)
    }

    /// Checks the file on disk as it is now: every page, every record, and the mark.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn verify(&self) -> Result<()> {
        // Held so that no commit writes while the file is copied.
        let _inner = self.in_order()?;
        check(&*self.vfs, &self.dir).map(|_| ())
    }

    /// The inner state, opened again if the disk was full.
    fn in_order(&self) -> Result<MutexGuard<'_, Inner>> {
        // No panic can happen while the lock is held: calls into redb are guarded.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Inner::DiskFull { commits } = *inner {
            let again = open(&self.vfs, &self.dir, self.read_only)?;
            *inner = match again {
                Inner::Open { commits: found, .. } if found != commits => Inner::Failed(format!(
                    "a commit that was refused because the disk was full is on disk all the same ({found}, not {commits})"
                )),
                other => other,
            };
        }
        if let Inner::Failed(reason) = &*inner {
            return Err(StorageError::Catalog(format!("stopped since a commit failed ({reason}); open it again")));
        }
        Ok(inner)
    }
}

fn open(vfs: &Arc<dyn Vfs>, dir: &Path, read_only: bool) -> Result<Inner> {
    let path = dir.join(CATALOG_FILE);
    let marked = mark::read(&**vfs, dir)?;
    if !vfs.exists(&path).map_err(at_path(&path))? {
        if marked.is_some() {
            let reason = "the catalog is missing, and catalog.mark says that there was one".to_owned();
            return Err(StorageError::Corrupt { path, offset: 0, reason });
        }
        if read_only {
            return Err(at_path(&path)(io::ErrorKind::NotFound.into()));
        }
        return make(&**vfs, dir, 1, None);
    }
    let (copy, commits) = check(&**vfs, dir)?;
    if read_only {
        return Ok(Inner::Open { store: copy, mark: None, commits });
    }
    let file = vfs.open(&path, OpenMode::ReadWrite).map_err(at_path(&path))?;
    let store = Store::open(file, false).map_err(|e| e.at(&path))?;
    let mark = Some(Mark::make(&**vfs, dir, commits)?);
    Ok(Inner::Open { store, mark, commits })
}

/// Makes a new catalog. It gets its name when it is whole, and the mark after that name is durable: whenever the power
/// goes, there is no catalog or a whole one, and a mark only beside a whole one.
fn make(vfs: &dyn Vfs, dir: &Path, commits: u64, contents: Option<&CatalogEdit>) -> Result<Inner> {
    let (new, path) = (dir.join(NEW_FILE), dir.join(CATALOG_FILE));
    match vfs.remove(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at_path(&new)(e)),
        _ => {}
    }
    let file = vfs.open(&new, OpenMode::CreateNew).map_err(at_path(&new))?;
    let store = Store::open(file, false).map_err(|e| e.at(&path))?;
    let mut commits = store.initialise(commits).map_err(|e| e.at(&path))?.commits;
    if let Some(contents) = contents {
        commits = store.commit(contents).map_err(|e| e.at(&path))?.commits;
    }
    vfs.rename(&new, &path).map_err(at_path(&path))?;
    vfs.sync_dir(dir).map_err(at_path(dir))?;
    let mark = Some(Mark::make(vfs, dir, commits)?);
    Ok(Inner::Open { store, mark, commits })
}

/// Checks a copy of the catalog in memory: every page's checksum, every record, the version, and that it is not older
/// than the mark says. Returns the copy and its number of commits.
fn check(vfs: &dyn Vfs, dir: &Path) -> Result<(Store, u64)> {
    let path = dir.join(CATALOG_FILE);
    let marked = mark::read(vfs, dir)?;
    let corrupt = |reason| StorageError::Corrupt { path: path.clone(), offset: 0, reason };
    let copy = copy(vfs, &path)?;
    if copy.is_empty().map_err(at_path(&path))? {
        return Err(corrupt("the file is empty".to_owned()));
    }
    let store = Store::open(copy, true).map_err(|e| e.at(&path))?;
    let (counters, _) = store.load().map_err(|e| e.at(&path))?;
    if counters.format_version > FORMAT_VERSION {
        return Err(StorageError::NewerFormat { path, found: counters.format_version, supported: FORMAT_VERSION });
    }
    match marked {
        Some(marked) if counters.commits < marked => {
            let reason =
                format!("it holds commit {}, but commit {marked} was made: this is an old state", counters.commits);
            return Err(corrupt(reason));
        }
        None if counters.commits > 1 => {
            tracing::warn!("{}: catalog.mark is missing or damaged; it is written anew", path.display());
        }
        _ => {}
    }
    Ok((store, counters.commits))
}

/// The file's bytes in a file in memory.
fn copy(vfs: &dyn Vfs, path: &Path) -> Result<Arc<dyn VfsFile>> {
    let file = vfs.open(path, OpenMode::Read).map_err(at_path(path))?;
    let len = file.len().map_err(at_path(path))?;
    if len > FILE_LIMIT {
        let reason = format!("the file has {len} bytes, over the limit of {FILE_LIMIT}");
        return Err(StorageError::Corrupt { path: path.to_owned(), offset: 0, reason });
    }
    let memory = MemFs::new();
    let copy = memory.open(Path::new("catalog"), OpenMode::CreateNew).map_err(at_path(path))?;
    let mut buf = vec![0; 256 << 10];
    let mut at = 0;
    while at < len {
        let want = usize::try_from(len - at).unwrap_or(buf.len()).min(buf.len());
        file.read_exact_at(&mut buf[..want], at).map_err(at_path(path))?;
        copy.write_all_at(&buf[..want], at).map_err(at_path(path))?;
        at += want as u64;
    }
    Ok(copy)
}
