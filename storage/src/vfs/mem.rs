//! A file system in memory: fast, private to its handle and its clones, gone with the last of them. It carries the
//! in-memory database.

use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use super::{DirEntry, OpenMode, Vfs, VfsFile, VfsLock};

/// A file system in memory. Clones share their files.
#[derive(Debug, Clone, Default)]
pub struct MemFs(Arc<Mutex<Names>>);

/// All names, by their whole path. Paths order by components, so what is inside a directory follows it directly.
#[derive(Debug, Default)]
struct Names {
    nodes: BTreeMap<PathBuf, Node>,
    locked: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
enum Node {
    Dir,
    File(Arc<MemFile>),
}

impl MemFs {
    /// An empty file system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        // Every change below is one insertion or removal, so a panic elsewhere cannot have left half a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    fn is_dir(&self, path: &Path) -> bool {
        is_root(path) || matches!(self.nodes.get(path), Some(Node::Dir))
    }

    fn file(&self, path: &Path) -> io::Result<Arc<MemFile>> {
        match self.nodes.get(path) {
            Some(Node::File(file)) => Ok(Arc::clone(file)),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None if is_root(path) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A new name needs a directory to stand in.
    fn check_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if self.is_dir(parent) => Ok(()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The paths below a directory, at any depth.
    fn below(&self, dir: &Path) -> impl Iterator<Item = (&PathBuf, &Node)> {
        let after = (Bound::Excluded(dir), Bound::Unbounded);
        self.nodes.range::<Path, _>(after).take_while(move |(p, _)| p.starts_with(dir))
    }
}

/// `/` and the empty path, the parent of a bare name, always exist.
fn is_root(path: &Path) -> bool {
    path.parent().is_none()
}

impl Vfs for MemFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let mut names = self.names();
        match (names.file(path), mode) {
            (Ok(_), OpenMode::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(file), _) => Ok(file),
            (Err(e), OpenMode::CreateNew | OpenMode::CreateOrOpen) if e.kind() == io::ErrorKind::NotFound => {
                names.check_parent(path)?;
                let file = Arc::new(MemFile::default());
                names.nodes.insert(path.to_owned(), Node::File(Arc::clone(&file)));
                Ok(file)
            }
            (Err(e), _) => Err(e),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut names = self.names();
        names.file(path)?;
        names.nodes.remove(path);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut names = self.names();
        if !names.is_dir(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        names.nodes.retain(|p, _| !p.starts_with(path));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.names();
        let node = names.nodes.get(from).cloned().ok_or(io::ErrorKind::NotFound)?;
        if from == to {
            return Ok(());
        }
        names.check_parent(to)?;
        match (&node, names.nodes.get(to)) {
            (Node::File(_), Some(Node::Dir)) => return Err(io::ErrorKind::IsADirectory.into()),
            (Node::Dir, Some(Node::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
            (Node::Dir, Some(Node::Dir)) if names.below(to).next().is_some() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            (Node::Dir, _) if to.starts_with(from) => return Err(io::ErrorKind::InvalidInput.into()),
            _ => {}
        }
        let inside: Vec<PathBuf> = match node {
            Node::Dir => names.below(from).map(|(p, _)| p.clone()).collect(),
            Node::File(_) => Vec::new(),
        };
        names.nodes.remove(from);
        names.nodes.insert(to.to_owned(), node);
        for path in inside {
            if let (Some(node), Ok(rest)) = (names.nodes.remove(&path), path.strip_prefix(from)) {
                names.nodes.insert(to.join(rest), node);
            }
        }
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.names();
        let file = names.file(from)?;
        names.check_parent(to)?;
        if names.nodes.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        names.nodes.insert(to.to_owned(), Node::File(file));
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut names = self.names();
        for dir in path.ancestors().filter(|p| !is_root(p)) {
            if matches!(names.nodes.get(dir), Some(Node::File(_))) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
        }
        for dir in path.ancestors().filter(|p| !is_root(p)) {
            names.nodes.insert(dir.to_owned(), Node::Dir);
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.names().is_dir(path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let names = self.names();
        if !names.is_dir(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut entries = Vec::new();
        for (inside, node) in names.below(path).filter(|(p, _)| p.parent() == Some(path)) {
            let name = inside.file_name().unwrap_or_default().to_string_lossy().into_owned();
            entries.push(match node {
                Node::Dir => DirEntry { name, is_dir: true, len: 0 },
                Node::File(file) => DirEntry { name, is_dir: false, len: file.len()? },
            });
        }
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let names = self.names();
        Ok(is_root(path) || names.nodes.contains_key(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn VfsLock>> {
        self.open(path, OpenMode::CreateOrOpen)?;
        let mut names = self.names();
        if names.locked.iter().any(|p| p == path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        names.locked.push(path.to_owned());
        Ok(Box::new(MemLock { fs: self.clone(), path: path.to_owned() }))
    }

    fn available_space(&self, _path: &Path) -> io::Result<u64> {
        // Memory is accounted for elsewhere; this file system itself has no bound.
        Ok(u64::MAX)
    }
}

#[derive(Debug)]
struct MemLock {
    fs: MemFs,
    path: PathBuf,
}

impl VfsLock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.fs.names().locked.retain(|p| *p != self.path);
    }
}

/// The bytes of one file, alive as long as a name or a handle is.
#[derive(Default)]
struct MemFile(RwLock<Vec<u8>>);

impl std::fmt::Debug for MemFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemFile({} bytes)", self.0.read().unwrap_or_else(PoisonError::into_inner).len())
    }
}

impl VfsFile for MemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let data = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let rest = usize::try_from(offset).ok().and_then(|at| data.get(at..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut data = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let at = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = at.checked_add(buf.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if at == data.len() {
            data.extend_from_slice(buf);
            return Ok(buf.len());
        }
        if end > data.len() {
            data.resize(end, 0);
        }
        data[at..end].copy_from_slice(buf);
        Ok(buf.len())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut data = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if data.is_empty() {
            // Fresh zeroed pages come from the system untouched; extending a vector would write every one of them.
            *data = vec![0; len];
        } else {
            data.resize(len, 0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}
