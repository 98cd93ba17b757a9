//! Chunks of numbers and booleans: their bytes, straight from and to Arrow arrays.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNano,
        IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, TimestampNanosecondType,
    },
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};

use super::{
    pick::Pick,
    presence::{some_nulls, spread},
    zone::Zone,
};
use crate::{
    Result, StorageError,
    encoding::{
        Reader, decode_blocks, decode_floats, decode_integers, encode_floats, encode_integers, malformed, put_uvarint,
    },
    table::{Kind, kind::DECIMAL_DIGITS},
};

const FALSE: u8 = 0;
const TRUE: u8 = 1;
const BITS: u8 = 2;
const BOOL_RUNS: u8 = 3;

const SHORT: u8 = 0;
const WIDE: u8 = 1;

/// Digits that a float of 32 bits has for sure, and a few more.
const FLOAT32_DIGITS: i32 = 9;

/// Appends the values that are there, and tells their bounds.
pub(super) fn encode_numbers(kind: Kind, array: &ArrayRef, out: &mut Vec<u8>) -> Result<Zone> {
    match kind {
        Kind::Bool | Kind::Null | Kind::EmptyObject => encode_booleans(array, out),
        Kind::Int16 => encode_integer_kind::<Int16Type>(array, i64::from, out),
        Kind::Int32 => encode_integer_kind::<Int32Type>(array, i64::from, out),
        Kind::Date => encode_integer_kind::<Date32Type>(array, i64::from, out),
        Kind::Int64 => encode_integer_kind::<Int64Type>(array, |v| v, out),
        Kind::Time => encode_integer_kind::<Time64MicrosecondType>(array, |v| v, out),
        Kind::Micros => encode_integer_kind::<TimestampMicrosecondType>(array, |v| v, out),
        Kind::Nanos => encode_integer_kind::<TimestampNanosecondType>(array, |v| v, out),
        Kind::Float64 => {
            let values = present::<Float64Type, _>(array, |v| v)?;
            encode_floats(&values, out);
            Ok(Zone::floats(&values))
        }
        Kind::Float32 => encode_float32(&present::<Float32Type, _>(array, |v| v)?, out),
        Kind::Decimal(_) => encode_decimals(&present::<Decimal128Type, _>(array, |v| v)?, out),
        Kind::Interval => {
            let values = present::<IntervalMonthDayNanoType, _>(array, |v| v)?;
            encode_integers(&values.iter().map(|v| i64::from(v.months)).collect::<Vec<_>>(), out);
            encode_integers(&values.iter().map(|v| i64::from(v.days)).collect::<Vec<_>>(), out);
            encode_integers(&values.iter().map(|v| v.nanoseconds).collect::<Vec<_>>(), out);
            Ok(Zone::default())
        }
        _ => Err(wrong_type(array)),
    }
}

/// Takes the values that are there, `count` of them, and lays those that are picked where `nulls` says.
pub(super) fn decode_numbers(
    kind: Kind,
    reader: &mut Reader<'_>,
    count: usize,
    pick: Pick<'_>,
    nulls: Option<&NullBuffer>,
) -> Result<ArrayRef> {
    match kind {
        Kind::Bool | Kind::Null | Kind::EmptyObject => decode_booleans(reader, count, pick, nulls),
        Kind::Int16 => decode_integer_kind::<Int16Type>(reader, count, pick, nulls, |v| v as i16),
        Kind::Int32 => decode_integer_kind::<Int32Type>(reader, count, pick, nulls, |v| v as i32),
        Kind::Date => decode_integer_kind::<Date32Type>(reader, count, pick, nulls, |v| v as i32),
        Kind::Int64 => decode_integer_kind::<Int64Type>(reader, count, pick, nulls, |v| v as i64),
        Kind::Time => decode_integer_kind::<Time64MicrosecondType>(reader, count, pick, nulls, |v| v as i64),
        Kind::Micros => decode_integer_kind::<TimestampMicrosecondType>(reader, count, pick, nulls, |v| v as i64),
        Kind::Nanos => decode_integer_kind::<TimestampNanosecondType>(reader, count, pick, nulls, |v| v as i64),
        Kind::Float64 => {
            let mut values = Vec::with_capacity(count);
            decode_floats(reader, count, &mut values)?;
            Ok(Arc::new(primitive::<Float64Type>(pick.of(values), nulls)?))
        }
        Kind::Float32 => {
            let values = pick.of(decode_float32(reader, count)?);
            Ok(Arc::new(primitive::<Float32Type>(values, nulls)?))
        }
        Kind::Decimal(scale) => {
            let array = primitive::<Decimal128Type>(pick.of(decode_decimals(reader, count)?), nulls)?;
            let array = array.with_precision_and_scale(DECIMAL_DIGITS, scale as i8);
            Ok(Arc::new(array.map_err(|e| malformed("decimals", e.to_string()))?))
        }
        Kind::Interval => decode_intervals(reader, count, pick, nulls),
        _ => Err(malformed("numbers", format!("a column of kind {kind:?}"))),
    }
}

/// The error for an array of a type that its kind does not have.
pub(super) fn wrong_type(array: &ArrayRef) -> StorageError {
    StorageError::Invalid(format!("a column has the Arrow type {}, which is not its kind's", array.data_type()))
}

fn present<T: ArrowPrimitiveType, V>(array: &ArrayRef, of: impl Fn(T::Native) -> V) -> Result<Vec<V>> {
    let array = array.as_primitive_opt::<T>().ok_or_else(|| wrong_type(array))?;
    let values = array.values();
    Ok(match some_nulls(array.nulls()) {
        None => values.iter().map(|v| of(*v)).collect(),
        Some(nulls) => nulls.valid_indices().map(|at| of(values[at])).collect(),
    })
}

fn encode_integer_kind<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    wide: impl Fn(T::Native) -> i64,
    out: &mut Vec<u8>,
) -> Result<Zone> {
    let values = present::<T, _>(array, wide)?;
    encode_integers(&values, out);
    Ok(Zone::integers(values.iter().copied()))
}

fn primitive<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<&NullBuffer>) -> Result<PrimitiveArray<T>> {
    let values = ScalarBuffer::from(spread(values, nulls));
    PrimitiveArray::try_new(values, nulls.cloned()).map_err(|e| malformed("numbers", e.to_string()))
}

fn decode_integer_kind<T: ArrowPrimitiveType>(
    reader: &mut Reader<'_>,
    count: usize,
    pick: Pick<'_>,
    nulls: Option<&NullBuffer>,
    narrow: impl Fn(u64) -> T::Native,
) -> Result<ArrayRef> {
    let mut values = Vec::with_capacity(pick.len(count));
    pick.blocks(reader, count, |block| values.extend(block.iter().map(|v| narrow(*v))))?;
    Ok(Arc::new(primitive::<T>(values, nulls)?))
}

fn encode_booleans(array: &ArrayRef, out: &mut Vec<u8>) -> Result<Zone> {
    let array = array.as_boolean_opt().ok_or_else(|| wrong_type(array))?;
    let values: Vec<bool> = match some_nulls(array.nulls()) {
        None => array.values().iter().collect(),
        Some(nulls) => nulls.valid_indices().map(|at| array.values().value(at)).collect(),
    };
    let runs: Vec<i64> = values.chunk_by(|a, b| a == b).map(|run| run.len() as i64).collect();
    if runs.len() <= 1 {
        out.push(if values.first() == Some(&true) { TRUE } else { FALSE });
    } else {
        let first = u8::from(values.first() == Some(&true));
        let mut short = vec![BOOL_RUNS, first];
        put_uvarint(&mut short, runs.len() as u64);
        // The runs' lengths only pay where there are few.
        if runs.len() < values.len() / 4 {
            encode_integers(&runs, &mut short);
        }
        if runs.len() < values.len() / 4 && short.len() < 1 + values.len().div_ceil(8) {
            out.extend_from_slice(&short);
        } else {
            out.push(BITS);
            for byte in values.chunks(8) {
                out.push(byte.iter().enumerate().fold(0, |bits, (at, v)| bits | u8::from(*v) << at));
            }
        }
    }
    Ok(Zone::integers(values.iter().map(|v| i64::from(*v))))
}

fn decode_booleans(
    reader: &mut Reader<'_>,
    count: usize,
    pick: Pick<'_>,
    nulls: Option<&NullBuffer>,
) -> Result<ArrayRef> {
    let values = match reader.u8()? {
        FALSE => BooleanBuffer::new_unset(count),
        TRUE => BooleanBuffer::new_set(count),
        BITS => BooleanBuffer::new(Buffer::from(reader.bytes(count.div_ceil(8))?), 0, count),
        BOOL_RUNS => {
            let mut value = reader.u8()? != 0;
            let number = reader.length(count)?;
            let mut runs = Vec::new();
            decode_integers(reader, number, &mut runs)?;
            let mut values: Vec<bool> = Vec::with_capacity(count);
            for run in runs {
                match usize::try_from(run) {
                    Ok(run) if run <= count - values.len() => values.resize(values.len() + run, value),
                    _ => return Err(malformed("booleans", "a run that is too long")),
                }
                value = !value;
            }
            if values.len() != count {
                return Err(malformed("booleans", "runs that are too short"));
            }
            BooleanBuffer::from(values)
        }
        form => return Err(malformed("booleans", format!("unknown form {form}"))),
    };
    let values = match (nulls, pick) {
        (None, Pick::All) => values,
        _ => BooleanBuffer::from(spread(pick.of(values.iter().collect()), nulls)),
    };
    Ok(Arc::new(BooleanArray::new(values, nulls.cloned())))
}

/// The float of 64 bits with the fewest decimal digits that becomes this one when it is narrowed.
fn shortest(value: f32) -> f64 {
    let wide = f64::from(value);
    (0..=FLOAT32_DIGITS)
        .map(|digits| {
            let power = 10f64.powi(digits);
            (wide * power).round() / power
        })
        .find(|short| (*short as f32).to_bits() == value.to_bits())
        .unwrap_or(wide)
}

/// As short decimals, or as bit patterns.
fn encode_float32(values: &[f32], out: &mut Vec<u8>) -> Result<Zone> {
    let wide: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
    let mut bits = vec![WIDE];
    encode_integers(&values.iter().map(|v| i64::from(v.to_bits() as i32)).collect::<Vec<_>>(), &mut bits);
    // A NaN may lose bits on the way through 64.
    if !values.iter().any(|v| v.is_nan()) {
        let mut short = vec![SHORT];
        encode_floats(&values.iter().map(|v| shortest(*v)).collect::<Vec<_>>(), &mut short);
        if short.len() < bits.len() {
            bits = short;
        }
    }
    out.extend_from_slice(&bits);
    Ok(Zone::floats(&wide))
}

fn decode_float32(reader: &mut Reader<'_>, count: usize) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(count);
    match reader.u8()? {
        SHORT => {
            let mut wide = Vec::with_capacity(count);
            decode_floats(reader, count, &mut wide)?;
            values.extend(wide.into_iter().map(|v| v as f32));
        }
        WIDE => decode_blocks(reader, count, |block| values.extend(block.iter().map(|v| f32::from_bits(*v as u32))))?,
        form => return Err(malformed("floats", format!("unknown form {form}"))),
    }
    Ok(values)
}

fn encode_decimals(values: &[i128], out: &mut Vec<u8>) -> Result<Zone> {
    let narrow: Option<Vec<i64>> = values.iter().map(|v| i64::try_from(*v).ok()).collect();
    match narrow {
        Some(narrow) => {
            out.push(SHORT);
            encode_integers(&narrow, out);
        }
        None => {
            out.push(WIDE);
            values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        }
    }
    Ok(Zone::decimals(values))
}

fn decode_decimals(reader: &mut Reader<'_>, count: usize) -> Result<Vec<i128>> {
    let mut values = Vec::with_capacity(count);
    match reader.u8()? {
        SHORT => decode_blocks(reader, count, |block| values.extend(block.iter().map(|v| i128::from(*v as i64))))?,
        WIDE => {
            let bytes = reader.bytes(16 * count)?;
            values.extend(bytes.as_chunks::<16>().0.iter().map(|b| i128::from_le_bytes(*b)));
        }
        form => return Err(malformed("decimals", format!("unknown form {form}"))),
    }
    Ok(values)
}

fn decode_intervals(
    reader: &mut Reader<'_>,
    count: usize,
    pick: Pick<'_>,
    nulls: Option<&NullBuffer>,
) -> Result<ArrayRef> {
    let mut parts = [const { Vec::new() }; 3];
    for part in &mut parts {
        *part = pick.integers(reader, count)?;
    }
    let [months, days, nanos] = parts;
    let values = months.into_iter().zip(days).zip(nanos);
    let values = values.map(|((months, days), nanos)| IntervalMonthDayNano::new(months as i32, days as i32, nanos));
    Ok(Arc::new(primitive::<IntervalMonthDayNanoType>(values.collect(), nulls)?))
}
