//! Values of parameters, decoded from text or binary into what the SQL engine takes.

use arrow::{array::types::IntervalMonthDayNano, datatypes::DataType};
use chronolith_sql::{
    ScalarValue, SqlError,
    clock::{self, Wrong, Zone},
};

use super::{
    cells::{self, EPOCH_DAYS, EPOCH_MICROS},
    failure::sql_error,
    types::{PgType, Shape},
};
use crate::ingest::postgres::{
    array_text::{self, ArrayError},
    frontend::Format,
    numeric::{self, NUMERIC_DIGITS, Numeric, NumericError},
};

/// Decodes the value of parameter `$number`, `None` being null, and makes it one of `wanted`'s type.
pub(crate) fn decode(
    number: usize,
    value: Option<&[u8]>,
    format: Format,
    pg: PgType,
    wanted: &DataType,
    zone: &Zone,
) -> Result<ScalarValue, SqlError> {
    let scalar = match value {
        None => null(wanted)?,
        Some(bytes) => match (format, pg.element) {
            (Format::Text, None) => from_text(utf8(bytes)?, pg.shape, zone)?,
            (Format::Text, Some(_)) => list_from_text(utf8(bytes)?, pg, zone)?,
            (Format::Binary, None) => from_binary(bytes, pg.shape)?.ok_or_else(|| wrong_binary(number))?,
            (Format::Binary, Some(_)) => list_from_binary(bytes, pg, number)?,
        },
    };
    if scalar.data_type() == *wanted || *wanted == DataType::Null {
        return Ok(scalar);
    }
    scalar.cast_to(wanted).map_err(|e| sql_error(b"22003", format!("the value of parameter ${number}: {e}")))
}

fn null(data_type: &DataType) -> Result<ScalarValue, SqlError> {
    ScalarValue::try_from(data_type).map_err(|e| sql_error(b"0A000", e.to_string()))
}

fn utf8(bytes: &[u8]) -> Result<&str, SqlError> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.ok_or_else(|| sql_error(b"22021", "invalid byte sequence for encoding \"UTF8\" in a parameter"))
}

fn wrong_binary(number: usize) -> SqlError {
    sql_error(b"22P03", format!("incorrect binary data format in bind parameter {number}"))
}

/// The name that PostgreSQL's messages give a type.
fn name(shape: Shape) -> &'static str {
    match shape {
        Shape::Bool => "boolean",
        Shape::Int2 => "smallint",
        Shape::Int4 => "integer",
        Shape::Int8 => "bigint",
        Shape::Oid => "oid",
        Shape::Float4 => "real",
        Shape::Float8 => "double precision",
        Shape::Text => "text",
        Shape::Uuid => "uuid",
        Shape::Json | Shape::Jsonb => "json",
        Shape::Bytes => "bytea",
        Shape::Date => "date",
        Shape::Time => "time",
        Shape::Timestamp => "timestamp",
        Shape::TimestampTz => "timestamp with time zone",
        Shape::Interval => "interval",
        Shape::Numeric => "numeric",
    }
}

fn syntax(shape: Shape, text: &str) -> SqlError {
    // A long text is not repeated whole.
    let shown: String = text.chars().take(100).collect();
    sql_error(b"22P02", format!("invalid input syntax for type {}: \"{shown}\"", name(shape)))
}

fn out_of_range(shape: Shape) -> SqlError {
    sql_error(b"22003", format!("value is out of range for type {}", name(shape)))
}

fn integer<T: TryFrom<i64>>(text: &str, shape: Shape) -> Result<T, SqlError> {
    let text = text.trim();
    let number: i64 = text.parse().map_err(|_| match numeric::read_text(text) {
        Ok(Numeric { scale: 0, .. }) => out_of_range(shape),
        _ => syntax(shape, text),
    })?;
    T::try_from(number).map_err(|_| out_of_range(shape))
}

fn float<T: std::str::FromStr>(text: &str, shape: Shape) -> Result<T, SqlError> {
    text.trim().parse().map_err(|_| syntax(shape, text))
}

fn boolean(text: &str) -> Option<bool> {
    let lower = text.trim().to_ascii_lowercase();
    let is = |word: &str, least: usize| lower.len() >= least && word.starts_with(&lower);
    if lower == "1" || is("true", 1) || is("yes", 1) || lower == "on" {
        Some(true)
    } else if lower == "0" || is("false", 1) || is("no", 1) || is("off", 2) {
        Some(false)
    } else {
        None
    }
}

fn bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        if !digits.len().is_multiple_of(2) {
            return None;
        }
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        return digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? * 16 + digit(pair[1])?)).collect();
    }
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            bytes.push(first);
        } else if let Some(after) = rest.strip_prefix(b"\\") {
            bytes.push(b'\\');
            rest = after;
        } else {
            let (octal, after) = rest.split_at_checked(3)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(octal).ok()?, 8).ok()?);
            rest = after;
        }
    }
    Some(bytes)
}

fn decimal(number: Result<Numeric, NumericError>, text: &str) -> Result<ScalarValue, SqlError> {
    match number {
        Ok(n) => Ok(ScalarValue::Decimal128(Some(n.digits), NUMERIC_DIGITS, n.scale.cast_signed())),
        Err(NumericError::Syntax) => Err(syntax(Shape::Numeric, text)),
        Err(NumericError::Range) => {
            Err(sql_error(b"22003", format!("a numeric has at most {NUMERIC_DIGITS} digits and is finite")))
        }
    }
}

/// The zone that moments are marked with.
fn utc() -> Option<std::sync::Arc<str>> {
    Some("UTC".into())
}

fn from_text(text: &str, shape: Shape, zone: &Zone) -> Result<ScalarValue, SqlError> {
    let wrong = || syntax(shape, text);
    let no_time = |why: Wrong| why.error(text, name(shape));
    Ok(match shape {
        Shape::Bool => ScalarValue::Boolean(Some(boolean(text).ok_or_else(wrong)?)),
        Shape::Int2 => ScalarValue::Int16(Some(integer(text, shape)?)),
        Shape::Int4 => ScalarValue::Int32(Some(integer(text, shape)?)),
        Shape::Int8 => ScalarValue::Int64(Some(integer(text, shape)?)),
        Shape::Oid => ScalarValue::Int64(Some(integer::<u32>(text, shape)?.into())),
        Shape::Float4 => ScalarValue::Float32(Some(float(text, shape)?)),
        Shape::Float8 => ScalarValue::Float64(Some(float(text, shape)?)),
        Shape::Text | Shape::Json | Shape::Jsonb => ScalarValue::Utf8View(Some(text.to_owned())),
        Shape::Uuid => uuid(&cells::parse_uuid(text).ok_or_else(wrong)?),
        Shape::Bytes => ScalarValue::BinaryView(Some(bytea(text).ok_or_else(wrong)?)),
        Shape::Date => ScalarValue::Date32(Some(clock::parse_date(text, zone).map_err(no_time)?)),
        Shape::Time => ScalarValue::Time64Microsecond(Some(clock::parse_time(text).map_err(no_time)?)),
        Shape::Timestamp => {
            ScalarValue::TimestampMicrosecond(Some(clock::parse_timestamp(text, zone).map_err(no_time)?), None)
        }
        Shape::TimestampTz => {
            ScalarValue::TimestampMicrosecond(Some(clock::parse_moment(text, zone).map_err(no_time)?), utc())
        }
        Shape::Interval => {
            let span = clock::parse_interval(text).ok_or(Wrong::Syntax).map_err(no_time)?;
            ScalarValue::IntervalMonthDayNano(Some(span))
        }
        Shape::Numeric => decimal(numeric::read_text(text), text)?,
    })
}

fn uuid(bytes: &[u8]) -> ScalarValue {
    let mut text = Vec::with_capacity(36);
    cells::write_uuid(&mut text, bytes);
    ScalarValue::Utf8View(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Decodes a binary value; `None` when its length is not one that the type has.
fn from_binary(bytes: &[u8], shape: Shape) -> Result<Option<ScalarValue>, SqlError> {
    fn exact<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
        bytes.try_into().ok()
    }
    let int2 = || exact(bytes).map(i16::from_be_bytes);
    let int4 = || exact(bytes).map(i32::from_be_bytes);
    let int8 = || exact(bytes).map(i64::from_be_bytes);
    let float8 = || exact(bytes).map(f64::from_be_bytes);
    // The ends of the range stand for infinity in both countings.
    let moment = || {
        let micros = int8()?;
        if matches!(micros, i64::MAX | i64::MIN) { Some(micros) } else { micros.checked_add(EPOCH_MICROS) }
    };
    Ok(match shape {
        Shape::Bool => exact(bytes).map(|[byte]: [u8; 1]| ScalarValue::Boolean(Some(byte != 0))),
        Shape::Int2 => int2().map(|n| ScalarValue::Int16(Some(n))),
        Shape::Int4 => int4().map(|n| ScalarValue::Int32(Some(n))),
        Shape::Int8 => int8().map(|n| ScalarValue::Int64(Some(n))),
        Shape::Oid => int4().map(|n| ScalarValue::Int64(Some(n.cast_unsigned().into()))),
        Shape::Float4 => exact(bytes).map(|b| ScalarValue::Float32(Some(f32::from_be_bytes(b)))),
        Shape::Float8 => float8().map(|n| ScalarValue::Float64(Some(n))),
        Shape::Text | Shape::Json => Some(ScalarValue::Utf8View(Some(utf8(bytes)?.to_owned()))),
        Shape::Jsonb => match bytes.split_first() {
            Some((1, text)) => Some(ScalarValue::Utf8View(Some(utf8(text)?.to_owned()))),
            _ => return Err(sql_error(b"0A000", "unsupported jsonb version number: this server knows 1")),
        },
        Shape::Uuid => exact::<16>(bytes).map(|b| uuid(&b)),
        Shape::Bytes => Some(ScalarValue::BinaryView(Some(bytes.to_vec()))),
        Shape::Date => int4().and_then(|days| {
            let infinite = matches!(days, i32::MAX | i32::MIN);
            let days = if infinite { Some(days) } else { days.checked_add(EPOCH_DAYS) };
            days.map(|days| ScalarValue::Date32(Some(days)))
        }),
        Shape::Time => int8()
            .filter(|micros| (0..=clock::DAY_MICROS).contains(micros))
            .map(|micros| ScalarValue::Time64Microsecond(Some(micros))),
        Shape::Timestamp => moment().map(|micros| ScalarValue::TimestampMicrosecond(Some(micros), None)),
        Shape::TimestampTz => moment().map(|micros| ScalarValue::TimestampMicrosecond(Some(micros), utc())),
        Shape::Interval => exact::<16>(bytes).map(i128::from_be_bytes).and_then(|packed| {
            // 64 bits of microseconds, then 32 of days, then 32 of months.
            let nanoseconds = i64::try_from(packed >> 64).ok()?.checked_mul(1000)?;
            let low = |shift: u32| i32::from_be_bytes(((packed >> shift) as u32).to_be_bytes());
            let interval = IntervalMonthDayNano { months: low(0), days: low(32), nanoseconds };
            Some(ScalarValue::IntervalMonthDayNano(Some(interval)))
        }),
        Shape::Numeric => Some(decimal(numeric::read_binary(bytes), "binary data")?),
    })
}

fn list(mut elements: Vec<ScalarValue>, pg: PgType) -> Result<ScalarValue, SqlError> {
    let mut data_type = match pg.arrow() {
        DataType::List(element) => element.data_type().clone(),
        other => other,
    };
    if pg.shape == Shape::Numeric {
        // All with as many places as the one that has the most.
        let scale = |e: &ScalarValue| if let ScalarValue::Decimal128(Some(_), _, scale) = e { *scale } else { 0 };
        data_type = DataType::Decimal128(NUMERIC_DIGITS, elements.iter().map(scale).max().unwrap_or(0));
        for element in &mut elements {
            *element = element.cast_to(&data_type).map_err(|e| sql_error(b"22003", e.to_string()))?;
        }
    }
    Ok(ScalarValue::List(ScalarValue::new_list(&elements, &data_type, true)))
}

fn element_null(pg: PgType) -> Result<ScalarValue, SqlError> {
    match pg.arrow() {
        DataType::List(element) => null(element.data_type()),
        other => null(&other),
    }
}

fn one_dimension() -> SqlError {
    sql_error(b"0A000", "arrays of more than one dimension, or that do not begin at 1, are not supported")
}

fn list_from_text(text: &str, pg: PgType, zone: &Zone) -> Result<ScalarValue, SqlError> {
    let elements = array_text::read(text).map_err(|e| match e {
        ArrayError::Syntax => {
            let shown: String = text.chars().take(100).collect();
            sql_error(b"22P02", format!("malformed array literal: \"{shown}\""))
        }
        ArrayError::Shape => one_dimension(),
    })?;
    let decode = |element: Option<String>| match element {
        Some(text) => from_text(&text, pg.shape, zone),
        None => element_null(pg),
    };
    list(elements.into_iter().map(decode).collect::<Result<_, _>>()?, pg)
}

fn list_from_binary(bytes: &[u8], pg: PgType, number: usize) -> Result<ScalarValue, SqlError> {
    let wrong = || wrong_binary(number);
    let (head, mut rest) = bytes.split_first_chunk::<12>().ok_or_else(wrong)?;
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let dimensions = word(0);
    if Some(word(8)) != pg.element {
        let said = pg.element.unwrap_or_default();
        return Err(sql_error(
            b"42804",
            format!("parameter ${number}: elements of type {} in an array of {said}", word(8)),
        ));
    }
    if dimensions == 0 && rest.is_empty() {
        return list(Vec::new(), pg);
    }
    let (shape, elements) = rest.split_first_chunk::<8>().ok_or_else(wrong)?;
    let (length, lower) = (u32::from_be_bytes([shape[0], shape[1], shape[2], shape[3]]), &shape[4..]);
    if dimensions != 1 || lower != [0, 0, 0, 1] {
        return Err(one_dimension());
    }
    rest = elements;
    let length = usize::try_from(length).ok().filter(|l| l.saturating_mul(4) <= rest.len()).ok_or_else(wrong)?;
    let mut found = Vec::with_capacity(length);
    for _ in 0..length {
        let (size, after) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
        rest = after;
        found.push(match usize::try_from(i32::from_be_bytes(*size)) {
            Err(_) => element_null(pg)?,
            Ok(size) => {
                let (value, after) = rest.split_at_checked(size).ok_or_else(wrong)?;
                rest = after;
                from_binary(value, pg.shape)?.ok_or_else(wrong)?
            }
        });
    }
    if rest.is_empty() { list(found, pg) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ArrayRef;

    use super::super::cells::{Cells, Style};
    use super::*;

    fn both_ways(pg: PgType, text: &str) -> (String, String) {
        let zone = Zone::parse("UTC").unwrap();
        let style = Style { zone };
        let scalar = decode(1, Some(text.as_bytes()), Format::Text, pg, &DataType::Null, &zone).unwrap();
        let array: ArrayRef = scalar.to_array().unwrap();
        let written = |array: &ArrayRef, format| {
            let mut out = Vec::new();
            Cells::new(array, pg).unwrap().write(0, format, &style, &mut out);
            out.split_off(4)
        };
        let binary = written(&array, Format::Binary);
        let again = decode(1, Some(&binary), Format::Binary, pg, &DataType::Null, &zone).unwrap();
        let shown = |array: &ArrayRef| String::from_utf8(written(array, Format::Text)).unwrap();
        (shown(&array), shown(&again.to_array().unwrap()))
    }

    #[test]
    fn values_of_every_type_pass_through_text_and_binary() {
        for (name, texts) in [
            ("bool", ["t", "f"]),
            ("int2", ["-32768", "7"]),
            ("int4", ["2147483647", "0"]),
            ("int8", ["-9223372036854775808", "1"]),
            ("oid", ["4294967295", "0"]),
            ("float4", ["1.5", "-Infinity"]),
            ("float8", ["0.1", "NaN"]),
            ("text", ["\u{e4} x", "a\\b"]),
            ("varchar", ["x", "y"]),
            ("uuid", ["0188d3a4-5c0f-7b3c-9f00-0123456789ab", "00000000-0000-0000-0000-000000000000"]),
            ("json", ["{\"a\": 1}", "null"]),
            ("jsonb", ["{\"a\": 1}", "[]"]),
            ("bytea", ["\\x00ff", "\\x"]),
            ("date", ["2026-02-28", "infinity"]),
            ("time", ["23:59:59.5", "00:00:00"]),
            ("timestamp", ["2026-02-28 12:00:00", "1969-12-31 23:59:59.999999"]),
            ("timestamptz", ["2026-02-28 12:00:00+00", "-infinity"]),
            ("interval", ["1 year 2 mons 3 days 04:05:06", "-1 days"]),
            ("numeric", ["-123.4500", "0.000000000001"]),
        ] {
            let pg = PgType::of_name(name).unwrap();
            let array = PgType::of_name(&format!("{name}[]")).unwrap();
            for text in texts {
                assert_eq!(both_ways(pg, text), (text.to_owned(), text.to_owned()), "{name}");
                let mut list = Vec::new();
                array_text::write(&mut list, [Some(text.as_bytes().into()), None].into_iter());
                let list = String::from_utf8(list).unwrap();
                assert_eq!(both_ways(array, &list), (list.clone(), list), "{name}[]");
            }
            assert_eq!(both_ways(array, "{}"), ("{}".to_owned(), "{}".to_owned()), "{name}[]");
        }
    }

    #[test]
    fn wrong_values_are_refused_with_postgresqls_codes() {
        let zone = Zone::parse("UTC").unwrap();
        for (name, format, value, state) in [
            ("int4", Format::Text, b"abc".as_slice(), "22P02"),
            ("int4", Format::Text, b"2147483648", "22003"),
            ("int8", Format::Text, b"9223372036854775808", "22003"),
            ("int4", Format::Binary, b"123", "22P03"),
            ("bool", Format::Text, b"maybe", "22P02"),
            ("bytea", Format::Text, b"\\x0", "22P02"),
            ("uuid", Format::Text, b"x", "22P02"),
            ("timestamptz", Format::Text, b"some day", "22007"),
            ("date", Format::Text, b"2026-02-30", "22008"),
            ("text", Format::Text, b"\xff", "22021"),
            ("text", Format::Binary, b"a\0b", "22021"),
            ("jsonb", Format::Binary, b"\x02{}", "0A000"),
            ("numeric", Format::Text, b"NaN", "22003"),
            ("int4[]", Format::Text, b"{1", "22P02"),
            ("int4[]", Format::Text, b"{{1}}", "0A000"),
            ("int4[]", Format::Binary, b"\0\0\0\x01\0\0\0\0\0\0\0\x17\xff\xff\xff\xff\0\0\0\x01", "22P03"),
            ("int4[]", Format::Binary, b"\0\0\0\x02\0\0\0\0\0\0\0\x17\0\0\0\0\0\0\0\x01", "0A000"),
            ("int4[]", Format::Binary, b"\0\0\0\0\0\0\0\0\0\0\0\x19", "42804"),
        ] {
            let pg = PgType::of_name(name).unwrap();
            let error = decode(1, Some(value), format, pg, &DataType::Null, &zone).unwrap_err();
            assert_eq!(error.state.as_str(), state, "{name} {value:?}: {error}");
        }
    }

    #[test]
    fn a_value_takes_the_type_that_is_wanted() {
        let zone = Zone::parse("UTC").unwrap();
        let pg = PgType::of_name("numeric").unwrap();
        let wanted = DataType::Decimal128(10, 2);
        let scalar = decode(1, Some(b"1.5"), Format::Text, pg, &wanted, &zone).unwrap();
        assert_eq!(scalar, ScalarValue::Decimal128(Some(150), 10, 2));
        assert_eq!(decode(1, None, Format::Text, pg, &DataType::Utf8View, &zone).unwrap(), ScalarValue::Utf8View(None));
        let nested = DataType::List(Arc::new(arrow::datatypes::Field::new_list_field(DataType::Int64, true)));
        assert!(decode(1, None, Format::Binary, pg, &nested, &zone).unwrap().is_null());
    }
}
