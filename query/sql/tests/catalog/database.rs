//! A small database to look at: two tables, a view, a metric, indexes and comments; and what runs statements over it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use chronolith_sql::{
    Result, catalog,
    objects::{IndexInfo, Objects, Relation, RelationKind, SessionInfo, Setting},
};
use chronolith_storage::table::{ColumnDefinition, ColumnId, ColumnType, TableDefinition, TableId};
use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider},
    prelude::{SessionConfig, SessionContext},
    sql::sqlparser::{ast::Statement, dialect::PostgreSqlDialect, parser::Parser},
};

/// The number of table `events`.
pub(crate) const EVENTS: &str = "16392";
/// The number of table `daily`.
pub(crate) const DAILY: &str = "16400";

#[derive(Debug)]
struct Database {
    relations: Arc<[Relation]>,
    indexes: Arc<[IndexInfo]>,
}

impl Objects for Database {
    fn relations(&self) -> Result<Arc<[Relation]>> {
        Ok(Arc::clone(&self.relations))
    }

    fn indexes(&self) -> Arc<[IndexInfo]> {
        Arc::clone(&self.indexes)
    }

    fn comment(&self, relation: &str, column: Option<&str>) -> Option<String> {
        match (relation, column) {
            ("events", None) => Some("what happened".to_owned()),
            ("events", Some("type")) => Some("its type".to_owned()),
            _ => None,
        }
    }

    fn row_count(&self, table: &str) -> Option<u64> {
        (table == "events").then_some(42)
    }
}

fn table(id: u32, name: &str, key: &[u32], columns: Vec<(&str, ColumnType)>) -> Relation {
    let columns: Vec<ColumnDefinition> = columns
        .into_iter()
        .zip(0..)
        .map(|((name, column_type), id)| ColumnDefinition {
            id: ColumnId(id),
            name: name.to_owned(),
            column_type,
            not_null: matches!(name, "score"),
            default: (name == "ts").then(|| "now()".to_owned()),
            serial: name == "id",
        })
        .collect();
    let fields: Vec<Field> = columns
        .iter()
        .map(|c| Field::new(&c.name, c.column_type.kind().map_or(DataType::Utf8View, |k| k.arrow()), true))
        .collect();
    let definition = TableDefinition {
        id: TableId(id),
        name: name.to_owned(),
        next_column: ColumnId(columns.len() as u32),
        columns,
        primary_key: key.iter().map(|k| ColumnId(*k)).collect(),
        time: None,
        dynamic: false,
        retention_ms: None,
    };
    Relation {
        name: name.to_owned(),
        kind: RelationKind::Table,
        schema: Arc::new(Schema::new(fields)),
        definition: Some(Arc::new(definition)),
        query: None,
    }
}

fn database() -> Database {
    let numeric = ColumnType::Numeric { precision: Some(10), scale: 2 };
    let events = table(
        1,
        "events",
        &[0],
        vec![
            ("id", ColumnType::Int4),
            ("type", ColumnType::Varchar(Some(50))),
            ("user_id", ColumnType::Uuid),
            ("ts", ColumnType::TimestampTz),
            ("data", ColumnType::Jsonb),
            ("score", ColumnType::Float8),
            ("price", numeric),
            ("tags", ColumnType::Array(Box::new(ColumnType::Text))),
        ],
    );
    let daily = table(
        2,
        "daily",
        &[0, 1],
        vec![("date", ColumnType::Date), ("kind", ColumnType::Varchar(None)), ("n", ColumnType::Int4)],
    );
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let metric = Relation {
        name: "up".to_owned(),
        kind: RelationKind::Metric,
        schema: Arc::new(Schema::new(vec![
            Field::new("job", DataType::Utf8View, true),
            Field::new("timestamp", time, false),
            Field::new("value", DataType::Float64, true),
        ])),
        definition: None,
        query: None,
    };
    let varchar = BTreeMap::from([("pg_type", "varchar"), ("pg_typmod", "54")]);
    let varchar = varchar.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let recent = Relation {
        name: "recent".to_owned(),
        kind: RelationKind::View,
        schema: Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int32, true),
            Field::new("type", DataType::Utf8View, true).with_metadata(varchar),
        ])),
        definition: None,
        query: Some("SELECT id, type FROM events".to_owned()),
    };
    let index = |name: &str, table: &str, columns: &[&str], primary: bool, method: &str| IndexInfo {
        name: name.to_owned(),
        table: table.to_owned(),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        unique: primary,
        primary,
        method: method.to_owned(),
    };
    Database {
        relations: Arc::new([daily, events, recent, metric]),
        indexes: Arc::new([
            index("daily_pkey", "daily", &["date", "kind"], true, "btree"),
            index("events_gin", "events", &["data"], false, "gin"),
            index("events_lower", "events", &["lower(type)"], false, "btree"),
            index("events_pkey", "events", &["id"], true, "btree"),
            index("events_type", "events", &["type"], false, "btree"),
        ]),
    }
}

/// A session over it.
pub(crate) fn session() -> (Arc<dyn Objects>, Arc<SessionInfo>) {
    let setting = |value: &str| Setting { value: value.to_owned(), reset: value.to_owned(), description: "" };
    let settings = [
        ("search_path", "\"$user\", public"),
        ("timezone", "UTC"),
        ("application_name", ""),
        ("jit", "off"),
        ("standard_conforming_strings", "on"),
    ];
    let session = SessionInfo {
        user: "alice".to_owned(),
        database: "shop".to_owned(),
        pid: 7,
        started: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        settings: Mutex::new(settings.into_iter().map(|(n, v)| (n.to_owned(), setting(v))).collect()),
    };
    (Arc::new(database()), Arc::new(session))
}

/// Runs one statement as DataFusion plans it after the rewrite.
pub(crate) async fn run(statement: Statement) -> Result<Vec<RecordBatch>, String> {
    let (objects, session) = session();
    let mut config = SessionConfig::new().with_information_schema(false).with_target_partitions(1);
    config.options_mut().catalog.default_catalog = "shop".to_owned();
    config.options_mut().catalog.default_schema = "public".to_owned();
    config.options_mut().catalog.create_default_catalog_and_schema = false;
    config.options_mut().sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    let ctx = SessionContext::new_with_config(config);
    let schemas = MemoryCatalogProvider::new();
    schemas.register_schema("public", Arc::new(MemorySchemaProvider::new())).unwrap();
    for (name, schema) in catalog::schemas(&objects, &session) {
        schemas.register_schema(&name, schema).unwrap();
    }
    ctx.register_catalog("shop", Arc::new(schemas));
    catalog::register(&ctx, &objects, &session).unwrap();
    let mut statement = statement;
    catalog::rewrite_statement(&mut statement, &objects, &session).map_err(|e| e.to_string())?;
    let text = statement.to_string();
    let planned = ctx.state().statement_to_plan(datafusion::sql::parser::Statement::Statement(Box::new(statement))).await;
    let plan = planned.map_err(|e| format!("{e}\n   plan of {text}"))?;
    let frame = ctx.execute_logical_plan(plan).await.map_err(|e| format!("{e}\n   start of {text}"))?;
    frame.collect().await.map_err(|e| format!("{e}\n   run of {text}"))
}

/// The statements of a text.
pub(crate) fn parse(text: &str) -> Vec<Statement> {
    Parser::parse_sql(&PostgreSqlDialect {}, text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// The rows of one statement as texts, nulls as `-`.
pub(crate) async fn rows(sql: &str) -> Vec<Vec<String>> {
    let statement = parse(sql).remove(0);
    let batches = run(statement).await.unwrap_or_else(|e| panic!("{e}\n   from {sql}"));
    let options = FormatOptions::default().with_null("-");
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()));
    }
    rows
}
