//! Objects of documents: whole ones as jsonb, their members by operators, documents as they were, and changes of them.

use chronolith_storage::{
    document::{DocumentBuilder, DocumentOptions},
    engine::{Engine, OnConflict},
    table::{ColumnDefinition, ColumnId, ColumnKey, ColumnType, Kind, TableDefinition},
};

use crate::harness::{Answer, database, run};

const EVENTS: &[&str] = &[
    r#"{"_time":1,"id":"a","data":{"n":1,"text":"x","inner":{"k":"deep","list":[1,2]}},"mixed":{"v":1.50}}"#,
    r#"{"_time":2,"id":"b","data":{"n":20,"text":"it's","inner":{"k":null}},"mixed":{"v":"words"}}"#,
    r#"{"_time":3,"id":"c","data":{"longer":true,"n":3,"items":[{"q":1},{"q":2}]},"mixed":{"v":{"w":[]}}}"#,
    r#"{"_time":4,"id":"d","data":null,"mixed":{"v":true}}"#,
    r#"{"_time":5,"id":"e","data":{},"mixed":{"v":1e3}}"#,
    r#"{"_time":6,"id":"f","mixed":7}"#,
];

fn fill(engine: &Engine, name: &str, documents: &[&str]) {
    let mut transaction = engine.begin();
    let table = transaction.create_table(TableDefinition::dynamic(name)).expect("the table is made");
    let mut builder = DocumentBuilder::new(&DocumentOptions::default()).expect("the names of times are short");
    documents.iter().for_each(|d| builder.push(d.as_bytes()).expect("it is a document"));
    let rows = builder.take_rows(Some(ColumnKey::new(ColumnId(0).field(), Kind::Nanos))).expect("rows");
    transaction.insert(table.id, rows, OnConflict::Refuse).expect("the rows fit");
    transaction.commit().expect("it commits");
}

fn events() -> (Engine, impl FnMut(&str) -> Answer) {
    let (engine, sql) = database();
    fill(&engine, "events", EVENTS);
    let mut session = sql.session("a", "chronolith");
    (engine, move |statement: &str| match run(&mut session, statement) {
        Ok(answer) => answer,
        Err(error) => panic!("{statement}: {error:?}"),
    })
}

fn column(answer: Answer) -> Vec<String> {
    answer.rows.into_iter().map(|mut row| row.remove(0)).collect()
}

#[test]
fn what_a_document_says_of_its_time_is_shown_once() {
    let (_engine, mut ask) = events();
    let shown = ask("SELECT * FROM events LIMIT 0").names;
    assert_eq!(shown.iter().filter(|name| name.contains("_time")).collect::<Vec<_>>(), ["_time"]);
    let returned = ask("UPDATE events SET id = 'z' WHERE id = 'a' RETURNING *").names;
    assert_eq!(returned, shown);
    assert_eq!(column(ask("SELECT _source->>'_time' FROM events WHERE id = 'z'")), ["1"]);
}

#[test]
fn objects_are_columns_of_jsonb() {
    let (engine, mut ask) = events();
    for flushed in [false, true] {
        if flushed {
            engine.flush().expect("it flushes");
        }
        assert_eq!(
            column(ask("SELECT data FROM events ORDER BY _time")),
            [
                r#"{"n": 1, "text": "x", "inner": {"k": "deep", "list": [1, 2]}}"#,
                r#"{"n": 20, "text": "it's", "inner": {"k": null}}"#,
                r#"{"n": 3, "items": [{"q": 1}, {"q": 2}], "longer": true}"#,
                "null",
                "{}",
                "NULL",
            ]
        );
        let mut one = |query: &str| column(ask(query));
        assert_eq!(one(r#"SELECT id FROM events WHERE data @> '{"inner":{"k":"deep"}}'"#), ["a"]);
        assert_eq!(one("SELECT id FROM events WHERE data ? 'longer'"), ["c"]);
        assert_eq!(one("SELECT count(*) FROM events WHERE data IS NULL"), ["1"]);
        assert_eq!(one("SELECT jsonb_typeof(data) FROM events ORDER BY _time LIMIT 1"), ["object"]);
        assert_eq!(one("SELECT data->'inner' FROM events WHERE id = 'b'"), [r#"{"k": null}"#]);
        assert_eq!(one("SELECT e.data.inner FROM events e WHERE e.id = 'b'"), [r#"{"k": null}"#]);
        assert_eq!(one("SELECT data->'items'->1->>'q' FROM events WHERE id = 'c'"), ["2"]);
        assert_eq!(
            one("SELECT _source FROM events WHERE id = 'c'"),
            [
                r#"{"id": "c", "data": {"n": 3, "items": [{"q": 1}, {"q": 2}], "longer": true}, "_time": 3, "mixed": {"v": {"w": []}}}"#
            ]
        );
        assert_eq!(one("SELECT count(DISTINCT data) FROM events"), ["5"]);
        assert_eq!(one("SELECT d->>'n' FROM (SELECT data AS d FROM events) s ORDER BY 1 LIMIT 1"), ["1"]);
        assert_eq!(
            one("WITH x AS (SELECT data FROM events) SELECT data->>'text' FROM x WHERE data->>'n' = '20'"),
            ["it's"]
        );
    }
}

#[test]
fn stars_have_no_objects() {
    let (_engine, mut ask) = events();
    let plain = ask("SELECT * FROM events").names;
    assert!(!plain.iter().any(|name| name == "data" || name == "_source"), "{plain:?}");
    let beside = ask("SELECT *, data, data->'inner'->>'k' AS k FROM events").names;
    assert_eq!(beside.len(), plain.len() + 2, "{beside:?}");
    assert_eq!(beside[..plain.len()], plain[..]);
    let joined = ask("SELECT a.*, b.data FROM events a JOIN events b ON a.id = b.id").names;
    assert_eq!(joined.len(), plain.len() + 1);
    assert_eq!(ask("SELECT s.* FROM (SELECT *, data FROM events) s").names.len(), plain.len() + 1);
}

#[test]
fn members_have_postgres_texts() {
    let (engine, mut ask) = events();
    for flushed in [false, true] {
        if flushed {
            engine.flush().expect("it flushes");
        }
        let mut one = |query: &str| column(ask(query));
        assert_eq!(
            one("SELECT mixed->>'v' FROM events ORDER BY _time"),
            ["1.50", "words", r#"{"w": []}"#, "true", "1000", "NULL"]
        );
        assert_eq!(
            one("SELECT mixed->'v' FROM events ORDER BY _time"),
            ["1.50", r#""words""#, r#"{"w": []}"#, "true", "1000", "NULL"]
        );
        assert_eq!(one("SELECT data->>'n' FROM events ORDER BY _time"), ["1", "20", "3", "NULL", "NULL", "NULL"]);
        assert_eq!(one("SELECT sum((data->>'n')::int) FROM events"), ["24"]);
        assert_eq!(one("SELECT id FROM events WHERE (data->>'n')::bigint > 2 ORDER BY 1"), ["b", "c"]);
        assert_eq!(one("SELECT id FROM events e WHERE e.data->'inner'->>'k' = 'deep'"), ["a"]);
        assert_eq!(one("SELECT id FROM events WHERE data #>> '{inner,k}' = 'deep'"), ["a"]);
        assert_eq!(one("SELECT _source->>'id' FROM events ORDER BY _time LIMIT 1"), ["a"]);
        assert_eq!(one("SELECT data->>'nothing' FROM events LIMIT 1"), ["NULL"]);
        assert_eq!(
            one(
                "SELECT id FROM events e WHERE EXISTS (SELECT 1 FROM events i WHERE i.data->>'text' = e.data->>'text') ORDER BY 1"
            ),
            ["a", "b"]
        );
        let groups = ask("SELECT data->>'longer' AS l, count(*) FROM events GROUP BY data->>'longer' ORDER BY 2");
        assert_eq!(groups.rows, [["true", "1"], ["NULL", "5"]]);
    }
    let plan = column(ask("EXPLAIN SELECT count(*) FROM events WHERE data->>'text' = 'x'")).join("\n");
    assert!(plan.contains("filter=data.text@0 = x") && plan.contains("index"), "{plan}");
    let plan = column(ask("EXPLAIN SELECT count(*) FROM events WHERE (data->>'n')::bigint > 100")).join("\n");
    assert!(plan.contains("blocks=0 of 1"), "{plan}");
}

#[test]
fn updates_set_fields_and_keep_the_others() {
    let (engine, mut ask) = events();
    for flushed in [false, true] {
        if flushed {
            engine.flush().expect("it flushes");
        }
        assert_eq!(ask("UPDATE events SET data.text = upper(data.text), fresh = 7 WHERE id = 'a'").tag, "UPDATE 1");
        let source = |ask: &mut dyn FnMut(&str) -> Answer, id: &str| {
            column(ask(&format!("SELECT _source FROM events WHERE id = '{id}'"))).remove(0)
        };
        assert_eq!(
            source(&mut ask, "a"),
            r#"{"id": "a", "data": {"n": 1, "text": "X", "inner": {"k": "deep", "list": [1, 2]}}, "_time": 1, "fresh": 7, "mixed": {"v": 1.50}}"#
        );
    }
    let mut source = |set: &str, id: &str| {
        ask(&format!("UPDATE events SET {set} WHERE id = '{id}'"));
        column(ask(&format!("SELECT _source->'data' FROM events WHERE id = '{id}'"))).remove(0)
    };
    // Of another kind, to nothing, and where there was no object yet.
    assert_eq!(source("data.n = 'one'", "a"), r#"{"n": "one", "text": "X", "inner": {"k": "deep", "list": [1, 2]}}"#);
    assert_eq!(source("\"data.inner\" = NULL", "a"), r#"{"n": "one", "text": "X"}"#);
    assert_eq!(source("data.inner.list = ARRAY[3, 4]", "a"), r#"{"n": "one", "text": "X", "inner": {"list": [3, 4]}}"#);
    assert_eq!(source("data.n = 1.5", "d"), r#"{"n": 1.5}"#);
    assert_eq!(source("data.n = data.n", "e"), "{}");
    assert_eq!(source("data.n = 2", "f"), r#"{"n": 2}"#);
    // Whole objects are JSON.
    assert_eq!(source(r#"data = '{"z":[{"y":null}],"k":{}}'::jsonb"#, "b"), r#"{"k": {}, "z": [{"y": null}]}"#);
    assert_eq!(source(r#"data = '{"w":1}'"#, "b"), r#"{"w": 1}"#);
    assert_eq!(source("data = data || '{\"v\":2}'::jsonb", "b"), r#"{"v": 2, "w": 1}"#);
    assert_eq!(
        ask("UPDATE events SET _time = '2026-01-01' WHERE id = 'c' RETURNING id, data.longer, *").rows[0][..2],
        ["c", "true"]
    );
    assert_eq!(ask("DELETE FROM events WHERE id = 'c' RETURNING data.longer, id").rows, [["true", "c"]]);
    assert_eq!(column(ask("SELECT count(*) FROM events")), ["5"]);
}

#[test]
fn what_cannot_be_set_is_told() {
    let (engine, sql) = database();
    fill(&engine, "events", EVENTS);
    let mut session = sql.session("a", "chronolith");
    let mut fails = |statement: &str| {
        let error = run(&mut session, statement).expect_err(statement);
        (error.state.as_str().to_owned(), error.message)
    };
    let (state, message) = fails("UPDATE events SET mixed.w = 1 WHERE id = 'f'");
    assert_eq!(state, "22023");
    assert!(message.contains("\"mixed\"") && message.contains("no object"), "{message}");
    assert_eq!(fails("UPDATE events SET _source = '{}'").0, "0A000");
    assert_eq!(fails("UPDATE events SET data = '{'").0, "22P02");
    assert_eq!(fails("UPDATE events SET data.x = 1, data = NULL").0, "42701");
    assert_eq!(fails("UPDATE events SET id = 1, id = 2").0, "42601");
    assert_eq!(fails("UPDATE events SET _time = NULL").0, "23502");
    assert_eq!(fails("UPDATE events SET \"a..b\" = 1").0, "42602");
    assert_eq!(fails("INSERT INTO events (id, x) VALUES ('a', 1) ON CONFLICT (id) DO UPDATE SET x = 2").0, "42P10");
}

#[test]
fn inserts_and_upserts_grow_documents() {
    let (engine, mut ask) = events();
    ask(
        "INSERT INTO events (id, data, \"mixed.v\", added) SELECT 'g', '{\"n\":9,\"o\":{\"p\":true}}'::jsonb, 'w', 2.5",
    );
    ask("INSERT INTO events (id, data) VALUES ('h', '{\"n\":10}') RETURNING id, data.n");
    assert_eq!(
        ask("SELECT _source FROM events WHERE id IN ('g', 'h') ORDER BY id").rows,
        [
            [r#"{"id": "g", "data": {"n": 9, "o": {"p": true}}, "added": 2.5, "mixed": {"v": "w"}}"#],
            [r#"{"id": "h", "data": {"n": 10}}"#],
        ]
    );
    let mut definition = TableDefinition::dynamic("keyed");
    definition.columns.push(ColumnDefinition {
        id: ColumnId(1),
        name: "id".to_owned(),
        column_type: ColumnType::Int4,
        not_null: true,
        default: None,
        serial: false,
    });
    definition.next_column = ColumnId(2);
    definition.primary_key = vec![ColumnId(1)];
    let mut transaction = engine.begin();
    transaction.create_table(definition).expect("the table is made");
    transaction.commit().expect("it commits");
    ask("INSERT INTO keyed (id, name, \"o.a\") VALUES (1, 'one', 1), (2, 'two', 2)");
    let upsert = "INSERT INTO keyed (id, name, extra) VALUES (2, 'zwei', true), (3, 'drei', false)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, o.b = keyed.o.a + 1 RETURNING id, name, o.b";
    let mut returned = ask(upsert).rows;
    returned.sort();
    assert_eq!(returned, [["2", "zwei", "3"], ["3", "drei", "NULL"]]);
    assert_eq!(
        ask("SELECT id, name, o, extra FROM keyed ORDER BY id").rows,
        [
            ["1", "one", "{\"a\": 1}", "NULL"],
            ["2", "zwei", "{\"a\": 2, \"b\": 3}", "NULL"],
            ["3", "drei", "NULL", "false"]
        ]
    );
}
