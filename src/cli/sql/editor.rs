//! The line editor: rustyline, with the history's file and the completion of words.

use std::{
    fs::DirBuilder,
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use rustyline::{
    CompletionType, Config, Context, Helper,
    completion::Completer,
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::{FileHistory, History as _},
    validate::Validator,
};

use super::words::Words;
use crate::cli::{error::CliError, terminal::note};

/// Lines of history that are kept.
const MOST_LINES: usize = 1_000;

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// One line, or several that were pasted.
    Text(String),
    /// Ctrl-C
    Interrupted,
    /// Ctrl-D, or no terminal any more.
    End,
}

/// Reads lines.
pub(super) struct Editor {
    lines: rustyline::Editor<Words, FileHistory>,
    /// Where the history is kept; `None`: nowhere.
    file: Option<PathBuf>,
}

impl Editor {
    /// An editor that completes these words, with the history of this file.
    pub(super) fn new(words: Words, file: Option<PathBuf>) -> Result<Self, CliError> {
        let config = Config::builder().completion_type(CompletionType::List).build();
        let mut history = FileHistory::with_config(&config);
        history.set_max_len(MOST_LINES).map_err(failed)?;
        let mut lines = rustyline::Editor::with_history(config, history).map_err(failed)?;
        lines.set_helper(Some(words));
        let mut editor = Self { lines, file };
        if let Some(path) = &editor.file
            && let Err(e) = editor.lines.load_history(path)
            && !matches!(&e, ReadlineError::Io(e) if e.kind() == ErrorKind::NotFound)
        {
            editor.forgo_history(&e);
        }
        Ok(editor)
    }

    /// The words that are completed.
    pub(super) fn words(&mut self) -> Option<&mut Words> {
        self.lines.helper_mut()
    }

    /// Reads a line.
    pub(super) fn read(&mut self, prompt: &str) -> Result<Typed, CliError> {
        loop {
            return match self.lines.readline(prompt) {
                Ok(text) => Ok(Typed::Text(text)),
                Err(ReadlineError::Interrupted) => Ok(Typed::Interrupted),
                Err(ReadlineError::Eof) => Ok(Typed::End),
                Err(ReadlineError::Io(e)) if e.kind() == ErrorKind::InvalidData => {
                    note("error: what was typed is not UTF-8; the line is dropped");
                    continue;
                }
                Err(e) => Err(failed(e)),
            };
        }
    }

    /// Keeps what was typed for later, in the file too.
    pub(super) fn remember(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if let Err(e) = self.keep(text) {
            self.forgo_history(&e);
        }
    }

    fn keep(&mut self, text: &str) -> Result<(), ReadlineError> {
        if !self.lines.add_history_entry(text)? {
            return Ok(());
        }
        let Some(path) = &self.file else { return Ok(()) };
        make_parent(path)?;
        // It locks the file, adds to what other shells wrote, and gives it the mode 0600.
        self.lines.append_history(path)
    }

    /// Goes on without the file, and says so: this once, as it is not asked again.
    fn forgo_history(&mut self, why: &ReadlineError) {
        if let Some(path) = self.file.take() {
            note(&format!("warning: the history is not kept: {}: {why}", path.display()));
        }
    }
}

/// Statements may hold what is not for everyone: neither is the directory.
fn make_parent(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(dir) => DirBuilder::new().recursive(true).mode(0o700).create(dir),
        None => Ok(()),
    }
}

fn failed(error: ReadlineError) -> CliError {
    let source = match error {
        ReadlineError::Io(e) => e,
        other => io::Error::other(other),
    };
    CliError::io("the terminal", source)
}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let (start, mut found) = self.find(line.get(..position).unwrap_or(""));
        if let [only] = found.as_mut_slice() {
            only.push(' ');
        }
        Ok((start, found))
    }
}

impl Helper for Words {}

impl Highlighter for Words {}

impl Hinter for Words {
    type Hint = String;
}

impl Validator for Words {}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn remembered(editor: &Editor) -> Vec<&str> {
        editor.lines.history().iter().map(String::as_str).collect()
    }

    #[test]
    fn lines_come_back_in_the_next_shell() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state").join("sql_history");
        let open = || Editor::new(Words::default(), Some(path.clone())).unwrap();
        let (mut first, mut beside) = (open(), open());
        for line in ["SELECT 1;", "SELECT 1;", " ", "\\d"] {
            first.remember(line);
        }
        beside.remember("SELECT 2;\nSELECT '\\n';");
        first.remember("SELECT 3;");
        assert_eq!(remembered(&open()), ["SELECT 1;", "\\d", "SELECT 2;\nSELECT '\\n';", "SELECT 3;"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        for i in 0..=MOST_LINES {
            first.remember(&format!("SELECT {i}"));
        }
        let next = open();
        assert_eq!((remembered(&next).len(), remembered(&next)[0]), (MOST_LINES, "SELECT 1"));
    }

    #[test]
    fn without_its_file_the_history_stays_in_the_shell() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("no_directory"), "").unwrap();
        let mut editor = Editor::new(Words::default(), Some(dir.path().join("no_directory/sql_history"))).unwrap();
        editor.remember("SELECT 1");
        editor.remember("SELECT 2");
        assert_eq!((remembered(&editor).len(), editor.file), (2, None));
    }

    #[test]
    fn a_word_that_is_clear_ends_with_a_blank() {
        let mut words = Words::default();
        words.set_names(["sessions", "session_id"].map(str::to_owned));
        let history = FileHistory::new();
        let complete = |line| words.complete(line, line.len(), &Context::new(&history)).unwrap();
        assert_eq!(complete("select sessions"), (7, vec!["sessions ".to_owned()]));
        assert_eq!(complete("select sess"), (7, vec!["session_id".to_owned(), "sessions".to_owned()]));
    }
}
