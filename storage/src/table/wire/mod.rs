//! Rows and definitions as bytes: what the log and the catalog hold of tables. Made to be written and read fast; the
//! bytes are described in `storage/FORMAT.md`, section "Rows and definitions".

mod arrays;
mod definition;
mod rows;

pub use definition::TableState;
pub(crate) use definition::{decode_table, encode_table};
pub(crate) use rows::ROWS_MAX;
pub use rows::{decode_rows, encode_rows};

use super::kind::{Kind, ListKind};
use crate::{
    Result, StorageError,
    encoding::{Reader, malformed},
};

/// The byte of a decimal; its scale follows.
const KIND_DECIMAL: u8 = 14;
/// The byte of a list; that of its elements follows.
const KIND_LIST: u8 = 15;

/// The kinds that one byte tells.
const KIND_TABLE: [(u8, Kind); 17] = [
    (1, Kind::Bool),
    (2, Kind::Int16),
    (3, Kind::Int32),
    (4, Kind::Int64),
    (5, Kind::Float32),
    (6, Kind::Float64),
    (7, Kind::Text),
    (8, Kind::Bytes),
    (9, Kind::Date),
    (10, Kind::Time),
    (11, Kind::Micros),
    (12, Kind::Nanos),
    (13, Kind::Interval),
    (16, Kind::Json),
    (17, Kind::Null),
    (18, Kind::EmptyObject),
    (19, Kind::NumberText),
];

/// The kinds of elements of lists.
const LIST_KIND_TABLE: [ListKind; 9] = [
    ListKind::Bool,
    ListKind::Int16,
    ListKind::Int32,
    ListKind::Int64,
    ListKind::Float32,
    ListKind::Float64,
    ListKind::Text,
    ListKind::Date,
    ListKind::Micros,
];

fn put_kind(kind: Kind, out: &mut Vec<u8>) {
    match kind {
        Kind::Decimal(scale) => out.extend_from_slice(&[KIND_DECIMAL, scale]),
        Kind::List(of) => {
            out.push(KIND_LIST);
            put_kind(of.element(), out);
        }
        plain => out.extend(KIND_TABLE.iter().find(|(_, kind)| *kind == plain).map(|(byte, _)| *byte)),
    }
}

fn take_kind(reader: &mut Reader<'_>) -> Result<Kind> {
    match reader.u8()? {
        KIND_DECIMAL => match reader.u8()? {
            scale if scale <= super::kind::DECIMAL_DIGITS => Ok(Kind::Decimal(scale)),
            scale => Err(wrong(format!("a decimal has the scale {scale}"))),
        },
        KIND_LIST => {
            let byte = reader.u8()?;
            let element = KIND_TABLE.iter().find(|(b, _)| *b == byte).map(|(_, kind)| *kind);
            let list = LIST_KIND_TABLE.iter().find(|of| Some(of.element()) == element);
            list.map(|of| Kind::List(*of)).ok_or_else(|| wrong(format!("lists of kind {byte} are unknown")))
        }
        byte => match KIND_TABLE.iter().find(|(b, _)| *b == byte) {
            Some((_, kind)) => Ok(*kind),
            None => Err(wrong(format!("kind {byte} is unknown"))),
        },
    }
}

fn wrong(reason: impl Into<String>) -> StorageError {
    malformed("table", reason)
}
