//! Values from their text, as PostgreSQL reads input: a column of texts becomes a column of a declared type.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BinaryViewBuilder, BooleanBuilder, PrimitiveBuilder, StringViewBuilder, make_array},
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int16Type,
        Int32Type, Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
        TimestampNanosecondType,
    },
};
use chronolith_storage::table::ColumnType;

use super::type_text;
use crate::{
    clock::{self, Wrong, Zone},
    error::{Result, SqlError},
};

/// The values of a column of this type that these texts stand for; the array is of the kind's Arrow type. Moments
/// without a zone are of this zone.
///
/// # Errors
/// `22P02`, `22003`, `22007` or `22001` for the first text that is none of the type.
pub(crate) fn parse_texts<'a>(
    mut texts: impl Iterator<Item = Option<&'a str>>,
    column_type: &ColumnType,
    zone: &str,
) -> Result<ArrayRef> {
    parse_each(&mut texts, column_type, zone)
}

fn parse_each(texts: &mut dyn Iterator<Item = Option<&str>>, column_type: &ColumnType, zone: &str) -> Result<ArrayRef> {
    match column_type {
        ColumnType::Bool => {
            let mut out = BooleanBuilder::new();
            for text in texts {
                out.append_option(text.map(parse_bool).transpose()?);
            }
            Ok(Arc::new(out.finish()))
        }
        ColumnType::Int2 => primitive::<Int16Type>(texts, |t| integer(t, column_type)),
        ColumnType::Int4 => primitive::<Int32Type>(texts, |t| integer(t, column_type)),
        ColumnType::Int8 => primitive::<Int64Type>(texts, |t| integer(t, column_type)),
        ColumnType::Float4 => primitive::<Float32Type>(texts, |t| float(t, column_type).map(|v| v as f32)),
        ColumnType::Float8 => primitive::<Float64Type>(texts, |t| float(t, column_type)),
        ColumnType::Date
        | ColumnType::Time
        | ColumnType::Timestamp
        | ColumnType::TimestampTz
        | ColumnType::TimestampNanos
        | ColumnType::Interval => times(texts, column_type, zone),
        ColumnType::Numeric { precision, scale } => {
            let values = primitive::<Decimal128Type>(texts, |t| decimal(t, *precision, *scale))?;
            let decimals = values.to_data().into_builder().data_type(DataType::Decimal128(38, *scale as i8));
            Ok(make_array(decimals.build().map_err(|e| SqlError::new(b"22003", e.to_string()))?))
        }
        ColumnType::Bytes => {
            let mut out = BinaryViewBuilder::new();
            for text in texts {
                out.append_option(text.map(read_bytes).transpose()?);
            }
            Ok(Arc::new(out.finish()))
        }
        ColumnType::Text
        | ColumnType::Varchar(_)
        | ColumnType::Char(_)
        | ColumnType::Uuid
        | ColumnType::Json
        | ColumnType::Jsonb => {
            let mut out = StringViewBuilder::new();
            for text in texts {
                match text {
                    None => out.append_null(),
                    Some(text) => out.append_value(super::assign::checked_text(text, column_type)?),
                }
            }
            Ok(Arc::new(out.finish()))
        }
        ColumnType::Array(of) => arrays(texts, of, zone),
    }
}

fn primitive<'a, T: ArrowPrimitiveType>(
    texts: impl Iterator<Item = Option<&'a str>>,
    parse: impl Fn(&str) -> Result<T::Native>,
) -> Result<ArrayRef> {
    let mut out = PrimitiveBuilder::<T>::new();
    for text in texts {
        out.append_option(text.map(&parse).transpose()?);
    }
    Ok(Arc::new(out.finish()))
}

/// Dates, times and intervals.
fn times(texts: &mut dyn Iterator<Item = Option<&str>>, column_type: &ColumnType, zone: &str) -> Result<ArrayRef> {
    let zone = Zone::parse(zone).map_err(|e| SqlError::new(b"22023", e.strip_backtrace()))?;
    match column_type {
        ColumnType::Date => primitive::<Date32Type>(texts, |t| {
            clock::parse_date(t, &zone).map_err(|why| not_a_time(why, t, column_type))
        }),
        ColumnType::Time => primitive::<Time64MicrosecondType>(texts, |t| {
            clock::parse_time(t).map_err(|why| not_a_time(why, t, column_type))
        }),
        ColumnType::Timestamp => primitive::<TimestampMicrosecondType>(texts, |t| {
            clock::parse_timestamp(t, &zone).map_err(|why| not_a_time(why, t, column_type))
        }),
        ColumnType::TimestampTz => primitive::<TimestampMicrosecondType>(texts, |t| {
            clock::parse_moment(t, &zone).map_err(|why| not_a_time(why, t, column_type))
        }),
        ColumnType::TimestampNanos => primitive::<TimestampNanosecondType>(texts, |t| {
            clock::parse_moment_nanos(t, &zone).map_err(|why| not_a_time(why, t, column_type))
        }),
        _ => primitive::<IntervalMonthDayNanoType>(texts, |t| {
            clock::parse_interval(t).ok_or_else(|| not_a_time(Wrong::Syntax, t, column_type))
        }),
    }
}

fn quoted(text: &str) -> String {
    let short: String = text.chars().take(100).collect();
    format!("\"{short}\"")
}

fn invalid(text: &str, column_type: &ColumnType) -> SqlError {
    SqlError::new(b"22P02", format!("invalid input syntax for type {}: {}", type_text(column_type), quoted(text)))
}

fn not_a_time(why: Wrong, text: &str, column_type: &ColumnType) -> SqlError {
    why.error(text, &type_text(column_type))
}

fn parse_bool(text: &str) -> Result<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Ok(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Ok(false),
        _ => Err(invalid(text, &ColumnType::Bool)),
    }
}

fn integer<N: TryFrom<i128>>(text: &str, column_type: &ColumnType) -> Result<N> {
    let value: i128 = text.trim().parse().map_err(|_| invalid(text, column_type))?;
    N::try_from(value).map_err(|_| {
        SqlError::new(b"22003", format!("value {} is out of range for type {}", quoted(text), type_text(column_type)))
    })
}

fn float(text: &str, column_type: &ColumnType) -> Result<f64> {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "inf" | "infinity" | "+infinity" => return Ok(f64::INFINITY),
        "-inf" | "-infinity" => return Ok(f64::NEG_INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    let value: f64 = text.parse().map_err(|_| invalid(text, column_type))?;
    let overflow = value.is_infinite() || (*column_type == ColumnType::Float4 && (value as f32).is_infinite());
    if overflow {
        let message = format!("value {} is out of range for type {}", quoted(text), type_text(column_type));
        return Err(SqlError::new(b"22003", message));
    }
    Ok(value)
}

/// A decimal number as an integer of the scale, rounded half away from zero.
pub(crate) fn decimal(text: &str, precision: Option<u8>, scale: u8) -> Result<i128> {
    let column_type = ColumnType::Numeric { precision, scale };
    let number = text.trim();
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        None => (number, 0),
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| invalid(text, &column_type))?),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = whole.bytes().chain(fraction.bytes());
    if whole.len() + fraction.len() == 0 || !all.clone().all(|b| b.is_ascii_digit()) {
        return Err(invalid(text, &column_type));
    }
    // How many of the digits stand before the place where the scale ends.
    let kept = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(i64::from(exponent) + i64::from(scale));
    let mut value: i128 = 0;
    let mut place: i64 = 0;
    let mut round_up = false;
    for digit in all {
        if place == kept {
            round_up = digit >= b'5';
            break;
        }
        if place > kept {
            break;
        }
        value = push_digit(value, digit - b'0').ok_or_else(|| overflow(precision, scale))?;
        place += 1;
    }
    while place < kept && value != 0 {
        value = push_digit(value, 0).ok_or_else(|| overflow(precision, scale))?;
        place += 1;
    }
    value += i128::from(round_up);
    let most = 10_i128.pow(u32::from(precision.unwrap_or(38)));
    if value >= most {
        return Err(overflow(precision, scale));
    }
    Ok(if negative { -value } else { value })
}

fn push_digit(value: i128, digit: u8) -> Option<i128> {
    value.checked_mul(10)?.checked_add(i128::from(digit))
}

pub(super) fn overflow(precision: Option<u8>, scale: u8) -> SqlError {
    let precision = precision.unwrap_or(38);
    SqlError::new(b"22003", "numeric field overflow").with_detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than 10^{}.",
        precision.saturating_sub(scale)
    ))
}

/// The bytes that a text of `bytea` writes.
///
/// # Errors
/// `22P02` when it writes none.
pub(crate) fn read_bytes(text: &str) -> Result<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits = hex.as_bytes();
        let nibble = |b: u8| (b as char).to_digit(16).map(|d| d as u8).ok_or_else(|| invalid(text, &ColumnType::Bytes));
        if !digits.len().is_multiple_of(2) {
            return Err(invalid(text, &ColumnType::Bytes));
        }
        return digits.chunks_exact(2).map(|pair| Ok(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                out.push(b'\\');
                rest = tail;
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            (b'\\', _) => return Err(invalid(text, &ColumnType::Bytes)),
            (other, tail) => {
                out.push(other);
                rest = tail;
            }
        }
    }
    Ok(out)
}

/// Arrays of one dimension, as `{1,2}` or `{"a b",c}`.
fn arrays<'a>(texts: impl Iterator<Item = Option<&'a str>>, of: &ColumnType, zone: &str) -> Result<ArrayRef> {
    let mut elements: Vec<String> = Vec::new();
    let mut lengths = Vec::new();
    for text in texts {
        match text {
            None => lengths.push(None),
            Some(text) => {
                let before = elements.len();
                array_elements(text, of, &mut elements)?;
                lengths.push(Some(elements.len() - before));
            }
        }
    }
    let values = parse_texts(elements.iter().map(|e| Some(e.as_str())), of, zone)?;
    list_of(&values, &lengths)
}

/// Lists of these lengths over values that follow one another.
pub(super) fn list_of(values: &ArrayRef, lengths: &[Option<usize>]) -> Result<ArrayRef> {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = arrow::buffer::OffsetBuffer::<i32>::from_lengths(lengths.iter().map(|l| l.unwrap_or(0)));
    let nulls = arrow::buffer::NullBuffer::from_iter(lengths.iter().map(Option::is_some));
    let list = arrow::array::ListArray::try_new(field, offsets, Arc::clone(values), Some(nulls));
    Ok(Arc::new(list.map_err(|e| SqlError::new(b"54000", e.to_string()))?))
}

/// What may stand around an element and is no part of it; other blanks of Unicode are.
const BLANKS: [char; 6] = [' ', '\t', '\n', '\r', '\u{b}', '\u{c}'];

fn array_elements(text: &str, of: &ColumnType, out: &mut Vec<String>) -> Result<()> {
    let malformed = || {
        SqlError::new(b"22P02", format!("malformed array literal: {}", quoted(text)))
            .with_hint("an array of one dimension is written as {1,2,3}")
    };
    let inner = text.trim_matches(BLANKS).strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(malformed)?;
    if inner.trim_matches(BLANKS).is_empty() {
        return Ok(());
    }
    let mut chars = inner.chars().peekable();
    loop {
        while chars.next_if(|c| BLANKS.contains(c)).is_some() {}
        let mut element = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next().ok_or_else(malformed)? {
                    '"' => break,
                    '\\' => element.push(chars.next().ok_or_else(malformed)?),
                    other => element.push(other),
                }
            }
            while chars.next_if(|c| BLANKS.contains(c)).is_some() {}
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                match c {
                    '{' | '}' | '"' => return Err(malformed()),
                    '\\' => element.push(chars.next().ok_or_else(malformed)?),
                    other => element.push(other),
                }
            }
            element.truncate(element.trim_end_matches(BLANKS).len());
            if element.eq_ignore_ascii_case("null") {
                return Err(SqlError::unsupported(format!("a null element in an array of type {}[]", type_text(of))));
            }
            if element.is_empty() {
                return Err(malformed());
            }
        }
        out.push(element);
        match chars.next() {
            None => return Ok(()),
            Some(',') => {}
            Some(_) => return Err(malformed()),
        }
    }
}
