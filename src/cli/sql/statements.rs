//! Text that comes line by line, cut into statements at its semicolons.

/// The longest statement that is gathered; the parser takes far shorter ones.
const MAX_BYTES: usize = 16 << 20;

/// Text up to the end of a statement.
#[derive(Debug, Default)]
pub(super) struct Statements {
    text: String,
    /// Everything before this byte was looked at.
    seen: usize,
    inside: Inside,
    /// Whether something else than blanks and comments came.
    any: bool,
}

/// What the next byte stands in.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Inside {
    #[default]
    Nothing,
    /// `-- ...`
    Line,
    /// `/* ... */`, so many inside each other.
    Comment(usize),
    /// Up to this byte; whether a backslash takes the meaning from what follows.
    Quote(u8, bool),
    /// Up to this tag, such as `$$`.
    Dollar(String),
}

impl Statements {
    /// Whether a statement has begun that is not at its end.
    pub(super) const fn is_open(&self) -> bool {
        self.any
    }

    /// Forgets what was gathered.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes whole lines, and gives the statements that are complete.
    ///
    /// # Errors
    /// When a statement is longer than any that is taken.
    pub(super) fn push(&mut self, lines: &str) -> Result<Vec<String>, String> {
        self.text.push_str(lines);
        let mut complete = Vec::new();
        while let Some(end) = self.look() {
            let statement: String = self.text.drain(..end).collect();
            self.text.remove(0);
            self.seen = 0;
            if std::mem::take(&mut self.any) {
                complete.push(statement.trim().to_owned());
            }
        }
        if self.text.len() > MAX_BYTES {
            return Err(format!("a statement is over {MAX_BYTES} bytes; is a quote not closed, or a `;` missing?"));
        }
        Ok(complete)
    }

    /// The statement that ends where the text does, if one is left.
    ///
    /// # Errors
    /// When a quote or a comment is not closed.
    pub(super) fn finish(&mut self) -> Result<Option<String>, String> {
        let whole = std::mem::take(self);
        let open = match whole.inside {
            Inside::Nothing | Inside::Line => return Ok(whole.any.then(|| whole.text.trim().to_owned())),
            Inside::Comment(_) => "comment",
            Inside::Quote(..) => "quote",
            Inside::Dollar(_) => "dollar quote",
        };
        Err(format!("a {open} is not closed at the end of the text"))
    }

    /// Looks at the bytes that are new; gives the next semicolon that ends a statement.
    fn look(&mut self) -> Option<usize> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.seen) {
            let at = self.seen;
            let follows = |text: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(text));
            let mut step = 1;
            match &mut self.inside {
                Inside::Line => {
                    if byte == b'\n' {
                        self.inside = Inside::Nothing;
                    }
                }
                Inside::Comment(depth) => {
                    if follows(b"/*") {
                        (*depth, step) = (*depth + 1, 2);
                    } else if follows(b"*/") {
                        (*depth, step) = (*depth - 1, 2);
                        if *depth == 0 {
                            self.inside = Inside::Nothing;
                        }
                    }
                }
                // A doubled quote ends one and begins the next.
                Inside::Quote(quote, escapes) => {
                    if byte == b'\\' && *escapes {
                        step = 2;
                    } else if byte == *quote {
                        self.inside = Inside::Nothing;
                    }
                }
                Inside::Dollar(tag) => {
                    if follows(tag.as_bytes()) {
                        step = tag.len();
                        self.inside = Inside::Nothing;
                    }
                }
                Inside::Nothing if byte == b';' => return Some(at),
                Inside::Nothing if follows(b"--") => self.inside = Inside::Line,
                Inside::Nothing if follows(b"/*") => (self.inside, step) = (Inside::Comment(1), 2),
                Inside::Nothing => {
                    self.any |= !byte.is_ascii_whitespace();
                    if matches!(byte, b'\'' | b'"') {
                        self.inside = Inside::Quote(byte, byte == b'\'' && is_escaping(bytes, at));
                    } else if let Some(tag) = dollar_tag(&self.text, at) {
                        step = tag.len();
                        self.inside = Inside::Dollar(tag.to_owned());
                    }
                }
            }
            self.seen += step;
        }
        None
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Whether the quote at this byte has an `E` before it, that is no end of a word.
fn is_escaping(bytes: &[u8], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).and_then(|i| bytes.get(i)).copied();
    matches!(before(1), Some(b'e' | b'E')) && !before(2).is_some_and(is_word)
}

/// The tag of a dollar quote that begins here; a parameter such as `$1` is none.
fn dollar_tag(text: &str, at: usize) -> Option<&str> {
    let before = at.checked_sub(1).and_then(|i| text.as_bytes().get(i)).copied();
    if text.as_bytes().get(at) != Some(&b'$') || before.is_some_and(is_word) {
        return None;
    }
    let name = text.get(at + 1..)?;
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    let is_tag = name.get(end..)?.starts_with('$') && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_tag { text.get(at..at + end + 2) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_quotes_and_comments() {
        let mut statements = Statements::default();
        assert!(statements.push("SELECT ';' AS a, \";\" -- ;\n").unwrap().is_empty());
        assert!(statements.is_open());
        assert!(
            statements.push("/* ; /* ; */ ; */, $$;$$, $a$ ; $$\n$a$, $1, E'\\';', 'it''s;'\n").unwrap().is_empty()
        );
        let complete = statements.push("; SELECT 2;; -- no more\nSELECT 3\n").unwrap();
        assert!(complete[0].starts_with("SELECT ';'") && complete[0].ends_with("'it''s;'"), "{complete:?}");
        assert_eq!(complete[1..], ["SELECT 2"]);
        assert_eq!(statements.finish().unwrap().as_deref(), Some("-- no more\nSELECT 3"));
        assert_eq!(statements.finish(), Ok(None));
    }

    #[test]
    fn what_is_not_closed_is_told() {
        for (text, word) in [("SELECT 'a;", "quote"), ("/* ;", "comment"), ("SELECT $x$ ; $y$", "dollar quote")] {
            let mut statements = Statements::default();
            assert!(statements.push(text).unwrap().is_empty(), "{text}");
            assert!(statements.finish().unwrap_err().contains(word), "{text}");
        }
        let mut statements = Statements::default();
        let long = format!("'{}", "x".repeat(MAX_BYTES));
        assert!(statements.push(&long).unwrap_err().contains("quote"));
    }

    proptest! {
        #[test]
        fn lines_cut_as_the_whole_text_does(text in "[-a$;'\"/*\\\\\n \u{e9}E]{0,60}") {
            let mut whole = Statements::default();
            let at_once = whole.push(&text).unwrap();
            let mut by_line = Statements::default();
            let mut one_by_one = Vec::new();
            for line in text.split_inclusive('\n') {
                one_by_one.extend(by_line.push(line).unwrap());
            }
            prop_assert_eq!(at_once, one_by_one);
            prop_assert_eq!(whole.finish(), by_line.finish());
        }
    }
}
