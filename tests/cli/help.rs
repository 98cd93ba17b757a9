//! The examples of every `--help` run as they are written.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::harness::{Serving, chronolith, run, succeed, text};

/// The address that examples name; the test's server stands in for it.
const NAMED_URL: &str = "http://127.0.0.1:9090";

/// Every sub-command's path, the program itself first, with its help.
fn helps(dir: &Path, path: &[String], found: &mut Vec<(String, String)>) {
    let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let help = succeed(dir, &args);
    let commands: Vec<String> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // Names are indented by two; what continues a description by more.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect();
    found.push((path.join(" "), help));
    for name in commands {
        let mut deeper = path.to_vec();
        deeper.push(name);
        helps(dir, &deeper, found);
    }
}

/// The files that examples name.
fn fixtures(dir: &Path) {
    let now = jiff::Timestamp::now().as_millisecond();
    let lines: String = (0..240)
        .map(|i| {
            format!("up{{job=\"api\"}} 1 {0}\nhttp_requests_total{{job=\"api\"}} {i} {0}\n", now - (240 - i) * 15_000)
        })
        .collect();
    fs::write(dir.join("metrics.txt"), &lines).unwrap();
    fs::write(dir.join("chronolith.toml"), "data-dir = \"other\"\n").unwrap();
    fs::write(dir.join("queries.test"), "load 1m\n  up 1x5\n\neval instant at 5m up\n  up 1\n").unwrap();
    fs::write(dir.join("rules_test.yml"), RULES_TEST).unwrap();
    succeed(dir, &["import", "--data-dir", "data", "metrics.txt"]);
    fs::write(dir.join("clicks.ndjson"), "{\"page\":\"/\",\"user\":{\"id\":7}}\n").unwrap();
    fs::write(dir.join("orders.csv"), "ordered_at,total\n2023-11-14T22:13:20Z,12.50\n").unwrap();
    succeed(dir, &["import", "--data-dir", "data", "--table", "clicks", "clicks.ndjson"]);
    #[cfg(feature = "sql")]
    succeed(dir, &["export", "--data-dir", "data", "--table", "clicks", "--format", "parquet", "-o", "trips.parquet"]);
    fs::write(dir.join("report.sql"), "-- all of it\nSELECT count(*) FROM clicks;\n").unwrap();
}

const RULES_TEST: &str = "tests:
  - input_series: [{series: up, values: 1x5}]
    promql_expr_test: [{expr: up, eval_time: 5m, exp_samples: [{labels: up, value: 1}]}]
";

/// The data directory of a Prometheus, if the real promtool is there to make one.
fn prometheus_data(dir: &Path) -> bool {
    let text = succeed(dir, &["export", "--data-dir", "data"]);
    fs::write(dir.join("all.om"), text).unwrap();
    let mut promtool = Command::new("promtool");
    promtool.args(["tsdb", "create-blocks-from", "openmetrics", "all.om", "prometheus-data"]).current_dir(dir);
    promtool.output().is_ok_and(|made| made.status.success())
}

#[test]
fn every_example_runs() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fixtures(dir);
    let has_blocks = prometheus_data(dir);
    let server = Serving::serve(dir, &["--data-dir", "served"]);
    succeed(dir, &["import", "--url", &server.url, "metrics.txt"]);
    succeed(dir, &["import", "--url", &server.url, "--table", "clicks", "clicks.ndjson"]);
    let mut all = Vec::new();
    helps(dir, &[], &mut all);
    assert!(all.len() >= 12, "{:?}", all.iter().map(|(name, _)| name).collect::<Vec<_>>());
    let mut ran = 0;
    for (name, help) in &all {
        let examples: Vec<&str> = help.lines().filter_map(|l| l.trim().strip_prefix("$ ")).collect();
        assert!(!examples.is_empty(), "the help of `chronolith {name}` has no example");
        let names_parquet = help.to_ascii_lowercase().contains("parquet");
        assert!(cfg!(feature = "sql") || !names_parquet, "the help of `chronolith {name}` names Parquet");
        for example in examples {
            assert!(example.starts_with("chronolith "), "{example}");
            if example.contains("prometheus-data") && !has_blocks {
                println!("not run, for promtool is not installed: {example}");
                continue;
            }
            run_example(dir, &server.url, example);
            ran += 1;
        }
    }
    println!("{ran} examples ran");
}

/// Runs one example; those that serve are told to stop once they do.
fn run_example(dir: &Path, url: &str, example: &str) {
    let words: Vec<&str> = example.split_whitespace().collect();
    if matches!(words.get(1), Some(&"demo" | &"serve")) {
        let mut command = chronolith();
        command.args(&words[1..]).current_dir(dir);
        if !example.contains("--listen") {
            command.env("CHRONOLITH_LISTEN", "127.0.0.1:0");
        }
        let (status, said) = Serving::start(&mut command).terminate();
        assert_eq!(status.code(), Some(0), "{example}: {said}");
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_chronolith")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(example.replace(NAMED_URL, url)).current_dir(dir).stdin(Stdio::null());
    let done = shell.env("PATH", path).env("CHRONOLITH_URL", url).output().unwrap();
    assert!(done.status.success(), "{example}: {}", text(&done.stderr));
    assert!(!text(&done.stderr).contains("error:"), "{example}: {}", text(&done.stderr));
}

#[test]
fn usage_errors_are_code_2_and_help_is_0() {
    let dir = tempfile::tempdir().unwrap();
    for (args, code) in [(&["--version"][..], 0), (&[][..], 2), (&["serv"][..], 2), (&["query"][..], 2)] {
        assert_eq!(run(dir.path(), args).status.code(), Some(code), "{args:?}");
    }
    let script = succeed(dir.path(), &["completions", "bash"]);
    assert!(script.contains("_chronolith"), "{script}");
}
