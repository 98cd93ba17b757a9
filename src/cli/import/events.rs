//! Imports events into a table, piece by piece: lines of JSON, and CSV.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use bytes::Bytes;
use serde::Deserialize;

#[cfg(feature = "sql")]
use super::parquet;
use super::{ImportArgs, InputFormat, shown};
use crate::{
    Db, Error,
    cli::{
        EVENT_FORMATS,
        error::CliError,
        http_client::HttpClient,
        open,
        progress::Progress,
        source,
        target::{send_patiently, while_busy},
        terminal::note,
    },
    ingest::events::{EventError, EventFormat, whole_records},
};

/// How much is read and written at once; a table has all of a piece or nothing of it.
const PIECE: usize = 4 << 20;
/// The longest record; documents are bounded below this.
const MAX_RECORD: usize = 24 << 20;

/// Where events go to.
pub(super) enum Place {
    Server(Box<HttpClient>),
    Directory(Db),
}

/// What a server answers to events.
#[derive(Deserialize)]
struct Answered {
    data: AnsweredData,
}

#[derive(Deserialize)]
struct AnsweredData {
    rows: u64,
}

/// An input on its way.
struct Import<'a> {
    place: &'a Place,
    table: &'a str,
    time_field: Option<&'a str>,
    format: EventFormat,
    name: String,
    /// The first record of a CSV file.
    header: Vec<u8>,
    /// Lines before the piece at hand, the header's not counted.
    lines: usize,
}

/// Imports every input into a table.
pub(super) fn run(args: &ImportArgs, table: &str) -> Result<(), CliError> {
    let place = match &args.data_dir {
        Some(dir) => Place::Directory(open::writable(Db::builder(), dir)?),
        None if args.names_server() => Place::Server(Box::new(source::client(args.url.as_deref())?)),
        None => return Err(super::nowhere()),
    };
    let mut progress = Progress::bytes("imported", args.total_bytes()).counting("events");
    let mut done = Ok(());
    for input in &args.inputs {
        let time_field = args.time_field.as_deref();
        #[cfg(feature = "sql")]
        if args.is_parquet(input) {
            done = parquet::Import { place: &place, table, time_field }.file(input, &mut progress);
            if done.is_err() {
                break;
            }
            continue;
        }
        done = args.events_of(input).and_then(|(format, name, reader)| {
            let (header, lines) = (Vec::new(), 0);
            let mut import = Import { place: &place, table, time_field, format, name, header, lines };
            import.pieces(reader, &mut progress)
        });
        if done.is_err() {
            break;
        }
    }
    if done.is_ok() {
        progress.finish()
    } else {
        progress.fail()
    }
    let closed = match place {
        Place::Directory(db) => db.close().map_err(CliError::from),
        Place::Server(_) => Ok(()),
    };
    done.and(closed)
}

impl ImportArgs {
    /// Whether an input is a file of Parquet.
    #[cfg(feature = "sql")]
    fn is_parquet(&self, input: &Path) -> bool {
        let by_name = || input.extension().and_then(|e| e.to_str()) == Some("parquet");
        input != Path::new("-")
            && (self.format == InputFormat::Parquet || self.format == InputFormat::Auto && by_name())
    }

    /// An input's format, its name for messages, and its bytes.
    fn events_of(&self, input: &Path) -> Result<(EventFormat, String, Box<dyn Read>), CliError> {
        let format = match self.format {
            InputFormat::Ndjson => EventFormat::Ndjson,
            InputFormat::Csv => EventFormat::Csv,
            InputFormat::Auto => match input.extension().and_then(|e| e.to_str()) {
                Some("csv") => EventFormat::Csv,
                Some("ndjson" | "jsonl" | "json") => EventFormat::Ndjson,
                _ => {
                    let name = shown(input);
                    let what = format!(
                        "{name}: its name does not tell the format of its events; say --format {EVENT_FORMATS}"
                    );
                    return Err(CliError::Usage(what));
                }
            },
            #[cfg(feature = "sql")]
            InputFormat::Parquet => {
                let what = "a Parquet file is read from its end: name a file, not standard input";
                return Err(CliError::Usage(what.to_owned()));
            }
            InputFormat::Prometheus | InputFormat::Openmetrics | InputFormat::Tsdb => {
                let what = format!("--table takes events, as {EVENT_FORMATS}; samples go without it");
                return Err(CliError::Usage(what));
            }
        };
        if input == Path::new("-") {
            return Ok((format, "standard input".to_owned(), Box::new(io::stdin().lock())));
        }
        let name = shown(input);
        let file = File::open(input).map_err(|e| CliError::io(name.clone(), e))?;
        Ok((format, name, Box::new(file)))
    }
}

impl Import<'_> {
    /// Reads whole records, piece by piece.
    fn pieces(&mut self, mut input: impl Read, progress: &mut Progress) -> Result<(), CliError> {
        let mut buffer: Vec<u8> = Vec::new();
        loop {
            let before = buffer.len();
            let read = (&mut input).take(PIECE as u64).read_to_end(&mut buffer);
            read.map_err(|e| CliError::io(self.name.clone(), e))?;
            let at_end = buffer.len() == before;
            let whole = match self.format {
                _ if at_end => buffer.len(),
                EventFormat::Csv => whole_records(&buffer),
                _ => memchr::memrchr(b'\n', &buffer).map_or(0, |end| end + 1),
            };
            if whole == 0 && buffer.len() > MAX_RECORD {
                let line = self.lines + 1;
                return Err(CliError::Failed(format!("{}:{line}: a record is over {MAX_RECORD} bytes", self.name)));
            }
            if whole > 0 {
                let piece: Vec<u8> = buffer.drain(..whole).collect();
                let rows = self.piece(&piece).map_err(|error| self.stopped(error))?;
                self.lines += memchr::memchr_iter(b'\n', &piece).count();
                progress.advance(piece.len() as u64, rows);
            }
            if at_end {
                return Ok(());
            }
        }
    }

    /// Writes a piece; tells how many rows it had.
    fn piece(&mut self, piece: &[u8]) -> Result<u64, CliError> {
        if self.format != EventFormat::Csv {
            return self.write(piece);
        }
        if self.header.is_empty() {
            self.header = first_record(piece).to_vec();
            return self.write(piece);
        }
        let mut with_header = self.header.clone();
        with_header.extend_from_slice(piece);
        self.write(&with_header)
    }

    fn write(&self, bytes: &[u8]) -> Result<u64, CliError> {
        match self.place {
            Place::Directory(db) => {
                let append = || db.append_events(self.table, self.format, bytes, self.time_field);
                Ok(while_busy(append).map_err(|error| self.at_line(error))?.rows)
            }
            Place::Server(client) => self.send(client, bytes),
        }
    }

    fn send(&self, client: &HttpClient, bytes: &[u8]) -> Result<u64, CliError> {
        let content_type = if self.format == EventFormat::Csv { "text/csv" } else { "application/x-ndjson" };
        send_events(client, self.table, self.time_field, content_type, &Bytes::copy_from_slice(bytes))
    }

    /// The error with its line among all of the input.
    fn at_line(&self, error: Error) -> CliError {
        match error {
            Error::Events(EventError::Line { line, reason }) => {
                let header = memchr::memchr_iter(b'\n', &self.header).count();
                let line = if self.lines > 0 { (self.lines + line).saturating_sub(header) } else { line };
                CliError::Failed(format!("{}:{line}: {reason}", self.name))
            }
            error => error.into(),
        }
    }

    /// Says how far the input is in the table, so that the rest can be imported by itself.
    fn stopped(&self, error: CliError) -> CliError {
        match self.lines {
            0 => note(&format!("{}: nothing of it was imported", self.name)),
            lines => note(&format!("{}: its first {lines} lines were imported; nothing behind them was", self.name)),
        }
        error
    }
}

/// Sends events to a server; tells how many there were.
pub(super) fn send_events(
    client: &HttpClient,
    table: &str,
    time_field: Option<&str>,
    content_type: &str,
    body: &Bytes,
) -> Result<u64, CliError> {
    let mut path = format!("/api/v1/events/{}", encoded(table));
    if let Some(field) = time_field {
        path.push_str("?time_field=");
        path.push_str(&encoded(field));
    }
    let answer = send_patiently(client, &path, &[("content-type", content_type)], body)?.success()?;
    let answered: Answered = serde_json::from_slice(&answer.body)
        .map_err(|e| CliError::Failed(format!("{} answered what cannot be understood: {e}", answer.url)))?;
    Ok(answered.data.rows)
}

/// The first record with the end of its line.
fn first_record(piece: &[u8]) -> &[u8] {
    let mut quoted = false;
    let end = piece.iter().position(|&b| {
        quoted ^= b == b'"';
        b == b'\n' && !quoted
    });
    end.map_or(piece, |end| piece.get(..=end).unwrap_or(piece))
}

/// A text as a part of a URL.
pub(in crate::cli) fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
