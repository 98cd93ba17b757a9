//! Arrays of scalars of one kind: tried first, element by element.

use super::{
    error::DocumentError,
    number::{self, Number},
    scanner::Scanner,
};

/// The elements of the array that was read last.
#[derive(Debug, Default)]
pub(super) struct Elements {
    pub(super) bools: Vec<bool>,
    pub(super) integers: Vec<i64>,
    pub(super) floats: Vec<f64>,
    texts: String,
    ends: Vec<usize>,
}

/// What an array is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Only `true` and `false`.
    Bools,
    /// Only integers of 64 bits.
    Integers,
    /// Only numbers; whether each is a float that prints as it was written.
    Floats { prints: bool },
    /// Only strings.
    Texts,
    /// Anything else, an empty array as well. The scanner stands somewhere inside.
    Other,
}

impl Elements {
    /// Reads an array, whose bracket is the next byte.
    pub(super) fn read(&mut self, s: &mut Scanner<'_>, scratch: &mut String) -> Result<Shape, DocumentError> {
        s.at += 1;
        match s.next_token()? {
            b't' | b'f' => self.bools(s),
            b'-' | b'0'..=b'9' => self.numbers(s),
            b'"' => self.texts(s, scratch),
            _ => Ok(Shape::Other),
        }
    }

    /// The strings.
    pub(super) fn texts_read(&self) -> impl Iterator<Item = &str> {
        let mut from = 0;
        self.ends.iter().map(move |&end| {
            let text = self.texts.get(from..end).unwrap_or_default();
            from = end;
            text
        })
    }

    fn bools(&mut self, s: &mut Scanner<'_>) -> Result<Shape, DocumentError> {
        self.bools.clear();
        loop {
            match s.next_token()? {
                b't' => s.literal("true")?,
                b'f' => s.literal("false")?,
                _ => return Ok(Shape::Other),
            }
            // What was stepped over is four or five bytes long, and ends in the same letter.
            self.bools.push(s.slice(s.at - 2, s.at)? == "ue");
            if ends(s)? {
                return Ok(Shape::Bools);
            }
        }
    }

    fn numbers(&mut self, s: &mut Scanner<'_>) -> Result<Shape, DocumentError> {
        self.integers.clear();
        self.floats.clear();
        let mut all_print = true;
        loop {
            if !matches!(s.next_token()?, b'-' | b'0'..=b'9') {
                return Ok(Shape::Other);
            }
            match number::read(s)?.0 {
                Number::Integer(n) => {
                    self.integers.push(n);
                    self.floats.push(n as f64);
                }
                Number::Float { value, prints } => {
                    self.floats.push(value);
                    all_print &= prints;
                }
            }
            if ends(s)? {
                let whole = self.integers.len();
                return Ok(if whole == self.floats.len() {
                    Shape::Integers
                } else {
                    Shape::Floats { prints: all_print && whole == 0 }
                });
            }
        }
    }

    fn texts(&mut self, s: &mut Scanner<'_>, scratch: &mut String) -> Result<Shape, DocumentError> {
        self.texts.clear();
        self.ends.clear();
        loop {
            if s.next_token()? != b'"' {
                return Ok(Shape::Other);
            }
            self.texts.push_str(s.string()?.value(scratch)?);
            self.ends.push(self.texts.len());
            if ends(s)? {
                return Ok(Shape::Texts);
            }
        }
    }
}

/// Steps over what follows an element: a comma, or the end of the array.
fn ends(s: &mut Scanner<'_>) -> Result<bool, DocumentError> {
    let token = s.next_token()?;
    if !matches!(token, b',' | b']') {
        return Err(DocumentError::syntax(s.at, "a comma or the end of the array was expected"));
    }
    s.at += 1;
    Ok(token == b']')
}
