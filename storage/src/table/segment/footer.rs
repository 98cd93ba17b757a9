//! The two things that are read when an event segment is opened: its footer, and the directory of its columns.

use std::ops::RangeInclusive;

use super::{EventSegmentIdentity, EventSegmentSummary, pack::Place};
use crate::{
    Result,
    encoding::{Reader, malformed, put_uvarint},
    segment::block::{BlockRef, SegmentFormat},
    table::{ColumnKey, Kind, ListKind, TableId},
};

/// The first bytes of an event segment.
const EVENT_SEGMENT_MAGIC: [u8; 8] = *b"CHRONEVT";
/// The format that is written and read. Before, texts as wholes were among the words, and presence in every chunk.
const EVENT_SEGMENT_VERSION: u32 = 2;
/// The version byte of the footer that is written now.
const EVENT_FOOTER_VERSION: u8 = 2;
/// Stands for the number of a column that is not there.
const NO_COLUMN: u32 = u32::MAX;

/// Files of event rows.
pub(super) const EVENT_SEGMENT: SegmentFormat =
    SegmentFormat { magic: EVENT_SEGMENT_MAGIC, version: EVENT_SEGMENT_VERSION, oldest: EVENT_SEGMENT_VERSION };

/// Most rows of one segment.
pub(super) const ROWS_MAX: u32 = i32::MAX as u32;

const KIND_BOOL: u8 = 0;
const KIND_INT16: u8 = 1;
const KIND_INT32: u8 = 2;
const KIND_INT64: u8 = 3;
const KIND_FLOAT32: u8 = 4;
const KIND_FLOAT64: u8 = 5;
const KIND_TEXT: u8 = 6;
const KIND_BYTES: u8 = 7;
const KIND_DATE: u8 = 8;
const KIND_TIME: u8 = 9;
const KIND_MICROS: u8 = 10;
const KIND_NANOS: u8 = 11;
const KIND_INTERVAL: u8 = 12;
const KIND_DECIMAL: u8 = 13;
const KIND_LIST: u8 = 14;
const KIND_JSON: u8 = 15;
const KIND_NULL: u8 = 16;
const KIND_EMPTY_OBJECT: u8 = 17;
const KIND_NUMBER_TEXT: u8 = 18;

/// What a footer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) identity: EventSegmentIdentity,
    pub(super) rows: u32,
    /// The lowest and the highest row id; the lowest is above the highest when there is no row.
    pub(super) row_ids: (u64, u64),
    /// The lowest and the highest value of the time column, when some row has one.
    pub(super) time: Option<(i64, i64)>,
    /// The table of packs.
    pub(super) packs: BlockRef,
    pub(super) directory: Place,
    /// The column index of the row ids.
    pub(super) row_id_index: Place,
    /// The sections of the key index; of no length when there is none.
    pub(super) key_index: Place,
    /// The number of the time column in the directory, if it is there.
    pub(super) time_column: Option<u32>,
    /// What the writer was given to keep.
    pub(super) state: Vec<u8>,
}

impl Footer {
    /// The footer as the outside sees it.
    pub(super) const fn summary(&self, columns: usize, file_len: u64, checksum: u32) -> EventSegmentSummary {
        EventSegmentSummary {
            identity: self.identity,
            rows: self.rows,
            row_ids: RangeInclusive::new(self.row_ids.0, self.row_ids.1),
            time: self.time,
            columns,
            file_len,
            checksum,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![EVENT_FOOTER_VERSION];
        out.extend_from_slice(&self.identity.table.0.to_le_bytes());
        out.extend_from_slice(&self.identity.id.to_le_bytes());
        out.extend_from_slice(&self.identity.sequence.to_le_bytes());
        out.push(self.identity.merges);
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.row_ids.0.to_le_bytes());
        out.extend_from_slice(&self.row_ids.1.to_le_bytes());
        out.push(u8::from(self.time.is_some()));
        let (low, high) = self.time.unwrap_or_default();
        out.extend_from_slice(&low.to_le_bytes());
        out.extend_from_slice(&high.to_le_bytes());
        out.extend_from_slice(&self.packs.offset.to_le_bytes());
        out.extend_from_slice(&self.packs.len.to_le_bytes());
        for place in [self.directory, self.row_id_index, self.key_index] {
            for number in [place.pack, place.start, place.len] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out.extend_from_slice(&self.time_column.unwrap_or(NO_COLUMN).to_le_bytes());
        out.extend_from_slice(&self.state);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            EVENT_FOOTER_VERSION => {}
            version => return Err(malformed("event segment footer", format!("unknown version {version}"))),
        }
        let identity = EventSegmentIdentity {
            table: TableId(reader.u32()?),
            id: reader.u64()?,
            sequence: reader.u64()?,
            merges: reader.u8()?,
        };
        let rows = reader.u32()?;
        let row_ids = (reader.u64()?, reader.u64()?);
        let timed = reader.u8()?;
        let time = (reader.u64()? as i64, reader.u64()? as i64);
        let packs = BlockRef { offset: reader.u64()?, len: reader.u32()? };
        let mut place =
            || -> Result<Place> { Ok(Place { pack: reader.u32()?, start: reader.u32()?, len: reader.u32()? }) };
        let (directory, row_id_index, key_index) = (place()?, place()?, place()?);
        let time_column = Some(reader.u32()?).filter(|at| *at != NO_COLUMN);
        let state = reader.rest().to_vec();
        if rows > ROWS_MAX || timed > 1 {
            return Err(malformed("event segment footer", format!("{rows} rows, time mark {timed}")));
        }
        let time = (timed == 1).then_some(time);
        Ok(Self { identity, rows, row_ids, time, packs, directory, row_id_index, key_index, time_column, state })
    }
}

/// A column as the directory lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DirectoryEntry {
    pub(super) key: ColumnKey,
    pub(super) index: Place,
    /// Of no length when the column has no terms.
    pub(super) terms: Place,
}

/// The bytes of a directory; the entries are sorted by key.
pub(super) fn encode_directory(entries: &[DirectoryEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    put_uvarint(&mut out, entries.len() as u64);
    for entry in entries {
        put_uvarint(&mut out, entry.key.field.len() as u64);
        out.extend_from_slice(entry.key.field.as_bytes());
        let (kind, detail) = kind_bytes(entry.key.kind);
        out.extend_from_slice(&[kind, detail]);
        entry.index.put(&mut out);
        entry.terms.put(&mut out);
    }
    out
}

/// The directory in these bytes.
pub(super) fn decode_directory(bytes: &[u8]) -> Result<Vec<DirectoryEntry>> {
    let mut reader = Reader::new(bytes);
    let count = reader.length(bytes.len() / 8)?;
    let mut entries: Vec<DirectoryEntry> = Vec::with_capacity(count);
    for _ in 0..count {
        let field = reader.text()?;
        let kind = kind_of(reader.u8()?, reader.u8()?)?;
        let entry = DirectoryEntry {
            key: ColumnKey::new(field, kind),
            index: Place::take(&mut reader)?,
            terms: Place::take(&mut reader)?,
        };
        if entries.last().is_some_and(|before| before.key >= entry.key) {
            return Err(malformed("column directory", format!("column {} is out of order", entry.key)));
        }
        entries.push(entry);
    }
    reader.finish("column directory")?;
    Ok(entries)
}

/// A kind as two bytes: which, and the scale or the kind of the elements.
const fn kind_bytes(kind: Kind) -> (u8, u8) {
    match kind {
        Kind::Bool => (KIND_BOOL, 0),
        Kind::Int16 => (KIND_INT16, 0),
        Kind::Int32 => (KIND_INT32, 0),
        Kind::Int64 => (KIND_INT64, 0),
        Kind::Float32 => (KIND_FLOAT32, 0),
        Kind::Float64 => (KIND_FLOAT64, 0),
        Kind::Text => (KIND_TEXT, 0),
        Kind::Bytes => (KIND_BYTES, 0),
        Kind::Date => (KIND_DATE, 0),
        Kind::Time => (KIND_TIME, 0),
        Kind::Micros => (KIND_MICROS, 0),
        Kind::Nanos => (KIND_NANOS, 0),
        Kind::Interval => (KIND_INTERVAL, 0),
        Kind::Decimal(scale) => (KIND_DECIMAL, scale),
        Kind::List(of) => (KIND_LIST, list_byte(of)),
        Kind::Json => (KIND_JSON, 0),
        Kind::Null => (KIND_NULL, 0),
        Kind::EmptyObject => (KIND_EMPTY_OBJECT, 0),
        Kind::NumberText => (KIND_NUMBER_TEXT, 0),
    }
}

const fn list_byte(of: ListKind) -> u8 {
    match of {
        ListKind::Bool => KIND_BOOL,
        ListKind::Int16 => KIND_INT16,
        ListKind::Int32 => KIND_INT32,
        ListKind::Int64 => KIND_INT64,
        ListKind::Float32 => KIND_FLOAT32,
        ListKind::Float64 => KIND_FLOAT64,
        ListKind::Text => KIND_TEXT,
        ListKind::Date => KIND_DATE,
        ListKind::Micros => KIND_MICROS,
    }
}

fn kind_of(kind: u8, detail: u8) -> Result<Kind> {
    let wrong = || malformed("column directory", format!("unknown kind {kind}, {detail}"));
    Ok(match (kind, detail) {
        (KIND_BOOL, 0) => Kind::Bool,
        (KIND_INT16, 0) => Kind::Int16,
        (KIND_INT32, 0) => Kind::Int32,
        (KIND_INT64, 0) => Kind::Int64,
        (KIND_FLOAT32, 0) => Kind::Float32,
        (KIND_FLOAT64, 0) => Kind::Float64,
        (KIND_TEXT, 0) => Kind::Text,
        (KIND_BYTES, 0) => Kind::Bytes,
        (KIND_DATE, 0) => Kind::Date,
        (KIND_TIME, 0) => Kind::Time,
        (KIND_MICROS, 0) => Kind::Micros,
        (KIND_NANOS, 0) => Kind::Nanos,
        (KIND_INTERVAL, 0) => Kind::Interval,
        (KIND_DECIMAL, scale) if scale <= crate::table::kind::DECIMAL_DIGITS => Kind::Decimal(scale),
        (KIND_LIST, KIND_BOOL) => Kind::List(ListKind::Bool),
        (KIND_LIST, KIND_INT16) => Kind::List(ListKind::Int16),
        (KIND_LIST, KIND_INT32) => Kind::List(ListKind::Int32),
        (KIND_LIST, KIND_INT64) => Kind::List(ListKind::Int64),
        (KIND_LIST, KIND_FLOAT32) => Kind::List(ListKind::Float32),
        (KIND_LIST, KIND_FLOAT64) => Kind::List(ListKind::Float64),
        (KIND_LIST, KIND_TEXT) => Kind::List(ListKind::Text),
        (KIND_LIST, KIND_DATE) => Kind::List(ListKind::Date),
        (KIND_LIST, KIND_MICROS) => Kind::List(ListKind::Micros),
        (KIND_JSON, 0) => Kind::Json,
        (KIND_NULL, 0) => Kind::Null,
        (KIND_EMPTY_OBJECT, 0) => Kind::EmptyObject,
        (KIND_NUMBER_TEXT, 0) => Kind::NumberText,
        _ => return Err(wrong()),
    })
}
