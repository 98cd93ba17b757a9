//! What a session sees of the database, for the catalog's tables: relations, indexes, comments, settings.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use arrow::datatypes::SchemaRef;
use chronolith_storage::table::TableDefinition;

use crate::error::Result;
pub use crate::undo::Settings;

/// What a relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// A table of rows.
    Table,
    /// A metric, seen as a table.
    Metric,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
}

/// Something that stands in FROM.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its name in the schema `public`.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns as queries see them, dynamic fields included; `pg_type` in a field's metadata as in
    /// [`Outcome::Rows`](crate::Outcome::Rows).
    pub schema: SchemaRef,
    /// What a table is declared to be.
    pub definition: Option<Arc<TableDefinition>>,
    /// The query of a view.
    pub query: Option<String>,
}

/// An index that CREATE INDEX declared, or that a primary key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// The name of its table.
    pub table: String,
    /// The columns' names or expressions.
    pub columns: Vec<String>,
    /// Whether it allows each key once.
    pub unique: bool,
    /// Whether it is the table's primary key.
    pub primary: bool,
    /// Its method, such as `btree`.
    pub method: String,
}

/// The objects of the database as one statement sees them.
pub trait Objects: Send + Sync + Debug {
    /// All relations of the schema `public`, sorted by name.
    ///
    /// # Errors
    /// When an index cannot be read.
    fn relations(&self) -> Result<Arc<[Relation]>>;

    /// All indexes, those of primary keys included, sorted by name.
    fn indexes(&self) -> Arc<[IndexInfo]>;

    /// The comment on a relation, or on one of its columns.
    fn comment(&self, relation: &str, column: Option<&str>) -> Option<String>;

    /// How many rows a table has.
    fn row_count(&self, table: &str) -> Option<u64>;
}

/// A setting of a session, as `pg_settings` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its value.
    pub value: String,
    /// Its value when the session began.
    pub reset: String,
    /// What it is for.
    pub description: &'static str,
}

/// What a session is to the catalog's functions.
#[derive(Debug)]
pub struct SessionInfo {
    /// The user's name.
    pub user: String,
    /// The database's name as the client asked for it.
    pub database: String,
    /// The session's number, which clients know as the process id of their backend.
    pub pid: i32,
    /// When the server started.
    pub started: SystemTime,
    /// The settings. `set_config` writes here.
    pub settings: Mutex<Settings>,
    /// What the session's user should know of what was done, until somebody takes it.
    pub(crate) warnings: Mutex<Vec<Warning>>,
}

/// Something that was done otherwise than it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Its SQLSTATE.
    pub state: &'static str,
    /// What it is.
    pub message: String,
}

impl SessionInfo {
    /// A setting's value.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings().get(&name.to_ascii_lowercase()).map(|s| s.value.clone())
    }

    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a warning for whoever shows it.
    pub(crate) fn warn(&self, state: &'static str, message: &str) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(Warning { state, message: message.to_owned() });
    }
}
