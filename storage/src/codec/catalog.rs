//! Catalog values as bytes: a version byte, a bincode body, and a CRC32C that covers the key as well.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use roaring::RoaringBitmap;

use crate::{
    Result, StorageError,
    catalog::{
        Counters, DeletedChunk, QuarantineRecord, SegmentKind, SegmentRecord, TombstoneMatcher, TombstoneRecord,
    },
    model::{
        matcher::MatchOp,
        metadata::{MetricKind, MetricMetadata},
        time::TimeRange,
    },
    table::{
        TableId,
        wire::{TableState, decode_table, encode_table},
    },
};

/// The version byte in front of every value.
const VALUE_VERSION: u8 = 1;
/// What one decoded value may take of memory, in bytes: a lying length is refused before it is allocated.
const VALUE_LIMIT: usize = 16 << 20;

type Config = Configuration<LittleEndian, Varint, Limit<VALUE_LIMIT>>;

const fn config() -> Config {
    bincode::config::standard().with_limit::<VALUE_LIMIT>()
}

/// A record of the catalog, as it becomes a value.
pub(crate) trait CatalogValue: Sized {
    /// What bincode writes: tuples of numbers and texts, in the order that FORMAT.md gives.
    type Body: bincode::Encode + bincode::Decode<()>;
    /// The record as a body.
    fn to_body(&self) -> Self::Body;
    /// The record in a body.
    fn from_body(body: Self::Body) -> Result<Self>;
}

/// The value of a record under its key.
pub(crate) fn encode<T: CatalogValue>(key: &[u8], record: &T) -> Result<Vec<u8>> {
    let mut value = vec![VALUE_VERSION];
    bincode::encode_into_std_write(record.to_body(), &mut value, config())
        .map_err(|e| StorageError::Catalog(format!("a record cannot be encoded: {e}")))?;
    let crc = checksum(key, &value);
    value.extend_from_slice(&crc.to_le_bytes());
    Ok(value)
}

/// The record in a value that stands under this key.
pub(crate) fn decode<T: CatalogValue>(key: &[u8], value: &[u8]) -> Result<T> {
    let (body, crc) = value.split_last_chunk::<4>().ok_or_else(|| malformed("a value is too short"))?;
    if checksum(key, body) != u32::from_le_bytes(*crc) {
        return Err(malformed("a value's checksum does not fit"));
    }
    let (version, body) = body.split_first().ok_or_else(|| malformed("a value is too short"))?;
    if *version != VALUE_VERSION {
        return Err(malformed(format!("value version {version} is unknown")));
    }
    let (decoded, used) =
        bincode::decode_from_slice::<T::Body, _>(body, config()).map_err(|e| malformed(e.to_string()))?;
    if used != body.len() {
        return Err(malformed(format!("{} bytes are left behind a value", body.len() - used)));
    }
    T::from_body(decoded)
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), body)
}

fn malformed(reason: impl Into<String>) -> StorageError {
    StorageError::Malformed { what: "catalog record", reason: reason.into() }
}

/// A range as (start, end).
type Range = (i64, i64);

const fn range(r: &TimeRange) -> Range {
    (r.start, r.end)
}

const fn time_range((start, end): Range) -> TimeRange {
    TimeRange { start, end }
}

impl CatalogValue for Counters {
    /// Format version, commits, WAL floor, WAL head, next segment id, next sequence.
    type Body = (u32, u64, u64, u64, u64, u64);

    fn to_body(&self) -> Self::Body {
        let Self { format_version, commits, wal_floor, wal_head, next_segment_id, next_sequence } = self;
        (*format_version, *commits, *wal_floor, *wal_head, *next_segment_id, *next_sequence)
    }

    fn from_body(body: Self::Body) -> Result<Self> {
        let (format_version, commits, wal_floor, wal_head, next_segment_id, next_sequence) = body;
        Ok(Self { format_version, commits, wal_floor, wal_head, next_segment_id, next_sequence })
    }
}

impl CatalogValue for SegmentRecord {
    /// Id, sequence, partition, range, series or table, samples or rows, file length, kind, level.
    type Body = (u64, u64, Range, Range, u64, u64, u64, u8, u8);

    fn to_body(&self) -> Self::Body {
        let Self { id, sequence, partition, range: held, series, samples, file_len, kind, level } = self;
        let (kind, of) = match kind {
            SegmentKind::Metrics => (1, *series),
            SegmentKind::Events(table) => (2, u64::from(table.0)),
        };
        (*id, *sequence, range(partition), range(held), of, *samples, *file_len, kind, *level)
    }

    fn from_body(body: Self::Body) -> Result<Self> {
        let (id, sequence, partition, held, of, samples, file_len, kind, level) = body;
        let (kind, series) = match kind {
            1 => (SegmentKind::Metrics, of),
            2 => {
                let table = u32::try_from(of).map_err(|_| malformed(format!("table number {of} is too large")))?;
                (SegmentKind::Events(TableId(table)), 0)
            }
            _ => return Err(malformed(format!("segment kind {kind} is unknown"))),
        };
        let (partition, range) = (time_range(partition), time_range(held));
        Ok(Self { id, sequence, partition, range, series, samples, file_len, kind, level })
    }
}

impl CatalogValue for TombstoneRecord {
    /// Id, matchers as (name, operator, value), range, sequence bound.
    type Body = (u64, Vec<(String, u8, String)>, Range, u64);

    fn to_body(&self) -> Self::Body {
        let matchers = self.matchers.iter().map(|m| {
            let op = match m.op {
                MatchOp::Equal => 0,
                MatchOp::NotEqual => 1,
                MatchOp::Regex => 2,
                MatchOp::NotRegex => 3,
            };
            (m.name.clone(), op, m.value.clone())
        });
        (self.id, matchers.collect(), range(&self.range), self.sequence_bound)
    }

    fn from_body((id, matchers, range, sequence_bound): Self::Body) -> Result<Self> {
        let matchers = matchers.into_iter().map(|(name, op, value)| {
            let op = match op {
                0 => MatchOp::Equal,
                1 => MatchOp::NotEqual,
                2 => MatchOp::Regex,
                3 => MatchOp::NotRegex,
                _ => return Err(malformed(format!("matcher operator {op} is unknown"))),
            };
            Ok(TombstoneMatcher { name, op, value })
        });
        Ok(Self { id, matchers: matchers.collect::<Result<_>>()?, range: time_range(range), sequence_bound })
    }
}

impl CatalogValue for MetricMetadata {
    /// Kind, help, unit.
    type Body = (u8, String, String);

    fn to_body(&self) -> Self::Body {
        (self.kind as u8, self.help.clone(), self.unit.clone())
    }

    fn from_body((kind, help, unit): Self::Body) -> Result<Self> {
        let kind = MetricKind::from_number(u64::from(kind))
            .ok_or_else(|| malformed(format!("metric kind {kind} is unknown")))?;
        Ok(Self { kind, help, unit })
    }
}

impl CatalogValue for QuarantineRecord {
    /// File, what it was, time range if known, reason, when.
    type Body = (String, String, Option<Range>, String, i64);

    fn to_body(&self) -> Self::Body {
        (self.file.clone(), self.what.clone(), self.range.as_ref().map(range), self.reason.clone(), self.at_ms)
    }

    fn from_body((file, what, range, reason, at_ms): Self::Body) -> Result<Self> {
        Ok(Self { file, what, range: range.map(time_range), reason, at_ms, table: None })
    }
}

/// A quarantined file that held rows of a table.
pub(crate) struct TableQuarantine(pub(crate) QuarantineRecord);

impl CatalogValue for TableQuarantine {
    /// As [`QuarantineRecord`], and the table's name.
    type Body = (<QuarantineRecord as CatalogValue>::Body, String);

    fn to_body(&self) -> Self::Body {
        (self.0.to_body(), self.0.table.clone().unwrap_or_default())
    }

    fn from_body((body, table): Self::Body) -> Result<Self> {
        Ok(Self(QuarantineRecord { table: Some(table), ..QuarantineRecord::from_body(body)? }))
    }
}

impl CatalogValue for TableState {
    /// What `table::wire` writes.
    type Body = Vec<u8>;

    fn to_body(&self) -> Self::Body {
        let mut bytes = Vec::new();
        encode_table(self, &mut bytes);
        bytes
    }

    fn from_body(body: Self::Body) -> Result<Self> {
        decode_table(&body)
    }
}

impl CatalogValue for DeletedChunk {
    /// Table, chunk, row ids' lower bits as a Roaring bitmap.
    type Body = (u32, u64, Vec<u8>);

    fn to_body(&self) -> Self::Body {
        let mut bytes = Vec::with_capacity(self.ids.serialized_size());
        self.ids.serialize_into(&mut bytes).expect("a Vec takes every byte");
        (self.table.0, self.chunk, bytes)
    }

    fn from_body((table, chunk, bytes): Self::Body) -> Result<Self> {
        let ids = RoaringBitmap::deserialize_from(bytes.as_slice()).map_err(|e| malformed(e.to_string()))?;
        if ids.max().is_some_and(|max| max >> Self::CHUNK_BITS != 0) || chunk >> (u64::BITS - Self::CHUNK_BITS) != 0 {
            return Err(malformed("a deleted row's id is outside its chunk"));
        }
        Ok(Self { table: TableId(table), chunk, ids })
    }
}

/// An entry: what is kept under a name of a space.
pub(crate) struct EntryValue {
    pub(crate) space: String,
    pub(crate) name: String,
    pub(crate) body: Vec<u8>,
}

impl CatalogValue for EntryValue {
    /// Space, name, body.
    type Body = (String, String, Vec<u8>);

    fn to_body(&self) -> Self::Body {
        (self.space.clone(), self.name.clone(), self.body.clone())
    }

    fn from_body((space, name, body): Self::Body) -> Result<Self> {
        Ok(Self { space, name, body })
    }
}

/// The highest number that a table ever had.
pub(crate) struct LastTable(pub(crate) u32);

impl CatalogValue for LastTable {
    /// The number.
    type Body = (u32,);

    fn to_body(&self) -> Self::Body {
        (self.0,)
    }

    fn from_body((number,): Self::Body) -> Result<Self> {
        Ok(Self(number))
    }
}
