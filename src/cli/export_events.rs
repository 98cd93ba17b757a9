//! `chronolith export --table`: a table's events as lines of JSON or CSV.

use std::io::Write;

use super::{
    error::CliError, http_client::HttpClient, import::encoded, progress::Progress, source::Source, time::api_time,
};
use crate::events::{Export, ExportFormat};

const NANOS_PER_MS: i64 = 1_000_000;

/// Times in milliseconds, either of which may be left out.
pub(super) type Bounds = (Option<i64>, Option<i64>);

/// Writes the events of a table to `out`.
pub(super) fn run(
    source: Source,
    table: &str,
    format: ExportFormat,
    bounds: Bounds,
    out: &mut dyn Write,
    failed: impl Fn(std::io::Error) -> CliError,
) -> Result<(), CliError> {
    let mut progress = Progress::bytes("exported", None).counting("events");
    match source {
        Source::Directory(db) => {
            let range = match bounds {
                (None, None) => None,
                (start, end) => {
                    let start = start.map_or(i64::MIN, |ms| ms.saturating_mul(NANOS_PER_MS));
                    // The last millisecond counts to its end.
                    let end =
                        end.map_or(i64::MAX, |ms| ms.saturating_mul(NANOS_PER_MS).saturating_add(NANOS_PER_MS - 1));
                    Some(start..=end)
                }
            };
            let export = Export::new(db.engine(), table, format, range)?;
            export.write(|text, rows| {
                progress.advance(text.len() as u64, rows);
                let written = out.write_all(text.as_bytes());
                text.clear();
                written.map_err(&failed)
            })?;
        }
        Source::Server(client) => {
            let text = ask(&client, table, format, bounds)?;
            let lines = memchr::memchr_iter(b'\n', &text).count() as u64;
            let heads = u64::from(format == ExportFormat::Csv);
            progress.advance(text.len() as u64, lines.saturating_sub(heads));
            out.write_all(&text).map_err(&failed)?;
        }
    }
    out.flush().map_err(&failed)?;
    progress.finish();
    Ok(())
}

fn ask(client: &HttpClient, table: &str, format: ExportFormat, bounds: Bounds) -> Result<bytes::Bytes, CliError> {
    let path = format!("/api/v1/events/{}/export", encoded(table));
    let (start, end) = (bounds.0.map(api_time), bounds.1.map(api_time));
    let mut pairs = vec![("format", if format == ExportFormat::Csv { "csv" } else { "ndjson" })];
    pairs.extend(start.as_deref().map(|t| ("start", t)));
    pairs.extend(end.as_deref().map(|t| ("end", t)));
    Ok(client.get(&path, &pairs)?.success()?.body)
}
