//! A line editor: reads a line from a terminal, with history and completion.

mod history;
mod keys;
mod line;

use std::{
    io::{self, Read as _, Write as _},
    path::PathBuf,
};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::words::common_start;
use crate::cli::{error::CliError, terminal::stdout_width};
use history::History;
use keys::{Key, Keys};
use line::{Line, place_behind};

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Line(String),
    /// Ctrl-C
    Interrupted,
    /// Ctrl-D, or no terminal any more.
    End,
}

/// Where a word before the cursor begins, and what it may become.
pub(super) type Completions<'a> = &'a dyn Fn(&str) -> (usize, Vec<String>);

/// Reads lines.
pub(super) struct Editor {
    history: History,
    keys: Keys,
}

/// A line on its way.
struct Editing<'a> {
    prompt: &'a str,
    line: Line,
    /// Which line of the history it is; its length: the new one.
    at: usize,
    /// The new line while an old one is shown.
    new: String,
    /// The row below the prompt's in which the cursor is.
    row: usize,
    columns: usize,
}

impl Editor {
    /// An editor with the history of this file.
    pub(super) fn new(history: Option<PathBuf>) -> Result<Self, CliError> {
        Ok(Self { history: History::load(history), keys: Keys::default() })
    }

    /// Keeps a line for later.
    pub(super) fn remember(&mut self, line: &str) {
        self.history.push(line);
    }

    /// Reads a line.
    pub(super) fn read(&mut self, prompt: &str, complete: Completions<'_>) -> Result<Typed, CliError> {
        let failed = |e: io::Error| CliError::io("the terminal", e);
        let _raw = Raw::enter().map_err(failed)?;
        let (line, at) = (Line::default(), self.history.len());
        let mut editing = Editing { prompt, line, at, new: String::new(), row: 0, columns: stdout_width() };
        put(&editing.draw()).map_err(failed)?;
        let mut input = io::stdin().lock();
        loop {
            let mut byte = [0];
            if input.read(&mut byte).map_err(failed)? == 0 {
                return Ok(Typed::End);
            }
            let Some(key) = self.keys.push(byte[0]) else { continue };
            let ended = match key {
                Key::Enter => Some(("\r\n", Typed::Line(editing.line.text().to_owned()))),
                Key::Interrupt => Some(("^C\r\n", Typed::Interrupted)),
                Key::Leave if editing.line.text().is_empty() => Some(("\r\n", Typed::End)),
                _ => None,
            };
            if let Some((tail, typed)) = ended {
                editing.line.end();
                put(&(editing.draw() + tail)).map_err(failed)?;
                return Ok(typed);
            }
            let before = if key == Key::Tab { editing.complete(complete) } else { String::new() };
            editing.press(key, &self.history);
            editing.columns = stdout_width();
            put(&(before + &editing.draw())).map_err(failed)?;
        }
    }
}

impl Editing<'_> {
    /// What a key does to the line.
    fn press(&mut self, key: Key, history: &History) {
        let line = &mut self.line;
        match key {
            Key::Char(c) => line.insert(c),
            Key::Backspace => line.backspace(),
            Key::Delete | Key::Leave => line.delete(),
            Key::Left => line.left(),
            Key::Right => line.right(),
            Key::WordLeft => line.word_left(),
            Key::WordRight => line.word_right(),
            Key::Home => line.home(),
            Key::End => line.end(),
            Key::CutToEnd => line.cut_to_end(),
            Key::CutToStart => line.cut_to_start(),
            Key::CutWord => line.cut_word(),
            Key::Up if self.at > 0 => self.show(self.at - 1, history),
            Key::Down if self.at < history.len() => self.show(self.at + 1, history),
            _ => {}
        }
    }

    fn show(&mut self, at: usize, history: &History) {
        if self.at == history.len() {
            self.new = self.line.text().to_owned();
        }
        self.at = at;
        self.line = Line::of(history.get(at).unwrap_or(&self.new));
    }

    /// Completes the word before the cursor as far as it is clear; gives the list of what it may be when it is not.
    fn complete(&mut self, complete: Completions<'_>) -> String {
        let (start, words) = complete(self.line.before());
        let typed = self.line.before().get(start..).unwrap_or("").to_owned();
        match words.as_slice() {
            [] => String::new(),
            [word] => {
                self.line.replace(start, &format!("{word} "));
                String::new()
            }
            words => {
                let common = common_start(words);
                if common.len() > typed.len() {
                    self.line.replace(start, &common);
                    return String::new();
                }
                self.row = 0;
                format!("\r\n{}\r\n", words.join("  "))
            }
        }
    }

    /// The text that shows the line anew and leaves the cursor where it belongs.
    fn draw(&mut self) -> String {
        let mut out = String::new();
        if self.row > 0 {
            out.push_str(&format!("\x1b[{}A", self.row));
        }
        let whole = format!("{}{}", self.prompt, self.line.text());
        out.push_str("\r\x1b[J");
        out.push_str(&whole);
        let (end_row, end_column) = place_behind(&whole, self.columns);
        if end_column == 0 && end_row > 0 {
            // Terminals go to the next row only with the next character.
            out.push_str("\r\n");
        }
        let (row, column) = place_behind(&format!("{}{}", self.prompt, self.line.before()), self.columns);
        if end_row > row {
            out.push_str(&format!("\x1b[{}A", end_row - row));
        }
        out.push('\r');
        if column > 0 {
            out.push_str(&format!("\x1b[{column}C"));
        }
        self.row = row;
        out
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The terminal gives every key as it is pressed, until this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal is gone when this fails.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn editing(text: &str) -> Editing<'static> {
        Editing { prompt: "> ", line: Line::of(text), at: 2, new: String::new(), row: 0, columns: 20 }
    }

    #[test]
    fn the_line_is_drawn_with_its_cursor() {
        let mut line = editing("SELECT 1");
        assert_eq!(line.draw(), "\r\x1b[J> SELECT 1\r\x1b[10C");
        let mut long = editing("0123456789012345678901");
        assert!(long.draw().ends_with("\r\x1b[4C"));
        assert_eq!(long.row, 1);
        long.line.home();
        assert_eq!(long.draw(), "\x1b[1A\r\x1b[J> 0123456789012345678901\x1b[1A\r\x1b[2C");
    }

    #[test]
    fn old_lines_come_and_the_new_one_comes_back() {
        let mut history = History::default();
        history.push("first");
        history.push("second");
        let mut line = editing("new");
        line.press(Key::Up, &history);
        line.press(Key::Up, &history);
        line.press(Key::Up, &history);
        assert_eq!(line.line.text(), "first");
        line.press(Key::Down, &history);
        line.press(Key::Down, &history);
        assert_eq!(line.line.text(), "new");
    }

    #[test]
    fn tab_completes_as_far_as_it_is_clear() {
        let complete = |words: &'static [&'static str]| {
            move |before: &str| {
                (before.rfind(' ').map_or(0, |at| at + 1), words.iter().map(|w| (*w).to_owned()).collect())
            }
        };
        let mut line = editing("select sess");
        line.complete(&complete(&["session_id", "sessions"]));
        assert_eq!(line.line.text(), "select session");
        assert!(line.complete(&complete(&["session_id", "sessions"])).contains("session_id  sessions"));
        line.complete(&complete(&["session_id"]));
        assert_eq!(line.line.text(), "select session_id ");
    }
}
