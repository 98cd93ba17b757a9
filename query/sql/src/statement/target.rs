//! The table that a statement writes to.

use std::{collections::BTreeMap, sync::Arc};

use chronolith_storage::table::{ColumnDefinition, TableDefinition, TableSnapshot};
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};

use crate::{
    connection::Connection,
    error::{Result, SqlError},
    parse::{ident, relation_name},
    rollup,
    scan::Layout,
};

/// A table and what the statement calls it.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) alias: String,
    pub(crate) table: TableSnapshot,
}

impl Target {
    /// The table of this name.
    ///
    /// # Errors
    /// `42P01` when there is none, `42809` when it is no table.
    pub(crate) fn find(connection: &Connection, name: &ObjectName, alias: Option<&Ident>) -> Result<Self> {
        let name = relation_name(name)?;
        let Some(table) = connection.scope.table(&name) else {
            return Err(if let Some(view) = connection.scope.stored_view(&name) {
                match view.rollup {
                    Some(_) => SqlError::new(b"42809", format!("cannot change materialized view \"{name}\"")),
                    None => SqlError::new(b"42809", format!("\"{name}\" is a view, not a table")),
                }
            } else {
                no_table(&name)
            });
        };
        if let Some(rollup) = rollup::of_store(&connection.scope.view(), &name) {
            return Err(SqlError::new(
                b"42809",
                format!("\"{name}\" holds the rows of materialized view \"{rollup}\""),
            )
            .with_hint("Use the materialized view."));
        }
        let alias = alias.map_or_else(|| name.clone(), ident);
        Ok(Self { name, alias, table })
    }

    /// What the table is declared to be.
    pub(crate) fn definition(&self) -> &Arc<TableDefinition> {
        &self.table.definition
    }

    /// The names of all columns: the declared ones, and the fields that the table has.
    pub(crate) fn column_names(&self) -> Vec<String> {
        let layout = Layout::new(&self.table, &BTreeMap::new(), false);
        layout.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The declared column of this name.
    ///
    /// # Errors
    /// `42703` when there is none.
    pub(crate) fn column(&self, name: &str) -> Result<&ColumnDefinition> {
        let found = self.table.definition.columns.iter().find(|column| column.name == name);
        found.ok_or_else(|| no_column(name, &self.name))
    }
}

/// There is no such table.
pub(crate) fn no_table(name: &str) -> SqlError {
    SqlError::new(b"42P01", format!("relation \"{name}\" does not exist"))
}

/// There is no such column.
pub(crate) fn no_column(column: &str, table: &str) -> SqlError {
    SqlError::new(b"42703", format!("column \"{column}\" of relation \"{table}\" does not exist"))
}
