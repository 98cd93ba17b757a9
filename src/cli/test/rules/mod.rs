//! `chronolith test rules`: runs promtool's unit tests of rules, as far as they ask for expressions.

mod file;
mod group;

use std::path::{Path, PathBuf};

use chronolith_promql::engine::QueryOptions;

use super::{Detail, read, set_in};
use crate::cli::{
    error::CliError,
    serve::features,
    terminal::{note, print},
};
use group::{Outcome, Settings, line};

/// Examples and hints below the options.
pub(crate) const HELP: &str = "\
Examples:
  $ chronolith test rules rules_test.yml
  $ chronolith test rules --quiet --enable-feature promql-delayed-name-removal rules_test.yml

The files are those of `promtool test rules`. Every promql_expr_test is run. Rules are not
evaluated by this version yet: an alert_rule_test and a file with rule_files count as failed.
Exit codes: 0 all as expected, 1 a test is not or a file cannot be run, 2 usage.";

/// Most samples that a query may hold, as in promtool.
const MAX_SAMPLES: usize = 10_000;

/// Options of `test rules`.
#[derive(Debug, clap::Args)]
pub(crate) struct RulesArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    detail: Detail,
    /// Switch on a feature by Prometheus' name; may be repeated
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    enable_feature: Vec<String>,
}

/// Runs all files and reports; a file that cannot be run does not keep the others from it.
pub(crate) fn run(args: &RulesArgs) -> Result<(), CliError> {
    let features = features(&args.enable_feature)?;
    let query = QueryOptions {
        max_samples: MAX_SAMPLES,
        delayed_name_removal: features.delayed_name_removal,
        use_start_timestamps: features.use_start_timestamps,
        ..QueryOptions::default()
    };
    let (mut failed, mut total, mut broken) = (0, 0, 0);
    for path in &args.files {
        match run_file(path, &query) {
            Ok(outcomes) => {
                failed += outcomes.iter().filter(|o| o.failure.is_some()).count();
                total += outcomes.len();
                print(&render(path, &outcomes, args.detail))?;
            }
            Err(error) => {
                broken += 1;
                note(&format!("error: {error}"));
            }
        }
    }
    let mut wrong = Vec::new();
    if failed > 0 {
        wrong.push(format!("{failed} of {total} tests are not as expected"));
    }
    if broken > 0 {
        wrong.push(format!("{broken} of {} files cannot be run", args.files.len()));
    }
    if wrong.is_empty() { Ok(()) } else { Err(CliError::Failed(wrong.join(", "))) }
}

fn run_file(path: &Path, query: &QueryOptions) -> Result<Vec<Outcome>, CliError> {
    let file = file::parse(&read(path)?).map_err(|e| CliError::Failed(format!("{}: {e}", path.display())))?;
    let settings = Settings {
        evaluation_interval_ms: file.evaluation_interval.0,
        fuzzy_compare: file.fuzzy_compare,
        // A subquery without a step takes that of rules.
        query: QueryOptions { default_subquery_step_ms: file.evaluation_interval.0, ..query.clone() },
    };
    let rules = file.rule_files.iter().map(|name| Outcome {
        line: line(name),
        what: format!("rule_files: {}", name.value),
        failure: Some("rules are not evaluated by this version yet".to_owned()),
    });
    Ok(rules.chain(file.tests.iter().flat_map(|g| group::run(g, &settings))).collect())
}

fn render(path: &Path, outcomes: &[Outcome], detail: Detail) -> String {
    let file = path.display();
    let passed = outcomes.iter().filter(|o| o.failure.is_none()).count();
    let mut text = String::new();
    if !detail.quiet {
        text.push_str(&format!("{file}: {passed}/{} passed\n", outcomes.len()));
    }
    for Outcome { line, what, failure } in outcomes {
        match failure {
            Some(failure) => {
                let why = set_in(failure, 4);
                text.push_str(&format!("  FAILED {file}:{line}: {what}\n    {why}\n"));
            }
            None if detail.verbose => text.push_str(&format!("  ok     {file}:{line}: {what}\n")),
            None => {}
        }
    }
    text
}
