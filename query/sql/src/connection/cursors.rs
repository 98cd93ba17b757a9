//! DECLARE, FETCH and CLOSE: a query whose rows are taken a few at a time.

use std::collections::VecDeque;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{Declare, DeclareType, FetchDirection, Ident, Statement, Value, ValueWithSpan},
};
use futures::StreamExt;

use super::{Connection, check_query, done};
use crate::{
    error::{Result, SqlError},
    outcome::{Outcome, RowStream, rows_of},
    parse::ident,
    stop::{Canceller, Stop},
};

/// A query that is read by and by.
pub(crate) struct Cursor {
    schema: SchemaRef,
    rows: RowStream,
    /// What was read of it and not fetched.
    ahead: VecDeque<RecordBatch>,
    /// Whether it lives on after the transaction.
    hold: bool,
}

impl Connection {
    /// DECLARE ... CURSOR FOR.
    pub(super) async fn declare_cursor(
        &mut self,
        statements: Vec<Declare>,
        parameters: &[ScalarValue],
    ) -> Result<Outcome> {
        let [statement] =
            <[Declare; 1]>::try_from(statements).map_err(|_| SqlError::unsupported("DECLARE of several things"))?;
        let name = statement.names.first().map(ident).unwrap_or_default();
        let (Some(DeclareType::Cursor), Some(query)) = (&statement.declare_type, statement.for_query) else {
            return Err(SqlError::unsupported("DECLARE of something else than a cursor"));
        };
        if statement.scroll == Some(true) {
            return Err(SqlError::unsupported("SCROLL of a cursor").with_hint("cursors go forward only"));
        }
        if statement.binary == Some(true) {
            return Err(SqlError::unsupported("a BINARY cursor"));
        }
        let hold = statement.hold == Some(true);
        if !hold && !self.open.as_ref().is_some_and(|open| open.explicit) {
            return Err(SqlError::new(b"25P01", "DECLARE CURSOR can only be used in transaction blocks"));
        }
        if self.cursors.contains_key(&name) {
            return Err(SqlError::new(b"42P03", format!("cursor \"{name}\" already exists")));
        }
        check_query(&query)?;
        self.look();
        // The statement's time to run is not the cursor's.
        let stop = std::mem::replace(&mut self.stop, Stop::new(&Canceller::new(), None));
        let opened = self.stream(Statement::Query(query), parameters).await;
        self.stop = stop;
        let (schema, rows) = opened?;
        self.cursors.insert(name, Cursor { schema, rows, ahead: VecDeque::new(), hold });
        done("DECLARE CURSOR")
    }

    /// FETCH.
    pub(super) async fn fetch(&mut self, name: &Ident, direction: &FetchDirection) -> Result<Outcome> {
        let wanted = rows_of_direction(direction)?;
        let name = ident(name);
        let Some(cursor) = self.cursors.get_mut(&name) else { return Err(no_cursor(&name)) };
        let batches = cursor.take(wanted).await?;
        Ok(rows_of(std::sync::Arc::clone(&cursor.schema), batches, "FETCH"))
    }

    /// MOVE: a FETCH whose rows nobody wants.
    pub(super) async fn move_cursor(&mut self, name: &Ident, direction: &FetchDirection) -> Result<Outcome> {
        let wanted = rows_of_direction(direction)?;
        let name = ident(name);
        let Some(cursor) = self.cursors.get_mut(&name) else { return Err(no_cursor(&name)) };
        let passed: usize = cursor.take(wanted).await?.iter().map(RecordBatch::num_rows).sum();
        done(&format!("MOVE {passed}"))
    }

    /// The columns of a cursor.
    pub(crate) fn cursor_schema(&self, name: &Ident) -> Result<SchemaRef> {
        let name = ident(name);
        let cursor = self.cursors.get(&name).ok_or_else(|| no_cursor(&name))?;
        Ok(std::sync::Arc::clone(&cursor.schema))
    }

    /// CLOSE of one cursor, or of all.
    pub(super) fn close_cursor(&mut self, name: Option<&Ident>) -> Result<Outcome> {
        match name {
            None => {
                self.cursors.clear();
                done("CLOSE CURSOR ALL")
            }
            Some(name) => {
                let name = ident(name);
                self.cursors.remove(&name).ok_or_else(|| no_cursor(&name))?;
                done("CLOSE CURSOR")
            }
        }
    }

    /// The cursors that end with a transaction.
    pub(super) fn close_cursors_of_transaction(&mut self) {
        self.cursors.retain(|_, cursor| cursor.hold);
    }
}

fn no_cursor(name: &str) -> SqlError {
    SqlError::new(b"34000", format!("cursor \"{name}\" does not exist"))
}

fn rows_of_direction(direction: &FetchDirection) -> Result<usize> {
    let count = |limit: &ValueWithSpan| match &limit.value {
        Value::Number(number, _) => {
            number.parse().map_err(|_| SqlError::new(b"22003", format!("{number} rows cannot be fetched")))
        }
        other => Err(SqlError::new(b"42601", format!("{other} is no number of rows"))),
    };
    match direction {
        FetchDirection::Next => Ok(1),
        FetchDirection::Count { limit } => count(limit),
        FetchDirection::Forward { limit: Some(limit) } => count(limit),
        FetchDirection::Forward { limit: None } => Ok(1),
        FetchDirection::All | FetchDirection::ForwardAll => Ok(usize::MAX),
        other => Err(SqlError::unsupported(format!("FETCH {other}")).with_hint("cursors go forward only")),
    }
}

impl Cursor {
    /// The next rows.
    async fn take(&mut self, wanted: usize) -> Result<Vec<RecordBatch>> {
        let mut taken = Vec::new();
        let mut left = wanted;
        while left > 0 {
            let batch = match self.ahead.pop_front() {
                Some(batch) => batch,
                None => match self.rows.next().await {
                    Some(batch) => batch?,
                    None => break,
                },
            };
            let rows = batch.num_rows().min(left);
            if rows < batch.num_rows() {
                self.ahead.push_front(batch.slice(rows, batch.num_rows() - rows));
            }
            left -= rows;
            taken.push(batch.slice(0, rows));
        }
        Ok(taken)
    }
}
