//! What an import has finished, kept in a file so that it can go on after a break.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::cli::error::CliError;

/// The file in the data directory: who deletes the data deletes with it the claim that they are there.
pub(super) const FILE_NAME: &str = "import-state.json";
/// The version of the file's form.
const VERSION: u32 = 1;

/// Finished work, by the input's absolute path.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Finished {
    version: u32,
    #[serde(default)]
    texts: BTreeMap<String, TextProgress>,
    /// The names of finished blocks; they are unique by themselves.
    #[serde(default)]
    blocks: BTreeSet<String>,
}

/// How far a text was imported.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TextProgress {
    /// Bytes from the beginning, up to the end of a line.
    pub(super) offset: u64,
    /// Lines in them.
    pub(super) lines: usize,
    /// A checksum over the first of these bytes, to see that it is the same input.
    pub(super) head: u32,
}

/// The state and its file, if it is kept.
#[derive(Debug, Default)]
pub(super) struct State {
    path: Option<PathBuf>,
    finished: Finished,
}

impl State {
    /// Reads the file; a missing one means that nothing is finished.
    pub(super) fn load(path: Option<PathBuf>) -> Result<Self, CliError> {
        let Some(file) = path.as_deref() else { return Ok(Self::default()) };
        let shown = file.display().to_string();
        let finished = match fs::read(file) {
            Ok(bytes) => serde_json::from_slice::<Finished>(&bytes)
                .map_err(|e| e.to_string())
                .and_then(|f| {
                    (f.version <= VERSION).then_some(f).ok_or_else(|| "written by a newer version".to_owned())
                })
                .map_err(|e| CliError::Failed(format!("{shown}: {e}; remove the file to import from the beginning")))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Finished::default(),
            Err(e) => return Err(CliError::io(shown, e)),
        };
        Ok(Self { path, finished })
    }

    /// How far this text was imported before.
    pub(super) fn text(&self, input: &str) -> Option<TextProgress> {
        self.finished.texts.get(input).copied()
    }

    /// Notes how far a text is imported.
    pub(super) fn set_text(&mut self, input: &str, progress: TextProgress) -> Result<(), CliError> {
        self.finished.texts.insert(input.to_owned(), progress);
        self.save()
    }

    /// Whether a block was imported before.
    pub(super) fn has_block(&self, name: &str) -> bool {
        self.finished.blocks.contains(name)
    }

    /// Notes that a block is imported.
    pub(super) fn add_block(&mut self, name: &str) -> Result<(), CliError> {
        self.finished.blocks.insert(name.to_owned());
        self.save()
    }

    /// Replaces the file in one step, so that a break leaves the old or the new one.
    fn save(&mut self) -> Result<(), CliError> {
        let Some(path) = &self.path else { return Ok(()) };
        self.finished.version = VERSION;
        let write = |temporary: &Path| {
            let file = fs::File::create(temporary)?;
            serde_json::to_writer(&file, &self.finished)?;
            file.sync_all()?;
            fs::rename(temporary, path)
        };
        write(&path.with_extension("tmp")).map_err(|e| CliError::io(path.display().to_string(), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_across_runs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let mut state = State::load(Some(path.clone())).unwrap();
        let progress = TextProgress { offset: 7, lines: 2, head: 9 };
        state.set_text("/a", progress).unwrap();
        state.add_block("01B").unwrap();
        let again = State::load(Some(path.clone())).unwrap();
        assert_eq!((again.text("/a"), again.text("/b")), (Some(progress), None));
        assert!(again.has_block("01B") && !again.has_block("01C"));
        for bad in ["{", r#"{"version":2}"#] {
            fs::write(&path, bad).unwrap();
            let error = State::load(Some(path.clone())).unwrap_err().to_string();
            assert!(error.contains("remove the file"), "{error}");
        }
    }

    #[test]
    fn without_a_file_nothing_is_kept() {
        let mut state = State::load(None).unwrap();
        state.add_block("x").unwrap();
        assert!(state.has_block("x"));
    }
}
