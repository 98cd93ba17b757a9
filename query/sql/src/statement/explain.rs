//! EXPLAIN: the plan as lines of text.

use arrow::{array::AsArray, compute::cast, datatypes::DataType};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{Statement, UtilityOption},
};
use futures::StreamExt;

use crate::{
    connection::{Connection, check_query, texts},
    error::{Result, SqlError},
    outcome::Outcome,
};

/// The name of the only column, as in PostgreSQL.
pub(crate) const PLAN_COLUMN: &str = "QUERY PLAN";

/// Runs an EXPLAIN.
///
/// # Errors
/// When the statement inside is wrong, or no query.
pub(crate) async fn run(
    connection: &mut Connection,
    mut statement: Statement,
    parameters: &[ScalarValue],
) -> Result<Outcome> {
    if let Statement::Explain { statement: inner, analyze, verbose, options, format, .. } = &mut statement {
        match &**inner {
            Statement::Query(query) => check_query(query)?,
            _ => return Err(SqlError::unsupported("EXPLAIN of something else than a query")),
        }
        if format.is_some() {
            return Err(SqlError::unsupported("a FORMAT of EXPLAIN"));
        }
        for option in options.take().unwrap_or_default() {
            take_option(&option, analyze, verbose)?;
        }
    }
    let (_, mut rows) = connection.stream(statement, parameters).await?;
    let mut lines = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        // The last column is the plan; the one before it says which.
        let Some(plans) = batch.columns().last() else { continue };
        let plans = cast(plans, &DataType::Utf8View)?;
        for plan in plans.as_string_view().iter().flatten() {
            lines.extend(plan.lines().map(str::to_owned));
            lines.push(String::new());
        }
    }
    lines.pop();
    texts(&[PLAN_COLUMN], vec![lines], "EXPLAIN")
}

fn take_option(option: &UtilityOption, analyze: &mut bool, verbose: &mut bool) -> Result<()> {
    let on = option.arg.as_ref().is_none_or(|arg| {
        !matches!(arg.to_string().to_lowercase().as_str(), "off" | "false" | "0" | "'off'" | "'false'")
    });
    match option.name.value.to_lowercase().as_str() {
        "analyze" => *analyze = on,
        "verbose" => *verbose = on,
        // What these would show is shown, or is not there to be shown.
        "costs" | "buffers" | "timing" | "summary" | "settings" | "wal" => {}
        other => return Err(SqlError::unsupported(format!("the option {} of EXPLAIN", other.to_uppercase()))),
    }
    Ok(())
}
