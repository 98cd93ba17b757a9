//! A small database to look at, and what runs statements over it.

use arrow::{
    array::Array,
    util::display::{ArrayFormatter, FormatOptions},
};
use chronolith_sql::{Outcome, Session, SqlEngine, SqlOptions};
use chronolith_storage::engine::{Engine, EngineOptions};
use futures::StreamExt;

/// Two tables, a view, indexes and comments.
const TABLES: [&str; 8] = [
    "CREATE TABLE events (id SERIAL NOT NULL, type VARCHAR(50), user_id uuid, ts TIMESTAMP WITH TIME ZONE DEFAULT now(),
       data JSONB, score double precision NOT NULL, price numeric(10,2), tags text[], PRIMARY KEY (id))",
    "CREATE TABLE daily (date DATE, kind VARCHAR, n INT, PRIMARY KEY (date, kind))",
    "CREATE INDEX events_type ON events (type)",
    "CREATE INDEX events_gin ON events USING gin (data)",
    "CREATE VIEW recent AS SELECT id, type, ts FROM events",
    "COMMENT ON TABLE events IS 'what happened'",
    "COMMENT ON COLUMN events.type IS 'its type'",
    "INSERT INTO events (type, score) VALUES ('a', 1), ('b', 2)",
];

/// A session over that database.
pub(crate) struct Database {
    // The session's statements run on its threads.
    _sql: SqlEngine,
    session: Session,
}

impl Database {
    pub(crate) fn new() -> Self {
        let engine = Engine::open(EngineOptions::in_memory()).unwrap();
        let sql = SqlEngine::new(engine, SqlOptions { threads: 1, ..SqlOptions::default() }).unwrap();
        let mut database = Self { session: sql.session("alice", "shop"), _sql: sql };
        for statement in TABLES {
            database.run(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
        database
    }

    /// The statements of a text.
    pub(crate) fn split(&self, text: &str) -> Vec<String> {
        self.session.split(text).unwrap()
    }

    /// The rows of a statement as texts, nulls as `-`.
    ///
    /// # Errors
    /// The error's code and text.
    pub(crate) fn run(&mut self, statement: &str) -> Result<Vec<Vec<String>>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let told = |e: chronolith_sql::SqlError| format!("{} {e}", e.state.as_str());
            let Outcome::Rows { mut rows, .. } = self.session.run(statement).await.map_err(told)? else {
                return Ok(Vec::new());
            };
            let mut texts = Vec::new();
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(told)?;
                let options = FormatOptions::default();
                let columns: Vec<_> =
                    batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
                let text = |row: usize, at: usize| match batch.column(at).is_null(row) {
                    true => "-".to_owned(),
                    false => columns[at].value(row).to_string(),
                };
                texts.extend((0..batch.num_rows()).map(|row| (0..columns.len()).map(|at| text(row, at)).collect()));
            }
            Ok(texts)
        })
    }

    /// The same, which must not fail.
    pub(crate) fn rows(&mut self, statement: &str) -> Vec<Vec<String>> {
        self.run(statement).unwrap_or_else(|e| panic!("{e}\n   from {statement}"))
    }

    /// The one value of a statement.
    pub(crate) fn one(&mut self, statement: &str) -> String {
        let rows = self.rows(statement);
        assert_eq!((rows.len(), rows.first().map_or(0, Vec::len)), (1, 1), "{statement}: {rows:?}");
        rows[0][0].clone()
    }

    /// The text with `{name}` replaced by the number of that relation.
    pub(crate) fn numbered(&mut self, text: &str) -> String {
        let relations = self.rows("SELECT relname, oid FROM pg_class WHERE relnamespace = 2200");
        relations.iter().fold(text.to_owned(), |text, row| text.replace(&format!("{{{}}}", row[0]), &row[1]))
    }
}
