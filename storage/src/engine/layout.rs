//! The names of files in a data directory.

use std::path::{Path, PathBuf};

/// The file whose lock stands for the directory.
const LOCK: &str = "LOCK";

/// A data directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The directory itself: the catalog is here.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.root.join("wal")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// Backups by hard links.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    pub(crate) fn segment(&self, id: u64) -> PathBuf {
        self.segments().join(Self::segment_name(id))
    }

    /// The file name of a segment.
    pub(crate) fn segment_name(id: u64) -> String {
        format!("{id:020}.seg")
    }

    /// The segment that a file name stands for.
    pub(crate) fn parse_segment_name(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".seg")?;
        (digits.len() == 20).then(|| digits.parse().ok())?
    }
}
