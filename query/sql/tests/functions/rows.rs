//! Functions that return rows, in FROM and in select lists.

use crate::{check, fails};

#[tokio::test]
async fn series() {
    check("SELECT g FROM generate_series(1, 3) AS g", &["1", "2", "3"]).await;
    check("SELECT generate_series FROM generate_series(3, 1, -1)", &["3", "2", "1"]).await;
    check(
        "SELECT t FROM generate_series('2024-01-30'::timestamp, '2024-02-01'::timestamp, '1 day') AS s(t)",
        &["2024-01-30T00:00:00", "2024-01-31T00:00:00", "2024-02-01T00:00:00"],
    )
    .await;
    check("SELECT generate_series(1, 2) AS n, 'a'", &["1|a", "2|a"]).await;
    check("SELECT n, m FROM generate_series(1, 2) n, generate_series(1, n) m ORDER BY n, m", &["1|1", "2|1", "2|2"])
        .await;
}

#[tokio::test]
async fn unnested() {
    check("SELECT tag FROM unnest(ARRAY['a', 'b']) AS tag", &["a", "b"]).await;
    check(
        "SELECT t.id, tag FROM (VALUES (1, ARRAY['a', 'b']), (2, NULL), (3, ARRAY['c'])) t(id, tags), unnest(t.tags) AS tag \
         ORDER BY id, tag",
        &["1|a", "1|b", "3|c"],
    )
    .await;
    check(
        "SELECT t.id, u.x FROM (VALUES (1, ARRAY[10, 20]), (2, NULL)) t(id, l) LEFT JOIN LATERAL unnest(t.l) AS u(x) ON true \
         ORDER BY id, x",
        &["1|10", "1|20", "2|NULL"],
    )
    .await;
    check("SELECT v, n FROM unnest(ARRAY['x', 'y']) WITH ORDINALITY AS t(v, n)", &["x|1", "y|2"]).await;
}

#[tokio::test]
async fn of_json() {
    check("SELECT value FROM jsonb_array_elements('[1, \"a\", null]')", &["1", "\"a\"", "null"]).await;
    check("SELECT e FROM jsonb_array_elements_text('[1, \"a\", null]') AS x(e)", &["1", "a", "NULL"]).await;
    check("SELECT jsonb_array_elements('[1, 2]') AS v", &["1", "2"]).await;
    check("SELECT key, value FROM jsonb_each('{\"a\": 1, \"b\": [2]}')", &["a|1", "b|[2]"]).await;
    check("SELECT * FROM jsonb_each_text('{\"a\": \"x\"}') AS e(k, v)", &["a|x"]).await;
    check("SELECT jsonb_object_keys('{\"a\": 1, \"b\": 2, \"a\": 3}')", &["a", "b"]).await;
    check(
        "SELECT t.id, e.value ->> 'n', e.value -> 'm' IS NULL FROM (VALUES (1, '[{\"n\": \"p\"}, {\"n\": \"q\"}]'), (2, '[]')) \
         t(id, doc), jsonb_array_elements(t.doc) AS e WHERE t.id < 5 ORDER BY 2",
        &["1|p|true", "1|q|true"],
    )
    .await;
    check(
        "SELECT k, count(*) FROM (SELECT '{\"a\": 1, \"b\": 2}' AS doc FROM numbers) d CROSS JOIN LATERAL \
         jsonb_object_keys(d.doc) AS k GROUP BY k ORDER BY k",
        &["a|100000", "b|100000"],
    )
    .await;
}

#[tokio::test]
async fn refused() {
    fails("SELECT jsonb_each('{}')", "write it in FROM").await;
    fails("SELECT * FROM jsonb_to_recordset('[]')", "jsonb_to_recordset").await;
    fails("SELECT jsonb_array_elements('{}')", "no array").await;
    fails("SELECT t.id FROM (VALUES (1)) t(id) RIGHT JOIN LATERAL unnest(ARRAY[t.id]) u(x) ON true", "RIGHT").await;
}
