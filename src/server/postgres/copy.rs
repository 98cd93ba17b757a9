//! COPY: data from the client goes to the SQL engine as it comes; rows go to it as lines of text or CSV.

use arrow::datatypes::SchemaRef;
use chronolith_sql::{CopyIn, CopyOptions, RowStream};
use futures::StreamExt as _;

use super::{
    cells::Style,
    channel::Channel,
    failure::{Failure, Result},
    rows::{Batch, text_columns},
};
use crate::ingest::postgres::frontend::Message;

/// Takes the client's data. Returns the command's tag.
pub(crate) async fn copy_in(channel: &mut Channel, mut copy: Box<CopyIn>) -> Result<String> {
    channel.out.copy_response(b'G', copy.columns.len());
    channel.flush().await?;
    loop {
        let message = channel.message().await?;
        match Message::decode(message.kind, &message.body)? {
            Message::CopyData(bytes) => channel.watch(copy.feed(bytes)).await??,
            Message::CopyDone => return Ok(channel.watch(copy.finish()).await??),
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

/// Sends rows as lines. Returns how many.
pub(crate) async fn copy_out(
    channel: &mut Channel,
    schema: SchemaRef,
    mut rows: RowStream,
    options: &CopyOptions,
    style: &Style,
) -> Result<u64> {
    let columns = text_columns(&schema)?;
    channel.out.copy_response(b'H', columns.len());
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
                more = batch.next_texts(style, |place, text| field(line, place, text, options));
                line.push(b'\n');
            });
            if more {
                sent += 1;
                channel.flush_if_full().await?;
            } else {
                channel.out.bytes.truncate(before);
            }
        }
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
