//! `chronolith export`: samples of a server or a data directory as text with timestamps; with `--table`, its events.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use chronolith_storage::{
    Labels, MetricKind, MetricMetadata, SampleBuffer, SeriesSource as _, TimeRange,
    model::{is_stale, labels::METRIC_NAME},
};
use clap::ValueEnum;
use serde::Deserialize;

#[cfg(feature = "sql")]
use super::sql;
use super::{
    EVENT_FORMATS,
    answer::{AnswerSeries, AnswerValue, ApiError, PointValue, read_api},
    error::CliError,
    export_events,
    http_client::HttpClient,
    progress::Progress,
    query::{Moments, ask_server},
    selector::{self, Selector},
    size::thousands,
    source::{Source, SourceArgs},
    terminal::note,
    time::{TimeSpec, api_time, now_ms},
};
use crate::{
    Db,
    events::ExportFormat,
    ingest::exposition::{ExpositionWriter, Format},
};

/// Examples and hints below the options.
pub(crate) const HELP: &str = concat!(
    "\
Examples:
  $ chronolith export --data-dir ./data -o metrics.txt
  $ chronolith export --start -1h '{job=\"api\"}' up
  $ chronolith export --format prometheus --data-dir ./data '{__name__=~\"http_.*\"}'
  $ chronolith export --data-dir ./data --table clicks -o clicks.ndjson
  $ chronolith export --table clicks --format csv --start -1h
",
    with_sql!("  $ chronolith export --data-dir ./data --table clicks --format parquet -o clicks.parquet\n"),
    "
What `chronolith import` reads of it is what was exported. The text formats cannot carry everything: stale markers and \
exemplars are left out (the stale markers are counted), and native histograms are refused with the series named.
With --table the events of that table are exported: as the JSON objects that they were, with the field _time where they have \
no time of their own, or as CSV",
    with_sql!(" or Parquet"),
    ", a column a field.
Of samples from a server, the time range needs a --start; a data directory is exported whole without one.
Exit codes: 0 exported, 1 failed, 2 usage."
);

/// Text is handed on in pieces of about this size.
const PIECE: usize = 1 << 20;
/// The suffixes of series that belong to a family of another name.
const SUFFIXES: [&str; 6] = ["_bucket", "_sum", "_count", "_total", "_created", "_info"];

/// The text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TextFormat {
    /// OpenMetrics: timestamps in seconds, `# EOF` at the end
    Openmetrics,
    /// Prometheus text: timestamps in milliseconds
    Prometheus,
    /// Events: a JSON object a line
    Ndjson,
    /// Events: comma-separated values
    Csv,
    /// Events: a Parquet file
    #[cfg(feature = "sql")]
    Parquet,
}

/// Options of `export`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// Which series, such as up or '{job="api"}'; several are joined [default: all]
    selectors: Vec<String>,
    /// Export the events of this table
    #[arg(long, value_name = "NAME", conflicts_with = "selectors")]
    table: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    /// The first time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    start: Option<TimeSpec>,
    /// The last time [default: now from a server, the last sample from a data directory]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    end: Option<TimeSpec>,
    /// The text format [default: openmetrics for samples, ndjson for events]
    #[arg(long, value_enum)]
    format: Option<TextFormat>,
    /// Write to this file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes text piece by piece and counts.
struct Exporter {
    text: ExpositionWriter,
    out: Box<dyn Write>,
    out_name: String,
    metadata: BTreeMap<String, MetricMetadata>,
    /// Families whose metadata stands in the text.
    told: BTreeSet<String>,
    progress: Progress,
    stale: u64,
}

/// Exports everything that was asked for.
pub(crate) fn run(args: &ExportArgs) -> Result<(), CliError> {
    let selectors = selector::parse_all(&args.selectors)?;
    let now = now_ms();
    let start = args.start.map(|t| t.resolve(now));
    let end = args.end.map(|t| t.resolve(now));
    let source = args.source.open()?;
    if matches!((start, end), (Some(start), Some(end)) if end < start) {
        return Err(CliError::Usage("--end is before --start".to_owned()));
    }
    #[cfg(feature = "sql")]
    if let (Some(table), Some(TextFormat::Parquet)) = (&args.table, args.format) {
        if start.is_some() || end.is_some() {
            let reason = "a Parquet file is made of a whole table; for a part of it there is \
                          `chronolith sql --output parquet 'SELECT ... WHERE ...'`";
            return Err(CliError::Usage(reason.to_owned()));
        }
        return sql::export_table(source, table, args.output.as_ref());
    }
    if let Some(table) = &args.table {
        let format = args.event_format()?;
        let (mut out, name) = args.output()?;
        return export_events::run(source, table, format, (start, end), &mut out, |e| written(&name, e));
    }
    let mut exporter = Exporter::create(args)?;
    match source {
        Source::Directory(db) => {
            let range = TimeRange::new(start.unwrap_or(i64::MIN), end.unwrap_or(i64::MAX));
            from_directory(&mut exporter, &db, &selectors, range)?;
        }
        Source::Server(client) => {
            let Some(start) = start else {
                return Err(CliError::Usage("an export from a server needs a --start, such as --start -1h".to_owned()));
            };
            from_server(&mut exporter, &client, &selectors, TimeRange::new(start, end.unwrap_or(now)))?;
        }
    }
    exporter.finish()
}

impl ExportArgs {
    fn text_format(&self) -> Result<Format, CliError> {
        match self.format {
            None | Some(TextFormat::Openmetrics) => Ok(Format::OpenMetrics),
            Some(TextFormat::Prometheus) => Ok(Format::Prometheus),
            Some(_) => Err(CliError::Usage("events are in tables: name one by --table NAME".to_owned())),
        }
    }

    fn event_format(&self) -> Result<ExportFormat, CliError> {
        match self.format {
            None | Some(TextFormat::Ndjson) => Ok(ExportFormat::Ndjson),
            Some(TextFormat::Csv) => Ok(ExportFormat::Csv),
            Some(_) => Err(CliError::Usage(format!("a table's events are exported as {EVENT_FORMATS}"))),
        }
    }

    /// Where the text goes to, and its name for messages.
    fn output(&self) -> Result<(Box<dyn Write>, String), CliError> {
        let Some(path) = &self.output else {
            return Ok((Box::new(io::stdout()), "standard output".to_owned()));
        };
        let name = path.display().to_string();
        let file = File::create(path).map_err(|e| CliError::io(name.clone(), e))?;
        Ok((Box::new(BufWriter::new(file)), name))
    }
}

fn from_directory(exporter: &mut Exporter, db: &Db, selectors: &[Selector], range: TimeRange) -> Result<(), CliError> {
    for damage in db.engine().quarantined() {
        note(&format!("note: {} was set aside as damaged: {}", damage.file, damage.reason));
    }
    exporter.metadata = db.engine().metadata().into_iter().collect();
    let snapshot = db.engine().snapshot();
    let mut buffer = SampleBuffer::default();
    let mut seen = BTreeSet::new();
    for selector in selectors {
        let set = snapshot.select(&selector.matchers, range)?;
        for index in 0..set.len() {
            // Only several selectors can find a series twice.
            if selectors.len() > 1 && !seen.insert(set.labels(index).clone()) {
                continue;
            }
            buffer.clear();
            set.read(index, range, &mut buffer)?;
            exporter.series(set.labels(index), &buffer)?;
        }
    }
    Ok(())
}

/// Asks a server for the samples of one metric after the other, so that no answer is too large.
fn from_server(
    exporter: &mut Exporter,
    client: &HttpClient,
    selectors: &[Selector],
    range: TimeRange,
) -> Result<(), CliError> {
    exporter.metadata = server_metadata(client)?;
    let (first, last) = (api_time(range.start), api_time(range.end));
    let mut seen = BTreeSet::new();
    for selector in selectors {
        let form = [("match[]", selector.text.as_str()), ("start", &first), ("end", &last)];
        let names: Vec<String> = api(client.get("/api/v1/label/__name__/values", &form)?)?;
        for name in names {
            let query = selector.of_metric(&name, range);
            for series in raw_samples(client, &query, range.end)? {
                if selectors.len() > 1 && !seen.insert(series.labels.clone()) {
                    continue;
                }
                exporter.series(&series.labels.clone(), &columns(series)?)?;
            }
        }
    }
    Ok(())
}

/// The samples that a range selector covers.
fn raw_samples(client: &HttpClient, query: &str, end: i64) -> Result<Vec<AnswerSeries>, CliError> {
    match ask_server(client, query, Moments::At(end))?.value {
        AnswerValue::Matrix(series) => Ok(series),
        _ => Err(CliError::Failed(format!("{}: {query} gave no range of samples", client.base()))),
    }
}

fn columns(series: AnswerSeries) -> Result<SampleBuffer, CliError> {
    let mut buffer = SampleBuffer::default();
    for (t, value) in series.points {
        match value {
            PointValue::Float(v) => buffer.push_float(t, v, 0),
            PointValue::Histogram(_) => return Err(native_histogram(&series.labels)),
        }
    }
    Ok(buffer)
}

fn native_histogram(labels: &Labels) -> CliError {
    CliError::Failed(format!(
        "{labels} holds native histograms, which no text format can carry; leave the series out by a matcher, \
         or copy the data directory with `chronolith tsdb snapshot`"
    ))
}

/// The metadata of one family, as the API lists it.
#[derive(Deserialize)]
struct WireMetadata {
    #[serde(rename = "type")]
    kind: String,
    help: String,
    unit: String,
}

fn server_metadata(client: &HttpClient) -> Result<BTreeMap<String, MetricMetadata>, CliError> {
    let all: BTreeMap<String, Vec<WireMetadata>> = api(client.get("/api/v1/metadata", &[])?)?;
    let first = |(name, told): (String, Vec<WireMetadata>)| {
        let told = told.into_iter().next()?;
        let kind = MetricKind::ALL.into_iter().find(|k| k.as_str() == told.kind).unwrap_or_default();
        Some((name, MetricMetadata { kind, help: told.help, unit: told.unit }))
    };
    Ok(all.into_iter().filter_map(first).collect())
}

fn api<T: serde::de::DeserializeOwned>(answer: super::http_client::Answer) -> Result<T, CliError> {
    match read_api(answer) {
        Ok((data, remarks)) => {
            remarks.iter().for_each(|r| note(&format!("note: {r}")));
            Ok(data)
        }
        Err(ApiError::Http(error)) => Err(error.into()),
        Err(ApiError::Refused(failure)) => Err(failure.into()),
    }
}

impl Exporter {
    fn create(args: &ExportArgs) -> Result<Self, CliError> {
        let format = args.text_format()?;
        let (out, out_name) = args.output()?;
        Ok(Self {
            text: ExpositionWriter::new(format),
            out,
            out_name,
            metadata: BTreeMap::new(),
            told: BTreeSet::new(),
            progress: Progress::bytes("exported", None),
            stale: 0,
        })
    }

    /// Writes the samples of a series.
    fn series(&mut self, labels: &Labels, samples: &SampleBuffer) -> Result<(), CliError> {
        if samples.is_empty() {
            return Ok(());
        }
        if !samples.histograms.is_empty() {
            return Err(native_histogram(labels));
        }
        self.tell_family(labels.get(METRIC_NAME).unwrap_or(""));
        let mut written = 0;
        for (t, v) in samples.timestamps.iter().zip(&samples.values) {
            // As text it would come back as an ordinary NaN.
            if is_stale(*v) {
                self.stale += 1;
            } else {
                self.text.sample(labels, *v, Some(*t));
                written += 1;
            }
        }
        self.progress.advance(0, written);
        if self.text.as_str().len() >= PIECE { self.hand_on() } else { Ok(()) }
    }

    /// Writes what is known about the family before its first series.
    fn tell_family(&mut self, metric: &str) {
        let families = SUFFIXES.iter().filter_map(|suffix| metric.strip_suffix(suffix)).chain([metric]);
        for family in families {
            if let Some(metadata) = self.metadata.get(family)
                && self.told.insert(family.to_owned())
            {
                self.text.kind(family, metadata.kind);
                if !metadata.help.is_empty() {
                    self.text.help(family, &metadata.help);
                }
                if !metadata.unit.is_empty() {
                    self.text.unit(family, &metadata.unit);
                }
            }
        }
    }

    fn hand_on(&mut self) -> Result<(), CliError> {
        let mut result = Ok(());
        let out = &mut self.out;
        self.text.drain(|text| result = out.write_all(text.as_bytes()));
        result.map_err(|e| written(&self.out_name, e))
    }

    fn finish(mut self) -> Result<(), CliError> {
        self.hand_on()?;
        let end = self.text.finish();
        let ended = self.out.write_all(end.as_bytes()).and_then(|()| self.out.flush());
        ended.map_err(|e| written(&self.out_name, e))?;
        self.progress.finish();
        if self.stale > 0 {
            note(&format!("{} stale markers were left out: text cannot carry them", thousands(self.stale)));
        }
        Ok(())
    }
}

fn written(name: &str, error: io::Error) -> CliError {
    if error.kind() == io::ErrorKind::BrokenPipe { CliError::ReaderGone } else { CliError::io(name, error) }
}
