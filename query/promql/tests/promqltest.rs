//! Runs Prometheus' own PromQL suite, and the project's own files, against the engine over series in memory. The suite is
//! not part of this repository: it is read from the directory that `CHRONOLITH_SUITES` names, else from
//! `../shared/suites` beside the repository, and skipped when missing. `PROMQLTEST_FILE=operators` runs one file,
//! `PROMQLTEST_VERBOSE=1` shows all of each failure.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that reports what ran")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use chronolith_promql::{
    engine::QueryOptions,
    promqltest::{self, MemoryStore, Report},
};

/// Cases of the suite.
const CASES: usize = 2214;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn suite() -> Option<PathBuf> {
    let suites = env::var_os("CHRONOLITH_SUITES").map_or_else(|| root().join("../shared/suites"), PathBuf::from);
    Some(suites.join("promqltest")).filter(|d| d.is_dir())
}

/// The files of a directory, by name; only the one that the environment names, if it names one.
fn files(dir: &Path) -> Vec<PathBuf> {
    let only = env::var("PROMQLTEST_FILE").ok();
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| {
        p.extension().is_some_and(|e| e == "test")
            && only.as_ref().is_none_or(|only| p.file_stem().is_some_and(|s| s == only.trim_end_matches(".test")))
    });
    files.sort();
    files
}

/// Runs a file with one thread and with several: their number must not show.
fn run(path: &Path) -> Result<Report, String> {
    let name = path.file_name().unwrap().to_string_lossy();
    let text = fs::read_to_string(path).unwrap();
    let run = |threads| {
        let options = QueryOptions { threads, ..promqltest::options() };
        promqltest::run(&name, &text, &mut MemoryStore::default(), &options).map_err(|e| e.to_string())
    };
    let report = run(1)?;
    assert_eq!(report, run(3)?, "{name}: the number of threads shows");
    Ok(report)
}

/// Runs the files; tells how many cases passed, how many there are, and which files cannot be run.
fn run_all(dir: &Path) -> (usize, usize, Vec<String>) {
    let verbose = env::var_os("PROMQLTEST_VERBOSE").is_some();
    let (mut passed, mut total, mut runs, mut errors) = (0, 0, 0, Vec::new());
    for path in files(dir) {
        let report = match run(&path) {
            Ok(report) => report,
            Err(e) => {
                println!("{e}");
                errors.push(e);
                continue;
            }
        };
        let (file, cases) = (&report.file, report.cases.len());
        println!("{file}: {}/{cases} ({} runs)", report.passed(), report.evaluations());
        for (case, failure) in report.failures() {
            let short = || format!("{}: wanted {}, got {}", failure.reason, failure.wanted, failure.got);
            let why = if verbose { failure.to_string() } else { short().chars().take(200).collect() };
            println!("  {file}:{}: {}: {why}", case.line, case.expr);
        }
        passed += report.passed();
        total += cases;
        runs += report.evaluations();
    }
    println!("{passed} of {total} ({runs} runs)");
    (passed, total, errors)
}

#[test]
fn the_suite_of_prometheus_passes() {
    let Some(dir) = suite() else {
        println!("promqltest: no suite found, 0 cases ran");
        return;
    };
    let (passed, total, errors) = run_all(&dir);
    assert_eq!(errors, [""; 0]);
    assert_eq!(passed, total);
    if env::var_os("PROMQLTEST_FILE").is_none() {
        assert_eq!(total, CASES, "the suite has another number of cases");
    }
}

#[test]
fn the_projects_own_files_pass() {
    let dir = root().join("tests/promql");
    let (passed, total, errors) = run_all(&dir);
    assert_eq!(errors, [""; 0]);
    assert_eq!(passed, total);
}
