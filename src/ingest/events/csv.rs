//! CSV (RFC 4180) with the fields' paths in the first line.

use std::borrow::Cow;

use chronolith_storage::{
    document::{DocumentBuilder, FieldId, MAX_DOCUMENT_BYTES, MAX_FIELDS, Scalar, decode_path},
    table::{ColumnKey, Rows},
};

use super::{EventError, ReadOptions, take, text};

/// Reads records.
#[derive(Debug)]
pub struct CsvReader<'a> {
    records: Records<'a>,
    fields: Vec<FieldId>,
    builder: DocumentBuilder,
    time: Option<ColumnKey>,
}

/// A value as it stands in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell<'a> {
    text: Cow<'a, str>,
    quoted: bool,
}

/// Cuts a text into records.
#[derive(Debug)]
struct Records<'a> {
    text: &'a str,
    at: usize,
    /// The line at which the next record begins.
    line: usize,
}

impl<'a> CsvReader<'a> {
    /// A reader of these bytes, which begin with the line of names.
    ///
    /// # Errors
    /// When they are no UTF-8, or the names are wrong.
    pub fn new(bytes: &'a [u8], options: &ReadOptions) -> Result<Self, EventError> {
        let mut records = Records { text: text(bytes)?, at: 0, line: 1 };
        let mut builder = DocumentBuilder::new(&options.document).map_err(|e| EventError::Malformed(e.to_string()))?;
        let mut names = Vec::new();
        if !records.next(&mut names)? {
            return Err(line(1, "there is no line with the names of the fields"));
        }
        let mut paths = Vec::with_capacity(names.len());
        if names.len() > MAX_FIELDS {
            return Err(line(1, format!("{} fields are named, {MAX_FIELDS} are the most", names.len())));
        }
        for name in &names {
            let path = decode_path(&name.text).ok_or_else(|| {
                let reason =
                    "is no name of a field: keys are joined by dots, each not empty or a JSON string in quotes";
                line(1, format!("{:?} {reason}", name.text))
            })?;
            paths.push(path);
        }
        check_paths(&paths)?;
        let fields = paths.iter().map(|path| builder.field_at(path).map_err(|e| line(1, e.reason)));
        let fields = fields.collect::<Result<_, _>>()?;
        Ok(Self { records, fields, builder, time: options.time.clone() })
    }

    /// The next rows.
    ///
    /// # Errors
    /// When a record is wrong.
    pub fn next_batch(&mut self) -> Result<Option<Rows>, EventError> {
        let mut cells = Vec::new();
        while !self.builder.is_full() {
            let at = self.records.line;
            if !self.records.next(&mut cells)? {
                break;
            }
            if cells.len() != self.fields.len() {
                let (is, wanted) = (cells.len(), self.fields.len());
                return Err(line(at, format!("there are {is} values, but the first line names {wanted} fields")));
            }
            let values = self.fields.iter().zip(&cells).filter_map(|(field, cell)| Some((*field, cell.scalar()?)));
            self.builder.push_fields(values).map_err(|e| line(at, e.reason))?;
        }
        take(&mut self.builder, self.time.as_ref())
    }
}

/// Refuses names that are there twice, and a field that is an object of another one.
fn check_paths(paths: &[Vec<String>]) -> Result<(), EventError> {
    let mut sorted: Vec<&Vec<String>> = paths.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[1].starts_with(pair[0])) {
        Some(pair) if pair[0] == pair[1] => Err(line(1, format!("field {:?} is named twice", pair[0].join(".")))),
        Some(pair) => {
            let (outer, inner) = (pair[0].join("."), pair[1].join("."));
            Err(line(1, format!("field {outer:?} cannot have a value of its own and be the object of {inner:?}")))
        }
        None => Ok(()),
    }
}

impl Cell<'_> {
    /// The value. `None` for nothing without quotes.
    fn scalar(&self) -> Option<Scalar<'_>> {
        let text = &*self.text;
        Some(match text {
            _ if self.quoted => Scalar::Text(text),
            "" => return None,
            "true" => Scalar::Bool(true),
            "false" => Scalar::Bool(false),
            _ if is_number(text) => Scalar::Number(text),
            _ => Scalar::Text(text),
        })
    }
}

/// Whether JSON would read the text as a number.
pub(super) fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

impl<'a> Records<'a> {
    /// Reads the cells of the next record; whether there is one. Empty lines are none.
    fn next(&mut self, cells: &mut Vec<Cell<'a>>) -> Result<bool, EventError> {
        cells.clear();
        let from = self.at;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(false);
            }
            let Some(after) = rest.strip_prefix('\n').or_else(|| rest.strip_prefix("\r\n")) else { break };
            self.line += 1;
            self.at = self.text.len() - after.len();
        }
        let began = self.line;
        loop {
            let ended = self.cell(cells)?;
            if self.at - from > MAX_DOCUMENT_BYTES {
                return Err(line(began, format!("the record is longer than {MAX_DOCUMENT_BYTES} bytes")));
            }
            if ended {
                return Ok(true);
            }
        }
    }

    /// Reads a cell and what follows it; whether the record ends there.
    fn cell(&mut self, cells: &mut Vec<Cell<'a>>) -> Result<bool, EventError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let cell = match rest.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted)?,
            None => {
                let end = memchr::memchr2(b',', b'\n', rest.as_bytes()).unwrap_or(rest.len());
                self.at += end;
                let text = rest.get(..end).unwrap_or_default();
                let text = if rest.get(end..).is_none_or(|r| !r.starts_with(',')) {
                    text.strip_suffix('\r').unwrap_or(text)
                } else {
                    text
                };
                if text.contains('"') {
                    return Err(line(
                        self.line,
                        "a quote inside a value needs quotes around the value, and is doubled",
                    ));
                }
                Cell { text: Cow::Borrowed(text), quoted: false }
            }
        };
        cells.push(cell);
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(',') {
            self.at += 1;
            return Ok(false);
        }
        let after = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'));
        match after {
            Some(after) => {
                self.line += 1;
                self.at = self.text.len() - after.len();
                Ok(true)
            }
            None if rest.is_empty() => Ok(true),
            None => Err(line(self.line, "a comma or the end of the line was expected after the closing quote")),
        }
    }

    /// Reads a value behind its first quote.
    fn quoted(&mut self, quoted: &'a str) -> Result<Cell<'a>, EventError> {
        let began = self.line;
        let mut text = Cow::Borrowed("");
        let mut rest = quoted;
        loop {
            let Some(end) = memchr::memchr(b'"', rest.as_bytes()) else {
                return Err(line(began, "the text ends inside quotes that begin in this line"));
            };
            let (part, after) = (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default());
            self.line += memchr::memchr_iter(b'\n', part.as_bytes()).count();
            if text.is_empty() {
                text = Cow::Borrowed(part);
            } else {
                text.to_mut().push_str(part);
            }
            match after.strip_prefix('"') {
                Some(more) => {
                    text.to_mut().push('"');
                    rest = more;
                }
                None => {
                    self.at = self.text.len() - after.len();
                    return Ok(Cell { text, quoted: true });
                }
            }
        }
    }
}

/// How many bytes at the beginning are whole records: up to the last end of a line that is in no quotes.
#[must_use]
pub fn whole_records(bytes: &[u8]) -> usize {
    let mut quoted = false;
    let mut end = 0;
    for at in memchr::memchr2_iter(b'"', b'\n', bytes) {
        if bytes.get(at) == Some(&b'"') {
            quoted = !quoted;
        } else if !quoted {
            end = at + 1;
        }
    }
    end
}

fn line(line: usize, reason: impl ToString) -> EventError {
    EventError::Line { line, reason: reason.to_string() }
}
