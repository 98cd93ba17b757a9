//! Why a document is refused.

use super::{MAX_DEPTH, MAX_DOCUMENT_BYTES, MAX_FIELD_BYTES, MAX_FIELDS, MAX_TEXT_BYTES};
use crate::StorageError;

/// Most characters of an input's text that a message shows.
const SHOWN: usize = 100;

/// A refused document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {reason}")]
pub struct DocumentError {
    /// Where in the text that was given, in bytes.
    pub at: usize,
    /// Why.
    pub reason: Refusal,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The text is no JSON.
    #[error("this is no JSON: {0}")]
    Syntax(&'static str),
    /// The text ends inside the document.
    #[error("the document is cut off: the text ends inside it")]
    CutOff,
    /// The bytes are no UTF-8.
    #[error("the text is no UTF-8")]
    NotUtf8,
    /// The value is no object.
    #[error("a document must be an object, such as {{\"name\": \"value\"}}")]
    NotAnObject,
    /// Something follows the document.
    #[error("something follows the document's end")]
    Trailing,
    /// Half of a surrogate pair stands alone.
    #[error("the escape is half of a surrogate pair and stands for no character")]
    LoneSurrogate,
    /// Objects and arrays are too deep inside each other.
    #[error("objects and arrays are more than {MAX_DEPTH} deep inside each other")]
    TooDeep,
    /// The document is too long.
    #[error("the document is longer than {MAX_DOCUMENT_BYTES} bytes")]
    TooLong,
    /// A text is too long.
    #[error("the value of field {field:?} is longer than {MAX_TEXT_BYTES} bytes")]
    TextTooLong {
        /// Its field.
        field: String,
    },
    /// A field's path is too long.
    #[error("the name of field {field:?} is longer than {MAX_FIELD_BYTES} bytes with those of the objects around it")]
    FieldTooLong {
        /// The beginning of it.
        field: String,
    },
    /// There are too many fields.
    #[error("the documents have more than {MAX_FIELDS} fields; field {field:?} would be one more")]
    TooManyFields {
        /// The field that found no place.
        field: String,
    },
    /// Documents were added for long without the rows being taken.
    #[error("the batch is full; take its rows first")]
    BatchFull,
    /// The field of the time has no time.
    #[error(
        "field {field:?} is no time: {value}. Write it as 2026-01-31T12:00:00Z or as seconds, milliseconds, microseconds \
         or nanoseconds since 1970, between the years 1677 and 2262"
    )]
    Time {
        /// The field.
        field: String,
        /// Its value.
        value: String,
    },
}

impl DocumentError {
    pub(super) const fn new(at: usize, reason: Refusal) -> Self {
        Self { at, reason }
    }

    pub(super) const fn syntax(at: usize, what: &'static str) -> Self {
        Self::new(at, Refusal::Syntax(what))
    }

    /// The line of `text` in which the error is, from 1.
    #[must_use]
    pub fn line(&self, text: &[u8]) -> usize {
        let before = text.get(..self.at).unwrap_or(text);
        1 + before.iter().filter(|b| **b == b'\n').count()
    }

    /// The engine's error for a document of this table.
    #[must_use]
    pub fn of_table(self, table: &str) -> StorageError {
        match self.reason {
            Refusal::TooManyFields { field } => {
                StorageError::TooManyFields { table: table.to_owned(), field, limit: MAX_FIELDS }
            }
            _ => StorageError::Malformed { what: "document", reason: self.to_string() },
        }
    }
}

/// The beginning of a text, for a message.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
