//! Which way a statement goes.

use arrow::{
    array::{ArrayRef, RecordBatch, StringViewArray},
    datatypes::{DataType, Field, Schema},
};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{CloseCursor, DiscardObject, Query, Reset, ResetStatement, Set, SetExpr, Statement},
};
use std::sync::Arc;

use super::{Connection, naming};
use crate::{
    error::{Result, SqlError},
    outcome::{Outcome, rows_of},
    parse, rollup, settings,
    statement::{copy, explain, set},
};

impl Connection {
    /// Runs a statement's text with the values of its parameters.
    pub(crate) async fn run(&mut self, text: &str, parameters: &[ScalarValue]) -> Result<Outcome> {
        let Some(statement) = parse::parse(text)? else {
            return Ok(Outcome::Empty);
        };
        let ends = matches!(statement, Statement::Commit { .. } | Statement::Rollback { .. });
        if !ends {
            self.check_not_failed()?;
        }
        Box::pin(self.dispatch(statement, parameters)).await
    }

    /// Runs a statement.
    pub(crate) async fn dispatch(&mut self, statement: Statement, parameters: &[ScalarValue]) -> Result<Outcome> {
        match statement {
            Statement::Query(query) => Box::pin(self.query(*query, parameters)).await,
            Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Truncate(_)
            | Statement::CreateTable(_)
            | Statement::AlterTable(_)
            | Statement::Drop { .. }
            | Statement::CreateView(_)
            | Statement::CreateIndex(_)
            | Statement::Comment { .. }
            | Statement::CreateSchema { .. }
            | Statement::CreateExtension(_) => Box::pin(self.write(&statement, None, parameters)).await,
            Statement::Copy { source, to, target, options, legacy_options, .. } => {
                self.look();
                Box::pin(copy::run(self, source, to, &target, &options, &legacy_options)).await
            }
            Statement::Explain { .. } => {
                self.look();
                Box::pin(explain::run(self, statement, parameters)).await
            }
            Statement::StartTransaction { modes, statements, begin, .. } => match statements.first() {
                None => self.begin(&modes, if begin { "BEGIN" } else { "START TRANSACTION" }),
                Some(_) => Err(SqlError::unsupported("a block of statements after BEGIN")),
            },
            Statement::Commit { chain, .. } => self.commit(chain).await,
            Statement::Rollback { chain, savepoint } => self.rollback(savepoint.as_ref(), chain),
            Statement::Savepoint { name } => self.savepoint(&name),
            Statement::ReleaseSavepoint { name } => self.release(&name),
            other => Box::pin(self.session_statement(other, parameters)).await,
        }
    }

    /// Statements about the session.
    async fn session_statement(&mut self, statement: Statement, parameters: &[ScalarValue]) -> Result<Outcome> {
        match statement {
            Statement::Set(set) => self.set(&set),
            Statement::Reset(ResetStatement { reset }) => {
                let name = match &reset {
                    Reset::ALL => None,
                    Reset::ConfigurationParameter(name) => Some(set::setting_name(name)),
                };
                settings::reset(&self.info, name.as_deref(), false)?;
                done("RESET")
            }
            Statement::ShowVariable { variable } => {
                let words: Vec<String> = variable.iter().map(parse::ident).collect();
                self.show(&words)
            }
            Statement::Prepare { name, data_types, statement } => self.prepare_named(&name, &data_types, *statement),
            Statement::Execute { name, parameters: values, using, .. } => {
                if !using.is_empty() {
                    return Err(SqlError::unsupported("EXECUTE ... USING"));
                }
                Box::pin(self.execute_named(name.as_ref(), values, parameters)).await
            }
            Statement::Deallocate { name, .. } => self.deallocate(&name),
            Statement::Declare { stmts } => Box::pin(self.declare_cursor(stmts, parameters)).await,
            Statement::Fetch { name, direction, into, .. } => {
                let into = into.map(|into| parse::relation_name(&into)).transpose()?;
                match into.as_deref() {
                    None => self.fetch(&name, &direction).await,
                    Some(parse::MOVE) => self.move_cursor(&name, &direction).await,
                    Some(_) => Err(SqlError::unsupported("FETCH ... INTO")),
                }
            }
            Statement::Close { cursor } => match cursor {
                CloseCursor::All => self.close_cursor(None),
                CloseCursor::Specific { name } => self.close_cursor(Some(&name)),
            },
            // There is nothing to listen to, so that nothing is listened to is true already: pools of connections ask for it.
            Statement::UNLISTEN { .. } => done("UNLISTEN"),
            // The engine merges and counts by itself.
            Statement::Analyze(_) => done("ANALYZE"),
            Statement::Vacuum(_) if self.in_transaction() => {
                Err(SqlError::new(b"25001", "VACUUM cannot run inside a transaction block"))
            }
            Statement::Vacuum(_) => done("VACUUM"),
            Statement::Discard { object_type } => self.discard(&object_type),
            Statement::Call(call) => {
                let name = rollup::name_of_call(&call)?;
                Box::pin(self.refresh_rollup(&name)).await?;
                done("REFRESH MATERIALIZED VIEW")
            }
            other => Err(SqlError::unsupported(first_words(&other.to_string()))),
        }
    }

    /// A query, or a statement that writes with WITH in front.
    async fn query(&mut self, query: Query, parameters: &[ScalarValue]) -> Result<Outcome> {
        if let SetExpr::Insert(statement) | SetExpr::Update(statement) | SetExpr::Delete(statement) = &*query.body {
            return Box::pin(self.write(statement, query.with.as_ref(), parameters)).await;
        }
        if !query.locks.is_empty() {
            return Box::pin(self.query_locking(query, parameters)).await;
        }
        self.look();
        let mut statement = Statement::Query(Box::new(query));
        naming::name_columns(&mut statement);
        let (schema, rows) = Box::pin(self.stream(statement, parameters)).await?;
        Ok(Outcome::Rows { schema, rows, tag: "SELECT" })
    }

    fn set(&mut self, statement: &Set) -> Result<Outcome> {
        set::run(self, statement)?;
        done("SET")
    }

    /// SHOW of one setting or of all.
    pub(crate) fn show(&self, words: &[String]) -> Result<Outcome> {
        let name = set::shown_words(words);
        if name == "all" {
            let settings = self.info.settings();
            let columns: [Vec<String>; 3] = [
                settings.keys().map(|name| settings::shown_name(name)).collect(),
                settings.values().map(|s| s.value.clone()).collect(),
                settings.values().map(|s| s.description.to_owned()).collect(),
            ];
            return texts(&["name", "setting", "description"], columns.to_vec(), "SHOW");
        }
        let value = settings::show(&self.info, &name)?;
        texts(&[&settings::shown_name(&name)], vec![vec![value]], "SHOW")
    }

    fn discard(&mut self, what: &DiscardObject) -> Result<Outcome> {
        match what {
            DiscardObject::ALL => {
                if self.open.is_some() {
                    return Err(SqlError::new(b"25001", "DISCARD ALL cannot run inside a transaction block"));
                }
                self.prepared.clear();
                self.cursors.clear();
                settings::reset(&self.info, None, false)?;
                done("DISCARD ALL")
            }
            DiscardObject::PLANS => done("DISCARD PLANS"),
            DiscardObject::SEQUENCES => done("DISCARD SEQUENCES"),
            DiscardObject::TEMP => done("DISCARD TEMP"),
        }
    }
}

/// Refuses what a query may ask for and DataFusion would not do.
pub(crate) fn check_query(query: &Query) -> Result<()> {
    if let Some(lock) = query.locks.first() {
        return Err(SqlError::unsupported(first_words(&lock.to_string()))
            .with_hint("writes that contradict each other fail with 40001 at COMMIT; try the transaction again"));
    }
    Ok(())
}

/// The outcome of a command that has no rows.
pub(crate) fn done(tag: &str) -> Result<Outcome> {
    Ok(Outcome::Done { tag: tag.to_owned() })
}

/// Rows of texts.
pub(crate) fn texts(names: &[&str], columns: Vec<Vec<String>>, tag: &'static str) -> Result<Outcome> {
    let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8View, false)).collect();
    let arrays: Vec<ArrayRef> =
        columns.into_iter().map(|texts| Arc::new(StringViewArray::from_iter_values(texts)) as ArrayRef).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    Ok(rows_of(schema, vec![batch], tag))
}

/// The words that name a statement.
pub(crate) fn first_words(text: &str) -> String {
    let words = text.split_whitespace().take_while(|word| word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
    let words: Vec<&str> = words.take(3).collect();
    if words.is_empty() {
        text.split_whitespace().next().unwrap_or("the statement").to_owned()
    } else {
        words.join(" ")
    }
}
