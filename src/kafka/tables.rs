//! The tables of the consumers themselves: how far each has come, and what was no document.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, StringViewArray, TimestampMicrosecondArray, cast::AsArray,
    types::Int32Type, types::Int64Type,
};
use chronolith_storage::{
    Result, StorageError,
    engine::{OnConflict, Transaction},
    table::{ColumnDefinition, ColumnId, ColumnType, Rows, TableDefinition, TableId, TableSnapshot, TablesView},
};

/// How far each consumer has come: the next offset of each partition.
pub const OFFSETS: &str = "kafka_offsets";
/// The messages that became no rows.
pub const REJECTED: &str = "kafka_rejected";

const OFFSETS_COLUMNS: [(&str, ColumnType, bool); 6] = [
    ("name", ColumnType::Text, true),
    ("topic", ColumnType::Text, true),
    ("partition", ColumnType::Int4, true),
    ("next_offset", ColumnType::Int8, true),
    ("topic_id", ColumnType::Uuid, false),
    ("updated", ColumnType::TimestampTz, true),
];
const OFFSETS_KEY: usize = 3;

const REJECTED_COLUMNS: [(&str, ColumnType, bool); 9] = [
    ("rejected", ColumnType::TimestampTz, true),
    ("name", ColumnType::Text, true),
    ("topic", ColumnType::Text, true),
    ("partition", ColumnType::Int4, true),
    ("message_offset", ColumnType::Int8, true),
    ("time", ColumnType::TimestampTz, false),
    ("reason", ColumnType::Text, true),
    ("message", ColumnType::Text, false),
    ("bytes", ColumnType::Int8, false),
];

/// Whose rows they are.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) topic: String,
}

/// How far a partition was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) next: i64,
    /// The topic that the offset is of, where brokers say it.
    pub(super) topic_id: Option<String>,
}

/// A message that became no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) time_ms: Option<i64>,
    pub(super) reason: String,
    /// The beginning of the message, as text.
    pub(super) message: Option<String>,
    /// How long the message is.
    pub(super) bytes: Option<i64>,
}

/// The positions that were kept for this name and topic.
pub(super) fn read_positions(view: &TablesView, owner: &Owner) -> Result<BTreeMap<i32, Position>> {
    let mut positions = BTreeMap::new();
    let Some(table) = view.table(OFFSETS) else { return Ok(positions) };
    let columns = columns_of(table, &OFFSETS_COLUMNS)?;
    for part in table.parts.iter() {
        for block in 0..part.blocks() {
            let ids = part.row_ids(block)?;
            let read = |column: usize| part.read(&columns[column], block);
            let (names, topics, partitions) = (read(0)?, read(1)?, read(2)?);
            let (nexts, topic_ids) = (read(3)?, read(4)?);
            for (row, id) in ids.values().iter().enumerate() {
                let counts = !table.deleted.contains(*id);
                let is_ours = text_at(&names, row) == Some(&owner.name) && text_at(&topics, row) == Some(&owner.topic);
                if counts && is_ours {
                    let next = nexts.as_primitive::<Int64Type>().value(row);
                    let topic_id = text_at(&topic_ids, row).map(str::to_owned);
                    let partition = partitions.as_primitive::<Int32Type>().value(row);
                    positions.insert(partition, Position { next, topic_id });
                }
            }
        }
    }
    Ok(positions)
}

fn text_at(texts: &ArrayRef, row: usize) -> Option<&str> {
    let texts = texts.as_string_view();
    texts.is_valid(row).then(|| texts.value(row))
}

/// Keeps the positions in place of those before.
pub(super) fn write_positions(
    transaction: &mut Transaction,
    owner: &Owner,
    positions: &BTreeMap<i32, Position>,
    now_ms: i64,
) -> Result<()> {
    if positions.is_empty() {
        return Ok(());
    }
    let table = table(transaction, OFFSETS)?;
    let n = positions.len();
    let rows = rows_of(
        &OFFSETS_COLUMNS,
        n,
        vec![
            same(&owner.name, n),
            same(&owner.topic, n),
            Arc::new(Int32Array::from_iter_values(positions.keys().copied())),
            Arc::new(Int64Array::from_iter_values(positions.values().map(|p| p.next))),
            Arc::new(StringViewArray::from_iter(positions.values().map(|p| p.topic_id.as_deref()))),
            moments(std::iter::repeat_n(Some(now_ms), n)),
        ],
    )?;
    transaction.insert(table, rows, OnConflict::Replace)?;
    Ok(())
}

/// Keeps what became no rows.
pub(super) fn write_rejected(
    transaction: &mut Transaction,
    owner: &Owner,
    rejected: &[Rejected],
    now_ms: i64,
) -> Result<()> {
    if rejected.is_empty() {
        return Ok(());
    }
    let table = table(transaction, REJECTED)?;
    let n = rejected.len();
    let all = || rejected.iter();
    let rows = rows_of(
        &REJECTED_COLUMNS,
        n,
        vec![
            moments(std::iter::repeat_n(Some(now_ms), n)),
            same(&owner.name, n),
            same(&owner.topic, n),
            Arc::new(Int32Array::from_iter_values(all().map(|r| r.partition))),
            Arc::new(Int64Array::from_iter_values(all().map(|r| r.offset))),
            moments(all().map(|r| r.time_ms)),
            Arc::new(StringViewArray::from_iter_values(all().map(|r| r.reason.as_str()))),
            Arc::new(StringViewArray::from_iter(all().map(|r| r.message.as_deref()))),
            Arc::new(Int64Array::from_iter(all().map(|r| r.bytes))),
        ],
    )?;
    transaction.insert(table, rows, OnConflict::Refuse)?;
    Ok(())
}

/// The table of this name, made when it does not exist.
fn table(transaction: &mut Transaction, name: &str) -> Result<TableId> {
    if let Some(table) = transaction.tables().table(name) {
        let columns: &[_] = if name == OFFSETS { &OFFSETS_COLUMNS } else { &REJECTED_COLUMNS };
        columns_of(table, columns)?;
        return Ok(table.definition.id);
    }
    let definition = if name == OFFSETS {
        define(OFFSETS, &OFFSETS_COLUMNS, OFFSETS_KEY, None)
    } else {
        define(REJECTED, &REJECTED_COLUMNS, 0, Some(ColumnId(0)))
    };
    Ok(transaction.create_table(definition)?.id)
}

fn define(name: &str, columns: &[(&str, ColumnType, bool)], key: usize, time: Option<ColumnId>) -> TableDefinition {
    let column = |(id, (name, column_type, not_null)): (u32, &(&str, ColumnType, bool))| ColumnDefinition {
        id: ColumnId(id),
        name: (*name).to_owned(),
        column_type: column_type.clone(),
        not_null: *not_null,
        default: None,
        serial: false,
    };
    let columns: Vec<ColumnDefinition> = (0..).zip(columns).map(column).collect();
    TableDefinition {
        id: TableId(0),
        name: name.to_owned(),
        next_column: ColumnId(columns.len() as u32),
        primary_key: columns[..key].iter().map(|c| c.id).collect(),
        columns,
        time,
        dynamic: false,
        retention_ms: None,
    }
}

type Key = chronolith_storage::table::ColumnKey;

/// Where the columns are; somebody may have made the table in another way.
fn columns_of(table: &TableSnapshot, columns: &[(&str, ColumnType, bool)]) -> Result<Vec<Key>> {
    let definition = &table.definition;
    let find = |(id, (name, column_type, _)): (u32, &(&str, ColumnType, bool))| {
        let found = definition.column(ColumnId(id)).filter(|c| c.name == *name && c.column_type == *column_type);
        found.and_then(ColumnDefinition::key).ok_or_else(|| {
            StorageError::Invalid(format!(
                "table {:?} is not as consumers of Kafka make it: its column {name:?} is missing or another one. \
                 Rename the table; a new one is made then",
                definition.name
            ))
        })
    };
    (0..).zip(columns).map(find).collect()
}

fn rows_of(columns: &[(&str, ColumnType, bool)], len: usize, arrays: Vec<ArrayRef>) -> Result<Rows> {
    let definition = define("", columns, 0, None);
    let keys = definition.columns.iter().filter_map(ColumnDefinition::key);
    Rows::new(len, keys.zip(arrays).collect())
}

fn same(text: &str, n: usize) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(text, n)))
}

fn moments(of: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    let moments: TimestampMicrosecondArray = of.map(|ms| ms.map(|ms| ms.saturating_mul(1_000))).collect();
    Arc::new(moments)
}
