//! `pg_catalog` and `information_schema`: what clients ask about the database itself.
//!
//! Both are made anew for each statement from the database's objects and the session; rows are made when a query scans
//! them. The shapes of PostgreSQL's relations stand in text files beside the code; those that have nothing to show are
//! there and empty.

mod cell;
mod definitions;
mod entries;
mod functions;
mod information;
mod keywords;
mod provider;
mod relations;
mod rewrite;
mod scope;
mod server;
mod sets;
mod shape;
mod types;

use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::{catalog::SchemaProvider, prelude::SessionContext, sql::sqlparser::ast::Statement};

pub(crate) use self::keywords::is_reserved;
use self::{
    provider::CatalogSchema,
    scope::Scope,
    shape::{INFORMATION_SCHEMA, PG_CATALOG},
};
use crate::{
    error::Result,
    objects::{Objects, SessionInfo},
};

/// The type of a column of a query as SQL writes it, such as `double precision`.
#[must_use]
pub fn type_name(field: &Field) -> String {
    types::format_type(types::of_field(field), None)
}

/// The schemas beside `public`, by name, for one statement of a session. What they show is read when a query scans them.
#[must_use]
pub fn schemas(objects: &Arc<dyn Objects>, session: &Arc<SessionInfo>) -> Vec<(String, Arc<dyn SchemaProvider>)> {
    let scope = Scope::new(objects, session);
    let schema = |name: &str, namespace| {
        let schema: Arc<dyn SchemaProvider> = Arc::new(CatalogSchema { namespace, scope: Arc::clone(&scope) });
        (name.to_owned(), schema)
    };
    vec![schema("pg_catalog", PG_CATALOG), schema("information_schema", INFORMATION_SCHEMA)]
}

/// Makes the functions known that read the catalog or the session, such as `format_type` and `current_setting`. Called for
/// each statement, so it is to be cheap.
///
/// # Errors
/// When DataFusion refuses one.
pub fn register(ctx: &SessionContext, objects: &Arc<dyn Objects>, session: &Arc<SessionInfo>) -> Result<()> {
    functions::register(ctx, &Scope::new(objects, session));
    sets::register(ctx);
    Ok(())
}

/// Rewrites what of a client's statement DataFusion does not plan as it stands, before it is planned.
///
/// # Errors
/// When the statement uses something of the catalog in a way that is refused.
pub fn rewrite_statement(
    statement: &mut Statement,
    objects: &Arc<dyn Objects>,
    session: &Arc<SessionInfo>,
) -> Result<()> {
    let _ = (objects, session);
    rewrite::rewrite(statement)
}
