//! Dynamic tables: fields as columns, paths, several kinds in one field, deletions, and large tables of many blocks.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray, TimestampNanosecondArray};
use chronolith_storage::{
    engine::{Engine, OnConflict},
    table::{ColumnKey, Kind, Rows, TableDefinition},
};

use crate::harness::{database, run};

fn fill(engine: &Engine, name: &str, rows: usize, columns: Vec<(ColumnKey, ArrayRef)>) {
    let mut transaction = engine.begin();
    let table = transaction.create_table(TableDefinition::dynamic(name)).expect("the table is made");
    let rows = Rows::new(rows, columns).expect("the rows are well formed");
    transaction.insert(table.id, rows, OnConflict::Refuse).expect("the rows fit");
    transaction.commit().expect("it commits");
}

#[test]
fn fields_are_columns_and_paths_find_them() {
    let (engine, sql) = database();
    let time: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_000_000_000, 2_000_000_000, 3_000_000_000]));
    let ids: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b", "a"]));
    let length: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None, None]));
    let length_float: ArrayRef = Arc::new(Float64Array::from(vec![None, Some(2.5), None]));
    let mixed_text: ArrayRef = Arc::new(StringViewArray::from(vec![Some("x"), None, None]));
    let mixed_bool: ArrayRef = Arc::new(BooleanArray::from(vec![None, Some(true), None]));
    let columns = vec![
        (ColumnKey::new("#0", Kind::Nanos), time),
        (ColumnKey::new("userId", Kind::Text), ids),
        (ColumnKey::new("data.content_length", Kind::Int64), length),
        (ColumnKey::new("data.content_length", Kind::Float64), length_float),
        (ColumnKey::new("mixed", Kind::Text), mixed_text),
        (ColumnKey::new("mixed", Kind::Bool), mixed_bool),
    ];
    fill(&engine, "events", 3, columns);
    let mut session = sql.session("a", "chronolith");
    let mut rows = |query: &str| run(&mut session, query).expect(query).rows;
    assert_eq!(
        rows("SELECT userId, data.content_length, mixed FROM events ORDER BY _time"),
        [["a", "3.0", "x"], ["b", "2.5", "true"], ["a", "NULL", "NULL"]]
    );
    assert_eq!(rows("SELECT e.data.content_length FROM events e WHERE e.userId = 'b'"), [["2.5"]]);
    assert_eq!(rows("SELECT userId, count(*) FROM events GROUP BY userId ORDER BY 1"), [["a", "2"], ["b", "1"]]);
    assert_eq!(rows("SELECT count(*) FROM events WHERE _time >= '1970-01-01 00:00:02'"), [["2"]]);
    assert_eq!(rows("SELECT sum(data.content_length) FROM events"), [["5.5"]]);
    assert_eq!(run(&mut session, "DELETE FROM events WHERE userId = 'a'").expect("rows go").tag, "DELETE 2");
    assert_eq!(run(&mut session, "SELECT userId FROM events").expect("one is left").rows, [["b"]]);
    let error = run(&mut session, "SELECT nope FROM events").expect_err("there is no such field");
    assert_eq!(error.state.as_str(), "42703");
    run(&mut session, "INSERT INTO events (_time, userId, extra) VALUES ('2026-01-01', 'z', 5)").expect("a document");
    assert_eq!(run(&mut session, "SELECT extra FROM events WHERE userId = 'z'").expect("it is there").rows, [["5"]]);
}

#[test]
fn large_tables_are_pruned_and_ordered() {
    let (engine, sql) = database();
    let count = 100_000_i64;
    let time: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values((0..count).map(|n| n * 1_000_000)));
    let number: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
    let text: ArrayRef =
        Arc::new(StringViewArray::from_iter_values((0..count).map(|n| format!("id-{n} word{}", n % 10))));
    let columns = vec![
        (ColumnKey::new("#0", Kind::Nanos), time),
        (ColumnKey::new("n", Kind::Int64), number),
        (ColumnKey::new("text", Kind::Text), text),
    ];
    fill(&engine, "large", 100_000, columns);
    let mut session = sql.session("a", "chronolith");
    let mut rows = |query: &str| run(&mut session, query).expect(query).rows;
    assert_eq!(rows("SELECT n FROM large ORDER BY _time DESC LIMIT 3"), [["99999"], ["99998"], ["99997"]]);
    assert_eq!(rows("SELECT n FROM large ORDER BY _time LIMIT 2"), [["0"], ["1"]]);
    assert_eq!(rows("SELECT n FROM large ORDER BY text DESC LIMIT 1"), [["99999"]]);
    assert_eq!(rows("SELECT count(*), min(n), max(n) FROM large"), [["100000", "0", "99999"]]);
    assert_eq!(rows("SELECT count(*) FROM large WHERE n BETWEEN 50000 AND 50099"), [["100"]]);
    assert_eq!(rows("SELECT n FROM large WHERE text = 'id-77777 word7'"), [["77777"]]);
    assert_eq!(rows("SELECT count(*) FROM large WHERE text LIKE '% word3'"), [["10000"]]);
    assert_eq!(rows("SELECT n FROM large LIMIT 2 OFFSET 1"), [["1"], ["2"]]);
    run(&mut session, "DELETE FROM large WHERE n >= 1000").expect("rows go");
    let mut rows = |query: &str| run(&mut session, query).expect(query).rows;
    assert_eq!(rows("SELECT count(*), max(n) FROM large"), [["1000", "999"]]);
    assert_eq!(rows("SELECT n FROM large ORDER BY _time DESC LIMIT 1"), [["999"]]);
    let plan = rows("EXPLAIN SELECT n FROM large WHERE n = 5");
    assert!(plan.iter().any(|line| line[0].contains("filter=n@0 = 5")), "{plan:?}");
}
