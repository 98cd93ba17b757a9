//! `chronolith test`: runs tests of queries and tells what is not as expected.

mod promql;
mod rules;

use std::{fs, path::Path};

use clap::Subcommand;

use super::error::CliError;

/// Examples and hints below the options.
pub(crate) const HELP: &str = "\
Examples:
  $ chronolith test promql queries.test
  $ chronolith test rules rules_test.yml

Every test runs on databases in memory of its own. Exit codes: 0 all as expected, 1 something is not, 2 usage.";

/// Options of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    #[command(subcommand)]
    command: TestCommand,
}

#[derive(Debug, Subcommand)]
enum TestCommand {
    /// Run files in the format of Prometheus' own PromQL tests: load, eval, expect
    #[command(after_help = promql::HELP)]
    Promql(promql::PromqlArgs),
    /// Run the expressions of promtool's rule tests; rules themselves are not evaluated yet
    #[command(after_help = rules::HELP)]
    Rules(rules::RulesArgs),
}

/// Runs the sub-command.
pub(crate) fn run(args: &TestArgs) -> Result<(), CliError> {
    match &args.command {
        TestCommand::Promql(args) => promql::run(args),
        TestCommand::Rules(args) => rules::run(args),
    }
}

/// How much is told.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Detail {
    /// Print only what is not as expected
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print the tests that pass as well
    #[arg(short, long)]
    verbose: bool,
}

fn read(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(|e| CliError::io(path.display().to_string(), e))
}

/// The text with every line behind the first set in.
fn set_in(text: &str, by: usize) -> String {
    text.replace('\n', &format!("\n{:by$}", ""))
}
