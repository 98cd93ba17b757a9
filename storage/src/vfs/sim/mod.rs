//! A simulated file system in memory that forgets, tears and fails on demand, all from a seed.
//!
//! The model, as hostile as a journalling file system on a disk may be:
//! - A write changes the file as the process sees it. On disk are whole sectors of 512 bytes, and only a sync is sure to
//!   bring them there. At a crash each un-synced sector is kept or lost by itself, and the file's length is one
//!   that it has had since the last sync, any length on the way of a write that made it longer included; what a kept
//!   length covers without a kept sector is zeros.
//! - A new, renamed, linked or removed name is durable after `sync_dir` of its directory. At a crash each pending change
//!   of names is kept or lost by itself; a rename happens wholly or not. Syncing a file does not make its name durable,
//!   syncing a directory makes neither its own name durable nor the files in it.
//! - Every call of [`Vfs`] and [`VfsFile`] is one operation, counted from 1. At the operation named by
//!   [`SimFs::crash_at`] the power goes: a change is still taken up un-synced (and so may survive), a sync does nothing,
//!   and from then on every call fails. [`SimFs::recover`] is the machine after the restart.
//! - A failed sync leaves some sectors written, some waiting, and some neither, marked clean as Linux does: syncing again
//!   then succeeds and they are lost all the same.
//! - Locks are let go at a crash.

mod image;
mod tree;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::{
    image::{Fate, Image},
    tree::{Entry, NodeId, ROOT, Tree},
};
use super::{DirEntry, OpenMode, Vfs, VfsFile, VfsLock};
use crate::rng::Rng;

/// A way in which an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Any operation: the disk reports an error (EIO). A write may have been taken in part, a sync as in
    /// [`Fault::SyncFails`].
    Eio,
    /// A write or a new name: no space left (ENOSPC). A write may have been taken in part.
    NoSpace,
    /// A write of two bytes or more takes the first half only.
    ShortWrite,
    /// A read of two bytes or more returns the first half only.
    ShortRead,
    /// A read or write was interrupted (EINTR). Happens once even if it is asked for always.
    Interrupted,
    /// A sync of a file or directory fails.
    SyncFails,
    /// A rename fails.
    RenameFails,
}

impl Fault {
    /// Every fault, for tests that try all of them.
    pub const ALL: [Self; 7] = [
        Self::Eio,
        Self::NoSpace,
        Self::ShortWrite,
        Self::ShortRead,
        Self::Interrupted,
        Self::SyncFails,
        Self::RenameFails,
    ];

    const fn fits(self, op: Op) -> bool {
        match self {
            Self::Eio => true,
            Self::NoSpace => matches!(op, Op::Write(_) | Op::Grow | Op::Name | Op::Rename),
            Self::ShortWrite => matches!(op, Op::Write(len) if len > 1),
            Self::ShortRead => matches!(op, Op::Read(len) if len > 1),
            Self::Interrupted => matches!(op, Op::Read(_) | Op::Write(_)),
            Self::SyncFails => matches!(op, Op::Sync),
            Self::RenameFails => matches!(op, Op::Rename),
        }
    }

    fn error(self) -> io::Error {
        match self {
            Self::NoSpace => io::ErrorKind::StorageFull.into(),
            Self::Interrupted => io::ErrorKind::Interrupted.into(),
            _ => io::Error::other("simulated: input/output error"),
        }
    }
}

/// The kind of an operation, as far as faults differ.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// A read of so many bytes.
    Read(usize),
    /// A write of so many bytes.
    Write(usize),
    /// A file that is made longer.
    Grow,
    /// A name that is made.
    Name,
    Rename,
    Sync,
    Other,
}

/// A planned fault.
#[derive(Debug, Clone, Copy)]
struct Plan {
    from: u64,
    fault: Fault,
    sticky: bool,
}

#[derive(Debug)]
struct World {
    tree: Tree,
    files: BTreeMap<NodeId, Image>,
    next_node: NodeId,
    locked: Vec<PathBuf>,
    rng: Rng,
    operations: u64,
    crash_at: Option<u64>,
    crashed: bool,
    plan: Option<Plan>,
    fired: bool,
    capacity: Option<u64>,
}

/// A simulated file system. Clones share their files.
#[derive(Debug, Clone)]
pub struct SimFs(Arc<Mutex<World>>);

impl SimFs {
    /// An empty file system; equal seeds give equal behaviour.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(Tree::default(), BTreeMap::new(), ROOT + 1, None, Rng::new(seed))
    }

    fn with(tree: Tree, files: BTreeMap<NodeId, Image>, next_node: NodeId, capacity: Option<u64>, rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(World {
            tree,
            files,
            next_node,
            locked: Vec::new(),
            rng,
            operations: 0,
            crash_at: None,
            crashed: false,
            plan: None,
            fired: false,
            capacity,
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A test that panicked elsewhere still wants to look at the files.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations were called for so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.world().operations
    }

    /// Lets the power go at this operation, counted from 1 since this file system was made.
    pub fn crash_at(&self, operation: u64) {
        self.world().crash_at = Some(operation);
    }

    /// Whether the power went.
    #[must_use]
    pub fn crashed(&self) -> bool {
        self.world().crashed
    }

    /// Lets the first operation from `operation` on that the fault fits fail with it, or, when `sticky`, all of them.
    /// A later call replaces the plan.
    pub fn inject(&self, operation: u64, fault: Fault, sticky: bool) {
        let mut world = self.world();
        world.fired = false;
        world.plan = Some(Plan { from: operation, fault, sticky });
    }

    /// Ends a planned fault: the disk works again.
    pub fn clear_fault(&self) {
        self.world().plan = None;
    }

    /// Whether the planned fault has happened.
    #[must_use]
    pub fn fired(&self) -> bool {
        self.world().fired
    }

    /// Bounds the bytes of all files together. A write that does not fit is taken in part, the next one refused.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world().capacity = bytes;
    }

    /// Cuts the power now, if it is not gone, and returns the machine after the restart. Handles of the old one only
    /// fail from here on.
    #[must_use]
    pub fn recover(&self, seed: u64) -> Self {
        let mut world = self.world();
        world.crashed = true;
        let mut rng = Rng::new(seed);
        let fate = Fate::choose(&mut rng);
        let tree = world.tree.survive(fate, &mut rng);
        let mut files = BTreeMap::new();
        for id in tree.files() {
            if let Some(image) = world.files.get(&id) {
                files.entry(id).or_insert_with(|| image.survive(fate, &mut rng));
            }
        }
        Self::with(tree, files, world.next_node, world.capacity, rng)
    }
}

/// What an operation that may go on has to do.
enum Verdict {
    Go,
    /// Take the change up, then fail: the power goes in the middle of it.
    CrashAfter,
    /// Fail this way.
    Fail(Fault),
}

fn power_gone() -> io::Error {
    io::Error::other("simulated: the power is gone")
}

impl World {
    /// Counts an operation and says what becomes of it.
    fn begin(&mut self, op: Op) -> io::Result<Verdict> {
        if self.crashed {
            return Err(power_gone());
        }
        self.operations += 1;
        if self.crash_at.is_some_and(|at| self.operations >= at) {
            self.crashed = true;
            return Ok(Verdict::CrashAfter);
        }
        match self.plan {
            Some(plan) if self.operations >= plan.from && plan.fault.fits(op) => {
                self.fired = true;
                if !plan.sticky || plan.fault == Fault::Interrupted {
                    self.plan = None;
                }
                Ok(Verdict::Fail(plan.fault))
            }
            _ => Ok(Verdict::Go),
        }
    }

    /// Runs an operation that has no partial effect.
    fn run<T>(&mut self, op: Op, act: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        match self.begin(op)? {
            Verdict::Go => act(self),
            Verdict::CrashAfter => {
                // What it would have returned is of no interest to a process that is no more.
                act(self).ok();
                Err(power_gone())
            }
            Verdict::Fail(fault) => Err(fault.error()),
        }
    }

    /// Bytes of the files that have a name, each counted once.
    fn used(&self) -> u64 {
        let named: BTreeSet<NodeId> = self.tree.files().collect();
        named.iter().filter_map(|id| self.files.get(id)).map(|f| f.len() as u64).sum()
    }

    fn room(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |c| c.saturating_sub(self.used()))
    }

    fn image(&mut self, id: NodeId) -> io::Result<&mut Image> {
        self.files.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn new_node(&mut self) -> NodeId {
        self.next_node += 1;
        self.next_node - 1
    }

    fn file(&self, path: &Path) -> io::Result<NodeId> {
        match self.tree.get(&self.tree.place(path)?) {
            Some(Entry::File(id)) => Ok(id),
            Some(Entry::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<NodeId> {
        match (self.file(path), mode) {
            (Ok(_), OpenMode::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(id), _) => Ok(id),
            (Err(e), OpenMode::CreateNew | OpenMode::CreateOrOpen) if e.kind() == io::ErrorKind::NotFound => {
                let place = self.tree.place(path)?;
                let id = self.new_node();
                self.files.insert(id, Image::default());
                self.tree.set(place, Entry::File(id));
                Ok(id)
            }
            (Err(e), _) => Err(e),
        }
    }

    fn remove_tree(&mut self, dir: NodeId) {
        let inside: Vec<(String, Entry)> = self.tree.list(dir).map(|(n, e)| (n.to_owned(), e)).collect();
        for (name, entry) in inside {
            if let Entry::Dir(id) = entry {
                self.remove_tree(id);
            }
            self.tree.remove((dir, name));
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.tree.place(from)?, self.tree.place(to)?);
        let entry = self.tree.get(&from).ok_or(io::ErrorKind::NotFound)?;
        match (entry, self.tree.get(&to)) {
            (Entry::File(_), Some(Entry::Dir(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (Entry::Dir(_), Some(Entry::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
            (Entry::Dir(a), Some(Entry::Dir(b))) if a != b && self.tree.list(b).next().is_some() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        if from != to {
            self.tree.rename(from, to, entry);
        }
        Ok(())
    }

    fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let ancestors: Vec<&Path> = path.ancestors().filter(|p| p.file_name().is_some()).collect();
        for dir in ancestors.into_iter().rev() {
            let place = self.tree.place(dir)?;
            match self.tree.get(&place) {
                Some(Entry::Dir(_)) => {}
                Some(Entry::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    let id = self.new_node();
                    self.tree.set(place, Entry::Dir(id));
                }
            }
        }
        Ok(())
    }

    /// Takes as much of a write as there is room for.
    fn write(&mut self, id: NodeId, buf: &[u8], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = at.checked_add(buf.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        let room = self.room();
        let image = self.image(id)?;
        let needed = end.saturating_sub(image.len()) as u64;
        let missing = usize::try_from(needed.saturating_sub(room)).unwrap_or(usize::MAX);
        let taken = buf.len().saturating_sub(missing);
        if taken == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        image.write_at(&buf[..taken], at);
        Ok(taken)
    }

    fn faulty_write(&mut self, id: NodeId, buf: &[u8], offset: u64, fault: Fault) -> io::Result<usize> {
        match fault {
            Fault::ShortWrite => self.write(id, &buf[..buf.len() / 2], offset),
            Fault::Eio | Fault::NoSpace => {
                let part = self.rng.below(buf.len() as u64 + 1) as usize;
                self.write(id, &buf[..part], offset)?;
                Err(fault.error())
            }
            _ => Err(fault.error()),
        }
    }

    fn set_len(&mut self, id: NodeId, len: u64) -> io::Result<()> {
        let new = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let room = self.room();
        let image = self.image(id)?;
        if new.saturating_sub(image.len()) as u64 > room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        image.set_len(new);
        Ok(())
    }
}

impl Vfs for SimFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let creates = matches!(mode, OpenMode::CreateNew | OpenMode::CreateOrOpen);
        let op = if creates { Op::Name } else { Op::Other };
        let id = self.world().run(op, |w| w.open(path, mode))?;
        Ok(Arc::new(SimFile { fs: self.clone(), id }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.world().run(Op::Other, |w| {
            w.file(path)?;
            let place = w.tree.place(path)?;
            w.tree.remove(place);
            Ok(())
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.world().run(Op::Other, |w| {
            let dir = w.tree.dir(path)?;
            w.remove_tree(dir);
            let place = w.tree.place(path)?;
            w.tree.remove(place);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.world().run(Op::Rename, |w| w.rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.world().run(Op::Name, |w| {
            let id = w.file(from)?;
            let place = w.tree.place(to)?;
            if w.tree.get(&place).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            w.tree.set(place, Entry::File(id));
            Ok(())
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.world().run(Op::Name, |w| w.create_dir_all(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        match world.begin(Op::Sync)? {
            Verdict::Go => {
                let dir = world.tree.dir(path)?;
                world.tree.sync(dir);
                Ok(())
            }
            Verdict::CrashAfter => Err(power_gone()),
            Verdict::Fail(fault) => Err(fault.error()),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.world().run(Op::Other, |w| {
            let dir = w.tree.dir(path)?;
            let entries = w.tree.list(dir).map(|(name, entry)| match entry {
                Entry::Dir(_) => DirEntry { name: name.to_owned(), is_dir: true, len: 0 },
                Entry::File(id) => {
                    let len = w.files.get(&id).map_or(0, Image::len) as u64;
                    DirEntry { name: name.to_owned(), is_dir: false, len }
                }
            });
            Ok(entries.collect())
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.world().run(Op::Other, |w| match w.tree.place(path) {
            Ok(place) => Ok(w.tree.get(&place).is_some()),
            Err(e) if e.kind() == io::ErrorKind::IsADirectory => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn VfsLock>> {
        self.world().run(Op::Name, |w| {
            w.open(path, OpenMode::CreateOrOpen)?;
            if w.locked.iter().any(|p| p == path) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            w.locked.push(path.to_owned());
            Ok(())
        })?;
        Ok(Box::new(SimLock { fs: self.clone(), path: path.to_owned() }))
    }

    fn available_space(&self, _path: &Path) -> io::Result<u64> {
        self.world().run(Op::Other, |w| Ok(w.room()))
    }
}

#[derive(Debug)]
struct SimLock {
    fs: SimFs,
    path: PathBuf,
}

impl VfsLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.fs.world().locked.retain(|p| *p != self.path);
    }
}

struct SimFile {
    fs: SimFs,
    id: NodeId,
}

impl std::fmt::Debug for SimFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimFile({})", self.id)
    }
}

impl VfsFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut world = self.fs.world();
        let verdict = world.begin(Op::Read(buf.len()))?;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        match verdict {
            Verdict::Go => Ok(world.image(self.id)?.read_at(buf, at)),
            Verdict::CrashAfter => Err(power_gone()),
            Verdict::Fail(Fault::ShortRead) => {
                let half = buf.len() / 2;
                Ok(world.image(self.id)?.read_at(&mut buf[..half], at))
            }
            Verdict::Fail(fault) => Err(fault.error()),
        }
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut world = self.fs.world();
        match world.begin(Op::Write(buf.len()))? {
            Verdict::Go => world.write(self.id, buf, offset),
            Verdict::CrashAfter => {
                world.write(self.id, buf, offset).ok();
                Err(power_gone())
            }
            Verdict::Fail(fault) => world.faulty_write(self.id, buf, offset, fault),
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.fs.world().run(Op::Other, |w| Ok(w.image(self.id)?.len() as u64))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut world = self.fs.world();
        let grows = world.files.get(&self.id).is_some_and(|f| (f.len() as u64) < len);
        world.run(if grows { Op::Grow } else { Op::Other }, |w| w.set_len(self.id, len))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.fs.world();
        match world.begin(Op::Sync)? {
            Verdict::Go => {
                world.image(self.id)?.sync();
                Ok(())
            }
            Verdict::CrashAfter => Err(power_gone()),
            Verdict::Fail(fault) => {
                let mut rng = world.rng.clone();
                world.image(self.id)?.fail_sync(&mut rng);
                world.rng = rng;
                Err(fault.error())
            }
        }
    }
}
