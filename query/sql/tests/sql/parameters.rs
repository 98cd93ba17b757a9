//! Prepared statements: the types of parameters, the columns of results, and values.

use arrow::datatypes::{DataType, TimeUnit};
use chronolith_sql::Session;
use datafusion::common::ScalarValue;

use crate::harness::{Answer, answer, database, run, wait};

fn session() -> Session {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    let table = "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20), at TIMESTAMPTZ, score FLOAT)";
    run(&mut session, table).expect("the table is made");
    session
}

fn types(session: &mut Session, statement: &str) -> Vec<DataType> {
    let parameters = wait(session.prepare(statement, &[])).expect(statement).parameters;
    parameters.iter().map(|field| field.data_type().clone()).collect()
}

fn execute(session: &mut Session, statement: &str, values: &[ScalarValue]) -> Answer {
    wait(async {
        let prepared = session.prepare(statement, &[]).await.expect("it can be prepared");
        let outcome = session.execute(&prepared, values).await.expect("it runs");
        answer(outcome).await.expect("its rows come")
    })
}

#[test]
fn types_come_from_columns_casts_and_comparisons() {
    let mut session = session();
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(
        types(&mut session, "INSERT INTO t VALUES ($1, $2, $3, $4)"),
        [DataType::Int32, DataType::Utf8View, micros.clone(), DataType::Float64]
    );
    assert_eq!(types(&mut session, "SELECT * FROM t WHERE id = $1 AND at > $2"), [DataType::Int32, micros.clone()]);
    assert_eq!(types(&mut session, "SELECT $1::bigint, $2::text"), [DataType::Int64, DataType::Utf8View]);
    assert_eq!(types(&mut session, "UPDATE t SET score = $2 WHERE id = $1"), [DataType::Int32, DataType::Float64]);
    assert_eq!(types(&mut session, "DELETE FROM t WHERE name = $1"), [DataType::Utf8View]);
    assert_eq!(types(&mut session, "SELECT id FROM t LIMIT $1"), [DataType::Int64]);
    assert_eq!(types(&mut session, "SELECT $1"), [DataType::Utf8View]);
}

#[test]
fn columns_are_told_before_a_statement_runs() {
    let mut session = session();
    let mut names = |statement: &str| {
        let prepared = wait(session.prepare(statement, &[])).expect(statement);
        prepared.columns.map(|schema| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>())
    };
    assert_eq!(names("SELECT id, count(*) FROM t GROUP BY id"), Some(vec!["id".to_owned(), "count".to_owned()]));
    assert_eq!(
        names("INSERT INTO t (id) VALUES ($1) RETURNING id AS i, name"),
        Some(vec!["i".to_owned(), "name".to_owned()])
    );
    assert_eq!(names("SHOW timezone"), Some(vec!["TimeZone".to_owned()]));
    assert_eq!(names("INSERT INTO t (id) VALUES ($1)"), None);
    assert_eq!(names("BEGIN"), None);
}

#[test]
fn values_reach_every_kind_of_statement() {
    let mut session = session();
    let id = |n| ScalarValue::Int32(Some(n));
    let name = |s: &str| ScalarValue::Utf8(Some(s.to_owned()));
    let inserted =
        execute(&mut session, "INSERT INTO t (id, name) VALUES ($1, $2), ($3, NULL)", &[id(1), name("a"), id(2)]);
    assert_eq!(inserted.tag, "INSERT 0 2");
    assert_eq!(execute(&mut session, "SELECT name FROM t WHERE id = $1", &[id(1)]).rows, [["a"]]);
    assert_eq!(execute(&mut session, "UPDATE t SET name = $1 WHERE id = $2", &[name("b"), id(2)]).tag, "UPDATE 1");
    let upsert =
        "INSERT INTO t (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = t.name || $3 RETURNING name";
    assert_eq!(execute(&mut session, upsert, &[id(1), name("x"), name("!")]).rows, [["a!"]]);
    assert_eq!(
        execute(&mut session, "SELECT id FROM t ORDER BY id LIMIT $1", &[ScalarValue::Int64(Some(1))]).rows,
        [["1"]]
    );
    assert_eq!(execute(&mut session, "DELETE FROM t WHERE name = $1", &[name("b")]).tag, "DELETE 1");
    assert_eq!(execute(&mut session, "SELECT $1::int + 1", &[ScalarValue::Int32(None)]).rows, [["NULL"]]);
}

#[test]
fn an_interval_is_multiplied_by_a_parameter() {
    let mut session = session();
    let query = "SELECT TIMESTAMP '2026-01-10' - $1 * INTERVAL '1 day', INTERVAL '1 hour' * $2::int";
    assert_eq!(types(&mut session, query), [DataType::Float64, DataType::Int32]);
    let values = [ScalarValue::Float64(Some(2.0)), ScalarValue::Int32(Some(3))];
    assert_eq!(execute(&mut session, query, &values).rows, [["2026-01-08T00:00:00", "3 hours"]]);
    run(&mut session, "INSERT INTO t VALUES (3, NULL, '2026-01-10', NULL)").expect("a row is written");
    let query =
        "SELECT at - id * INTERVAL '1 day', $1 FROM t WHERE at > '2026-01-10'::timestamptz - id * INTERVAL '1 day'";
    let rows = execute(&mut session, query, &[ScalarValue::Utf8View(Some("x".into()))]).rows;
    assert_eq!(rows, [["2026-01-07T00:00:00Z", "x"]]);
}

#[test]
fn too_few_values_are_refused() {
    let mut session = session();
    let error = wait(async {
        let prepared = session.prepare("SELECT $1::int", &[]).await.expect("it can be prepared");
        session.execute(&prepared, &[]).await.err().expect("a value is missing")
    });
    assert_eq!(error.state.as_str(), "08P01");
}

#[test]
fn prepare_and_execute_are_statements_too() {
    let mut session = session();
    run(&mut session, "PREPARE p (int, text) AS INSERT INTO t (id, name) VALUES ($1, $2)").expect("it is prepared");
    run(&mut session, "EXECUTE p(1, 'a')").expect("it runs");
    run(&mut session, "PREPARE q AS SELECT name FROM t WHERE id = $1").expect("it is prepared");
    assert_eq!(run(&mut session, "EXECUTE q(0 + 1)").expect("it runs").rows, [["a"]]);
    assert_eq!(run(&mut session, "PREPARE q AS SELECT 1").expect_err("it is there").state.as_str(), "42P05");
    run(&mut session, "DEALLOCATE q").expect("it is gone");
    assert_eq!(run(&mut session, "EXECUTE q(1)").expect_err("it is gone").state.as_str(), "26000");
    run(&mut session, "DEALLOCATE ALL").expect("all are gone");
}

/// The types of a statement's parameters as PostgreSQL names them.
fn names(session: &mut Session, statement: &str) -> Vec<String> {
    let parameters = wait(session.prepare(statement, &[])).expect(statement).parameters;
    let name = |field: &arrow::datatypes::Field| match field.metadata().get("pg_type") {
        Some(name) => name.clone(),
        None => field.data_type().to_string(),
    };
    parameters.iter().map(name).collect()
}

#[test]
fn types_come_from_what_functions_make_of_them() {
    let mut session = session();
    run(&mut session, "CREATE TABLE d (id INT PRIMARY KEY, u UUID, j JSONB, tags TEXT[])").expect("the table is made");
    let list = |of: DataType| DataType::List(std::sync::Arc::new(arrow::datatypes::Field::new_list_field(of, true)));
    assert_eq!(types(&mut session, "SELECT * FROM d WHERE id = ANY($1)"), [list(DataType::Int32)]);
    assert_eq!(types(&mut session, "DELETE FROM d WHERE NOT (id = ANY($1))"), [list(DataType::Int32)]);
    assert_eq!(types(&mut session, "SELECT * FROM t WHERE name = ANY($1)"), [list(DataType::Utf8View)]);
    assert_eq!(names(&mut session, "SELECT * FROM d WHERE u = ANY($1)"), ["_uuid"]);
    assert_eq!(types(&mut session, "SELECT * FROM d WHERE $1 = ANY(tags)"), [DataType::Utf8View]);
    assert_eq!(names(&mut session, "SELECT * FROM d WHERE j @> $1"), ["jsonb"]);
    assert_eq!(
        types(&mut session, "SELECT greatest($1, id), nullif($2, id) FROM d"),
        [DataType::Int32, DataType::Int32]
    );
    assert_eq!(types(&mut session, "SELECT CASE WHEN $1 THEN $2 ELSE 1.5 END")[0], DataType::Boolean);
    assert_eq!(types(&mut session, "SELECT left(name, $1) FROM t"), [DataType::Int32]);
    assert_eq!(types(&mut session, "SELECT * FROM generate_series(1, $1)"), [DataType::Int64]);
}

#[test]
fn casts_to_types_that_no_column_has_tell_what_clients_know() {
    let mut session = session();
    assert_eq!(names(&mut session, "SELECT typname FROM pg_type WHERE oid = ANY($1::oid[])"), ["_oid"]);
    assert_eq!(names(&mut session, "SELECT $1::oid"), ["oid"]);
    assert_eq!(names(&mut session, "SELECT * FROM unnest($1::numeric[])"), ["_numeric"]);
    assert_eq!(types(&mut session, "SELECT $1::pg_catalog.int4"), [DataType::Int32]);
}

#[test]
fn values_are_taken_for_what_they_are() {
    let mut session = session();
    let day = ScalarValue::new_interval_mdn(0, 1, 0);
    let is_before = wait(async {
        let query = "SELECT now() - $1 < now()";
        let prepared = session.prepare(query, &[Some(day.data_type())]).await.expect("it can be prepared");
        answer(session.execute(&prepared, &[day]).await.expect("it runs")).await.expect("its row comes")
    });
    assert_eq!(is_before.rows, [["true"]]);
    let three = ScalarValue::Int64(Some(3));
    assert_eq!(execute(&mut session, "SELECT count(*) FROM generate_series(1, $1) AS g", &[three]).rows, [["3"]]);
    let name = ScalarValue::Utf8View(Some("t".to_owned()));
    let found =
        "SELECT relname FROM pg_catalog.pg_class WHERE relname = $1::varchar AND relkind = ANY (ARRAY['r', 'v'])";
    assert_eq!(execute(&mut session, found, &[name]).rows, [["t"]]);
}
