//! What a transaction sees when it is pinned to a moment, and rows that others must not change.

use std::sync::Arc;

use chronolith_storage::{
    StorageError,
    engine::{Engine, OnConflict, Transaction},
    table::TableId,
    vfs::MemFs,
};
use roaring::RoaringTreemap;

use crate::world::{definition, options, read, rows};

fn engine() -> (Engine, TableId) {
    let engine = Engine::open(options(Arc::new(MemFs::new()))).unwrap();
    let mut t = engine.begin();
    let id = t.create_table(definition("keyed", true)).unwrap().id;
    t.insert(id, rows(&[(1, "a".to_owned()), (2, "b".to_owned())]), OnConflict::Refuse).unwrap();
    t.commit().unwrap();
    (engine, id)
}

fn seen(transaction: &Transaction) -> Vec<(i64, String)> {
    let mut all: Vec<_> = read(transaction.tables().table("keyed").unwrap())
        .unwrap()
        .into_iter()
        .map(|(number, text, _)| (number, text))
        .collect();
    all.sort();
    all
}

fn id_of(transaction: &Transaction, number: i64) -> RoaringTreemap {
    let all = read(transaction.tables().table("keyed").unwrap()).unwrap();
    all.into_iter().filter(|(n, ..)| *n == number).map(|(_, _, id)| id).collect()
}

/// Puts another text in the place of a row's.
fn change(engine: &Engine, table: TableId, number: i64, text: &str) {
    let mut t = engine.begin();
    let ids = id_of(&t, number);
    t.delete(table, &ids).unwrap();
    t.insert(table, rows(&[(number, text.to_owned())]), OnConflict::Refuse).unwrap();
    t.commit().unwrap();
}

fn is_conflict(committed: chronolith_storage::Result<()>) -> bool {
    matches!(committed, Err(StorageError::Conflict { .. }))
}

#[test]
fn a_pinned_transaction_sees_its_moment_and_its_own_writes() {
    let (engine, table) = engine();
    let mut t = engine.begin();
    change(&engine, table, 1, "before");
    t.pin();
    assert!(t.is_pinned());
    change(&engine, table, 1, "after");
    engine.flush().unwrap();
    let mut other = engine.begin();
    other.create_table(definition("later", false)).unwrap();
    other.commit().unwrap();
    assert!(t.tables().table("later").is_none());
    t.insert(table, rows(&[(3, "own".to_owned())]), OnConflict::Refuse).unwrap();
    let own = [(1, "before".to_owned()), (2, "b".to_owned()), (3, "own".to_owned())];
    assert_eq!(seen(&t), own);
    t.commit().unwrap();
    // A row that is there no more cannot be deleted.
    let mut t = engine.begin();
    t.pin();
    let ids = id_of(&t, 1);
    change(&engine, table, 1, "again");
    t.delete(table, &ids).unwrap();
    assert!(is_conflict(t.commit()));
}

#[test]
fn a_locked_row_that_another_changes_is_a_conflict() {
    for (flushes, changed) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
        let (engine, table) = engine();
        let mut t = engine.begin();
        t.lock(table, &id_of(&t, 1)).unwrap();
        assert!(t.is_empty(), "a lock writes nothing");
        t.insert(table, rows(&[(3, "own".to_owned())]), OnConflict::Refuse).unwrap();
        change(&engine, table, changed, "changed");
        if flushes {
            engine.flush().unwrap();
        }
        assert_eq!(is_conflict(t.commit()), changed == 1, "row {changed} was changed, flushed: {flushes}");
    }
}

#[test]
fn what_is_rolled_back_or_writes_nothing_locks_nothing() {
    let (engine, table) = engine();
    let mut t = engine.begin();
    t.lock(table, &id_of(&t, 1)).unwrap();
    let mut other = engine.begin();
    let savepoint = other.savepoint();
    other.lock(table, &id_of(&other, 1)).unwrap();
    other.rollback_to(savepoint);
    other.insert(table, rows(&[(3, "own".to_owned())]), OnConflict::Refuse).unwrap();
    change(&engine, table, 1, "changed");
    t.commit().unwrap();
    other.commit().unwrap();
    // A row of its own is no one else's.
    let mut t = engine.begin();
    t.insert(table, rows(&[(4, "own".to_owned())]), OnConflict::Refuse).unwrap();
    t.lock(table, &id_of(&t, 4)).unwrap();
    t.commit().unwrap();
}
