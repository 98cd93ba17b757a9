//! Records of tables: definitions, entries, rows, deletions, serial numbers.

use roaring::RoaringTreemap;

use super::{TAG_DELETED, TAG_ENTRY, TAG_ENTRY_GONE, TAG_ROWS, TAG_SERIAL, TAG_TABLE, TAG_TABLE_DROP};
use crate::{
    Result,
    encoding::{Reader, malformed, put_ivarint, put_uvarint},
};

/// Most row ids of one record of deletions, so that a few bytes never stand for more memory than this takes.
const DELETED_MAX: u64 = 1 << 28;

/// What a frame of the log says of tables. The bytes of definitions and rows are those of `table::wire`.
#[derive(Debug, Clone, PartialEq)]
pub enum TableRecord<'a> {
    /// A table is made or changed.
    Table(&'a [u8]),
    /// A table is dropped with all its rows.
    Drop(u32),
    /// An entry of a space is put, or taken out.
    Entry {
        /// The space.
        space: &'a str,
        /// The name inside it.
        name: &'a str,
        /// What is kept under it.
        body: Option<&'a [u8]>,
    },
    /// Rows whose ids count from the first.
    Rows {
        /// The table.
        table: u32,
        /// The first row's id.
        first: u64,
        /// The rows.
        rows: &'a [u8],
    },
    /// Rows that count no longer.
    Deleted {
        /// The table.
        table: u32,
        /// Their ids.
        ids: RoaringTreemap,
    },
    /// The next number of a serial column.
    Serial {
        /// The table.
        table: u32,
        /// The column.
        column: u32,
        /// The number.
        next: i64,
    },
}

/// Appends a record; deletions become several when they are many.
pub(super) fn encode(record: &TableRecord<'_>, out: &mut Vec<u8>) {
    match record {
        TableRecord::Table(body) => {
            out.push(TAG_TABLE);
            bytes(body, out);
        }
        TableRecord::Drop(table) => {
            out.push(TAG_TABLE_DROP);
            put_uvarint(out, u64::from(*table));
        }
        TableRecord::Entry { space, name, body } => {
            out.push(if body.is_some() { TAG_ENTRY } else { TAG_ENTRY_GONE });
            bytes(space.as_bytes(), out);
            bytes(name.as_bytes(), out);
            body.iter().for_each(|body| bytes(body, out));
        }
        TableRecord::Rows { table, first, rows } => {
            out.push(TAG_ROWS);
            put_uvarint(out, u64::from(*table));
            put_uvarint(out, *first);
            bytes(rows, out);
        }
        TableRecord::Deleted { table, ids } => deleted(*table, ids, out),
        TableRecord::Serial { table, column, next } => {
            out.push(TAG_SERIAL);
            put_uvarint(out, u64::from(*table));
            put_uvarint(out, u64::from(*column));
            put_ivarint(out, *next);
        }
    }
}

fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_uvarint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn deleted(table: u32, ids: &RoaringTreemap, out: &mut Vec<u8>) {
    // First id and length.
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let mut total = 0;
    for id in ids {
        if total == DELETED_MAX {
            deleted_runs(table, &runs, out);
            runs.clear();
            total = 0;
        }
        match runs.last_mut() {
            Some((first, len)) if *first + *len == id => *len += 1,
            _ => runs.push((id, 1)),
        }
        total += 1;
    }
    if !runs.is_empty() {
        deleted_runs(table, &runs, out);
    }
}

fn deleted_runs(table: u32, runs: &[(u64, u64)], out: &mut Vec<u8>) {
    out.push(TAG_DELETED);
    put_uvarint(out, u64::from(table));
    put_uvarint(out, runs.len() as u64);
    let mut end = 0;
    for (first, len) in runs {
        put_uvarint(out, first - end);
        put_uvarint(out, len - 1);
        end = first + len;
    }
}

/// The record behind a tag at the front of `payload`, and what follows it; `None` when the tag is not one of tables.
pub(super) fn decode(tag: u8, payload: &[u8]) -> Result<Option<(TableRecord<'_>, &[u8])>> {
    let mut reader = Reader::new(payload);
    let record = match tag {
        TAG_TABLE => TableRecord::Table(take_bytes(&mut reader)?),
        TAG_TABLE_DROP => TableRecord::Drop(reader.id()?),
        TAG_ENTRY | TAG_ENTRY_GONE => {
            let (space, name) = (reader.text()?, reader.text()?);
            let body = if tag == TAG_ENTRY { Some(take_bytes(&mut reader)?) } else { None };
            TableRecord::Entry { space, name, body }
        }
        TAG_ROWS => TableRecord::Rows { table: reader.id()?, first: reader.uvarint()?, rows: take_bytes(&mut reader)? },
        TAG_DELETED => TableRecord::Deleted { table: reader.id()?, ids: take_runs(&mut reader)? },
        TAG_SERIAL => TableRecord::Serial { table: reader.id()?, column: reader.id()?, next: reader.ivarint()? },
        _ => return Ok(None),
    };
    Ok(Some((record, reader.rest())))
}

fn take_bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8]> {
    let len = reader.length(reader.rest().len())?;
    reader.bytes(len)
}

fn take_runs(reader: &mut Reader<'_>) -> Result<RoaringTreemap> {
    let mut ids = RoaringTreemap::new();
    let (mut end, mut left) = (0u64, DELETED_MAX);
    for _ in 0..reader.length(reader.rest().len() / 2)? {
        let (gap, len) = (reader.uvarint()?, reader.uvarint()?);
        let too_many = || malformed("log record", "deletions of more rows than a record has");
        left = len.checked_add(1).and_then(|len| left.checked_sub(len)).ok_or_else(too_many)?;
        let past = || malformed("log record", "a deleted row's id is over 64 bits");
        let first = end.checked_add(gap).ok_or_else(past)?;
        end = first.checked_add(len + 1).ok_or_else(past)?;
        ids.insert_range(first..end);
    }
    Ok(ids)
}
