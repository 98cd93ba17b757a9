//! Imports Prometheus text and OpenMetrics, piece by piece.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use chronolith_storage::MetricMetadata;

use super::{Importer, shown, state::TextProgress};
use crate::{
    cli::{
        error::CliError,
        target::{Batch, BatchSeries},
        terminal::note,
    },
    ingest::{
        exposition::{Entry, Format, Parser, SampleLine},
        label_rules::LabelLimits,
        remote_write::Sample,
    },
};

/// How much is parsed and written at once.
const PIECE: usize = 4 << 20;
/// The longest line: a series' labels are bounded far below this.
const MAX_LINE: usize = 64 << 20;
/// How much of the beginning tells the format, and whether a file is the one that was begun.
const HEAD: usize = 64 << 10;
/// Timestamps below this are seconds: as milliseconds they would be before 1973, as seconds they go to the year 5138.
const SECONDS_BELOW: f64 = 1e11;

/// Where in a text the import is.
struct Place {
    name: String,
    format: Format,
    default_time: Option<i64>,
    progress: TextProgress,
}

/// Imports one text; `-` is standard input.
pub(super) fn import(
    importer: &mut Importer,
    input: &Path,
    format: Option<Format>,
    default_time: Option<i64>,
) -> Result<(), CliError> {
    if input == Path::new("-") {
        let mut stdin = io::stdin().lock();
        let head = read_up_to(&mut stdin, HEAD).map_err(|e| CliError::io("standard input", e))?;
        let format = format.unwrap_or_else(|| told_by(&head, None, "standard input"));
        let progress = TextProgress::default();
        let mut place = Place { name: "standard input".to_owned(), format, default_time, progress };
        return pieces(importer, &mut place, io::Cursor::new(head).chain(stdin), None);
    }
    let name = shown(input);
    let failed = |e| CliError::io(name.clone(), e);
    let mut file = File::open(input).map_err(failed)?;
    let head = read_up_to(&mut file, HEAD).map_err(failed)?;
    let tail = read_tail(&mut file).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let key = shown(&input.canonicalize().map_err(failed)?);
    let begun = importer.state.text(&key).filter(|p| p.offset <= len && p.head == checksum(&head, p.offset));
    let progress = begun.unwrap_or_default();
    if progress.offset > 0 {
        note(&format!("{name}: {} of {len} bytes were imported before", progress.offset));
        importer.progress.advance(progress.offset, 0);
    }
    file.seek(SeekFrom::Start(progress.offset)).map_err(failed)?;
    let format = format.unwrap_or_else(|| told_by(&head, Some(&tail), &name));
    let mut place = Place { name: name.clone(), format, default_time, progress };
    pieces(importer, &mut place, file, Some((&key, &head)))
}

/// A checksum over the first bytes of what was imported. It stays the same when a file grows.
fn checksum(head: &[u8], offset: u64) -> u32 {
    let len = usize::try_from(offset).unwrap_or(usize::MAX).min(head.len());
    crc32c::crc32c(head.get(..len).unwrap_or(head))
}

/// Reads whole lines, piece by piece, and writes their samples. Notes its progress under `key`, if there is one; with it
/// comes the beginning of the text.
fn pieces(
    importer: &mut Importer,
    place: &mut Place,
    mut input: impl Read,
    key: Option<(&str, &[u8])>,
) -> Result<(), CliError> {
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let more = read_up_to(&mut input, PIECE).map_err(|e| CliError::io(place.name.clone(), e))?;
        let at_end = more.is_empty();
        buffer.extend_from_slice(&more);
        let whole = match memchr::memrchr(b'\n', &buffer) {
            _ if at_end => buffer.len(),
            Some(end) => end + 1,
            None if buffer.len() > MAX_LINE => {
                let line = place.progress.lines + 1;
                return Err(CliError::Failed(format!("{}:{line}: the line is over {MAX_LINE} bytes", place.name)));
            }
            None => continue,
        };
        let piece = buffer.get(..whole).unwrap_or(&buffer);
        let (batch, lines, ended) = place.parse(piece)?;
        importer.write(batch, whole as u64)?;
        place.progress.offset += whole as u64;
        place.progress.lines = lines;
        if let Some((key, head)) = key {
            place.progress.head = checksum(head, place.progress.offset);
            importer.state.set_text(key, place.progress)?;
        }
        buffer.drain(..whole);
        if at_end || ended {
            return Ok(());
        }
    }
}

impl Place {
    /// The samples of a piece, how many lines were read so far, and whether the text is at its end.
    fn parse(&self, piece: &[u8]) -> Result<(Batch, usize, bool), CliError> {
        let mut parser = Parser::continued(piece, self.format, self.progress.lines);
        let mut batch = Batch::default();
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut families: BTreeMap<String, MetricMetadata> = BTreeMap::new();
        while let Some(entry) = parser.next() {
            let entry = entry.map_err(|e| CliError::Failed(format!("{}: {e}", self.name)))?;
            let line = parser.lines();
            match entry {
                Entry::Help { family, text } => {
                    families.entry(family.into_owned()).or_default().help = text.into_owned();
                }
                Entry::Type { family, kind } => families.entry(family.into_owned()).or_default().kind = kind,
                Entry::Unit { family, unit } => {
                    unit.clone_into(&mut families.entry(family.into_owned()).or_default().unit)
                }
                Entry::Comment(_) => {}
                Entry::Sample(sample) => self.sample(&sample, line, &mut known, &mut batch)?,
            }
        }
        batch.metadata = families.into_iter().collect();
        Ok((batch, parser.lines(), parser.saw_eof()))
    }

    fn sample<'a>(
        &self,
        sample: &SampleLine<'a>,
        line: usize,
        known: &mut HashMap<&'a str, usize>,
        batch: &mut Batch,
    ) -> Result<(), CliError> {
        let failed = |what: String| CliError::Failed(format!("{}:{line}: {what}", self.name));
        let timestamp = sample
            .timestamp
            .or(self.default_time)
            .ok_or_else(|| failed("the sample has no timestamp; --timestamp now gives it one".to_owned()))?;
        let at = match known.get(sample.series()) {
            Some(at) => *at,
            None => {
                let labels = sample.to_labels(&LabelLimits::default()).map_err(|e| failed(e.to_string()))?;
                batch.series.push(BatchSeries { labels, samples: Vec::new(), histograms: Vec::new() });
                known.insert(sample.series(), batch.series.len() - 1);
                batch.series.len() - 1
            }
        };
        if let Some(series) = batch.series.get_mut(at) {
            series.samples.push(Sample::new(timestamp, sample.value));
        }
        Ok(())
    }
}

/// The format, as the end or the first timestamp tells it.
fn told_by(head: &[u8], tail: Option<&[u8]>, name: &str) -> Format {
    let ends = |bytes: &[u8]| bytes.trim_ascii_end().ends_with(b"# EOF");
    let format = if ends(tail.unwrap_or(head)) || first_timestamp_is_seconds(head) {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    };
    let word = match format {
        Format::OpenMetrics => "OpenMetrics, with timestamps in seconds",
        Format::Prometheus => "Prometheus text, with timestamps in milliseconds",
    };
    note(&format!("{name}: read as {word}; --format says otherwise"));
    format
}

/// Whether the first sample with a timestamp has one that can only be seconds.
fn first_timestamp_is_seconds(head: &[u8]) -> bool {
    let lines = head.split(|b| *b == b'\n').filter(|l| !l.starts_with(b"#"));
    let timestamp = |line: &[u8]| {
        let text = std::str::from_utf8(line).ok()?;
        // Behind the labels, or behind the name: the value, then the timestamp, then maybe an exemplar.
        let text = text.split(" # ").next()?;
        let values = text.rfind('}').map_or_else(|| text.split_once(' ').map(|(_, v)| v), |at| text.get(at + 1..))?;
        values.split_whitespace().nth(1).map(str::to_owned)
    };
    let first = lines.filter_map(timestamp).next();
    first.is_some_and(|t| t.contains('.') || t.parse::<f64>().is_ok_and(|n| n.abs() < SECONDS_BELOW))
}

/// Up to `limit` bytes; fewer only at the end.
fn read_up_to(input: &mut impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last bytes of a file.
fn read_tail(file: &mut File) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(64)))?;
    read_up_to(file, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_told_by_the_end_or_by_timestamps() {
        for (text, format) in [
            ("up 1 1700000000000\n", Format::Prometheus),
            ("up{a=\"} 1 2\"} 1 1700000000000\n", Format::Prometheus),
            ("up 1 1700000000\n", Format::OpenMetrics),
            ("up{a=\"b\"} 1 1700000000.5\n", Format::OpenMetrics),
            ("up 1\nup 1 1700000000000\n", Format::Prometheus),
            ("up 1\n# EOF\n", Format::OpenMetrics),
            ("up 1 1700000000 # {trace_id=\"x\"} 1 1700000000.1\n", Format::OpenMetrics),
            ("up 1\n", Format::Prometheus),
            ("", Format::Prometheus),
        ] {
            assert_eq!(told_by(text.as_bytes(), None, "test"), format, "{text}");
        }
    }

    #[test]
    fn lines_become_series_with_metadata() {
        let progress = TextProgress::default();
        let mut place = Place { name: "t".into(), format: Format::Prometheus, default_time: None, progress };
        let text = b"# HELP up Is it?\n# TYPE up gauge\nup{b=\"1\",a=\"2\"} 1 1000\nup{b=\"1\",a=\"2\"} 0 2000\n";
        let (batch, lines, ended) = place.parse(text).unwrap();
        assert_eq!((batch.series.len(), batch.len(), lines, ended), (1, 2, 4, false));
        assert_eq!(batch.series[0].labels.to_string(), r#"up{a="2", b="1"}"#);
        assert_eq!(batch.metadata[0].1.help, "Is it?");
        let error = place.parse(b"up 1 1000\nup 1\n").unwrap_err().to_string();
        assert!(error.contains("t:2:") && error.contains("--timestamp"), "{error}");
        place.progress.lines = 10;
        let error = place.parse(b"up{ 1\n").unwrap_err().to_string();
        assert!(error.contains("11"), "{error}");
        place.default_time = Some(5);
        assert_eq!(place.parse(b"up 1\n").unwrap().0.series[0].samples[0].timestamp, 5);
    }
}
