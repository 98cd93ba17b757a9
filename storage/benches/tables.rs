//! Transactions over tables: many small commits, upserts into a large table, snapshots.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints what it measures and may stop on an error"
)]

use std::{hint::black_box, sync::Arc};

use arrow_array::{ArrayRef, Int64Array, StringViewArray};
use chronolith_storage::{
    engine::{Engine, EngineOptions, OnConflict},
    table::{ColumnDefinition, ColumnId, ColumnKey, ColumnType, Kind, Rows, TableDefinition, TableId, key_hashes},
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn definition() -> TableDefinition {
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
        name: "users".to_owned(),
        columns: vec![column(0, "id", ColumnType::Int8), column(1, "name", ColumnType::Text)],
        next_column: ColumnId(2),
        primary_key: vec![ColumnId(0)],
        time: None,
        dynamic: false,
        retention_ms: None,
    }
}

fn rows(ids: impl Iterator<Item = i64> + Clone) -> Rows {
    let names: StringViewArray = ids.clone().map(|id| Some(format!("the name of user number {id}"))).collect();
    let ids: Vec<i64> = ids.collect();
    let len = ids.len();
    let ids: ArrayRef = Arc::new(Int64Array::from(ids));
    let columns =
        vec![(ColumnKey::new("#0", Kind::Int64), ids), (ColumnKey::new("#1", Kind::Text), Arc::new(names) as _)];
    Rows::new(len, columns).unwrap()
}

fn insert(engine: &Engine, table: TableId, rows: Rows, on_conflict: OnConflict) {
    let mut t = engine.begin();
    t.insert(table, rows, on_conflict).unwrap();
    t.commit().unwrap();
}

fn engine() -> (Engine, TableId) {
    let options = EngineOptions { background: false, memtable_bytes: 1 << 30, ..EngineOptions::in_memory() };
    let engine = Engine::open(options).unwrap();
    let mut t = engine.begin();
    let table = t.create_table(definition()).unwrap().id;
    t.commit().unwrap();
    (engine, table)
}

fn small_commits(c: &mut Criterion) {
    let (engine, table) = engine();
    let mut next = 0..;
    c.bench_function("commit_one_row", |b| {
        b.iter_batched(
            || rows(next.next().into_iter()),
            |rows| insert(&engine, table, rows, OnConflict::Refuse),
            BatchSize::SmallInput,
        );
    });
    println!("{} rows in {} parts", engine.stats().table_rows, engine.tables().table("users").unwrap().parts.len());
    c.bench_function("view_of_all_tables", |b| b.iter(|| black_box(engine.tables())));
}

fn upserts(c: &mut Criterion) {
    let (engine, table) = engine();
    for part in 0..10 {
        insert(&engine, table, rows(part * 100_000..(part + 1) * 100_000), OnConflict::Refuse);
    }
    engine.flush().unwrap();
    let mut group = c.benchmark_group("a_million_rows_in_a_segment");
    group.sample_size(10);
    let mut start = 0;
    let chosen = rows((0..5_000).map(|n| n * 199));
    group.bench_function("find_5000_keys", |b| b.iter(|| engine.begin().find_by_key(table, &chosen).unwrap()));
    group.bench_function("upsert_5000", |b| {
        b.iter_batched(
            || {
                start += 1;
                rows((0..5_000).map(move |n| n * 199 + start))
            },
            |rows| insert(&engine, table, rows, OnConflict::Replace),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn rows_by_key(c: &mut Criterion) {
    let (engine, table) = engine();
    for part in 0..100 {
        insert(&engine, table, rows(part * 1_000..(part + 1) * 1_000), OnConflict::Refuse);
    }
    let hash = |id: i64| key_hashes(&definition(), &rows(std::iter::once(id))).unwrap()[0].unwrap();
    let mut keys = (0..).map(|n: i64| hash(n * 7_919 % 100_000));
    let view = engine.tables();
    let parts = &view.table("users").unwrap().parts;
    // The first look into a batch makes its index.
    parts.iter().for_each(|part| drop(part.find_key(hash(1)).unwrap()));
    c.bench_function("a_key_among_100000_in_memory", |b| {
        b.iter_batched(
            || keys.next().unwrap(),
            |key| parts.iter().map(|part| part.find_key(key).unwrap().map_or(0, |rows| rows.len())).sum::<u64>(),
            BatchSize::SmallInput,
        );
    });
    engine.flush().unwrap();
    let view = engine.tables();
    let part = &view.table("users").unwrap().parts[0];
    for key in [ColumnKey::new("#0", Kind::Int64), ColumnKey::new("#1", Kind::Text)] {
        c.bench_function(&format!("a_block_of_{key}"), |b| b.iter(|| part.read(&key, 3).unwrap()));
        c.bench_function(&format!("eight_rows_of_{key}"), |b| {
            let places: Vec<u32> = (0..8).map(|n| n * 1_000 + 77).collect();
            b.iter(|| part.read_rows(&key, 3, &places).unwrap());
        });
    }
}

criterion_group!(benches, small_commits, upserts, rows_by_key);
criterion_main!(benches);
