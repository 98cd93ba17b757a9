//! Columns of floats, every bit kept. Each column takes the shortest of a few forms:
//!
//! - decimal: integers that give the values when divided by a power of ten, for metrics are counts, bytes and readings
//!   with few digits; values that do not fit (stale markers, infinities, minus zero) stand apart;
//! - bits: the bit patterns in order of size as integers, for values with all digits;
//! - constant, and raw.

use super::{MAX_COLUMN_VALUES, Reader, encode_integers, integer::decode_blocks, malformed, put_ivarint, put_uvarint};
use crate::Result;

const RAW: u8 = 0;
const CONSTANT: u8 = 1;
const BITS: u8 = 2;
/// The low five bits of the decimal kinds are the exponent.
const DECIMAL: u8 = 0x20;
const DECIMAL_EXCEPT: u8 = 0x40;
const DECIMAL_CONSTANT: u8 = 0x60;
const EXPONENT: u8 = 0x1f;

/// The powers of ten that are exact and of use.
const POWERS: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];
/// Above this, a scaled value has no digits of its own left.
const LARGEST_SCALED: f64 = 9_007_199_254_740_992.0;
/// Above this, an integer does not fit 64 bits.
const LARGEST_INTEGER: f64 = 9_223_372_036_854_774_784.0;
/// How many values are looked at to find the exponent of most.
const SAMPLE: usize = 32;

/// The integer that gives exactly `value` when divided by the power of ten, if there is one.
#[inline]
fn scaled(value: f64, exponent: usize) -> Option<i64> {
    let power = POWERS[exponent];
    let wide = value * power;
    let limit = if exponent == 0 { LARGEST_INTEGER } else { LARGEST_SCALED };
    if wide.is_nan() || wide.abs() > limit {
        return None;
    }
    let integer = if exponent == 0 { wide as i64 } else { (wide + 0.5f64.copysign(wide)) as i64 };
    ((integer as f64 / power).to_bits() == value.to_bits()).then_some(integer)
}

/// The smallest exponent from `from` on that fits a value.
fn exponent_of(value: f64, from: usize) -> Option<usize> {
    (from..POWERS.len()).find(|e| scaled(value, *e).is_some())
}

/// A column as integers, where most values fit one exponent.
struct Decimal {
    exponent: usize,
    integers: Vec<i64>,
    exceptions: Vec<usize>,
}

impl Decimal {
    /// Scales all values; `None` when more than a quarter do not fit.
    fn convert(values: &[f64], exponent: usize) -> Option<Self> {
        let mut integers = Vec::with_capacity(values.len());
        let mut exceptions = Vec::new();
        for (i, value) in values.iter().enumerate() {
            match scaled(*value, exponent) {
                Some(integer) => integers.push(integer),
                None => {
                    exceptions.push(i);
                    if exceptions.len() > values.len() / 4 + 1 {
                        return None;
                    }
                    integers.push(integers.last().copied().unwrap_or(0));
                }
            }
        }
        // Those before the first that fits take its value, so that they cost nothing.
        let leading = exceptions.iter().enumerate().take_while(|(i, at)| i == *at).count();
        if let Some(first) = integers.get(leading).copied() {
            integers[..leading].fill(first);
        }
        Some(Self { exponent, integers, exceptions })
    }

    fn encode(&self, values: &[f64], out: &mut Vec<u8>) {
        if self.exceptions.is_empty() {
            out.push(DECIMAL | self.exponent as u8);
        } else {
            out.push(DECIMAL_EXCEPT | self.exponent as u8);
            put_uvarint(out, self.exceptions.len() as u64);
            let mut next = 0;
            for at in &self.exceptions {
                put_uvarint(out, (at - next) as u64);
                out.extend_from_slice(&values[*at].to_bits().to_le_bytes());
                next = at + 1;
            }
        }
        encode_integers(&self.integers, out);
    }
}

/// The shortest decimal form, when most values have one.
fn decimal(values: &[f64]) -> Option<Vec<u8>> {
    let (mut exponent, mut seen, mut misfits) = (0, 0, 0);
    for value in values.iter().step_by(values.len().div_ceil(SAMPLE)) {
        seen += 1;
        match exponent_of(*value, exponent) {
            Some(e) => exponent = e,
            None => misfits += 1,
        }
    }
    if misfits * 2 > seen && seen > 4 {
        return None;
    }
    let first = Decimal::convert(values, exponent);
    let mut bytes = first.as_ref().map(|d| {
        let mut bytes = Vec::with_capacity(values.len() + 16);
        d.encode(values, &mut bytes);
        bytes
    });
    // Values that the sample missed may need more digits; then either they stand apart or all are scaled up.
    let mut wider = exponent;
    let missed = first.as_ref().map_or(&[][..], |d| &d.exceptions);
    for at in missed {
        wider = exponent_of(values[*at], wider).unwrap_or(wider);
    }
    if wider > exponent
        && let Some(second) = Decimal::convert(values, wider)
    {
        let mut longer = Vec::with_capacity(values.len() + 16);
        second.encode(values, &mut longer);
        if bytes.as_ref().is_none_or(|b| longer.len() < b.len()) {
            bytes = Some(longer);
        }
    }
    bytes
}

/// Bit patterns as integers that rise with the value, and back: negative values count downwards.
#[inline]
const fn ordered(bits: u64) -> u64 {
    bits ^ (((bits as i64 >> 63) as u64) >> 1)
}

/// Appends a column of any length.
pub fn encode_floats(values: &[f64], out: &mut Vec<u8>) {
    let Some((first, rest)) = values.split_first() else { return };
    if rest.iter().all(|v| v.to_bits() == first.to_bits()) {
        match exponent_of(*first, 0) {
            Some(e) => {
                out.push(DECIMAL_CONSTANT | e as u8);
                put_ivarint(out, scaled(*first, e).unwrap_or(0));
            }
            None => {
                out.push(CONSTANT);
                out.extend_from_slice(&first.to_bits().to_le_bytes());
            }
        }
        return;
    }
    let mut best = decimal(values);
    // Wide integers may come from true floats that only look like decimals.
    if best.as_ref().is_none_or(|b| b.len() > 3 * values.len()) {
        let patterns: Vec<i64> = values.iter().map(|v| ordered(v.to_bits()) as i64).collect();
        let mut bytes = Vec::with_capacity(8 * values.len());
        bytes.push(BITS);
        encode_integers(&patterns, &mut bytes);
        if best.as_ref().is_none_or(|b| bytes.len() < b.len()) {
            best = Some(bytes);
        }
    }
    match best {
        Some(bytes) if bytes.len() <= 8 * values.len() => out.extend_from_slice(&bytes),
        _ => {
            out.push(RAW);
            values.iter().for_each(|v| out.extend_from_slice(&v.to_bits().to_le_bytes()));
        }
    }
}

/// Appends the `count` values of a column to `out`.
///
/// # Errors
/// When the bytes are not such a column, or the count is over [`MAX_COLUMN_VALUES`].
pub fn decode_floats(reader: &mut Reader<'_>, count: usize, out: &mut Vec<f64>) -> Result<()> {
    if count > MAX_COLUMN_VALUES {
        return Err(malformed("column", format!("{count} values")));
    }
    if count == 0 {
        return Ok(());
    }
    let kind = reader.u8()?;
    match kind {
        RAW => {
            let bytes = reader.bytes(8 * count)?;
            out.extend(bytes.as_chunks::<8>().0.iter().map(|b| f64::from_bits(u64::from_le_bytes(*b))));
            return Ok(());
        }
        CONSTANT => {
            let value = f64::from_bits(reader.u64()?);
            out.resize(out.len() + count, value);
            return Ok(());
        }
        BITS => {
            out.reserve(count);
            return decode_blocks(reader, count, |block| {
                out.extend(block.iter().map(|bits| f64::from_bits(ordered(*bits))));
            });
        }
        _ => {}
    }
    let Some(power) = POWERS.get(usize::from(kind & EXPONENT)).copied() else {
        return Err(malformed("float column", format!("unknown kind {kind:#x}")));
    };
    match kind & !EXPONENT {
        DECIMAL => decode_decimal(reader, count, power, out),
        DECIMAL_CONSTANT => {
            let value = reader.ivarint()? as f64 / power;
            out.resize(out.len() + count, value);
            Ok(())
        }
        DECIMAL_EXCEPT => {
            let start = out.len();
            let number = reader.length(count)?;
            let mut exceptions = *reader;
            for _ in 0..number {
                reader.uvarint()?;
                reader.u64()?;
            }
            decode_decimal(reader, count, power, out)?;
            let decoded = out.get_mut(start..).unwrap_or_default();
            let mut at = 0;
            for _ in 0..number {
                at += exceptions.length(count)?;
                let value = f64::from_bits(exceptions.u64()?);
                match decoded.get_mut(at) {
                    Some(slot) => *slot = value,
                    None => return Err(malformed("float column", format!("exception at {at} of {count}"))),
                }
                at += 1;
            }
            Ok(())
        }
        _ => Err(malformed("float column", format!("unknown kind {kind:#x}"))),
    }
}

#[inline]
fn decode_decimal(reader: &mut Reader<'_>, count: usize, power: f64, out: &mut Vec<f64>) -> Result<()> {
    out.reserve(count);
    if power == 1.0 {
        return decode_blocks(reader, count, |block| out.extend(block.iter().map(|i| *i as i64 as f64)));
    }
    decode_blocks(reader, count, |block| out.extend(block.iter().map(|i| *i as i64 as f64 / power)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stale_nan;
    use proptest::prelude::*;

    fn check(values: &[f64]) -> usize {
        let mut out = Vec::new();
        encode_floats(values, &mut out);
        let len = out.len();
        out.push(0xAA);
        let mut reader = Reader::new(&out);
        let mut back = vec![1.5];
        decode_floats(&mut reader, values.len(), &mut back).unwrap();
        assert_eq!(reader.rest(), [0xAA]);
        let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back[1..]), bits(values));
        len
    }

    fn odd() -> impl Strategy<Value = f64> {
        prop_oneof![
            Just(stale_nan()),
            Just(f64::NAN),
            Just(f64::from_bits(0xfff8_dead_beef_0001)),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(-0.0),
            Just(0.0),
            Just(f64::MAX),
            Just(f64::MIN_POSITIVE),
            Just(f64::from_bits(1)),
            Just(9_007_199_254_740_993.0),
            Just(2f64.powi(63)),
            Just(-2f64.powi(63)),
            Just(0.1 + 0.2),
        ]
    }

    proptest! {
        #[test]
        fn round_trip_of_any_bits(bits in prop::collection::vec(any::<u64>(), 0..500)) {
            check(&bits.iter().map(|b| f64::from_bits(*b)).collect::<Vec<_>>());
        }

        #[test]
        fn round_trip_of_decimals(
            digits in prop::collection::vec(-1_000_000i64..1_000_000_000, 1..500),
            exponent in 0i32..16,
            odd in prop::collection::vec((any::<prop::sample::Index>(), odd()), 0..20),
        ) {
            let mut values: Vec<f64> = digits.iter().map(|d| *d as f64 / 10f64.powi(exponent)).collect();
            for (at, value) in odd {
                let at = at.index(values.len());
                values[at] = value;
            }
            check(&values);
        }

        #[test]
        fn round_trip_of_odd_values(values in prop::collection::vec(odd(), 0..300)) {
            check(&values);
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..600) {
            let _ = decode_floats(&mut Reader::new(&bytes), count, &mut Vec::new());
        }
    }

    #[test]
    fn usual_shapes_are_short() {
        assert_eq!(check(&[1.0]), 2);
        assert_eq!(check(&[0.25; 500]), 2);
        assert_eq!(check(&[stale_nan(); 500]), 9);
        let counter: Vec<f64> = (0..500).map(|i| f64::from(i * 100 + i % 7)).collect();
        assert!(check(&counter) < 250, "{}", check(&counter));
        let load: Vec<f64> = (0..500).map(|i| f64::from(i * 37 % 64) / 100.0).collect();
        assert!(check(&load) < 420, "{}", check(&load));
        let mut stale = counter.clone();
        stale[499] = stale_nan();
        assert!(check(&stale) < check(&counter) + 16);
        let mut rare_digits = load;
        rare_digits[250] = 0.123_456_789;
        assert!(check(&rare_digits) < 440, "{}", check(&rare_digits));
    }
}
