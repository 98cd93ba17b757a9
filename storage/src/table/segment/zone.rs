//! The bounds of a chunk's values, as its index keeps them and as queries get them.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, new_null_array,
};

use crate::{
    Result,
    encoding::{Reader, malformed, put_ivarint, put_uvarint},
    table::{Kind, kind::DECIMAL_DIGITS},
};

/// Bytes that a bound of texts keeps.
const PREFIX: usize = 32;

const NONE: u8 = 0;
const INTEGERS: u8 = 1;
const FLOATS: u8 = 2;
const DECIMALS: u8 = 3;
const TEXTS: u8 = 4;
/// Added when the bounds are values that occur.
const EXACT: u8 = 8;

/// The lowest and the highest value.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Bounds {
    /// Not known.
    #[default]
    None,
    /// Integers, times, and booleans as 0 and 1.
    Integers(i64, i64),
    /// Floats of either width.
    Floats(f64, f64),
    /// Decimals without their point.
    Decimals(i128, i128),
    /// Texts and bytes; no value is below the first, none above the second.
    Texts(Box<[u8]>, Box<[u8]>),
}

/// Bounds, and whether they are values that occur.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Zone {
    pub(super) bounds: Bounds,
    pub(super) exact: bool,
}

impl Zone {
    pub(super) fn integers(values: impl Iterator<Item = i64> + Clone) -> Self {
        match (values.clone().min(), values.max()) {
            (Some(min), Some(max)) => Self { bounds: Bounds::Integers(min, max), exact: true },
            _ => Self::default(),
        }
    }

    pub(super) fn decimals(values: &[i128]) -> Self {
        match (values.iter().min(), values.iter().max()) {
            (Some(min), Some(max)) => Self { bounds: Bounds::Decimals(*min, *max), exact: true },
            _ => Self::default(),
        }
    }

    /// NaNs do not count; where one is, the bounds answer no min and max, for SQL sorts NaN above all. Minus zero is
    /// below zero.
    pub(super) fn floats(values: &[f64]) -> Self {
        let numbers = || values.iter().copied().filter(|v| !v.is_nan());
        match (numbers().min_by(f64::total_cmp), numbers().max_by(f64::total_cmp)) {
            (Some(min), Some(max)) => {
                Self { bounds: Bounds::Floats(min, max), exact: !values.iter().any(|v| v.is_nan()) }
            }
            _ => Self::default(),
        }
    }

    /// Of texts, or bytes when `text` is false. Long ones are cut: the lowest to a prefix, the highest to what is above
    /// all that begin with it.
    pub(super) fn texts<'a>(values: impl Iterator<Item = &'a [u8]>, text: bool) -> Self {
        let Some((min, max)) = min_max(values) else { return Self::default() };
        let low = if text { cut(min) } else { min.get(..PREFIX).unwrap_or(min) };
        let high = match max.len() <= PREFIX {
            true => Some(max.to_vec()),
            false if text => above_text(cut(max)),
            false => above_bytes(max.get(..PREFIX).unwrap_or(max)),
        };
        match high {
            Some(high) => {
                let exact = low.len() == min.len() && max.len() <= PREFIX;
                Self { bounds: Bounds::Texts(low.into(), high.into()), exact }
            }
            None => Self::default(),
        }
    }

    /// Whether a text may be among the values.
    pub(super) fn may_hold(&self, text: &str) -> bool {
        match &self.bounds {
            Bounds::Texts(low, high) => &**low <= text.as_bytes() && text.as_bytes() <= &**high,
            _ => true,
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let exact = if self.exact { EXACT } else { 0 };
        match &self.bounds {
            Bounds::None => out.push(NONE),
            Bounds::Integers(min, max) => {
                out.push(INTEGERS | exact);
                put_ivarint(out, *min);
                put_uvarint(out, (*max as u64).wrapping_sub(*min as u64));
            }
            Bounds::Floats(min, max) => {
                out.push(FLOATS | exact);
                out.extend_from_slice(&min.to_bits().to_le_bytes());
                out.extend_from_slice(&max.to_bits().to_le_bytes());
            }
            Bounds::Decimals(min, max) => {
                out.push(DECIMALS | exact);
                out.extend_from_slice(&min.to_le_bytes());
                out.extend_from_slice(&max.to_le_bytes());
            }
            Bounds::Texts(min, max) => {
                out.push(TEXTS | exact);
                for text in [min, max] {
                    put_uvarint(out, text.len() as u64);
                    out.extend_from_slice(text);
                }
            }
        }
    }

    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self> {
        let head = reader.u8()?;
        let text = |reader: &mut Reader<'_>| -> Result<Box<[u8]>> {
            let len = reader.length(PREFIX)?;
            Ok(reader.bytes(len)?.into())
        };
        let bounds = match head & !EXACT {
            NONE => Bounds::None,
            INTEGERS => {
                let min = reader.ivarint()?;
                Bounds::Integers(min, (min as u64).wrapping_add(reader.uvarint()?) as i64)
            }
            FLOATS => Bounds::Floats(f64::from_bits(reader.u64()?), f64::from_bits(reader.u64()?)),
            DECIMALS => Bounds::Decimals(i128::from_le_bytes(reader.array()?), i128::from_le_bytes(reader.array()?)),
            TEXTS => Bounds::Texts(text(reader)?, text(reader)?),
            _ => return Err(malformed("bounds", format!("unknown form {head}"))),
        };
        Ok(Self { bounds, exact: head & EXACT != 0 })
    }
}

/// The bounds of some blocks as an array of the kind's Arrow type; null where there are none, or none of this kind.
pub(super) fn bounds_array(kind: Kind, zones: &[Option<&Zone>], upper: bool) -> ArrayRef {
    let bounds = || zones.iter().map(|zone| zone.map(|zone| &zone.bounds));
    let integers = || {
        bounds().map(|bounds| match bounds {
            Some(Bounds::Integers(min, max)) => Some(if upper { *max } else { *min }),
            _ => None,
        })
    };
    let floats = || {
        bounds().map(|bounds| match bounds {
            Some(Bounds::Floats(min, max)) => Some(if upper { *max } else { *min }),
            _ => None,
        })
    };
    let texts = || {
        bounds().map(|bounds| match bounds {
            Some(Bounds::Texts(min, max)) => Some(if upper { &**max } else { &**min }),
            _ => None,
        })
    };
    match kind {
        Kind::Bool | Kind::Null | Kind::EmptyObject => {
            Arc::new(integers().map(|value| value.map(|value| value != 0)).collect::<BooleanArray>())
        }
        Kind::Int16 => Arc::new(integers().map(|v| i16::try_from(v?).ok()).collect::<Int16Array>()),
        Kind::Int32 => Arc::new(integers().map(|v| i32::try_from(v?).ok()).collect::<Int32Array>()),
        Kind::Date => Arc::new(integers().map(|v| i32::try_from(v?).ok()).collect::<Date32Array>()),
        Kind::Int64 => Arc::new(integers().collect::<Int64Array>()),
        Kind::Time => Arc::new(integers().collect::<Time64MicrosecondArray>()),
        Kind::Micros => Arc::new(integers().collect::<TimestampMicrosecondArray>()),
        Kind::Nanos => Arc::new(integers().collect::<TimestampNanosecondArray>()),
        Kind::Float32 => Arc::new(floats().map(|v| v.map(|v| v as f32)).collect::<Float32Array>()),
        Kind::Float64 => Arc::new(floats().collect::<Float64Array>()),
        Kind::Text => Arc::new(texts().map(|v| std::str::from_utf8(v?).ok()).collect::<StringViewArray>()),
        Kind::Bytes => Arc::new(texts().collect::<BinaryViewArray>()),
        Kind::Decimal(scale) => {
            let values = bounds().map(|bounds| match bounds {
                Some(Bounds::Decimals(min, max)) => Some(if upper { *max } else { *min }),
                _ => None,
            });
            let values = values.collect::<Decimal128Array>();
            match values.with_precision_and_scale(DECIMAL_DIGITS, scale as i8) {
                Ok(values) => Arc::new(values),
                Err(_) => new_null_array(&kind.arrow(), zones.len()),
            }
        }
        _ => new_null_array(&kind.arrow(), zones.len()),
    }
}

/// The lowest and the highest of some texts. Most are told apart by their first bytes, as one number.
fn min_max<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<(&'a [u8], &'a [u8])> {
    let head = |text: &[u8]| match text.first_chunk::<8>() {
        Some(head) => u64::from_be_bytes(*head),
        None => text.iter().rev().fold(0, |head, byte| head >> 8 | u64::from(*byte) << 56),
    };
    let first = values.next()?;
    let (mut min, mut max) = ((head(first), first), (head(first), first));
    for value in values {
        let value = (head(value), value);
        if value < min {
            min = value;
        } else if value > max {
            max = value;
        }
    }
    Some((min.1, max.1))
}

/// The longest prefix of whole characters that is kept.
fn cut(text: &[u8]) -> &[u8] {
    let Some(prefix) = text.get(..PREFIX + 1) else { return text };
    let end = (0..=PREFIX).rev().find(|at| prefix[*at] & 0xc0 != 0x80).unwrap_or(0);
    &prefix[..end]
}

/// The lowest text that is above all that begin with `prefix`, if there is one.
fn above_text(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut chars: Vec<char> = std::str::from_utf8(prefix).ok()?.chars().collect();
    while let Some(last) = chars.pop() {
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(last as u32 + 1) };
        if let Some(next) = next {
            chars.push(next);
            let text: String = chars.iter().collect();
            if text.len() <= PREFIX {
                return Some(text.into_bytes());
            }
            chars.pop();
        }
    }
    None
}

/// The lowest bytes that are above all that begin with `prefix`, if there are any.
fn above_bytes(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            return Some(bytes);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_text_is_outside(texts in proptest::collection::vec("(all alike )?[\u{0}a\u{7f}\u{7ff}\u{d7ff}\u{ffff}\u{10ffff}]{0,40}", 1..8)) {
            let zone = Zone::texts(texts.iter().map(|t| t.as_bytes()), true);
            let (min, max) = min_max(texts.iter().map(|t| t.as_bytes())).unwrap();
            proptest::prop_assert_eq!(Some(min), texts.iter().map(|t| t.as_bytes()).min());
            proptest::prop_assert_eq!(Some(max), texts.iter().map(|t| t.as_bytes()).max());
            for text in &texts {
                proptest::prop_assert!(zone.may_hold(text));
            }
            let mut bytes = Vec::new();
            zone.put(&mut bytes);
            proptest::prop_assert_eq!(Zone::take(&mut Reader::new(&bytes)).unwrap(), zone.clone());
            if let Bounds::Texts(low, high) = &zone.bounds {
                proptest::prop_assert!(std::str::from_utf8(low).is_ok() && std::str::from_utf8(high).is_ok());
                let exact = |t: &[u8]| texts.iter().any(|x| x.as_bytes() == t);
                proptest::prop_assert!(!zone.exact || exact(low) && exact(high));
            }
        }
    }
}
