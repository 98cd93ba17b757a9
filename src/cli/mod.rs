//! The command line: one file a subcommand. Progress and notes go to standard error, results to standard output.

/// What a help says in builds with SQL alone: they read and write Parquet.
#[cfg(feature = "sql")]
macro_rules! with_sql {
    ($text:literal) => {
        $text
    };
}
#[cfg(not(feature = "sql"))]
macro_rules! with_sql {
    ($text:literal) => {
        ""
    };
}

mod answer;
mod caret;
mod completions;
mod demo;
mod error;
mod export;
mod export_events;
mod http_client;
mod import;
mod open;
mod output;
#[cfg(feature = "sql")]
mod parquet;
mod plot;
mod progress;
mod query;
mod selector;
mod serve;
mod size;
mod source;
#[cfg(feature = "sql")]
mod sql;
mod stop;
mod target;
mod terminal;
mod test;
mod time;
mod tsdb;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CliError;

/// The formats of events, as errors name them.
const EVENT_FORMATS: &str = if cfg!(feature = "sql") { "ndjson, csv or parquet" } else { "ndjson or csv" };

const ABOUT: &str = "A time-series and event database: takes remote write and events, answers PromQL and SQL";

const HELP: &str = "\
Examples:
  $ chronolith demo
  $ chronolith serve --data-dir ./data
  $ chronolith query 'sum by (job) (rate(http_requests_total[5m]))'

Exit codes: 0 done, 1 failed or damage found, 2 the command line or the configuration is wrong.
Colours follow NO_COLOR; progress is shown on standard error.";

#[derive(Debug, Parser)]
#[command(name = "chronolith", version, about = ABOUT, after_help = HELP, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve an hour of sample metrics from a temporary directory, to try things out
    #[command(after_help = demo::HELP)]
    Demo(demo::DemoArgs),
    /// Serve a data directory: metrics and events in, PromQL and SQL out
    #[command(after_help = serve::HELP)]
    Serve(Box<serve::ServeArgs>),
    /// Ask PromQL of a server or a data directory
    #[command(after_help = query::HELP)]
    Query(query::QueryArgs),
    /// Ask SQL of a server or a data directory, or open a shell to do so
    #[cfg(feature = "sql")]
    #[command(after_help = sql::HELP)]
    Sql(sql::SqlArgs),
    /// Import text with timestamps, the data directory of a Prometheus, or events
    #[command(after_help = import::HELP)]
    Import(import::ImportArgs),
    /// Export samples as text with timestamps, or the events of a table
    #[command(after_help = export::HELP)]
    Export(export::ExportArgs),
    /// Look into and after a data directory
    #[command(after_help = tsdb::HELP)]
    Tsdb(tsdb::TsdbArgs),
    /// Run tests of queries: Prometheus' promqltest files and promtool's rule tests
    #[command(after_help = test::HELP)]
    Test(test::TestArgs),
    /// Print a script that completes this command line in a shell
    #[command(after_help = completions::HELP)]
    Completions(completions::CompletionsArgs),
}

/// Runs the program: reads the command line, does what it says, and tells the exit code.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and versions are printed like this too; clap knows the stream and the code.
        Err(error) => error.exit(),
    };
    match dispatch(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, CliError::ReaderGone) {
                terminal::note(&format!("error: {error}"));
            }
            error.exit_code()
        }
    }
}

fn dispatch(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Query(args) => query::run(args),
        #[cfg(feature = "sql")]
        Command::Sql(args) => sql::run(args),
        Command::Import(args) => import::run(args),
        Command::Export(args) => export::run(args),
        Command::Tsdb(args) => tsdb::run(args),
        Command::Test(args) => test::run(args),
        Command::Completions(args) => completions::run(args),
    }
}
