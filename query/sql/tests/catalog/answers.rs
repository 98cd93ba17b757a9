//! Answers about the database are right: as PostgreSQL gives them for the same tables.

use crate::database::Database;

#[test]
fn columns_have_types_defaults_and_constraints() {
    let mut database = Database::new();
    let columns = database.numbered(
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
           (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
            WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef)
         FROM pg_catalog.pg_attribute a WHERE a.attrelid = '{events}' AND a.attnum > 0 AND NOT a.attisdropped
         ORDER BY a.attnum",
    );
    let found = database.rows(&columns);
    let expected = [
        ["id", "integer", "true", "nextval('events_id_seq'::regclass)"],
        ["type", "character varying(50)", "false", "-"],
        ["user_id", "uuid", "false", "-"],
        ["ts", "timestamp with time zone", "false", "now()"],
        ["data", "jsonb", "false", "-"],
        ["score", "double precision", "true", "-"],
        ["price", "numeric(10,2)", "false", "-"],
        ["tags", "text[]", "false", "-"],
    ];
    assert_eq!(found, expected.map(|row| row.map(str::to_owned).to_vec()));
}

#[test]
fn keys_and_indexes_are_told() {
    let mut database = Database::new();
    let keys = database.rows(
        "SELECT a.attname, (information_schema._pg_expandarray(i.indkey)).n FROM pg_index i
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
         WHERE i.indrelid = 'daily'::regclass AND i.indisprimary ORDER BY 1, 2",
    );
    assert_eq!(keys.len(), 4);
    assert_eq!(
        database.rows("SELECT conname, contype, pg_get_constraintdef(oid), conkey FROM pg_constraint ORDER BY 1"),
        [
            ["daily_pkey", "p", "PRIMARY KEY (date, kind)", "[1, 2]"].map(str::to_owned).to_vec(),
            ["events_pkey", "p", "PRIMARY KEY (id)", "[1]"].map(str::to_owned).to_vec(),
        ]
    );
    let indexes = database.rows("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'events' ORDER BY 1");
    assert_eq!(
        indexes.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(),
        [
            "CREATE INDEX events_gin ON public.events USING gin (data)",
            "CREATE UNIQUE INDEX events_pkey ON public.events USING btree (id)",
            "CREATE INDEX events_type ON public.events USING btree (type)",
        ]
    );
}

#[test]
fn relations_have_kinds_and_sizes() {
    let mut database = Database::new();
    let found = database.rows(
        "SELECT c.relname, c.relkind, c.relhasindex, c.reltuples, obj_description(c.oid, 'pg_class') FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = ANY('{r,v,S}') ORDER BY 1",
    );
    let expected = [
        ["daily", "r", "true", "0.0", "-"],
        ["events", "r", "true", "2.0", "what happened"],
        ["events_id_seq", "S", "false", "-1.0", "-"],
        ["recent", "v", "false", "-1.0", "-"],
    ];
    assert_eq!(found, expected.map(|row| row.map(str::to_owned).to_vec()));
    assert_eq!(database.one("SELECT pg_get_viewdef('recent'::regclass, true)"), " SELECT id, type, ts FROM events;");
    assert_eq!(database.one("SELECT pg_get_serial_sequence('events', 'id')"), "public.events_id_seq");
}

#[test]
fn the_standards_schema_tells_the_same() {
    let mut database = Database::new();
    let found = database.rows(
        "SELECT column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, is_nullable, udt_name
         FROM information_schema.columns WHERE table_name = 'events' ORDER BY ordinal_position",
    );
    let expected = [
        ["id", "integer", "-", "32", "0", "NO", "int4"],
        ["type", "character varying", "50", "-", "-", "YES", "varchar"],
        ["user_id", "uuid", "-", "-", "-", "YES", "uuid"],
        ["ts", "timestamp with time zone", "-", "-", "-", "YES", "timestamptz"],
        ["data", "jsonb", "-", "-", "-", "YES", "jsonb"],
        ["score", "double precision", "-", "53", "-", "NO", "float8"],
        ["price", "numeric", "-", "10", "2", "YES", "numeric"],
        ["tags", "ARRAY", "-", "-", "-", "YES", "_text"],
    ];
    assert_eq!(found, expected.map(|row| row.map(str::to_owned).to_vec()));
    assert_eq!(
        database.rows(
            "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
        ),
        [["daily", "BASE TABLE"], ["events", "BASE TABLE"], ["recent", "VIEW"]]
            .map(|row| row.map(str::to_owned).to_vec())
    );
}

#[test]
fn names_and_numbers_turn_into_each_other() {
    let mut database = Database::new();
    let events = database.numbered("{events}");
    assert_eq!(database.one("SELECT 'events'::regclass::oid"), events);
    assert_eq!(database.one("SELECT oid::regclass FROM pg_class WHERE relname = 'events'"), "events");
    assert_eq!(
        database.one("SELECT oid::regclass::text FROM pg_class WHERE relname = 'columns'"),
        "information_schema.columns"
    );
    assert_eq!(database.one("SELECT 'int4'::regtype::oid"), "23");
    assert_eq!(database.one("SELECT 1043::regtype::text"), "character varying");
    assert_eq!(database.one("SELECT to_regclass('nothing')"), "-");
    assert_eq!(database.one("SELECT format_type(1700, 655366)"), "numeric(10,2)");
    assert_eq!(
        database.one("SELECT quote_ident('select') || quote_ident('a B') || quote_ident('ab')"),
        "\"select\"\"a B\"ab"
    );
    assert!(database.run("SELECT 'nothing'::regclass").unwrap_err().contains("relation \"nothing\" does not exist"));
    assert!(database.run("SELECT 'nothing'::regtype").unwrap_err().contains("type \"nothing\" does not exist"));
}

#[test]
fn the_session_tells_of_itself() {
    let mut database = Database::new();
    assert!(database.one("SELECT version()").starts_with("PostgreSQL 16."));
    assert_eq!(database.one("SELECT current_database()"), "shop");
    assert_eq!(database.one("SELECT current_user"), "alice");
    assert_eq!(database.one("SELECT current_schema()"), "public");
    assert_eq!(database.one("SELECT current_schemas(true)"), "[pg_catalog, public]");
    assert_eq!(database.one("SELECT current_setting('server_version_num')::int / 10000"), "16");
    assert_eq!(database.one("SELECT set_config('application_name', 'x', false)"), "x");
    assert!(
        database.run("SELECT current_setting('nothing')").unwrap_err().contains("unrecognized configuration parameter")
    );
    assert_eq!(database.one("SELECT current_setting('nothing', true)"), "-");
    assert_eq!(database.one("SELECT pg_size_pretty(10240)"), "10 kB");
    assert_eq!(database.one("SELECT pg_size_pretty(1073741824)"), "1024 MB");
    assert_eq!(database.one("SELECT has_table_privilege('recent', 'insert')"), "false");
    assert_eq!(database.one("SELECT has_table_privilege('alice', 'events', 'insert')"), "true");
}

/// What only rewrites make possible gives what PostgreSQL gives.
#[test]
fn rewritten_queries_are_right() {
    let mut database = Database::new();
    // The columns of a key in its order.
    let key = "SELECT array(SELECT attname FROM unnest(c.conkey) WITH ORDINALITY cols(colid, at)
         JOIN pg_attribute ca ON cols.colid = ca.attnum WHERE ca.attrelid = c.conrelid ORDER BY cols.at DESC)
         FROM pg_constraint c WHERE conname = 'daily_pkey'";
    assert_eq!(database.one(key), "[kind, date]");
    let found = database.rows("SELECT tableoid, (SELECT count(*) FROM pg_description d WHERE d.classoid = c.tableoid) > 0 FROM pg_class c WHERE oid = 1247");
    assert_eq!(found, [["1259", "true"].map(str::to_owned).to_vec()]);
    assert_eq!(database.one("SELECT relname FROM pg_class WHERE relnamespace = 'public' AND relkind = 'v'"), "recent");
    let found = database.rows(
        "SELECT relname, CASE WHEN relname IN (SELECT tablename FROM pg_tables) THEN 1 ELSE 0 END FROM pg_class
         WHERE relname IN ('daily', 'recent')
         ORDER BY CASE WHEN relname IN (SELECT tablename FROM pg_tables) THEN 1 ELSE 0 END, 1",
    );
    assert_eq!(found, [["recent", "0"], ["daily", "1"]].map(|row| row.map(str::to_owned).to_vec()));
    // A list of nothing is empty, not null.
    let of = |rest: &str| format!("SELECT array(SELECT relname FROM pg_class WHERE {rest} ORDER BY 1)");
    assert_eq!(database.one(&of("relname IN ('recent', 'daily')")), "[daily, recent]");
    assert_eq!(database.one(&of("relname = 'nothing'")), "[]");
    assert_eq!(database.one("SELECT array(SELECT id FROM events ORDER BY id DESC)"), "[2, 1]");
    let of_type = database.one("SELECT arrow_typeof(array(SELECT id FROM events))");
    assert!(of_type.contains("Int32"), "{of_type}");
    // Membership in a result knows nulls.
    let found = database.rows(
        "SELECT id IN (SELECT 1), id NOT IN (SELECT 1), id IN (SELECT NULL::int), id IN (SELECT 1 WHERE false)
         FROM events ORDER BY id",
    );
    let expected = [["true", "false", "-", "false"], ["false", "true", "-", "false"]];
    assert_eq!(found, expected.map(|row| row.map(str::to_owned).to_vec()));
    database.rows("SET search_path = \"$user\", public");
    assert_eq!(database.one("SHOW search_path"), "\"$user\", public");
    database.rows("SET time zone \"Asia/Shanghai\"");
    assert_eq!(database.one("SHOW timezone"), "Asia/Shanghai");
}

/// asyncpg asks this for each type that it does not know.
#[test]
fn array_types_have_elements() {
    let mut database = Database::new();
    assert_eq!(
        database.rows("SELECT t.oid, t.typelem, e.typname FROM pg_type t JOIN pg_type e ON e.oid = t.typelem WHERE t.typname = '_text'"),
        [["1009", "25", "text"].map(str::to_owned).to_vec()]
    );
}

/// Every relation can be read in full, so no row of it is of another shape than it says.
#[test]
fn every_relation_can_be_read() {
    let mut database = Database::new();
    let names = database.rows(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname <> 'public' AND c.relkind IN ('r', 'v')",
    );
    assert!(names.len() > 150, "only {} relations", names.len());
    for name in names {
        database.rows(&format!("SELECT * FROM {}.{}", name[0], name[1]));
    }
}

#[test]
fn numbers_stay_apart() {
    let mut database = Database::new();
    assert_eq!(database.one("SELECT count(*) - count(DISTINCT oid) FROM pg_class"), "0");
    assert_eq!(database.one("SELECT count(*) - count(DISTINCT oid) FROM pg_type"), "0");
    assert_eq!(database.one("SELECT count(*) - count(DISTINCT oid) FROM pg_proc"), "0");
    assert_eq!(database.one("SELECT count(*) FROM pg_attribute WHERE atttypid NOT IN (SELECT oid FROM pg_type)"), "0");
}
