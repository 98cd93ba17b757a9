//! PostgreSQL's types: their numbers, names and properties, and which of them a column has.

use std::{collections::HashMap, sync::LazyLock};

use arrow::datatypes::{DataType, Field};
use chronolith_storage::table::ColumnType;

use super::shape::PG_TYPE;

/// A type of the list beside this file.
#[derive(Debug)]
pub(super) struct PgType {
    /// Its number.
    pub(super) oid: u32,
    /// Its name in `pg_type`.
    pub(super) name: &'static str,
    /// The words of its line, in the list's order.
    words: Vec<&'static str>,
}

/// Places of a type's properties in its line.
#[derive(Debug, Clone, Copy)]
pub(super) enum Property {
    /// Bytes of a value; -1: as many as it needs.
    Len = 2,
    /// Passed by value.
    ByVal,
    /// Base, pseudo, ...
    Type,
    /// Its category.
    Category,
    /// Preferred in it.
    Preferred,
    /// Between elements.
    Delimiter,
    /// The element's type.
    Element,
    /// The array's type.
    Array,
    /// The function for subscripts.
    Subscript,
    /// The input function; output, receive, send, typmod's input and output follow.
    Input,
    /// Prints a value.
    Output,
    /// Reads the binary form.
    Receive,
    /// Writes the binary form.
    Send,
    /// Reads a modifier.
    ModIn,
    /// Prints a modifier.
    ModOut,
    /// Alignment.
    Align,
    /// Storage.
    Storage,
    /// Collation.
    Collation,
}

impl PgType {
    /// A property as it stands in the list.
    pub(super) fn word(&self, property: Property) -> &'static str {
        self.words.get(property as usize).copied().unwrap_or("0")
    }

    /// A property that is a number.
    pub(super) fn number(&self, property: Property) -> i64 {
        self.word(property).parse().unwrap_or(0)
    }
}

/// All types, by number.
pub(super) static TYPES: LazyLock<Vec<PgType>> = LazyLock::new(|| {
    let lines = include_str!("types.txt").lines().filter(|l| !l.starts_with('#'));
    lines
        .filter_map(|line| {
            let words: Vec<&'static str> = line.split_ascii_whitespace().collect();
            Some(PgType { oid: words.first()?.parse().ok()?, name: words.get(1)?, words })
        })
        .collect()
});

static BY_NAME: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| TYPES.iter().enumerate().map(|(at, t)| (t.name, at)).collect());

/// SQL's names for types whose name in `pg_type` is another.
const SQL_NAMES: [(&str, &str); 14] = [
    ("bool", "boolean"),
    ("bpchar", "character"),
    ("char", "\"char\""),
    ("float4", "real"),
    ("float8", "double precision"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("time", "time without time zone"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("timetz", "time with time zone"),
    ("varbit", "bit varying"),
    ("varchar", "character varying"),
];

/// The type of this number.
pub(super) fn by_oid(oid: u32) -> Option<&'static PgType> {
    TYPES.binary_search_by_key(&oid, |t| t.oid).ok().map(|at| &TYPES[at])
}

/// The type of this name in `pg_type`.
pub(super) fn by_name(name: &str) -> Option<&'static PgType> {
    BY_NAME.get(name).map(|at| &TYPES[*at])
}

/// The type that an SQL text names: `integer`, `int4`, `pg_catalog.text`, `varchar(10)`, `text[]`, also quoted.
pub(super) fn by_sql_name(text: &str) -> Option<&'static PgType> {
    let text = text.trim();
    if let Some(element) = text.strip_suffix("[]") {
        let array = by_sql_name(element)?.number(Property::Array);
        return by_oid(u32::try_from(array).ok()?);
    }
    let text = text.strip_prefix("pg_catalog.").unwrap_or(text);
    if let Some(quoted) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        return by_name(quoted);
    }
    let lower = text.to_ascii_lowercase();
    let plain = lower.split_once('(').map_or(lower.clone(), |(before, rest)| {
        let after = rest.split_once(')').map_or("", |(_, after)| after);
        format!("{}{after}", before.trim_end())
    });
    let plain = match plain.as_str() {
        "int" => "integer",
        "decimal" | "dec" => "numeric",
        "float" => "double precision",
        "char" => "character",
        other => other,
    };
    let name = SQL_NAMES.iter().find(|(_, sql)| *sql == plain).map_or(plain, |(name, _)| name);
    by_name(name)
}

/// A type with its modifier, as SQL writes it.
pub(super) fn format_type(oid: u32, typmod: Option<i64>) -> String {
    let Some(found) = by_oid(oid) else { return if oid == 0 { "-" } else { "???" }.to_owned() };
    let element = found.number(Property::Element);
    if found.word(Property::Category) == "A"
        && found.name.starts_with('_')
        && let Ok(element) = u32::try_from(element)
    {
        return format!("{}[]", format_type(element, typmod));
    }
    let typmod = typmod.filter(|m| *m >= 0);
    let sql = SQL_NAMES.iter().find(|(name, _)| *name == found.name).map_or(found.name, |(_, sql)| sql);
    match (found.name, typmod) {
        ("bpchar" | "varchar", Some(m)) => format!("{sql}({})", m - 4),
        // Without a length, `character` would be read as of length one.
        ("bpchar", None) => "bpchar".to_owned(),
        ("numeric", Some(m)) => format!("numeric({},{})", ((m - 4) >> 16) & 0xffff, (m - 4) & 0x7ff),
        ("any", _) => "\"any\"".to_owned(),
        _ => sql.to_owned(),
    }
}

/// The type of a declared column, and its modifier.
pub(super) fn of_column(column_type: &ColumnType) -> (u32, i32) {
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
        ColumnType::Array(of) => {
            let (element, typmod) = of_column(of);
            return (array_of(element), typmod);
        }
    };
    let typmod = match column_type {
        ColumnType::Varchar(Some(len)) | ColumnType::Char(len) => {
            i32::try_from(*len).map_or(-1, |l| l.saturating_add(4))
        }
        ColumnType::Numeric { precision: Some(precision), scale } => {
            ((i32::from(*precision) << 16) | i32::from(*scale)) + 4
        }
        _ => -1,
    };
    (by_name(name).map_or(0, |t| t.oid), typmod)
}

/// The array type of a type; that of texts when it has none.
pub(super) fn array_of(oid: u32) -> u32 {
    const TEXT_ARRAY: u32 = 1009;
    by_oid(oid).and_then(|t| u32::try_from(t.number(Property::Array)).ok()).filter(|a| *a != 0).unwrap_or(TEXT_ARRAY)
}

/// The type of a column of a query: by its metadata, else by Arrow's type.
pub(super) fn of_field(field: &Field) -> u32 {
    let named = field.metadata().get(PG_TYPE).and_then(|name| by_sql_name(name));
    named.map_or_else(|| of_arrow(field.data_type()), |t| t.oid)
}

fn of_arrow(data_type: &DataType) -> u32 {
    let name = match data_type {
        DataType::Boolean => "bool",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "int2",
        DataType::Int32 | DataType::UInt16 => "int4",
        DataType::Int64 => "int8",
        DataType::UInt32 => "oid",
        DataType::UInt64 | DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => "numeric",
        DataType::Decimal256(..) => "numeric",
        DataType::Float16 | DataType::Float32 => "float4",
        DataType::Float64 => "float8",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "bytea",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            return array_of(of_field(item));
        }
        DataType::Dictionary(_, values) => return of_arrow(values),
        DataType::Struct(_) | DataType::Map(..) => "json",
        _ => "text",
    };
    by_name(name).map_or(0, |t| t.oid)
}
