//! `chronolith import`: text expositions, Prometheus data directories and events into a data directory or a server.

mod blocks;
mod events;
#[cfg(feature = "sql")]
mod parquet;
mod state;
mod text;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::{
    error::CliError,
    progress::Progress,
    serve::DEFAULT_RETENTION,
    size::thousands,
    source,
    target::{Batch, BatchSeries, Remote, Target, Written, open_directory},
    terminal::note,
    time::{HumanDuration, TimeSpec, format_time, now_ms},
};
pub(super) use events::encoded;
use state::State;

/// Examples and hints below the options.
pub(crate) const HELP: &str = concat!(
    "\
Examples:
  $ chronolith import --data-dir ./data metrics.txt
  $ chronolith import --data-dir ./data ./prometheus-data
  $ chronolith export --start -1h up | chronolith import --data-dir ./data -
  $ chronolith import --url http://127.0.0.1:9090 --timestamp now metrics.txt
  $ chronolith import --data-dir ./data --table clicks clicks.ndjson
  $ chronolith import --url http://127.0.0.1:9090 --table orders --time-field ordered_at orders.csv
",
    with_sql!("  $ chronolith import --data-dir ./data --table trips trips.parquet\n"),
    "
Text is Prometheus text or OpenMetrics; which one is seen from its end (`# EOF`) or its timestamps. A directory is read as \
that of a Prometheus: its finished blocks, not its log. To have the last two hours as well, take a \
snapshot by its admin API and import that.
An import that was broken off goes on where it was when it is started again: finished blocks and lines are noted in \
import-state.json in the data directory (or in --state). What is imported twice is there once.
With --table the inputs are events: a JSON object a line, CSV with the names of the fields in its first line",
    with_sql!(", or rows of Parquet"),
    ". A table \
that does not exist is made. An event's time is its field _time, @timestamp or timestamp, or the one that --time-field names, \
else the time of the import. Events that are imported twice are there twice; when an import fails it says how many lines or rows are in.
Exit codes: 0 imported, 1 failed or samples were refused, 2 usage."
);

/// What the input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InputFormat {
    /// Found out from the input
    Auto,
    /// Prometheus text: timestamps in milliseconds
    Prometheus,
    /// OpenMetrics: timestamps in seconds
    Openmetrics,
    /// The data directory of a Prometheus
    Tsdb,
    /// Events: a JSON object a line
    Ndjson,
    /// Events: comma-separated values, the names of the fields in the first line
    Csv,
    /// Events: a Parquet file, a struct an object
    #[cfg(feature = "sql")]
    Parquet,
}

/// Options of `import`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// Files of text or events, directories of Prometheus, or - for standard input
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Write into this data directory, made when it does not exist; no server may have it open
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data_dir: Option<PathBuf>,
    /// Send to this server by remote write [default: $CHRONOLITH_URL]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Import events into this table
    #[arg(long, value_name = "NAME", conflicts_with_all = ["timestamp", "retention_time", "state"])]
    table: Option<String>,
    /// The field that has an event's time
    #[arg(long, value_name = "FIELD", requires = "table")]
    time_field: Option<String>,
    /// What the inputs are
    #[arg(long, value_enum, default_value_t = InputFormat::Auto)]
    format: InputFormat,
    /// Give samples without a timestamp this one
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    timestamp: Option<TimeSpec>,
    /// Leave out samples older than this; without it all are imported into a data directory
    #[arg(long, value_name = "DURATION")]
    retention_time: Option<HumanDuration>,
    /// Note finished work in this file, to go on after a break
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

/// Writes batches, counts what became of them, and shows progress.
struct Importer {
    target: Target,
    state: State,
    progress: Progress,
    written: Written,
    /// Samples before this are left out.
    oldest: Option<i64>,
    /// The earliest timestamp that was written.
    earliest: i64,
}

/// Imports every input in turn.
pub(crate) fn run(args: &ImportArgs) -> Result<(), CliError> {
    if let Some(table) = &args.table {
        return events::run(args, table);
    }
    if args.format.is_of_events() {
        return Err(CliError::Usage("events go into a table: name it by --table NAME".to_owned()));
    }
    let now = now_ms();
    let mut importer = Importer {
        target: args.target()?,
        state: State::default(),
        progress: Progress::bytes("imported", args.total_bytes()),
        written: Written::default(),
        oldest: args.retention_time.map(|keep| now.saturating_sub(keep.as_millis())),
        earliest: i64::MAX,
    };
    let beside = importer.target.data_dir().map(|dir| dir.join(state::FILE_NAME));
    importer.state = State::load(args.state.clone().or(beside))?;
    let default_time = args.timestamp.map(|t| t.resolve(now));
    let mut done = Ok(());
    for input in &args.inputs {
        done = match (args.format, input.is_dir()) {
            (InputFormat::Tsdb, _) | (InputFormat::Auto, true) => blocks::import(&mut importer, input),
            (format, _) => text::import(&mut importer, input, format.exposition(), default_time),
        };
        if done.is_err() {
            break;
        }
    }
    importer.finish(done)
}

impl ImportArgs {
    fn target(&self) -> Result<Target, CliError> {
        match &self.data_dir {
            Some(dir) => open_directory(dir.clone(), self.retention_time.map(|keep| keep.0)),
            None if self.names_server() => {
                Ok(Target::Server(Box::new(Remote::new(source::client(self.url.as_deref())?))))
            }
            None => Err(nowhere()),
        }
    }

    fn names_server(&self) -> bool {
        self.url.is_some() || std::env::var_os(source::URL_VARIABLE).is_some()
    }

    /// The bytes of all inputs, when each is a file.
    fn total_bytes(&self) -> Option<u64> {
        let len = |path: &PathBuf| std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|m| m.len());
        self.inputs.iter().map(len).sum()
    }
}

impl InputFormat {
    const fn exposition(self) -> Option<crate::ingest::exposition::Format> {
        match self {
            Self::Prometheus => Some(crate::ingest::exposition::Format::Prometheus),
            Self::Openmetrics => Some(crate::ingest::exposition::Format::OpenMetrics),
            _ => None,
        }
    }

    const fn is_of_events(self) -> bool {
        !matches!(self, Self::Auto | Self::Prometheus | Self::Openmetrics | Self::Tsdb)
    }
}

impl Importer {
    /// Writes a batch that took this many bytes of input.
    fn write(&mut self, mut batch: Batch, bytes: u64) -> Result<(), CliError> {
        if let Some(oldest) = self.oldest {
            self.written.too_old += drop_older(&mut batch, oldest);
        }
        let before = self.written.samples;
        self.earliest = self.earliest.min(earliest(&batch));
        if !batch.is_empty() {
            self.written.add(self.target.write(&batch)?);
        }
        self.progress.advance(bytes, self.written.samples - before);
        Ok(())
    }

    /// Closes the target and tells what became of the samples.
    fn finish(self, done: Result<(), CliError>) -> Result<(), CliError> {
        if done.is_ok() {
            self.progress.finish()
        } else {
            self.progress.fail()
        }
        let default_keep: HumanDuration = DEFAULT_RETENTION.parse().map_err(CliError::Usage)?;
        if self.target.data_dir().is_some() && self.earliest < now_ms().saturating_sub(default_keep.as_millis()) {
            note(&format!(
                "some samples are from {}: `chronolith serve` keeps {DEFAULT_RETENTION} unless --retention-time says \
                 longer, and drops what is older",
                format_time(self.earliest)
            ));
        }
        let closed = self.target.close();
        let Written { too_old, refused, reason, .. } = self.written;
        if too_old > 0 {
            note(&format!("{} samples are older than the retention and were left out", thousands(too_old)));
        }
        let refusals = (refused > 0)
            .then(|| format!("{} samples were refused: {}", thousands(refused), reason.unwrap_or_default()));
        // The first error is what the command ends with; what was refused before it is told all the same.
        match (done.and(closed), refusals) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(refusals)) => Err(CliError::Failed(refusals)),
            (Err(error), refusals) => {
                if let Some(refusals) = refusals {
                    note(&format!("error: {refusals}"));
                }
                Err(error)
            }
        }
    }
}

/// Takes samples before `oldest` out of a batch and counts them.
fn drop_older(batch: &mut Batch, oldest: i64) -> u64 {
    let before = batch.len();
    for series in &mut batch.series {
        series.samples.retain(|s| s.timestamp >= oldest);
        series.histograms.retain(|h| h.timestamp >= oldest);
    }
    batch.series.retain(|s| !s.samples.is_empty() || !s.histograms.is_empty());
    before - batch.len()
}

fn earliest(batch: &Batch) -> i64 {
    let first = |s: &BatchSeries| {
        let floats = s.samples.iter().map(|s| s.timestamp);
        floats.chain(s.histograms.iter().map(|h| h.timestamp)).min()
    };
    batch.series.iter().filter_map(first).min().unwrap_or(i64::MAX)
}

fn nowhere() -> CliError {
    CliError::Usage("nowhere to import to: name --data-dir DIR or --url URL".to_owned())
}

/// A path for messages and for the state.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
