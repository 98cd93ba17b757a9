//! Functions over text, arrays and numbers; the values are PostgreSQL's.

use crate::{check, fails};

#[tokio::test]
async fn quoting() {
    check(
        r#"SELECT quote_ident('Foo bar'), quote_ident('foo'), quote_literal('O''Reilly'), quote_literal(42), quote_nullable(NULL)"#,
        &["\"Foo bar\"|foo|'O''Reilly'|'42'|NULL"],
    )
    .await;
    check("SELECT format('Hello %s, %1$s %L %I %%', 'World', 'it''s', 'T')", &["Hello World, World 'it''s' \"T\" %"])
        .await;
    fails("SELECT format('%s')", "too few arguments").await;
    fails("SELECT format('%d', 1)", "\"d\"").await;
}

#[tokio::test]
async fn regular_expressions() {
    check(
        r#"SELECT regexp_replace('foobarbaz', 'b..', 'X'), regexp_replace('foobarbaz', 'b..', 'X', 'g'),
           regexp_replace('foobarbaz', 'b(..)', 'X\1Y', 'g'), regexp_replace('Abc', 'a', 'x', 'i')"#,
        &["fooXbaz|fooXX|fooXarYXazY|xbc"],
    )
    .await;
    check("SELECT regexp_matches('foobarbequebaz', '(bar)(beque)')", &["[bar, beque]"]).await;
    check("SELECT m FROM regexp_matches('abcab', 'a|b', 'g') AS m", &["[a]", "[b]", "[a]", "[b]"]).await;
    check("SELECT regexp_split_to_table('a,b;c', '[,;]')", &["a", "b", "c"]).await;
    check(
        "SELECT 'thomas' ~ 't.*ma', 'thomas' ~* 'T.*ma', 'thomas' !~ 't.*max', 'thomas' !~* 'T.*ma'",
        &["true|true|true|false"],
    )
    .await;
    fails("SELECT regexp_replace('a', '(', 'x')", "invalid regular expression").await;
    fails("SELECT regexp_replace('a', 'a', 'x', 'q')", "\"q\"").await;
}

#[tokio::test]
async fn arrays() {
    check(
        "SELECT array_upper(ARRAY[1, 2, 3], 1), array_lower(ARRAY[1, 2], 1), array_length(ARRAY[1, 2], 1), \
         cardinality(ARRAY[1, 2]), array_position(ARRAY['a', 'b'], 'b'), 2 = ANY(ARRAY[1, 2]), array_to_string(ARRAY[1, 2], '-')",
        &["3|1|2|2|2|true|1-2"],
    )
    .await;
    check("SELECT i FROM generate_subscripts(ARRAY['x', 'y'], 1) AS i", &["1", "2"]).await;
    check(
        "SELECT string_to_array('a,b', ','), array_agg(v ORDER BY v DESC) FROM (VALUES (1), (3), (2)) t(v)",
        &["[a, b]|[3, 2, 1]"],
    )
    .await;
}

#[tokio::test]
async fn known_functions() {
    check(
        "SELECT split_part('a~b~c', '~', 2), concat_ws(',', 'a', NULL, 'b'), left('abcde', -2), right('abcde', 2), \
         initcap('hi THOMAS'), position('om' IN 'Thomas'), overlay('Txxxxas' PLACING 'hom' FROM 2 FOR 4), md5('abc')",
        &["b|a,b|abc|de|Hi Thomas|3|Thomas|900150983cd24fb0d6963f7d28e17f72"],
    )
    .await;
    check(
        "SELECT encode('abc'::bytea, 'hex'), greatest(1, 3, NULL), least(2, 1), nullif(1, 1), coalesce(NULL, 2), \
         length(gen_random_uuid()::text), random() < 1",
        &["616263|3|1|NULL|2|36|true"],
    )
    .await;
    check(
        "SELECT width_bucket(5.35, 0.024, 10.06, 5), div(9, 4), mod(-9, 4), round(42.4382::numeric, 2) = 42.44",
        &["3|2|-1|true"],
    )
    .await;
    fails("SELECT div(1, 0)", "division by zero").await;
}
