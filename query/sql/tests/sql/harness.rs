//! A database in memory, sessions of it, and their answers as text.

use arrow::{
    array::{Array, RecordBatch},
    util::display::{ArrayFormatter, FormatOptions},
};
use chronolith_sql::{Outcome, Result, Session, SqlEngine, SqlOptions};
use chronolith_storage::engine::{Engine, EngineOptions};
use futures::StreamExt;

/// An engine in memory with SQL over it.
pub(crate) fn database() -> (Engine, SqlEngine) {
    with_options(SqlOptions { threads: 2, ..SqlOptions::default() })
}

/// The same with other limits.
pub(crate) fn with_options(options: SqlOptions) -> (Engine, SqlEngine) {
    let engine = Engine::open(EngineOptions::in_memory()).expect("an engine in memory opens");
    let sql = SqlEngine::new(engine.clone(), options).expect("SQL starts");
    (engine, sql)
}

/// Waits for a future; the work itself is done by the engine's own threads.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    runtime.block_on(future)
}

/// What a statement answered: rows as texts, or a tag.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) names: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) tag: String,
}

/// Runs a statement to its end.
pub(crate) fn run(session: &mut Session, statement: &str) -> Result<Answer> {
    wait(async {
        let outcome = session.run(statement).await?;
        answer(outcome).await
    })
}

/// Reads an outcome to its end.
pub(crate) async fn answer(outcome: Outcome) -> Result<Answer> {
    match outcome {
        Outcome::Rows { schema, mut rows, tag } => {
            let names = schema.fields().iter().map(|field| field.name().clone()).collect();
            let mut texts = Vec::new();
            while let Some(batch) = rows.next().await {
                texts_of(&batch?, &mut texts);
            }
            Ok(Answer { names, tag: format!("{tag} {}", texts.len()), rows: texts })
        }
        Outcome::Done { tag } => Ok(Answer { names: Vec::new(), rows: Vec::new(), tag }),
        Outcome::Empty => Ok(Answer { names: Vec::new(), rows: Vec::new(), tag: String::new() }),
        Outcome::CopyIn(_) | Outcome::CopyOut { .. } => panic!("the statement is a COPY"),
    }
}

fn texts_of(batch: &RecordBatch, out: &mut Vec<Vec<String>>) {
    let options = FormatOptions::default();
    let formatters: Vec<ArrayFormatter<'_>> =
        batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("every type has a text")).collect();
    for row in 0..batch.num_rows() {
        let texts = batch.columns().iter().zip(&formatters).map(|(column, formatter)| {
            if column.is_null(row) { "NULL".to_owned() } else { formatter.value(row).to_string() }
        });
        out.push(texts.collect());
    }
}
