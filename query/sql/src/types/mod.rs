//! PostgreSQL's types: how they are declared, held as Arrow arrays, and told to clients.

mod assign;
mod declare;
pub mod float_text;
mod json;
mod parse;
mod planner;

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, TimeUnit};
use chronolith_storage::table::ColumnType;

pub(crate) use assign::{assign, check_not_null};
pub(crate) use declare::{declared_type, is_serial};
pub(crate) use parse::{decimal, parse_texts, read_bytes};
pub(crate) use planner::PgTypes;

/// The key in a field's metadata that names the PostgreSQL type where Arrow's alone does not tell it.
pub const PG_TYPE: &str = "pg_type";
/// The key in a field's metadata with PostgreSQL's type modifier, such as `54` of `varchar(50)`.
pub const PG_TYPMOD: &str = "pg_typmod";
/// The scale of NUMERIC without one.
pub(crate) const NUMERIC_SCALE: u8 = 10;
/// The zone of moments as Arrow names it.
pub(crate) const UTC: &str = "UTC";

/// The Arrow type of a column as queries see it.
pub(crate) fn query_type(column_type: &ColumnType) -> DataType {
    match column_type {
        ColumnType::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        ColumnType::TimestampNanos => DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into())),
        ColumnType::Numeric { precision, scale } => {
            DataType::Decimal128(precision.unwrap_or(38), i8::try_from(*scale).unwrap_or(0))
        }
        ColumnType::Array(of) => DataType::List(Arc::new(Field::new_list_field(query_type(of), true))),
        other => other.kind().map_or(DataType::Null, |kind| kind.arrow()),
    }
}

/// The name of a type in `pg_type`.
pub fn type_name(column_type: &ColumnType) -> String {
    let name = match column_type {
        ColumnType::Bool => "bool",
        ColumnType::Int2 => "int2",
        ColumnType::Int4 => "int4",
        ColumnType::Int8 => "int8",
        ColumnType::Float4 => "float4",
        ColumnType::Float8 => "float8",
        ColumnType::Text => "text",
        ColumnType::Varchar(_) => "varchar",
        ColumnType::Char(_) => "bpchar",
        ColumnType::Bytes => "bytea",
        ColumnType::Date => "date",
        ColumnType::Time => "time",
        ColumnType::Timestamp => "timestamp",
        ColumnType::TimestampTz | ColumnType::TimestampNanos => "timestamptz",
        ColumnType::Interval => "interval",
        ColumnType::Uuid => "uuid",
        ColumnType::Json => "json",
        ColumnType::Jsonb => "jsonb",
        ColumnType::Numeric { .. } => "numeric",
        ColumnType::Array(of) => return format!("_{}", type_name(of)),
    };
    name.to_owned()
}

/// PostgreSQL's type modifier, if the type has one.
pub fn type_modifier(column_type: &ColumnType) -> Option<i32> {
    match column_type {
        ColumnType::Varchar(Some(length)) | ColumnType::Char(length) => {
            Some(i32::try_from(*length).ok()?.saturating_add(4))
        }
        ColumnType::Numeric { precision: Some(precision), scale } => {
            Some(((i32::from(*precision) << 16) | i32::from(*scale)) + 4)
        }
        _ => None,
    }
}

/// A type as SQL writes it, such as `character varying(50)`.
pub fn type_text(column_type: &ColumnType) -> String {
    match column_type {
        ColumnType::Bool => "boolean".to_owned(),
        ColumnType::Int2 => "smallint".to_owned(),
        ColumnType::Int4 => "integer".to_owned(),
        ColumnType::Int8 => "bigint".to_owned(),
        ColumnType::Float4 => "real".to_owned(),
        ColumnType::Float8 => "double precision".to_owned(),
        ColumnType::Varchar(None) => "character varying".to_owned(),
        ColumnType::Varchar(Some(length)) => format!("character varying({length})"),
        ColumnType::Char(length) => format!("character({length})"),
        ColumnType::Time => "time without time zone".to_owned(),
        ColumnType::Timestamp => "timestamp without time zone".to_owned(),
        ColumnType::TimestampTz => "timestamp with time zone".to_owned(),
        ColumnType::TimestampNanos => "timestamp(9) with time zone".to_owned(),
        ColumnType::Numeric { precision: Some(precision), scale } => format!("numeric({precision},{scale})"),
        ColumnType::Array(of) => format!("{}[]", type_text(of)),
        other => type_name(other),
    }
}

/// Whether values are JSON, by what is told of their column.
pub(crate) fn is_json(field: &Field) -> bool {
    field.metadata().get(PG_TYPE).is_some_and(|name| matches!(name.as_str(), "json" | "jsonb"))
}

/// A column as queries see it.
pub(crate) fn query_field(name: &str, column_type: &ColumnType, nullable: bool) -> Field {
    Field::new(name, query_type(column_type), nullable).with_metadata(metadata(column_type))
}

/// What a field's metadata says of a type; empty where Arrow's type says all.
pub(crate) fn metadata(column_type: &ColumnType) -> HashMap<String, String> {
    let inner = match column_type {
        ColumnType::Array(of) => of,
        other => other,
    };
    let mut metadata = HashMap::new();
    if matches!(
        inner,
        ColumnType::Varchar(_) | ColumnType::Char(_) | ColumnType::Uuid | ColumnType::Json | ColumnType::Jsonb
    ) {
        metadata.insert(PG_TYPE.to_owned(), type_name(column_type));
    }
    if let Some(modifier) = type_modifier(column_type) {
        metadata.insert(PG_TYPMOD.to_owned(), modifier.to_string());
    }
    metadata
}
