//! COPY: data from the client goes to the SQL engine as it comes; rows go to it as lines of text or CSV, or as tuples.

use arrow::datatypes::{Field, SchemaRef};
use chronolith_sql::{CopyIn, CopyOptions, RowStream, ScalarValue, SqlError, clock::Zone};
use futures::StreamExt as _;

use super::{
    cells::Style,
    channel::Channel,
    failure::{Failure, Result, sql_error},
    parameters,
    rows::{Batch, text_columns},
    types::PgType,
};
use crate::ingest::postgres::{
    copy_binary::{self, CopyError, Tuples},
    frontend::{Format, Message},
};

/// Rows of the binary format that are taken together.
const BATCH_ROWS: usize = 8_192;

/// Takes the client's data. Returns the command's tag.
pub(crate) async fn copy_in(channel: &mut Channel, mut copy: Box<CopyIn>) -> Result<String> {
    let mut tuples = if copy.options.binary { Some(Decoder::new(&copy.columns)?) } else { None };
    channel.out.copy_response(b'G', copy.columns.len(), copy.options.binary);
    channel.flush().await?;
    loop {
        let message = channel.message().await?;
        match Message::decode(message.kind, &message.body)? {
            Message::CopyData(bytes) => match &mut tuples {
                Some(tuples) => tuples.take(bytes, &mut copy)?,
                None => channel.watch(copy.feed(bytes)).await??,
            },
            Message::CopyDone => {
                if let Some(tuples) = &mut tuples {
                    tuples.finish(&mut copy)?;
                }
                return Ok(channel.watch(copy.finish()).await??);
            }
            Message::CopyFail(why) => {
                return Err(Failure::statement(b"57014", format!("COPY from stdin failed: {why}")));
            }
            // A client of the extended protocol may have sent these before it knew of the COPY.
            Message::Flush | Message::Sync => {}
            Message::Terminate => return Err(Failure::Ended),
            _ => {
                let message = format!("unexpected message type 0x{:02X} during COPY from stdin", message.kind);
                return Err(Failure::statement(b"08P01", message));
            }
        }
    }
}

/// Makes columns of the binary format's tuples.
struct Decoder {
    tuples: Tuples,
    columns: Vec<(Field, PgType)>,
    /// Values that wait to be columns.
    pending: Vec<Vec<ScalarValue>>,
    rows: u64,
}

impl Decoder {
    fn new(columns: &[Field]) -> Result<Self, SqlError> {
        let typed = columns.iter().map(|field| Ok((field.clone(), PgType::of_field(field)?)));
        Ok(Self {
            tuples: Tuples::new(columns.len()),
            columns: typed.collect::<Result<_, SqlError>>()?,
            pending: vec![Vec::new(); columns.len()],
            rows: 0,
        })
    }

    fn take(&mut self, bytes: &[u8], copy: &mut CopyIn) -> Result<(), SqlError> {
        self.tuples.push(bytes).map_err(|e| self.fail(&e))?;
        let zone = Zone::UTC;
        while let Some(tuple) = self.tuples.next_tuple().map_err(|e| self.fail(&e))? {
            self.rows += 1;
            for (place, value) in tuple.into_iter().enumerate() {
                let (field, pg) = &self.columns[place];
                let bytes = value.map(|value| self.tuples.value(value));
                let decoded = parameters::decode(place + 1, bytes, Format::Binary, *pg, field.data_type(), &zone);
                let decoded = decoded.map_err(|mut error| {
                    if error.state.as_str() == "22P03" {
                        "incorrect binary data format".clone_into(&mut error.message);
                    }
                    error.detail = Some(format!("COPY, row {}, column {}", self.rows, field.name()));
                    error
                })?;
                self.pending[place].push(decoded);
            }
            if self.pending.first().is_some_and(|column| column.len() >= BATCH_ROWS) {
                self.pass_on(copy)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, copy: &mut CopyIn) -> Result<(), SqlError> {
        self.tuples.finish().map_err(|e| self.fail(&e))?;
        self.pass_on(copy)
    }

    fn pass_on(&mut self, copy: &mut CopyIn) -> Result<(), SqlError> {
        if self.pending.first().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let columns = self.pending.iter_mut().map(|values| {
            let values = ScalarValue::iter_to_array(std::mem::take(values));
            values.map_err(|e| sql_error(b"22P03", e.to_string()))
        });
        copy.feed_rows(&columns.collect::<Result<Vec<_>, _>>()?)
    }

    fn fail(&self, error: &CopyError) -> SqlError {
        let mut told = sql_error(b"22P04", error.to_string());
        told.detail = Some(format!("COPY, row {}", self.rows + 1));
        told
    }
}

/// Sends rows as lines or tuples. Returns how many.
pub(crate) async fn copy_out(
    channel: &mut Channel,
    schema: SchemaRef,
    mut rows: RowStream,
    options: &CopyOptions,
    style: &Style,
) -> Result<u64> {
    let columns = text_columns(&schema)?;
    channel.out.copy_response(b'H', columns.len(), options.binary);
    // Some clients want the head in one message with the first tuple, as PostgreSQL sends it.
    let mut has_head = !options.binary;
    if options.header {
        channel.out.message(b'd', |line| {
            for (place, column) in columns.iter().enumerate() {
                field(line, place, Some(column.name.as_bytes()), options);
            }
            line.push(b'\n');
        });
    }
    let mut sent = 0;
    while let Some(batch) = channel.watch(rows.next()).await? {
        let mut batch = Batch::new(&batch?, &columns)?;
        let mut more = true;
        while more {
            let before = channel.out.bytes.len();
            channel.out.message(b'd', |line| {
                if options.binary {
                    if !has_head {
                        copy_binary::write_head(line);
                    }
                    more = batch.next_tuple(style, line);
                } else {
                    more = batch.next_texts(style, |place, text| field(line, place, text, options));
                    line.push(b'\n');
                }
            });
            if more {
                sent += 1;
                has_head = true;
                channel.flush_if_full().await?;
            } else {
                channel.out.bytes.truncate(before);
            }
        }
    }
    if options.binary {
        channel.out.message(b'd', |end| {
            if !has_head {
                copy_binary::write_head(end);
            }
            copy_binary::write_end(end);
        });
    }
    channel.out.copy_done();
    Ok(sent)
}

/// Writes a field and, unless it is the line's first, the delimiter before it.
fn field(line: &mut Vec<u8>, place: usize, text: Option<&[u8]>, options: &CopyOptions) {
    if place > 0 {
        line.push(options.delimiter);
    }
    match text {
        None => line.extend_from_slice(options.null.as_bytes()),
        Some(text) if options.csv => csv_field(line, text, options),
        Some(text) => text_field(line, text, options.delimiter),
    }
}

fn text_field(line: &mut Vec<u8>, text: &[u8], delimiter: u8) {
    for &byte in text {
        let escaped = match byte {
            b'\\' => b'\\',
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            other if other == delimiter => other,
            other => {
                line.push(other);
                continue;
            }
        };
        line.extend_from_slice(&[b'\\', escaped]);
    }
}

fn csv_field(line: &mut Vec<u8>, text: &[u8], options: &CopyOptions) {
    let special = |b: &u8| *b == options.delimiter || *b == options.quote || matches!(*b, b'\n' | b'\r');
    // A value that looks like null, or like the mark that ends the data, is told from it by its quotes.
    if text != options.null.as_bytes() && text != b"\\." && !text.iter().any(special) {
        return line.extend_from_slice(text);
    }
    line.push(options.quote);
    for &byte in text {
        if byte == options.quote || byte == options.escape {
            line.push(options.escape);
        }
        line.push(byte);
    }
    line.push(options.quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(options: &CopyOptions, fields: &[Option<&str>]) -> String {
        let mut line = Vec::new();
        for (place, text) in fields.iter().enumerate() {
            field(&mut line, place, text.map(str::as_bytes), options);
        }
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn lines_look_as_in_postgresql() {
        let fields = [Some("a"), None, Some(""), Some("b,\"c\"\\"), Some("d\te\nf"), Some("\\.")];
        let text = CopyOptions {
            binary: false,
            csv: false,
            delimiter: b'\t',
            null: "\\N".to_owned(),
            header: false,
            quote: b'"',
            escape: b'"',
        };
        assert_eq!(line(&text, &fields), "a\t\\N\t\tb,\"c\"\\\\\td\\te\\nf\t\\\\.");
        let csv = CopyOptions { csv: true, delimiter: b',', null: String::new(), ..text };
        assert_eq!(line(&csv, &fields), "a,,\"\",\"b,\"\"c\"\"\\\",d\te\nf,\"\\.\"".replace("d\te\nf", "\"d\te\nf\""));
    }
}
