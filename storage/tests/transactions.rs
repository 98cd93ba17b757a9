//! Transactions over tables: what they see, what they refuse, what they leave behind.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringViewArray};
use chronolith_storage::{
    StorageError,
    engine::{Engine, EngineOptions, OnConflict, Transaction},
    table::{
        ColumnDefinition, ColumnId, ColumnKey, ColumnType, HOLDS, Kind, REPLACED, Rows, TableDefinition, TableId,
        TablesView, hold_body, hold_name, replaced_name,
    },
};
use roaring::RoaringTreemap;

fn engine() -> Engine {
    Engine::open(EngineOptions { background: false, ..EngineOptions::in_memory() }).unwrap()
}

fn column(id: u32, name: &str, column_type: ColumnType) -> ColumnDefinition {
    ColumnDefinition {
        id: ColumnId(id),
        name: name.to_owned(),
        column_type,
        not_null: false,
        default: None,
        serial: false,
    }
}

fn users() -> TableDefinition {
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

fn rows(of: &[(i64, &str)]) -> Rows {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(of.iter().map(|(id, _)| *id)));
    let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(of.iter().map(|(_, name)| *name)));
    let columns = vec![(ColumnKey::new("#0", Kind::Int64), ids), (ColumnKey::new("#1", Kind::Text), names)];
    Rows::new(of.len(), columns).unwrap()
}

fn shown(view: &TablesView) -> Vec<(i64, String)> {
    let table = view.table("users").unwrap();
    let mut all = Vec::new();
    for part in table.parts.iter() {
        for block in 0..part.blocks() {
            let ids = part.read(&ColumnKey::new("#0", Kind::Int64), block).unwrap();
            let names = part.read(&ColumnKey::new("#1", Kind::Text), block).unwrap();
            let ids = ids.as_any().downcast_ref::<Int64Array>().unwrap();
            let names = names.as_any().downcast_ref::<StringViewArray>().unwrap();
            for (i, row) in part.row_ids(block).unwrap().values().iter().enumerate() {
                if !table.deleted.contains(*row) {
                    all.push((ids.value(i), names.value(i).to_owned()));
                }
            }
        }
    }
    all.sort();
    assert_eq!(all.len() as u64, table.len());
    all
}

fn names(of: &[(i64, &str)]) -> Vec<(i64, String)> {
    of.iter().map(|(id, name)| (*id, (*name).to_owned())).collect()
}

fn make(engine: &Engine) -> TableId {
    let mut transaction = engine.begin();
    let id = transaction.create_table(users()).unwrap().id;
    transaction.commit().unwrap();
    id
}

#[test]
fn a_transaction_shows_its_own_writes_and_others_see_them_after_the_commit() {
    let engine = engine();
    let id = make(&engine);
    let mut first = engine.begin();
    assert_eq!(first.insert(id, rows(&[(1, "a"), (2, "b")]), OnConflict::Refuse).unwrap(), [0, 1]);
    assert_eq!(shown(&first.tables()), names(&[(1, "a"), (2, "b")]));
    assert_eq!(shown(&engine.tables()), []);
    first.commit().unwrap();
    assert_eq!(shown(&engine.tables()), names(&[(1, "a"), (2, "b")]));
}

#[test]
fn keys_are_unique() {
    let engine = engine();
    let id = make(&engine);
    let mut t = engine.begin();
    t.insert(id, rows(&[(1, "a"), (2, "b")]), OnConflict::Refuse).unwrap();
    t.commit().unwrap();
    let mut t = engine.begin();
    let refused = t.insert(id, rows(&[(3, "c"), (2, "x")]), OnConflict::Refuse).unwrap_err();
    assert!(matches!(&refused, StorageError::UniqueViolation { key, .. } if key == "(2)"), "{refused}");
    assert!(t.is_empty());
    assert_eq!(t.insert(id, rows(&[(3, "c"), (2, "x"), (3, "d")]), OnConflict::Skip).unwrap(), [0]);
    assert_eq!(t.insert(id, rows(&[(2, "y"), (4, "e"), (2, "z")]), OnConflict::Replace).unwrap(), [1, 2]);
    assert_eq!(t.insert(id, rows(&[(3, "C")]), OnConflict::Replace).unwrap(), [0]);
    let now = names(&[(1, "a"), (2, "z"), (3, "C"), (4, "e")]);
    assert_eq!(shown(&t.tables()), now);
    t.commit().unwrap();
    assert_eq!(shown(&engine.tables()), now);
    let found = engine.begin().find_by_key(id, &rows(&[(9, ""), (4, "")])).unwrap();
    assert!(found[0].is_none() && found[1].is_some());
    let key_missing =
        Rows::new(1, vec![(ColumnKey::new("#1", Kind::Text), Arc::new(StringViewArray::from(vec!["n"])) as _)]);
    let refused = engine.begin().insert(id, key_missing.unwrap(), OnConflict::Skip).unwrap_err();
    assert!(matches!(refused, StorageError::NotNullViolation { .. }), "{refused}");
}

#[test]
fn the_second_of_two_that_contradict_each_other_conflicts() {
    let engine = engine();
    let id = make(&engine);
    let (mut a, mut b) = (engine.begin(), engine.begin());
    a.insert(id, rows(&[(1, "a")]), OnConflict::Refuse).unwrap();
    b.insert(id, rows(&[(1, "b")]), OnConflict::Refuse).unwrap();
    a.commit().unwrap();
    assert!(matches!(b.commit(), Err(StorageError::Conflict { .. })));
    let (mut a, mut b) = (engine.begin(), engine.begin());
    a.insert(id, rows(&[(1, "x")]), OnConflict::Replace).unwrap();
    b.insert(id, rows(&[(1, "y")]), OnConflict::Replace).unwrap();
    b.commit().unwrap();
    assert!(matches!(a.commit(), Err(StorageError::Conflict { .. })));
    assert_eq!(shown(&engine.tables()), names(&[(1, "y")]));
    let (mut a, mut b) = (engine.begin(), engine.begin());
    a.put_entry("view", "v", Some(b"1".to_vec()));
    b.put_entry("view", "v", Some(b"2".to_vec()));
    a.commit().unwrap();
    assert!(matches!(b.commit(), Err(StorageError::Conflict { .. })));
    assert_eq!(engine.tables().entry("view", "v").unwrap()[..], *b"1");
    let (mut a, mut b) = (engine.begin(), engine.begin());
    a.drop_table(id).unwrap();
    b.insert(id, rows(&[(5, "y")]), OnConflict::Refuse).unwrap();
    a.commit().unwrap();
    assert!(matches!(b.commit(), Err(StorageError::Conflict { .. })));
}

#[test]
fn a_rollback_to_a_savepoint_takes_back_what_came_after() {
    let engine = engine();
    let id = make(&engine);
    let mut t = engine.begin();
    t.insert(id, rows(&[(1, "a")]), OnConflict::Refuse).unwrap();
    let place = t.savepoint();
    t.insert(id, rows(&[(1, "b"), (2, "c")]), OnConflict::Replace).unwrap();
    t.put_entry("view", "v", Some(Vec::new()));
    let truncated = t.truncate(id).unwrap().id;
    assert_ne!(truncated, id);
    assert_eq!(shown(&t.tables()), []);
    t.rollback_to(place);
    assert_eq!(shown(&t.tables()), names(&[(1, "a")]));
    assert!(t.tables().entry("view", "v").is_none());
    t.commit().unwrap();
    assert_eq!(shown(&engine.tables()), names(&[(1, "a")]));
    let mut t = engine.begin();
    let own = t.truncate(id).unwrap().id;
    t.insert(own, rows(&[(7, "g"), (8, "h")]), OnConflict::Refuse).unwrap();
    let last = t.tables().table("users").unwrap().parts[0].row_ids(0).unwrap().value(1);
    t.delete(own, &RoaringTreemap::from_iter([last])).unwrap();
    assert_eq!(shown(&t.tables()), names(&[(7, "g")]));
    t.commit().unwrap();
    assert_eq!(shown(&engine.tables()), names(&[(7, "g")]));
}

#[test]
fn tables_are_made_changed_and_dropped() {
    let engine = engine();
    let id = make(&engine);
    assert!(matches!(engine.begin().create_table(users()), Err(StorageError::TableExists(_))));
    let mut t = engine.begin();
    let mut definition = TableDefinition::clone(&engine.tables().table("users").unwrap().definition);
    definition.columns.push(column(2, "age", ColumnType::Int4));
    definition.next_column = ColumnId(3);
    definition.columns[1].name = "called".to_owned();
    t.alter_table(definition.clone()).unwrap();
    definition.columns[0].column_type = ColumnType::Text;
    assert!(t.alter_table(definition).is_err(), "kinds do not change");
    t.commit().unwrap();
    assert_eq!(engine.tables().table("users").unwrap().definition.columns.len(), 3);
    let mut t = engine.begin();
    t.drop_table(id).unwrap();
    assert!(t.tables().table("users").is_none());
    let other = t.create_table(users()).unwrap();
    assert_ne!(other.id, id);
    t.commit().unwrap();
    assert_eq!(engine.tables().table("users").unwrap().definition.id, other.id);
    assert!(matches!(engine.begin().drop_table(id), Err(StorageError::UnknownTable(_))));
}

#[test]
fn a_table_has_no_more_fields_than_the_limit() {
    let engine = engine();
    let mut t = engine.begin();
    let id = t.create_table(TableDefinition::dynamic("events")).unwrap().id;
    t.commit().unwrap();
    let with_fields = |names: std::ops::Range<usize>| {
        let time: ArrayRef = Arc::new(arrow_array::TimestampNanosecondArray::from(vec![1]));
        let mut columns = vec![(ColumnKey::new("#0", Kind::Nanos), time)];
        for n in names {
            let value: ArrayRef = Arc::new(Int64Array::from(vec![1]));
            columns.push((ColumnKey::new(format!("f{n}"), Kind::Int64), value));
        }
        Rows::new(1, columns).unwrap()
    };
    let (mut a, mut b) = (engine.begin(), engine.begin());
    a.insert(id, with_fields(0..6_000), OnConflict::Refuse).unwrap();
    b.insert(id, with_fields(4_001..10_001), OnConflict::Refuse).unwrap();
    assert!(matches!(
        a.insert(id, with_fields(6_000..10_000), OnConflict::Refuse),
        Err(StorageError::TooManyFields { .. })
    ));
    a.commit().unwrap();
    assert!(matches!(b.commit(), Err(StorageError::TooManyFields { .. })));
    let mut c = engine.begin();
    c.insert(id, with_fields(0..9_999), OnConflict::Refuse).unwrap();
    c.commit().unwrap();
}

#[test]
fn serial_numbers_are_given_once() {
    let engine = engine();
    let mut definition = users();
    definition.columns[0].serial = true;
    let mut t = engine.begin();
    let id = t.create_table(definition).unwrap().id;
    assert_eq!(t.next_serial(id, ColumnId(0), 3).unwrap(), 1);
    t.commit().unwrap();
    let mut rolled_back = engine.begin();
    assert_eq!(rolled_back.next_serial(id, ColumnId(0), 1).unwrap(), 4);
    drop(rolled_back);
    assert_eq!(engine.begin().next_serial(id, ColumnId(0), 2).unwrap(), 5);
    assert!(engine.begin().next_serial(id, ColumnId(1), 1).is_err());
}

#[test]
fn rows_are_replaced_or_held_but_not_both() {
    let engine = engine();
    let id = make(&engine);
    let mut t = engine.begin();
    t.insert(id, rows(&[(1, "a")]), OnConflict::Refuse).unwrap();
    t.put_entry(HOLDS, &hold_name(id, "view"), Some(hold_body(0, b"")));
    let refused = t.insert(id, rows(&[(2, "b")]), OnConflict::Replace).unwrap_err();
    assert!(refused.to_string().contains("rows of table \"users\" cannot be replaced"), "{refused}");
    t.put_entry(HOLDS, &hold_name(id, "view"), None);
    t.insert(id, rows(&[(1, "b")]), OnConflict::Replace).unwrap();
    // One that derives something and saw no mark contradicts it.
    let mut late = engine.begin();
    late.put_entry(REPLACED, &replaced_name(id), None);
    t.commit().unwrap();
    assert!(matches!(late.commit(), Err(StorageError::Conflict { .. })));
    // The mark is the table's: it goes where the rows go.
    let mut t = engine.begin();
    let new = t.truncate(id).unwrap().id;
    t.commit().unwrap();
    let marks = |view: &TablesView| view.entries(REPLACED).map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(marks(&engine.tables()), [replaced_name(new)]);
    let mut t = engine.begin();
    t.drop_table(new).unwrap();
    t.commit().unwrap();
    assert_eq!(marks(&engine.tables()), Vec::<String>::new());
}

#[test]
fn a_mark_does_not_outlive_a_table_that_is_emptied_meanwhile() {
    let marks =
        |engine: &Engine| engine.tables().entries(REPLACED).map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    for empties in [true, false] {
        let engine = engine();
        let id = make(&engine);
        // One empties or drops the table while another replaces rows in it for the first time, and is faster.
        let go = |t: &mut Transaction| {
            if empties { t.truncate(id).map(|new| new.id) } else { t.drop_table(id).map(|()| id) }
        };
        let mut first = engine.begin();
        go(&mut first).unwrap();
        let mut replaces = engine.begin();
        replaces.insert(id, rows(&[(1, "a")]), OnConflict::Replace).unwrap();
        replaces.commit().unwrap();
        assert!(matches!(first.commit(), Err(StorageError::Conflict { .. })));
        let mut again = engine.begin();
        let new = go(&mut again).unwrap();
        again.commit().unwrap();
        assert_eq!(marks(&engine), if empties { vec![replaced_name(new)] } else { Vec::new() });
    }
}

#[test]
fn the_first_that_replace_rows_do_not_contradict_each_other() {
    let engine = engine();
    let id = make(&engine);
    let mut both = [engine.begin(), engine.begin()];
    for (t, key) in both.iter_mut().zip(1..) {
        t.insert(id, rows(&[(key, "a")]), OnConflict::Replace).unwrap();
    }
    for t in both {
        t.commit().unwrap();
    }
    assert_eq!(shown(&engine.tables()).len(), 2);
}
