//! Merges of segments of several blocks: the same rows in their order, however they were read, and found again.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{UInt64Array, cast::AsArray, types::TimestampNanosecondType};

use super::*;
use crate::{
    document::{DocumentBuilder, DocumentOptions},
    engine::{Engine, EngineOptions, OnConflict},
    memtable::read_lock,
    table::{Kind, Needle, TableDefinition},
};

/// So many rows are in each segment: none ends with a block.
const ROWS: [usize; 3] = [20_000, 15_000, 9_001];

/// An event; some come late, later ones have fields that earlier ones have not, and one field has values of several kinds.
fn event(segment: usize, row: usize) -> String {
    let n = ROWS[..segment].iter().sum::<usize>() + row;
    let late = if n % 50 == 7 { n / 2 } else { 0 };
    let ms = (n - late) * 10 + n * 7_919 % 100;
    let mixed = match n % 4 {
        0 => format!("{n}"),
        1 => format!("\"text {}\"", n % 300),
        2 => format!("[\"tag-{}\"]", n % 9),
        _ => "null".to_owned(),
    };
    let new =
        if segment > 0 && n.is_multiple_of(3) { format!(",\"new\":{{\"id\":\"{n:016x}\"}}") } else { String::new() };
    let (page, user) = (n % 40, n * 31 % 5_000);
    format!(
        "{{\"timestamp\":\"2026-01-01T{:02}:{:02}:{:02}.{:03}Z\",\"page\":\"/a/long/path/of/page/{page}\",\"user\":\"u{user}\",\"mixed\":{mixed}{new}}}",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1_000 % 60,
        ms % 1_000
    )
}

/// An engine with three segments of events, of which some are deleted.
fn engine() -> Engine {
    let engine = Engine::open(EngineOptions { background: false, ..EngineOptions::in_memory() }).unwrap();
    for (segment, rows) in ROWS.into_iter().enumerate() {
        let mut t = engine.begin();
        let definition = match segment {
            0 => t.create_table(TableDefinition::dynamic("events")).unwrap(),
            _ => Arc::clone(&t.tables().table("events").unwrap().definition),
        };
        let mut builder = DocumentBuilder::new(&DocumentOptions::default()).unwrap();
        for row in 0..rows {
            builder.push(event(segment, row).as_bytes()).unwrap();
            if builder.is_full() || row + 1 == rows {
                let taken = builder.take_rows(definition.time_key()).unwrap();
                t.insert(definition.id, taken, OnConflict::Refuse).unwrap();
            }
        }
        t.commit().unwrap();
        engine.flush().unwrap();
    }
    let mut t = engine.begin();
    let table = t.tables().table("events").unwrap().definition.id;
    t.delete(table, &deleted()).unwrap();
    t.commit().unwrap();
    engine
}

/// Single rows, and a run of them that is longer than a block.
fn deleted() -> RoaringTreemap {
    (1..44_000).step_by(97).chain(21_000..30_000).collect()
}

/// The values of a row by column, as text.
type Values = BTreeMap<String, String>;

fn put_values(rows: &mut BTreeMap<u64, Values>, key: &ColumnKey, ids: &[u64], column: &ArrayRef) {
    let name = key.to_string();
    for (at, id) in ids.iter().enumerate().filter(|(at, _)| column.is_valid(*at)) {
        let value = match (column.as_string_view_opt(), column.as_primitive_opt::<TimestampNanosecondType>()) {
            (Some(texts), _) => texts.value(at).to_owned(),
            (_, Some(times)) => times.value(at).to_string(),
            _ => format!("{:?}", column.slice(at, 1)),
        };
        rows.entry(*id).or_default().insert(name.clone(), value);
    }
}

/// All rows of parts by row id.
fn read_parts(parts: &[&dyn Part]) -> BTreeMap<u64, Values> {
    let mut rows = BTreeMap::new();
    for part in parts {
        for block in 0..part.blocks() {
            let ids = part.row_ids(block).unwrap();
            for key in part.columns().unwrap().iter() {
                put_values(&mut rows, key, ids.values(), &part.read(key, block).unwrap());
            }
        }
    }
    rows
}

fn read_merged(
    live: &[Arc<LiveEvents>],
    deleted: &RoaringTreemap,
    waiting: usize,
) -> (BTreeMap<u64, Values>, Vec<u64>) {
    let mut keys: Vec<ColumnKey> = live.iter().flat_map(|l| l.columns().unwrap().to_vec()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut inputs = Inputs::open(live, keys, Kept { deleted, from: i64::MIN }).unwrap();
    inputs.waiting = waiting;
    let (mut rows, mut order, mut removed) = (BTreeMap::new(), Vec::new(), RoaringTreemap::new());
    while let Some((next, ids)) = inputs.next(&mut removed).unwrap() {
        assert!(
            next.len() == BLOCK_ROWS || order.len() + next.len() + deleted.len() as usize == ROWS.iter().sum::<usize>()
        );
        for (key, column) in next.columns() {
            put_values(&mut rows, key, &ids, column);
        }
        // What was read of a block with rows left waits for them, if it may.
        let taken: BTreeSet<u64> = ids.iter().copied().collect();
        for input in inputs.all.iter().filter(|input| input.ids[..input.row].iter().any(|id| taken.contains(id))) {
            assert!(input.columns_of == input.block && (input.columns.bytes > 0) == (waiting == 0));
        }
        order.extend(ids);
    }
    assert_eq!(removed, *deleted);
    (rows, order)
}

#[test]
fn rows_that_wait_are_those_that_are_read_again() {
    let engine = engine();
    let live = read_lock(&engine.inner().tables).named("events").unwrap().segments.clone();
    assert!(live.iter().all(|l| l.blocks() > 1));
    let time = live[0].time_key().unwrap();
    let mut expected = read_parts(&live.iter().map(|l| &**l as &dyn Part).collect::<Vec<_>>());
    expected.retain(|id, _| !deleted().contains(*id));
    let mut order: Vec<(i64, u64)> = Vec::new();
    for (live, block) in live.iter().flat_map(|l| (0..l.blocks()).map(move |block| (l, block))) {
        let ids: UInt64Array = live.row_ids(block).unwrap();
        let times = times(Kind::Nanos, &live.read(&time, block).unwrap()).unwrap();
        order.extend(times.into_iter().zip(ids.values().iter().copied()));
    }
    order.retain(|(_, id)| !deleted().contains(*id));
    order.sort_unstable();
    let order: Vec<u64> = order.into_iter().map(|(_, id)| id).collect();
    assert!(!order.is_sorted(), "some are late");
    for waiting in [0, KEPT_MAX] {
        let (rows, merged) = read_merged(&live, &deleted(), waiting);
        assert!(merged == order, "rows in another order");
        assert!(rows == expected, "rows have other values");
    }
}

#[test]
fn merged_rows_are_found() {
    let engine = engine();
    let view = engine.tables();
    let parts: Vec<&dyn Part> = view.table("events").unwrap().parts.iter().map(|p| &**p).collect();
    let mut expected = read_parts(&parts);
    expected.retain(|id, _| !deleted().contains(*id));
    engine.compact().unwrap();
    let view = engine.tables();
    let [part] = &*view.table("events").unwrap().parts else { panic!("one segment") };
    let merged = read_parts(&[&**part]);
    assert!(merged == expected, "rows have other values");
    let ids: Vec<u64> = (0..part.blocks()).flat_map(|block| part.row_ids(block).unwrap().values().to_vec()).collect();
    let page = |n: usize| format!("/a/long/path/of/page/{n}");
    let needles = [
        ("page", page(7)),
        ("user", "u77".to_owned()),
        ("mixed", "text 5".to_owned()),
        ("new.id", format!("{:016x}", 30_003)),
    ];
    for (field, text) in needles {
        let key = ColumnKey::new(field, Kind::Text);
        let found = part.find(&key, &Needle::Value(&text)).unwrap().unwrap();
        let rows: Vec<u32> = ids
            .iter()
            .zip(0..)
            .filter(|(id, _)| expected[*id].get(&key.to_string()) == Some(&text))
            .map(|(_, row)| row)
            .collect();
        assert!(!rows.is_empty() && rows.iter().all(|row| found.contains(*row)), "{text} in {field}");
        // The others are in each block of rows.
        assert!(found.len() < ids.len() as u64 || field != "new.id", "{text} in {field}");
    }
}
