//! Tables on disk: restarts, flushes, merges, retention, backups, lost catalogs.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arrow_array::{ArrayRef, Int64Array, StringViewArray, TimestampNanosecondArray};
use chronolith_storage::{
    StorageError,
    clock::VirtualClock,
    engine::{Engine, EngineOptions, OnConflict},
    table::{ColumnDefinition, ColumnId, ColumnKey, ColumnType, Kind, Rows, TableDefinition, TableId, TablesView},
    vfs::{MemFs, Vfs},
};
use roaring::RoaringTreemap;

const DAY: i64 = 24 * 60 * 60 * 1_000;

struct Disk {
    vfs: Arc<dyn Vfs>,
    clock: Arc<VirtualClock>,
}

impl Disk {
    fn new() -> Self {
        Self { vfs: Arc::new(MemFs::default()), clock: Arc::new(VirtualClock::at(100 * DAY)) }
    }

    fn options(&self) -> EngineOptions {
        EngineOptions {
            vfs: Arc::clone(&self.vfs),
            dir: PathBuf::from("/data"),
            clock: Arc::clone(&self.clock) as _,
            seed: 1,
            reserved_space: 0,
            background: false,
            ..EngineOptions::in_memory()
        }
    }

    fn open(&self) -> Engine {
        Engine::open(self.options()).unwrap()
    }
}

/// Users by number: a key, a text, a time.
fn users() -> TableDefinition {
    let column = |id, name: &str, column_type| ColumnDefinition {
        id: ColumnId(id),
        name: name.to_owned(),
        column_type,
        not_null: false,
        default: None,
        serial: id == 0,
    };
    TableDefinition {
        id: TableId(0),
        name: "users".to_owned(),
        columns: vec![
            column(0, "id", ColumnType::Int8),
            column(1, "name", ColumnType::Text),
            column(2, "seen", ColumnType::TimestampNanos),
        ],
        next_column: ColumnId(3),
        primary_key: vec![ColumnId(0)],
        time: Some(ColumnId(2)),
        dynamic: true,
        retention_ms: None,
    }
}

/// Id, name, time in milliseconds.
type User = (i64, String, i64);

fn rows(of: &[User]) -> Rows {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(of.iter().map(|u| u.0)));
    let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(of.iter().map(|u| u.1.as_str())));
    let times: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values(of.iter().map(|u| u.2 * 1_000_000)));
    let columns = vec![
        (ColumnKey::new("#0", Kind::Int64), ids),
        (ColumnKey::new("#1", Kind::Text), names),
        (ColumnKey::new("#2", Kind::Nanos), times),
    ];
    Rows::new(of.len(), columns).unwrap()
}

fn user(id: i64) -> User {
    (id, format!("the name of user {id}"), 100 * DAY + id * 1_000)
}

fn make(engine: &Engine) -> TableId {
    let mut t = engine.begin();
    let id = t.create_table(users()).unwrap().id;
    t.commit().unwrap();
    id
}

fn table_id(engine: &Engine) -> TableId {
    engine.tables().table("users").unwrap().definition.id
}

fn insert(engine: &Engine, users: &[User], on_conflict: OnConflict) {
    let mut t = engine.begin();
    t.insert(table_id(engine), rows(users), on_conflict).unwrap();
    t.commit().unwrap();
}

fn delete(engine: &Engine, ids: &[i64]) {
    let table = table_id(engine);
    let mut t = engine.begin();
    let keys: Vec<User> = ids.iter().map(|id| user(*id)).collect();
    let found = t.find_by_key(table, &rows(&keys)).unwrap();
    t.delete(table, &RoaringTreemap::from_iter(found.into_iter().flatten())).unwrap();
    t.commit().unwrap();
}

/// All users by id; the same id twice is a failure. Rows of a segment must be in the order of time.
fn shown(view: &TablesView) -> BTreeMap<i64, String> {
    let table = view.table("users").unwrap();
    let mut all = BTreeMap::new();
    for part in table.parts.iter() {
        for block in 0..part.blocks() {
            let ids = part.read(&ColumnKey::new("#0", Kind::Int64), block).unwrap();
            let names = part.read(&ColumnKey::new("#1", Kind::Text), block).unwrap();
            let ids = ids.as_any().downcast_ref::<Int64Array>().unwrap();
            let names = names.as_any().downcast_ref::<StringViewArray>().unwrap();
            for (i, row) in part.row_ids(block).unwrap().values().iter().enumerate() {
                if !table.deleted.contains(*row) {
                    let twice = all.insert(ids.value(i), names.value(i).to_owned());
                    assert!(twice.is_none(), "user {} is there twice", ids.value(i));
                }
            }
        }
    }
    assert_eq!(all.len() as u64, table.len());
    all
}

fn expected(users: impl IntoIterator<Item = User>) -> BTreeMap<i64, String> {
    users.into_iter().map(|u| (u.0, u.1)).collect()
}

#[test]
fn everything_is_there_after_a_restart_and_after_a_flush() {
    let disk = Disk::new();
    let engine = disk.open();
    let table = make(&engine);
    let mut t = engine.begin();
    assert_eq!(t.next_serial(table, ColumnId(0), 5).unwrap(), 1);
    t.insert(table, rows(&(0..100).map(user).collect::<Vec<_>>()), OnConflict::Refuse).unwrap();
    t.put_entry("view", "v", Some(b"select".to_vec()));
    t.commit().unwrap();
    delete(&engine, &[3, 4]);
    insert(&engine, &[(5, "renamed".to_owned(), 0)], OnConflict::Replace);
    let want: BTreeMap<i64, String> = {
        let mut want = expected((0..100).filter(|id| ![3, 4].contains(id)).map(user));
        want.insert(5, "renamed".to_owned());
        want
    };
    assert_eq!(shown(&engine.tables()), want);
    drop(engine);
    let engine = disk.open();
    assert_eq!(engine.stats().replayed_rows, 101);
    assert_eq!(shown(&engine.tables()), want);
    assert_eq!(engine.begin().next_serial(table, ColumnId(0), 1).unwrap(), 6);
    engine.flush().unwrap();
    assert_eq!(engine.segments().len(), 1);
    assert_eq!(engine.tables().table("users").unwrap().deleted.len(), 0, "deleted rows are not written");
    assert_eq!(shown(&engine.tables()), want);
    delete(&engine, &[7]);
    insert(&engine, &[(8, "again".to_owned(), 0)], OnConflict::Replace);
    engine.flush().unwrap();
    drop(engine);
    let engine = disk.open();
    assert_eq!(engine.stats().replayed_rows, 0);
    let mut want = want;
    want.remove(&7);
    want.insert(8, "again".to_owned());
    assert_eq!(shown(&engine.tables()), want);
    assert_eq!(engine.tables().entry("view", "v").unwrap()[..], *b"select");
    assert_eq!(engine.begin().next_serial(table, ColumnId(0), 1).unwrap(), 7, "never given twice");
    engine.compact().unwrap();
    assert_eq!(engine.segments().len(), 1);
    assert_eq!(shown(&engine.tables()), want);
    assert_eq!(engine.tables().table("users").unwrap().deleted.len(), 0);
    drop(engine);
    assert_eq!(shown(&disk.open().tables()), want);
}

#[test]
fn keys_are_found_in_segments() {
    let disk = Disk::new();
    let engine = disk.open();
    let table = make(&engine);
    for n in 0..5 {
        insert(&engine, &(n * 3_000..(n + 1) * 3_000).map(user).collect::<Vec<_>>(), OnConflict::Refuse);
        engine.flush().unwrap();
    }
    let mut t = engine.begin();
    let refused = t.insert(table, rows(&[user(20_000), user(7_500)]), OnConflict::Refuse).unwrap_err();
    assert!(refused.to_string().contains("(7500)"), "{refused}");
    let found = t.find_by_key(table, &rows(&[user(1), user(14_999), user(15_000)])).unwrap();
    assert!(found[0].is_some() && found[1].is_some() && found[2].is_none());
    // Another transaction takes the key, and a flush moves it to a segment before the commit.
    let mut late = engine.begin();
    late.insert(table, rows(&[user(16_000)]), OnConflict::Refuse).unwrap();
    insert(&engine, &[user(16_000)], OnConflict::Refuse);
    engine.flush().unwrap();
    assert!(matches!(late.commit(), Err(StorageError::Conflict { .. })));
    // A row that a merge took out cannot be deleted again.
    let mut late = engine.begin();
    late.insert(table, rows(&[user(16_000)]), OnConflict::Replace).unwrap();
    insert(&engine, &[user(16_000)], OnConflict::Replace);
    engine.compact().unwrap();
    assert!(matches!(late.commit(), Err(StorageError::Conflict { .. })));
    let mut unhurt = engine.begin();
    unhurt.insert(table, rows(&[user(9)]), OnConflict::Replace).unwrap();
    engine.compact().unwrap();
    unhurt.commit().unwrap();
    assert_eq!(shown(&engine.tables()), expected((0..15_000).chain([16_000]).map(user)));
}

#[test]
fn dropped_and_truncated_tables_leave_no_files() {
    let disk = Disk::new();
    let engine = disk.open();
    let table = make(&engine);
    insert(&engine, &[user(1)], OnConflict::Refuse);
    engine.flush().unwrap();
    let mut t = engine.begin();
    t.truncate(table).unwrap();
    t.commit().unwrap();
    assert_eq!(shown(&engine.tables()), BTreeMap::new());
    insert(&engine, &[user(2)], OnConflict::Refuse);
    drop(engine);
    let engine = disk.open();
    assert_eq!(shown(&engine.tables()), expected([user(2)]));
    engine.flush().unwrap();
    assert_eq!(engine.segments().len(), 1);
    let mut t = engine.begin();
    t.drop_table(table_id(&engine)).unwrap();
    t.commit().unwrap();
    engine.flush().unwrap();
    assert!(engine.tables().table("users").is_none());
    assert!(disk.vfs.list(&PathBuf::from("/data/segments")).unwrap().is_empty());
    drop(engine);
    assert!(disk.open().tables().table("users").is_none());
    let engine = disk.open();
    assert!(make(&engine) > table, "numbers of tables are never given again");
}

#[test]
fn retention_drops_old_rows_and_keeps_those_without_a_time() {
    let disk = Disk::new();
    let engine = disk.open();
    let mut t = engine.begin();
    let definition = TableDefinition { retention_ms: Some(10 * DAY), ..users() };
    let table = t.create_table(definition).unwrap().id;
    t.commit().unwrap();
    let at = |id: i64, day: i64| (id, format!("user {id}"), day * DAY);
    insert(&engine, &[at(1, 50), at(2, 60)], OnConflict::Refuse);
    engine.flush().unwrap();
    insert(&engine, &[at(3, 62), at(4, 99)], OnConflict::Refuse);
    let timeless = Rows::new(1, rows(&[at(5, 0)]).columns()[..2].to_vec()).unwrap();
    let mut t = engine.begin();
    t.insert(table, timeless, OnConflict::Refuse).unwrap();
    t.commit().unwrap();
    engine.flush().unwrap();
    insert(&engine, &[at(6, 100)], OnConflict::Refuse);
    engine.flush().unwrap();
    delete(&engine, &[1]);
    engine.enforce_retention().unwrap();
    let want: Vec<i64> = vec![4, 5, 6];
    assert_eq!(shown(&engine.tables()).into_keys().collect::<Vec<_>>(), want);
    engine.flush().unwrap();
    drop(engine);
    let engine = disk.open();
    assert_eq!(shown(&engine.tables()).into_keys().collect::<Vec<_>>(), want);
}

#[test]
fn a_backup_opens_and_a_reader_beside_the_owner_sees_what_is_committed() {
    let disk = Disk::new();
    let engine = disk.open();
    make(&engine);
    insert(&engine, &(0..100).map(user).collect::<Vec<_>>(), OnConflict::Refuse);
    engine.flush().unwrap();
    delete(&engine, &[1]);
    let name = engine.backup().unwrap();
    delete(&engine, &[2]);
    let reader = Engine::open(EngineOptions { read_only: true, ..disk.options() }).unwrap();
    assert_eq!(shown(&reader.tables()), expected((0..100).filter(|id| ![1, 2].contains(id)).map(user)));
    assert!(reader.begin().commit().is_ok());
    let mut t = reader.begin();
    t.put_entry("view", "v", None);
    assert!(matches!(t.commit(), Err(StorageError::ReadOnly)));
    let dir = PathBuf::from("/data/snapshots").join(name);
    let backup = Engine::open(EngineOptions { dir, ..disk.options() }).unwrap();
    assert_eq!(shown(&backup.tables()), expected((0..100).filter(|id| *id != 1).map(user)));
}

#[test]
fn a_lost_catalog_keeps_definitions_and_keys_unique() {
    let disk = Disk::new();
    let engine = disk.open();
    let table = make(&engine);
    insert(&engine, &(0..100).map(user).collect::<Vec<_>>(), OnConflict::Refuse);
    engine.flush().unwrap();
    insert(&engine, &[(7, "newer".to_owned(), 0)], OnConflict::Replace);
    engine.flush().unwrap();
    insert(&engine, &[(8, "newest".to_owned(), 0)], OnConflict::Replace);
    drop(engine);
    disk.vfs.remove(&PathBuf::from("/data/catalog.redb")).unwrap();
    let engine = disk.open();
    assert!(!engine.quarantined().is_empty());
    let mut want = expected((0..100).map(user));
    want.insert(7, "newer".to_owned());
    want.insert(8, "newest".to_owned());
    assert_eq!(shown(&engine.tables()), want);
    assert_eq!(engine.tables().table("users").unwrap().definition.id, table);
    insert(&engine, &[user(200)], OnConflict::Refuse);
    engine.compact().unwrap();
    want.insert(200, user(200).1);
    assert_eq!(shown(&engine.tables()), want);
}

#[test]
fn a_transaction_that_is_too_large_for_the_log_is_refused_whole() {
    let disk = Disk::new();
    let engine = disk.open();
    let table = make(&engine);
    let long = "x".repeat(1 << 20);
    let mut t = engine.begin();
    for id in 0..70 {
        t.insert(table, rows(&[(id, long.clone(), 0)]), OnConflict::Refuse).unwrap();
    }
    let refused = t.commit().unwrap_err();
    assert!(refused.to_string().contains("commit in smaller ones"), "{refused}");
    assert!(shown(&engine.tables()).is_empty());
    insert(&engine, &[user(1)], OnConflict::Refuse);
    drop(engine);
    assert_eq!(shown(&disk.open().tables()), expected([user(1)]));
}

#[test]
fn many_small_commits_leave_few_parts() {
    let disk = Disk::new();
    let engine = disk.open();
    make(&engine);
    for id in 0..20_000 {
        insert(&engine, &[user(id)], OnConflict::Refuse);
    }
    let view = engine.tables();
    let parts = view.table("users").unwrap().parts.len();
    assert!(parts <= 25, "{parts} parts");
    assert_eq!(view.table("users").unwrap().len(), 20_000);
    assert!(engine.stats().table_memory_bytes < 8 << 20, "{}", engine.stats().table_memory_bytes);
    drop(engine);
    let parts = disk.open().tables().table("users").unwrap().parts.len();
    assert!(parts <= 25, "{parts} parts after a restart");
}

/// Writes one sample of a series of this name.
fn sample(engine: &Engine, name: &str, at: i64) -> chronolith_storage::Result<()> {
    engine.append(|appender| {
        let id = appender.series(&[("__name__", name)], None)?;
        appender.float(id, at, 1.0, 0).unwrap();
        Ok(())
    })
}

#[test]
fn retention_by_size_drops_the_oldest_of_samples_and_events() {
    let disk = Disk::new();
    let engine = disk.open();
    make(&engine);
    insert(&engine, &(0..50).map(user).collect::<Vec<_>>(), OnConflict::Refuse);
    engine.flush().unwrap();
    let oldest = engine.stats().table_segment_bytes;
    let newer: Vec<i64> = (1_000..1_500).collect();
    sample(&engine, "up", 100 * DAY + 500_000).unwrap();
    engine.flush().unwrap();
    let samples = engine.stats().segment_bytes;
    insert(&engine, &newer.iter().copied().map(user).collect::<Vec<_>>(), OnConflict::Refuse);
    engine.flush().unwrap();
    let newest = engine.stats().table_segment_bytes - oldest;
    let mut transaction = engine.begin();
    let id =
        transaction.create_table(TableDefinition { name: "timeless".to_owned(), time: None, ..users() }).unwrap().id;
    transaction.insert(id, rows(&[user(7)]), OnConflict::Refuse).unwrap();
    transaction.commit().unwrap();
    engine.flush().unwrap();
    drop(engine);
    let with_limit = |limit: u64| {
        let engine = Engine::open(EngineOptions { retention_bytes: Some(limit), ..disk.options() }).unwrap();
        engine.enforce_retention().unwrap();
        let left = (shown(&engine.tables()).len(), engine.stats().segments);
        assert_eq!(engine.tables().table("timeless").unwrap().len(), 1, "no row of it is the oldest");
        left
    };
    assert_eq!(with_limit(oldest + samples + newest), (550, 1), "all of it fits");
    assert_eq!(with_limit(oldest + samples + newest - 1), (500, 1));
    assert_eq!(with_limit(samples + newest), (500, 1));
    assert_eq!(with_limit(newest), (500, 0));
    assert_eq!(with_limit(1), (0, 0));
}

#[test]
fn rows_in_memory_count_in_the_memory_budget() {
    let disk = Disk::new();
    let options = EngineOptions { memory_budget: 300_000, cache_bytes: 0, ..disk.options() };
    let engine = Engine::open(options).unwrap();
    make(&engine);
    sample(&engine, "before", 100 * DAY).unwrap();
    // The budget is looked at with every 256th series.
    (1..256).for_each(|n| sample(&engine, &format!("before_{n}"), 100 * DAY).unwrap());
    insert(&engine, &(0..10_000).map(user).collect::<Vec<_>>(), OnConflict::Refuse);
    assert!(engine.stats().table_memory_bytes > 300_000);
    let refused = sample(&engine, "another", 100 * DAY).unwrap_err();
    assert!(matches!(refused, StorageError::OverBudget { budget_bytes: 300_000, .. }), "{refused}");
    sample(&engine, "before", 100 * DAY + 1).unwrap();
    engine.flush().unwrap();
    sample(&engine, "another", 100 * DAY).unwrap();
}
