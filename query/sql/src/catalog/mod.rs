//! `pg_catalog` and `information_schema`: what clients ask about the database itself.

use std::sync::Arc;

use datafusion::{catalog::SchemaProvider, prelude::SessionContext, sql::sqlparser::ast::Statement};

use crate::{
    error::Result,
    objects::{Objects, SessionInfo},
};

/// The schemas beside `public`, by name, for one statement of a session. What they show is read when a query scans them.
#[must_use]
pub fn schemas(objects: &Arc<dyn Objects>, session: &Arc<SessionInfo>) -> Vec<(String, Arc<dyn SchemaProvider>)> {
    let _ = (objects, session);
    Vec::new()
}

/// Makes the functions known that read the catalog or the session, such as `format_type` and `current_setting`. Called for
/// each statement, so it is to be cheap.
///
/// # Errors
/// When DataFusion refuses one.
pub fn register(ctx: &SessionContext, objects: &Arc<dyn Objects>, session: &Arc<SessionInfo>) -> Result<()> {
    let _ = (ctx, objects, session);
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
    let _ = (statement, objects, session);
    Ok(())
}
