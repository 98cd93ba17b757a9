//! SQL functions beyond DataFusion's, and the rewrites of syntax that they need.

use datafusion::{prelude::SessionContext, sql::sqlparser::ast::Statement};

use crate::error::Result;

/// Makes all functions known to a context. It is called once; sessions share what it registered.
///
/// # Errors
/// When DataFusion refuses one.
pub fn register(ctx: &SessionContext) -> Result<()> {
    let _ = ctx;
    Ok(())
}

/// Rewrites what of a statement DataFusion does not plan as it stands, before it is planned.
///
/// # Errors
/// When the statement uses a function or an operator in a way that is refused.
pub fn rewrite_statement(statement: &mut Statement) -> Result<()> {
    let _ = statement;
    Ok(())
}
