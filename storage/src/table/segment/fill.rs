//! Templates filled with their numbers: the texts that [`templates`](super::templates) took apart.

use super::{
    pick::Pick,
    shapes::{DIGITS_MAX, two_digits},
    templates::{AS_FEW, EACH, Part, TEMPLATE_LEN_MAX, TEMPLATES_MAX, TEXTS_MAX, Templates},
    text::{Texts, take_codes, take_lengths},
};
use crate::{
    Result,
    encoding::{Reader, decode_integers, malformed},
};

/// Numbers of a column that are taken one after another.
struct Numbers {
    numbers: Vec<i64>,
    digits: Digits,
    /// The place of the one that is taken next.
    next: usize,
}

enum Digits {
    AsFew,
    All(usize),
    Each(Vec<i64>),
}

impl Numbers {
    fn take(reader: &mut Reader<'_>, count: usize) -> Result<Self> {
        let column = |reader: &mut Reader<'_>| -> Result<Vec<i64>> {
            let mut values = Vec::new();
            decode_integers(reader, count, &mut values)?;
            Ok(values)
        };
        let digits = match reader.u8()? {
            AS_FEW => Digits::AsFew,
            EACH => Digits::Each(column(reader)?),
            all if usize::from(all) <= DIGITS_MAX => Digits::All(all.into()),
            other => return Err(malformed("texts", format!("numbers of {other} digits"))),
        };
        let numbers = column(reader)?;
        if numbers.iter().any(|n| *n < 0 || *n >= 10_i64.pow(DIGITS_MAX as u32)) {
            return Err(malformed("texts", "a number that a text cannot have"));
        }
        Ok(Self { numbers, digits, next: 0 })
    }

    /// Most digits of a number.
    fn widest(&self) -> usize {
        match &self.digits {
            Digits::AsFew => digits_of(self.numbers.iter().copied().max().unwrap_or(0) as u64),
            Digits::All(digits) => *digits,
            Digits::Each(digits) => digits.iter().map(|d| told_digits(*d)).max().unwrap_or(0),
        }
    }

    /// The next number and its digits.
    fn next(&mut self) -> (u64, usize) {
        let number = self.numbers.get(self.next).copied().unwrap_or(0) as u64;
        let digits = match &self.digits {
            Digits::AsFew => digits_of(number),
            Digits::All(digits) => *digits,
            Digits::Each(digits) => digits.get(self.next).map_or(0, |digits| told_digits(*digits)),
        };
        self.next += 1;
        (number, digits)
    }
}

fn told_digits(digits: i64) -> usize {
    digits.clamp(0, DIGITS_MAX as i64) as usize
}

/// As few digits as a number needs.
fn digits_of(number: u64) -> usize {
    let log = match u32::try_from(number) {
        Ok(number) => number.checked_ilog10(),
        Err(_) => number.checked_ilog10(),
    };
    log.unwrap_or(0) as usize + 1
}

/// Texts while they are put together: room for all of them, and how much of it is taken.
struct Room {
    bytes: Vec<u8>,
    taken: usize,
}

impl Room {
    /// Puts a text together, with the next numbers of its columns. Gives its length.
    fn put_text(&mut self, literals: &[u8], parts: &[Part], columns: &mut [Numbers]) -> u32 {
        let start = self.taken;
        for part in parts {
            match part {
                Part::Literal(from, to) => self.put(&literals[*from..*to]),
                Part::Number(column) => {
                    let (number, digits) = columns[*column].next();
                    self.put_number(number, digits);
                }
            }
        }
        (self.taken - start) as u32
    }

    fn texts(mut self, lengths: Vec<u32>) -> Texts {
        self.bytes.truncate(self.taken);
        Texts::Bytes { lengths, bytes: self.bytes.into() }
    }

    fn take(&mut self, len: usize) -> &mut [u8] {
        let start = self.taken;
        self.taken += len;
        &mut self.bytes[start..self.taken]
    }

    fn put(&mut self, literal: &[u8]) {
        let place = self.take(literal.len());
        // The usual one is of one byte: no need to call for a copy.
        match (place, literal) {
            ([to], [from]) => *to = *from,
            (to, from) => to.copy_from_slice(from),
        }
    }

    fn put_number(&mut self, mut number: u64, digits: usize) {
        let (first, pairs) = self.take(digits).as_rchunks_mut::<2>();
        for pair in pairs.iter_mut().rev() {
            *pair = two_digits((number % 100) as i64);
            number /= 100;
        }
        if let [first] = first {
            *first = b'0' + (number % 10) as u8;
        }
    }
}

/// Takes those of `count` texts that are picked.
pub(super) fn decode_templates(reader: &mut Reader<'_>, count: usize, pick: Pick<'_>) -> Result<Texts> {
    let number = reader.length(TEMPLATES_MAX)?;
    let lengths = take_lengths(reader, number)?;
    if lengths.iter().any(|len| *len as usize > TEMPLATE_LEN_MAX) {
        return Err(malformed("texts", "a template that is too long"));
    }
    let bytes = reader.bytes(lengths.iter().map(|l| *l as usize).sum())?;
    let templates = Templates::of(bytes, &lengths);
    let codes = take_codes(reader, count, Pick::All)?;
    if codes.iter().any(|code| *code as usize >= number) {
        return Err(malformed("texts", "a template that is not there"));
    }
    let (counts, most) = templates.counts(&codes);
    if most > TEXTS_MAX {
        return Err(malformed("texts", format!("up to {most} bytes made from templates")));
    }
    let numbers: usize = counts.iter().sum();
    let literals = most - numbers * DIGITS_MAX;
    let columns = counts.iter().map(|count| Numbers::take(reader, *count));
    let mut columns = columns.collect::<Result<Vec<_>>>()?;
    let Pick::At(places) = pick else {
        let digits: usize = columns.iter().zip(&counts).map(|(column, count)| column.widest() * count).sum();
        let mut room = Room { bytes: vec![0; literals + digits], taken: 0 };
        let lengths = codes.iter().map(|code| room.put_text(bytes, templates.parts(*code), &mut columns)).collect();
        return Ok(room.texts(lengths));
    };
    let mut room = Room { bytes: vec![0; templates.counts(&pick.of(codes.clone())).1], taken: 0 };
    let mut lengths = Vec::with_capacity(places.len());
    let mut end = 0;
    for at in places {
        let at = *at as usize;
        pass_over(codes.get(end..at).unwrap_or_default(), &templates, &mut columns);
        let Some(code) = codes.get(at) else { break };
        lengths.push(room.put_text(bytes, templates.parts(*code), &mut columns));
        end = at + 1;
    }
    Ok(room.texts(lengths))
}

/// Passes over the numbers of texts with these templates.
fn pass_over(codes: &[u32], templates: &Templates, columns: &mut [Numbers]) {
    // Every text has a number in every column then.
    if templates.ends.len() == 1 {
        return columns.iter_mut().for_each(|column| column.next += codes.len());
    }
    for code in codes {
        for part in templates.parts(*code) {
            if let Part::Number(column) = part {
                columns[*column].next += 1;
            }
        }
    }
}
