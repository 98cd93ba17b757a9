//! What the server sends: messages put one after another into a buffer.

use chronolith_sql::{About, SqlError, TransactionStatus};

use super::{
    failure::{Notice, Severity},
    types::PgType,
};
use crate::ingest::postgres::frontend::Format;

/// A column of a result, as it is described and written.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) pg: PgType,
    pub(crate) modifier: i32,
    pub(crate) format: Format,
}

/// Messages that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
}

/// Puts the length of what `write` appends before it; the length counts itself when `own` is its size, 0 if not.
fn measured(bytes: &mut Vec<u8>, own: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let at = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    write(bytes);
    let length = bytes.len() - at - 4 + own;
    // A row is made of one record batch's cells, each below 2 GiB by Arrow's own offsets, so a longer one is beyond
    // what the protocol can carry; clients see a negative length and give up.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// Writes a value after its length.
pub(crate) fn value(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    measured(bytes, 0, write);
}

/// Writes the length that stands for null.
pub(crate) fn null(bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(-1_i32).to_be_bytes());
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    // A zero byte would end the text early, and what follows would be read as something else.
    bytes.extend(text.bytes().map(|b| if b == 0 { b'?' } else { b }));
    bytes.push(0);
}

fn count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
}

impl Output {
    /// Writes a message of this kind.
    pub(crate) fn message(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.push(kind);
        measured(&mut self.bytes, 4, body);
    }

    fn bare(&mut self, kind: u8) {
        self.message(kind, |_| {});
    }

    pub(crate) fn parse_complete(&mut self) {
        self.bare(b'1');
    }

    pub(crate) fn bind_complete(&mut self) {
        self.bare(b'2');
    }

    pub(crate) fn close_complete(&mut self) {
        self.bare(b'3');
    }

    pub(crate) fn no_data(&mut self) {
        self.bare(b'n');
    }

    pub(crate) fn portal_suspended(&mut self) {
        self.bare(b's');
    }

    pub(crate) fn empty_query(&mut self) {
        self.bare(b'I');
    }

    pub(crate) fn copy_done(&mut self) {
        self.bare(b'c');
    }

    /// An authentication request: its code and what belongs to it.
    pub(crate) fn authentication(&mut self, code: u32, data: &[u8]) {
        self.message(b'R', |body| {
            body.extend_from_slice(&code.to_be_bytes());
            body.extend_from_slice(data);
        });
    }

    /// Tells that only version 3.0 is spoken, and which options are not known.
    pub(crate) fn negotiate_version(&mut self, options: &[&str]) {
        self.message(b'v', |body| {
            body.extend_from_slice(&(3_u32 << 16).to_be_bytes());
            body.extend_from_slice(&u32::try_from(options.len()).unwrap_or(0).to_be_bytes());
            options.iter().for_each(|option| text(body, option));
        });
    }

    pub(crate) fn parameter_status(&mut self, name: &str, value: &str) {
        self.message(b'S', |body| {
            text(body, name);
            text(body, value);
        });
    }

    pub(crate) fn backend_key(&mut self, process: i32, secret: [u8; 4]) {
        self.message(b'K', |body| {
            body.extend_from_slice(&process.to_be_bytes());
            body.extend_from_slice(&secret);
        });
    }

    pub(crate) fn ready(&mut self, status: TransactionStatus) {
        self.message(b'Z', |body| {
            body.push(match status {
                TransactionStatus::Idle => b'I',
                TransactionStatus::Open => b'T',
                TransactionStatus::Failed => b'E',
            });
        });
    }

    pub(crate) fn command_complete(&mut self, tag: &str) {
        self.message(b'C', |body| text(body, tag));
    }

    pub(crate) fn parameter_description(&mut self, oids: &[u32]) {
        self.message(b't', |body| {
            count(body, oids.len());
            oids.iter().for_each(|oid| body.extend_from_slice(&oid.to_be_bytes()));
        });
    }

    pub(crate) fn row_description(&mut self, columns: &[Column]) {
        self.message(b'T', |body| {
            count(body, columns.len());
            for column in columns {
                text(body, &column.name);
                // No table and no column of it: what a result's column came from is not told.
                body.extend_from_slice(&[0; 6]);
                body.extend_from_slice(&column.pg.oid.to_be_bytes());
                body.extend_from_slice(&column.pg.size.to_be_bytes());
                body.extend_from_slice(&column.modifier.to_be_bytes());
                body.extend_from_slice(&u16::from(column.format == Format::Binary).to_be_bytes());
            }
        });
    }

    /// Begins a COPY of this many columns: `G` for data from the client, `H` for data to it.
    pub(crate) fn copy_response(&mut self, kind: u8, columns: usize, binary: bool) {
        self.message(kind, |body| {
            body.push(u8::from(binary));
            count(body, columns);
            for _ in 0..columns.min(usize::from(u16::MAX)) {
                body.extend_from_slice(&u16::from(binary).to_be_bytes());
            }
        });
    }

    pub(crate) fn error(&mut self, severity: Severity, error: &SqlError) {
        self.message(b'E', |body| {
            fields(body, severity.name(), error.state.as_str(), &error.message);
            let position = error.position.map(|p| p.to_string());
            let about = error.about.as_deref();
            let schema = about.map(|_| "public".to_owned());
            let of = |part: fn(&About) -> &Option<String>| about.and_then(|about| part(about).clone());
            let optional = [
                (b'D', &error.detail),
                (b'H', &error.hint),
                (b'P', &position),
                (b's', &schema),
                (b't', &of(|about| &about.table)),
                (b'c', &of(|about| &about.column)),
                (b'n', &of(|about| &about.constraint)),
            ];
            for (code, value) in optional {
                if let Some(value) = value {
                    body.push(code);
                    text(body, value);
                }
            }
            body.push(0);
        });
    }

    pub(crate) fn notice(&mut self, notice: &Notice) {
        self.message(b'N', |body| {
            fields(body, notice.severity, notice.state, &notice.message);
            body.push(0);
        });
    }
}

fn fields(body: &mut Vec<u8>, severity: &str, state: &str, message: &str) {
    for (code, value) in [(b'S', severity), (b'V', severity), (b'C', state), (b'M', message)] {
        body.push(code);
        text(body, value);
    }
}
