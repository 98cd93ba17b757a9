//! A table's definition as bytes, with the numbers that go on with it.

use super::wrong;
use crate::{
    Result,
    encoding::{Reader, put_ivarint, put_uvarint},
    table::{
        check::{FIELDS_MAX, check_definition},
        definition::{ColumnDefinition, ColumnId, ColumnType, TableDefinition, TableId},
    },
};

/// The version byte in front of a table.
const TABLE_VERSION: u8 = 1;

/// The flag of a column that must have a value.
const COLUMN_NOT_NULL: u8 = 1;
/// The flag of a serial column.
const COLUMN_SERIAL: u8 = 2;
/// The flag of a column with a default.
const COLUMN_DEFAULT: u8 = 4;

/// The flag of a dynamic table.
const TABLE_DYNAMIC: u8 = 1;
/// The flag of a table with a time column.
const TABLE_TIME: u8 = 2;
/// The flag of a table with a retention.
const TABLE_RETENTION: u8 = 4;

/// The types that a byte tells.
const TYPE_TABLE: [(u8, ColumnType); 17] = [
    (1, ColumnType::Bool),
    (2, ColumnType::Int2),
    (3, ColumnType::Int4),
    (4, ColumnType::Int8),
    (5, ColumnType::Float4),
    (6, ColumnType::Float8),
    (7, ColumnType::Text),
    (8, ColumnType::Varchar(None)),
    (9, ColumnType::Bytes),
    (10, ColumnType::Date),
    (11, ColumnType::Time),
    (12, ColumnType::Timestamp),
    (13, ColumnType::TimestampTz),
    (14, ColumnType::TimestampNanos),
    (15, ColumnType::Interval),
    (16, ColumnType::Uuid),
    (17, ColumnType::Json),
];
/// JSONB.
const TYPE_JSONB: u8 = 18;
/// A text of so many characters at most; the number follows.
const TYPE_VARCHAR: u8 = 19;
/// A text of so many characters; the number follows.
const TYPE_CHAR: u8 = 20;
/// A numeric; precision, 0 for none, and scale follow.
const TYPE_NUMERIC: u8 = 21;
/// An array; the type of its elements follows, which is no array.
const TYPE_ARRAY: u8 = 22;

/// What has to be kept of a table beside its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    /// What it is declared to be.
    pub definition: TableDefinition,
    /// The id of the next row.
    pub next_row: u64,
    /// The next number of each serial column that gave some.
    pub serials: Vec<(ColumnId, i64)>,
}

/// Appends a table.
pub(crate) fn encode_table(table: &TableState, out: &mut Vec<u8>) {
    let definition = &table.definition;
    out.push(TABLE_VERSION);
    put_uvarint(out, u64::from(definition.id.0));
    put_text(&definition.name, out);
    let flags = [
        (definition.dynamic, TABLE_DYNAMIC),
        (definition.time.is_some(), TABLE_TIME),
        (definition.retention_ms.is_some(), TABLE_RETENTION),
    ];
    out.push(add_up(flags));
    definition.time.iter().for_each(|id| put_uvarint(out, u64::from(id.0)));
    definition.retention_ms.iter().for_each(|ms| put_ivarint(out, *ms));
    put_uvarint(out, u64::from(definition.next_column.0));
    put_uvarint(out, definition.columns.len() as u64);
    for column in &definition.columns {
        put_column(column, out);
    }
    put_uvarint(out, definition.primary_key.len() as u64);
    definition.primary_key.iter().for_each(|id| put_uvarint(out, u64::from(id.0)));
    put_uvarint(out, table.next_row);
    put_uvarint(out, table.serials.len() as u64);
    for (column, next) in &table.serials {
        put_uvarint(out, u64::from(column.0));
        put_ivarint(out, *next);
    }
}

fn put_column(column: &ColumnDefinition, out: &mut Vec<u8>) {
    put_uvarint(out, u64::from(column.id.0));
    put_text(&column.name, out);
    put_type(&column.column_type, out);
    let flags = [
        (column.not_null, COLUMN_NOT_NULL),
        (column.serial, COLUMN_SERIAL),
        (column.default.is_some(), COLUMN_DEFAULT),
    ];
    out.push(add_up(flags));
    column.default.iter().for_each(|default| put_text(default, out));
}

fn add_up(flags: [(bool, u8); 3]) -> u8 {
    flags.iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum()
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_uvarint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_type(column_type: &ColumnType, out: &mut Vec<u8>) {
    match column_type {
        ColumnType::Jsonb => out.push(TYPE_JSONB),
        ColumnType::Varchar(Some(len)) => {
            out.push(TYPE_VARCHAR);
            put_uvarint(out, u64::from(*len));
        }
        ColumnType::Char(len) => {
            out.push(TYPE_CHAR);
            put_uvarint(out, u64::from(*len));
        }
        ColumnType::Numeric { precision, scale } => {
            out.extend_from_slice(&[TYPE_NUMERIC, precision.unwrap_or(0), *scale]);
        }
        ColumnType::Array(of) => {
            out.push(TYPE_ARRAY);
            put_type(of, out);
        }
        plain => out.extend(TYPE_TABLE.iter().find(|(_, t)| t == plain).map(|(byte, _)| *byte)),
    }
}

/// The table in these bytes.
pub(crate) fn decode_table(bytes: &[u8]) -> Result<TableState> {
    let mut reader = Reader::new(bytes);
    let reader = &mut reader;
    match reader.u8()? {
        TABLE_VERSION => {}
        version => return Err(wrong(format!("version {version} is unknown"))),
    }
    let (id, name) = (TableId(reader.id()?), reader.text()?.to_owned());
    let flags = reader.u8()?;
    if flags & !(TABLE_DYNAMIC | TABLE_TIME | TABLE_RETENTION) != 0 {
        return Err(wrong(format!("flags {flags:#x} are unknown")));
    }
    let time = if flags & TABLE_TIME == 0 { None } else { Some(ColumnId(reader.id()?)) };
    let retention_ms = if flags & TABLE_RETENTION == 0 { None } else { Some(reader.ivarint()?) };
    let next_column = ColumnId(reader.id()?);
    let columns = (0..reader.length(FIELDS_MAX)?).map(|_| take_column(reader)).collect::<Result<Vec<_>>>()?;
    let primary_key = (0..reader.length(columns.len())?).map(|_| Ok(ColumnId(reader.id()?))).collect::<Result<_>>()?;
    let next_row = reader.uvarint()?;
    let serials = (0..reader.length(columns.len())?)
        .map(|_| Ok((ColumnId(reader.id()?), reader.ivarint()?)))
        .collect::<Result<_>>()?;
    reader.finish("table")?;
    let dynamic = flags & TABLE_DYNAMIC != 0;
    let definition = TableDefinition { id, name, columns, next_column, primary_key, time, dynamic, retention_ms };
    check_definition(&definition).map_err(|e| wrong(e.to_string()))?;
    Ok(TableState { definition, next_row, serials })
}

fn take_column(reader: &mut Reader<'_>) -> Result<ColumnDefinition> {
    let (id, name) = (ColumnId(reader.id()?), reader.text()?.to_owned());
    let column_type = take_type(reader, true)?;
    let flags = reader.u8()?;
    if flags & !(COLUMN_NOT_NULL | COLUMN_SERIAL | COLUMN_DEFAULT) != 0 {
        return Err(wrong(format!("flags {flags:#x} of a column are unknown")));
    }
    let default = if flags & COLUMN_DEFAULT == 0 { None } else { Some(reader.text()?.to_owned()) };
    let (not_null, serial) = (flags & COLUMN_NOT_NULL != 0, flags & COLUMN_SERIAL != 0);
    Ok(ColumnDefinition { id, name, column_type, not_null, default, serial })
}

fn take_type(reader: &mut Reader<'_>, may_be_array: bool) -> Result<ColumnType> {
    Ok(match reader.u8()? {
        TYPE_JSONB => ColumnType::Jsonb,
        TYPE_VARCHAR => ColumnType::Varchar(Some(reader.id()?)),
        TYPE_CHAR => ColumnType::Char(reader.id()?),
        TYPE_NUMERIC => {
            let (precision, scale) = (reader.u8()?, reader.u8()?);
            ColumnType::Numeric { precision: Some(precision).filter(|p| *p > 0), scale }
        }
        TYPE_ARRAY if may_be_array => ColumnType::Array(Box::new(take_type(reader, false)?)),
        byte => match TYPE_TABLE.iter().find(|(b, _)| *b == byte) {
            Some((_, plain)) => plain.clone(),
            None => return Err(wrong(format!("type {byte} is unknown"))),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_table() -> TableState {
        let types = TYPE_TABLE.iter().map(|(_, t)| t.clone()).chain([
            ColumnType::Jsonb,
            ColumnType::Varchar(Some(7)),
            ColumnType::Char(3),
            ColumnType::Numeric { precision: Some(10), scale: 2 },
            ColumnType::Numeric { precision: None, scale: 38 },
            ColumnType::Array(Box::new(ColumnType::Text)),
        ]);
        let columns = types.zip(0u32..).map(|(column_type, n)| ColumnDefinition {
            id: ColumnId(n),
            name: format!("c{n}"),
            serial: column_type == ColumnType::Int8,
            not_null: n % 2 == 0,
            default: (n % 3 == 0).then(|| format!("default {n}")),
            column_type,
        });
        let columns: Vec<_> = columns.collect();
        let definition = TableDefinition {
            id: TableId(5),
            name: "t".to_owned(),
            next_column: ColumnId(columns.len() as u32 + 2),
            columns,
            primary_key: vec![ColumnId(3), ColumnId(1)],
            time: Some(ColumnId(12)),
            dynamic: true,
            retention_ms: Some(86_400_000),
        };
        TableState { definition, next_row: 77, serials: vec![(ColumnId(3), 9)] }
    }

    #[test]
    fn a_table_comes_back_and_cut_bytes_are_refused() {
        let table = some_table();
        let mut bytes = Vec::new();
        encode_table(&table, &mut bytes);
        assert_eq!(decode_table(&bytes).unwrap(), table);
        for len in 0..bytes.len() {
            assert!(decode_table(&bytes[..len]).is_err(), "{len}");
        }
        for at in 0..bytes.len() {
            for byte in 0..=255 {
                let mut near = bytes.clone();
                near[at] = byte;
                let _ = decode_table(&near);
            }
        }
    }
}
