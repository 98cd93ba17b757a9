//! The types that statements name: from the syntax tree to column types.

use chronolith_storage::table::ColumnType;
use datafusion::sql::sqlparser::{
    ast::{ArrayElemTypeDef, CharacterLength, DataType as SqlType, ExactNumberInfo, TimezoneInfo},
    dialect::PostgreSqlDialect,
    parser::Parser,
};

use super::NUMERIC_SCALE;
use crate::error::{Result, SqlError};

/// Digits that a NUMERIC may have.
const MOST_DIGITS: u64 = 38;
/// Characters that a VARCHAR(n) may ask for, as in PostgreSQL.
const MOST_CHARACTERS: u64 = 10_485_760;

/// Whether a type is one of SERIAL's names: an integer that gets the table's next number.
pub(crate) fn is_serial(sql_type: &SqlType) -> bool {
    custom_name(sql_type).is_some_and(|name| {
        matches!(name.as_str(), "serial" | "bigserial" | "smallserial" | "serial2" | "serial4" | "serial8")
    })
}

/// The column type that a statement names.
///
/// # Errors
/// `0A000` for a type that there is not, `22023` for a length or precision that cannot be.
pub(crate) fn declared_type(sql_type: &SqlType) -> Result<ColumnType> {
    Ok(match sql_type {
        SqlType::Bool | SqlType::Boolean => ColumnType::Bool,
        SqlType::SmallInt(_) | SqlType::Int2(_) => ColumnType::Int2,
        SqlType::Int(_) | SqlType::Integer(_) | SqlType::Int4(_) => ColumnType::Int4,
        SqlType::BigInt(_) | SqlType::Int8(_) => ColumnType::Int8,
        SqlType::Real | SqlType::Float4 => ColumnType::Float4,
        SqlType::Float(ExactNumberInfo::Precision(bits)) if *bits <= 24 => ColumnType::Float4,
        SqlType::Float(_) | SqlType::Float8 | SqlType::DoublePrecision | SqlType::Double(ExactNumberInfo::None) => {
            ColumnType::Float8
        }
        SqlType::Text | SqlType::String(None) => ColumnType::Text,
        SqlType::Varchar(length) | SqlType::CharacterVarying(length) | SqlType::CharVarying(length) => {
            ColumnType::Varchar(characters(length.as_ref())?)
        }
        SqlType::Char(length) | SqlType::Character(length) => {
            ColumnType::Char(characters(length.as_ref())?.unwrap_or(1))
        }
        SqlType::Bytea => ColumnType::Bytes,
        SqlType::Date => ColumnType::Date,
        SqlType::Time(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            micros(*precision, sql_type)?;
            ColumnType::Time
        }
        SqlType::Timestamp(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            micros(*precision, sql_type)?;
            ColumnType::Timestamp
        }
        SqlType::Timestamp(Some(9), _) => ColumnType::TimestampNanos,
        SqlType::Timestamp(precision, _) => {
            micros(*precision, sql_type)?;
            ColumnType::TimestampTz
        }
        SqlType::Interval { .. } => ColumnType::Interval,
        SqlType::Uuid => ColumnType::Uuid,
        SqlType::JSON => ColumnType::Json,
        SqlType::JSONB => ColumnType::Jsonb,
        SqlType::Numeric(info) | SqlType::Decimal(info) | SqlType::Dec(info) => numeric(info)?,
        SqlType::Array(ArrayElemTypeDef::SquareBracket(of, _) | ArrayElemTypeDef::AngleBracket(of)) => {
            let array = ColumnType::Array(Box::new(declared_type(of)?));
            if array.kind().is_none() {
                return Err(SqlError::unsupported(format!("the type {sql_type}")));
            }
            array
        }
        other => return named(other),
    })
}

/// A type of `pg_catalog` that the parser knows by its name alone.
fn of_catalog(sql_type: &SqlType) -> Option<ColumnType> {
    let SqlType::Custom(name, modifiers) = sql_type else { return None };
    let [schema, of] = name.0.as_slice() else { return None };
    if !modifiers.is_empty() || schema.as_ident()?.value != "pg_catalog" {
        return None;
    }
    let of = &of.as_ident()?.value;
    let (of, is_array) = of.strip_prefix('_').map_or((of.as_str(), false), |of| (of, true));
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(of).ok()?.parse_data_type().ok()?;
    let declared = declared_type(&parsed).ok()?;
    Some(if is_array { ColumnType::Array(Box::new(declared)) } else { declared })
}

fn named(sql_type: &SqlType) -> Result<ColumnType> {
    if let Some(known) = of_catalog(sql_type) {
        return Ok(known);
    }
    let name = custom_name(sql_type);
    Ok(match name.as_deref() {
        Some("serial" | "serial4") => ColumnType::Int4,
        Some("bigserial" | "serial8") => ColumnType::Int8,
        Some("smallserial" | "serial2") => ColumnType::Int2,
        Some("timestamptz") => ColumnType::TimestampTz,
        Some("bpchar") => ColumnType::Char(1),
        Some("citext" | "name") => ColumnType::Text,
        Some("bool") => ColumnType::Bool,
        _ => {
            return Err(SqlError::unsupported(format!("the type {sql_type}")).with_hint(
                "there are BOOLEAN, SMALLINT, INTEGER, BIGINT, REAL, DOUBLE PRECISION, NUMERIC, TEXT, VARCHAR, CHAR, \
                 BYTEA, DATE, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL, UUID, JSON, JSONB and arrays of most of them",
            ));
        }
    })
}

/// The last part of a type's name that the parser does not know, in lower case.
fn custom_name(sql_type: &SqlType) -> Option<String> {
    let SqlType::Custom(name, modifiers) = sql_type else { return None };
    if !modifiers.is_empty() {
        return None;
    }
    Some(name.0.last()?.as_ident()?.value.to_ascii_lowercase())
}

fn characters(length: Option<&CharacterLength>) -> Result<Option<u32>> {
    match length {
        None => Ok(None),
        Some(CharacterLength::IntegerLength { length: length @ 1..=MOST_CHARACTERS, .. }) => {
            Ok(u32::try_from(*length).ok())
        }
        Some(other) => Err(SqlError::new(
            b"22023",
            format!("a length of {other} characters is not between 1 and {MOST_CHARACTERS}"),
        )),
    }
}

fn micros(precision: Option<u64>, sql_type: &SqlType) -> Result<()> {
    match precision {
        None | Some(6) => Ok(()),
        Some(_) => Err(SqlError::unsupported(format!("the precision of {sql_type}"))
            .with_hint("times are held in microseconds; TIMESTAMPTZ(9) holds nanoseconds")),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<ColumnType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(ColumnType::Numeric { precision: None, scale: NUMERIC_SCALE }),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let fits = (1..=MOST_DIGITS).contains(&precision) && scale >= 0 && scale.unsigned_abs() <= precision;
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if fits => Ok(ColumnType::Numeric { precision: Some(precision), scale }),
        _ => Err(SqlError::new(
            b"22023",
            format!(
                "NUMERIC({precision}, {scale}) is not between 1 and {MOST_DIGITS} digits, with a scale of 0 to as many"
            ),
        )),
    }
}
