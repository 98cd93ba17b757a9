//! Where statements run: a server over HTTP, or a data directory opened in this process.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use chronolith_sql::{Canceller, Outcome, RowStream, Session, SqlError, SqlState};
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Limited};
use hyper::{Method, StatusCode, body::Incoming, header::CONTENT_TYPE};
use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};

use crate::{
    Db,
    cli::{
        error::CliError,
        http_client::{Answer as WholeAnswer, HttpClient, HttpError, causes},
        source::Source,
        terminal::note,
    },
};

/// Where rows come from over HTTP.
const PATH: &str = "/api/v1/sql?format=arrow";
const ARROW: &str = "application/vnd.apache.arrow.stream";
/// The largest answer that has no rows.
const MAX_NOTE_BYTES: usize = 1 << 20;
/// Statements that mean something only to what follows them in the same session.
const OF_A_SESSION: [&str; 15] = [
    "BEGIN",
    "START",
    "COMMIT",
    "END",
    "ROLLBACK",
    "ABORT",
    "SAVEPOINT",
    "RELEASE",
    "SET",
    "RESET",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "DECLARE",
    "FETCH",
];

/// Why a statement gave nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQL refused it, or it failed.
    Sql(SqlError),
    /// Anything else.
    Cli(CliError),
}

impl<E: Into<CliError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Cli(error.into())
    }
}

/// What a statement gave.
pub(super) enum Answer {
    Rows { schema: SchemaRef, rows: RowStream },
    Done { tag: String },
}

/// A place where statements run, one after another.
pub(super) enum Place {
    Server(Box<HttpClient>),
    /// The database lives as long as its session.
    Directory(Box<Session>, #[expect(dead_code, reason = "held for its session")] Db),
}

/// What a server says that gives no rows.
#[derive(Deserialize)]
struct Said {
    command: Option<String>,
    error: Option<String>,
    code: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<usize>,
}

impl Place {
    /// The place of a source, and what waits for it.
    pub(super) fn of(source: Source) -> Result<(Self, Arc<Runtime>), CliError> {
        match source {
            Source::Server(client) => {
                let runtime = client.runtime();
                Ok((Self::Server(client), runtime))
            }
            Source::Directory(db) => {
                let runtime = Builder::new_current_thread().enable_all().build().map_err(HttpError::Runtime)?;
                let session = db.sql_engine().session("chronolith", "chronolith");
                Ok((Self::Directory(Box::new(session), db), Arc::new(runtime)))
            }
        }
    }

    /// Its name in the shell's first line.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Server(client) => client.base().to_owned(),
            Self::Directory(..) => "the data directory, which is only read".to_owned(),
        }
    }

    /// Stops what runs here; over HTTP it is stopped by going away.
    pub(super) fn canceller(&self) -> Option<Canceller> {
        match self {
            Self::Server(_) => None,
            Self::Directory(session, _) => Some(session.canceller()),
        }
    }

    /// Runs a statement. Dropping its rows stops it.
    pub(super) async fn ask(&mut self, statement: &str) -> Result<Answer, Fault> {
        match self {
            Self::Server(client) => ask_server(client, statement).await,
            Self::Directory(session, _) => match run_here(session, statement).await? {
                Outcome::Rows { schema, rows, .. } => Ok(Answer::Rows { schema, rows }),
                Outcome::Done { tag } => Ok(Answer::Done { tag }),
                Outcome::Empty => Ok(Answer::Done { tag: String::new() }),
                Outcome::CopyIn(_) | Outcome::CopyOut { .. } => {
                    let error = SqlError::unsupported("COPY in this shell");
                    let hint = "`chronolith import` and `chronolith export` copy files; a PostgreSQL client has COPY";
                    Err(Fault::Sql(error.with_hint(hint)))
                }
            },
        }
    }
}

/// Runs a statement in this process, and tells what it did otherwise than it said.
async fn run_here(session: &mut Session, statement: &str) -> Result<Outcome, Fault> {
    let outcome = session.run(statement).await.map_err(Fault::Sql)?;
    for warning in session.take_warnings() {
        note(&format!("warning: {}", warning.message));
    }
    Ok(outcome)
}

async fn ask_server(client: &HttpClient, statement: &str) -> Result<Answer, Fault> {
    if let Some(word) = of_a_session(statement) {
        let error = SqlError::unsupported(format!("{word} over HTTP, where each statement is a session of its own,"));
        let hint = "connect by a PostgreSQL client, such as `psql -h 127.0.0.1`, for transactions and settings";
        return Err(Fault::Sql(error.with_hint(hint)));
    }
    let headers = [("content-type", "text/plain; charset=utf-8")];
    let body = Bytes::copy_from_slice(statement.as_bytes());
    let (url, response) = client.request(Method::POST, PATH, &headers, body).await?;
    let (parts, body) = response.into_parts();
    let is_rows = parts.headers.get(CONTENT_TYPE).is_some_and(|v| v.as_bytes() == ARROW.as_bytes());
    if parts.status == StatusCode::OK && is_rows {
        return Rows::open(url, body).await;
    }
    let read = Limited::new(body, MAX_NOTE_BYTES).collect().await;
    let body = read.map_err(|e| broken_off(&url, &causes(&*e)))?.to_bytes();
    match serde_json::from_slice::<Said>(&body) {
        Ok(Said { command: Some(tag), .. }) if parts.status == StatusCode::OK => Ok(Answer::Done { tag }),
        Ok(Said { error: Some(message), code, detail, hint, position, .. }) => {
            let code = code.and_then(|c| c.as_bytes().try_into().ok()).unwrap_or(*b"XX000");
            Err(Fault::Sql(SqlError { state: SqlState(code), message, detail, hint, position, about: None }))
        }
        _ => {
            let answer = WholeAnswer { url: url.clone(), status: parts.status, headers: parts.headers, body };
            answer.success()?;
            let reason = "no rows and no command".to_owned();
            Err(HttpError::NotTheApi { url, reason }.into())
        }
    }
}

/// The word that a statement begins with when it needs a session.
fn of_a_session(statement: &str) -> Option<&'static str> {
    let first = statement.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next()?;
    OF_A_SESSION.into_iter().find(|word| first.eq_ignore_ascii_case(word))
}

/// Rows that come as Arrow's stream.
struct Rows {
    url: String,
    body: Incoming,
    rest: Buffer,
    decoder: StreamDecoder,
}

impl Rows {
    /// Reads up to the schema.
    async fn open(url: String, body: Incoming) -> Result<Answer, Fault> {
        let mut rows = Self { url, body, rest: Buffer::from(&[] as &[u8]), decoder: StreamDecoder::new() };
        let mut first = None;
        while rows.decoder.schema().is_none() && first.is_none() {
            first = rows.next().await.map_err(Fault::Sql)?;
            if first.is_none() {
                break;
            }
        }
        let Some(schema) = rows.decoder.schema() else {
            let reason = "Arrow's stream without a schema".to_owned();
            return Err(HttpError::NotTheApi { url: rows.url, reason }.into());
        };
        let rest = futures::stream::unfold(Some(rows), |rows| async move {
            let mut rows = rows?;
            match rows.next().await {
                Ok(Some(batch)) => Some((Ok(batch), Some(rows))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        let first = futures::stream::iter(first.map(Ok));
        Ok(Answer::Rows { schema, rows: Box::pin(first.chain(rest)) })
    }

    /// The next batch; `None` at the end.
    async fn next(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        let bad = |url: &str, e: &dyn std::fmt::Display| {
            SqlError::new(b"08P01", format!("{url} sent what is no stream of Arrow batches: {e}"))
        };
        loop {
            if let Some(batch) = self.decoder.decode(&mut self.rest).map_err(|e| bad(&self.url, &e))? {
                return Ok(Some(batch));
            }
            match self.body.frame().await {
                // All that was there before is decoded.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest = Buffer::from(data);
                    }
                }
                Some(Err(error)) => {
                    let reason = format!("{} broke its answer off: {}", self.url, causes(&error));
                    let hint = "the statement failed on its way; the server's log says why";
                    return Err(SqlError::new(b"08006", reason).with_hint(hint));
                }
                None => return self.decoder.finish().map(|()| None).map_err(|e| bad(&self.url, &e)),
            }
        }
    }
}

fn broken_off(url: &str, reason: &str) -> CliError {
    CliError::Failed(format!("{url} broke its answer off: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_a_session_are_known_by_their_first_word() {
        for (statement, word) in [
            ("begin", Some("BEGIN")),
            ("  Set x = 1", Some("SET")),
            ("START TRANSACTION", Some("START")),
            ("SELECT 1", None),
            ("SETTLE", None),
            ("", None),
        ] {
            assert_eq!(of_a_session(statement), word, "{statement:?}");
        }
    }
}
