//! Statements that are not queries, a file a kind.

mod alter;
mod by_key;
pub(crate) mod create;
pub(crate) mod delete;
mod depend;
mod documents;
mod drop;
mod gone;
pub(crate) mod insert;
pub(crate) mod returning;
pub(crate) mod rows;
mod target;
pub(crate) mod update;
mod upsert;
mod values;
pub(crate) mod view;

pub(crate) mod copy;
pub(crate) mod explain;
pub(crate) mod set;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{SetExpr, Statement, TableWithJoins, With},
};

pub(crate) use target::{Target, no_column};

use crate::{
    connection::Connection,
    error::{Result, SqlError},
    outcome::{Outcome, rows_of},
};

/// What a statement wrote.
pub(crate) struct Written {
    /// The command's tag, with the number of rows.
    tag: String,
    /// The rows of RETURNING.
    returned: Option<(SchemaRef, RecordBatch, &'static str)>,
}

impl Written {
    /// A command without rows.
    pub(crate) fn done(tag: impl Into<String>) -> Self {
        Self { tag: tag.into(), returned: None }
    }

    /// What the statement's user gets.
    pub(crate) fn into_outcome(self) -> Outcome {
        match self.returned {
            None => Outcome::Done { tag: self.tag },
            Some((schema, batch, tag)) => rows_of(schema, vec![batch], tag),
        }
    }
}

/// Runs a statement that writes, in the connection's transaction.
pub(crate) async fn apply(
    connection: &mut Connection,
    statement: &Statement,
    with: Option<&With>,
    parameters: &[ScalarValue],
) -> Result<Written> {
    match statement {
        Statement::Insert(statement) => Box::pin(insert::run(connection, statement, with, parameters)).await,
        Statement::Update(statement) => Box::pin(update::run(connection, statement, with, parameters)).await,
        Statement::Delete(statement) => Box::pin(delete::run(connection, statement, with, parameters)).await,
        Statement::Truncate(statement) => delete::truncate(connection, statement),
        Statement::CreateTable(statement) => Box::pin(create::run(connection, statement, parameters)).await,
        Statement::AlterTable(statement) => Box::pin(alter::run(connection, statement)).await,
        Statement::Drop { object_type, if_exists, names, cascade, .. } => {
            drop::run(connection, *object_type, names, *if_exists, *cascade)
        }
        Statement::CreateView(statement) => Box::pin(view::create(connection, statement)).await,
        Statement::CreateIndex(statement) => view::create_index(connection, statement),
        Statement::Comment { object_type, object_name, comment, .. } => {
            view::comment(connection, *object_type, object_name, comment.as_deref())
        }
        Statement::CreateSchema { schema_name, if_not_exists, .. } => create::schema(schema_name, *if_not_exists),
        Statement::CreateExtension(statement) => create::extension(statement),
        other => Err(SqlError::unsupported(crate::connection::first_words(&other.to_string()))),
    }
}

/// A table under the name that the statement calls it by.
///
/// # Errors
/// None that a name of a table gives.
pub(crate) fn table_as(target: &Target) -> Result<TableWithJoins> {
    let alias = crate::parse::quoted(&target.alias);
    let name = crate::parse::quoted(&target.name);
    match crate::parse::parse(&format!("SELECT FROM {name} AS {alias}"))? {
        Some(Statement::Query(query)) => match *query.body {
            SetExpr::Select(mut select) if select.from.len() == 1 => Ok(select.from.remove(0)),
            _ => Err(SqlError::new(b"XX000", "a table could not be named")),
        },
        _ => Err(SqlError::new(b"XX000", "a table could not be named")),
    }
}
