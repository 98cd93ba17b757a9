//! Documents to rows: the one pass that parses JSON and fills columns.

use std::sync::Arc;

use arrow_array::TimestampNanosecondArray;

use super::{
    MAX_DOCUMENT_BYTES, MAX_TEXT_BYTES,
    columns::{Column, Slot},
    error::{DocumentError, Refusal, shown},
    fields::{FieldId, Fields, NONE, ROOT},
    list::Elements,
    number::{self, Number},
    path,
    scanner::Scanner,
    time,
};
use crate::{
    Result,
    table::{BLOCK_ROWS, ColumnKey, Rows},
};

/// The fields that tell a document's time unless others are named.
pub const TIME_FIELDS: [&str; 3] = ["_time", "@timestamp", "timestamp"];
/// A batch with so many cells is full, empty ones counted.
const FULL_CELLS: usize = 4 << 20;
/// A batch of documents that are this long together is full.
const FULL_BYTES: usize = 16 << 20;
/// No batch is larger: lists count their items with 31 bits.
const MAX_BATCH_BYTES: usize = 1 << 30;

/// How documents are read.
#[derive(Debug, Clone)]
pub struct DocumentOptions {
    /// The paths of the fields that tell the time: [`TIME_FIELDS`] unless others are named. Of those that a document has the
    /// first counts; its value must be a time.
    pub time_fields: Vec<String>,
    /// The time of documents that have none, in nanoseconds since the Unix epoch.
    pub arrival: i64,
    /// Fields of the document itself whose values are kept as JSON text, whatever they are; null stays null.
    pub json_fields: Vec<String>,
}

impl Default for DocumentOptions {
    fn default() -> Self {
        let time_fields = TIME_FIELDS.iter().map(|name| path::encode(&[name])).collect();
        Self { time_fields, arrival: 0, json_fields: Vec::new() }
    }
}

/// A value that comes by itself, such as a cell of a CSV file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// True or false.
    Bool(bool),
    /// A number, as JSON writes it.
    Number(&'a str),
    /// A text.
    Text(&'a str),
}

/// Takes documents and gives their rows.
#[derive(Debug)]
pub struct DocumentBuilder {
    pub(super) fields: Fields,
    pub(super) columns: Vec<Column>,
    arrival: i64,
    times: Vec<i64>,
    /// Bytes of the documents in the batch.
    bytes: usize,
    /// Columns that have values in the batch.
    used: usize,
    pub(super) current: Current,
    pub(super) elements: Elements,
    pub(super) scratch: String,
    pub(super) json: String,
}

/// The document that is being read.
#[derive(Debug, Default)]
pub(super) struct Current {
    pub(super) number: u64,
    pub(super) row: u32,
    pub(super) open: Vec<Open>,
    /// Its fields in the order they were met.
    pub(super) touched: Vec<FieldId>,
    /// The times that its fields tell, by rank; where the field stands and what it says when it is no time.
    pub(super) times: Vec<Option<Result<i64, DocumentError>>>,
}

/// An object that has not ended yet.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) field: FieldId,
    pub(super) last: Option<FieldId>,
}

impl DocumentBuilder {
    /// A builder without documents.
    ///
    /// # Errors
    /// When a named field's name is too long.
    pub fn new(options: &DocumentOptions) -> Result<Self, DocumentError> {
        let mut builder = Self {
            fields: Fields::new(),
            columns: Vec::new(),
            arrival: options.arrival,
            times: Vec::new(),
            bytes: 0,
            used: 0,
            current: Current::default(),
            elements: Elements::default(),
            scratch: String::new(),
            json: String::new(),
        };
        for (rank, name) in options.time_fields.iter().enumerate() {
            let keys = path::decode(name).unwrap_or_else(|| vec![name.clone()]);
            let field = builder.field_at(&keys)?;
            builder.fields.get_mut(field).time_rank = Some(rank);
            builder.current.times.push(None);
        }
        for name in &options.json_fields {
            let field = builder.field_at(&[name.as_str()])?;
            builder.fields.get_mut(field).as_json = true;
        }
        Ok(builder)
    }

    /// The field of this path of keys, for [`DocumentBuilder::push_fields`].
    ///
    /// # Errors
    /// When its name is too long, or there are too many fields.
    pub fn field_at<S: AsRef<str>>(&mut self, keys: &[S]) -> Result<FieldId, DocumentError> {
        let mut at = ROOT;
        for key in keys {
            at = self.fields.child(at, None, key.as_ref()).map_err(|reason| DocumentError::new(0, reason))?;
        }
        Ok(at)
    }

    /// From here on, the time of documents that have none, in nanoseconds since the Unix epoch.
    pub const fn set_arrival(&mut self, arrival: i64) {
        self.arrival = arrival;
    }

    /// How many documents there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Whether the rows should be taken before more documents come.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let rows = self.len();
        rows >= BLOCK_ROWS || self.bytes >= FULL_BYTES || rows * self.used >= FULL_CELLS
    }

    /// Takes a text that is one document.
    ///
    /// # Errors
    /// When it is none, or breaks a limit. The builder is as before then.
    pub fn push(&mut self, document: &[u8]) -> Result<(), DocumentError> {
        let text = std::str::from_utf8(document).map_err(|e| DocumentError::new(e.valid_up_to(), Refusal::NotUtf8))?;
        let end = self.push_from(text, 0)?;
        let rest = text.get(end..).unwrap_or_default();
        let blank = rest.bytes().take_while(u8::is_ascii_whitespace).count();
        if blank < rest.len() {
            self.take_back();
            return Err(DocumentError::new(end + blank, Refusal::Trailing));
        }
        Ok(())
    }

    /// Takes the document that begins at byte `at` of a text, and tells where it ends.
    ///
    /// # Errors
    /// When there is none, or it breaks a limit. The builder is as before then.
    pub fn push_from(&mut self, text: &str, at: usize) -> Result<usize, DocumentError> {
        let mut s = Scanner::new(text, at, MAX_DOCUMENT_BYTES);
        self.begin(at)?;
        let read = self.members(&mut s).and_then(|()| self.end(s.at - at));
        if read.is_err() {
            self.void_all();
        }
        read.map(|()| s.at)
    }

    /// Takes a document of fields that have no objects around them but those of their paths. Of a field that comes twice
    /// the last value counts.
    ///
    /// # Errors
    /// When a limit is broken or the time cannot be read. The builder is as before then.
    pub fn push_fields<'a>(
        &mut self,
        values: impl IntoIterator<Item = (FieldId, Scalar<'a>)>,
    ) -> Result<(), DocumentError> {
        self.begin(0)?;
        let mut bytes = 0;
        let mut pushed = Ok(());
        for (field, scalar) in values {
            pushed = self.push_scalar(field, scalar, &mut bytes);
            if pushed.is_err() {
                break;
            }
        }
        let read = pushed.and_then(|()| self.end(bytes));
        if read.is_err() {
            self.void_all();
        }
        read
    }

    /// The rows of the documents that came since, with their times as the column `time` when it is named.
    ///
    /// # Errors
    /// When the columns do not fit Arrow's limits.
    pub fn take_rows(&mut self, time: Option<ColumnKey>) -> Result<Rows> {
        let times = std::mem::take(&mut self.times);
        let rows = times.len();
        let mut columns = Vec::new();
        for column in &mut self.columns {
            if !column.is_empty()
                && let Some(array) = column.take_array(rows)?
            {
                columns.push((column.key.clone(), array));
            }
        }
        if let Some(key) = time {
            columns.push((key, Arc::new(TimestampNanosecondArray::from(times))));
        }
        (self.bytes, self.used, self.current.row) = (0, 0, 0);
        Rows::new(rows, columns)
    }

    fn begin(&mut self, at: usize) -> Result<(), DocumentError> {
        if self.bytes > MAX_BATCH_BYTES {
            return Err(DocumentError::new(at, Refusal::BatchFull));
        }
        self.current.number += 1;
        self.current.open.clear();
        self.current.touched.clear();
        self.current.times.fill(None);
        Ok(())
    }

    fn end(&mut self, bytes: usize) -> Result<(), DocumentError> {
        let told = self.current.times.iter_mut().find_map(Option::take);
        self.times.push(told.unwrap_or(Ok(self.arrival))?);
        // A document has two bytes at least, so rows are fewer than a batch has bytes.
        self.bytes += bytes.max(2);
        self.current.row += 1;
        Ok(())
    }

    /// Takes back the document that came last.
    fn take_back(&mut self) {
        self.times.pop();
        self.current.row -= 1;
        self.void_all();
    }

    /// Makes every value of the current row count no longer.
    fn void_all(&mut self) {
        let row = self.current.row;
        self.columns.iter_mut().for_each(|column| column.void(row));
    }

    fn push_scalar(&mut self, field: FieldId, scalar: Scalar<'_>, bytes: &mut usize) -> Result<(), DocumentError> {
        self.enter(field);
        match scalar {
            Scalar::Bool(value) => {
                let row = self.current.row;
                self.column(field, Slot::Bool).push_bool(row, value);
                *bytes += 1;
                Ok(())
            }
            Scalar::Number(text) => {
                *bytes += text.len();
                let mut s = Scanner::new(text, 0, text.len());
                let number = number::read(&mut s)?.0;
                if s.at < text.len() {
                    return Err(DocumentError::syntax(s.at, "something follows the number"));
                }
                self.push_number(field, number, text, 0)
            }
            Scalar::Text(text) => {
                *bytes += text.len();
                self.push_text(field, text, 0)
            }
        }
    }

    pub(super) fn push_text(&mut self, field: FieldId, text: &str, at: usize) -> Result<(), DocumentError> {
        self.check_length(field, text, at)?;
        self.note_time(field, at, text, time::from_text);
        let row = self.current.row;
        self.column(field, Slot::Text).push_text(row, text);
        Ok(())
    }

    pub(super) fn push_number(
        &mut self,
        field: FieldId,
        number: Number,
        text: &str,
        at: usize,
    ) -> Result<(), DocumentError> {
        self.note_time(field, at, text, time::from_number);
        let row = self.current.row;
        match number {
            Number::Integer(value) => self.column(field, Slot::Integer).push_integer(row, value),
            Number::Float { value, prints } => {
                self.column(field, Slot::Float).push_float(row, value);
                if !prints {
                    self.check_length(field, text, at)?;
                    self.column(field, Slot::NumberText).push_text(row, text);
                }
            }
        }
        Ok(())
    }

    fn check_length(&self, field: FieldId, text: &str, at: usize) -> Result<(), DocumentError> {
        if text.len() > MAX_TEXT_BYTES { Err(self.too_long(field, at)) } else { Ok(()) }
    }

    pub(super) fn too_long(&self, field: FieldId, at: usize) -> DocumentError {
        DocumentError::new(at, Refusal::TextTooLong { field: shown(&self.fields.path(field)) })
    }

    /// Notes the time when the field is one of those that tell it.
    fn note_time(&mut self, field: FieldId, at: usize, text: &str, read: fn(&str) -> Option<i64>) {
        let Some(rank) = self.fields.get(field).time_rank else { return };
        let told = read(text).ok_or_else(|| {
            let field = shown(&self.fields.path(field));
            DocumentError::new(at, Refusal::Time { field, value: shown(text) })
        });
        if let Some(time) = self.current.times.get_mut(rank) {
            *time = Some(told);
        }
    }

    /// The field's column of this kind, which is about to get a value.
    pub(super) fn column(&mut self, id: FieldId, slot: Slot) -> &mut Column {
        let known = self.fields.get(id).columns[slot as usize];
        let at = if known == NONE {
            let path = self.fields.path(id);
            self.columns.push(Column::new(path.into(), slot));
            let at = self.columns.len() - 1;
            // There are at most so many as fields times kinds.
            self.fields.get_mut(id).columns[slot as usize] = at as u32;
            at
        } else {
            known as usize
        };
        let column = &mut self.columns[at];
        self.used += usize::from(column.is_empty());
        column
    }
}
