//! Texts that differ mostly in their numbers: what is left of a text without them, its template, is held once a chunk, and
//! the numbers as columns.
//!
//! Every run of decimal digits is a slot, or several where it has more than 18. A template has one `0` in the place of
//! each, so that nothing else in it can be taken for a slot. Slots share a column where they stand alike in their
//! templates: the texts of a log differ in words too, and one template seldom has enough numbers for a column.

use std::collections::HashMap;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::{shapes::DIGITS_MAX, text::put_texts};
use crate::encoding::{encode_integers, put_uvarint};

/// Mark of a slot in a template.
const SLOT: u8 = b'0';
/// Most templates of a chunk.
pub(super) const TEMPLATES_MAX: usize = 4_096;
/// Templates that may be met before it is known how often they repeat; then one in so many texts may have a new one.
const FIRST_TEMPLATES: usize = 64;
const TEXTS_EACH: usize = 4;
/// Longest template.
pub(super) const TEMPLATE_LEN_MAX: usize = 1 << 10;
/// Most bytes of all texts of a chunk, were all their numbers of 18 digits.
pub(super) const TEXTS_MAX: usize = 64 << 20;
/// So many bytes before and behind a slot tell which other slots it is like.
const AROUND: usize = 4;

/// How the digits of a column's numbers are told: as few as each needs, 1 to 18, or a column of their own.
pub(super) const AS_FEW: u8 = 0;
pub(super) const EACH: u8 = 0xff;

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Bytes of all templates' bytes.
    Literal(usize, usize),
    /// A number of a column.
    Number(usize),
}

/// Templates taken apart.
#[derive(Debug, Default)]
pub(super) struct Templates {
    parts: Vec<Part>,
    /// Where the parts of each template end.
    pub(super) ends: Vec<usize>,
    columns: usize,
}

impl Templates {
    /// The templates of these lengths in `bytes`.
    pub(super) fn of(bytes: &[u8], lengths: &[u32]) -> Self {
        let mut all = Self::default();
        let mut columns = HashMap::new();
        let mut start = 0;
        for len in lengths {
            let end = start + *len as usize;
            let template = bytes.get(start..end).unwrap_or_default();
            let (mut slot, mut literal) = (0, 0);
            for (at, _) in template.iter().enumerate().filter(|(_, byte)| **byte == SLOT) {
                if literal < at {
                    all.parts.push(Part::Literal(start + literal, start + at));
                }
                let before = &template[at.saturating_sub(AROUND)..at];
                let behind = &template[at + 1..template.len().min(at + 1 + AROUND)];
                let next = columns.len();
                all.parts.push(Part::Number(*columns.entry((slot, before, behind)).or_insert(next)));
                (slot, literal) = (slot + 1, at + 1);
            }
            if literal < template.len() {
                all.parts.push(Part::Literal(start + literal, end));
            }
            all.ends.push(all.parts.len());
            start = end;
        }
        all.columns = columns.len();
        all
    }

    pub(super) fn parts(&self, template: u32) -> &[Part] {
        let template = template as usize;
        let start = template.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.parts[start..self.ends[template]]
    }

    /// How many numbers each column has when texts have these templates, and a bound of the texts' bytes.
    pub(super) fn counts(&self, codes: &[u32]) -> (Vec<usize>, usize) {
        let mut texts = vec![0_usize; self.ends.len()];
        codes.iter().for_each(|code| texts[*code as usize] += 1);
        let (mut counts, mut bytes) = (vec![0; self.columns], 0_usize);
        for (code, texts) in texts.into_iter().enumerate() {
            for part in self.parts(code as u32) {
                let len = match part {
                    Part::Literal(start, end) => end - start,
                    Part::Number(column) => {
                        counts[*column] += texts;
                        DIGITS_MAX
                    }
                };
                bytes = bytes.saturating_add(texts.saturating_mul(len));
            }
        }
        (counts, bytes)
    }
}

/// Texts while they are taken apart.
#[derive(Default)]
struct Found {
    /// The templates in the order they were met: their bytes, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    /// The template of each text.
    codes: Vec<u32>,
    /// The numbers of all texts with their digits.
    slots: Vec<(i64, u8)>,
}

impl Found {
    /// The texts' templates and numbers, if the templates repeat.
    fn of(values: &[&[u8]]) -> Option<Self> {
        let mut found = Self::default();
        let mut template = Vec::new();
        for (at, value) in values.iter().enumerate() {
            template.clear();
            take_apart(value, &mut template, &mut found.slots);
            let most = FIRST_TEMPLATES + at / TEXTS_EACH;
            let code = found.code(&template);
            if template.len() > TEMPLATE_LEN_MAX || found.ends.len() > most.min(TEMPLATES_MAX) {
                return None;
            }
            found.codes.push(code);
        }
        (!found.slots.is_empty()).then_some(found)
    }

    fn template(&self, code: u32) -> &[u8] {
        let code = code as usize;
        &self.bytes[code.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[code]]
    }

    fn code(&mut self, template: &[u8]) -> u32 {
        let hash = xxh3_64(template);
        if let Some(code) = self.numbers.find(hash, |code| self.template(*code) == template) {
            return *code;
        }
        let code = self.ends.len() as u32;
        self.bytes.extend_from_slice(template);
        self.ends.push(self.bytes.len());
        let (bytes, ends) = (&self.bytes, &self.ends);
        let of = |code: &u32| {
            let code = *code as usize;
            xxh3_64(&bytes[code.checked_sub(1).map_or(0, |before| ends[before])..ends[code]])
        };
        self.numbers.insert_unique(hash, code, of);
        code
    }

    /// Gives the templates' numbers in the order of their bytes: chunks that have the same ones look alike then.
    fn sort(&mut self) -> Vec<Vec<u8>> {
        let mut order: Vec<u32> = (0..self.ends.len() as u32).collect();
        order.sort_unstable_by_key(|code| self.template(*code));
        let mut places = vec![0; order.len()];
        (0..).zip(&order).for_each(|(place, code)| places[*code as usize] = place);
        self.codes.iter_mut().for_each(|code| *code = places[*code as usize]);
        order.into_iter().map(|code| self.template(code).to_vec()).collect()
    }
}

/// Appends a text's template and its numbers.
fn take_apart(text: &[u8], template: &mut Vec<u8>, slots: &mut Vec<(i64, u8)>) {
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        if !first.is_ascii_digit() {
            template.push(*first);
            rest = behind;
            continue;
        }
        let digits = rest.iter().take(DIGITS_MAX).take_while(|b| b.is_ascii_digit()).count();
        slots.push((rest[..digits].iter().fold(0, |n, b| n * 10 + i64::from(b - b'0')), digits as u8));
        template.push(SLOT);
        rest = &rest[digits..];
    }
}

/// Appends the texts, if they have templates and take less than half of their bytes that way.
pub(super) fn encode_templates(values: &[&[u8]], out: &mut Vec<u8>) -> Option<()> {
    let mut found = Found::of(values)?;
    let texts = found.sort();
    let lengths: Vec<u32> = texts.iter().map(|t| t.len() as u32).collect();
    let joined = texts.concat();
    let templates = Templates::of(&joined, &lengths);
    if templates.counts(&found.codes).1 > TEXTS_MAX {
        return None;
    }
    put_uvarint(out, texts.len() as u64);
    put_texts(texts.iter().map(Vec::as_slice), out);
    encode_integers(&found.codes.iter().map(|c| i64::from(*c)).collect::<Vec<_>>(), out);
    let mut columns: Vec<(Vec<i64>, Vec<i64>)> = vec![Default::default(); templates.columns];
    let mut slots = found.slots.iter();
    for code in &found.codes {
        for part in templates.parts(*code) {
            if let (Part::Number(column), Some((number, digits))) = (part, next_number(part, &mut slots)) {
                columns[*column].0.push(number);
                columns[*column].1.push(i64::from(digits));
            }
        }
    }
    columns.iter().for_each(|(numbers, digits)| put_numbers(numbers, digits, out));
    (out.len() * 2 < values.iter().map(|v| v.len()).sum()).then_some(())
}

fn next_number<'a>(part: &Part, slots: &mut impl Iterator<Item = &'a (i64, u8)>) -> Option<(i64, u8)> {
    if matches!(part, Part::Number(_)) { slots.next().copied() } else { None }
}

fn put_numbers(numbers: &[i64], digits: &[i64], out: &mut Vec<u8>) {
    let fewest = |number: i64| i64::from(number.checked_ilog10().unwrap_or(0)) + 1;
    if numbers.iter().zip(digits).all(|(number, digits)| fewest(*number) == *digits) {
        out.push(AS_FEW);
    } else if digits.iter().all(|d| *d == digits[0]) {
        out.push(digits[0] as u8);
    } else {
        out.push(EACH);
        encode_integers(digits, out);
    }
    encode_integers(numbers, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{fill::decode_templates, pick::Pick, text::Texts},
        *,
    };
    use crate::encoding::Reader;

    fn check(values: &[&str]) -> Option<usize> {
        let texts: Vec<&[u8]> = values.iter().map(|v| v.as_bytes()).collect();
        let mut bytes = Vec::new();
        encode_templates(&texts, &mut bytes)?;
        let mut reader = Reader::new(&bytes);
        let Texts::Bytes { lengths, bytes: text } = decode_templates(&mut reader, values.len(), Pick::All).unwrap()
        else {
            panic!()
        };
        assert!(reader.is_empty());
        assert_eq!(text.as_slice(), values.concat().as_bytes());
        assert!(lengths.iter().zip(values).all(|(len, v)| *len as usize == v.len()));
        Some(bytes.len())
    }

    fn texts(count: u64, of: impl Fn(u64) -> String) -> Option<usize> {
        let all: Vec<String> = (0..count).map(|n| of(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)).collect();
        check(&all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn numbers_take_their_bits() {
        let sessions = texts(8_192, |n| format!("s{:06}-{}", n % 1_000_000, n % 61)).unwrap();
        assert!(sessions < 8_192 * 27 / 8, "{sessions}");
        let service = |n: u64| ["gateway", "search", "files"][n as usize % 3];
        let log = texts(2_000, |n| match n % 4 {
            0 => format!("timeout after {} ms while waiting for {}", n % 500, service(n)),
            1 => format!("user {} joined from 10.0.{}.{}", n % 4_096, n % 256, n % 13),
            _ => format!("request to {} done in {} ms", service(n), n % 500),
        });
        assert!(log.unwrap() < 2_000 * 17 / 8 + 1_000, "{log:?}");
    }

    #[test]
    fn slots_that_stand_alike_share_a_column() {
        let texts = ["user 0 has 0", "host 0 has 0", "0 of 0", "s0-0"];
        let lengths: Vec<u32> = texts.iter().map(|text| text.len() as u32).collect();
        let templates = Templates::of(texts.concat().as_bytes(), &lengths);
        let column = |part: &Part| if let Part::Number(column) = part { Some(*column) } else { None };
        let columns = |template| templates.parts(template).iter().filter_map(column).collect::<Vec<_>>();
        // Four bytes on either side count, and the place among the template's slots.
        assert_eq!([columns(0), columns(1), columns(2), columns(3)], [[0, 1], [2, 1], [3, 4], [5, 6]]);
        let path = b"/0/0/0/0/";
        assert_eq!(Templates::of(path, &[path.len() as u32]).columns, 4);
        let alike = b"of 0, of 0, of 0, of 0.";
        assert_eq!(Templates::of(alike, &[alike.len() as u32]).columns, 4);
    }

    #[test]
    fn every_digit_comes_back() {
        let long = "1234567890".repeat(5);
        let zeros = "0".repeat(40);
        let mut all =
            vec![long.as_str(), &zeros, "0", "00", "a0b00c000", "18 999999999999999999", "19 9999999999999999999"];
        all.extend(["no digits at all in this one"; 40]);
        all.extend(["7 \u{fc}ber 08 \u{1f600}9"; 40]);
        assert!(check(&all).is_some());
        assert!(check(&["no", "digits"]).is_none());
        assert!(
            texts(1_000, |n| format!("{:x}-{:x}", n * n, n.wrapping_pow(3))).is_none(),
            "more templates than texts are worth"
        );
    }

    #[test]
    fn what_would_grow_too_long_is_refused() {
        // One template of 1,024 slots, in a million texts.
        let mut bytes = vec![1];
        put_texts(std::iter::once([SLOT; TEMPLATE_LEN_MAX].as_slice()), &mut bytes);
        encode_integers(&vec![0; 1 << 20], &mut bytes);
        assert!(decode_templates(&mut Reader::new(&bytes), 1 << 20, Pick::All).is_err());
        // A template that is not there, and numbers that are none.
        let mut bytes = Vec::new();
        let texts = ["event 100 of many".as_bytes(), b"event 7 of many", b"event 31 of many"].repeat(30);
        encode_templates(&texts, &mut bytes).unwrap();
        assert!(decode_templates(&mut Reader::new(&bytes), texts.len(), Pick::All).is_ok());
        for at in 0..bytes.len() {
            assert!(decode_templates(&mut Reader::new(&bytes[..at]), texts.len(), Pick::All).is_err(), "cut at {at}");
        }
    }

    proptest! {
        #[test]
        fn texts_come_back(values in prop::collection::vec("(ab|c )?[0-9]{0,4}[ .x]?0*[0-9]{0,22}(\u{e4}|)", 0..60)) {
            check(&values.iter().map(String::as_str).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_decode_or_fail(
            values in prop::collection::vec("a[0-9]{3,4}[bc][0-9]{3,4} end", 30..60),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let texts: Vec<&[u8]> = values.iter().map(|v| v.as_bytes()).collect();
            let mut bytes = Vec::new();
            if encode_templates(&texts, &mut bytes).is_some() {
                for (at, byte) in edits {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                let _ = decode_templates(&mut Reader::new(&bytes), values.len(), Pick::All);
                let _ = decode_templates(&mut Reader::new(&bytes), values.len(), Pick::At(&[1, 7, 20]));
            }
        }
    }
}
