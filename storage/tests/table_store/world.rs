//! The table that the tests write to: a number, a text, a time.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arrow_array::{ArrayRef, Int64Array, StringViewArray, TimestampNanosecondArray};
use chronolith_storage::{
    Result,
    clock::VirtualClock,
    engine::{Durability, EngineOptions},
    table::{ColumnDefinition, ColumnId, ColumnKey, ColumnType, Kind, Rows, TableDefinition, TableId, TableSnapshot},
    vfs::Vfs,
};

pub(crate) const DAY: i64 = 24 * 60 * 60 * 1_000;

pub(crate) fn options(vfs: Arc<dyn Vfs>) -> EngineOptions {
    EngineOptions {
        vfs,
        dir: PathBuf::from("/data"),
        clock: Arc::new(VirtualClock::at(20 * DAY)),
        seed: 1,
        durability: Durability::Sync,
        reserved_space: 0,
        background: false,
        ..EngineOptions::in_memory()
    }
}

/// A table of this name; with a primary key or without one.
pub(crate) fn definition(name: &str, is_keyed: bool) -> TableDefinition {
    let column = |id, name: &str, column_type| ColumnDefinition {
        id: ColumnId(id),
        name: name.to_owned(),
        column_type,
        not_null: false,
        default: None,
        serial: false,
    };
    TableDefinition {
        id: TableId(0),
        name: name.to_owned(),
        columns: vec![
            column(0, "number", ColumnType::Int8),
            column(1, "text", ColumnType::Text),
            column(2, "time", ColumnType::TimestampNanos),
        ],
        next_column: ColumnId(3),
        primary_key: if is_keyed { vec![ColumnId(0)] } else { Vec::new() },
        time: Some(ColumnId(2)),
        dynamic: false,
        retention_ms: None,
    }
}

fn number_key() -> ColumnKey {
    ColumnKey::new("#0", Kind::Int64)
}

fn text_key() -> ColumnKey {
    ColumnKey::new("#1", Kind::Text)
}

/// Rows of numbers and texts. The time follows from the number, and is not in its order.
pub(crate) fn rows(of: &[(i64, String)]) -> Rows {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(of.iter().map(|(n, _)| *n)));
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(of.iter().map(|(_, text)| text.as_str())));
    let times = of.iter().map(|(n, _)| n.wrapping_mul(7_919).rem_euclid(1_000) * 1_000_000_000);
    let times: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values(times));
    let columns = vec![(number_key(), numbers), (text_key(), texts), (ColumnKey::new("#2", Kind::Nanos), times)];
    Rows::new(of.len(), columns).unwrap()
}

/// All rows that count, as number, text and row id.
pub(crate) fn read(table: &TableSnapshot) -> Result<Vec<(i64, String, u64)>> {
    let mut all = Vec::new();
    for part in table.parts.iter() {
        for block in 0..part.blocks() {
            let (numbers, texts) = (part.read(&number_key(), block)?, part.read(&text_key(), block)?);
            let numbers = numbers.as_any().downcast_ref::<Int64Array>().unwrap();
            let texts = texts.as_any().downcast_ref::<StringViewArray>().unwrap();
            for (i, id) in part.row_ids(block)?.values().iter().enumerate() {
                if !table.deleted.contains(*id) {
                    all.push((numbers.value(i), texts.value(i).to_owned(), *id));
                }
            }
        }
    }
    Ok(all)
}

/// The rows by number; one number twice is a failure, and so is a count that is not theirs.
pub(crate) fn by_number(table: &TableSnapshot, context: &str) -> BTreeMap<i64, (String, u64)> {
    let all = read(table).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(all.len() as u64, table.len(), "{context}: the count of {}", table.definition.name);
    let mut by_number = BTreeMap::new();
    for (number, text, id) in all {
        let twice = by_number.insert(number, (text, id));
        assert!(twice.is_none(), "{context}: {number} is in {} twice", table.definition.name);
    }
    by_number
}
