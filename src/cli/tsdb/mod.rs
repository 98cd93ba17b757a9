//! `chronolith tsdb`: looks into and after a data directory.

mod analyze;
mod ls;
mod snapshot;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;

use super::error::CliError;

/// Examples and hints below the options.
pub(crate) const HELP: &str = "\
Examples:
  $ chronolith tsdb verify ./data
  $ chronolith tsdb ls ./data
  $ chronolith tsdb analyze ./data
  $ chronolith tsdb snapshot ./data

verify, ls and analyze change nothing and may run beside a server. Exit codes: 0 done, 1 failed or damage found, 2 usage.";

/// Options of `tsdb`.
#[derive(Debug, clap::Args)]
pub(crate) struct TsdbArgs {
    #[command(subcommand)]
    command: TsdbCommand,
}

#[derive(Debug, Subcommand)]
enum TsdbCommand {
    /// Read every block of every file and check it; exits 1 when something is damaged
    #[command(after_help = verify::HELP)]
    Verify(DirectoryArgs),
    /// Show what takes space: series by metric and label, churn, bytes per sample
    #[command(after_help = analyze::HELP)]
    Analyze(analyze::AnalyzeArgs),
    /// List the segments with their time ranges, series, samples and bytes
    #[command(after_help = ls::HELP)]
    Ls(DirectoryArgs),
    /// Make a copy by hard links, in snapshots/ of the data directory
    #[command(after_help = snapshot::HELP)]
    Snapshot(snapshot::SnapshotArgs),
}

/// A data directory.
#[derive(Debug, clap::Args)]
pub(crate) struct DirectoryArgs {
    /// The data directory
    #[arg(value_name = "DIR")]
    data_dir: PathBuf,
}

/// Runs the sub-command.
pub(crate) fn run(args: &TsdbArgs) -> Result<(), CliError> {
    match &args.command {
        TsdbCommand::Verify(args) => verify::run(&args.data_dir),
        TsdbCommand::Analyze(args) => analyze::run(args),
        TsdbCommand::Ls(args) => ls::run(&args.data_dir),
        TsdbCommand::Snapshot(args) => snapshot::run(args),
    }
}
