//! The lines that were typed before, in this shell and in earlier ones.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Lines that are kept.
const MOST_LINES: usize = 1_000;
/// The end of the file that is read; a file that is longer than twice that is written anew.
const MOST_BYTES: u64 = 256 << 10;

/// Lines, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: Vec<String>,
    file: Option<PathBuf>,
}

impl History {
    /// What the file holds; an empty one when there is none. Lines are appended to it.
    pub(super) fn load(file: Option<PathBuf>) -> Self {
        let Some(path) = file else { return Self::default() };
        // Without its history the shell works as well.
        let (text, is_long) = end_of(&path).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        let kept = all.get(all.len().saturating_sub(MOST_LINES)..).unwrap_or(&[]);
        let history = Self { lines: kept.iter().map(|line| (*line).to_owned()).collect(), file: Some(path) };
        if is_long {
            history.write_anew();
        }
        history
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn get(&self, at: usize) -> Option<&str> {
        self.lines.get(at).map(String::as_str)
    }

    /// Adds a line, unless it is the one before again.
    pub(super) fn push(&mut self, line: &str) {
        if line.trim().is_empty() || self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        self.lines.push(line.to_owned());
        if let Some(path) = &self.file {
            // Nothing is lost but a convenience.
            let _ = append(path, line);
        }
    }

    fn write_anew(&self) {
        let Some(path) = &self.file else { return };
        let beside = path.with_extension("new");
        let written = owners_file().create(true).write(true).truncate(true).open(&beside).and_then(|mut file| {
            file.write_all((self.lines.join("\n") + "\n").as_bytes())?;
            std::fs::rename(&beside, path)
        });
        // The long file stays then, and is as good.
        let _ = written;
    }
}

/// Statements may hold what is not for everyone.
fn owners_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    owners_file().create(true).append(true).open(path)?.write_all(format!("{line}\n").as_bytes())
}

/// The last lines of a file, and whether it is far longer.
fn end_of(path: &Path) -> io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(MOST_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let whole = if from == 0 { text } else { text.split_once('\n').map_or(String::new(), |(_, rest)| rest.to_owned()) };
    Ok((whole, length > 2 * MOST_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_in_the_next_shell() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state").join("sql_history");
        let mut first = History::load(Some(path.clone()));
        for line in ["SELECT 1;", "SELECT 1;", " ", "\\d"] {
            first.push(line);
        }
        let second = History::load(Some(path.clone()));
        assert_eq!((second.len(), second.get(0), second.get(1)), (2, Some("SELECT 1;"), Some("\\d")));
        let long: String = (0..60_000).map(|i| format!("SELECT {i};\n")).collect();
        std::fs::write(&path, long).unwrap();
        let third = History::load(Some(path.clone()));
        assert_eq!((third.len(), third.get(MOST_LINES - 1)), (MOST_LINES, Some("SELECT 59999;")));
        assert!(std::fs::metadata(&path).unwrap().len() < MOST_BYTES);
        let mut none = History::load(None);
        none.push("x");
        assert_eq!(none.len(), 1);
    }
}
