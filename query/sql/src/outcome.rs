//! What a statement gives: rows as a stream of record batches, a command's tag, or a copy to be fed.

use std::pin::Pin;

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{Field, SchemaRef},
};
use futures::{Stream, future::BoxFuture};

use crate::{
    error::{Result, SqlError},
    session::SessionHandle,
    statement::copy::Feed,
};

/// Record batches of one schema as they come. Dropping it stops the query.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// What a statement gave.
pub enum Outcome {
    /// Rows: of SELECT, SHOW, EXPLAIN, or of a write with RETURNING.
    Rows {
        /// Names and types of the columns. A field's metadata `pg_type` names the PostgreSQL type where Arrow's alone does
        /// not tell it, such as `jsonb`, `uuid`, `varchar`, `bpchar`, `name`, `oid`, `regclass`.
        schema: SchemaRef,
        /// The rows.
        rows: RowStream,
        /// The command's name in its tag: `SELECT`, or `INSERT 0`, `UPDATE`, `DELETE` with RETURNING. The number of rows
        /// follows it.
        tag: &'static str,
    },
    /// A command without rows, with its tag, such as `CREATE TABLE` or `INSERT 0 5`.
    Done {
        /// The tag.
        tag: String,
    },
    /// The statement's text was empty.
    Empty,
    /// COPY ... FROM STDIN: the data is fed to it.
    CopyIn(Box<CopyIn>),
    /// COPY ... TO STDOUT: the rows go out in the format that the options say.
    CopyOut {
        /// The columns.
        schema: SchemaRef,
        /// The rows.
        rows: RowStream,
        /// The format.
        options: CopyOptions,
    },
}

/// A COPY's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    /// Whether it is PostgreSQL's binary format; nothing else counts then.
    pub binary: bool,
    /// Whether it is CSV; else PostgreSQL's text format.
    pub csv: bool,
    /// Between columns.
    pub delimiter: u8,
    /// What stands for null.
    pub null: String,
    /// Whether the first line has names (CSV).
    pub header: bool,
    /// What stands around values (CSV).
    pub quote: u8,
    /// What stands before a quote in a value (CSV).
    pub escape: u8,
}

/// A COPY ... FROM STDIN on its way.
pub struct CopyIn {
    /// The format.
    pub options: CopyOptions,
    /// The columns that a line has, in its order.
    pub columns: Vec<Field>,
    feed: Feed,
    session: Option<SessionHandle>,
}

impl CopyIn {
    pub(crate) fn new(options: CopyOptions, columns: Vec<Field>, feed: Feed) -> Self {
        Self { options, columns, feed, session: None }
    }

    pub(crate) fn attach(&mut self, session: SessionHandle) {
        self.session = Some(session);
    }

    /// Takes the next bytes of the data, cut anywhere.
    ///
    /// # Errors
    /// When a line does not fit the columns; the copy has then failed as a whole, and the transaction if one is open.
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        let taken = self.feed.take(bytes);
        if let (Err(_), Some(session)) = (&taken, &self.session) {
            session.fail();
        }
        taken
    }

    /// Takes rows that were decoded already, as those of the binary format are: the values of all columns, of their
    /// types or of ones that can be assigned to them.
    ///
    /// # Errors
    /// When a value does not fit its column; the copy has then failed as a whole, and the transaction if one is open.
    pub fn feed_rows(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let taken = self.feed.take_rows(columns);
        if let (Err(_), Some(session)) = (&taken, &self.session) {
            session.fail();
        }
        taken
    }

    /// Ends the data and makes the rows those of the session's transaction, or durable when there is none. Returns the
    /// command's tag. Dropping the copy instead writes nothing.
    ///
    /// # Errors
    /// When the last line does not fit, or the rows cannot be written.
    pub fn finish(self: Box<Self>) -> BoxFuture<'static, Result<String>> {
        Box::pin(async move {
            let Self { mut feed, session, .. } = *self;
            let Some(session) = session else { return Err(SqlError::new(b"XX000", "a copy belongs to no session")) };
            let work = session.work(move |connection| {
                Box::pin(async move {
                    let tag = feed.write(connection)?;
                    connection.commit_implicit().await?;
                    Ok(tag)
                })
            });
            work.await
        })
    }
}

/// Rows that are there already.
pub(crate) fn rows_of(schema: SchemaRef, batches: Vec<RecordBatch>, tag: &'static str) -> Outcome {
    Outcome::Rows { schema, rows: Box::pin(futures::stream::iter(batches.into_iter().map(Ok))), tag }
}
