//! Values of a query made those of a column: casts and checks as PostgreSQL's assignment does them.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder},
    compute::{CastOptions, cast_with_options},
    datatypes::{
        ArrowPrimitiveType, DataType, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
        TimestampNanosecondType,
    },
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use chronolith_storage::table::{ColumnDefinition, ColumnType};

use super::{json, parse::list_of, parse_texts, type_text};
use crate::{
    clock,
    error::{Result, SqlError},
    functions,
};

/// The values as an array of the type's kind. Texts are read as input; others are cast.
///
/// # Errors
/// PostgreSQL's codes: `22001` too long, `22003` out of range, `22P02` not of the type, `42804` no cast.
pub(crate) fn assign(values: &ArrayRef, column_type: &ColumnType, zone: &str) -> Result<ArrayRef> {
    let Some(kind) = column_type.kind() else { return Err(SqlError::unsupported(type_text(column_type))) };
    let wanted = kind.arrow();
    let values = match values.data_type() {
        DataType::Null => return Ok(arrow::array::new_null_array(&wanted, values.len())),
        DataType::Dictionary(_, of) => {
            &cast_with_options(values, of, &strict()).map_err(|e| cast_error(&e, column_type))?
        }
        _ => values,
    };
    match (values.data_type(), column_type) {
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, _) => {
            let texts =
                cast_with_options(values, &DataType::Utf8View, &strict()).map_err(|e| cast_error(&e, column_type))?;
            assign_texts(texts.as_string_view(), column_type, zone)
        }
        (
            _,
            ColumnType::Text
            | ColumnType::Varchar(_)
            | ColumnType::Char(_)
            | ColumnType::Json
            | ColumnType::Jsonb
            | ColumnType::Uuid,
        ) => assign_texts(&texts_of(values, zone)?, column_type, zone),
        (DataType::Duration(_), ColumnType::Interval) => {
            Ok(Arc::new(clock::spans(values).map_err(|e| cast_error(&e, column_type))?))
        }
        (
            DataType::Timestamp(_, from),
            ColumnType::Timestamp | ColumnType::TimestampTz | ColumnType::TimestampNanos,
        ) => timestamps(values, from.as_deref(), column_type, zone),
        (DataType::Float32 | DataType::Float64, ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8) => {
            rounded(values, column_type)
        }
        (DataType::Decimal128(..), ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8) => {
            // Arrow rounds between numerics, half away from zero, but not to integers.
            let whole = DataType::Decimal128(38, 0);
            let whole = cast_with_options(values, &whole, &strict()).map_err(|e| cast_error(&e, column_type))?;
            cast_with_options(&whole, &wanted, &strict())
                .map_err(|_| SqlError::new(b"22003", format!("{} out of range", type_text(column_type))))
        }
        (DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..), ColumnType::Array(of)) => {
            lists(values, of, zone)
        }
        (_, ColumnType::Numeric { precision, scale }) => decimals(values, *precision, *scale, column_type),
        (from, _) if *from == wanted => Ok(Arc::clone(values)),
        _ => cast_with_options(values, &wanted, &strict()).map_err(|e| cast_error(&e, column_type)),
    }
}

/// Refuses a null where the column must have a value.
///
/// # Errors
/// `23502`.
pub(crate) fn check_not_null(values: &ArrayRef, column: &ColumnDefinition, table: &str) -> Result<()> {
    if column.not_null && values.null_count() > 0 {
        let message =
            format!("null value in column \"{}\" of relation \"{table}\" violates not-null constraint", column.name);
        return Err(SqlError::new(b"23502", message).with_about(table, Some(&column.name), None));
    }
    Ok(())
}

/// A text as it is held by a column of this type: within its length, in its canonical form.
pub(super) fn checked_text<'a>(text: &'a str, column_type: &ColumnType) -> Result<Cow<'a, str>> {
    if text.contains('\0') {
        return Err(SqlError::new(b"22021", "invalid byte sequence for encoding \"UTF8\": 0x00"));
    }
    match column_type {
        ColumnType::Varchar(Some(most)) => within(text, *most, column_type),
        // Blanks at the end do not count in CHAR; they are not held.
        ColumnType::Char(most) => within(text.trim_end_matches(' '), *most, column_type),
        ColumnType::Uuid => Ok(Cow::Owned(uuid(text)?)),
        ColumnType::Json => json::check(text).map(|()| Cow::Borrowed(text)),
        ColumnType::Jsonb => json::canonical(text).map(Cow::Owned),
        _ => Ok(Cow::Borrowed(text)),
    }
}

/// A text of at most so many characters; blanks beyond are cut off, as the standard has it.
fn within<'a>(text: &'a str, most: u32, column_type: &ColumnType) -> Result<Cow<'a, str>> {
    if text.len() <= most as usize {
        return Ok(text.into());
    }
    match text.char_indices().nth(most as usize) {
        None => Ok(text.into()),
        Some((end, _)) if text[end..].bytes().all(|b| b == b' ') => Ok(text[..end].into()),
        Some(_) => Err(SqlError::new(b"22001", format!("value too long for type {}", type_text(column_type)))),
    }
}

fn uuid(text: &str) -> Result<String> {
    let invalid = || SqlError::new(b"22P02", format!("invalid input syntax for type uuid: \"{text}\""));
    let inner = text.trim();
    let inner = inner.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(inner);
    let digits: String = inner.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(invalid());
    }
    Ok(format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]))
}

fn strict() -> CastOptions<'static> {
    CastOptions { safe: false, format_options: FormatOptions::default() }
}

fn cast_error(error: &ArrowError, column_type: &ColumnType) -> SqlError {
    match error {
        ArrowError::CastError(reason) if reason.starts_with("Casting from") => {
            SqlError::new(b"42804", format!("the column is of type {}: {reason}", type_text(column_type)))
                .with_hint("write a cast")
        }
        _ => SqlError::new(b"22003", format!("{} out of range ({error})", type_text(column_type))),
    }
}

fn assign_texts(texts: &StringViewArray, column_type: &ColumnType, zone: &str) -> Result<ArrayRef> {
    // Texts that need no check are not copied.
    if matches!(column_type, ColumnType::Text | ColumnType::Varchar(None))
        && texts.iter().flatten().all(|t| !t.contains('\0'))
    {
        return Ok(Arc::new(texts.clone()));
    }
    parse_texts(texts.iter(), column_type, zone)
}

/// The texts of values of any type; moments are told in a zone.
pub(crate) fn texts_of(values: &ArrayRef, zone: &str) -> Result<StringViewArray> {
    if let Some(texts) = functions::texts_of_times(values, zone)? {
        return Ok(texts);
    }
    let options = FormatOptions::default();
    let internal = |e: ArrowError| SqlError::new(b"XX000", e.to_string());
    let formatter = ArrayFormatter::try_new(values, &options).map_err(internal)?;
    let mut out = StringViewBuilder::with_capacity(values.len());
    for row in 0..values.len() {
        if values.is_null(row) {
            out.append_null();
        } else {
            out.append_value(formatter.value(row).try_to_string().map_err(internal)?);
        }
    }
    Ok(out.finish())
}

fn timestamps(values: &ArrayRef, from: Option<&str>, column_type: &ColumnType, zone: &str) -> Result<ArrayRef> {
    let fail = |e: ArrowError| SqlError::new(b"22008", format!("timestamp out of range ({e})"));
    let (unit, zoned) = match column_type {
        ColumnType::Timestamp => (TimeUnit::Microsecond, false),
        ColumnType::TimestampNanos => (TimeUnit::Nanosecond, true),
        _ => (TimeUnit::Microsecond, true),
    };
    // Between moments and local times, the session's zone tells.
    let moved = match (from.is_some(), zoned) {
        (false, true) => {
            let DataType::Timestamp(from_unit, _) = values.data_type() else { return Ok(Arc::clone(values)) };
            cast_with_options(values, &DataType::Timestamp(*from_unit, Some(zone.into())), &strict()).map_err(fail)?
        }
        (true, false) => {
            let DataType::Timestamp(from_unit, _) = values.data_type() else { return Ok(Arc::clone(values)) };
            let local = DataType::Timestamp(*from_unit, Some(zone.into()));
            let local = cast_with_options(values, &local, &strict()).map_err(fail)?;
            cast_with_options(&local, &DataType::Timestamp(*from_unit, None), &strict()).map_err(fail)?
        }
        _ => Arc::clone(values),
    };
    let zone = moved.data_type().clone();
    let target = match &zone {
        DataType::Timestamp(_, zone) => DataType::Timestamp(unit, zone.clone()),
        _ => return Ok(moved),
    };
    let cast = cast_with_options(&moved, &target, &strict()).map_err(fail)?;
    Ok(match unit {
        TimeUnit::Nanosecond => {
            Arc::new(cast.as_primitive::<TimestampNanosecondType>().clone().with_timezone_opt(None::<&str>))
        }
        _ => Arc::new(cast.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<&str>)),
    })
}

/// Integers next to floats, ties to even.
fn rounded(values: &ArrayRef, column_type: &ColumnType) -> Result<ArrayRef> {
    let floats = cast_with_options(values, &DataType::Float64, &strict()).map_err(|e| cast_error(&e, column_type))?;
    let floats = floats.as_primitive::<Float64Type>();
    fn to<T: ArrowPrimitiveType<Native: TryFrom<i128>>>(
        floats: &arrow::array::Float64Array,
        column_type: &ColumnType,
    ) -> Result<ArrayRef> {
        let integers: arrow::array::PrimitiveArray<T> = floats.try_unary(|value| {
            let rounded = value.round_ties_even();
            let integer = if rounded.is_nan() { None } else { Some(rounded as i128) };
            integer
                .and_then(|i| T::Native::try_from(i).ok())
                .ok_or_else(|| SqlError::new(b"22003", format!("{} out of range", type_text(column_type))))
        })?;
        Ok(Arc::new(integers))
    }
    match column_type {
        ColumnType::Int2 => to::<Int16Type>(floats, column_type),
        ColumnType::Int4 => to::<Int32Type>(floats, column_type),
        _ => to::<Int64Type>(floats, column_type),
    }
}

fn decimals(values: &ArrayRef, precision: Option<u8>, scale: u8, column_type: &ColumnType) -> Result<ArrayRef> {
    if matches!(values.data_type(), DataType::Float32 | DataType::Float64) {
        // Through the shortest text, so that 0.1 is 0.1.
        return assign_texts(&texts_of(values, super::UTC)?, column_type, super::UTC);
    }
    let wide = DataType::Decimal128(38, scale as i8);
    let cast = cast_with_options(values, &wide, &strict()).map_err(|e| cast_error(&e, column_type))?;
    if let Some(precision) = precision {
        let most = 10_i128.pow(u32::from(precision));
        let decimals = cast.as_primitive::<arrow::datatypes::Decimal128Type>();
        if decimals.iter().flatten().any(|v| v.abs() >= most) {
            return Err(super::parse::overflow(Some(precision), scale));
        }
    }
    Ok(cast)
}

fn lists(values: &ArrayRef, of: &ColumnType, zone: &str) -> Result<ArrayRef> {
    let fail = |e: ArrowError| SqlError::new(b"42804", e.to_string());
    let element = match values.data_type() {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => Arc::clone(field),
        other => return Err(SqlError::new(b"42804", format!("{other} is not an array"))),
    };
    let list = cast_with_options(values, &DataType::List(element), &strict()).map_err(fail)?;
    let list = list.as_list::<i32>();
    let mut lengths = Vec::with_capacity(list.len());
    let mut rows: Vec<ArrayRef> = Vec::new();
    for row in 0..list.len() {
        lengths.push(list.is_valid(row).then(|| list.value(row).len()));
        if list.is_valid(row) {
            rows.push(list.value(row));
        }
    }
    let rows: Vec<&dyn Array> = rows.iter().map(|r| &**r).collect();
    let elements = if rows.is_empty() {
        arrow::array::new_empty_array(&list.value_type())
    } else {
        arrow::compute::concat(&rows).map_err(fail)?
    };
    if elements.logical_null_count() > 0 {
        return Err(SqlError::unsupported(format!("a null element in an array of type {}[]", type_text(of))));
    }
    list_of(&assign(&elements, of, zone)?, &lengths)
}
