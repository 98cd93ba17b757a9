//! Runs Prometheus' own PromQL suite, as far as it needs neither native histograms nor experimental syntax, against the
//! engine over series in memory. The suite is not part of this repository: it is read from the directory that
//! `CHRONOLITH_SUITES` names, else from `../shared/suites` beside the repository, and skipped when missing.

mod applicable;
mod check;
mod memory;
mod notation;
mod rerun;
mod script;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use applicable::Loaded;
use chronolith_promql::engine::QueryOptions;
use memory::Memory;
use script::{Command, Eval};

fn suite() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let suites = env::var_os("CHRONOLITH_SUITES").map_or_else(|| root.join("../shared/suites"), PathBuf::from);
    let own = suites.join("promqltest");
    // A worktree stands one directory deeper.
    let deeper = root.join("../../shared/suites/promqltest");
    [own, deeper].into_iter().find(|d| d.is_dir())
}

/// The settings of Prometheus' own test engine.
fn options(threads: usize) -> QueryOptions {
    QueryOptions { max_samples: 10_000, delayed_name_removal: true, threads, ..QueryOptions::default() }
}

#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    reruns: usize,
    not_applicable: usize,
}

#[test]
fn the_applicable_cases_of_prometheus_suite_pass() {
    let Some(dir) = suite() else {
        println!("promqltest: no suite found, 0 cases ran");
        return;
    };
    let mut files: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "test"));
    files.sort();
    let (mut total, mut failures) = (Count::default(), Vec::new());
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let count = run_file(&name, &fs::read_to_string(&file).unwrap(), &mut failures);
        println!(
            "promqltest: {name}: {} passed, {} failed, {} not applicable, {} reruns",
            count.passed, count.failed, count.not_applicable, count.reruns
        );
        total.passed += count.passed;
        total.failed += count.failed;
        total.reruns += count.reruns;
        total.not_applicable += count.not_applicable;
    }
    println!(
        "promqltest: {} cases ran in {} ways, {} passed, {} failed, {} not applicable",
        total.passed + total.failed,
        total.passed + total.failed + total.reruns,
        total.passed,
        total.failed,
        total.not_applicable
    );
    for f in &failures {
        println!("{f}\n");
    }
    assert!(failures.is_empty(), "{} cases failed", failures.len());
    assert!(total.passed > 600, "the suite shrank: {} cases passed", total.passed);
}

fn run_file(name: &str, text: &str, failures: &mut Vec<String>) -> Count {
    let (mut count, mut memory, mut held) = (Count::default(), Memory::default(), Loaded::Floats);
    for command in script::commands(text) {
        match command {
            Command::Clear => (memory, held) = (Memory::default(), Loaded::Floats),
            Command::Load { step, lines, loaded } => {
                held = held.max(loaded);
                if held != Loaded::Native {
                    memory.load(step, &lines);
                }
            }
            Command::Eval(eval) => {
                if !applicable::is_applicable(&eval, held, &memory) {
                    count.not_applicable += 1;
                    continue;
                }
                match run_case(&eval, &memory) {
                    Ok(reruns) => {
                        count.passed += 1;
                        count.reruns += reruns;
                    }
                    Err(why) => {
                        count.failed += 1;
                        failures.push(format!("{name}:{}: {}\n  {why}", eval.line, eval.expr));
                    }
                }
            }
        }
    }
    count
}

/// Runs a case and its reruns; tells how many there were.
fn run_case(eval: &Eval, memory: &Memory) -> Result<usize, String> {
    check::run(eval, memory, &options(1))?;
    // The number of threads must not show.
    check::run(eval, memory, &options(3))?;
    rerun::run(eval, memory, &options(1))
}
