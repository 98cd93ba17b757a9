//! `chronolith test promql`: runs files in the format of Prometheus' promqltest.

use std::path::PathBuf;

use super::{Detail, read, set_in};
use crate::{
    Db,
    cli::{
        error::CliError,
        terminal::{note, print},
    },
    promqltest::{self, Report},
};

/// Examples and hints below the options.
pub(crate) const HELP: &str = "\
Examples:
  $ chronolith test promql queries.test
  $ chronolith test promql --quiet *.test

A file loads series and says what expressions give:

  load 1m
    errors_total{job=\"api\"} 0+6x10

  eval instant at 10m rate(errors_total[5m])
    {job=\"api\"} 0.1

Instant cases are evaluated again with `@` at other times and in range queries, as Prometheus does with its own.
Exit codes: 0 all as expected, 1 a case is not or a file cannot be run, 2 usage.";

/// Options of `test promql`.
#[derive(Debug, clap::Args)]
pub(crate) struct PromqlArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    detail: Detail,
}

/// Runs all files and reports; a file that cannot be run does not keep the others from it.
pub(crate) fn run(args: &PromqlArgs) -> Result<(), CliError> {
    let (mut passed, mut total, mut evaluations, mut broken) = (0, 0, 0, 0);
    for path in &args.files {
        let name = path.display().to_string();
        let report = read(path).and_then(|text| {
            promqltest::run_file(&Db::builder(), &name, &text).map_err(|e| CliError::Failed(e.to_string()))
        });
        match report {
            Ok(report) => {
                passed += report.passed();
                total += report.cases.len();
                evaluations += report.evaluations();
                print(&render(&report, args.detail))?;
            }
            Err(error) => {
                broken += 1;
                note(&format!("error: {error}"));
            }
        }
    }
    if args.files.len() > 1 && !args.detail.quiet {
        print(&format!("{} files: {passed}/{total} passed ({evaluations} evaluations)\n", args.files.len()))?;
    }
    let mut wrong = Vec::new();
    if passed < total {
        wrong.push(format!("{} of {total} cases are not as expected", total - passed));
    }
    if broken > 0 {
        wrong.push(format!("{broken} of {} files cannot be run", args.files.len()));
    }
    if wrong.is_empty() { Ok(()) } else { Err(CliError::Failed(wrong.join(", "))) }
}

fn render(report: &Report, detail: Detail) -> String {
    let (file, passed, total) = (&report.file, report.passed(), report.cases.len());
    let mut text = String::new();
    if !detail.quiet {
        text.push_str(&format!("{file}: {passed}/{total} passed ({} evaluations)\n", report.evaluations()));
    }
    for case in &report.cases {
        match &case.failure {
            Some(failure) => {
                let why = set_in(&failure.to_string(), 4);
                text.push_str(&format!("  FAILED {file}:{}: {}\n    {why}\n", case.line, case.expr));
            }
            None if detail.verbose => text.push_str(&format!("  ok     {file}:{}: {}\n", case.line, case.expr)),
            None => {}
        }
    }
    text
}
