//! The pass over a document's text: each value is read and put into its column.

use super::{
    MAX_DEPTH, MAX_TEXT_BYTES,
    builder::{DocumentBuilder, Open},
    columns::{Slot, Values},
    error::{DocumentError, Refusal},
    fields::{FieldId, ROOT},
    list::Shape,
    number,
    scanner::Scanner,
    value,
};

impl DocumentBuilder {
    /// Reads an object and what is inside it.
    pub(super) fn members(&mut self, s: &mut Scanner<'_>) -> Result<(), DocumentError> {
        if s.next_token()? != b'{' {
            return Err(DocumentError::new(s.at, Refusal::NotAnObject));
        }
        s.at += 1;
        self.current.open.push(Open { field: ROOT, last: None });
        while let Some(open) = self.current.open.last_mut() {
            let token = s.next_token()?;
            if token == b'}' {
                s.at += 1;
                let field = open.field;
                self.current.open.pop();
                self.fields.get_mut(field).touched.1 = self.current.touched.len();
                continue;
            }
            if open.last.is_some() {
                if token != b',' {
                    return Err(DocumentError::syntax(s.at, "a comma or the end of the object was expected"));
                }
                s.at += 1;
            }
            if s.next_token()? != b'"' {
                return Err(DocumentError::syntax(s.at, "a key in quotes was expected"));
            }
            let key = s.string()?;
            let name = key.value(&mut self.scratch)?;
            let field =
                self.fields.child(open.field, open.last, name).map_err(|reason| DocumentError::new(key.at, reason))?;
            open.last = Some(field);
            s.expect(b':', "a colon was expected after the key")?;
            self.enter(field);
            self.value(s, field)?;
        }
        Ok(())
    }

    /// Notes that the document has the field; a value that it gave it before counts no longer.
    pub(super) fn enter(&mut self, id: FieldId) {
        let at = self.current.touched.len();
        let number = self.current.number;
        let field = self.fields.get_mut(id);
        if field.document == number {
            let (from, to) = field.touched;
            self.void(from, to.max(from + 1));
        }
        let field = self.fields.get_mut(id);
        (field.document, field.touched) = (number, (at, at + 1));
        self.current.touched.push(id);
    }

    /// Makes the values of fields of this document count no longer.
    fn void(&mut self, from: usize, to: usize) {
        let row = self.current.row;
        for id in self.current.touched.get(from..to).unwrap_or_default() {
            let field = self.fields.get_mut(*id);
            field.document = 0;
            if let Some(time) = field.time_rank.and_then(|rank| self.current.times.get_mut(rank)) {
                *time = None;
            }
            for &column in &field.columns {
                if let Some(column) = self.columns.get_mut(column as usize) {
                    column.void(row);
                }
            }
        }
    }

    fn value(&mut self, s: &mut Scanner<'_>, field: FieldId) -> Result<(), DocumentError> {
        let row = self.current.row;
        let token = s.next_token()?;
        if token == b'n' {
            s.literal("null")?;
            self.column(field, Slot::Null).push_mark(row);
            return Ok(());
        }
        if self.fields.get(field).as_json {
            return self.json(s, field);
        }
        match token {
            b'{' => {
                s.at += 1;
                if s.next_token()? == b'}' {
                    s.at += 1;
                    self.column(field, Slot::EmptyObject).push_mark(row);
                } else if self.current.open.len() >= MAX_DEPTH {
                    return Err(DocumentError::new(s.at - 1, Refusal::TooDeep));
                } else {
                    self.current.open.push(Open { field, last: None });
                }
            }
            b'[' => self.array(s, field)?,
            b'"' => {
                let string = s.string()?;
                let mut scratch = std::mem::take(&mut self.scratch);
                let pushed = string.value(&mut scratch).and_then(|text| self.push_text(field, text, string.at));
                self.scratch = scratch;
                pushed?;
            }
            b't' => {
                s.literal("true")?;
                self.column(field, Slot::Bool).push_bool(row, true);
            }
            b'f' => {
                s.literal("false")?;
                self.column(field, Slot::Bool).push_bool(row, false);
            }
            b'-' | b'0'..=b'9' => {
                let at = s.at;
                let (number, text) = number::read(s)?;
                self.push_number(field, number, text, at)?;
            }
            _ => return Err(DocumentError::syntax(s.at, "a value was expected")),
        }
        Ok(())
    }

    fn array(&mut self, s: &mut Scanner<'_>, field: FieldId) -> Result<(), DocumentError> {
        let from = s.at;
        if self.current.open.len() >= MAX_DEPTH {
            return Err(DocumentError::new(from, Refusal::TooDeep));
        }
        let row = self.current.row;
        let mut elements = std::mem::take(&mut self.elements);
        let mut scratch = std::mem::take(&mut self.scratch);
        let shape = elements.read(s, &mut scratch);
        self.scratch = scratch;
        let mut text_too = false;
        match &shape {
            Ok(Shape::Bools) => self.column(field, Slot::Bools).push_list(row, |items| {
                if let Values::Bools(all) = items {
                    all.extend_from_slice(&elements.bools);
                }
            }),
            Ok(Shape::Integers) => self.column(field, Slot::Integers).push_list(row, |items| {
                if let Values::Integers(all) = items {
                    all.extend_from_slice(&elements.integers);
                }
            }),
            Ok(Shape::Floats { prints }) => {
                text_too = !prints;
                self.column(field, Slot::Floats).push_list(row, |items| {
                    if let Values::Floats(all) = items {
                        all.extend_from_slice(&elements.floats);
                    }
                });
            }
            Ok(Shape::Texts) => self.column(field, Slot::Texts).push_list(row, |items| {
                if let Values::Texts(all) = items {
                    elements.texts_read().for_each(|text| all.append_value(text));
                }
            }),
            Ok(Shape::Other) | Err(_) => {}
        }
        self.elements = elements;
        match shape? {
            Shape::Other => {
                s.at = from;
                self.json(s, field)
            }
            _ if text_too => {
                s.at = from;
                self.copy(s, field)?;
                let json = std::mem::take(&mut self.json);
                self.column(field, Slot::NumberText).push_text(row, &json);
                self.json = json;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Keeps the value as JSON text.
    fn json(&mut self, s: &mut Scanner<'_>, field: FieldId) -> Result<(), DocumentError> {
        self.copy(s, field)?;
        let json = std::mem::take(&mut self.json);
        let row = self.current.row;
        self.column(field, Slot::Json).push_text(row, &json);
        self.json = json;
        Ok(())
    }

    /// Reads the value as JSON text.
    fn copy(&mut self, s: &mut Scanner<'_>, field: FieldId) -> Result<(), DocumentError> {
        let from = s.at;
        self.json.clear();
        value::copy(s, self.current.open.len(), &mut self.scratch, &mut self.json)?;
        if self.json.len() > MAX_TEXT_BYTES {
            return Err(self.too_long(field, from));
        }
        Ok(())
    }
}
