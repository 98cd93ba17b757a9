//! PostgreSQL's types: their OIDs, and the Arrow type that stands for each.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use chronolith_sql::SqlError;

use super::failure::sql_error;
use crate::ingest::postgres::numeric::NUMERIC_DIGITS;

/// Where a field says which PostgreSQL type it is, when its Arrow type does not tell.
const PG_TYPE: &str = chronolith_sql::types::PG_TYPE;
/// Where a field says its type's modifier, such as the length of `varchar(20)` and 4.
const PG_TYPMOD: &str = chronolith_sql::types::PG_TYPMOD;

/// How values of a type are written, in text and in binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Bool,
    Int2,
    Int4,
    Int8,
    /// An unsigned integer of 32 bits.
    Oid,
    Float4,
    Float8,
    Text,
    Uuid,
    Json,
    /// As JSON, with a version byte before its binary form.
    Jsonb,
    Bytes,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    Numeric,
}

/// A type as clients know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PgType {
    /// The type's OID.
    pub(crate) oid: u32,
    /// Bytes of a value, -1 when they vary.
    pub(crate) size: i16,
    /// How a value, or an array's element, is written.
    pub(crate) shape: Shape,
    /// The OID of the elements, if it is an array.
    pub(crate) element: Option<u32>,
}

/// Name, OID, OID of the array, bytes, shape.
type Row = (&'static str, u32, u32, i16, Shape);

/// The types that have an OID here. Of several with one shape the first stands for it.
const TYPES: [Row; 27] = [
    ("bool", 16, 1000, 1, Shape::Bool),
    ("int2", 21, 1005, 2, Shape::Int2),
    ("int4", 23, 1007, 4, Shape::Int4),
    ("int8", 20, 1016, 8, Shape::Int8),
    ("oid", 26, 1028, 4, Shape::Oid),
    ("float4", 700, 1021, 4, Shape::Float4),
    ("float8", 701, 1022, 8, Shape::Float8),
    ("text", 25, 1009, -1, Shape::Text),
    ("uuid", 2950, 2951, 16, Shape::Uuid),
    ("json", 114, 199, -1, Shape::Json),
    ("jsonb", 3802, 3807, -1, Shape::Jsonb),
    ("bytea", 17, 1001, -1, Shape::Bytes),
    ("date", 1082, 1182, 4, Shape::Date),
    ("time", 1083, 1183, 8, Shape::Time),
    ("timestamp", 1114, 1115, 8, Shape::Timestamp),
    ("timestamptz", 1184, 1185, 8, Shape::TimestampTz),
    ("interval", 1186, 1187, 16, Shape::Interval),
    ("numeric", 1700, 1231, -1, Shape::Numeric),
    ("varchar", 1043, 1015, -1, Shape::Text),
    ("bpchar", 1042, 1014, -1, Shape::Text),
    ("name", 19, 1003, 64, Shape::Text),
    ("char", 18, 1002, 1, Shape::Text),
    ("unknown", 705, 1009, -2, Shape::Text),
    ("regclass", 2205, 2210, 4, Shape::Oid),
    ("regtype", 2206, 2211, 4, Shape::Oid),
    ("regproc", 24, 1008, 4, Shape::Oid),
    ("xid", 28, 1011, 4, Shape::Oid),
];

/// Other names of types.
const ALIASES: [(&str, &str); 15] = [
    ("boolean", "bool"),
    ("smallint", "int2"),
    ("integer", "int4"),
    ("int", "int4"),
    ("bigint", "int8"),
    ("real", "float4"),
    ("double precision", "float8"),
    ("character varying", "varchar"),
    ("character", "bpchar"),
    ("decimal", "numeric"),
    ("time without time zone", "time"),
    ("timestamp without time zone", "timestamp"),
    ("timestamp with time zone", "timestamptz"),
    ("\"char\"", "char"),
    ("string", "text"),
];

/// Arrays of the catalog that look otherwise in text: name, OID, OID and shape of the elements.
const VECTORS: [(&str, u32, u32, Shape); 2] = [("int2vector", 22, 21, Shape::Int2), ("oidvector", 30, 26, Shape::Oid)];

const fn scalar(row: &Row) -> PgType {
    PgType { oid: row.1, size: row.3, shape: row.4, element: None }
}

const fn array(row: &Row) -> PgType {
    PgType { oid: row.2, size: -1, shape: row.4, element: Some(row.1) }
}

impl PgType {
    /// The type with this OID.
    pub(crate) fn of_oid(oid: u32) -> Option<Self> {
        TYPES.iter().find_map(|row| if row.1 == oid { Some(scalar(row)) } else { (row.2 == oid).then(|| array(row)) })
    }

    /// The type with this name, such as `varchar(20)`, `jsonb` or `text[]`.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
        if let Some((_, oid, element, shape)) = VECTORS.iter().find(|vector| vector.0 == name) {
            return Some(Self { oid: *oid, size: -1, shape: *shape, element: Some(*element) });
        }
        let bracketed = name.strip_suffix("[]");
        let is_array = bracketed.is_some() || name.starts_with('_');
        let element = bracketed.unwrap_or_else(|| name.strip_prefix('_').unwrap_or(name));
        let base = match (element.find('('), element.rfind(')')) {
            (Some(open), Some(close)) if open < close => format!("{}{}", &element[..open], &element[close + 1..]),
            _ => element.to_owned(),
        };
        let base = base.trim().to_ascii_lowercase();
        let base = ALIASES.iter().find(|(alias, _)| *alias == base).map_or(base.as_str(), |(_, name)| name);
        let row = TYPES.iter().find(|row| row.0 == base)?;
        Some(if is_array { array(row) } else { scalar(row) })
    }

    /// Whether it is an array that counts from 0, and whose elements have blanks between them in text.
    pub(crate) fn is_vector(self) -> bool {
        VECTORS.iter().any(|vector| vector.1 == self.oid)
    }

    fn of_shape(shape: Shape, is_array: bool) -> Option<Self> {
        let row = TYPES.iter().find(|row| row.4 == shape)?;
        Some(if is_array { array(row) } else { scalar(row) })
    }

    /// The type that a column of a result is told to be.
    pub(crate) fn of_field(field: &Field) -> Result<Self, SqlError> {
        let element = match field.data_type() {
            DataType::List(e) | DataType::LargeList(e) | DataType::FixedSizeList(e, _) | DataType::ListView(e) => {
                Some(e)
            }
            _ => None,
        };
        let held = element.map_or_else(|| field.data_type(), |e| e.data_type());
        let shape = shape_of(held).ok_or_else(|| {
            let mut error = sql_error(
                b"0A000",
                format!("column \"{}\" has the type {held}, which PostgreSQL's protocol has no form for", field.name()),
            );
            error.hint = Some("Take its fields one by one, or cast it to text.".to_owned());
            error
        })?;
        let named = field.metadata().get(PG_TYPE).or_else(|| element.and_then(|e| e.metadata().get(PG_TYPE)));
        let named = named.and_then(|name| Self::of_name(name)).filter(|named| fits(shape, named.shape));
        let is_array = element.is_some();
        // A query that collects OIDs of the catalog does not tell their type, but nothing else is held like that.
        let named = named.or_else(|| match (is_array, held) {
            (true, DataType::UInt32) => Self::of_name("oid"),
            _ => None,
        });
        let found = match named {
            Some(named) if named.element.is_some() == is_array => Some(named),
            // The name is that of the elements.
            Some(named) if is_array => TYPES.iter().find(|row| row.1 == named.oid).map(array),
            _ => Self::of_shape(shape, is_array),
        };
        found.ok_or_else(|| sql_error(b"XX000", format!("no type has the form {shape:?}")))
    }

    /// The modifier that a column's type is told to have; -1 is none.
    pub(crate) fn modifier(field: &Field) -> i32 {
        field.metadata().get(PG_TYPMOD).and_then(|modifier| modifier.parse().ok()).unwrap_or(-1)
    }

    /// The Arrow type of a parameter that the client says is of this type.
    pub(crate) fn arrow(self) -> DataType {
        let element = match self.shape {
            Shape::Bool => DataType::Boolean,
            Shape::Int2 => DataType::Int16,
            Shape::Int4 => DataType::Int32,
            Shape::Int8 | Shape::Oid => DataType::Int64,
            Shape::Float4 => DataType::Float32,
            Shape::Float8 => DataType::Float64,
            Shape::Text | Shape::Uuid | Shape::Json | Shape::Jsonb => DataType::Utf8View,
            Shape::Bytes => DataType::BinaryView,
            Shape::Date => DataType::Date32,
            Shape::Time => DataType::Time64(TimeUnit::Microsecond),
            Shape::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Shape::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Shape::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Shape::Numeric => DataType::Decimal128(NUMERIC_DIGITS, 10),
        };
        match self.element {
            Some(_) => DataType::List(Arc::new(Field::new_list_field(element, true))),
            None => element,
        }
    }
}

/// Whether values held as the first can be written as the second.
fn fits(held: Shape, named: Shape) -> bool {
    match named {
        Shape::Uuid => matches!(held, Shape::Text | Shape::Bytes),
        Shape::Json | Shape::Jsonb => held == Shape::Text,
        Shape::Oid => matches!(held, Shape::Int2 | Shape::Int4 | Shape::Int8),
        Shape::TimestampTz | Shape::Timestamp => matches!(held, Shape::TimestampTz | Shape::Timestamp),
        Shape::Int2 | Shape::Int4 | Shape::Int8 => matches!(held, Shape::Int2 | Shape::Int4 | Shape::Int8),
        _ => held == named,
    }
}

fn shape_of(data_type: &DataType) -> Option<Shape> {
    Some(match data_type {
        DataType::Boolean => Shape::Bool,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => Shape::Int2,
        DataType::Int32 | DataType::UInt16 => Shape::Int4,
        // What is beyond 63 bits fails when it is written.
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Shape::Int8,
        DataType::Float16 | DataType::Float32 => Shape::Float4,
        DataType::Float64 => Shape::Float8,
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Shape::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Shape::Bytes,
        DataType::Date32 | DataType::Date64 => Shape::Date,
        DataType::Time32(_) | DataType::Time64(_) => Shape::Time,
        DataType::Timestamp(_, None) => Shape::Timestamp,
        DataType::Timestamp(_, Some(_)) => Shape::TimestampTz,
        DataType::Interval(_) | DataType::Duration(_) => Shape::Interval,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            Shape::Numeric
        }
        DataType::Dictionary(_, values) => return shape_of(values),
        DataType::RunEndEncoded(_, values) => return shape_of(values.data_type()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(data_type: DataType, pg_type: &str) -> Field {
        let metadata = [(PG_TYPE.to_owned(), pg_type.to_owned())];
        let field = Field::new("c", data_type, true);
        if pg_type.is_empty() { field } else { field.with_metadata(metadata.into()) }
    }

    #[test]
    fn columns_have_the_oids_of_postgresql() {
        let list = |of| DataType::List(Arc::new(Field::new_list_field(of, true)));
        for (data_type, name, oid) in [
            (DataType::Int64, "", 20),
            (DataType::Utf8View, "", 25),
            (DataType::Utf8View, "varchar(20)", 1043),
            (DataType::Utf8, "jsonb", 3802),
            (DataType::Int64, "regclass", 2205),
            // A name that does not fit what is held is not believed.
            (DataType::Utf8View, "oid", 25),
            (DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), "", 1184),
            (DataType::Timestamp(TimeUnit::Nanosecond, None), "timestamp with time zone", 1184),
            (DataType::Decimal128(10, 2), "numeric(10,2)", 1700),
            (list(DataType::Utf8View), "", 1009),
            (list(DataType::Utf8View), "uuid[]", 2951),
            (list(DataType::Utf8View), "uuid", 2951),
            (list(DataType::Float32), "_float4", 1021),
            (list(DataType::UInt32), "", 1028),
            (list(DataType::UInt32), "oidvector", 30),
            (list(DataType::Int16), "int2vector", 22),
            (DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), "", 25),
        ] {
            assert_eq!(PgType::of_field(&field(data_type.clone(), name)).unwrap().oid, oid, "{data_type} {name}");
        }
        let error = PgType::of_field(&field(DataType::Struct(vec![Field::new("a", DataType::Int8, true)].into()), ""));
        let error = error.unwrap_err();
        assert_eq!(error.state.as_str(), "0A000");
        assert!(error.message.contains("\"c\""), "{error}");
    }

    #[test]
    fn each_oid_is_the_type_it_came_from() {
        for row in &TYPES {
            assert_eq!(PgType::of_oid(row.1).unwrap().oid, row.1);
            assert_eq!(PgType::of_name(row.0).unwrap(), PgType::of_oid(row.1).unwrap());
            let array = PgType::of_name(&format!("{}[]", row.0)).unwrap();
            assert_eq!((array.oid, array.element), (row.2, Some(row.1)));
        }
        assert_eq!(PgType::of_oid(0), None);
        assert_eq!(PgType::of_name("varchar(7)[]").unwrap().oid, 1015);
    }
}
