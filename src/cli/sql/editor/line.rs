//! The line that is edited: a text and a place in it.

use unicode_width::UnicodeWidthChar as _;

/// A text with a cursor.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Line {
    text: String,
    /// A byte between two characters.
    cursor: usize,
}

impl Line {
    /// A text with the cursor behind it.
    pub(super) fn of(text: &str) -> Self {
        Self { text: text.to_owned(), cursor: text.len() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor.
    pub(super) fn before(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or("")
    }

    fn after(&self) -> &str {
        self.text.get(self.cursor..).unwrap_or("")
    }

    pub(super) fn insert(&mut self, c: char) {
        self.text.insert(self.cursor, c);
        self.cursor += c.len_utf8();
    }

    /// Puts another text in the place of what stands from `start` to the cursor.
    pub(super) fn replace(&mut self, start: usize, by: &str) {
        if self.text.is_char_boundary(start) && start <= self.cursor {
            self.text.replace_range(start..self.cursor, by);
            self.cursor = start + by.len();
        }
    }

    pub(super) fn left(&mut self) {
        self.cursor -= self.before().chars().next_back().map_or(0, char::len_utf8);
    }

    pub(super) fn right(&mut self) {
        self.cursor += self.after().chars().next().map_or(0, char::len_utf8);
    }

    pub(super) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(super) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    pub(super) fn word_left(&mut self) {
        let before = self.before().trim_end_matches(|c| !is_word(c));
        self.cursor = before.trim_end_matches(is_word).len();
    }

    pub(super) fn word_right(&mut self) {
        let after = self.after().trim_start_matches(|c| !is_word(c));
        self.cursor = self.text.len() - after.trim_start_matches(is_word).len();
    }

    pub(super) fn backspace(&mut self) {
        let end = self.cursor;
        self.left();
        self.text.replace_range(self.cursor..end, "");
    }

    pub(super) fn delete(&mut self) {
        let start = self.cursor;
        self.right();
        let end = std::mem::replace(&mut self.cursor, start);
        self.text.replace_range(start..end, "");
    }

    pub(super) fn cut_to_end(&mut self) {
        self.text.truncate(self.cursor);
    }

    pub(super) fn cut_to_start(&mut self) {
        self.replace(0, "");
    }

    pub(super) fn cut_word(&mut self) {
        let end = self.cursor;
        self.cursor = self.before().trim_end().trim_end_matches(|c: char| !c.is_whitespace()).len();
        self.text.replace_range(self.cursor..end, "");
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the cursor of a terminal with so many columns is behind a text: row and column, from 0.
pub(super) fn place_behind(text: &str, columns: usize) -> (usize, usize) {
    let (mut row, mut column) = (0, 0);
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if column + width > columns {
            (row, column) = (row + 1, 0);
        }
        column += width;
        if column == columns {
            (row, column) = (row + 1, 0);
        }
    }
    (row, column)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_characters_are_moved_over_and_cut() {
        let mut line = Line::of("select m\u{e9}dian(x)");
        line.word_left();
        assert_eq!(line.before(), "select m\u{e9}dian(");
        line.word_left();
        line.right();
        line.right();
        assert_eq!(line.before(), "select m\u{e9}");
        line.backspace();
        line.delete();
        assert_eq!(line.text(), "select mian(x)");
        line.word_right();
        assert_eq!(line.before(), "select mian");
        line.cut_word();
        assert_eq!(line.text(), "select (x)");
        line.cut_to_end();
        line.replace(0, "SELECT ");
        line.insert('1');
        assert_eq!(line, Line::of("SELECT 1"));
        line.cut_to_start();
        assert_eq!(line, Line::of(""));
    }

    #[test]
    fn long_lines_go_on_in_the_next_row() {
        assert_eq!(place_behind("", 10), (0, 0));
        assert_eq!(place_behind("123456789", 10), (0, 9));
        assert_eq!(place_behind("1234567890", 10), (1, 0));
        assert_eq!(place_behind("123456789\u{4f60}", 10), (1, 2));
    }

    proptest! {
        #[test]
        fn the_cursor_stays_between_characters(text in ".{0,12}", steps in prop::collection::vec(0_u8..12, 0..40)) {
            let mut line = Line::of(&text);
            for step in steps {
                match step {
                    0 => line.left(),
                    1 => line.right(),
                    2 => line.word_left(),
                    3 => line.word_right(),
                    4 => line.backspace(),
                    5 => line.delete(),
                    6 => line.cut_word(),
                    7 => line.insert('\u{e9}'),
                    8 => line.home(),
                    9 => line.end(),
                    10 => line.cut_to_end(),
                    _ => line.cut_to_start(),
                }
                prop_assert!(line.text.is_char_boundary(line.cursor));
            }
        }
    }
}
