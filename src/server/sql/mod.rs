//! `/api/v1/sql`: a statement in, its rows out as JSON, lines of JSON, CSV or Arrow's stream.
//!
//! POST takes any statement; what GET runs is rolled back, so it only reads. A client that hangs up stops its query.

mod ask;
mod failure;
mod format;

use std::{
    future::Future,
    io,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use chronolith_sql::{Canceller, Outcome, RowStream, SqlError, TransactionStatus};
use futures::StreamExt as _;
use hyper::StatusCode;
use tokio::runtime::Handle;

use super::{
    body::FrameSender,
    json,
    request::Request,
    respond::{ApiError, ErrorType, JSON, Reply},
};
use ask::Ask;
use failure::{Failure, reply};
/// The command line shows rows as the API writes them.
pub(crate) use format::{Format, Writer};

/// How often it is looked whether the client is still there.
const LOOK: Duration = Duration::from_millis(50);
/// Answers up to this size are made whole, so that they can be compressed and a late error can still be told well.
const WHOLE_BYTES: usize = 1 << 20;

/// A statement on its way: what ends it early.
struct Run {
    deadline: Instant,
    canceller: Canceller,
}

/// Runs a statement and answers its rows.
pub(crate) fn answer(request: &Request<'_>) -> Result<Reply, ApiError> {
    let ask = Ask::of(request)?;
    let deadline = request.deadline()?;
    match run(request, &ask, deadline) {
        Ok(reply) => Ok(reply),
        Err(Failure::Sql(error)) => Ok(reply(&error)),
        Err(Failure::Api(error)) => Err(error),
    }
}

fn run(request: &Request<'_>, ask: &Ask, deadline: Instant) -> Result<Reply, Failure> {
    let mut session = request.app.sql.session("chronolith", "chronolith");
    let statements = session.split(&ask.query)?;
    let [statement] = statements.as_slice() else {
        return Err(
            ApiError::bad_data(format!("one statement is run at a time, these are {}", statements.len())).into()
        );
    };
    let run = Run { deadline, canceller: session.canceller() };
    let gone = || request.is_canceled();
    if ask.read_only {
        // Never committed: the session's end rolls back what the statement does.
        run.wait(session.run("BEGIN"), gone)?;
    }
    let (schema, rows, tag) = match run.wait(session.run(statement), gone)? {
        Outcome::Rows { schema, rows, tag } => (schema, rows, tag),
        Outcome::Done { .. } | Outcome::CopyIn(_) if ask.read_only => return Err(only_reads().into()),
        Outcome::Done { .. } if session.transaction_status() != TransactionStatus::Idle => {
            let reason = "a transaction ends with its request; use PostgreSQL's protocol for one of several statements";
            return Err(ApiError::bad_data(reason).into());
        }
        Outcome::Done { tag } => return Ok(done(&tag)),
        Outcome::Empty => return Err(ApiError::bad_data("the statement is empty; name it as query").into()),
        Outcome::CopyIn(_) | Outcome::CopyOut { .. } => {
            let reason =
                "COPY FROM STDIN and TO STDOUT go over PostgreSQL's protocol; send events to /api/v1/events/<table>";
            return Err(ApiError::bad_data(reason).into());
        }
    };
    if ask.read_only && tag != "SELECT" {
        return Err(only_reads().into());
    }
    let writer = Writer::new(ask.format, &schema)?;
    stream(request, run, session, rows, writer)
}

/// Answers whole when the rows are few, else part by part.
fn stream(
    request: &Request<'_>,
    run: Run,
    session: chronolith_sql::Session,
    mut rows: RowStream,
    mut writer: Writer,
) -> Result<Reply, Failure> {
    while writer.len() < WHOLE_BYTES {
        match run.wait(next(&mut rows), || request.is_canceled())? {
            Some(batch) => writer.write(&batch)?,
            None => {
                let content_type = writer.content_type();
                return Ok(Reply::new(StatusCode::OK, content_type, writer.finish()?));
            }
        }
    }
    let content_type = writer.content_type();
    let producer = move |sender: FrameSender| {
        // The session lives as long as its rows are read.
        let _session = session;
        loop {
            if sender.send(writer.take()).is_err() {
                return;
            }
            let part = run.wait(next(&mut rows), || sender.is_closed()).and_then(|batch| match batch {
                Some(batch) => writer.write(&batch).map(|()| true),
                None => Ok(false),
            });
            match part {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) => {
                    tracing::warn!(error = %failure, "a statement failed while its rows were sent");
                    return sender.fail(io::Error::other(failure.to_string()));
                }
            }
        }
        match writer.finish() {
            // Nobody is left to tell when the client is gone.
            Ok(rest) => drop(sender.send(rest)),
            Err(failure) => sender.fail(io::Error::other(failure.to_string())),
        }
    };
    Ok(Reply::streamed(content_type, Box::new(producer)))
}

async fn next(rows: &mut RowStream) -> Result<Option<RecordBatch>, SqlError> {
    rows.next().await.transpose()
}

impl Run {
    /// Waits for a future on this thread, which may block; stops it when the client is gone or the time is over.
    fn wait<T>(
        &self,
        future: impl Future<Output = Result<T, SqlError>>,
        gone: impl Fn() -> bool,
    ) -> Result<T, Failure> {
        let stopped = AtomicBool::new(false);
        let waited = Handle::current().block_on(async {
            let mut future = std::pin::pin!(future);
            loop {
                let left = self.deadline.saturating_duration_since(Instant::now());
                tokio::select! {
                    done = &mut future => return Ok(done?),
                    () = tokio::time::sleep(LOOK.min(left)) => {}
                }
                if gone() {
                    stopped.store(true, Relaxed);
                    return Err(ApiError::new(ErrorType::Canceled, "the client went away").into());
                }
                if left.is_zero() {
                    stopped.store(true, Relaxed);
                    return Err(ApiError::new(ErrorType::Timeout, "the statement took longer than it may").into());
                }
            }
        });
        if stopped.load(Relaxed) {
            self.canceller.cancel();
        }
        waited
    }
}

fn only_reads() -> ApiError {
    ApiError::bad_data("GET only reads; send a statement that writes by POST. Nothing was written")
}

/// The answer of a statement without rows.
fn done(tag: &str) -> Reply {
    let mut out = b"{\"command\":".to_vec();
    json::string(&mut out, tag);
    out.extend_from_slice(b",\"columns\":[],\"rows\":[]}");
    Reply::new(StatusCode::OK, JSON, out)
}
