//! A directory that is removed at the end.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use chronolith_storage::rng::Rng;

use crate::cli::{error::CliError, terminal::note};

/// A new directory in the system's place for temporary files, removed with all that is in it when this is dropped.
pub(super) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    pub(super) fn new() -> Result<Self, CliError> {
        let random = Rng::from_system().next_u64();
        let path = std::env::temp_dir().join(format!("chronolith-demo-{}-{random:016x}", process::id()));
        // Fails when it exists, so that nobody can lay a trap at a path that is known before.
        make(&path).map_err(|e| CliError::io(path.display().to_string(), e))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(unix)]
fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            note(&format!("{}: could not be removed: {error}", self.0.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_removed_with_all_that_is_in_it() {
        let directory = TemporaryDirectory::new().unwrap();
        let path = directory.path().to_owned();
        fs::create_dir(path.join("a")).unwrap();
        fs::write(path.join("a/b"), "c").unwrap();
        drop(directory);
        assert!(!path.exists());
    }
}
