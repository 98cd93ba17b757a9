//! The names of the simulated file system: the tree as the process sees it, and the changes that no sync made durable.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Component, Path},
};

use super::image::Fate;
use crate::rng::Rng;

/// Number of a file or directory; names point to it.
pub(super) type NodeId = usize;

/// The root directory.
pub(super) const ROOT: NodeId = 0;

/// What a name points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Dir(NodeId),
    File(NodeId),
}

/// All names: (directory, name) -> entry.
type Table = BTreeMap<(NodeId, String), Entry>;

/// One change of names, durable as a whole or not at all: a rename is one change of two names.
#[derive(Debug, Clone)]
struct Change(Vec<((NodeId, String), Option<Entry>)>);

/// The tree of names. Invariant: `current` is `durable` with all of `pending` applied in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    current: Table,
    durable: Table,
    pending: Vec<Change>,
}

/// A directory that exists and a name inside it that may not.
pub(super) type Place = (NodeId, String);

impl Tree {
    fn components(path: &Path) -> io::Result<Vec<String>> {
        let mut parts = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Ok(parts)
    }

    fn walk(&self, parts: &[String]) -> io::Result<NodeId> {
        let mut at = ROOT;
        for part in parts {
            at = match self.current.get(&(at, part.clone())) {
                Some(Entry::Dir(id)) => *id,
                Some(Entry::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => return Err(io::ErrorKind::NotFound.into()),
            };
        }
        Ok(at)
    }

    /// The directory of this path.
    pub(super) fn dir(&self, path: &Path) -> io::Result<NodeId> {
        self.walk(&Self::components(path)?)
    }

    /// Where the path's last name stands; the root has no such place.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let mut parts = Self::components(path)?;
        let name = parts.pop().ok_or(io::ErrorKind::IsADirectory)?;
        Ok((self.walk(&parts)?, name))
    }

    pub(super) fn get(&self, place: &Place) -> Option<Entry> {
        self.current.get(place).copied()
    }

    /// The entries of a directory in order of their names.
    pub(super) fn list(&self, dir: NodeId) -> impl Iterator<Item = (&str, Entry)> {
        self.current
            .range((dir, String::new())..)
            .take_while(move |((d, _), _)| *d == dir)
            .map(|((_, name), entry)| (name.as_str(), *entry))
    }

    pub(super) fn set(&mut self, place: Place, entry: Entry) {
        self.change(vec![(place, Some(entry))]);
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.change(vec![(place, None)]);
    }

    pub(super) fn rename(&mut self, from: Place, to: Place, entry: Entry) {
        self.change(vec![(from, None), (to, Some(entry))]);
    }

    fn change(&mut self, names: Vec<(Place, Option<Entry>)>) {
        let change = Change(names);
        apply(&mut self.current, &change);
        self.pending.push(change);
    }

    /// Makes the changes that touch a directory durable. Older changes of the same names are overtaken by them.
    pub(super) fn sync(&mut self, dir: NodeId) {
        let mut overtaken: BTreeSet<Place> = BTreeSet::new();
        let mut waiting = Vec::new();
        let mut synced = Vec::new();
        for mut change in std::mem::take(&mut self.pending).into_iter().rev() {
            let touched = change.0.iter().any(|((d, _), _)| *d == dir);
            change.0.retain(|(place, _)| !overtaken.contains(place));
            if touched {
                overtaken.extend(change.0.iter().map(|(place, _)| place.clone()));
                synced.push(change);
            } else if !change.0.is_empty() {
                waiting.push(change);
            }
        }
        for change in synced.iter().rev() {
            apply(&mut self.durable, change);
        }
        waiting.reverse();
        self.pending = waiting;
    }

    /// The tree after a power cut: the durable names and a random subset of the pending changes.
    pub(super) fn survive(&self, fate: Fate, rng: &mut Rng) -> Self {
        let mut names = self.durable.clone();
        for change in &self.pending {
            if fate.keeps(rng) {
                apply(&mut names, change);
            }
        }
        Self { current: names.clone(), durable: names, pending: Vec::new() }
    }

    /// The files that a name leads to.
    pub(super) fn files(&self) -> impl Iterator<Item = NodeId> {
        self.current.values().filter_map(|e| if let Entry::File(id) = e { Some(*id) } else { None })
    }
}

fn apply(table: &mut Table, change: &Change) {
    for (place, entry) in &change.0 {
        match entry {
            Some(entry) => table.insert(place.clone(), *entry),
            None => table.remove(place),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(tree: &Tree, path: &str) -> Place {
        tree.place(Path::new(path)).unwrap()
    }

    #[test]
    fn a_rename_survives_whole_or_not_at_all() {
        let mut tree = Tree::default();
        tree.set(place(&tree, "a"), Entry::File(1));
        tree.sync(ROOT);
        tree.rename(place(&tree, "a"), place(&tree, "b"), Entry::File(1));
        for seed in 0..32 {
            assert_eq!(tree.survive(Fate::Mixed, &mut Rng::new(seed)).current.len(), 1);
        }
        assert!(tree.survive(Fate::LoseAll, &mut Rng::new(0)).get(&(ROOT, "a".into())).is_some());
        tree.sync(ROOT);
        assert!(tree.survive(Fate::LoseAll, &mut Rng::new(0)).get(&(ROOT, "b".into())).is_some());
    }

    #[test]
    fn syncing_one_directory_leaves_the_other() {
        let mut tree = Tree::default();
        tree.set(place(&tree, "d"), Entry::Dir(1));
        tree.set(place(&tree, "d/f"), Entry::File(2));
        tree.sync(1);
        assert_eq!(tree.survive(Fate::LoseAll, &mut Rng::new(0)).files().count(), 1);
        assert!(tree.survive(Fate::LoseAll, &mut Rng::new(0)).dir(Path::new("d")).is_err(), "d itself is not synced");
        tree.sync(ROOT);
        assert!(tree.survive(Fate::LoseAll, &mut Rng::new(0)).dir(Path::new("d")).is_ok());
        assert_eq!(tree.pending.len(), 0);
    }
}
