//! A column of a record batch, ready to be written cell by cell in text or in binary.

use std::{borrow::Cow, io::Write as _, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Decimal128Array, ListArray, PrimitiveArray,
        StringViewArray,
        types::{
            Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
            Time64MicrosecondType, TimestampMicrosecondType,
        },
    },
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, TimeUnit},
};
use chronolith_sql::{
    SqlError,
    clock::{self, Zone},
    types::float_text::{write_f32, write_f64},
};

use super::{
    backend,
    failure::sql_error,
    types::{PgType, Shape},
};
use crate::ingest::postgres::{array_text, frontend::Format, numeric};

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL's binary forms count from.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(crate) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * clock::DAY_MICROS;

/// How texts of values are written: what the session's settings choose.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    pub(crate) zone: Zone,
}

/// The cells of a column, in one of the few forms that values are written from.
pub(crate) enum Cells {
    Null,
    Bool(BooleanArray),
    Int2(PrimitiveArray<Int16Type>),
    Int4(PrimitiveArray<Int32Type>),
    Int8(PrimitiveArray<Int64Type>),
    Oid(PrimitiveArray<Int64Type>),
    Float4(PrimitiveArray<Float32Type>),
    Float8(PrimitiveArray<Float64Type>),
    /// With what stands before a value's binary form.
    Text(StringViewArray, &'static [u8]),
    /// A UUID held as text.
    Uuid(StringViewArray),
    /// A UUID held as 16 bytes.
    UuidBytes(BinaryViewArray),
    Bytes(BinaryViewArray),
    Date(PrimitiveArray<Date32Type>),
    Time(PrimitiveArray<Time64MicrosecondType>),
    Timestamp(PrimitiveArray<TimestampMicrosecondType>),
    TimestampTz(PrimitiveArray<TimestampMicrosecondType>),
    Interval(PrimitiveArray<IntervalMonthDayNanoType>),
    /// With its scale, and whether digits behind the point that are zero are left out.
    Numeric(Decimal128Array, i8, bool),
    /// Lists, what they are, and all elements one after another.
    List(ListArray, PgType, Box<Self>),
}

/// The scales of numerics without a scale of their own, and of their products: PostgreSQL keeps the digits that were written,
/// which here are those that are not zero.
const FREE_SCALES: [i8; 2] = [10, 20];

/// The digits and the scale that are shown.
fn shown(mut digits: i128, mut scale: i8, free: bool) -> (i128, i8) {
    while free && scale > 0 && digits % 10 == 0 {
        (digits, scale) = (digits / 10, scale - 1);
    }
    (digits, scale)
}

/// The version of jsonb's binary form.
const JSONB_VERSION: &[u8] = &[1];

/// Casts to what cells are written from; a value that does not fit is an error.
fn held_as(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, SqlError> {
    if array.data_type() == data_type {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, data_type, &options)
        .map_err(|e| sql_error(b"22003", format!("a value of the result cannot be written as its type: {e}")))
}

impl Cells {
    /// The cells of a column that clients were told has this type.
    pub(crate) fn new(array: &ArrayRef, pg: PgType) -> Result<Self, SqlError> {
        if array.data_type() == &DataType::Null {
            return Ok(Self::Null);
        }
        if pg.element.is_none() {
            return Self::scalars(array, pg.shape);
        }
        let element = match array.data_type() {
            DataType::List(e) | DataType::LargeList(e) | DataType::FixedSizeList(e, _) | DataType::ListView(e) => e,
            _ => return Err(changed(array)),
        };
        let list = DataType::List(Arc::new(Field::new_list_field(element.data_type().clone(), true)));
        let list = held_as(array, &list)?.as_list::<i32>().clone();
        let elements = Self::scalars(list.values(), pg.shape)?;
        Ok(Self::List(list, pg, Box::new(elements)))
    }

    fn scalars(array: &ArrayRef, shape: Shape) -> Result<Self, SqlError> {
        let to = |data_type: &DataType| held_as(array, data_type);
        let (text, bytes) = (&DataType::Utf8View, &DataType::BinaryView);
        let moment = DataType::Timestamp(TimeUnit::Microsecond, None);
        Ok(match shape {
            Shape::Bool => Self::Bool(to(&DataType::Boolean)?.as_boolean().clone()),
            Shape::Int2 => Self::Int2(to(&DataType::Int16)?.as_primitive().clone()),
            Shape::Int4 => Self::Int4(to(&DataType::Int32)?.as_primitive().clone()),
            Shape::Int8 => Self::Int8(to(&DataType::Int64)?.as_primitive().clone()),
            Shape::Oid => Self::Oid(to(&DataType::Int64)?.as_primitive().clone()),
            Shape::Float4 => Self::Float4(to(&DataType::Float32)?.as_primitive().clone()),
            Shape::Float8 => Self::Float8(to(&DataType::Float64)?.as_primitive().clone()),
            Shape::Text | Shape::Json => Self::Text(to(text)?.as_string_view().clone(), &[]),
            Shape::Jsonb => Self::Text(to(text)?.as_string_view().clone(), JSONB_VERSION),
            Shape::Uuid if is_bytes(array.data_type()) => Self::UuidBytes(to(bytes)?.as_binary_view().clone()),
            Shape::Uuid => Self::Uuid(to(text)?.as_string_view().clone()),
            Shape::Bytes => Self::Bytes(to(bytes)?.as_binary_view().clone()),
            Shape::Date => Self::Date(to(&DataType::Date32)?.as_primitive().clone()),
            Shape::Time => Self::Time(to(&DataType::Time64(TimeUnit::Microsecond))?.as_primitive().clone()),
            Shape::Timestamp => Self::Timestamp(in_micros(array, &moment)?.as_primitive().clone()),
            Shape::TimestampTz => Self::TimestampTz(in_micros(array, &moment)?.as_primitive().clone()),
            Shape::Interval => Self::Interval(clock::spans(array).map_err(SqlError::from)?),
            Shape::Numeric => {
                let scale = match array.data_type() {
                    DataType::Decimal32(_, s)
                    | DataType::Decimal64(_, s)
                    | DataType::Decimal128(_, s)
                    | DataType::Decimal256(_, s) => *s,
                    _ => return Err(changed(array)),
                };
                let precision = match array.data_type() {
                    DataType::Decimal128(precision, _) => *precision,
                    _ => numeric::NUMERIC_DIGITS,
                };
                let numbers = to(&DataType::Decimal128(precision, scale))?.as_primitive().clone();
                Self::Numeric(numbers, scale, precision == numeric::NUMERIC_DIGITS && FREE_SCALES.contains(&scale))
            }
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(a) => a.is_null(row),
            Self::Int2(a) => a.is_null(row),
            Self::Int4(a) => a.is_null(row),
            Self::Int8(a) | Self::Oid(a) => a.is_null(row),
            Self::Float4(a) => a.is_null(row),
            Self::Float8(a) => a.is_null(row),
            Self::Text(a, _) | Self::Uuid(a) => a.is_null(row),
            Self::UuidBytes(a) | Self::Bytes(a) => a.is_null(row),
            Self::Date(a) => a.is_null(row),
            Self::Time(a) => a.is_null(row),
            Self::Timestamp(a) | Self::TimestampTz(a) => a.is_null(row),
            Self::Interval(a) => a.is_null(row),
            Self::Numeric(a, ..) => a.is_null(row),
            Self::List(a, ..) => a.is_null(row),
        }
    }

    /// Writes the cell after its length.
    pub(crate) fn write(&self, row: usize, format: Format, style: &Style, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return backend::null(out);
        }
        backend::value(out, |out| match format {
            Format::Text => self.write_text(row, style, out),
            Format::Binary => self.write_binary(row, style, out),
        });
    }

    /// The cell's text; `None` for null.
    pub(crate) fn text(&self, row: usize, style: &Style) -> Option<Cow<'_, [u8]>> {
        if self.is_null(row) {
            return None;
        }
        if let Self::Text(texts, _) = self {
            return Some(Cow::Borrowed(texts.value(row).as_bytes()));
        }
        let mut out = Vec::new();
        self.write_text(row, style, &mut out);
        Some(Cow::Owned(out))
    }

    fn write_text(&self, row: usize, style: &Style, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let mut integer = |number: i64| {
            let _ = write!(out, "{number}");
        };
        match self {
            Self::Null => {}
            Self::Int2(a) => integer(a.value(row).into()),
            Self::Int4(a) => integer(a.value(row).into()),
            Self::Int8(a) | Self::Oid(a) => integer(a.value(row)),
            Self::Bool(a) => out.push(if a.value(row) { b't' } else { b'f' }),
            Self::Float4(a) => write_f32(out, a.value(row)),
            Self::Float8(a) => write_f64(out, a.value(row)),
            Self::Text(a, _) | Self::Uuid(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Self::UuidBytes(a) => write_uuid(out, a.value(row)),
            Self::Bytes(a) => {
                out.extend_from_slice(b"\\x");
                write_hex(out, a.value(row));
            }
            Self::Date(a) => clock::write_date(out, a.value(row)),
            Self::Time(a) => clock::write_time(out, a.value(row)),
            Self::Timestamp(a) => clock::write_timestamp(out, a.value(row), None),
            Self::TimestampTz(a) => clock::write_timestamp(out, a.value(row), Some(&style.zone)),
            Self::Interval(a) => clock::write_interval(out, a.value(row)),
            Self::Numeric(a, scale, free) => {
                let (digits, scale) = shown(a.value(row), *scale, *free);
                numeric::write_text(out, digits, scale);
            }
            Self::List(lists, pg, elements) if pg.is_vector() => {
                for (place, element) in range(lists, row).enumerate() {
                    if place > 0 {
                        out.push(b' ');
                    }
                    elements.write_text(element, style, out);
                }
            }
            Self::List(lists, _, elements) => {
                let texts = range(lists, row).map(|element| elements.text(element, style));
                array_text::write(out, texts);
            }
        }
    }

    fn write_binary(&self, row: usize, style: &Style, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Bool(a) => out.push(u8::from(a.value(row))),
            Self::Int2(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Self::Int4(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Self::Int8(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            // An OID is 32 bits; what is held beyond them was no OID.
            Self::Oid(a) => out.extend_from_slice(&u32::try_from(a.value(row)).unwrap_or(0).to_be_bytes()),
            Self::Float4(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Self::Float8(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Self::Text(a, before) => {
                out.extend_from_slice(before);
                out.extend_from_slice(a.value(row).as_bytes());
            }
            Self::Uuid(a) => {
                // A text that is no UUID goes as it is: the client, not this server, then says so.
                let text = a.value(row);
                let bytes = parse_uuid(text);
                out.extend_from_slice(bytes.as_ref().map_or(text.as_bytes(), |bytes| bytes));
            }
            Self::UuidBytes(a) | Self::Bytes(a) => out.extend_from_slice(a.value(row)),
            Self::Date(a) => {
                let days = a.value(row);
                // The ends of the range stand for infinity in both countings.
                let infinite = matches!(days, i32::MAX | i32::MIN);
                let days = if infinite { days } else { days.saturating_sub(EPOCH_DAYS) };
                out.extend_from_slice(&days.to_be_bytes());
            }
            Self::Time(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Self::Timestamp(a) | Self::TimestampTz(a) => {
                let micros = a.value(row);
                let infinite = matches!(micros, i64::MAX | i64::MIN);
                let micros = if infinite { micros } else { micros.saturating_sub(EPOCH_MICROS) };
                out.extend_from_slice(&micros.to_be_bytes());
            }
            Self::Interval(a) => {
                let interval = a.value(row);
                out.extend_from_slice(&(interval.nanoseconds / 1000).to_be_bytes());
                out.extend_from_slice(&interval.days.to_be_bytes());
                out.extend_from_slice(&interval.months.to_be_bytes());
            }
            Self::Numeric(a, scale, free) => {
                let (digits, scale) = shown(a.value(row), *scale, *free);
                numeric::write_binary(out, digits, scale);
            }
            Self::List(lists, pg, elements) => {
                let range = range(lists, row);
                let has_null = range.clone().any(|element| elements.is_null(element));
                let dimensions = u32::from(!range.is_empty());
                for word in [dimensions, u32::from(has_null), pg.element.unwrap_or_default()] {
                    out.extend_from_slice(&word.to_be_bytes());
                }
                if !range.is_empty() {
                    // Its length, and the subscript of the first element.
                    out.extend_from_slice(&u32::try_from(range.len()).unwrap_or(u32::MAX).to_be_bytes());
                    out.extend_from_slice(&u32::from(!pg.is_vector()).to_be_bytes());
                }
                range.for_each(|element| elements.write(element, Format::Binary, style, out));
            }
        }
    }
}

/// Where a list's elements are among all.
fn range(lists: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = lists.value_offsets();
    let end = |at: usize| offsets.get(at).and_then(|o| usize::try_from(*o).ok()).unwrap_or(0);
    end(row)..end(row + 1)
}

/// Moments in microseconds: nanoseconds are cut off, as they are before the first cast that a client can do.
fn in_micros(array: &ArrayRef, micros: &DataType) -> Result<ArrayRef, SqlError> {
    let DataType::Timestamp(unit, zone) = array.data_type() else { return held_as(array, micros) };
    // A zone is a name only, the moment is what is held: it is taken off before the cast would apply it.
    let plain = if zone.is_some() {
        let without = array.to_data().into_builder().data_type(DataType::Timestamp(*unit, None)).build();
        arrow::array::make_array(without.map_err(|e| sql_error(b"XX000", e.to_string()))?)
    } else {
        Arc::clone(array)
    };
    held_as(&plain, micros)
}

fn is_bytes(data_type: &DataType) -> bool {
    use DataType::{Binary, BinaryView, FixedSizeBinary, LargeBinary};
    matches!(data_type, Binary | LargeBinary | BinaryView | FixedSizeBinary(_))
}

/// A result whose columns are not those that were described.
fn changed(array: &ArrayRef) -> SqlError {
    sql_error(b"0A000", format!("cached plan must not change result type (a column is {} now)", array.data_type()))
}

/// Writes bytes as hexadecimal digits.
fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]));
}

/// Writes a UUID's 16 bytes in groups.
pub(crate) fn write_uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        write_hex(out, &[*byte]);
    }
}

/// Reads a UUID in any of the forms that PostgreSQL takes.
pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let inner = text.trim();
    let inner = inner.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(inner);
    let mut digits = inner.chars().filter(|c| *c != '-');
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        let (high, low) = (digits.next()?.to_digit(16)?, digits.next()?.to_digit(16)?);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}
