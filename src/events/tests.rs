//! Events find their columns, or are refused by name and leave no trace.

use std::sync::Arc;

use arrow_array::{
    Array as _, ArrayRef, Int32Array, RecordBatch, StringArray,
    cast::AsArray as _,
    types::{Decimal128Type, Int16Type, Int32Type, TimestampMicrosecondType, TimestampNanosecondType},
};
use chronolith_storage::{
    clock::VirtualClock,
    document::Rebuilder,
    table::{ColumnDefinition, ColumnId, ColumnKey, ColumnType, Kind, Rows, TableDefinition, TableId},
};

use super::AppendSummary;
use crate::{Db, ingest::events::EventFormat};

const NOW_MS: i64 = 1_700_000_000_000;

fn db() -> Db {
    Db::builder().clock(Arc::new(VirtualClock::at(NOW_MS))).in_memory().unwrap()
}

/// All rows of a table, in the order they came.
fn rows(db: &Db, table: &str) -> Rows {
    let tables = db.engine().tables();
    let snapshot = tables.table(table).unwrap();
    let mut all = Vec::new();
    for part in snapshot.parts.iter() {
        for block in 0..part.blocks() {
            let len = part.row_ids(block).unwrap().len();
            let columns = part.columns().unwrap();
            let read = columns.iter().map(|key| (key.clone(), part.read(key, block).unwrap()));
            all.push(Rows::new(len, read.collect()).unwrap());
        }
    }
    Rows::concat(&all).unwrap()
}

fn documents(db: &Db, table: &str) -> Vec<String> {
    let rows = rows(db, table);
    let fields = rows.columns().iter().filter(|(key, _)| !key.field.starts_with('#')).cloned().collect();
    let fields = Rows::new(rows.len(), fields).unwrap();
    (0..rows.len()).map(|row| Rebuilder::rebuild(&fields, row).unwrap()).collect()
}

fn times(db: &Db, table: &str) -> Vec<i64> {
    let rows = rows(db, table);
    let times =
        rows.column(&ColumnKey::new("#0", Kind::Nanos)).unwrap().as_primitive::<TimestampNanosecondType>().clone();
    times.values().to_vec()
}

fn column(id: u32, name: &str, column_type: ColumnType) -> ColumnDefinition {
    ColumnDefinition { id: ColumnId(id), name: name.into(), column_type, not_null: false, default: None, serial: false }
}

/// A table of a declared column of most types.
fn declare(db: &Db) {
    let mut columns: Vec<ColumnDefinition> = [
        ("id", ColumnType::Int4),
        ("name", ColumnType::Varchar(Some(5))),
        ("price", ColumnType::Numeric { precision: Some(6), scale: 2 }),
        ("at", ColumnType::TimestampTz),
        ("day", ColumnType::Date),
        ("ok", ColumnType::Bool),
        ("extra", ColumnType::Jsonb),
        ("tags", ColumnType::Array(Box::new(ColumnType::Text))),
        ("small", ColumnType::Int2),
        ("uid", ColumnType::Uuid),
        ("raw", ColumnType::Bytes),
    ]
    .into_iter()
    .zip(0..)
    .map(|((name, column_type), id)| column(id, name, column_type))
    .collect();
    columns[0].serial = true;
    columns[1].not_null = true;
    columns[8].default = Some("'7'::smallint".into());
    let definition = TableDefinition {
        id: TableId(0),
        name: "t".into(),
        next_column: ColumnId(columns.len() as u32),
        columns,
        primary_key: vec![ColumnId(0)],
        time: None,
        dynamic: false,
        retention_ms: None,
    };
    let mut transaction = db.engine().begin();
    transaction.create_table(definition).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_table_is_made_for_its_first_events() {
    let db = db();
    let first = db.append_json("e", r#"[{"a":1,"timestamp":2},{"b":{"c":"x"}}]"#).unwrap();
    assert_eq!(first, AppendSummary { rows: 2, created: true });
    assert_eq!(db.append_json("e", r#"{"a":"now a text"}"#).unwrap(), AppendSummary { rows: 1, created: false });
    let expected = [r#"{"a":1,"timestamp":2}"#, r#"{"b":{"c":"x"}}"#, r#"{"a":"now a text"}"#];
    assert_eq!(documents(&db, "e"), expected);
    assert_eq!(times(&db, "e"), [2_000_000_000, NOW_MS * 1_000_000, NOW_MS * 1_000_000]);
    // Nothing is made for nothing.
    assert_eq!(db.append_json("none", "").unwrap(), AppendSummary::default());
    assert!(db.engine().tables().table("none").is_none());
}

#[test]
fn the_time_may_be_another_field() {
    let db = db();
    db.append_events("e", EventFormat::Csv, b"when,timestamp\n2023-11-14T22:13:20Z,x\n", Some("when")).unwrap();
    assert_eq!(times(&db, "e"), [NOW_MS * 1_000_000]);
    assert_eq!(documents(&db, "e"), [r#"{"timestamp":"x","when":"2023-11-14T22:13:20Z"}"#]);
}

#[test]
fn one_bad_event_keeps_all_out() {
    let db = db();
    let mut text: String = (0..20_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    text.push_str("{\"n\":}\n");
    let error = db.append_json("e", &text).unwrap_err().to_string();
    assert!(error.starts_with("line 20001: this is no JSON"), "{error}");
    assert!(db.engine().tables().table("e").is_none());
    db.append_json("e", "{\"n\":1}").unwrap();
    assert_eq!(documents(&db, "e").len(), 1);
}

#[test]
fn fields_go_to_declared_columns() {
    let db = db();
    declare(&db);
    let event = r#"{"name":"ann","price":12.30,"at":"2023-11-14T22:13:20.5+00:00","day":"2023-11-14","ok":true,
        "extra":{"bb":[1, 2],"a":null},"tags":["x","y"],"uid":"A0EEBC999C0B4EF8BB6D6BB9BD380A11","raw":"\\x00ff"}"#;
    db.append_json("t", event).unwrap();
    db.append_json("t", r#"{"name":"bob","price":1,"at":1700000000,"small":3.0,"tags":[],"extra":5}"#).unwrap();
    let rows = rows(&db, "t");
    let cell = |id: u32, kind: Kind| rows.column(&ColumnKey::new(ColumnId(id).field(), kind)).unwrap();
    assert_eq!(cell(0, Kind::Int32).as_primitive::<Int32Type>().values(), &[1, 2]);
    assert_eq!(cell(2, Kind::Decimal(2)).as_primitive::<Decimal128Type>().values(), &[1230, 100]);
    let micros = cell(3, Kind::Micros).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(micros.values(), &[NOW_MS * 1_000 + 500_000, NOW_MS * 1_000]);
    let extra = cell(6, Kind::Text).as_string_view();
    assert_eq!((extra.value(0), extra.value(1)), (r#"{"a": null, "bb": [1, 2]}"#, "5"));
    let tags = cell(7, Kind::List(chronolith_storage::table::ListKind::Text)).as_list::<i32>();
    assert_eq!((tags.value(0).len(), tags.value(1).len()), (2, 0));
    // The default stands where the event does not name the column.
    assert_eq!(cell(8, Kind::Int16).as_primitive::<Int16Type>().values(), &[7, 3]);
    let uuid = cell(9, Kind::Text).as_string_view();
    assert_eq!((uuid.value(0), uuid.is_null(1)), ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", true));
    assert_eq!(cell(10, Kind::Bytes).as_binary_view().value(0), [0, 255]);
}

#[test]
fn what_does_not_fit_a_column_is_refused_by_name() {
    let db = db();
    declare(&db);
    for (event, words) in [
        (r#"{"name":"a","nam":1}"#, vec!["no column", "\"nam\"", "id, name, price"]),
        (r#"{"name":"a","x":{"y":1}}"#, vec!["no column", "\"x.y\""]),
        (r#"{"name":"a","name2":null}"#, vec!["no column", "\"name2\""]),
        (r#"{"price":1}"#, vec!["\"name\"", "must have a value"]),
        (r#"{"name":null}"#, vec!["\"name\"", "must have a value"]),
        (r#"{"name":"abcdef"}"#, vec!["row 1", "\"name\"", "5 characters"]),
        (r#"{"name":"a","id":1.5}"#, vec!["row 1", "\"id\"", "1.5", "fraction"]),
        (r#"{"name":"a","id":3000000000}"#, vec!["row 1", "\"id\"", "3000000000"]),
        (r#"{"name":"a","id":"one"}"#, vec!["row 1", "\"id\"", "one"]),
        (r#"{"name":"a","price":123456.78}"#, vec!["row 1", "\"price\"", "123456.78"]),
        (r#"{"name":"a","at":"noon"}"#, vec!["row 1", "\"at\"", "noon"]),
        (r#"{"name":"a","ok":1}"#, vec!["row 1", "\"ok\"", "true or false"]),
        (r#"{"name":"a","tags":"x"}"#, vec!["row 1", "\"tags\"", "no array"]),
        (r#"{"name":"a","tags":[1,"x"]}"#, vec!["row 1", "\"tags\"", "several kinds"]),
        (r#"{"name":["a"]}"#, vec!["row 1", "\"name\"", "array"]),
        (r#"{"name":"a","day":{}}"#, vec!["row 1", "\"day\"", "object"]),
        (r#"{"name":"a","uid":"123"}"#, vec!["row 1", "\"uid\"", "UUID"]),
        (r#"{"name":"a","raw":"\\xzz"}"#, vec!["row 1", "\"raw\"", "hexadecimal"]),
    ] {
        let error = db.append_json("t", event).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{event}: {error}");
    }
    let two = "{\"name\":\"a\",\"id\":9}\n{\"name\":\"b\",\"id\":9}";
    let error = db.append_json("t", two).unwrap_err().to_string();
    assert!(error.contains("primary key"), "{error}");
    let error = db.append_events("t", EventFormat::Json, b"{}", Some("at")).unwrap_err().to_string();
    assert!(error.contains("declared columns"), "{error}");
    assert!(db.engine().tables().table("t").unwrap().is_empty());
}

#[test]
fn a_default_that_only_sql_computes_is_refused() {
    let db = db();
    let mut definition = TableDefinition::dynamic("d");
    definition.columns.push(column(1, "n", ColumnType::Int8));
    definition.columns.push(column(2, "made", ColumnType::Timestamp));
    definition.columns[1].default = Some("1 + random()".into());
    definition.columns[2].default = Some("now()".into());
    definition.next_column = ColumnId(3);
    let mut transaction = db.engine().begin();
    transaction.create_table(definition).unwrap();
    transaction.commit().unwrap();
    let error = db.append_json("d", r#"{"x":1}"#).unwrap_err().to_string();
    assert!(error.contains("\"n\"") && error.contains("1 + random()"), "{error}");
    db.append_json("d", r#"{"n":"12","x":1}"#).unwrap();
    assert_eq!(documents(&db, "d"), [r#"{"x":1}"#]);
    let made = ColumnKey::new("#2", Kind::Micros);
    let rows = rows(&db, "d");
    assert_eq!(rows.column(&made).unwrap().as_primitive::<TimestampMicrosecondType>().value(0), NOW_MS * 1_000);
}

#[test]
fn record_batches_are_appended() {
    let db = db();
    let batch = RecordBatch::try_from_iter([
        ("name", Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef),
        ("small", Arc::new(Int32Array::from(vec![1, 2]))),
    ])
    .unwrap();
    assert_eq!(db.append_arrow("free", &batch).unwrap(), AppendSummary { rows: 2, created: true });
    assert_eq!(documents(&db, "free"), [r#"{"name":"a","small":1}"#, r#"{"name":"b","small":2}"#]);
    declare(&db);
    assert_eq!(db.append_arrow("t", &batch).unwrap(), AppendSummary { rows: 2, created: false });
    assert_eq!(rows(&db, "t").len(), 2);
}

#[test]
fn writers_at_once_make_one_table() {
    let db = db();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let db = db.clone();
            scope.spawn(move || db.append_json("e", format!("{{\"n\":{n}}}")).unwrap());
        }
    });
    assert_eq!(documents(&db, "e").len(), 8);
}
