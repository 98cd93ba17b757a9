//! JSON: an array of objects, or objects one after another, a line each or not.

use chronolith_storage::{
    document::{DocumentBuilder, DocumentError, Refusal},
    table::{ColumnKey, Rows},
};

use super::{EventError, ReadOptions, of_document, take, text};

/// Reads objects.
#[derive(Debug)]
pub struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    builder: DocumentBuilder,
    time: Option<ColumnKey>,
    state: State,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// An object, or the end.
    Object,
    /// The first object of an array, or its end.
    First,
    /// A comma and an object, or the array's end.
    Next,
    /// Nothing.
    End,
}

impl<'a> JsonReader<'a> {
    /// A reader of these bytes, which may be an array if `array` says so.
    ///
    /// # Errors
    /// When they are no UTF-8.
    pub fn new(bytes: &'a [u8], array: bool, options: &ReadOptions) -> Result<Self, EventError> {
        let text = text(bytes)?;
        let builder = DocumentBuilder::new(&options.document).map_err(|e| EventError::Malformed(e.to_string()))?;
        let mut reader = Self { text, at: 0, builder, time: options.time.clone(), state: State::Object };
        if array && reader.token() == Some(b'[') {
            reader.at += 1;
            reader.state = State::First;
        }
        Ok(reader)
    }

    /// The next rows.
    ///
    /// # Errors
    /// When an object is wrong.
    pub fn next_batch(&mut self) -> Result<Option<Rows>, EventError> {
        while !self.builder.is_full() && self.step().map_err(|e| of_document(&e, self.text.as_bytes()))? {}
        take(&mut self.builder, self.time.as_ref())
    }

    /// Reads an object; whether there was one.
    fn step(&mut self) -> Result<bool, DocumentError> {
        match (self.state, self.token()) {
            (State::Object | State::End, None) => return Ok(false),
            (State::First | State::Next, Some(b']')) => {
                self.at += 1;
                self.state = State::End;
                return self.step();
            }
            (State::Next, Some(b',')) => {
                self.at += 1;
                // The object's own reader tells what is wrong where none follows.
                self.token();
            }
            (State::Object | State::First, Some(_)) => {}
            (State::End, Some(_)) => return Err(DocumentError { at: self.at, reason: Refusal::Trailing }),
            (State::Next, Some(_)) => {
                let reason = Refusal::Syntax("a comma or the end of the array was expected");
                return Err(DocumentError { at: self.at, reason });
            }
            (State::First | State::Next, None) => {
                return Err(DocumentError { at: self.at, reason: Refusal::CutOff });
            }
        }
        self.at = self.builder.push_from(self.text, self.at)?;
        if self.state == State::First {
            self.state = State::Next;
        }
        Ok(true)
    }

    /// Steps over whitespace to the next byte.
    fn token(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let blank = rest.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(rest.len());
        self.at += blank;
        rest.get(blank).copied()
    }
}
