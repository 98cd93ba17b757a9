//! JSON operators and functions; the examples are PostgreSQL's documentation's.

use crate::{check, fails};

#[tokio::test]
async fn getting() {
    check(r#"SELECT '[{"a":"foo"},{"b":"bar"},{"c":"baz"}]' -> 2"#, &[r#"{"c":"baz"}"#]).await;
    check(r#"SELECT '[{"a":"foo"},{"b":"bar"},{"c":"baz"}]' -> -3"#, &[r#"{"a":"foo"}"#]).await;
    check(r#"SELECT '{"a": {"b":"foo"}}' -> 'a', '[1,2,3]' ->> 2, '{"a":1,"b":2}' ->> 'b'"#, &[r#"{"b":"foo"}|3|2"#])
        .await;
    check(
        r#"SELECT '{"a": {"b": ["foo","bar"]}}' #> '{a,b,1}', '{"a": {"b": ["foo","bar"]}}' #>> '{a,b,1}'"#,
        &[r#""bar"|bar"#],
    )
    .await;
    check(r#"SELECT '{"a": {"b": ["foo"]}}' #>> ARRAY['a', 'b', '0'], jsonb_extract_path_text('{"a":{"b":7}}', 'a', 'b')"#, &["foo|7"])
        .await;
    check(r#"SELECT '{"a": null, "b": "x"}' ->> 'a', '{"b": "x\ty\u00e9\ud83d\ude00"}' ->> 'b'"#, &["NULL|x\tyé😀"])
        .await;
    check(
        r#"SELECT '{"a": 1, "a": 2}' -> 'a', '{"a": 1}' -> 'b', '{"a": 1}' -> 0, '[1]' -> 'a', NULL -> 'a'"#,
        &["2|NULL|NULL|NULL|NULL"],
    )
    .await;
    check(r#"SELECT ('{"a": {"b": 12.50}}' -> 'a' ->> 'b')::float + 1"#, &["13.5"]).await;
}

#[tokio::test]
async fn containment_and_keys() {
    check(
        r#"SELECT '{"a":1, "b":2}' @> '{"b":2}', '{"b":2}' <@ '{"a":1, "b":2}', '[1, 2, [1, 3]]' @> '[1, 3]'"#,
        &["true|true|false"],
    )
    .await;
    check(r#"SELECT '{"foo": {"bar": "baz"}}' @> '{"bar": "baz"}', '["foo", "bar"]' @> '"bar"', '[1, 2, 2]' @> '[2, 1, 1]'"#, &["false|true|true"])
        .await;
    check(r#"SELECT '{"a":1, "b":2}' ? 'b', '["a", "b", "c"]' ? 'b', '{"a":1}' ?| ARRAY['b', 'd'], '["a", "b"]' ?& ARRAY['a', 'b']"#, &["true|true|false|true"])
        .await;
    check(r#"SELECT count(*) FROM numbers WHERE '{"w": "' || word || '"}' @> '{"w": "w1"}'"#, &["129"]).await;
}

#[tokio::test]
async fn changing() {
    check(
        r#"SELECT jsonb_set('[{"f1":1,"f2":null},2,null,3]', '{0,f1}', '[2,3,4]', false), jsonb_set('[{"f1":1,"f2":null},2]', '{0,f3}', '[2,3,4]')"#,
        &[r#"[{"f1": [2, 3, 4], "f2": null}, 2, null, 3]|[{"f1": 1, "f2": null, "f3": [2, 3, 4]}, 2]"#],
    )
    .await;
    check(
        r#"SELECT jsonb_build_object('a', 1, 'b', '{"c": [1]}' -> 'c') - 'a', jsonb_build_array(1, 'x', NULL, 2.5) || jsonb_build_array(true)"#,
        &[r#"{"b": [1]}|[1, "x", null, 2.5, true]"#],
    )
    .await;
    check(
        r#"SELECT jsonb_delete_path('["a", {"b":1}]', '{1,b}'), jsonb_strip_nulls('{"a":null,"b":[1,null]}')"#,
        &[r#"["a", {}]|{"b": [1, null]}"#],
    )
    .await;
    check(
        r#"SELECT jsonb_pretty('[{"f1":1,"f2":[]}, 2]')"#,
        &["[\n    {\n        \"f1\": 1,\n        \"f2\": []\n    },\n    2\n]"],
    )
    .await;
}

#[tokio::test]
async fn telling() {
    check(
        r#"SELECT jsonb_typeof('-123.4'), jsonb_typeof('null'), jsonb_typeof('[1]'), jsonb_array_length('[1,2,[3]]')"#,
        &["number|null|array|3"],
    )
    .await;
    check(
        "SELECT to_json('Fred said \"Hi.\"'::text), to_jsonb(1.5), to_jsonb(TIMESTAMP '2024-01-02 03:04:05.25'), to_jsonb(ARRAY[1, NULL]), to_jsonb(NULL)",
        &[r#""Fred said \"Hi.\""|1.5|"2024-01-02T03:04:05.25"|[1, null]|NULL"#],
    )
    .await;
    check(
        "SELECT to_jsonb(0.1::real), to_jsonb(1e22::float), to_jsonb('NaN'::float), to_jsonb(DATE '2024-01-02')",
        &[r#"0.1|10000000000000000000000|"NaN"|"2024-01-02""#],
    )
    .await;
}

#[tokio::test]
async fn collecting() {
    let rows = r#"FROM (VALUES ('x', 2), ('y', 1), ('z', NULL)) t(k, v)"#;
    check(
        &format!("SELECT json_agg(v ORDER BY k DESC), jsonb_object_agg(k, v ORDER BY k), json_agg(k) FILTER (WHERE v > 5) {rows}"),
        &[r#"[null, 1, 2]|{"x": 2, "y": 1, "z": null}|NULL"#],
    )
    .await;
    check(
        &format!(r#"SELECT json_agg(jsonb_build_object('k', k) ORDER BY k) {rows}"#),
        &[r#"[{"k": "x"}, {"k": "y"}, {"k": "z"}]"#],
    )
    .await;
    check(&format!("SELECT first(k, v), last(k, v), every(v > 0) {rows}"), &["y|x|true"]).await;
    check("SELECT jsonb_array_length(json_agg(i)) FROM numbers", &["100000"]).await;
    fails(&format!("SELECT json_object_agg(NULL, v) {rows}"), "cannot be null").await;
    fails(&format!("SELECT json_agg(v) OVER () {rows}"), "over a window").await;
}

#[tokio::test]
async fn refused() {
    fails(r#"SELECT '{"a": }' -> 'a'"#, "invalid input syntax for type json").await;
    fails(r#"SELECT '{"a": 1' ->> 'a'"#, "ends too early").await;
    fails(r#"SELECT '{"a": "\u0000"}' ->> 'a'"#, "\\u0000 cannot be text").await;
    fails("SELECT jsonb_array_length('{}')", "no array").await;
    fails("SELECT jsonb_typeof(1)", "jsonb_typeof(text)").await;
    fails(&format!("SELECT jsonb_typeof('{}')", "[".repeat(100_000)), "512 arrays and objects deep").await;
    fails("SELECT jsonb_build_object('a')", "even number").await;
}
