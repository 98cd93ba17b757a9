//! JSONB has one form, PostgreSQL's; JSON stays as it is written.

use crate::harness::{database, run};

/// Texts, and what PostgreSQL 15 prints of them as jsonb.
const FORMS: &[(&str, &str)] = &[
    (r#"{"bb":1,"a":[1 , 2],"b":{}}"#, r#"{"a": [1, 2], "b": {}, "bb": 1}"#),
    (r#"{"a":1,"a":2}"#, r#"{"a": 2}"#),
    (
        "[1.50, -0, -0.0, 1e3, 1.5e1, 1.50e1, -1E-3, 100e-2, 0e5, 0.000e1, 0.001e2, 0.001e5, 12345678901234567890.5]",
        "[1.50, 0, 0.0, 1000, 15, 15.0, -0.001, 1.00, 0, 0.00, 0.1, 100, 12345678901234567890.5]",
    ),
    (r#""\u0041\/\u000a\u0008\u001f\u007f""#, "\"A/\\n\\b\\u001f\u{7f}\""),
    (r#"{"é":1,"zz":2,"z":3,"":4}"#, r#"{"": 4, "z": 3, "zz": 2, "é": 1}"#),
    (r#" [ ] "#, "[]"),
];

/// Expressions, and what PostgreSQL 15 prints of them.
const EXPRESSIONS: &[(&str, &str)] = &[
    (r#"'{"b":2,"aa":1}'::jsonb || '{"c":3,"b":1}'::jsonb"#, r#"{"b": 1, "c": 3, "aa": 1}"#),
    (r#"jsonb_set('{"b":2}','{aaa}','1')"#, r#"{"b": 2, "aaa": 1}"#),
    (r#"jsonb_set('{"bb":2}','{a}','1')"#, r#"{"a": 1, "bb": 2}"#),
    ("jsonb_build_object('bb',1,'a',2,'a',3)", r#"{"a": 3, "bb": 1}"#),
    (r#"'{"b":1, "a":2}'::json"#, r#"{"b":1, "a":2}"#),
    (r#"'{"b": {"y":1,  "x":2}}'::json->'b'"#, r#"{"y":1,  "x":2}"#),
    (r#"jsonb_build_array(1,'{"b":1,"a":2}'::json)"#, r#"[1, {"a": 2, "b": 1}]"#),
    (r#"to_jsonb('{"b":1, "a":2}'::json)"#, r#"{"a": 2, "b": 1}"#),
    (r#"('{"b":1, "a":2}'::text)::jsonb"#, r#"{"a": 2, "b": 1}"#),
    (r#"jsonb '{"b":1, "a":2}'"#, r#"{"a": 2, "b": 1}"#),
    (r#"'{"b":1,"aa":2}'::jsonb #- '{b}'"#, r#"{"aa": 2}"#),
    (r#"'{"b":1,"aa":2, "c":3}'::jsonb - 'b'"#, r#"{"c": 3, "aa": 2}"#),
    (r#"'{"b":1,"a":2}'::jsonb = '{"a":2,"b":1}'"#, "true"),
    ("'1.0'::jsonb = '1.00'::jsonb", "true"),
    (r#"'{"a":[1,2.50]}'::jsonb = '{"a":[1.0,2.5]}'"#, "true"),
    (r#"'{"a":[1,2.50]}'::jsonb <> '{"a":[1.0,2.51]}'::jsonb"#, "true"),
    (r#"'"1.0"'::jsonb = '"1.00"'::jsonb"#, "false"),
    ("(SELECT jsonb_object_agg(k,v) FROM (VALUES ('bb',1),('a',2)) t(k,v))", r#"{"a": 2, "bb": 1}"#),
];

#[test]
fn jsonb_prints_as_postgres_prints_it() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "CREATE TABLE forms (id INT PRIMARY KEY, b JSONB, t JSON)").expect("it is made");
    for (id, (text, form)) in FORMS.iter().enumerate() {
        let cast = run(&mut session, &format!("SELECT '{text}'::jsonb")).expect(text);
        assert_eq!(cast.rows, [[*form]], "{text}");
        run(&mut session, &format!("INSERT INTO forms VALUES ({id}, '{text}', '{text}')")).expect(text);
        let held = run(&mut session, &format!("SELECT b, t FROM forms WHERE id = {id}")).expect(text);
        assert_eq!(held.rows, [[*form, *text]], "{text}");
    }
    for (expression, printed) in EXPRESSIONS {
        let answer = run(&mut session, &format!("SELECT {expression}")).expect(expression);
        assert_eq!(answer.rows, [[*printed]], "{expression}");
    }
}

#[test]
fn jsonb_is_compared_and_grouped_by_its_form() {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "CREATE TABLE t (id INT, b JSONB)").expect("it is made");
    run(&mut session, r#"INSERT INTO t VALUES (1, '{"bb":1,"a":2}'), (2, '{"a":2,  "bb":1}'), (3, '{"a":3}')"#)
        .expect("rows");
    run(&mut session, r#"INSERT INTO t SELECT 4, '{"bb":1,"a":2}'::json::jsonb"#).expect("a row");
    let mut rows = |query: &str| run(&mut session, query).expect(query).rows;
    assert_eq!(
        rows("SELECT b, count(*) FROM t GROUP BY b ORDER BY 2"),
        [[r#"{"a": 3}"#, "1"], [r#"{"a": 2, "bb": 1}"#, "3"]]
    );
    assert_eq!(rows("SELECT count(DISTINCT b) FROM t"), [["2"]]);
    assert_eq!(rows(r#"SELECT id FROM t WHERE b = '{"bb":1,"a":2}' ORDER BY id"#), [["1"], ["2"], ["4"]]);
    for wrong in
        ["SELECT '{'::jsonb", "SELECT '[1,]'::json", "INSERT INTO t VALUES (5, '{\"a\"}')", "SELECT '1e131072'::jsonb"]
    {
        assert_eq!(run(&mut session, wrong).expect_err(wrong).state.as_str(), "22P02", "{wrong}");
    }
}
